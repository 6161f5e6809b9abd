"""Exports ordered by mail: gathered, written to a file that nobody else sees, sent to who ordered it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from tempfile import TemporaryFile

from gateway.exports.files import write_export
from gateway.exports.gathering import export_name, gather
from gateway.exports.kinds import FileKind
from gateway.pipeline.exporting import accounts_of, ordered
from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.store.rows import OutboxRow
from teleexpertise.billing.exports import ExportTable
from teleexpertise.letters import Attachment, Mailbox
from teleexpertise.texts.export_contexts import ExportReady

__all__ = ["ExportWork"]


@dataclass(frozen=True, slots=True)
class ExportWork:
    """Performs ``export``."""

    services: Services

    async def export(self, row: OutboxRow) -> None:
        """Answer with the file. Rights are those of now: a delegation withdrawn meanwhile opens nothing."""
        kind = FileKind(row.payload["kind"])
        async with self.services.store.reading() as tx:
            administered = await tx.administrators.services_of(row.recipient)
            selection = ordered(row.payload, await accounts_of(tx, row.recipient), administered)
            table = await gather(self.services, tx, selection)
        content, rows = await asyncio.to_thread(self._written, table, kind)
        filename = export_name(selection, self.services.clock(), kind, self.services.zone)
        mail = ExportReady(
            filename=filename,
            rows=rows,
            pending=selection.pending,
            role=next(iter(selection.roles)) if len(selection.roles) == 1 else "",
            first=selection.first,
            last=selection.last,
            accounts=tuple(sorted(selection.addresses or ())),
        )
        async with self.services.store.transaction() as tx:
            unit = Unit(self.services, tx, self.services.clock(), cause=row.message_id)
            await unit.audit(row.recipient, "export", ",".join(mail.accounts), "done", rows=rows)
            await unit.answer(
                mail,
                Mailbox(row.recipient, str(row.payload["name"])),
                in_reply_to=str(row.payload["in_reply_to"]),
                attachments=(Attachment(filename, kind.content_type, content),),
            )
            await tx.exported.note(table.exported, unit.now)
            await tx.outbox.done(row, unit.now)

    def _written(self, table: ExportTable, kind: FileKind) -> tuple[bytes, int]:
        # A file without a name: who is killed in the middle leaves no patient's identity behind.
        with TemporaryFile() as file:
            total = self.services.texts.words.of("export_words", "total")
            rows = write_export(table, file, kind, total, self.services.clock())
            file.seek(0)
            return file.read(), rows
