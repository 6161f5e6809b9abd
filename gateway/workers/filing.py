"""Keywords that follow the state, and reports into patient folders: by IMAP, idempotent."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.compose.copies import copy_for, delivery_key
from gateway.services import Services
from gateway.store.rows import OutboxRow
from gateway.workers.failure import ActionFailed
from mailboxes.errors import FilingFailed
from mailboxes.filing import Filing
from mailboxes.folders import PATIENTS, anonymous_folder, patient_folder
from mailboxes.vocabulary import CONVERSATIONS_FOLDER, state_keyword
from teleexpertise.conversation import fold

__all__ = ["FolderWork"]

_CONVERSATIONS = (CONVERSATIONS_FOLDER,)
_INBOX = ("INBOX",)


@dataclass(frozen=True, slots=True)
class FolderWork:
    """Performs ``tag`` and ``file``."""

    services: Services
    mailboxes: Filing

    async def tag(self, row: OutboxRow) -> None:
        """Set the keyword of the state on the conversation's mails of one account."""
        state = str(row.payload["state"])
        identifier = str(row.mirror_id or row.conversation_id)
        try:
            for folder in (_CONVERSATIONS, _INBOX):  # who prefers INBOX has the conversation there
                await self.mailboxes.tag(row.recipient, folder, identifier, state)
        except FilingFailed as failure:
            raise ActionFailed(failure.permanent, "4.2.0", failure.text) from failure

    async def file(self, row: OutboxRow) -> None:
        """File a report into the patient's folder of one account, once however often this runs."""
        assert row.message_id is not None, "what is filed is a message"
        folder = await self._folder(row)
        async with self.services.store.reading() as tx:
            message = await tx.messages.get(row.message_id)
            raw = await tx.messages.get_raw(row.message_id)
        if message is None or raw is None:
            raise ActionFailed(True, "5.3.0", "message purged")
        # Another key than that of the delivery into the thread: the same mail lies in both folders.
        key = delivery_key(self.services.key, message.sha256, f"file:{row.recipient}")
        copy = copy_for(raw, [("X-TLE-Delivery", key)])
        flags = ("\\Seen", state_keyword(str(row.payload["state"])))
        try:
            await self.mailboxes.file_once(row.recipient, folder, copy, key, flags)
        except FilingFailed as failure:
            raise ActionFailed(failure.permanent, "4.2.0", failure.text) from failure

    async def _folder(self, row: OutboxRow) -> tuple[str, ...]:
        """The patient's folder: identity is the patient's id, so a name is given once for each account."""
        assert row.conversation_id is not None, "a report belongs to a conversation"
        now = self.services.clock()
        async with self.services.store.transaction() as tx:
            conversation = fold(row.conversation_id, await tx.events.of(row.conversation_id))
            patient = conversation.patient
            if patient.birth_date is None:
                return anonymous_folder(conversation.ref)
            try:
                known = await tx.patients.find_or_add(patient, now)
            except ValueError:  # nobody's own folder can be told by this identity
                return anonymous_folder(conversation.ref)
            name = await tx.patients.folder(row.recipient, known.id)
            if name is None:
                taken = await tx.patients.folders(row.recipient)
                named = patient_folder(patient.birth_name, patient.first_names, patient.birth_date, taken)
                name = named[-1]
                await tx.patients.name_folder(row.recipient, known.id, name)
        return (PATIENTS, name)
