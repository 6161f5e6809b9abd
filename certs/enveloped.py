"""CMS enveloped-data (RFC 5652 §6) and authenticated-enveloped-data (RFC 5083), read from BER or DER.

Reading opens nothing: it says who the recipients are, how each gets the content key, and what is encrypted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asn1crypto import algos, cms, core

from certs.ber import EncodingFault, check_encoding, joined_octets
from certs.ciphers import ACCEPTED, Cipher
from certs.cms import DECODING_ERRORS, MAXIMUM_OVERHEAD

__all__ = [
    "MAXIMUM_RECIPIENTS",
    "Agreed",
    "EnvelopeFault",
    "Enveloped",
    "Identifier",
    "Recipient",
    "Transported",
    "read_enveloped",
]

MAXIMUM_RECIPIENTS = 64
_KINDS = {"enveloped_data": False, "authenticated_enveloped_data": True}
_DATA = "data"


class _Algorithm(core.Sequence):  # type: ignore[misc]  # asn1crypto is untyped
    """AlgorithmIdentifier with parameters as transmitted: the library's own decodes those that it knows."""

    _fields = [  # noqa: RUF012  the library's way to declare a structure
        ("algorithm", algos.EncryptionAlgorithmId),
        ("parameters", core.Any, {"optional": True}),
    ]


class EnvelopeFault(ValueError):
    """The octets are not an envelope that can be read. The text is for tests only, never for a peer."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """Which certificate is meant: issuer (DER) and serial number, or the subject key identifier."""

    issuer: bytes = b""
    serial: int = 0
    key_identifier: bytes = b""


@dataclass(frozen=True, slots=True)
class Transported:
    """The content key encrypted by RSA: PKCS#1 v1.5 where `digest` is empty, else OAEP (RFC 3560)."""

    encrypted_key: bytes
    digest: str = ""
    mask_digest: str = ""
    label: bytes = b""


@dataclass(frozen=True, slots=True)
class Agreed:
    """The content key wrapped under an agreed key (RFC 5753 §3.1): `scheme` and `wrap_oid` in dotted form.

    `originator` is the sender's ephemeral public key as octets, `wrap` the wrapping algorithm in DER as it
    was transmitted, `ukm` the user keying material, None where there is none.
    """

    encrypted_key: bytes
    scheme: str
    wrap: bytes
    wrap_oid: str
    originator: bytes
    ukm: bytes | None


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient: `identifier` is None for other kinds than certificates, `key` for unknown algorithms."""

    identifier: Identifier | None
    key: Transported | Agreed | None


@dataclass(frozen=True, slots=True)
class Enveloped:
    """A decoded envelope. `bound` are the authenticated attributes as they are authenticated, `b""` if
    none.
    """

    recipients: tuple[Recipient, ...]
    cipher: Cipher
    parameters: bytes
    ciphertext: bytes
    tag: bytes
    bound: bytes


def read_enveloped(encoded: bytes) -> Enveloped | None:
    """Decode an envelope; None for another content type. Raises EnvelopeFault.

    Policy: 1 to 64 recipients, content of type id-data. An unaccepted cipher is read, so that it can be told.
    """
    try:
        check_encoding(encoded)
        info = cms.ContentInfo.load(encoded, strict=True)
        authenticated = _KINDS.get(info["content_type"].native)
        return None if authenticated is None else _read(info["content"], authenticated, len(encoded))
    except EnvelopeFault:
        raise
    except (EncodingFault, *DECODING_ERRORS) as error:
        raise EnvelopeFault("cannot be decoded") from error


def _read(structure: Any, authenticated: bool, size: int) -> Enveloped:
    content = structure["auth_encrypted_content_info" if authenticated else "encrypted_content_info"]
    if content["content_type"].native != _DATA:
        raise EnvelopeFault("content is not data")
    algorithm = _Algorithm.load(content["content_encryption_algorithm"].dump(), strict=True)
    name, parameters = algorithm["algorithm"], algorithm["parameters"].dump()
    cipher = ACCEPTED.get(name.dotted) or Cipher(name.native, authenticated, 0, accepted=False)
    if cipher.authenticated != authenticated:
        raise EnvelopeFault("the cipher belongs to the other kind of envelope")
    ciphertext = _string(content["encrypted_content"])
    if size - len(ciphertext) > MAXIMUM_OVERHEAD + len(ciphertext) // 16:
        raise EnvelopeFault("too large beside its content")
    tag, bound = b"", b""
    if authenticated:
        tag, bound = _string(structure["mac"]), _bound(structure["auth_attrs"])
    recipients = tuple(each for info in structure["recipient_infos"] for each in _recipients(info))
    if not 1 <= len(recipients) <= MAXIMUM_RECIPIENTS:
        raise EnvelopeFault(f"{len(recipients)} recipients")
    return Enveloped(recipients, cipher, parameters, ciphertext, tag, bound)


def _string(value: Any) -> bytes:
    """Return the octets of an OCTET STRING, in chunks or not; an absent one is a fault."""
    if not isinstance(value, core.OctetString):
        raise EnvelopeFault("octets are missing")
    contents: bytes = value.contents
    return joined_octets(contents) if value.method else contents


def _bound(attributes: Any) -> bytes:
    """Return the authenticated attributes as transmitted, tagged SET OF instead of [1] (RFC 5083 §2.2)."""
    if isinstance(attributes, core.Void):
        return b""
    transmitted: bytes = attributes.dump()
    if transmitted[1] == 0x80:
        raise EnvelopeFault("authenticated attributes are not in DER")
    for attribute in attributes:
        if attribute["type"].native == "content_type" and [*attribute["values"].native] != [_DATA]:
            raise EnvelopeFault("content type attribute differs")
    return b"\x31" + transmitted[1:]


def _recipients(info: Any) -> list[Recipient]:
    """Read one RecipientInfo; key agreement may name several recipients under one ephemeral key."""
    chosen = info.chosen
    if info.name == "ktri":
        return [Recipient(_identifier(chosen["rid"]), _known(_transported, chosen))]
    if info.name == "kari":
        return [
            Recipient(_identifier(wrapped["rid"]), _known(_agreed, chosen, wrapped))
            for wrapped in chosen["recipient_encrypted_keys"]
        ]
    return [Recipient(None, None)]


def _known(read: Any, *parts: Any) -> Transported | Agreed | None:
    """Read how a key is given; None for what is not known: another recipient's algorithm is not our fault."""
    try:
        found: Transported | Agreed | None = read(*parts)
    except DECODING_ERRORS:
        return None
    return found


def _identifier(rid: Any) -> Identifier:
    if rid.name == "issuer_and_serial_number":
        return Identifier(rid.chosen["issuer"].dump(), rid.chosen["serial_number"].native)
    if rid.name == "r_key_id":
        return Identifier(key_identifier=_string(rid.chosen["subject_key_identifier"]))
    return Identifier(key_identifier=_string(rid.chosen))


def _transported(info: Any) -> Transported | None:
    algorithm = info["key_encryption_algorithm"]
    name, encrypted = algorithm["algorithm"].native, _string(info["encrypted_key"])
    if name == "rsaes_pkcs1v15":
        return Transported(encrypted)
    if name != "rsaes_oaep":
        return None
    parameters = algorithm["parameters"]
    if not isinstance(parameters, cms.RSAESOAEPParams):
        parameters = cms.RSAESOAEPParams()  # absent: SHA-1 throughout (RFC 4055 §4.1)
    mask, source = parameters["mask_gen_algorithm"], parameters["p_source_algorithm"]
    if mask["algorithm"].native != "mgf1" or source["algorithm"].native != "p_specified":
        return None
    return Transported(
        encrypted,
        parameters["hash_algorithm"]["algorithm"].native,
        mask["parameters"]["algorithm"].native,
        source["parameters"].native or b"",
    )


def _agreed(info: Any, wrapped: Any) -> Agreed | None:
    algorithm, originator = info["key_encryption_algorithm"], info["originator"]
    if originator.name != "originator_key":  # static keys of the sender: nobody writes them
        return None
    wrap = algorithm["parameters"].dump()
    ukm = None if isinstance(info["ukm"], core.Void) else _string(info["ukm"])
    return Agreed(
        _string(wrapped["encrypted_key"]),
        algorithm["algorithm"].dotted,
        wrap,
        cms.KeyEncryptionAlgorithm.load(wrap, strict=True)["algorithm"].dotted,
        originator.chosen["public_key"].native,
        ukm,
    )
