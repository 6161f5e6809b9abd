"""Mails of a gateway written by hand: genuine ones in any order, and all that must not be believed."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from uuid import uuid4

from certs.dkim import load_dkim_signer, sign_dkim
from certs.envelopes import EncryptionTarget, Transport, encrypt_message
from certs.paths import read_certificates
from certs.signing import load_signer
from certs.smime import sign_message
from config import Settings
from gateway.intake.rawmail import prepend_fields
from teleexpertise.claims import Claim, claim_fields
from teleexpertise.states import State
from tests.support.gateway import TestGateway
from tests.support.operators import operator_session, own_certificate

_NUMBERS = itertools.count(1)
_ENTITY = b"Content-Type: text/plain; charset=utf-8\r\n\r\nUn message de la conversation.\r\n"

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Forger:
    """Writes as the gateway of ``settings``: with its signature, its DKIM key and its certificate."""

    settings: Settings

    @property
    def domain(self) -> str:
        """Its domain."""
        return self.settings.service.domain

    @property
    def service(self) -> str:
        """Its service address."""
        return self.settings.service_address

    def claim(self, *, to: tuple[str, ...] = (), **changes: object) -> Claim:
        """A conversation that nobody knows yet."""
        ref = f"TLE-2026-9{next(_NUMBERS):05d}"
        claim = Claim(id=uuid4(), ref=ref, event="question", seq=1, state=State.REQUESTED, to=to)
        return replace(claim, **changes)  # type: ignore[arg-type]

    def header(self, author: str, mail_id: str = "") -> list[tuple[str, str]]:
        """The fields of any mail of the thread."""
        return [
            ("From", author),
            ("To", f"teleexpertise+jeton@{self.domain}"),
            ("Subject", "[TLE - en cours] Suite"),
            ("Date", format_datetime(datetime.now(UTC))),
            ("Message-ID", mail_id or f"<{uuid4()}@{self.domain}>"),
            ("Reply-To", f"teleexpertise+jeton@{self.domain}"),
        ]

    def generated(
        self,
        claim: Claim,
        *,
        seq: int = 0,
        state: str = "",
        event: str = "",
        inside: Fields | None = None,
        outside: Fields = (),
        signed: bool = True,
    ) -> bytes:
        """A mail of the service; ``inside`` replaces the fields of the claim, ``outside`` comes unsigned."""
        told = replace(
            claim,
            seq=seq or claim.seq,
            state=State(state) if state else claim.state,
            event=event or claim.event,
        )
        header = [*self.header(self.service), ("Auto-Submitted", "auto-generated")]
        header += claim_fields(told) if inside is None else inside
        if not signed:
            return prepend_fields(_ENTITY, [*outside, *header, ("MIME-Version", "1.0")])
        pki = self.settings.pki
        signer = load_signer(
            pki.smime_certificate.read_bytes(), pki.smime_key.read_bytes(), pki.smime_chain.read_bytes()
        )
        raw = sign_message(header, _ENTITY, signer, datetime.now(UTC))
        return prepend_fields(raw, list(outside)) if outside else raw

    def passed_on(
        self,
        claim: Claim,
        author: str,
        *,
        fields: Fields | None = None,
        outside: Fields = (),
        domain: str = "",
        selector: str = "",
        signed: bool = True,
    ) -> bytes:
        """A person's mail that the gateway passes on, with its DKIM signature in the name of ``domain``."""
        header = [*(claim_fields(claim) if fields is None else fields), *self.header(author)]
        raw = prepend_fields(_ENTITY, [*header, ("MIME-Version", "1.0")])
        if signed:
            (one,) = self.settings.dkim.signing
            signer = load_dkim_signer(domain or self.domain, selector or one.selector, one.key.read_bytes())
            raw = sign_dkim(raw, signer, datetime.now(UTC)) + raw
        return prepend_fields(raw, list(outside)) if outside else raw

    def sealed(self, claim: Claim, certificate: bytes, *, signed: bool = True) -> bytes:
        """A mail of the service that only the holder of a certificate (PEM) can read, with the DKIM signature
        that it leaves with.
        """
        header = [*self.header(self.service), ("Auto-Submitted", "auto-generated"), *claim_fields(claim)]
        target = EncryptionTarget(read_certificates(certificate)[0], False)
        raw = encrypt_message(header, _ENTITY, (target,), secrets.token_bytes, Transport.OAEP)
        if not signed:
            return raw
        (one,) = self.settings.dkim.signing
        signer = load_dkim_signer(self.domain, one.selector, one.key.read_bytes())
        return sign_dkim(raw, signer, datetime.now(UTC)) + raw

    def deliver(
        self, gateway: TestGateway, raw: bytes, recipients: Sequence[str], mail_from: str | None = None
    ) -> None:
        """Hand a mail to another gateway's door, under this operator's certificate."""
        sender = self.service if mail_from is None else mail_from
        with operator_session(gateway.mx_port, own_certificate(self.settings).client_tls) as smtp:
            smtp.sendmail(sender, list(recipients), raw)
