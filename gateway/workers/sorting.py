"""What came by mail about a patient goes into the patient's folder: answers of patients, and documents, where
it is certain whom they are about; else the recipient is asked, and the answer files them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import structlog

from gateway.compose.copies import copy_for, delivery_key
from gateway.pipeline.document_filing import ask_whose, finding_sentences, stated_by, whose_document
from gateway.pipeline.stored_letters import stored_letter
from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.store.rows import OutboxRow, PatientRow
from gateway.workers.deliveries import Deliveries
from gateway.workers.failure import ActionFailed
from gateway.workers.filing import FolderWork
from teleexpertise.archives import ArchiveFault, archive_in
from teleexpertise.filing import Asked
from teleexpertise.letters import Mailbox
from teleexpertise.texts.document_contexts import DocumentPlaced

__all__ = ["SortingWork"]


@dataclass(frozen=True, slots=True)
class SortingWork:
    """Performs ``sort``, ``file_document`` and ``file_letter``: a copy of a mail goes, read, into the folder
    of its patient.

    The mail itself lies in INBOX whatever comes of this.
    """

    services: Services
    deliveries: Deliveries
    folders: FolderWork

    async def sort(self, row: OutboxRow) -> None:
        """File one recipient's copy, once however often this runs, or ask the recipient whose it is."""
        assert row.message_id is not None, "what is sorted is a message"
        log = structlog.get_logger("worker").bind(message=str(row.message_id))
        async with self.services.store.reading() as tx:
            letter = await stored_letter(self.services, tx, row.message_id)
        opened = await asyncio.to_thread(archive_in, letter.attachments) if letter else None
        if letter is None or opened is None:
            return
        faults = {each.fault for each in opened.findings if each.blocking}
        if faults - {ArchiveFault.WRONG_INS}:
            log.info("documents not filed", faults=sorted(map(str, faults)))
            return
        stated, trusted = stated_by(self.services.settings, opened.patient)
        if faults:
            stated, trusted = replace(stated, ins="", ins_oid="", qualified=False), False
        async with self.services.store.transaction() as tx:
            unit = Unit(self.services, tx, self.services.clock(), cause=row.message_id)
            found = await whose_document(unit, stated, trusted=trusted)
            if isinstance(found, Asked):
                message = await tx.messages.get(row.message_id)
                assert message is not None, "its letter was read"
                doubtful = finding_sentences(unit, opened, blocking=False)
                asked = await ask_whose(unit, row.recipient, message, letter, stated, found, doubtful)
                log.info("documents not filed", faults=[str(found.why)], asked=asked)
                # With the question, in one transaction: it is asked once.
                await tx.outbox.done(row, unit.now)
                return
            known = await tx.patients.get(found.known.id)
        assert known is not None, "who was found is in the register"
        await self._file(row, known)
        doubts = sorted({str(each.fault) for each in opened.findings})
        async with self.services.store.transaction() as tx:
            unit = Unit(self.services, tx, self.services.clock(), cause=row.message_id)
            told = {"mailbox": row.recipient} | ({"doubts": ", ".join(doubts)} if doubts else {})
            target, result = f"message {row.message_id}", f"patient {known.id}"
            await unit.audit(self.services.book.service, "file document", target, result, **told)
            # With the line of the audit trail, in one transaction: it is written once.
            await tx.outbox.done(row, unit.now)
        log.info("documents filed", patient=known.id, doubts=doubts)

    async def file_document(self, row: OutboxRow) -> None:
        """File the copy of a recipient for the patient whom an answer named, and tell the answerer where."""
        payload = row.payload
        async with self.services.store.reading() as tx:
            known = await tx.patients.get(int(payload["patient"]))
        if known is None or known.patient.birth_date is None:
            raise ActionFailed("5.3.0", "patient gone", permanent=True)
        folder = await self._file(row, known)
        async with self.services.store.transaction() as tx:
            unit = Unit(self.services, tx, self.services.clock(), cause=row.message_id)
            message = await tx.messages.get(row.message_id) if row.message_id else None
            assert message is not None, "what is filed is a message"
            placed = DocumentPlaced(
                subject_received=str(payload["subject"]), received_at=message.received_at, folder=folder
            )
            to = Mailbox(str(payload["login"]), str(payload["name"]))
            await unit.answer(placed, to, in_reply_to=str(payload["in_reply_to"]))
            await tx.outbox.done(row, unit.now)

    async def file_letter(self, row: OutboxRow) -> None:
        """File a patient's answer for its recipient; the patient may have been merged since."""
        async with self.services.store.reading() as tx:
            known = await tx.patients.get(int(row.payload["patient"]))
        assert known is not None, "patients of the register are never removed"
        await self._file(row, known)

    async def _file(self, row: OutboxRow, known: PatientRow) -> str:
        """File the recipient's copy, once however often this runs; the folder's name is returned."""
        raw, message = await self.deliveries.copy(row)
        key = delivery_key(self.services.key, message.sha256, f"file:{row.recipient}")
        copy = copy_for(raw, [("X-TLE-Delivery", key)])
        return await self.folders.file_for(row.recipient, known, copy, key, ("\\Seen",))
