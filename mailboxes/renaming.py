"""A folder brought under another name, or into another folder, by one connection: nothing lost, nothing
doubled.

Every step can be interrupted and the whole begun again: what is under the old name goes to the new one,
whatever an earlier attempt has left where. Where both folders are there, the old one first gets a name aside,
which nobody else knows: a mail that is filed under the old name meanwhile makes a folder of its own and is
not deleted with this one.
"""

import re
from typing import Final

from mailboxes.connection import Connection, refused, wire_name
from mailboxes.errors import FilingFailed
from mailboxes.folders import Folder
from mailboxes.listing import existing_folders, listed_folders
from mailboxes.vocabulary import DELIVERY_HEADER

_UIDS_PER_COMMAND: Final = 500
#: No folder of ours ends so (see ``folder_component``), and no mail is filed there.
_ASIDE: Final = " ~"
_UID: Final = re.compile(rb"\bUID (\d+)")
_KEY: Final = re.compile(rb"^" + re.escape(DELIVERY_HEADER.encode()) + rb":[ \t]*(\S+)", re.IGNORECASE)
_GONE: Final = frozenset({"NONEXISTENT", "TRYCREATE"})
_ATTEMPTS: Final = 5


async def bring_folder(connection: Connection, source: Folder, target: Folder) -> None:
    """Bring all messages and folders of ``source`` under the name ``target``, with subscriptions (RFC 3501
    §6.3.5, RFC 6851). A missing source is nothing to do. Raises FilingFailed.
    """
    if source == target:
        return
    aside = (*source[:-1], source[-1] + _ASIDE)
    if await _exists(connection, aside):  # an earlier attempt was interrupted
        await _empty_into(connection, aside, target)
    if await _exists(connection, source) and not await _renamed(connection, source, target):
        if not await _renamed(connection, source, aside):
            raise FilingFailed(permanent=False, text="RENAME refused: a name aside is taken")
        await _empty_into(connection, aside, target)
    await _move_subscriptions(connection, source, target)
    await _move_subscriptions(connection, aside, target)


async def _renamed(connection: Connection, source: Folder, target: Folder) -> bool:
    """Rename; False where the target is there already. A source that is gone meanwhile is done."""
    answer = await connection.ask("RENAME", connection.client.rename(wire_name(source), wire_name(target)))
    if answer.result == "OK" or answer.code in _GONE:
        return True
    if answer.code == "ALREADYEXISTS" or await _exists(connection, target):
        return False
    raise refused("RENAME", answer)


async def _empty_into(connection: Connection, aside: Folder, target: Folder) -> None:
    """Move everything from a folder that nobody else knows into the target, and delete it."""
    if await _renamed(connection, aside, target):
        return
    # an interrupted attempt may have left a folder below under its name aside
    for name in {child[-1].removesuffix(_ASIDE) for child in await _children(connection, aside)}:
        await bring_folder(connection, (*aside, name), (*target, name))
    for _ in range(_ATTEMPTS):
        if not await _move_messages(connection, aside, target):
            break
    else:
        raise FilingFailed(permanent=False, text="MOVE: the folder does not become empty")
    await connection.tell("CLOSE", connection.client.close())  # no folder is deleted while it is selected
    await connection.tell("DELETE", connection.client.delete(wire_name(aside)))


async def _move_messages(connection: Connection, source: Folder, target: Folder) -> int:
    """Move what the source holds; what the target has already, by delivery key, is removed. How many there
    were is returned.
    """
    await connection.tell("SELECT", connection.client.select(wire_name(target)))
    there = {key for key in (await _keys(connection)).values() if key}
    await connection.tell("SELECT", connection.client.select(wire_name(source)))
    found = await _keys(connection)
    doubled = [uid for uid, key in found.items() if key in there]
    moved = [uid for uid, key in found.items() if key not in there]
    for part in _parts(doubled):
        flag = connection.client.uid("store", part, "+FLAGS.SILENT", "(\\Deleted)")
        await connection.tell("STORE", flag)
        await connection.tell("EXPUNGE", connection.client.uid("expunge", part))
    for part in _parts(moved):
        await connection.tell("MOVE", connection.client.uid("move", part, wire_name(target)))
    return len(found)


async def _keys(connection: Connection) -> dict[int, bytes]:
    """UID -> delivery key (b"" without one) of all messages in the selected folder."""
    what = f"(UID BODY.PEEK[HEADER.FIELDS ({DELIVERY_HEADER})])"
    # sequence 1:* is an error in an empty folder on some servers, a UID range never is
    lines = await connection.tell("FETCH", connection.client.uid("fetch", "1:*", what))
    found: dict[int, bytes] = {}
    current = 0
    for line in lines:
        octets = bytes(line)
        if b"FETCH (" in octets and (uid := _UID.search(octets)):
            current = int(uid[1])
            found[current] = b""
        elif current and (key := _KEY.match(octets)):
            found[current] = key[1]
    return found


def _parts(uids: list[int]) -> list[str]:
    return [
        ",".join(map(str, uids[start : start + _UIDS_PER_COMMAND]))
        for start in range(0, len(uids), _UIDS_PER_COMMAND)
    ]


async def _exists(connection: Connection, folder: Folder) -> bool:
    return bool(
        existing_folders(await connection.tell("LIST", connection.client.list('""', wire_name(folder))))
    )


async def _children(connection: Connection, folder: Folder) -> list[Folder]:
    """The folders directly below one."""
    pattern = wire_name((*folder, "%"))
    return listed_folders(await connection.tell("LIST", connection.client.list('""', pattern)))


async def _move_subscriptions(connection: Connection, source: Folder, target: Folder) -> None:
    """Who had subscribed to the old names is subscribed to the new ones; who had not, stays so."""
    for folder in (source, (*source, "*")):
        lines = await connection.tell("LSUB", connection.client.lsub('""', wire_name(folder)))
        for old in listed_folders(lines):
            if old[: len(source)] != source:
                continue
            new = (*target, *old[len(source) :])
            await connection.tell("SUBSCRIBE", connection.client.subscribe(wire_name(new)))
            await connection.tell("UNSUBSCRIBE", connection.client.unsubscribe(wire_name(old)))
