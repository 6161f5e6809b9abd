"""Answers of patients, into the folder of the patient beside the mailbox that they came to."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.compose.copies import copy_for, delivery_key
from gateway.services import Services
from gateway.store.rows import OutboxRow
from gateway.workers.deliveries import Deliveries
from gateway.workers.filing import FolderWork

__all__ = ["LetterFiling"]


@dataclass(frozen=True, slots=True)
class LetterFiling:
    """Performs ``file_letter``: a copy of a mail, read, into the folder of a patient of the register."""

    services: Services
    deliveries: Deliveries
    folders: FolderWork

    async def file_letter(self, row: OutboxRow) -> None:
        """File one mailbox's copy, once however often this runs; the patient may have been merged since."""
        async with self.services.store.reading() as tx:
            known = await tx.patients.get(int(row.payload["patient"]))
        assert known is not None, "patients of the register are never removed"
        raw, message = await self.deliveries.copy(row)
        key = delivery_key(self.services.key, message.sha256, f"file:{row.recipient}")
        copy = copy_for(raw, [("X-TLE-Delivery", key)])
        await self.folders.file_for(row.recipient, known, copy, key, ("\\Seen",))
