"""The copy of a mail for one recipient: header fields taken away and added, the body byte for byte."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

from gateway.intake.rawmail import prepend_fields, remove_fields, split
from teleexpertise.claims import PREFIX

__all__ = ["GATEWAY_PREFIX", "HOP_FIELDS", "copy_for", "delivery_key", "is_gateway_field"]

#: Header fields that only the gateway writes; every one is stripped from what comes in.
GATEWAY_PREFIX = PREFIX

#: Fields that mean something for one hop or one mailbox only and must not reach a reader from somebody else.
HOP_FIELDS = frozenset({"bcc", "return-path", "delivered-to"})


def is_gateway_field(name: str) -> bool:
    """Whether a lower-case field name belongs to the gateway."""
    return name.startswith(GATEWAY_PREFIX)


def delivery_key(key: bytes, message_sha256: str, recipient: str) -> str:
    """The key by which one delivery happens once: an HMAC of message and recipient, 32 hexadecimal digits.

    Being keyed, a forged one cannot suppress a genuine mail.
    """
    message = b"delivery\x00" + message_sha256.encode("ascii") + b"\x00" + recipient.lower().encode("utf-8")
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:32]


def copy_for(raw: bytes, fields: Sequence[tuple[str, str]], drop: Iterable[str] = ()) -> bytes:
    """``raw`` with ``fields`` put before it and the fields named in ``drop`` (lower case) taken out.

    The gateway's own fields in ``raw`` stay unless named: mail that comes in is cleaned once, when it is
    accepted for delivery (:func:`is_gateway_field`), mail that we wrote carries genuine ones.
    """
    unwanted = HOP_FIELDS | set(drop)
    header, body = split(raw)
    return prepend_fields(remove_fields(header, unwanted.__contains__) + body, fields)
