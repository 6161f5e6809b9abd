"""Key records: what a domain publishes under `selector._domainkey.domain` (RFC 6376 §3.6.1, RFC 8463 §4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from certs.dkim.tags import TagFault, base64_value, read_tags, words

__all__ = ["KeyKind", "KeyRecord", "KeyRecordFault", "PublicKey", "Unavailable", "load_public_key",
           "parse_key_record"]  # fmt: skip

PublicKey = RSAPublicKey | Ed25519PublicKey

_MAXIMUM_RECORD = 16 * 1024
"""Octets of a record; 4096 bits of RSA take 800."""
_MAXIMUM_RSA_BITS = 8192
"""Above it the time that a stranger's key takes is no longer small."""


class KeyKind(StrEnum):
    """Kinds of keys (k=)."""

    RSA = "rsa"
    ED25519 = "ed25519"


class Unavailable(StrEnum):
    """Why there is no key record."""

    MISSING = "missing"
    """The domain publishes none under this selector."""
    MALFORMED = "malformed"
    """What it publishes cannot be read as one, or there are several."""
    UNKNOWN = "unknown"
    """The lookup failed: whether there is one cannot be said now."""


class KeyRecordFault(ValueError):
    """A key record that is not well formed or that we do not know how to use."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as published. `public` is the key's octets (p=), empty where it was revoked.

    `hashes` are the allowed hash algorithms, None for all; `strict` says that i= must name d= itself (t=s),
    `testing` that the domain only tries DKIM (t=y); `for_mail` that the key may sign mail (s=).
    """

    kind: KeyKind
    public: bytes
    hashes: frozenset[str] | None = None
    for_mail: bool = True
    strict: bool = False
    testing: bool = False


def parse_key_record(text: bytes) -> KeyRecord:
    """Read a TXT record, its strings joined (RFC 6376 §3.6.2.2). Raises KeyRecordFault."""
    if len(text) > _MAXIMUM_RECORD:
        raise KeyRecordFault("record too long")
    try:
        tags = read_tags(text.strip(b" \t\r\n"))
        public = base64_value(tags["p"])
    except TagFault as fault:
        raise KeyRecordFault(str(fault)) from fault
    except KeyError as error:
        raise KeyRecordFault("no p=") from error
    if "v" in tags and (next(iter(tags)) != "v" or tags["v"] != "DKIM1"):
        raise KeyRecordFault("v= is not DKIM1 or not first")
    try:
        kind = KeyKind(tags.get("k", "rsa"))
    except ValueError as error:
        raise KeyRecordFault("unknown kind of key") from error
    services, flags = words(tags.get("s", "*")), words(tags.get("t", ""))
    return KeyRecord(
        kind=kind,
        public=public,
        hashes=frozenset(words(tags["h"])) if "h" in tags else None,
        for_mail="*" in services or "email" in services,
        strict="s" in flags,
        testing="y" in flags,
    )


def load_public_key(record: KeyRecord) -> PublicKey:
    """Load the key of a record: RSA as SubjectPublicKeyInfo or RSAPublicKey, Ed25519 as its 32 octets.

    Raises KeyRecordFault, also for RSA above 8192 bits.
    """
    try:
        if record.kind is KeyKind.ED25519:
            return Ed25519PublicKey.from_public_bytes(record.public)
        key = load_der_public_key(record.public)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyRecordFault("not a key of its kind") from error
    if not isinstance(key, RSAPublicKey) or key.key_size > _MAXIMUM_RSA_BITS:
        raise KeyRecordFault("not an RSA key of a usable size")
    return key
