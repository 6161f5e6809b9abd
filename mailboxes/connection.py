"""One IMAP connection as the master user, with a time limit on each command and notice of its loss.

Built on aioimaplib with what it lacks: notice of a lost connection, a limit that holds for every command,
quoting and modified UTF-7 of folder names (RFC 3501 §5.1.3). Error texts name commands and response codes,
never folders: those hold names of patients. For the same reason the logger ``aioimaplib`` must stay at
WARNING or above, as it writes whole lines of the dialogue.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aioimaplib import IMAP4, AioImapException
from imapclient import imap_utf7

from mailboxes.errors import FilingFailed
from mailboxes.folders import Folder

# RFC 5530: the same command may succeed later
_PASSING: Final = frozenset({"UNAVAILABLE", "INUSE", "SERVERBUG", "LIMIT", "OVERQUOTA"})
_RESPONSE_CODE: Final = re.compile(rb"\[([A-Z0-9-]+)")
_LOGOUT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class ImapAccess:
    """How to open anybody's mailbox: the server by implicit TLS, and the master user.

    The context that ``tls`` gives for a connection that begins now must verify the server. ``timeout`` in
    seconds holds for each command.
    """

    host: str
    port: int
    tls: Callable[[], ssl.SSLContext]
    master_user: str
    master_password: str = field(repr=False)
    timeout: float = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of a command: ``OK``, ``NO`` or ``BAD``, its response code (or "") and the lines before it."""

    result: str
    code: str
    lines: Sequence[bytes]


class Connection:
    """A connection to the server; made by `connected`, which logs in."""

    def __init__(self, access: ImapAccess) -> None:
        self._timeout = access.timeout
        self._lost = asyncio.Event()
        self.client = IMAP4(
            access.host,
            access.port,
            timeout=access.timeout,
            ssl_context=access.tls(),
            conn_lost_cb=lambda _: self._lost.set(),
        )

    async def login(self, access: ImapAccess, account: str) -> None:
        """Wait for the greeting and log in as the master user of ``account``; FilingFailed."""
        await self._within_limit("greeting", self.client.wait_hello_from_server())
        user = quoted(f"{account}*{access.master_user}")
        await self.tell("LOGIN", self.client.login(user, access.master_password))

    async def ask(self, name: str, command: Coroutine[Any, Any, Any]) -> Answer:
        """Return the answer to a command, whatever it is; FilingFailed (not permanent) when there is none."""
        result, lines = await self._within_limit(name, command)
        code = _RESPONSE_CODE.match(bytes(lines[-1])) if lines else None
        return Answer(result, code.group(1).decode() if code else "", lines[:-1])

    async def tell(self, name: str, command: Coroutine[Any, Any, Any]) -> Sequence[bytes]:
        """Return the lines of a command that is done; FilingFailed when the server refuses it."""
        answer = await self.ask(name, command)
        if answer.result != "OK":
            raise refused(name, answer)
        return answer.lines

    async def close(self) -> None:
        """Log out if the server still listens, and close."""
        # the library keeps these for itself and leaves them running on an error
        opening, protocol = self.client._client_task, self.client.protocol
        with suppress(OSError, TimeoutError, AioImapException, FilingFailed):
            async with asyncio.timeout(_LOGOUT_SECONDS):
                if not self._lost.is_set() and protocol.transport is not None:
                    await self._within_limit("LOGOUT", self.client.logout())
        left = [opening, *protocol.tasks]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if protocol.transport is not None:
            protocol.transport.abort()

    async def _within_limit(self, name: str, command: Coroutine[Any, Any, Any]) -> Any:
        """Return what the command returns; FilingFailed when time is up or the connection lost first."""
        running = asyncio.ensure_future(command)
        losing = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({running, losing}, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                reason = "the connection was lost" if losing.done() else "no answer in time"
                raise FilingFailed(permanent=False, text=f"{name}: {reason}")
            return running.result()
        except (OSError, TimeoutError, AioImapException) as error:
            raise FilingFailed(permanent=False, text=f"{name}: {type(error).__name__}") from error
        except ValueError as error:
            # a line end in an argument, refused by the library before anything is sent
            raise FilingFailed(permanent=True, text=f"{name}: not an argument of IMAP") from error
        finally:
            for task in (running, losing):
                task.cancel()
            await asyncio.gather(running, losing, return_exceptions=True)


@asynccontextmanager
async def connected(access: ImapAccess, account: str) -> AsyncIterator[Connection]:
    """Open a connection to the mailbox of ``account`` for the time of the block; FilingFailed when it
    cannot.
    """
    connection = Connection(access)
    try:
        await connection.login(access, account)
        yield connection
    finally:
        await connection.close()


def refused(name: str, answer: Answer) -> FilingFailed:
    """Return the error for a command that was answered ``NO`` or ``BAD``."""
    return FilingFailed(
        permanent=answer.code not in _PASSING, text=f"{name} refused: {answer.result} {answer.code}".rstrip()
    )


def quoted(text: str) -> str:
    """Return ``text`` as an IMAP quoted string (RFC 3501 §4.3); FilingFailed when it is not printable
    ASCII.
    """
    if not (text.isascii() and text.isprintable()):
        raise FilingFailed(permanent=True, text="cannot be a quoted string of IMAP")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def wire_name(folder: Folder) -> str:
    """Return a folder as the argument of a command, in modified UTF-7 and quoted; FilingFailed when it is
    none.

    The private Dovecot joins components by ``/``, so that none may hold one.
    """
    if not folder or any(not component or "/" in component for component in folder):
        raise FilingFailed(permanent=True, text="not the name of a folder")
    return quoted(imap_utf7.encode("/".join(folder)).decode("ascii"))
