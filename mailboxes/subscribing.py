"""Subscriptions of readers to the folders of others: what a mail program that shows subscribed folders alone
has to find (RFC 3501 §6.3.6).

A folder is offered to a reader once. Which ones were is noted in a file per reader, so that somebody who
unsubscribes is not subscribed again: neither to that folder, nor to those that appear below it later, nor to
any folder of an account of which they kept none. Who may no longer read an account loses the subscriptions
to its folders, whose names are those of patients.
"""

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from mailboxes.connection import Connection, ImapAccess, connected, wire_name
from mailboxes.dovecot.account import service_account
from mailboxes.dovecot.logins import make_home, write_private
from mailboxes.dovecot.settings import COMMON_PREFIX, OWN_PREFIX, DovecotSettings
from mailboxes.dovecot.sharing import SharedMailbox
from mailboxes.errors import FilingFailed
from mailboxes.filing import make_folder
from mailboxes.folders import Folder
from mailboxes.listing import existing_folders
from mailboxes.vocabulary import CONVERSATIONS_FOLDER

__all__ = ["SharedSubscriptions"]

#: One name of another account's INBOX for all that Dovecot has: LIST shows it twice, LSUB by the first.
_INBOX: Final = "INBOX"


@dataclass(frozen=True, slots=True)
class SharedSubscriptions:
    """Keeps the subscriptions of all readers as their rights are, as the master user.

    Only the process that runs the mailbox server does this: the notes have no lock.
    """

    access: ImapAccess
    settings: DovecotSettings
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def follow(
        self,
        shared: Collection[SharedMailbox],
        owners: Collection[str] | None = None,
        anew: Collection[str] = (),
    ) -> tuple[FilingFailed, ...]:
        """Bring the subscriptions of every reader whose rights changed to what they are now, and those to the
        folders of ``owners`` (``None``: of everybody) to the folders that are there.

        ``anew`` names readers who lost rights just now, and may have them back: Thunderbird unsubscribes by
        itself from all folders that it finds closed, which is nobody's wish. Returns what failed, mailbox by
        mailbox: the others are done. OSError as it comes, for the notes.
        """
        roots: dict[str, set[Folder]] = {}
        for mailbox in shared:
            prefix = COMMON_PREFIX if mailbox.common else OWN_PREFIX
            for reader in mailbox.readers - {mailbox.owner}:
                roots.setdefault(reader, set()).add((prefix.rstrip("/"), mailbox.owner))
        failures = []
        made: set[str] = set()
        for reader in sorted(roots.keys() | await asyncio.to_thread(self._noted_readers)):
            try:
                async with self._turns.setdefault(reader, asyncio.Lock()):
                    await self._bring(
                        reader, roots.get(reader, set()), made, anew=reader in anew, owners=owners
                    )
            except FilingFailed as failure:
                failures.append(failure)
        return tuple(failures)

    async def _bring(
        self,
        reader: str,
        roots: Collection[Folder],
        made: set[str],
        *,
        anew: bool,
        owners: Collection[str] | None,
    ) -> None:
        noted = await asyncio.to_thread(self._noted, reader)
        same = noted.keys() == set(roots) and not anew
        if same and owners is not None and not any(owner in owners for _, owner in roots):
            return
        for owner in {root[1] for root in roots if root not in noted} - made:
            # It comes with the first mail otherwise, an hour before it would be seen here.
            async with connected(self.access, owner) as connection:
                await make_folder(connection, (CONVERSATIONS_FOLDER,))
            made.add(owner)
        subscribed = await asyncio.to_thread(_subscribed, self.settings, reader)
        if anew:
            noted = {
                root: names for root, names in noted.items() if names & subscribed.get(root, frozenset())
            }
        async with connected(self.access, reader) as connection:
            done = await _follow(connection, noted, subscribed, roots)
        if done != noted:
            await asyncio.to_thread(self._note, reader, done)

    @property
    def _directory(self) -> Path:
        return self.settings.control / "subscribed"

    def _noted_readers(self) -> set[str]:
        if not self._directory.is_dir():
            return set()
        return {path.name for path in self._directory.iterdir() if not path.name.startswith(".")}

    def _noted(self, reader: str) -> dict[Folder, frozenset[str]]:
        """Which folders of which accounts were offered to a reader; without a file that can be read, none."""
        try:
            stored = json.loads((self._directory / reader).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return {tuple(root.split("/", 1)): frozenset(names) for root, names in stored.items()}

    def _note(self, reader: str, noted: Mapping[Folder, frozenset[str]]) -> None:
        path = self._directory / reader
        if not noted:
            path.unlink(missing_ok=True)
            return
        account = service_account(self.settings)
        make_home(self.settings.home, (self.settings.control.name, self._directory.name), account)
        stored = {"/".join(root): sorted(names) for root, names in sorted(noted.items())}
        write_private(path, json.dumps(stored, ensure_ascii=False).encode(), account, durable=False)


async def _follow(
    connection: Connection,
    noted: Mapping[Folder, frozenset[str]],
    subscribed: Mapping[Folder, frozenset[str]],
    roots: Collection[Folder],
) -> dict[Folder, frozenset[str]]:
    """Subscribe and unsubscribe in one reader's mailbox; what is to be noted is returned."""
    done: dict[Folder, frozenset[str]] = {}
    for root in subscribed.keys() - set(roots):
        await _unsubscribe(connection, root, subscribed[root])
    for root in sorted(roots):
        offered, mine = noted.get(root, frozenset()), subscribed.get(root, frozenset())
        there = await _there(connection, root)
        wanted = sorted(there - offered) if mine or not offered else []
        failed = {
            name
            for name in wanted
            if not _below_declined(name, offered - mine) and not await _subscribe(connection, root, name)
        }
        await _unsubscribe(connection, root, (offered & mine) - there)
        done[root] = there - failed
    return done


def _subscribed(settings: DovecotSettings, reader: str) -> dict[Folder, frozenset[str]]:
    """What a reader is subscribed to of others: the account's place in the reader's mailbox -> its folders.

    Read in Dovecot's own file, since LSUB leaves out what the reader may not see any more. OSError as it
    comes.
    """
    local, _, domain = reader.partition("@")
    try:
        lines = (settings.home / domain / local / "Maildir" / "subscriptions").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    found: dict[Folder, set[str]] = {}
    for line in lines:
        parts = line.split("\t")
        if len(parts) > 1 and f"{parts[0]}/" in (OWN_PREFIX, COMMON_PREFIX):
            found.setdefault((parts[0], parts[1]), set()).add("/".join(parts[2:]) or _INBOX)
    return {root: frozenset(names) for root, names in found.items()}


def _below_declined(name: str, declined: Collection[str]) -> bool:
    """Whether a folder that is not wanted is above this one."""
    parts = name.split("/")
    return any("/".join(parts[:depth]) in declined for depth in range(1, len(parts)))


async def _there(connection: Connection, root: Folder) -> frozenset[str]:
    """The folders of an account that the reader may see, by their names below its place."""
    pattern = wire_name((*root, "*"))
    folders = existing_folders(await connection.tell("LIST", connection.client.list('""', pattern)))
    return frozenset("/".join(folder[2:]) for folder in folders if folder[:2] == root and len(folder) > 2)


async def _subscribe(connection: Connection, root: Folder, name: str) -> bool:
    """``False`` where the folder is gone meanwhile, or cannot be named."""
    answer = await connection.ask("SUBSCRIBE", connection.client.subscribe(_wire(root, name)))
    return answer.result == "OK"


async def _unsubscribe(connection: Connection, root: Folder, names: Collection[str]) -> None:
    for name in sorted(names):
        await connection.tell("UNSUBSCRIBE", connection.client.unsubscribe(_wire(root, name)))
        if name == _INBOX:
            await connection.tell("UNSUBSCRIBE", connection.client.unsubscribe(wire_name(root)))


def _wire(root: Folder, name: str) -> str:
    return wire_name((*root, *name.split("/")))
