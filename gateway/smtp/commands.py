"""The arguments of MAIL, RCPT, EHLO and AUTH, read strictly and without loss of case (RFC 5321 §4.1.2, RFC
3461).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from gateway.smtp.envelope import Body, DsnOptions, RecipientOptions
from gateway.smtp.refusals import BadSyntax, MessageTooBig, ParameterUnknown
from gateway.smtp.xtext import decode_xtext

__all__ = ["MailCommand", "RcptCommand", "decode_sasl", "read_hello", "read_mail", "read_plain", "read_rcpt"]

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PATH = re.compile(
    rf"<(?:@[A-Za-z0-9.,@-]+:)?(?P<local>{_ATEXT}(?:\.{_ATEXT})*|\"(?:[ !#-\[\]-~]|\\[ -~])*\")"
    r"(?:@(?P<domain>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[A-Za-z0-9.:]+\]))?>"
)
_DOT_ATOM = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_HELLO = re.compile(r"[A-Za-z0-9._-]{1,255}|\[[A-Za-z0-9.:-]{1,255}\]")
_NOTIFY = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_LONGEST_LOCAL, _LONGEST_DOMAIN, _LONGEST_ENVID = 64, 255, 100


@dataclass(frozen=True, slots=True)
class MailCommand:
    """MAIL FROM: address ('' for ``<>``), declared size (0 if none), body and DSN wishes."""

    address: str
    size: int
    body: Body
    dsn: DsnOptions


@dataclass(frozen=True, slots=True)
class RcptCommand:
    """RCPT TO: address (``postmaster`` may come without domain) and DSN wishes."""

    address: str
    options: RecipientOptions


def read_hello(argument: str) -> str:
    """The name in EHLO or HELO, 'unknown' for one that is no name: clients put anything there (RFC 5321
    §4.1.1.1).
    """
    return argument if _HELLO.fullmatch(argument) else "unknown"


def read_mail(argument: str, max_size: int) -> MailCommand:
    """Read what follows MAIL. Raises ``BadSyntax``, ``ParameterUnknown``, ``MessageTooBig`` for a declared
    size.
    """
    path, parameters = _path_and_parameters(argument, "FROM:")
    address = "" if path == "<>" else _address(path, "5.1.7")
    if path != "<>" and "@" not in address:
        raise BadSyntax("Sender address without domain", enhanced="5.1.7")
    size = _size(parameters.pop("SIZE", ""))
    if size > max_size:
        raise MessageTooBig
    body = parameters.pop("BODY", Body.SEVEN_BIT.value).upper()
    if body not in tuple(Body):
        raise BadSyntax("BODY must be 7BIT or 8BITMIME")
    ret = parameters.pop("RET", "").upper()
    if ret not in ("", "FULL", "HDRS"):
        raise BadSyntax("RET must be FULL or HDRS")
    envid = decode_xtext(parameters.pop("ENVID", ""))
    if envid is None or len(envid) > _LONGEST_ENVID:
        raise BadSyntax("ENVID is malformed")
    # AUTH= of RFC 4954 §5 names a submitter that we need not believe.
    parameters.pop("AUTH", "")
    if parameters:
        raise ParameterUnknown
    return MailCommand(address, size, Body(body), DsnOptions(ret, envid))


def read_rcpt(argument: str) -> RcptCommand:
    """Read what follows RCPT. Raises ``BadSyntax`` or ``ParameterUnknown``."""
    path, parameters = _path_and_parameters(argument, "TO:")
    address = _address(path, "5.1.3")
    if "@" not in address and address.lower() != "postmaster":
        raise BadSyntax("Recipient address without domain", code=553, enhanced="5.1.3")
    notify = frozenset(parameters["NOTIFY"].upper().split(",")) if "NOTIFY" in parameters else frozenset()
    if not (notify <= _NOTIFY or notify == {"NEVER"}):
        raise BadSyntax("NOTIFY is malformed")
    original = parameters.get("ORCPT", "")
    kind, _, encoded = original.partition(";")
    decoded = decode_xtext(encoded)
    if original and (decoded is None or not encoded or not kind.isascii() or not kind.isalnum()):
        raise BadSyntax("ORCPT is malformed")
    if parameters.keys() - {"NOTIFY", "ORCPT"}:
        raise ParameterUnknown
    return RcptCommand(address, RecipientOptions(notify, f"{kind};{decoded}" if original else ""))


def _path_and_parameters(argument: str, keyword: str) -> tuple[str, dict[str, str]]:
    if not argument.isascii() or not argument.isprintable():
        raise BadSyntax("Only printable ASCII is accepted")
    if argument[: len(keyword)].upper() != keyword:
        raise BadSyntax
    rest = argument[len(keyword) :].lstrip(" ")
    path = "<>" if rest.startswith("<>") else ""
    if not path and (match := _PATH.match(rest)):
        path = match.group()
    tail = rest[len(path) :]
    if not path or (tail and not tail.startswith(" ")):
        raise BadSyntax("Malformed address")
    parameters: dict[str, str] = {}
    for word in tail.split():
        name, equals, value = word.partition("=")
        if not name.replace("-", "").isalnum() or (equals and not value) or name.upper() in parameters:
            raise BadSyntax
        parameters[name.upper()] = value
    return path, parameters


def _address(path: str, enhanced: str) -> str:
    """The canonical address: source route dropped (RFC 5321 appendix C), needless quotes removed, domain
    lower-case.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise BadSyntax("Malformed address", enhanced=enhanced)
    local, domain = match.group("local"), (match.group("domain") or "").lower()
    if local.startswith('"'):
        content = re.sub(r"\\(.)", r"\1", local[1:-1])
        local = content if _DOT_ATOM.fullmatch(content) else local
    if len(local) > _LONGEST_LOCAL or len(domain) > _LONGEST_DOMAIN or ".." in domain:
        raise BadSyntax("Malformed address", enhanced=enhanced)
    return f"{local}@{domain}" if domain else local


def _size(text: str) -> int:
    if text and not (text.isdigit() and len(text) <= 20):
        raise BadSyntax("SIZE is malformed")
    return int(text or "0")


def decode_sasl(line: bytes) -> str:
    """One base64 answer of AUTH as text (RFC 4954 §4). Raises ``BadSyntax``."""
    try:
        return base64.b64decode(line, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise BadSyntax("Malformed authentication data", enhanced="5.5.2") from None


def read_plain(message: str) -> tuple[str, str]:
    """Name and password of a PLAIN message (RFC 4616). Acting as another identity is not offered:
    ``BadSyntax``.
    """
    fields = message.split("\x00")
    if len(fields) != 3 or not fields[1] or fields[0] not in ("", fields[1]):
        raise BadSyntax("Malformed authentication data", enhanced="5.5.2")
    return fields[1], fields[2]
