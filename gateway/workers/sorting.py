"""Documents that came by mail, into the folder of the patient whom they are certainly about, or nowhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from gateway.compose.copies import copy_for, delivery_key
from gateway.pipeline.document_facts import ins_oid
from gateway.pipeline.stored_letters import stored_letter
from gateway.services import Services
from gateway.store.rows import OutboxRow, PatientRow
from gateway.store.transaction import Transaction
from gateway.workers.deliveries import Deliveries
from gateway.workers.filing import FolderWork
from teleexpertise.archives import ArchivePatient, archive_in
from teleexpertise.documents.oids import INS_NIA
from teleexpertise.matching import traits_key
from teleexpertise.patients import Patient

__all__ = ["SortingWork"]


@dataclass(frozen=True, slots=True)
class SortingWork:
    """Performs ``sort``: a copy of a mail with an archive goes into the patient's folder of its recipient.

    The mail itself lies in INBOX whatever comes of this: what is not certain is left there.
    """

    services: Services
    deliveries: Deliveries
    folders: FolderWork

    async def sort(self, row: OutboxRow) -> None:
        """File one recipient's copy, once however often this runs."""
        assert row.message_id is not None, "what is sorted is a message"
        log = structlog.get_logger("worker").bind(message=str(row.message_id))
        async with self.services.store.reading() as tx:
            letter = await stored_letter(self.services, tx, row.message_id)
        opened = await asyncio.to_thread(archive_in, letter.attachments) if letter else None
        if opened is None or not opened.sound or not self._certain(opened.patient):
            faults = sorted({str(each.fault) for each in opened.findings if each.blocking}) if opened else []
            log.info("documents not filed", faults=faults)
            return
        async with self.services.store.reading() as tx:
            known = await _known(tx, opened.patient)
        if known is None:
            log.info("documents not filed", faults=["patient not known for certain"])
            return
        raw, message = await self.deliveries.copy(row)
        key = delivery_key(self.services.key, message.sha256, f"file:{row.recipient}")
        copy = copy_for(raw, [("X-TLE-Delivery", key)])
        await self.folders.file_for(row.recipient, known, copy, key, ("\\Seen",))

    def _certain(self, patient: ArchivePatient) -> bool:
        """A qualified identity by an authority of this deployment: test identities stay among themselves."""
        settings = self.services.settings
        authorities = {ins_oid(settings)} | (set() if settings.service.test_identifiers else {INS_NIA})
        return patient.qualified and patient.oid in authorities


async def _known(tx: Transaction, stated: ArchivePatient) -> PatientRow | None:
    """The one patient of ours with this INS, where the traits agree as well; ``None`` otherwise."""
    known = await tx.patients.with_ins(stated.ins)
    if known is None:
        return None
    for names in {stated.first_names, stated.first_name}:
        given = Patient(
            birth_name=stated.birth_name, first_names=names, birth_date=stated.birth_date, sex=stated.sex
        )
        first = known.patient.first_names.replace(",", " ").split(" ")[0]
        for mine in (known.patient.first_names, first):
            ours = Patient(
                birth_name=known.patient.birth_name,
                first_names=mine,
                birth_date=known.patient.birth_date,
                sex=known.patient.sex,
            )
            if traits_key(given) and traits_key(given) == traits_key(ours):
                return known
    return None
