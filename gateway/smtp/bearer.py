"""The SASL messages that carry an access token, and the answers to a refused one (RFC 7628, XOAUTH2)."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass

from gateway.smtp.refusals import BadSyntax

__all__ = ["BearerMessage", "read_oauthbearer", "read_xoauth2", "refused_oauthbearer", "refused_xoauth2"]

_SEPARATOR = "\x01"
_SCHEME = re.compile(r"Bearer +(\S+) *", re.IGNORECASE)
_GS2 = re.compile(r"(?P<binding>[ny]|p=[A-Za-z0-9.-]+),(?:a=(?P<identity>[^,\x00]*))?,")
_NAME = re.compile(r"(?:[^=,\x00]|=2C|=3D)*")


@dataclass(frozen=True, slots=True)
class BearerMessage:
    """What a client says: whose mailbox it wants ('' when it does not say) and the token ('' when it only
    asks what it would have to bring).
    """

    wanted: str
    token: str


def read_xoauth2(message: str) -> BearerMessage:
    """Read ``user=<address>^Aauth=Bearer <token>^A^A``. Raises ``BadSyntax``."""
    fields = _fields(message)
    if not fields.get("user"):
        raise _malformed()
    return BearerMessage(fields["user"], _token(fields))


def read_oauthbearer(message: str) -> BearerMessage:
    """Read ``n,a=<address>,^Ahost=…^Aport=…^Aauth=Bearer <token>^A^A`` (RFC 7628 §3.1). Host and port are
    not needed: TLS has proven where the client is. Raises ``BadSyntax``.
    """
    header, _, rest = message.partition(_SEPARATOR)
    matched = _GS2.fullmatch(header)
    if matched is None or matched["binding"].startswith("p"):
        raise _malformed()  # channel binding is not offered (RFC 5801 §5)
    identity = matched["identity"] or ""
    if _NAME.fullmatch(identity) is None:
        raise _malformed()
    return BearerMessage(identity.replace("=2C", ",").replace("=3D", "="), _token(_fields(rest)))


def _fields(text: str) -> dict[str, str]:
    """Read ``name=value^A``, each once, up to the empty one (RFC 7628 §3.1)."""
    if not text.endswith(_SEPARATOR * 2):
        raise _malformed()
    fields: dict[str, str] = {}
    for field in text[:-2].split(_SEPARATOR):
        name, equals, value = field.partition("=")
        if not equals or not name.isascii() or not name.isalpha() or name.lower() in fields:
            raise _malformed()
        fields[name.lower()] = value
    return fields


def _token(fields: dict[str, str]) -> str:
    scheme = fields.get("auth")
    if scheme is None:
        raise _malformed()
    if not scheme.strip():
        return ""
    matched = _SCHEME.fullmatch(scheme)
    if matched is None:
        raise _malformed()
    return matched[1]


def _malformed() -> BadSyntax:
    return BadSyntax("Malformed authentication data", enhanced="5.5.2")


def refused_xoauth2() -> str:
    """The challenge that tells of a refused token, as Pro Santé Connect's clients know it."""
    return _challenge({"status": "401", "schemes": "bearer", "scope": "mail"})


def refused_oauthbearer() -> str:
    """The challenge that tells of a refused token (RFC 7628 §3.2.2)."""
    return _challenge({"status": "invalid_token", "scope": "mail"})


def _challenge(told: dict[str, str]) -> str:
    return base64.b64encode(json.dumps(told, separators=(",", ":")).encode()).decode("ascii")
