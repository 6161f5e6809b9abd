"""Patients as correspondents in tests: their operator's certificate, their mails, what the gateway keeps."""

from __future__ import annotations

import itertools
import re
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage
from pathlib import Path

from certs.tls import submission_client_context
from gateway.services import Services
from gateway.store.rows import AuditRow, OutboxState
from teleexpertise.identifiers import nir_key
from teleexpertise.patient_mail import Exchange
from teleexpertise.patients import Patient
from teleexpertise.people import Account
from tests.support import region
from tests.support.dovecot import free_port
from tests.support.gateway import TestGateway, refusal_text, text_of
from tests.support.operators import (
    OperatorCertificate,
    issued_certificate,
    made_operator,
    operator_session,
    operators_folder,
    own_certificate,
    write_list,
)
from tests.support.threads import Thread, answered

PATIENTS, OTHERS = "patient.mssante.example", "tiers.mssante.example"
_PERSONS = itertools.count(1)
_MAILS = itertools.count(1)


def new_ins() -> str:
    """The INS of somebody whom no other test knows, a woman born in February 1957 in Le Puy."""
    body = f"2570243192{next(_PERSONS):03}"
    return body + nir_key(body)


def address_of(ins: str) -> str:
    """A patient's mailbox."""
    return f"{ins.lower()}@{PATIENTS}"


@dataclass(frozen=True, slots=True)
class PatientSpace:
    """A gateway, the certificate of the patients' operator, and that of an operator that is none."""

    gateway: TestGateway
    operator: OperatorCertificate
    stranger: OperatorCertificate
    config: Path

    def registered(self, *, qualified: bool = True) -> tuple[str, Patient]:
        """A patient whom the register knows: the INS and the traits."""
        ins = new_ins()
        number = int(ins[10:13])
        patient = Patient(
            birth_name=f"QUARANTE{chr(65 + number // 26)}{chr(65 + number % 26)}",
            first_names="Odette",
            birth_date=date(1957, 2, 3),
            sex="F",
            ins=ins,
            qualified=qualified,
        )

        async def add(services: Services) -> None:
            async with services.store.transaction() as tx:
                await tx.patients.add(patient, services.clock())

        self.gateway.ask(add)
        return ins, patient

    def offer(
        self,
        author: str,
        to: str | list[str],
        *,
        cites: str = "",
        subject: str = "Bonjour docteur",
        fields: str = "",
        mail_from: str | None = None,
        body: str = "Merci.\r\n",
        certificate: OperatorCertificate | None = None,
    ) -> str:
        """Offer a mail to our MX as the patients' operator does; the refusal, or '' where it was taken."""
        recipients = [to] if isinstance(to, str) else to
        reference = f"In-Reply-To: {cites}\r\nReferences: {cites}\r\n" if cites else ""
        raw = (
            f"From: {author}\r\nTo: {', '.join(recipients)}\r\nSubject: {subject}\r\n{reference}{fields}"
            f"Message-ID: <p{next(_MAILS)}@{PATIENTS}>\r\nDate: Mon, 01 Jun 2026 10:00:00 +0200\r\n"
        )
        if "content-type" not in fields.lower():
            raw += "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        shown = certificate or self.operator
        try:
            with operator_session(self.gateway.mx_port, shown.client_tls) as smtp:
                sender = author.partition("<")[2].rstrip(">") or author
                smtp.sendmail(
                    sender if mail_from is None else mail_from, recipients, f"{raw}\r\n{body}".encode()
                )
        except smtplib.SMTPSenderRefused as refused:
            return refusal_text(refused)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as refused:
            return refusal_text(refused)
        return ""

    def write(
        self, sender: Account, patient: str, subject: str = "Vos résultats", **fields: str
    ) -> EmailMessage:
        """A mail of a user of ours to a patient, sent; ``fields`` are header fields, ``_`` for ``-``."""
        client = self.gateway.client(sender)
        mail = client.compose(patient, subject, "Bonjour, voici vos résultats.")
        for name, value in fields.items():
            mail[name.replace("_", "-")] = value
        return client.send(mail)

    def exchanges(self, patient: str) -> tuple[Exchange, ...]:
        """All exchanges with a patient, the last touched first."""

        async def read(services: Services) -> tuple[Exchange, ...]:
            async with services.store.reading() as tx:
                return await tx.exchanges.list(100, patient=patient)

        found: tuple[Exchange, ...] = self.gateway.ask(read)
        return found

    def audit(self) -> list[AuditRow]:
        """The whole audit trail."""

        async def read(services: Services) -> list[AuditRow]:
            async with services.store.reading() as tx:
                return list(await tx.audit.list(limit=100_000))

        found: list[AuditRow] = self.gateway.ask(read)
        return found

    def queued_for(self, patient: str) -> list[bytes]:
        """The octets of the mails that were put into the queue for a patient, whatever became of them."""

        async def read(services: Services) -> list[bytes]:
            async with services.store.reading() as tx:
                rows = await tx.outbox.list(tuple(OutboxState), limit=100_000)
                ids = [row.message_id for row in rows if row.recipient == patient and row.message_id]
                raws = [await tx.messages.get_raw(identifier) for identifier in ids]
            return [raw for raw in raws if raw is not None]

        found: list[bytes] = self.gateway.ask(read)
        return found


@contextmanager
def patient_space(most: int = 200_000, more: str = "") -> Iterator[PatientSpace]:
    """A served gateway whose patients' operator is listed and does not answer: what is for patients waits."""
    with operators_folder() as folder:
        settings = made_operator(
            folder / "var",
            region.DOMAIN,
            {PATIENTS: free_port()},
            documents=f'patient_domain = "{PATIENTS}"\npatient_max_bytes = {most}',
            more=more,
        )
        operator = issued_certificate(settings, folder, f"mx.{PATIENTS}")
        stranger = issued_certificate(settings, folder, f"mx.{OTHERS}")
        write_list(settings, {region.DOMAIN: own_certificate(settings), PATIENTS: operator, OTHERS: stranger})
        made = TestGateway(settings, submission_client_context(settings.pki.anchors))
        made.start()
        try:
            yield PatientSpace(made, operator, stranger, folder / "var" / "gateway.toml")
        finally:
            made.stop()


def finalise_for_patient(thread: Thread) -> None:
    """Finalise with the patient's line ticked, and wait for the report."""
    form = thread.form(thread.expert, "Finaliser")
    filled = answered(thread.expert, form, {"Conclusion": "Rien.", "Suite proposée": "Surveillance"})
    text = text_of(filled)
    line = re.search(r"\[ \] (\d+\. le patient, dans sa messagerie sécurisée)", text)
    assert line is not None, "the patient is not ticked beforehand"
    filled.set_content(text.replace(line[0], f"[x] {line[1]}"))
    thread.expert.answer_to(thread.expert.send(filled))
    thread.report(thread.requester)
