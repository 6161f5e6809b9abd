"""Certificate profiles of the test PKI, shaped like the offers of IGC-Santé (élémentaire, organisations)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

__all__ = [
    "ORG_AUTH_CLI",
    "ORG_CONF",
    "ORG_SIGN",
    "PERSON",
    "PERSON_AUTH",
    "PERSON_SIGN",
    "PROFILES",
    "SERV_SSL",
    "Issuer",
    "Profile",
]

# The arc that ISO/IEC set apart for examples (X.660 A.1): policies whose real numbers we have not read.
_EXAMPLES = "2.999.43.1"


class Issuer(StrEnum):
    """Which authority issues a profile; the value names its files."""

    ORGANISATIONS = "ORG-TEST"
    PERSONS = "PERS-TEST"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a kind of certificate may do.

    `key_usage` and `agreement_usage` hold the field names of `cryptography.x509.KeyUsage`; the extension is
    critical, as IGC-Santé's is. `agreement_usage` stands for `key_usage` where the key can agree only and not
    encrypt (elliptic curves). `policy` is the dotted certificate policy, empty for none.
    """

    name: str
    key_usage: frozenset[str]
    extended_key_usage: tuple[ObjectIdentifier, ...]
    lifetime: timedelta = timedelta(days=3 * 365)
    policy: str = ""
    issuer: Issuer = Issuer.ORGANISATIONS
    agreement_usage: frozenset[str] = frozenset()


SERV_SSL = Profile(
    "SERV_SSL",
    frozenset({"digital_signature", "key_encipherment"}),
    # One certificate serves an operator as server and as client of its peers.
    (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    policy=f"{_EXAMPLES}.1",
    # Key encipherment means nothing for a key on a curve (RFC 8813 §3).
    agreement_usage=frozenset({"digital_signature"}),
)
ORG_AUTH_CLI = Profile(
    "ORG_AUTH_CLI",
    frozenset({"digital_signature"}),
    (ExtendedKeyUsageOID.CLIENT_AUTH,),
    policy=f"{_EXAMPLES}.2",
)
ORG_SIGN = Profile(
    "ORG_SIGN",
    frozenset({"digital_signature", "content_commitment"}),
    (ExtendedKeyUsageOID.EMAIL_PROTECTION,),
    policy="1.2.250.1.213.1.7.2.1.1.1.1",  # as in a certificate of the test range of IGC-Santé
)
ORG_CONF = Profile(
    "ORG_CONF",
    frozenset({"key_encipherment", "data_encipherment"}),
    (ExtendedKeyUsageOID.EMAIL_PROTECTION,),
    policy=f"{_EXAMPLES}.3",
    agreement_usage=frozenset({"key_agreement"}),
)
PERSON_SIGN = Profile(
    "PERSON_SIGN",
    frozenset({"digital_signature", "content_commitment"}),
    (ExtendedKeyUsageOID.EMAIL_PROTECTION,),
    policy=f"{_EXAMPLES}.4",
    issuer=Issuer.PERSONS,
)
PERSON_AUTH = Profile(
    "PERSON_AUTH",
    frozenset({"digital_signature"}),
    (ExtendedKeyUsageOID.CLIENT_AUTH,),
    policy=f"{_EXAMPLES}.5",
    issuer=Issuer.PERSONS,
)
PERSON = PERSON_SIGN

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        profile.name.lower().replace("_", "-"): profile
        for profile in (SERV_SSL, ORG_AUTH_CLI, ORG_SIGN, ORG_CONF, PERSON_SIGN, PERSON_AUTH)
    }
)
"""Profiles by the names of the command line (`org-sign`)."""
