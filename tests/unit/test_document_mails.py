"""The mail that carries documents: its subject, its fields, its files."""

from __future__ import annotations

import base64
from datetime import date

import pytest

from teleexpertise.archives import ArchivePatient, archive_in
from teleexpertise.archives.mails import (
    BodyDiffers,
    MailedDocument,
    document_filename,
    report_mail,
    report_subject,
)
from tests.support.archives import NOW, SENDER, cda

PDF = b"%PDF-"
DAY = date(2026, 11, 25)
PATIENT = ArchivePatient(birth_name="D'Ébène-Œuvrard", first_name="Zoé", birth_date=date(1957, 2, 3))
DOCUMENT = MailedDocument(cda=cda(), pdf=PDF, performed_on=DAY)


def test_the_mail_of_a_report() -> None:
    mail = report_mail([DOCUMENT], SENDER, "1.2.3", NOW)
    label = "Compte-rendu d'acte de télémédecine"
    assert mail.subject == f"XDM/1.0/DDM+{label} SAULNIER Odette 28/03/1979"
    assert mail.fields == (("X-MSS-CODECDA", "85208-7"), ("X-MSS-INS", "O"))
    archive, page = mail.attachments
    assert (archive.filename, archive.content_type) == ("IHE_XDM.zip", "application/zip")
    assert (page.filename, page.content) == (f"20261125_{label}_SAULNIER_Odette.pdf", PDF)
    opened = archive_in(mail.attachments)
    assert opened is not None
    assert opened.findings == ()
    assert opened.documents[0].content == DOCUMENT.cda


def test_of_several_documents_the_subject_counts_and_names_stay_apart() -> None:
    second = MailedDocument(cda=cda(root="1.2.9"), pdf=PDF, performed_on=DAY)
    mail = report_mail([DOCUMENT, second], SENDER, "1.2.3", NOW)
    assert mail.subject.startswith("XDM/1.0/DDM+2 documents SAULNIER")
    assert dict(mail.fields) == {"X-MSS-CODECDA": "85208-7", "X-MSS-INS": "O"}
    assert len({item.filename for item in mail.attachments}) == 3


@pytest.mark.parametrize("ins", ["", "279035121518989"])
def test_an_identity_that_is_not_qualified_is_said(ins: str) -> None:
    oid = "1.2.250.1.71.9" if ins else "1.2.250.1.213.1.4.10"
    document = cda(oid=oid, ins=ins or "279035121518989", given="" if not ins else "Odette")
    mail = report_mail([MailedDocument(cda=document, pdf=PDF, performed_on=DAY)], SENDER, "1.2.3", NOW)
    assert dict(mail.fields)["X-MSS-INS"] == "N"


def test_a_pdf_that_is_not_the_one_in_the_document_never_leaves() -> None:
    for pdf in (b"%PDF-1.4", b""):
        with pytest.raises(BodyDiffers):
            report_mail([MailedDocument(cda=cda(), pdf=pdf, performed_on=DAY)], SENDER, "1.2.3", NOW)
    broken = cda().replace(base64.b64encode(PDF), b"!!!!")
    with pytest.raises(BodyDiffers):
        report_mail([MailedDocument(cda=broken, pdf=PDF, performed_on=DAY)], SENDER, "1.2.3", NOW)


@pytest.mark.parametrize(
    ("label", "count", "subject"),
    [
        ("x" * 60, 1, f"XDM/1.0/DDM+{'x' * 40} D'EBENE-OEUVRARD Zoé 03/02/1957"),
        ("Bilan\r\nBcc: a@b", 1, "XDM/1.0/DDM+Bilan Bcc: a@b D'EBENE-OEUVRARD Zoé 03/02/1957"),
        ("peu importe", 3, "XDM/1.0/DDM+3 documents D'EBENE-OEUVRARD Zoé 03/02/1957"),
    ],
)
def test_the_subject_is_that_of_the_rule(label: str, count: int, subject: str) -> None:
    assert report_subject(label, count, PATIENT) == subject
    assert report_subject("CR", 1, ArchivePatient(birth_name="X", first_name="Y")) == "XDM/1.0/DDM+CR X Y"


def test_names_of_files_are_safe_and_their_fields_stay_apart() -> None:
    hostile = ArchivePatient(birth_name="../A_B", first_name="C\x00:D")
    name = document_filename("CR/../x_y" + "z" * 60, DAY, hostile, "TLE-2026-000001")
    assert name.count("_") == 4
    assert name.endswith("_A B_C D_TLE-2026-000001.pdf")
    assert len(name.split("_")[1]) == 40
    assert name.isprintable()
    assert not set(name) & set("/\\:")
