"""Keywords that follow the state, reports into patient folders, and these folders' names: by IMAP,
idempotent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from gateway.compose.copies import copy_for, delivery_key
from gateway.register import folder_name, patient_of
from gateway.services import Services
from gateway.store.patient_folders import FolderRow
from gateway.store.rows import OutboxRow, PatientRow
from gateway.store.transaction import Transaction
from gateway.workers.failure import ActionFailed
from mailboxes.errors import FilingFailed
from mailboxes.filing import Filing
from mailboxes.folders import PATIENTS, Folder, anonymous_folder
from mailboxes.vocabulary import CONVERSATIONS_FOLDER, state_keyword
from teleexpertise.conversation import fold

__all__ = ["FolderWork"]

_CONVERSATIONS = (CONVERSATIONS_FOLDER,)
_INBOX = ("INBOX",)


@contextmanager
def _answered() -> Iterator[None]:
    """What the mailbox server does not do within the block is a failure of the action."""
    try:
        yield
    except FilingFailed as failure:
        status = "5.2.0" if failure.permanent else "4.2.0"
        raise ActionFailed(status, failure.text, permanent=failure.permanent) from failure


async def _named_folder(tx: Transaction, account: str, known: PatientRow) -> str:
    """The name of a patient's folder in an account, given now where it has none yet."""
    found = await tx.patient_folders.get(account, known.id)
    if found is not None:
        return found.name
    name = folder_name(known.patient, await tx.patient_folders.taken(account))
    await tx.patient_folders.name(account, known.id, name)
    return name


@dataclass(frozen=True, slots=True)
class FolderWork:
    """Performs ``tag``, ``file`` and ``arrange``.

    What is filed in one account and what is renamed there follow one another: no report goes into a folder
    that is being renamed. One process performs them (see ``gateway.serving``), so that a lock is enough.
    """

    services: Services
    mailboxes: Filing
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def _turn(self, account: str) -> asyncio.Lock:
        return self._turns.setdefault(account, asyncio.Lock())

    async def tag(self, row: OutboxRow) -> None:
        """Set the keyword of the state on the conversation's mails of one account."""
        state = str(row.payload["state"])
        identifier = str(row.mirror_id or row.conversation_id)
        with _answered():
            for folder in (_CONVERSATIONS, _INBOX):  # who prefers INBOX has the conversation there
                await self.mailboxes.tag(row.recipient, folder, identifier, state)

    async def file(self, row: OutboxRow) -> None:
        """File a report into the patient's folder of one account, once however often this runs."""
        assert row.message_id is not None, "what is filed is a message"
        async with self.services.store.reading() as tx:
            message = await tx.messages.get(row.message_id)
            raw = await tx.messages.get_raw(row.message_id)
        if message is None or raw is None:
            raise ActionFailed("5.3.0", "message purged", permanent=True)
        # Another key than that of the delivery into the thread: the same mail lies in both folders.
        key = delivery_key(self.services.key, message.sha256, f"file:{row.recipient}")
        copy = copy_for(raw, [("X-TLE-Delivery", key)])
        flags = ("\\Seen", state_keyword(str(row.payload["state"])))
        turn = self._turn(row.recipient)
        with _answered():
            async with turn:
                folder = await self._folder(row)
                await self.mailboxes.file_once(row.recipient, folder, copy, key, flags)

    async def file_for(
        self, account: str, known: PatientRow, copy: bytes, key: str, flags: Sequence[str]
    ) -> str:
        """File a copy into the folder of a known patient of one account, once however often this runs; the
        folder's name is returned.
        """
        turn = self._turn(account)
        with _answered():
            async with turn:
                async with self.services.store.transaction() as tx:
                    name = await _named_folder(tx, account, known)
                await self.mailboxes.file_once(account, _folder_called(name), copy, key, tuple(flags))
        return name

    async def arrange(self, row: OutboxRow) -> None:
        """Bring the folder of a patient in one account under the name that it is to have; the folder of one
        who turned out to be another into that one's. Done already is nothing to do.
        """
        turn = self._turn(row.recipient)
        with _answered():
            async with turn:
                await self._arrange(row.recipient, int(row.payload["patient"]))

    async def _arrange(self, account: str, patient_id: int) -> None:
        async with self.services.store.reading() as tx:
            source = await tx.patient_folders.get(account, patient_id)
            patient = await tx.patients.get(patient_id)
            kept = await tx.patient_folders.get(account, patient.id) if patient else None
        if source is None:
            return
        if kept is None or kept.patient_id == source.patient_id:
            await self._rename(source)
            return
        # Where the kept patient's folder is to be renamed too, its own turn does that: before or after, the
        # mails of this one are in it.
        await self.mailboxes.bring(account, _folder_called(source.name), _folder_called(kept.name))
        async with self.services.store.transaction() as tx:
            await tx.patient_folders.drop(source)

    async def _rename(self, source: FolderRow) -> None:
        """Rename until the name fits the traits. A new name is written down before the folder gets it, so
        that whatever interrupts this, it is gone on with, and no correction in between forgets where mails
        are.
        """
        folder: FolderRow | None = source
        while folder is not None:
            if folder.wanted:
                old, new = _folder_called(folder.name), _folder_called(folder.wanted)
                await self.mailboxes.bring(folder.account, old, new)
            async with self.services.store.transaction() as tx:
                folder = await self._next_name(tx, folder)

    async def _next_name(self, tx: Transaction, done: FolderRow) -> FolderRow | None:
        """Note the name that the folder got; the folder with the name that it needs still, else ``None``."""
        folders = tx.patient_folders
        if done.wanted:
            await folders.renamed(done)
        folder = await folders.get(done.account, done.patient_id)
        known = await tx.patients.get(done.patient_id)
        if folder is None or known is None or known.id != done.patient_id or known.patient.birth_date is None:
            return None
        taken = await folders.taken(done.account, but=done.patient_id)
        name = folder_name(known.patient, taken, folder.name)
        if name == folder.name:
            return None
        await folders.want(folder, name)
        return replace(folder, wanted=name)

    async def _folder(self, row: OutboxRow) -> Folder:
        """The patient's folder, named once for each account: identity is the patient's number."""
        assert row.conversation_id is not None, "a report belongs to a conversation"
        async with self.services.store.transaction() as tx:
            conversation = fold(row.conversation_id, await tx.events.of(row.conversation_id))
            known = await patient_of(tx, conversation, self.services.clock())
            # Nobody's own folder can be told by half an identity, or one that may be several people's.
            if known is None or known.patient.birth_date is None:
                return anonymous_folder(conversation.ref)
            return _folder_called(await _named_folder(tx, row.recipient, known))


def _folder_called(name: str) -> Folder:
    return (PATIENTS, name)
