"""Find the signed part of a message in its original octets (RFC 8551 §3.5): multipart/signed and
application/pkcs7-mime.

Nothing is parsed and written again: a signature never survives that.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from certs.fields import ContentType, Field, FieldFault, content_type, only, split_message
from certs.verdicts import Reason

__all__ = [
    "MIME_TYPES",
    "Detached",
    "Opaque",
    "Unsigned",
    "claims_signature",
    "decode_body",
    "find_signature",
]

MAXIMUM_SIGNATURE = 1024 * 1024
"""Octets of a detached signature part as transmitted."""

_SIGNATURE_TYPES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
MIME_TYPES = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
"""Types of a CMS structure that holds the whole body (RFC 8551 §3.2)."""
_INNER_SIGNATURE = re.compile(
    rb"\r\ncontent-type:[ \t]*(?:multipart/signed|application/(?:x-)?pkcs7-mime)", re.IGNORECASE
)
_CLAIM = re.compile(rb"multipart/signed|pkcs7-(?:mime|signature)", re.IGNORECASE)
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")


@dataclass(frozen=True, slots=True)
class Detached:
    """multipart/signed: the signed entity as transmitted and the decoded CMS octets."""

    entity: bytes
    cms: bytes


@dataclass(frozen=True, slots=True)
class Opaque:
    """application/pkcs7-mime over the whole body: the decoded CMS octets."""

    cms: bytes


@dataclass(frozen=True, slots=True)
class Unsigned:
    """No S/MIME signature over the whole body; the reason says what there is instead."""

    reason: Reason


def find_signature(raw: bytes, fields: Sequence[Field], body: int) -> Detached | Opaque | Unsigned:
    """Find what is signed in a message of which the header `fields` and the start of the `body` were read.

    Raises FieldFault where the message says that it is signed and cannot be split accordingly. Other messages
    are not held to the grammar of Content-Type: they are only not signed.
    """
    claimed = [field.value for field in fields if field.key == "content-type"]
    if not claims_signature(b"\n".join(claimed)):
        inner = any(value.lower().startswith(b"multipart/") for value in claimed)
        partly = inner and _INNER_SIGNATURE.search(raw, max(body - 2, 0))
        return Unsigned(Reason.PARTLY_SIGNED if partly else Reason.UNSIGNED)
    kind = content_type(fields)
    if kind.media == "multipart/signed":
        protocol = (kind.parameter("protocol") or "").lower()
        if protocol not in _SIGNATURE_TYPES:
            return Unsigned(Reason.UNSIGNED)
        return _split(raw, body, kind)
    if kind.media in MIME_TYPES:
        if (kind.parameter("smime-type") or "").lower() == "certs-only":
            return Unsigned(Reason.CERTIFICATES_ONLY)
        return Opaque(decode_body(fields, raw[body:]))
    return Unsigned(Reason.UNSIGNED)


def claims_signature(header: bytes) -> bool:
    """Tell whether header octets speak of S/MIME at all, however malformed they are."""
    return _CLAIM.search(header) is not None


def _split(raw: bytes, body: int, kind: ContentType) -> Detached | Unsigned:
    """Split multipart/signed into its two parts (RFC 1847 §2.1); any other number of parts is not signed."""
    boundary = kind.parameter("boundary") or ""
    if _BOUNDARY.fullmatch(boundary) is None:
        raise FieldFault("boundary")
    delimiters = _delimiters(raw, body, b"--" + boundary.encode("ascii"))
    if len(delimiters) != 3 or [last for _, _, last in delimiters] != [False, False, True]:
        return Unsigned(Reason.PARTLY_SIGNED)
    (_, first, _), (middle, second, _), (end, _, _) = delimiters
    if end - second > MAXIMUM_SIGNATURE:
        raise FieldFault("signature part too large")
    part = raw[second:end]
    fields, start = split_message(part)
    if content_type(fields).media not in _SIGNATURE_TYPES:
        raise FieldFault("the second part is not a signature")
    # The CRLF in front of a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
    return Detached(raw[first:middle], decode_body(fields, part[start:]))


def _delimiters(raw: bytes, body: int, delimiter: bytes) -> list[tuple[int, int, bool]]:
    """Find delimiter lines: where the part before ends, where the next begins, whether it is the closing one.

    At most four are looked for: three are right and the fourth proves the message wrong. What follows the
    closing one is not shown and not looked at.
    """
    line = re.compile(rb"\r\n" + re.escape(delimiter) + rb"(--)?[ \t]*(?=\r\n|\Z)")
    found: list[tuple[int, int, bool]] = []
    # The empty line that ends the header counts as the line end in front of the first delimiter.
    for matched in line.finditer(raw, body - 2):
        closing = matched.group(1) is not None
        found.append((max(matched.start(), body), matched.end() + 2, closing))
        if closing or len(found) == 4:
            break
    return found


def decode_body(fields: Sequence[Field], body: bytes) -> bytes:
    """Undo the transfer encoding of an S/MIME part: base64 strictly, since decoders disagree outside its
    alphabet, or binary. Raises FieldFault.
    """
    field = only(fields, "content-transfer-encoding")
    encoding = field.text.lower() if field is not None else "7bit"
    if encoding == "binary":
        return body
    if encoding != "base64":
        raise FieldFault(f"transfer encoding {encoding[:40]}")
    try:
        return b"".join(_pieces(body))
    except (binascii.Error, ValueError) as error:
        raise FieldFault("not base64") from error


_PIECE = 1024 * 1024
"""Octets decoded in one call: the decoder holds the interpreter, which others in this process need, too."""


def _pieces(body: bytes) -> Iterator[bytes]:
    rest = b""
    for start in range(0, len(body), _PIECE):
        letters = rest + body[start : start + _PIECE].translate(None, b"\r\n \t")
        last = start + _PIECE >= len(body)
        whole = len(letters) if last else len(letters) - len(letters) % 4
        if not last and b"=" in letters[:whole]:
            raise binascii.Error("padding before the end")
        yield base64.b64decode(letters[:whole], validate=True)
        rest = letters[whole:]
