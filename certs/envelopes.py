"""Encrypted S/MIME messages (RFC 8551 §3.3): opened for our certificates, and written for known ones.

Whoever opens one must mind three things. All failures are one exception with one text, so that nobody who
sends altered messages learns why. Content that is not authenticated (`cipher_of`) may have been altered
without a trace (EFAIL, CVE-2017-17689): it is released only when a signature inside of it verifies, and its
refusal must look like any other. And only a message that is encrypted as a whole is opened, never a part.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asn1crypto import core

from certs.ber import EncodingFault, check_encoding
from certs.ciphers import AES_256_CBC, AES_256_GCM, Cipher, open_content, seal_content
from certs.cms import DECODING_ERRORS, CmsFault, read_signed_data
from certs.der import integer, object_identifier, octet_string, sequence, set_of, tagged
from certs.entities import MIME_TYPES, Detached, Opaque, claims_signature, decode_body, find_signature
from certs.enveloped import MAXIMUM_RECIPIENTS, Enveloped, EnvelopeFault, read_enveloped
from certs.fields import Field, FieldFault, canonical_lines, content_type, split_message
from certs.protection import ProtectedHeaders, protect, read_protected, render_field, shown_outside
from certs.recipients import (
    Decryptor,
    DecryptorFault,
    EncryptionFault,
    EncryptionTarget,
    Transport,
    load_decryptor,
    load_target,
    recipient_info,
    unwrap,
)

__all__ = [
    "Capabilities",
    "Cipher",
    "DecryptionFailed",
    "Decryptor",
    "DecryptorFault",
    "EncryptionFault",
    "EncryptionTarget",
    "OpenedMessage",
    "Transport",
    "addressed_to",
    "cipher_of",
    "decrypt_message",
    "encrypt_message",
    "is_encrypted",
    "load_decryptor",
    "load_target",
    "open_envelope",
    "open_message",
    "read_capabilities",
    "seal_envelope",
]

MAXIMUM_MESSAGE = 64 * 1024 * 1024
"""Octets of a message that is looked into; what listeners take is less."""
_AES_256_GCM_CAPABILITY = "2.16.840.1.101.3.4.1.46"


class DecryptionFailed(Exception):
    """A message cannot be decrypted. There is one text for all causes: the cause would be an oracle."""

    def __init__(self) -> None:
        """Say no more than that."""
        super().__init__("the message cannot be decrypted")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a signer announced to be able to read."""

    gcm: bool = False


class _Capability(core.Sequence):  # type: ignore[misc]  # asn1crypto is untyped and lacks this one
    """SMIMECapability (RFC 8551 §2.5.2)."""

    _fields = [  # noqa: RUF012  the library's way to declare a structure
        ("capability_id", core.ObjectIdentifier),
        ("parameters", core.Any, {"optional": True}),
    ]


class _CapabilityList(core.SequenceOf):  # type: ignore[misc]  # asn1crypto is untyped
    """SMIMECapabilities."""

    _child_spec = _Capability


def read_capabilities(encoded: bytes) -> Capabilities:
    """Read the value (BER) of a signed attribute smimeCapabilities; what cannot be read announces nothing.

    To be believed only from a signature that verified: `SignerReport.capabilities`. Total.
    """
    try:
        check_encoding(encoded)
        found = {each["capability_id"].dotted for each in _CapabilityList.load(encoded, strict=True)}
    except (EncodingFault, *DECODING_ERRORS):
        return Capabilities()
    return Capabilities(gcm=_AES_256_GCM_CAPABILITY in found)


# -- reading -------------------------------------------------------------------------------------------


def is_encrypted(raw: bytes) -> bool:
    """Whether a message (CRLF) is encrypted as a whole, judged by its CMS content type. Total."""
    return _envelope_or_none(raw) is not None


def cipher_of(raw: bytes) -> Cipher | None:
    """Return the cipher of the content of a message that is encrypted as a whole, None for another. Total."""
    envelope = _envelope_or_none(raw)
    return None if envelope is None else envelope.cipher


def addressed_to(raw: bytes, keys: Sequence[Decryptor]) -> bool:
    """Whether a message is encrypted as a whole and names one of our certificates as recipient. Total."""
    envelope = _envelope_or_none(raw)
    if envelope is None:
        return False
    try:
        return any(
            key.is_named(recipient.identifier)
            for recipient in envelope.recipients
            if recipient.identifier is not None
            for key in keys
        )
    except DECODING_ERRORS:
        return False


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """What came of opening a message that names one of our certificates: the `entity` inside as
    `decrypt_message` gives it, None where that failed; the cipher; whether it names `others` as recipients.
    """

    entity: bytes | None
    cipher: Cipher
    others: bool


def open_message(raw: bytes, keys: Sequence[Decryptor]) -> OpenedMessage | None:
    """Open a message that is encrypted as a whole and names one of our certificates, reading it once; None
    for any other. Total. What `decrypt_message` says of failures and of ciphers holds here.
    """
    envelope = _envelope_or_none(raw)
    if envelope is None:
        return None
    try:
        ours = [
            recipient.identifier is not None and any(key.is_named(recipient.identifier) for key in keys)
            for recipient in envelope.recipients
        ]
    except DECODING_ERRORS:
        return None
    if not any(ours):
        return None
    try:
        entity: bytes | None = _entity(envelope, keys)
    except DecryptionFailed:
        entity = None
    return OpenedMessage(entity, envelope.cipher, not all(ours))


def decrypt_message(raw: bytes, keys: Sequence[Decryptor]) -> bytes:
    """Return the MIME entity inside of a message encrypted as a whole for one of our certificates.

    It begins with its header fields and is, byte for byte, what its author signed or protected, if so; only
    one that was written with LF gets the CRLF in which it is signed. One whose header cannot be read is a
    failure, too. Raises DecryptionFailed, and only that, for every cause. The module's
    text says what the caller owes when the cipher is not authenticated.
    """
    envelope = _envelope_or_none(raw)
    if envelope is None:
        raise DecryptionFailed from None
    return _entity(envelope, keys)


def _entity(envelope: Enveloped, keys: Sequence[Decryptor]) -> bytes:
    try:
        entity = canonical_lines(_open(envelope, keys))
        split_message(entity)
    except DECODING_ERRORS:
        raise DecryptionFailed from None
    return entity


def open_envelope(encoded: bytes, keys: Sequence[Decryptor]) -> bytes:
    """Return the content of a CMS envelope (BER or DER), whatever it is. Raises DecryptionFailed only."""
    try:
        envelope = read_enveloped(encoded)
        if envelope is None:
            raise EnvelopeFault("not an envelope")
        return _open(envelope, keys)
    except DECODING_ERRORS:
        raise DecryptionFailed from None


def _envelope_or_none(raw: bytes) -> Enveloped | None:
    try:
        return _envelope(raw)
    except (FieldFault, EnvelopeFault):
        return None


def _envelope(raw: bytes) -> Enveloped | None:
    """Read the envelope that is the whole body; None where it is none. Raises FieldFault, EnvelopeFault."""
    if len(raw) > MAXIMUM_MESSAGE:
        raise EnvelopeFault("too large")
    fields, body = split_message(raw)
    claimed = [field.value for field in fields if field.key == "content-type"]
    if not claims_signature(b"\n".join(claimed)) or content_type(fields).media not in MIME_TYPES:
        return None
    return read_enveloped(decode_body(fields, raw[body:]))


def _open(envelope: Enveloped, keys: Sequence[Decryptor]) -> bytes:
    """Open the content by the first recipient that is one of ours. Raises one of DECODING_ERRORS."""
    cipher = envelope.cipher
    if not cipher.accepted:
        raise EnvelopeFault("cipher refused")
    for recipient in envelope.recipients:
        if recipient.identifier is None or recipient.key is None:
            continue
        for key in keys:
            if key.is_named(recipient.identifier):
                if key.authenticated_only and not cipher.authenticated:
                    raise EnvelopeFault("the key is for authenticated content only")
                content_key = unwrap(key, recipient.key, cipher.key_octets)
                return open_content(
                    cipher,
                    content_key,
                    envelope.parameters,
                    envelope.ciphertext,
                    envelope.tag,
                    envelope.bound,
                )
    raise EnvelopeFault("not for us")


# -- writing -------------------------------------------------------------------------------------------


def encrypt_message(
    headers: Sequence[tuple[str, str]],
    entity: bytes,
    targets: Sequence[EncryptionTarget],
    entropy: Callable[[int], bytes],
    transport: Transport = Transport.BY_CAPABILITY,
    sign: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """Return the full message in CRLF form: application/pkcs7-mime with base64 (RFC 8551 §3.3).

    `headers` are the message's own fields without Content-* and MIME-Version, values in ASCII. `entity` is
    the finished MIME entity. Where it holds Content-* fields only and is not signed, the headers are
    protected inside of it (RFC 9788, `hp="cipher"` with HP-Outer), the Subject outside is `[...]`, and
    `sign`, where given, signs the protected entity (`certs.smime.sign_entity`). An entity that is signed or
    protected already stays byte for byte; then the Subject outside is hidden only if its author did so.

    AES-256-GCM where every target reads it, else AES-256-CBC. `entropy` gives as many random octets as asked.
    Raises EncryptionFault, SigningFault, or FieldFault where the entity's header cannot be read.
    """
    if any(name.lower() == "mime-version" or name.lower().startswith("content-") for name, _ in headers):
        raise EncryptionFault("Content-* fields belong to the entity")
    shown, inner = _protected(headers, entity, sign)
    outer = b"".join(render_field(name, value) for name, value in shown)
    encoded, cipher = seal_envelope(inner, targets, entropy, transport)
    kind = "authEnveloped-data" if cipher.authenticated else "enveloped-data"
    return b"".join(
        (
            outer,
            b"MIME-Version: 1.0\r\n",
            f'Content-Type: application/pkcs7-mime; smime-type={kind}; name="smime.p7m"\r\n'.encode(),
            b"Content-Transfer-Encoding: base64\r\n",
            b'Content-Disposition: attachment; filename="smime.p7m"\r\n\r\n',
            base64.encodebytes(encoded).replace(b"\n", b"\r\n"),
        )
    )


def _protected(
    headers: Sequence[tuple[str, str]], entity: bytes, sign: Callable[[bytes], bytes] | None
) -> tuple[Sequence[tuple[str, str]], bytes]:
    """Return the header that is shown outside and the entity to encrypt."""
    fields, body = split_message(entity)
    own = [field for field in fields if not field.key.startswith("content-") and field.key != "mime-version"]
    payload = _signed_payload(entity, fields, body)
    if payload is None and not own and content_type(fields).parameter("hp") is None:
        shown = shown_outside(headers)
        inner = protect(headers, entity, shown)
        return shown, inner if sign is None else sign(inner)
    if sign is not None:
        raise EncryptionFault("the entity is signed or protected already")
    protected = _protection(entity if payload is None else payload)
    if protected is None or not protected.outer:
        return headers, entity
    return shown_outside(headers), entity


def _signed_payload(entity: bytes, fields: Sequence[Field], body: int) -> bytes | None:
    """Return what is signed in an entity, None where nothing is or where it cannot be read."""
    try:
        found = find_signature(entity, fields, body)
        if isinstance(found, Detached):
            return found.entity
        if isinstance(found, Opaque):
            return read_signed_data(found.cms).content or b""
    except (FieldFault, CmsFault):
        return b""
    return None


def _protection(payload: bytes) -> ProtectedHeaders | None:
    try:
        return read_protected(payload)
    except FieldFault:
        return None


def seal_envelope(
    content: bytes,
    targets: Sequence[EncryptionTarget],
    entropy: Callable[[int], bytes],
    transport: Transport = Transport.BY_CAPABILITY,
) -> tuple[bytes, Cipher]:
    """Return the CMS envelope (DER) of `content` for 1 to 64 targets, and its cipher. Raises
    EncryptionFault.
    """
    if not 1 <= len(targets) <= MAXIMUM_RECIPIENTS:
        raise EncryptionFault(f"{len(targets)} recipients: 1 to {MAXIMUM_RECIPIENTS} are possible")
    gcm = all(target.gcm for target in targets)
    cipher = AES_256_GCM if gcm else AES_256_CBC
    oaep = transport is Transport.OAEP or (transport is Transport.BY_CAPABILITY and gcm)
    key, start = entropy(cipher.key_octets), entropy(12 if gcm else 16)
    recipients = [recipient_info(target, key, oaep, entropy) for target in targets]
    algorithm, ciphertext, tag = seal_content(cipher, key, start, content)
    encrypted = sequence(object_identifier(_DATA), algorithm, tagged(0, ciphertext, constructed=False))
    if gcm:
        body = sequence(integer(0), set_of(*recipients), encrypted, octet_string(tag))
        return sequence(object_identifier(_AUTH_ENVELOPED), tagged(0, body)), cipher
    # RFC 5652 §6.1: version 0 with RSA recipients only, 2 with others.
    version = 0 if all(info.startswith(b"\x30") for info in recipients) else 2
    body = sequence(integer(version), set_of(*recipients), encrypted)
    return sequence(object_identifier(_ENVELOPED), tagged(0, body)), cipher


_DATA = "1.2.840.113549.1.7.1"
_ENVELOPED = "1.2.840.113549.1.7.3"
_AUTH_ENVELOPED = "1.2.840.113549.1.9.16.1.23"
