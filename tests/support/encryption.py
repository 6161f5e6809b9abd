"""Encrypted mail for tests: people and an organisation with certificates of the test authority."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.authority import IssuedCertificate, SubjectNames, issue, subject
from certs.envelopes import (
    Decryptor,
    EncryptionTarget,
    encrypt_message,
    load_decryptor,
    load_target,
)
from certs.pki import DemoPki, load_authority
from certs.profiles import ORG_CONF, Profile
from certs.signing import Signer, load_signer
from certs.smime import sign_entity
from config import Settings

#: What most people have: one certificate that signs and that others encrypt to.
PERSON_BOTH = Profile(
    "PERSON_BOTH",
    frozenset({"digital_signature", "key_encipherment"}),
    (ExtendedKeyUsageOID.EMAIL_PROTECTION,),
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody with a certificate and its key."""

    issued: IssuedCertificate

    @property
    def signer(self) -> Signer:
        """Signs with it."""
        return load_signer(self.issued.certificate_pem, self.issued.key_pem, self.issued.chain_pem)

    @property
    def decryptor(self) -> Decryptor:
        """Opens what is encrypted to it."""
        return load_decryptor(self.issued.certificate_pem, self.issued.key_pem)

    def target(self, *, gcm: bool = True) -> EncryptionTarget:
        """Encrypts to it."""
        return load_target(self.issued.certificate_pem, gcm)


def holder(
    settings: Settings, *addresses: str, profile: Profile = PERSON_BOTH, name: str = "PERSONNE"
) -> Holder:
    """A certificate from the test authority of a deployment."""
    authority = load_authority(DemoPki(settings.pki.anchors.parent))
    subject_ = subject(name, "300000000000017", "CABINET DE TEST", "Haute-Loire (43)")
    return Holder(issue(authority, profile, subject_, datetime.now(UTC), SubjectNames((), addresses)))


def organisation(settings: Settings, stem: str = "conf") -> tuple[Holder, str]:
    """An ORG CONF certificate beside the settings, and its line for ``smime.decryption``."""
    made = holder(settings, settings.service_address, profile=ORG_CONF, name=f"confidentialite.{stem}")
    folder: Path = settings.pki.anchors.parent
    (folder / f"{stem}.pem").write_bytes(made.issued.certificate_pem)
    (folder / f"{stem}.key").write_bytes(made.issued.key_pem)
    return made, f'{{ certificate = "pki/{stem}.pem", key = "pki/{stem}.key" }}'


def text_entity(text: str, *more: str) -> bytes:
    """A plain text entity; ``more`` are header fields of it."""
    head = "".join(f"{field}\r\n" for field in more)
    return f"Content-Type: text/plain; charset=utf-8\r\n{head}\r\n{text}\r\n".encode("ascii")


def fields_of(draft: EmailMessage, **changes: str) -> list[tuple[str, str]]:
    """The header of a draft for the writer of encrypted mail: ASCII, without Content-* fields."""
    raw = draft.as_bytes().partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").decode("ascii")
    found = [tuple(line.split(": ", 1)) for line in raw.split("\r\n")]
    kept = [(n, v) for n, v in found if not n.lower().startswith("content-") and n.lower() != "mime-version"]
    return [(name, changes.get(name.lower().replace("-", "_"), value)) for name, value in kept]


def entity_in(raw: bytes) -> bytes:
    """The content of a mail as a MIME entity: its Content-* fields and its body."""
    header, _, body = raw.partition(b"\r\n\r\n")
    content = [line for line in re.split(rb"\r\n(?![ \t])", header) if line.lower().startswith(b"content-")]
    return b"\r\n".join(content) + b"\r\n\r\n" + body


def signing(who: Holder) -> Callable[[bytes], bytes]:
    """Signs an entity for ``who`` now."""
    signer = who.signer
    return lambda entity: sign_entity(entity, signer, datetime.now(UTC))


def encrypted(
    draft: EmailMessage,
    entity: bytes,
    targets: Sequence[EncryptionTarget],
    sign: Holder | None = None,
) -> bytes:
    """A draft with ``entity`` encrypted as its content, header protected; signed before by ``sign``."""
    return encrypt_message(
        fields_of(draft), entity, targets, secrets.token_bytes, sign=signing(sign) if sign else None
    )


def wrapped(draft: EmailMessage, entity: bytes, targets: Sequence[EncryptionTarget]) -> bytes:
    """A draft with a finished entity encrypted as it is: nothing is protected or signed in addition."""
    return encrypt_message(fields_of(draft), entity, targets, secrets.token_bytes)
