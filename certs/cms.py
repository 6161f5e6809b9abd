"""CMS signed-data (RFC 5652 §5): read from any bytes and checked signer by signer; paths are judged
elsewhere.

Every member of the structure is decoded here, inside `_decoding`, so that hostile octets give `CmsFault` and
nothing else. Signatures are computed over the signed attributes exactly as they were transmitted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import cms, core, parser, tsp, x509

from certs.algorithms import AlgorithmRefused, check_digest, load_public_key, read_algorithm, verify
from certs.ber import EncodingFault, check_encoding, joined_octets
from certs.verdicts import Reason

__all__ = ["DECODING_ERRORS", "CheckedSigner", "CmsFault", "SignedData", "check_signers", "read_signed_data"]

MAXIMUM_SIGNERS = 8
MAXIMUM_CERTIFICATES = 32
MAXIMUM_CERTIFICATE = 32 * 1024
"""Octets of one certificate; real ones have up to four thousand. Names are prepared for comparison letter by
letter, so that their length is processor time.
"""
MAXIMUM_OVERHEAD = 512 * 1024
"""Octets beside the content: 8 signers with their chains take about 60 kB; CRLs are sometimes enclosed."""

# asn1crypto decodes lazily and answers hostile octets with any of these.
DECODING_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
    NotImplementedError,
)

_ATTRIBUTES_PLACE = 3
"""Members of SignerInfo before its signed attributes: version, sid, digestAlgorithm (RFC 5652 §5.3)."""

_ATTRIBUTE_TYPES = {
    "1.2.840.113549.1.9.3": "content_type",
    "1.2.840.113549.1.9.4": "message_digest",
    "1.2.840.113549.1.9.5": "signing_time",
    "1.2.840.113549.1.9.15": "capabilities",
    "1.2.840.113549.1.9.52": "cms_algorithm_protection",
    "1.2.840.113549.1.9.16.2.12": "signing_certificate",
    "1.2.840.113549.1.9.16.2.47": "signing_certificate_v2",
}


class CmsFault(Exception):
    """The octets are not an acceptable signed-data; `reason` names the rule, the text says where."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Keep the named reason beside the text."""
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SignedData:
    """A decoded signed-data: encapsulated content (None when detached), certificates as DER, signers.

    Each signer is an asn1crypto SignerInfo with its signed attributes as transmitted (None when it has none):
    taken before anything was read, since asn1crypto encodes anew what was read and fills in defaults.
    """

    content: bytes | None
    certificates: tuple[bytes, ...]
    signers: tuple[tuple[Any, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class CheckedSigner:
    """What one signature is worth before its path is judged: `reason` is GENUINE when it verifies.

    `certificate` is the signer's in DER, None when the message does not hold it. `capabilities` is the signed
    attribute smimeCapabilities as transmitted, empty where there is none.
    """

    reason: Reason
    detail: str
    certificate: bytes | None
    signing_time: datetime | None
    capabilities: bytes = b""


@contextmanager
def _decoding(what: str) -> Iterator[None]:
    try:
        yield
    except DECODING_ERRORS as error:
        raise CmsFault(Reason.MALFORMED, f"{what} cannot be decoded") from error


def content_type(encoded: bytes) -> str:
    """Return the content type of a ContentInfo (`signed_data`, `enveloped_data`, …). Raises CmsFault."""
    return str(_content_info(encoded)["content_type"].native)


def _content_info(encoded: bytes) -> Any:
    try:
        check_encoding(encoded)
    except EncodingFault as error:
        raise CmsFault(Reason.MALFORMED, str(error)) from error
    with _decoding("ContentInfo"):
        info = cms.ContentInfo.load(encoded, strict=True)
        _ = info["content_type"].native  # decoded here so that it cannot fail later
        return info


def read_signed_data(encoded: bytes) -> SignedData:
    """Decode BER or DER signed-data with id-data content and 1 to 8 signers. Raises CmsFault.

    No signers at all (a bundle of certificates) is the fault CERTIFICATES_ONLY.
    """
    info = _content_info(encoded)
    kind = info["content_type"].native
    if kind == "compressed_data":
        raise CmsFault(Reason.COMPRESSED, "compressed-data")
    if kind != "signed_data":
        raise CmsFault(Reason.MALFORMED, f"content type {kind}")
    with _decoding("SignedData"):
        signed = info["content"]
        encapsulated = signed["encap_content_info"]
        inner = encapsulated["content_type"].native
        content = _encapsulated_content(encapsulated)
        certificates = _certificates(signed["certificates"])
        signers = tuple((signer, _attribute_octets(signer)) for signer in signed["signer_infos"])
    if len(encoded) - len(content or b"") > MAXIMUM_OVERHEAD + len(content or b"") // 16:
        raise CmsFault(Reason.MALFORMED, "too large beside its content")
    if not signers:
        raise CmsFault(Reason.CERTIFICATES_ONLY, "no signer")
    if len(signers) > MAXIMUM_SIGNERS:
        raise CmsFault(Reason.TOO_MANY_SIGNERS, f"{len(signers)} signers")
    if inner != "data":
        raise CmsFault(Reason.MALFORMED, f"signed content of type {inner}")
    return SignedData(content, certificates, signers)


def _encapsulated_content(encapsulated: Any) -> bytes | None:
    value = encapsulated["content"]
    if _is_absent(value):
        return None
    # Under version 1 asn1crypto describes the member as PKCS#7's ANY.
    if not hasattr(value, "__bytes__"):
        raise ValueError("content is not an OCTET STRING")
    return joined_octets(value.contents) if value.method else bytes(value)


def _certificates(choices: Any) -> tuple[bytes, ...]:
    found = [choice.chosen.dump() for choice in choices or () if choice.name == "certificate"]
    if len(found) > MAXIMUM_CERTIFICATES or max(map(len, found), default=0) > MAXIMUM_CERTIFICATE:
        raise ValueError("too many certificates or too large ones")
    return tuple(found)


def check_signers(
    signed: SignedData, content: bytes, known: Sequence[bytes] = ()
) -> tuple[CheckedSigner, ...]:
    """Check every signer over `content`; `known` certificates (DER) help where the message does not hold the
    signer's.

    Total: each signer gets a reason, GENUINE only if every rule of RFC 5652 §5.4-5.6 and of the policy holds.
    """
    digests: dict[str, bytes] = {}
    return tuple(
        _check_signer(signer, octets, signed, content, known, digests) for signer, octets in signed.signers
    )


def _check_signer(
    signer: Any,
    octets: bytes | None,
    signed: SignedData,
    content: bytes,
    known: Sequence[bytes],
    digests: dict[str, bytes],
) -> CheckedSigner:
    certificate: bytes | None = None
    signing_time: datetime | None = None
    capabilities = b""
    try:
        with _decoding("SignerInfo"):
            certificate = _find_certificate(signer["sid"], (*signed.certificates, *known))
            attributes = _attributes(signer)
            signing_time = _signing_time(attributes)
            capabilities = attributes["capabilities"].dump() if "capabilities" in attributes else b""
            digest = check_digest(signer["digest_algorithm"]["algorithm"].native)
            algorithm = read_algorithm(signer["signature_algorithm"], digest)
            signature = signer["signature"].native
            _check_protection(attributes, signer)
        if certificate is None:
            raise CmsFault(Reason.CERTIFICATE_MISSING, "the signer's certificate is not enclosed")
        if digest not in digests:
            digests[digest] = hashlib.new(digest, content).digest()
        with _decoding("signed attributes"):
            _check_attributes(attributes, digests[digest], certificate)
            key_info = x509.Certificate.load(certificate)["tbs_certificate"]["subject_public_key_info"].dump()
        verify(algorithm, load_public_key(key_info), signature, octets or b"")
    except (CmsFault, AlgorithmRefused) as fault:
        return CheckedSigner(fault.reason, str(fault), certificate, signing_time)
    return CheckedSigner(Reason.GENUINE, "", certificate, signing_time, capabilities)


def _find_certificate(identifier: Any, candidates: Sequence[bytes]) -> bytes | None:
    """Find the signer's certificate by issuer and serial or by key identifier (RFC 5652 §5.3)."""
    by_serial = identifier.name == "issuer_and_serial_number"
    for der in candidates:
        candidate = x509.Certificate.load(der)
        if by_serial:
            wanted = identifier.chosen
            same = candidate.serial_number == wanted["serial_number"].native and (
                # The same octets are the same name; comparing prepared strings costs fifty times as much.
                candidate.issuer.dump() == wanted["issuer"].dump() or candidate.issuer == wanted["issuer"]
            )
        else:
            same = candidate.key_identifier == identifier.chosen.native
        if same:
            return der
    return None


def _attribute_octets(signer: Any) -> bytes | None:
    """Return the signed attributes as they were transmitted, tagged SET OF instead of [0] (RFC 5652 §5.4)."""
    if _is_absent(signer["signed_attrs"]):
        return None
    # Read from the octets: the library's `dump` writes a value of indefinite length anew.
    octets = signer.contents
    for _ in range(_ATTRIBUTES_PLACE):
        octets = octets[len(b"".join(parser.parse(octets)[3:])) :]
    header, contents, _ = parser.parse(octets)[3:]
    if header[0] != 0xA0 or header[1] == 0x80:
        raise ValueError("signed attributes are not in DER")
    return b"\x31" + bytes(header[1:] + contents)


def _is_absent(value: Any) -> bool:
    return isinstance(value, core.Void)


def _attributes(signer: Any) -> dict[str, Any]:
    """Return the known signed attributes by name, each with its one value. Raises CmsFault."""
    attributes = signer["signed_attrs"]
    if _is_absent(attributes) or not len(attributes):
        raise CmsFault(Reason.ATTRIBUTES_MISSING, "no signed attributes")
    found: dict[str, Any] = {}
    seen: set[str] = set()
    for attribute in attributes:
        dotted = attribute["type"].dotted
        if dotted in seen:  # RFC 5652 §5.3: not more than one instance of an attribute type
            raise CmsFault(Reason.ATTRIBUTES_WRONG, "an attribute occurs twice")
        seen.add(dotted)
        name = _ATTRIBUTE_TYPES.get(dotted)
        if name is None:
            continue
        values = attribute["values"]
        if len(values) != 1 and name == "capabilities":
            continue  # of no consequence for the signature: nothing was announced
        if len(values) != 1:
            raise CmsFault(Reason.ATTRIBUTES_WRONG, f"{name} is not single-valued")
        found[name] = values[0]
    for required in ("content_type", "message_digest"):
        if required not in found:
            raise CmsFault(Reason.ATTRIBUTES_MISSING, f"no {required}")
    return found


def _signing_time(attributes: dict[str, Any]) -> datetime | None:
    value = attributes.get("signing_time")
    if value is None:
        return None
    moment = value.native
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise CmsFault(Reason.ATTRIBUTES_WRONG, "signing time is not a time")
    return moment.astimezone(UTC)


def _check_attributes(attributes: dict[str, Any], digest: bytes, certificate: bytes) -> None:
    if attributes["content_type"].native != "data":
        raise CmsFault(Reason.ATTRIBUTES_WRONG, "content type attribute differs")
    if attributes["message_digest"].native != digest:
        raise CmsFault(Reason.DIGEST_WRONG, "content was altered")
    for name in ("signing_certificate", "signing_certificate_v2"):
        if name in attributes:
            _check_signing_certificate(attributes[name], certificate)


def _check_signing_certificate(value: Any, certificate: bytes) -> None:
    """Hold the certificate against the one that the signer named (RFC 5035 §4, RFC 2634 §5.4)."""
    identifier = value["certs"][0]
    version_2 = isinstance(identifier, tsp.ESSCertIDv2)
    algorithm = identifier["hash_algorithm"]["algorithm"].native if version_2 else "sha1"
    if version_2:
        check_digest(algorithm)
    if identifier["cert_hash"].native != hashlib.new(algorithm, certificate).digest():
        raise CmsFault(Reason.ATTRIBUTES_WRONG, "another certificate was named by the signer")


def _check_protection(attributes: dict[str, Any], signer: Any) -> None:
    """Hold the algorithms against CMSAlgorithmProtection where it is present (RFC 6211 §3)."""
    protection = attributes.get("cms_algorithm_protection")
    if protection is None:
        return
    pairs = (
        (protection["digest_algorithm"], signer["digest_algorithm"]),
        (protection["signature_algorithm"], signer["signature_algorithm"]),
    )
    for protected, used in pairs:
        if _is_absent(protected) or _identity(protected) != _identity(used):
            raise CmsFault(Reason.ALGORITHM_MISMATCH, "protected algorithms differ")


def _identity(algorithm: Any) -> tuple[str, object]:
    """Reduce an AlgorithmIdentifier to what must agree: NULL and absent parameters mean the same here."""
    return algorithm["algorithm"].dotted, algorithm["parameters"].native
