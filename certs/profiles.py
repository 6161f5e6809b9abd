"""Certificate profiles of the test PKI, shaped like the offers of IGC-Santé (élémentaire, organisations)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

__all__ = ["ORG_AUTH_CLI", "ORG_SIGN", "PERSON", "SERV_SSL", "Profile"]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a kind of certificate may do.

    `key_usage` holds the field names of `cryptography.x509.KeyUsage`; the extension is critical, as
    IGC-Santé's is.
    """

    name: str
    key_usage: frozenset[str]
    extended_key_usage: tuple[ObjectIdentifier, ...]
    lifetime: timedelta = timedelta(days=3 * 365)


SERV_SSL = Profile(
    "SERV_SSL",
    frozenset({"digital_signature", "key_encipherment"}),
    # One certificate serves an operator as server and as client of its peers.
    (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
)
ORG_AUTH_CLI = Profile(
    "ORG_AUTH_CLI",
    frozenset({"digital_signature"}),
    (ExtendedKeyUsageOID.CLIENT_AUTH,),
)
ORG_SIGN = Profile(
    "ORG_SIGN",
    frozenset({"digital_signature", "content_commitment"}),
    (ExtendedKeyUsageOID.EMAIL_PROTECTION,),
)
PERSON = Profile(
    "PERSON",
    frozenset({"digital_signature", "content_commitment"}),
    (ExtendedKeyUsageOID.EMAIL_PROTECTION,),
)
