"""The XML signature of a trust list (XMLDSig 1.1, enveloped), judged with our own certificate paths.

signxml computes the signature; whom to believe is decided here before, and only what it returns as signed is
read afterwards. The one reference must be the whole document, so that nothing can be wrapped around or beside
what was signed.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from certs.cms import DECODING_ERRORS
from certs.names import DistinguishedName, NameFault
from certs.operators import MAXIMUM_SIZE, TrustListFault, xml_parser
from certs.paths import TrustAnchors, Usage, validate
from certs.verdicts import Verdict

__all__ = ["ListSigner", "signed_list"]

_DS: Final = "http://www.w3.org/2000/09/xmldsig#"
_ENVELOPED: Final = f"{_DS}enveloped-signature"
_CANONICAL: Final = (
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/2006/12/xml-c14n11",
    "http://www.w3.org/2001/10/xml-exc-c14n#",
)
_METHODS: Final = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.SHA256_RSA_MGF1,
        SignatureMethod.SHA384_RSA_MGF1,
        SignatureMethod.SHA512_RSA_MGF1,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
_DIGESTS: Final = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
_MOST_CERTIFICATES: Final = 8
_FAULTS: Final = (
    SignXMLException,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    NotImplementedError,
    etree.LxmlError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
)
"""What signxml raises for octets of strangers: its own errors, and those of what it calls."""


@dataclass(frozen=True, slots=True)
class ListSigner:
    """Who must have signed: a certificate under `anchors`, of this `name` where one is given."""

    anchors: TrustAnchors
    name: DistinguishedName | None = None


def signed_list(document: bytes, signer: ListSigner, now: datetime) -> bytes:
    """Return the signed octets of a list (canonical XML without the signature).

    Raises TrustListFault where it is unsigned, wrongly signed, signed by another or by weak algorithms, or
    where the signature is not over the whole document.
    """
    if len(document) > MAXIMUM_SIZE:
        raise TrustListFault("list too large")
    try:
        root = etree.fromstring(document, xml_parser())
    except (etree.XMLSyntaxError, ValueError) as error:
        raise TrustListFault(f"not well formed: {str(error)[:200]}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise TrustListFault("a document type is not allowed")
    signature = _only_signature(root)
    certificate = _signing_certificate(signature, signer, now)
    configuration = SignatureConfiguration(
        location="./",
        expect_references=1,
        signature_methods=_METHODS,
        digest_algorithms=_DIGESTS,
        verification_time=now,
    )
    try:
        believed = x509.load_der_x509_certificate(certificate)
        found = XMLVerifier().verify(
            root, x509_cert=believed, parser=xml_parser(), expect_config=configuration
        )
    except _FAULTS as error:
        raise TrustListFault(f"the signature does not hold ({type(error).__name__})") from error
    assert not isinstance(found, list), "one reference is expected"
    return found.signed_data


def _only_signature(root: etree._Element) -> etree._Element:
    """Return the signature element, which must be a child of the root and cover the whole document."""
    signatures = list(root.iter(f"{{{_DS}}}Signature"))
    if not signatures:
        raise TrustListFault("the list is not signed")
    if len(signatures) > 1 or signatures[0].getparent() is not root:
        raise TrustListFault("more than one signature, or one that is not the list's")
    references = signatures[0].findall(f"{{{_DS}}}SignedInfo/{{{_DS}}}Reference")
    if len(references) != 1 or references[0].get("URI") != "":
        raise TrustListFault("the signature is not over the whole list")
    transforms = [each.get("Algorithm", "") for each in references[0].iter(f"{{{_DS}}}Transform")]
    if _ENVELOPED not in transforms or not set(transforms) <= {_ENVELOPED, *_CANONICAL}:
        raise TrustListFault("the signature transforms the list")
    return signatures[0]


def _signing_certificate(signature: etree._Element, signer: ListSigner, now: datetime) -> bytes:
    """Return the one end-entity certificate that is enclosed, once it is known to be the signer's."""
    texts = [each.text or "" for each in signature.iter(f"{{{_DS}}}X509Certificate")]
    if not 1 <= len(texts) <= _MOST_CERTIFICATES:
        raise TrustListFault("the signature encloses no certificate, or too many")
    try:
        enclosed = [b64decode("".join(text.split()), validate=True) for text in texts]
        leaves = [der for der in enclosed if not asn1.Certificate.load(der, strict=True).ca]
        if len(leaves) != 1:
            raise TrustListFault("the signature encloses not exactly one certificate of a signer")
        name = DistinguishedName.from_asn1(asn1.Certificate.load(leaves[0]).subject)
    except TrustListFault:
        raise
    except (NameFault, *DECODING_ERRORS) as error:
        raise TrustListFault("a certificate of the signature cannot be decoded") from error
    others = [der for der in enclosed if der != leaves[0]]
    path = validate(leaves[0], others, signer.anchors, Usage.EMAIL_SIGNATURE, now)
    if path.verdict is not Verdict.PASSED:
        raise TrustListFault(f"the certificate of the signature is not believed: {path.reason}")
    if signer.name is not None and name != signer.name:
        raise TrustListFault("the list is signed by another than the configured signer")
    return leaves[0]
