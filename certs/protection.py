"""Header protection (RFC 9788): copies of the header fields inside of the signed part, written and read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from certs.fields import Field, content_type, only, split_message
from certs.signing import SigningFault

__all__ = [
    "HIDDEN_SUBJECT",
    "ProtectedHeaders",
    "differing",
    "protect",
    "read_protected",
    "render_field",
    "shown_outside",
]

MAXIMUM_LINE = 998
"""Octets of a line without its CRLF (RFC 5322 §2.1.1)."""
FOLD_AT = 78
HIDDEN_SUBJECT = "[...]"
"""What stands outside for the Subject of an encrypted message (RFC 9788 §3.2.1)."""

# Not copied: what describes the outer structure, what transport adds, what differs per copy, what must stay
# hidden.
_NOT_PROTECTED = frozenset(
    {
        "mime-version",
        "bcc",
        "received",
        "return-path",
        "delivered-to",
        "authentication-results",
        "dkim-signature",
        "x-tle-delivery",
        "x-tle-place",
        "x-tle-copy",
    }
)
# What a reader is shown or a client threads by: such a field outside and not inside is a difference, too.
_SHOWN = frozenset(
    {
        "from",
        "sender",
        "reply-to",
        "to",
        "cc",
        "subject",
        "date",
        "message-id",
        "in-reply-to",
        "references",
    }
)
_NAME = re.compile(r"[!-9;-~]+")
_FOLDING = re.compile(r"\r\n(?=[ \t])")


@dataclass(frozen=True, slots=True)
class ProtectedHeaders:
    """The fields inside of the signed part, and by HP-Outer those that were meant to be seen outside.

    `confidential` says that the sender meant the message to be encrypted (`hp="cipher"`).
    """

    fields: tuple[Field, ...]
    outer: tuple[Field, ...] = ()
    confidential: bool = False


def render_field(name: str, value: str) -> bytes:
    """Write one header field in ASCII with its CRLF, folded at white space (RFC 5322 §2.2.3).

    `value` may hold folding of its own, which is undone first. Raises SigningFault for line breaks, octets
    outside of ASCII (encode them by RFC 2047 before) and words that fit no line.
    """
    unfolded = _FOLDING.sub("", value).strip()
    if _NAME.fullmatch(name) is None or not unfolded.isascii() or re.search(r"[\x00\r\n]", unfolded):
        raise SigningFault(f"header field {name[:60]!r} is not printable ASCII on one line")
    lines = [f"{name}:"]
    for word in re.findall(r"[ \t]*[^ \t]+", unfolded):
        piece = word if word[0] in " \t" else f" {word}"
        if len(lines[-1]) + len(piece) > FOLD_AT and lines[-1].strip() not in ("", f"{name}:"):
            lines.append(piece)
        else:
            lines[-1] += piece
    if any(len(line) > MAXIMUM_LINE for line in lines):
        raise SigningFault(f"header field {name} has a word longer than a line")
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


def protect(
    headers: Sequence[tuple[str, str]], entity: bytes, outer: Sequence[tuple[str, str]] | None = None
) -> bytes:
    """Put copies of `headers` into the header of a MIME entity and mark its Content-Type `hp="clear"` (RFC
    9788 §5.2).

    Where the entity is to be encrypted, `outer` are the fields that will be seen outside: the mark is then
    `hp="cipher"` and HP-Outer tells them. Raises SigningFault where the entity already holds one of the
    fields, and FieldFault where it cannot be read.
    """
    fields, body = split_message(entity)
    if any(not field.key.startswith("content-") and field.key != "mime-version" for field in fields):
        raise SigningFault("the entity must hold Content-* fields only")
    kind = only(fields, "content-type")
    if content_type(fields).parameter("hp") is not None:
        raise SigningFault("the entity is protected already")
    described = kind.value.decode("ascii") if kind is not None else "text/plain; charset=us-ascii"
    mark = "clear" if outer is None else "cipher"
    lines = [render_field(field.name, field.text) for field in fields if field is not kind]
    lines.append(render_field("Content-Type", f'{described}; hp="{mark}"'))
    lines += [render_field(name, value) for name, value in headers if _is_protected(name)]
    lines += [
        render_field("HP-Outer", f"{name}: {value}") for name, value in outer or () if _is_protected(name)
    ]
    return b"".join(lines) + b"\r\n" + entity[body:]


def _is_protected(name: str) -> bool:
    return name.lower() not in _NOT_PROTECTED and not name.lower().startswith("content-")


def shown_outside(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return what of `headers` stands outside of an encrypted message (RFC 9788 §3.2.1, baseline policy).

    The Subject is replaced; Keywords and Comments, which say what a message is about, are left out.
    """
    return tuple(
        (name, HIDDEN_SUBJECT if name.lower() == "subject" else value)
        for name, value in headers
        if name.lower() not in ("keywords", "comments")
    )


def read_protected(entity: bytes) -> ProtectedHeaders | None:
    """Read the protected fields of a signed entity, None when it declares none (RFC 9788 §4.1). Raises
    FieldFault.
    """
    fields, _ = split_message(entity)
    intent = (content_type(fields).parameter("hp") or "").lower()
    if intent not in ("clear", "cipher"):
        return None
    outer = []
    for field in fields:
        # What was never meant to be hidden has nothing to announce (RFC 9788 §2.2).
        if field.key == "hp-outer" and intent == "cipher":
            name, _, value = field.value.partition(b":")
            outer.append(Field(name.strip().decode("ascii", "replace"), value.strip()))
    inner = tuple(
        field
        for field in fields
        if not field.key.startswith("content-") and field.key not in ("mime-version", "hp-outer")
    )
    return ProtectedHeaders(inner, tuple(outer), intent == "cipher")


def differing(outer: Sequence[Field], protected: ProtectedHeaders) -> tuple[str, ...]:
    """Name the fields (lower case, sorted) of which the outer header says something else than the protected
    one.

    A difference that the sender announced by HP-Outer is none (RFC 9788 §4.3).
    """
    names = {field.key for field in protected.fields} | {field.key for field in outer if field.key in _SHOWN}
    return tuple(
        sorted(
            name
            for name in names
            if _values(outer, name) != _values(protected.fields, name)
            and not (protected.outer and _values(outer, name) == _values(protected.outer, name))
        )
    )


def _values(fields: Sequence[Field], name: str) -> list[bytes]:
    """Return the values of a field with white space reduced: relays fold anew."""
    return [b" ".join(field.value.split()) for field in fields if field.key == name]
