"""IMAP sessions of tests that look at what imaplib itself hides: rights, folders of others, IDLE, a BYE."""

from __future__ import annotations

import imaplib
import re
from collections.abc import Iterator
from contextlib import contextmanager

from imapclient import imap_utf7

from tests.support.gateway import Client

OWN, COMMON = "Autres comptes", "Comptes communs"


@contextmanager
def session(client: Client) -> Iterator[imaplib.IMAP4_SSL]:
    """A session of its own, closed whatever the server did to it."""
    connection = imaplib.IMAP4_SSL(
        "localhost", client.gateway.imaps_port, ssl_context=client.gateway.tls, timeout=30
    )
    try:
        connection.login(client.address, client.password)
        yield connection
    finally:
        connection.shutdown()


def wire(name: str) -> str:
    """The name of a folder as an argument."""
    return f'"{imap_utf7.encode(name).decode("ascii")}"'


def listed(connection: imaplib.IMAP4_SSL, pattern: str = "*") -> set[str]:
    """The folders that LIST shows and that can be opened."""
    _, lines = connection.list('""', wire(pattern))
    found = [re.fullmatch(rb'\(([^)]*)\) "/" "?(.*?)"?', line) for line in lines if isinstance(line, bytes)]
    return {imap_utf7.decode(match[2]) for match in found if match and b"\\Noselect" not in match[1]}


def subscribed(connection: imaplib.IMAP4_SSL, owner: str) -> set[str]:
    """The folders of another account that a program asking as Thunderbird does is told of (RFC 5258)."""
    connection.send(b'S1 LIST (SUBSCRIBED) "" "*" RETURN (SPECIAL-USE)\r\n')
    names = set()
    while not (line := connection.readline().rstrip()).startswith(b"S1 "):
        names.add(imap_utf7.decode(line.rpartition(b' "/" ')[2].strip(b'"')))
    return {name for name in names if owner in name}


def opens(connection: imaplib.IMAP4_SSL, name: str) -> bool:
    """Whether a folder can be selected."""
    return connection.select(wire(name))[0] == "OK"


def unseen(connection: imaplib.IMAP4_SSL, name: str) -> int:
    """How many mails of a folder this reader has not read."""
    assert opens(connection, name), name
    return len(connection.search(None, "UNSEEN")[1][0].split())


def headers(connection: imaplib.IMAP4_SSL, numbers: str = "1:*") -> bytes:
    """The headers of mails of the selected folder, one behind the other."""
    _, found = connection.fetch(numbers, "(BODY.PEEK[HEADER])")
    return b"".join(item[1] for item in found if isinstance(item, tuple))


def begin_idle(connection: imaplib.IMAP4_SSL) -> None:
    """Send IDLE (RFC 2177) and return when the server waits with us."""
    connection.send(b"I1 IDLE\r\n")
    assert connection.readline().startswith(b"+ ")


def ended(connection: imaplib.IMAP4_SSL) -> bool:
    """Whether the server closes the connection: read until then, at most until the time limit."""
    try:
        while connection.readline():
            pass
    except imaplib.IMAP4.abort:
        return True
    except OSError:
        return False
    return True


def idle_told(connection: imaplib.IMAP4_SSL, what: bytes = b"EXISTS") -> None:
    """Wait in IDLE until the server tells of something; end IDLE then (RFC 2177)."""
    while not connection.readline().rstrip().endswith(what):
        pass
    connection.send(b"DONE\r\n")
    while not connection.readline().startswith(b"I1 OK"):
        pass


def found(connection: imaplib.IMAP4_SSL, *criteria: str) -> list[str]:
    """The numbers of the mails of the selected folder that SEARCH finds."""
    status, answer = connection.search(None, *criteria)
    assert status == "OK"
    numbers: list[str] = answer[0].decode().split()
    return numbers
