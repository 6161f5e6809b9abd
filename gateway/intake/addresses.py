"""Strict reader of address lists (RFC 5322 §3.4): one reading or a fault, never a guess (CVE-2023-27043)."""

from __future__ import annotations

import re

from gateway.intake.charsets import clean_line
from gateway.intake.encodedwords import decode_words
from gateway.intake.faults import MalformedAddress
from teleexpertise.letters import Mailbox

__all__ = ["read_addresses"]

_TOKEN = re.compile(
    r"""(?P<blank>[ \t]+)
      | "(?P<quoted>(?:[^"\\]|\\.)*)"
      | (?P<literal>\[[!-Z^-~]{1,255}\])
      | (?P<special>[<>@,;:.])
      | (?P<atom>[^\s()<>\[\]:;@\\,."]+)""",
    re.VERBOSE,
)
_LOCAL_LIMIT, _DOMAIN_LIMIT = 64, 255
_DOT_ATOM = re.compile(r"[^\s()<>\[\]:;@\\,.\"]+(?:\.[^\s()<>\[\]:;@\\,.\"]+)*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_ANGLES = (("special", "<"), ("special", ">"))
_COMMENT_DEPTH = 20
#: Of longer names no more is kept: they are written again into fields of our mails.
_LONGEST_NAME = 256

Token = tuple[str, str]


def read_addresses(value: str, max_addresses: int) -> tuple[Mailbox, ...]:
    """The mailboxes of one unfolded address-list value, groups opened, display names decoded.

    An empty list is allowed (``undisclosed-recipients:;``), so is an address of one word without domain
    (``MAILER-DAEMON``). Raises ``MalformedAddress`` for all that the grammar refuses and above
    ``max_addresses``.
    """
    mailboxes: list[Mailbox] = []
    in_group = False
    for element, ending in _elements(_tokens(value)):
        words = element
        if any(kind == "special" and text == ":" for kind, text in words):
            if in_group:
                raise MalformedAddress
            in_group, words = True, _after_group_name(words)
        if words:
            mailboxes.append(_mailbox(words))
        if ending == ";":
            if not in_group:
                raise MalformedAddress
            in_group = False
        if len(mailboxes) > max_addresses:
            raise MalformedAddress
    if in_group:
        raise MalformedAddress
    return tuple(mailboxes)


def _tokens(value: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    while position < len(value):
        if value[position] == "(":
            position = _comment_end(value, position)
            tokens.append(("blank", " "))
            continue
        match = _TOKEN.match(value, position)
        if match is None or match.lastgroup is None:
            raise MalformedAddress
        text = match.group(match.lastgroup)
        if match.lastgroup == "quoted":
            text = re.sub(r"\\(.)", r"\1", text)
        tokens.append((match.lastgroup, text))
        position = match.end()
    return tokens


def _comment_end(value: str, start: int) -> int:
    depth, position = 0, start
    while position < len(value):
        character = value[position]
        if character == "\\":
            position += 1
        elif character == "(":
            depth += 1
            if depth > _COMMENT_DEPTH:
                raise MalformedAddress
        elif character == ")":
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    raise MalformedAddress


def _elements(tokens: list[Token]) -> list[tuple[list[Token], str]]:
    """The tokens between list separators, each with the separator that ends it ('' at the end)."""
    elements: list[tuple[list[Token], str]] = []
    current: list[Token] = []
    angle = False
    for token in tokens:
        if token[0] == "special" and token[1] in "<>":
            angle = token[1] == "<"
        if token[0] == "special" and token[1] in ",;" and not angle:
            elements.append((_stripped(current), token[1]))
            current = []
        else:
            current.append(token)
    elements.append((_stripped(current), ""))
    return elements


def _stripped(tokens: list[Token]) -> list[Token]:
    start, end = 0, len(tokens)
    while start < end and tokens[start][0] == "blank":
        start += 1
    while end > start and tokens[end - 1][0] == "blank":
        end -= 1
    return tokens[start:end]


def _after_group_name(words: list[Token]) -> list[Token]:
    for index, (kind, text) in enumerate(words):
        if kind == "special" and text in "<>@":
            break  # a colon inside an address is a route or an error, not a group
        if kind == "special" and text == ":":
            if index == 0 or any(other == ("special", ":") for other in words[index + 1 :]):
                break
            return _stripped(words[index + 1 :])
    raise MalformedAddress


def _mailbox(words: list[Token]) -> Mailbox:
    opening = next((i for i, token in enumerate(words) if token == ("special", "<")), None)
    if opening is None:
        return Mailbox(_address(words))
    if words[-1] != ("special", ">") or any(token in _ANGLES for token in words[opening + 1 : -1]):
        raise MalformedAddress
    name = words[:opening]
    if any(kind == "literal" or (kind == "special" and text != ".") for kind, text in name):
        raise MalformedAddress
    return Mailbox(_address(_stripped(words[opening + 1 : -1])), _display_name(name))


def _display_name(words: list[Token]) -> str:
    # Encoded words are not decoded inside quotes by the grammar, but many clients write them there.
    text = decode_words("".join(text for _, text in words))
    return " ".join(clean_line(text[:_LONGEST_NAME]).split())


def _address(words: list[Token]) -> str:
    """The canonical lower-case address: quotes only where the local part needs them, no blanks at dots."""
    significant = [token for token in words if token[0] != "blank"]
    _refuse_split_words(words)
    at = [index for index, token in enumerate(significant) if token == ("special", "@")]
    if len(at) > 1 or not significant:
        raise MalformedAddress
    local = _local_part(significant[: at[0]] if at else significant)
    if not at:
        if not _PLAIN_NAME.fullmatch(local):
            raise MalformedAddress
        return local.lower()
    domain = "".join(text for _, text in significant[at[0] + 1 :])
    literal = [kind for kind, _ in significant[at[0] + 1 :]] == ["literal"]
    if not literal and (
        not _DOT_ATOM.fullmatch(domain) or any(k == "quoted" for k, _ in significant[at[0] :])
    ):
        raise MalformedAddress
    if not 0 < len(domain) <= _DOMAIN_LIMIT:
        raise MalformedAddress
    return f"{local}@{domain}".lower()


def _local_part(words: list[Token]) -> str:
    content = "".join(text for _, text in words)
    quoted = any(kind == "quoted" for kind, _ in words)
    if not 0 < len(content) <= _LOCAL_LIMIT or any(not c.isprintable() for c in content):
        raise MalformedAddress
    if _DOT_ATOM.fullmatch(content):
        return content
    if not quoted or len(words) != 1:
        raise MalformedAddress
    escaped = content.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _refuse_split_words(words: list[Token]) -> None:
    """Two words with a blank between them are no address: ``alice bob@example.org``."""
    previous = ""
    for kind, text in words:
        if kind == "blank":
            continue
        if kind != "special" and previous == "word":
            raise MalformedAddress
        previous = text if kind == "special" else "word"
