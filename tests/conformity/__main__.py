"""``python -m tests.conformity [COUNT]``: generated reports and requests before the agency's rules.

Each of COUNT conversations (200) is judged as TLM-CR by the rules of 2022 and of 2026, as TLM-DA by those of
2022, and as IHE_XDM.zip of either; what our own readers make of them is held against the facts. A table says
how many of each class of patients and missing options were judged as each kind, and with how many faults.
"""

from __future__ import annotations

import io
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator

from teleexpertise.archives import Transfer, open_archive
from teleexpertise.archives.mails import MailedDocument, report_mail
from teleexpertise.documents.facts import DocumentFacts, birth_given_names, trait
from teleexpertise.documents.reading import ReadDocument, read_document, read_request
from tests.support.archives import NOW, SENDER
from tests.support.documents import (
    archive_faults,
    classes_of,
    national_faults,
    report,
    report_facts,
    request,
    small_pdf,
)

KINDS = ("TLM-CR 2022", "TLM-CR 2026", "TLM-DA 2022", "XDM report", "XDM request")
#: Fewer than these of a class were no cover.
LEAST = 5


def main() -> int:
    """Print each fault, the table and a line of counts; 1 for a fault or a class without cover."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    begun = time.monotonic()
    judged: Counter[tuple[str, str]] = Counter()
    faults: Counter[tuple[str, str]] = Counter()
    for n in range(count):
        classes = {"all", *classes_of(report_facts(n))}
        for kind, said in _judgements(n):
            for words in said:
                print(f"{n} {kind}: {words}")
            for name in classes:
                judged[name, kind] += 1
                faults[name, kind] += len(said)
    thin = _table(judged, faults)
    total, wrong = sum(judged["all", kind] for kind in KINDS), sum(faults["all", kind] for kind in KINDS)
    seconds = time.monotonic() - begun
    print(f"{count} conversations, {total} judgements, {wrong} faults, {seconds:.0f} s")
    for name in thin if count >= 200 else ():
        print(f"too few of the class: {name}")
    return 1 if wrong or (thin and count >= 200) else 0


def _judgements(n: int) -> Iterator[tuple[str, list[str]]]:
    """What is said against the documents of one conversation, by kind."""
    facts, cda, demand = report_facts(n), report(n), request(n)
    read = read_document(cda)
    yield "TLM-CR 2022", [*national_faults(cda, "tlm-cr-2022"), *_read_back(facts, read)]
    yield "TLM-CR 2026", national_faults(cda, "tlm-cr-2026")
    asked = read_request(demand)
    told = [*asked.problems, *_read_back(facts, asked.document)]
    yield "TLM-DA 2022", [*national_faults(demand, "tlm-da-2022"), *told]
    for kind, document in (("XDM report", cda), ("XDM request", demand)):
        transfer = Transfer.REPLACE if read_document(document).replaces else Transfer.NEW
        yield kind, _mailed(facts, document, transfer)


def _read_back(facts: DocumentFacts, read: ReadDocument) -> list[str]:
    """Where our own reader finds another patient than the facts had."""
    patient = facts.patient
    stated = (
        patient.ins,
        facts.ins_oid,
        patient.birth_date,
        patient.sex,
        patient.birth_place,
        patient.birth_order,
    )
    found = (
        *(read.patient.ins, read.ins_oid, read.patient.birth_date, read.patient.sex),
        *(read.patient.birth_place, read.patient.birth_order),
    )
    names = (trait(patient.birth_name), birth_given_names(patient.first_names)[0])
    if found != stated or (read.patient.birth_name, read.patient.first_names) != names:
        return ["read back as another patient"]
    return []


def _mailed(facts: DocumentFacts, document: bytes, transfer: Transfer) -> list[str]:
    """The archive of the mail before the judge; its PDF and document as a stranger unpacks them."""
    mailed = MailedDocument(
        cda=document, pdf=small_pdf(), performed_on=facts.created_at.date(), transfer=transfer
    )
    mail = report_mail([mailed], SENDER, "1.2.250.1.213.1.1.9.99", NOW)
    archive, page = mail.attachments
    said = archive_faults(archive.content)
    with zipfile.ZipFile(io.BytesIO(archive.content)) as opened:
        inside = opened.read("IHE_XDM/SUBSET01/DOC0001.XML")
    if inside != document:
        said.append("the document in the archive is another")
    body = read_document(inside).pdf
    if body and body != page.content:
        said.append("the PDF beside the document is not its body")
    read = open_archive(archive.content)
    said += [f"our reader: {finding.fault} {finding.detail}" for finding in read.findings]
    if (read.patient.ins, read.patient.oid) != (facts.patient.ins, facts.ins_oid):
        said.append("our reader: another patientId")
    return said


def _table(judged: Counter[tuple[str, str]], faults: Counter[tuple[str, str]]) -> list[str]:
    """Print classes by kinds, judgements and faults; the classes with too few judgements come back."""
    names = sorted({name for name, _ in judged} - {"all"})
    print(f"{'':32}" + "".join(f"{kind:>14}" for kind in KINDS))
    for name in ("all", *names):
        cells = (f"{judged[name, kind]}/{faults[name, kind]}" for kind in KINDS)
        print(f"{name:32}" + "".join(f"{cell:>14}" for cell in cells))
    print("(judged/faults)")
    return [name for name in names if min(judged[name, kind] for kind in KINDS) < LEAST]


if __name__ == "__main__":
    sys.exit(main())
