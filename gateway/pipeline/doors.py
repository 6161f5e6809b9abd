"""The gateway behind its SMTP listeners: who may log in, who may send to whom, and what becomes of a mail."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from certs.tls import peer_name
from gateway.logins.bearers import Bearers
from gateway.logins.machines import Machines
from gateway.logins.passwords import password_hasher
from gateway.logins.verdict import LoginVerdict
from gateway.pipeline.attempts import Guesses, login_name
from gateway.pipeline.refusing import refused
from gateway.pipeline.routing import route
from gateway.pipeline.screening import screen
from gateway.pipeline.strangers import Strangers
from gateway.pipeline.unit import Unit
from gateway.pipeline.writers import require_writer
from gateway.services import Services
from gateway.smtp.envelope import Envelope, Peer, PeerKind, TokenLogin
from gateway.smtp.refusals import (
    AuthenticationFailed,
    OperatorRefused,
    PolicyRefused,
    RecipientUnknown,
    Refusal,
    TemporaryFailure,
)
from gateway.store.errors import StoreError
from teleexpertise.addressing import without_detail
from teleexpertise.commands import Annuaire, NewRequest, read_command
from teleexpertise.patient_mail import is_patients_mailbox, patient_of
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["GatewayDoors"]

_POSTMASTER = "postmaster"


@dataclass(slots=True)
class GatewayDoors:
    """Implements ``gateway.smtp.envelope.Doors`` on the store and the pipeline.

    ``guesses`` are counted for all ways in together; without ``bearers`` no token opens anything.
    """

    services: Services
    bearers: Bearers | None = None
    guesses: Guesses = field(default_factory=Guesses)
    _hasher: PasswordHasher = field(default_factory=password_hasher)
    _strangers: Strangers = field(default_factory=Strangers)
    _decoy: str = ""

    def announced(self) -> str:
        """The service address: who sends us mail of a conversation tells it of states, too."""
        return self.services.book.service

    async def authenticate(self, login: str, password: str, peer: Peer) -> str | None:
        """The account that name and password open. An unknown name takes as long as a wrong password."""
        address = login_name(login)
        await self._require_unblocked(address, address, peer)
        async with self.services.store.reading() as tx:
            stored = await tx.accounts.password_hash(address)
        opened = await asyncio.to_thread(self._verify, stored, password)
        verdict = LoginVerdict(address) if opened else LoginVerdict(reason="refused")
        return await self._judged(verdict, address, address, peer)

    async def authenticate_token(self, token: str, wanted: str, peer: Peer) -> TokenLogin | None:
        """The account of a token's holder, who may want the mailbox of a delegator or service."""
        named = login_name(wanted)
        # Many may come from one place without naming a mailbox: each token counts for itself then.
        key = named if wanted else f"token {sha256(token.encode()).hexdigest()}"
        await self._require_unblocked(key, named, peer)
        if self.bearers is None:
            return None
        verdict = await self.bearers.login(token, wanted, may_act=True)
        account = await self._judged(verdict, key, named, peer)
        if account is None or verdict.until is None:
            return None
        return TokenLogin(account, verdict.until + timedelta(seconds=self.services.settings.oauth.session_s))

    async def authenticate_certificate(self, wanted: str, peer: Peer) -> str | None:
        """The mailbox of the application with this certificate. What is wrong with it, its holder is told."""
        services, certificate = self.services, peer.certificate or b""
        key = f"certificate {sha256(certificate).hexdigest()}"
        named = f"certificate {key[-12:]}"
        await self._require_unblocked(key, named, peer)
        machines = Machines(services.trust, services.store, services.clock)
        verdict = await machines.login(certificate, peer.chain, wanted)
        if await self._judged(verdict, key, named, peer) is None:
            raise AuthenticationFailed(f"Not accepted: {verdict.reason}")
        return verdict.account

    async def certificate_holds(self, account: str, peer: Peer) -> bool:
        """Whether an application's open session may go on; where it may not, an audit line says why."""
        services = self.services
        machines = Machines(services.trust, services.store, services.clock)
        verdict = await machines.login(peer.certificate or b"", peer.chain, account)
        if verdict.account or verdict.temporary:
            return True
        await self._audit(account, "end session", peer.ip, verdict.reason)
        return False

    async def _require_unblocked(self, key: str, named: str, peer: Peer) -> None:
        """Raise ``Refusal`` where failures of this key, or from this place, were too many."""
        if self.guesses.blocked(key, peer.ip, self.services.clock()):
            await self._audit(named, "authenticate", peer.ip, "blocked")
            raise Refusal("Too many failed logins, try again later", code=454, enhanced="4.7.0")

    async def _judged(self, verdict: LoginVerdict, key: str, named: str, peer: Peer) -> str | None:
        """The account that was opened; else the failure is counted and audited. What could not be judged is
        no failure of the client: ``Refusal`` 454.
        """
        if verdict.account:
            self.guesses.succeeded(key, peer.ip)
            return verdict.account
        await self._audit(named, "authenticate", peer.ip, verdict.reason)
        if verdict.temporary:
            raise Refusal("Temporary authentication failure", code=454, enhanced="4.7.0")
        self.guesses.failed(key, peer.ip, self.services.clock())
        return None

    async def login_refused(self, login: str, address: str, protocol: str) -> None:
        """Leave an audit line of a failed login at the mailbox server, which was counted there."""
        await self._audit(login_name(login), "authenticate", address, f"refused {protocol}".strip())

    def _verify(self, stored: str | None, password: str) -> bool:
        if not self._decoy:
            self._decoy = self._hasher.hash("decoy")
        try:
            self._hasher.verify(stored or self._decoy, password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    async def check_sender(self, peer: Peer, mail_from: str, size: int) -> None:
        """MAIL FROM: a user's own address, a delegator's, or ``<>``; at the MX a domain listed with the
        certificate.
        """
        if peer.kind is PeerKind.OPERATOR:
            try:
                await self._check_operator(peer, mail_from.lower())
            except Refusal as refusal:
                await self._note(peer, f"{refusal.code} {refusal.enhanced}", refusal.text)
                raise
            return
        await require_writer(self.services, peer, (mail_from,))

    async def _check_operator(self, peer: Peer, mail_from: str) -> None:
        """The certificate holds and is not revoked, and its name is listed for the domain. Of a null sender
        nothing more can be said before the mail is there.
        """
        services = self.services
        refusal = await services.trust.client_refusal(peer.certificate, peer.chain, services.clock())
        if refusal is not None:
            raise PolicyRefused(refusal.reason, code=refusal.code, enhanced=refusal.enhanced)
        if not mail_from:
            return
        if services.is_local(mail_from):
            raise PolicyRefused("Our own domains do not write from outside")
        fault = services.trust.sender_fault(peer.certificate or b"", mail_from, mail_from)
        if fault is not None:
            raise PolicyRefused(fault)

    async def turned_away(self, peer: Peer, reason: str) -> None:
        """A handshake that failed, or mail without TLS: one line for the audit trail, rarely more."""
        await self._note(peer, "not secured", reason)

    async def _note(self, peer: Peer, result: str, reason: str) -> None:
        """Count an operator or application that was turned away, and write a line unless its address had
        enough of them.
        """
        now = self.services.clock()
        unwritten = self._strangers.note(peer.ip, reason, now)
        if unwritten is None:
            return
        structlog.get_logger("smtp").warning(
            "turned away", peer=peer.ip, result=result, reason=reason, in_all=self._strangers.total
        )
        detail: dict[str, Any] = {"reason": reason[:200], "helo": peer.helo[:100], "unwritten": unwritten}
        way = "mx" if peer.kind is PeerKind.OPERATOR else "applications"
        name = peer_name(peer.certificate)
        if name is not None:
            detail["certificate"] = name.text[:300]
        try:
            async with self.services.store.transaction() as tx:
                await Unit(self.services, tx, now).audit(peer.ip, "turn away", way, result, **detail)
        except StoreError as error:
            # The answer stays the same: no reason to let somebody in, or to say later.
            structlog.get_logger("smtp").error("turned away, not audited", error=type(error).__name__)

    async def check_recipient(self, peer: Peer, mail_from: str, recipient: str) -> None:
        """RCPT TO: a mailbox or service address of ours, or for our users a domain of the trust list."""
        if peer.kind is PeerKind.USER:
            await require_writer(self.services, peer, (mail_from,))
        address = recipient.lower()
        if self._is_postmaster(address):
            if await self._postmaster(address) is None:
                raise RecipientUnknown()
        elif self.services.is_local(address):
            await self._check_local(address)
            if peer.kind is PeerKind.OPERATOR:
                await self._check_exchange(peer, mail_from, address)
        elif peer.kind is PeerKind.OPERATOR:
            raise PolicyRefused("Relaying denied")
        elif not self.services.trust.listed(address.rpartition("@")[2]):
            raise self._unlisted(address)
        elif not is_patients_mailbox(address, self.services.settings.documents.patient_domain):
            reason = RefusalReason.PATIENT_ADDRESS
            raise refused(self.services, reason, code=553, enhanced="5.1.3")

    def _unlisted(self, address: str) -> Refusal:
        """An address outside the trust space; a list that is too old cannot tell, so that the answer is "not
        now".
        """
        if self.services.trust.current(self.services.clock()):
            return refused(self.services, RefusalReason.OUTSIDE_TRUST, address)
        refusal = refused(self.services, RefusalReason.LIST_STALE, address)
        return TemporaryFailure(refusal.text, enhanced="4.7.1")

    async def check_data(self, peer: Peer, mail_from: str) -> None:
        """DATA: rights may have been withdrawn since MAIL."""
        if peer.kind is PeerKind.USER:
            await require_writer(self.services, peer, (mail_from,))

    async def _check_local(self, address: str) -> None:
        if self.services.book.is_ours(address):
            if not self.services.book.valid(address):
                raise RecipientUnknown()
            return
        async with self.services.store.reading() as tx:
            account = await tx.accounts.get(address) or await tx.accounts.get(without_detail(address))
        if account is None:
            raise RecipientUnknown()
        if not account.active:
            raise PolicyRefused("Mailbox suspended", code=550, enhanced="5.2.1")

    async def _check_exchange(self, peer: Peer, mail_from: str, address: str) -> None:
        """A patient to whom this mailbox has never written is refused before DATA, so that who is also
        addressed still gets the mail. Which exchange is answered, and whether it is open, the mail tells.
        """
        patient = patient_of(mail_from, self.services.settings.documents.patient_domain)
        if not patient or self.services.book.is_ours(address):
            return
        async with self.services.store.reading() as tx:
            known = await tx.exchanges.between(address, patient)
            known = known or await tx.exchanges.between(without_detail(address), patient)
        if not known:
            refusal = refused(self.services, RefusalReason.PATIENT_FIRST)
            await self._note(peer, f"{refusal.code} {refusal.enhanced}", "patient without exchange")
            raise refusal

    def _is_postmaster(self, address: str) -> bool:
        """Whether an address in lower case is the one that every mail system answers to, with or without a
        domain (``RFC 5321 §4.5.1``).
        """
        local, _, domain = address.rpartition("@")
        return address == _POSTMASTER or (
            local == _POSTMASTER and domain in self.services.settings.local_domains
        )

    async def _postmaster(self, address: str) -> str | None:
        """The account that gets the postmaster's mail: the one named in the settings, an account of that
        name, or the oldest, which an operator made to try the service.
        """
        named = self.services.settings.service.postmaster
        async with self.services.store.reading() as tx:
            for candidate in (named, address):
                account = await tx.accounts.get(candidate) if candidate else None
                if account is not None and account.active:
                    return account.address
            oldest = await tx.accounts.oldest()
        return oldest.address if oldest else None

    async def _addressed(self, envelope: Envelope) -> Envelope:
        """The envelope with mailboxes of ours by the name of their account; others stay as they were sent."""
        recipients: list[str] = []
        for recipient in envelope.recipients:
            address = recipient.lower()
            if self._is_postmaster(address):
                recipients.append(await self._postmaster(address) or recipient)
            else:
                recipients.append(address if self.services.is_local(address) else recipient)
        return replace(envelope, recipients=tuple(recipients))

    async def accept(self, envelope: Envelope, raw: bytes) -> str:
        """Screen the mail, then decide and commit in one transaction; a refusal leaves an audit line,
        nothing else.
        """
        envelope = await self._addressed(envelope)
        try:
            incoming = await screen(self.services, envelope, raw)
            if isinstance(read_command(incoming.letter.subject), Annuaire | NewRequest):
                await self.services.directories.refresh(self.services.store)
            async with self.services.store.transaction() as tx:
                unit = Unit(self.services, tx, incoming.received_at)
                outcome = await route(unit, incoming)
                await unit.audit(
                    incoming.login.address,
                    "accept",
                    str(incoming.id),
                    outcome,
                    queue_id=envelope.queue_id,
                    **incoming.told,
                )
        except Refusal as refusal:
            result = f"{refusal.code} {refusal.enhanced}"
            actor = envelope.peer.login or envelope.peer.ip
            told = {"reason": refusal.text[:200]} if isinstance(refusal, OperatorRefused) else {}
            await self._audit(actor, "refuse", envelope.queue_id, result, **told)
            raise
        structlog.get_logger("smtp").info(
            "accepted",
            queue_id=envelope.queue_id,
            message=str(incoming.id),
            outcome=outcome,
            size=len(raw),
            recipients=len(envelope.recipients),
        )
        return f"Ok: queued as {envelope.queue_id}"

    async def _audit(self, actor: str, action: str, target: str, result: str, **detail: str) -> None:
        async with self.services.store.transaction() as tx:
            await Unit(self.services, tx, self.services.clock()).audit(
                actor, action, target, result, **detail
            )
