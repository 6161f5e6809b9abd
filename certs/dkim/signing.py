"""Making DKIM signatures (RFC 6376 §5): a loaded key, its record, and the field to put before a mail."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from certs.dkim.canonical import SIGNATURE_FIELD, RawField, RawMessage, body_hash, read_message, signed_octets
from certs.dkim.keys import KeyKind, KeyRecord
from certs.dkim.verifying import OUR_LEAST_BITS
from certs.fields import FieldFault

__all__ = ["OVERSIGNED", "DkimFault", "DkimSigner", "load_dkim_signer", "render_key_record",
           "sign_dkim"]  # fmt: skip

OVERSIGNED = (
    "From", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Reply-To", "Sender",
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Auto-Submitted",
    "X-TLE-Id", "X-TLE-Ref", "X-TLE-Event", "X-TLE-Seq", "X-TLE-State",
)  # fmt: skip
"""Fields that are signed whether present or not, so that none can be added: what a reader is shown or a
client threads by, and the gateway's own.
"""

_GATEWAY_PREFIX = "x-tle-"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_LINE = 72


class DkimFault(ValueError):
    """A key, a name or a mail with which no DKIM signature can be made."""


@dataclass(frozen=True, slots=True)
class DkimSigner:
    """A key of ours and where it is published: `selector._domainkey.domain`, both in lower case."""

    domain: str
    selector: str
    key: rsa.RSAPrivateKey | Ed25519PrivateKey

    @property
    def kind(self) -> KeyKind:
        """Of which kind the key is."""
        return KeyKind.ED25519 if isinstance(self.key, Ed25519PrivateKey) else KeyKind.RSA

    @property
    def record(self) -> KeyRecord:
        """The public half, as it is to be published."""
        public = self.key.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            return KeyRecord(
                KeyKind.RSA, public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            )
        return KeyRecord(KeyKind.ED25519, public.public_bytes_raw())

    def signature(self, octets: bytes) -> bytes:
        """Sign: RSASSA-PKCS1-v1_5, or Ed25519 of the SHA-256 (RFC 8463 §3). Equal octets, equal signature."""
        if isinstance(self.key, Ed25519PrivateKey):
            return self.key.sign(sha256(octets).digest())
        return self.key.sign(octets, PKCS1v15(), SHA256())


def load_dkim_signer(domain: str, selector: str, key_pem: bytes) -> DkimSigner:
    """Read a private key: RSA of 2048 bits or more, or Ed25519. Raises DkimFault."""
    names = domain.lower(), selector.lower()
    if any(_NAME.fullmatch(name) is None for name in names):
        raise DkimFault("domain or selector is no DNS name")
    try:
        key = load_pem_private_key(key_pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise DkimFault("not a PEM private key without password") from error
    if not isinstance(key, rsa.RSAPrivateKey | Ed25519PrivateKey):
        raise DkimFault("neither an RSA nor an Ed25519 key")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < OUR_LEAST_BITS:
        raise DkimFault(f"RSA key below {OUR_LEAST_BITS} bits")
    return DkimSigner(*names, key)


def render_key_record(record: KeyRecord) -> str:
    """Write the TXT record to publish, one text; a zone file splits it into strings of 255 octets."""
    return f"v=DKIM1; k={record.kind}; p={b64encode(record.public).decode('ascii')}"


def sign_dkim(raw: bytes, signer: DkimSigner, now: datetime, names: Iterable[str] = OVERSIGNED) -> bytes:
    """Return the DKIM-Signature field to put before `raw`, with its final CRLF.

    Header relaxed and body simple: relays may fold and re-space a header, and a body is hashed as it is.
    Every field of `names` and every X-TLE field present is named once more often than it occurs. The same
    mail, signer and second give the same octets. Raises DkimFault for a mail that is not in CRLF form or has
    not exactly one From.
    """
    try:
        message = read_message(raw)
    except FieldFault as fault:
        raise DkimFault(str(fault)) from fault
    present = [field.name for field in message.fields]
    if present.count("from") != 1:
        raise DkimFault("not exactly one From")
    signed = _signed_names(present, names)
    start = _unsigned(message, signer, signed, now)
    bare = RawField(SIGNATURE_FIELD, start, len(SIGNATURE_FIELD) + 1)
    octets = signed_octets(message.fields, [name.lower() for name in signed], bare, relaxed=True)
    value = b64encode(signer.signature(octets))
    lines = [value[at : at + _LINE] for at in range(0, len(value), _LINE)]
    return start + b"\r\n ".join(lines) + b"\r\n"


def _signed_names(present: list[str], names: Iterable[str]) -> list[str]:
    """Return the names for h=: each once more often than it occurs."""
    wanted = {name.lower(): name for name in ("From", *names)}
    for name in present:
        if name.startswith(_GATEWAY_PREFIX):
            wanted.setdefault(name, name)
    return [shown for key, shown in wanted.items() for _ in range(present.count(key) + 1)]


def _unsigned(message: RawMessage, signer: DkimSigner, signed: list[str], now: datetime) -> bytes:
    """Return the field up to and including `b=`."""
    digest = b64encode(body_hash(message, relaxed=False)).decode("ascii")
    lines = [
        f"DKIM-Signature: v=1; a={signer.kind}-sha256; c=relaxed/simple;",
        f" d={signer.domain}; s={signer.selector};",
        f" t={int(now.timestamp())}; bh={digest};",
    ]
    line = " h="
    for number, name in enumerate(signed):
        piece = name if number == 0 else f":{name}"
        if len(line) + len(piece) > _LINE:
            lines.append(line)
            line = " "
        line += piece
    lines += [f"{line};", " b="]
    return "\r\n".join(lines).encode("ascii")
