"""The names by which a client certificate is bound to one mailbox: who issued it, and to whom."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256

from asn1crypto import x509

from certs.cms import DECODING_ERRORS
from certs.names import DistinguishedName, NameFault

__all__ = ["CertificateNames", "certificate_names"]


@dataclass(frozen=True, slots=True)
class CertificateNames:
    """Issuer and subject as RFC 4514 text, for people; `key` is what is compared.

    The key is the SHA-256, in lower-case hex, of both names attribute by attribute, in their order and to the
    letter: a renewed certificate keeps it, and no other name of the same authority has it.
    """

    issuer: str
    subject: str
    key: str


def certificate_names(certificate: bytes) -> CertificateNames | None:
    """Read the names of a DER certificate; None where it has no usable ones."""
    try:
        loaded = x509.Certificate.load(certificate, strict=True)
        issuer = DistinguishedName.from_asn1(loaded.issuer)
        subject = DistinguishedName.from_asn1(loaded.subject)
    except (NameFault, *DECODING_ERRORS):
        return None
    if not issuer.attributes or not subject.attributes:
        return None
    key = sha256(json.dumps([issuer.attributes, subject.attributes]).encode()).hexdigest()
    return CertificateNames(issuer.text, subject.text, key)
