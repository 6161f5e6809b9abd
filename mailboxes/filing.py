"""Folders, filing and keywords in any account's mailbox, as the master user.

Each operation has a connection of its own, so that a restart of the server costs no more than the operations
under way, and those can be repeated without harm.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final
from weakref import WeakValueDictionary

from mailboxes.connection import Connection, ImapAccess, connected, quoted, refused, wire_name
from mailboxes.folders import Folder
from mailboxes.renaming import bring_folder
from mailboxes.vocabulary import CONVERSATION_HEADER, DELIVERY_HEADER, STATES, state_keyword

# a command line stays far below Dovecot's limit of 64 KiB
_UIDS_PER_COMMAND: Final = 500


class Filing:
    """Puts folders, messages and keywords in order in the mailboxes of a server, at most ``connections`` at
    once.

    ``changed`` is told each account in which a folder was made or got another name. All methods raise
    FilingFailed.
    """

    def __init__(
        self, access: ImapAccess, connections: int = 8, changed: Callable[[str], None] = lambda _: None
    ) -> None:
        self._access = access
        self._changed = changed
        self._places = asyncio.Semaphore(connections)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def file_once(
        self, account: str, folder: Folder, message: bytes, key: str, flags: Collection[str] = ()
    ) -> bool:
        """Store ``message`` unless the folder has one with that delivery key; return whether it was stored.

        The caller has put the field ``X-TLE-Delivery: <key>`` into the message (ValueError otherwise), with
        keys of which none contains another: IMAP searches for substrings. The folder is made when missing.
        ``flags`` are system flags (RFC 3501 §2.3.2) and keywords.
        """
        if not _carries(message, key):
            raise ValueError(f"the message does not carry its delivery key in {DELIVERY_HEADER}")
        # two filings with one key in this process would both find nothing and both store
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn, self._places, connected(self._access, account) as connection:
            if not await _selected(connection, folder):
                await make_folder(connection, folder)
                self._changed(account)
            elif await _search(connection, DELIVERY_HEADER, key):
                return False
            append = connection.client.append(message, wire_name(folder), flags=f"({' '.join(flags)})")
            await connection.tell("APPEND", append)
            return True

    async def tag(self, account: str, folder: Folder, conversation_id: str, state: str) -> int:
        """Give all messages of the conversation in the folder the keyword of ``state`` and no other state's.

        Returns how many messages there are, 0 when the folder is missing. ValueError for an unknown state.
        """
        keyword = state_keyword(state)
        others = " ".join(state_keyword(other) for other in STATES if other != state)
        async with self._places, connected(self._access, account) as connection:
            if not await _selected(connection, folder):
                return 0
            uids = await _search(connection, CONVERSATION_HEADER, conversation_id)
            # first add, then remove: whatever interrupts this, the messages keep a state
            for action, keywords in (("+FLAGS.SILENT", keyword), ("-FLAGS.SILENT", others)):
                for start in range(0, len(uids), _UIDS_PER_COMMAND):
                    part = ",".join(map(str, uids[start : start + _UIDS_PER_COMMAND]))
                    store = connection.client.uid("store", part, action, f"({keywords})")
                    await connection.tell("STORE", store)
            return len(uids)

    async def bring(self, account: str, source: Folder, target: Folder) -> None:
        """Rename a folder, or move what it holds into the target where that is there already.

        Nothing is lost or doubled, however often this is interrupted and begun again; no source is nothing to
        do. No mail may be filed into ``source`` at the same time: see :func:`bring_folder`.
        """
        async with self._places, connected(self._access, account) as connection:
            await bring_folder(connection, source, target)
        self._changed(account)


async def make_folder(connection: Connection, folder: Folder) -> None:
    """Make and subscribe to each folder on the way to ``folder``, where it is missing.

    Without the subscription Thunderbird does not show a folder (RFC 3501 §6.3.6).
    """
    wire_name(folder)  # nothing is made when the last component is not a name
    for depth in range(1, len(folder) + 1):
        name = wire_name(folder[:depth])
        created = await connection.ask("CREATE", connection.client.create(name))
        if created.result != "OK" and created.code != "ALREADYEXISTS":
            raise refused("CREATE", created)
        await connection.tell("SUBSCRIBE", connection.client.subscribe(name))


async def _selected(connection: Connection, folder: Folder) -> bool:
    """Select a folder and tell whether it exists."""
    name = wire_name(folder)
    answer = await connection.ask("SELECT", connection.client.select(name))
    if answer.result == "OK":
        return True
    # Dovecot gives no response code here, so that only LIST tells a missing folder from a broken one
    listed = await connection.tell("LIST", connection.client.list('""', name))
    if any(b"\\NonExistent" not in line and b"\\Noselect" not in line for line in listed):
        raise refused("SELECT", answer)
    return False


async def _search(connection: Connection, header: str, value: str) -> list[int]:
    """Return the UIDs of messages in the selected folder by a header field."""
    search = connection.client.uid_search("HEADER", quoted(header), quoted(value), charset=None)
    lines = await connection.tell("SEARCH", search)
    return [int(uid) for line in lines for uid in bytes(line).split() if uid.isdigit()]


def _carries(message: bytes, key: str) -> bool:
    """Tell whether the header of the message has the delivery key."""
    head = message.partition(b"\r\n\r\n")[0].lower()
    field = f"\r\n{DELIVERY_HEADER}: {key}\r\n".lower().encode()
    return field in b"\r\n" + head + b"\r\n"
