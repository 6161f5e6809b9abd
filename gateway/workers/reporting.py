"""Reports and syntheses: gathered from the record, printed in a process of their own, posted or answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import ParamSpec, TypeVar
from uuid import UUID

from certs.verdicts import Verdict
from gateway.errors import GatewayError
from gateway.pipeline import closing, depositing
from gateway.pipeline.consequences import Act, carry_out
from gateway.pipeline.document_facts import report_facts, request_facts
from gateway.pipeline.sending_forms import send_form
from gateway.pipeline.stored_letters import stored_letter
from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.store.rows import OutboxRow
from gateway.store.transaction import Transaction
from gateway.workers.failure import ActionFailed
from gateway.workers.printing import MadeReport, print_documents, print_report
from teleexpertise.conversation import Conversation, Exchange, fold
from teleexpertise.documents.codes import code_tables
from teleexpertise.documents.facts import DocumentFacts, MissingFields
from teleexpertise.documents.sentences import sentences
from teleexpertise.documents.tlmda import make_request
from teleexpertise.events import AttachmentNote, Completed, Posted, Record, ReportMade, Side
from teleexpertise.facts import Facts, Trigger
from teleexpertise.forms import FormKind
from teleexpertise.letters import Attachment, Letter, Mailbox
from teleexpertise.patient_mail import patient_of
from teleexpertise.plaintext import readable_text, unsigned_text
from teleexpertise.quotation import own_words
from teleexpertise.report import Report, ReportAttachment, ReportExchange
from teleexpertise.texts import contexts as mails

__all__ = ["ReportWork", "bearable"]

#: What is said of work whose process died or had no memory left.
_DIED = "the process that made the report died"
#: A file that twice took a process with it does so again: a report that lists it is better than none.
_TRIES_WITH_PICTURES = 2

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class ReportWork:
    """Performs ``make_report`` and ``synthesis``; ``printers`` are processes that cannot stop the mail."""

    services: Services
    printers: Executor

    async def make_report(self, row: OutboxRow) -> None:
        """Make the report of a finalisation, once per version, and let the rules post and file it."""
        assert row.conversation_id is not None, "a report belongs to a conversation"
        async with self.services.store.reading() as tx:
            records = await tx.events.of(row.conversation_id)
            conversation = fold(row.conversation_id, records)
            version = int(row.payload["version"])
            if version in conversation.reports or version != conversation.version:
                return  # made already, or overtaken by a later finalisation
            assert conversation.completion is not None, "a report follows a finalisation"
            report = await self._gather(tx, conversation, records, conversation.completion.exchanges)
            facts = await self._facts(tx, conversation, records)
        made = await self._make(bearable(report, row), facts)
        filename = f"{conversation.ref}-v{version}.pdf"
        async with self.services.store.transaction() as tx:
            unit = Unit(self.services, tx, self.services.clock())
            current = await unit.load(conversation.id)
            if current is None or version in current.reports or version != current.version:
                return  # a later finalisation came while this one was printed: its own job follows
            await self._post(unit, current, records, filename, made)
            await tx.outbox.done(row, unit.now)

    async def _post(
        self,
        unit: Unit,
        conversation: Conversation,
        records: tuple[Record, ...],
        filename: str,
        made: MadeReport,
    ) -> None:
        completion = conversation.completion
        assert completion is not None, "a report follows a finalisation"
        cause = [record for record in records if isinstance(record.event, Completed)][-1]
        message = await unit.tx.messages.get(cause.message)
        assert message is not None, "the finalisation came by mail"
        unit.cause = message.id
        event = ReportMade(
            version=conversation.version,
            filename=filename,
            sha256=sha256(made.pdf).hexdigest(),
            cda_sha256=made.cda_sha256,
        )
        cda = made.cda if isinstance(made.cda, bytes) else None
        carried = depositing.enclosed(self.services.settings, conversation, filename, made.pdf, cda)
        facts = Facts(trigger=Trigger.REPORT, author=completion.finaliser, proposed=event, side=Side.EXPERT)
        act = Act(
            facts=facts,
            message=message,
            attachments=carried.attachments,
            fields=carried.fields,
            filename=filename,
            warnings=sentences(made.cda.fields) if isinstance(made.cda, MissingFields) else (),
            only=frozenset(completion.addressees) | {completion.finaliser.account},
        )
        _, after = await carry_out(unit, conversation, conversation.id, act)
        if after is not None:
            await depositing.deposit(unit, after, made.pdf, cda)

    async def remake(self, conversation_id: UUID, kind: str) -> bytes | MissingFields:
        """The last report as ``pdf``, ``cda`` or ``xdm``, or the ``request``; nothing is kept of it.

        Raises :class:`GatewayError` for a report of a conversation that is not finalised.
        """
        async with self.services.store.reading() as tx:
            records = await tx.events.of(conversation_id)
            conversation = fold(conversation_id, records)
            if kind == "request":
                label = self._urgency_label(conversation.opening.urgency)
                return make_request(await request_facts(self.services.settings, tx, conversation, label))
            if conversation.completion is None:
                raise GatewayError(f"{conversation.ref} is not finalised: there is no report")
            report = await self._gather(tx, conversation, records, conversation.completion.exchanges)
            facts = await self._facts(tx, conversation, records)
        made = await self._make(report, facts)
        if kind == "pdf" or isinstance(made.cda, MissingFields):
            return made.pdf if kind == "pdf" else made.cda
        if kind == "xdm":
            return depositing.archive_of(self.services.settings, conversation, made.cda)
        return made.cda

    async def synthesis(self, row: OutboxRow) -> None:
        """Answer with the same PDF as the report would be now; nothing else changes.

        The first one holds all exchanges and comes with the form that chooses some of them.
        """
        assert row.conversation_id is not None, "a synthesis belongs to a conversation"
        chosen = row.payload.get("exchanges")
        async with self.services.store.reading() as tx:
            records = await tx.events.of(row.conversation_id)
            conversation = fold(row.conversation_id, records)
            wanted = tuple(chosen) if chosen is not None else tuple(e.seq for e in conversation.exchanges)
            report = await self._gather(tx, conversation, records, wanted)
        octets = await self._print(bearable(report, row))
        enclosed = (Attachment(f"{conversation.ref}-synthese.pdf", "application/pdf", octets),)
        to = Mailbox(row.recipient, str(row.payload["name"]))
        in_reply_to = str(row.payload["in_reply_to"])
        async with self.services.store.transaction() as tx:
            unit = Unit(self.services, tx, self.services.clock(), cause=row.message_id)
            if chosen is None:
                sheet = await closing.sheet(unit, conversation, FormKind.SYNTHESIS, to, {})
                await send_form(unit, to, sheet, in_reply_to, enclosed)
            else:
                mail = mails.Synthesis(
                    reference=conversation.ref, state=conversation.state, filename=enclosed[0].filename
                )
                await unit.answer(
                    mail, to, in_reply_to=in_reply_to, attachments=enclosed, about=[conversation.id]
                )
            await tx.outbox.done(row, unit.now)

    async def _print(self, report: Report) -> bytes:
        zone = self.services.settings.service.time_zone
        return await self._in_printer(print_report, report, zone)

    async def _make(self, report: Report, facts: DocumentFacts) -> MadeReport:
        zone = self.services.settings.service.time_zone
        return await self._in_printer(print_documents, report, zone, facts)

    async def _in_printer(
        self, work: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self.printers, partial(work, *args, **kwargs)
            )
        except (BrokenProcessPool, MemoryError) as error:
            raise ActionFailed("4.3.0", _DIED, permanent=False) from error

    async def _facts(
        self, tx: Transaction, conversation: Conversation, records: tuple[Record, ...]
    ) -> DocumentFacts:
        """What the CDA of the last finalisation says."""
        closing = [record for record in records if isinstance(record.event, Completed)][-1]
        assert isinstance(closing.event, Completed), "chosen for it"
        made = [r.event for r in records if isinstance(r.event, ReportMade) and r.event.cda_sha256]
        earlier = tuple(event.version for event in made if event.version < conversation.version)
        return await report_facts(
            self.services.settings,
            tx,
            conversation,
            closing.event,
            closing.author,
            closing.at,
            conversation.version,
            earlier,
        )

    async def _gather(
        self,
        tx: Transaction,
        conversation: Conversation,
        records: tuple[Record, ...],
        chosen: tuple[int, ...],
    ) -> Report:
        """All that the report says, from the record and its stored messages; ``chosen`` exchanges by
        number.
        """
        opening = conversation.opening
        completion = conversation.completion
        label = self._urgency_label(opening.urgency)
        posted = [r for r in records if isinstance(r.event, Posted) and r.event.template == "question"]
        question = await stored_letter(self.services, tx, posted[0].message) if posted else None
        exchanges = [
            await self._exchange(tx, number, exchange)
            for number, exchange in enumerate(conversation.exchanges[1:], start=1)
            if exchange.seq in chosen
        ]
        answered = next((e.at for e in conversation.exchanges if e.side is Side.EXPERT), None)
        words = self.services.texts.words
        remark = [(words.of("forms", "accompanying"), opening.remark)] if opening.remark else []
        return Report(
            reference=conversation.ref,
            version=max(conversation.version, 1),
            generated_at=completion.at if completion else self.services.clock(),
            state=conversation.state,
            requester=conversation.requester,
            expert=conversation.expert,
            patient=conversation.patient,
            asked_at=conversation.opened_at,
            asked_by=conversation.exchanges[0].author,
            question=opening.question,
            urgency=label,
            consent=opening.consent,
            organisation=self.services.settings.service.organisation_name,
            answered_at=answered,
            finalised_at=completion.at if completion else None,
            finaliser=completion.finaliser if completion else None,
            phone=opening.phone,
            answers=(*opening.answers, *remark),
            attachments=_attachments(opening.attachments, question),
            exchanges=tuple(exchanges),
            conclusion=completion.conclusion if completion else "",
            outcome=completion.outcome if completion else "",
            act=_act_label(completion.level) if completion else "",
            missing=conversation.missing,
            incidents=tuple(self._incident(recipient) for _, recipient in conversation.failures),
            addressees=completion.addressees if completion else (),
        )

    def _incident(self, recipient: str) -> str:
        """The sentence about a mail that did not arrive; a patient's address, an INS, is not in it."""
        patient = patient_of(recipient, self.services.settings.documents.patient_domain)
        word = "patient_not_delivered" if patient else "not_delivered"
        return self.services.texts.words.of("incidents", word).format(recipient=recipient)

    def _urgency_label(self, urgency: str) -> str:
        option = self.services.forms.form("request").field("urgency").option(urgency)
        return option.label if option else urgency

    async def _exchange(self, tx: Transaction, number: int, exchange: Exchange) -> ReportExchange:
        letter = await stored_letter(self.services, tx, exchange.message)
        readable = letter if letter is not None and not exchange.encrypted else None
        row = await tx.messages.get(exchange.message)
        return ReportExchange(
            number=number,
            at=exchange.at,
            author=exchange.author,
            text=exchange.words or (own_words(readable_text(readable)) if readable else ""),
            attachments=_attachments(exchange.attachments, readable),
            late=exchange.late,
            encrypted=exchange.encrypted,
            unsigned=unsigned_text(readable).strip() if readable else "",
            bad_signature=row is not None and row.envelope.get("signature") == Verdict.FAILED,
        )


def bearable(report: Report, row: OutboxRow) -> Report:
    """The report as it is; without pictures where attempts with them ended the process."""
    died = row.attempts > _TRIES_WITH_PICTURES and row.last_error.endswith(_DIED)
    return report.listing_only() if died else report


def _act_label(code: str) -> str:
    """An act by its code and what the nomenclature calls it, '' where the finalisation named none."""
    return f"{code}, {code_tables().acts.get(code, '')}".removesuffix(", ") if code else ""


def _attachments(notes: tuple[AttachmentNote, ...], letter: Letter | None) -> tuple[ReportAttachment, ...]:
    found = {sha256(a.content).hexdigest(): a for a in letter.attachments} if letter else {}
    return tuple(
        ReportAttachment(
            filename=note.filename,
            content_type=note.content_type,
            size=note.size,
            sha256=note.sha256,
            content=found[note.sha256].content if note.sha256 in found else None,
            unsigned=note.sha256 in found and found[note.sha256].unsigned,
        )
        for note in notes
    )
