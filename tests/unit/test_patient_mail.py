"""Patients' addresses, ends of exchanges, what is cited, and the causes of returns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest

from config import load_mapping, read_resource
from teleexpertise.identifiers import nir_key
from teleexpertise.letters import Letter, Mailbox
from teleexpertise.patient_bounces import load_bounces
from teleexpertise.patient_mail import (
    Ending,
    Exchange,
    cited_by,
    ending_of,
    is_patients_mailbox,
    mailbox_for,
    masked,
    matricule_of,
    nearest,
    patient_of,
)
from teleexpertise.patients import Patient
from teleexpertise.texts import load_words

DOMAIN = "patient.mssante.example"
BODY = "2570243192996"
INS = BODY + nir_key(BODY)
CORSICAN = "257022A192997" + nir_key("257022A192997")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TABLE = load_bounces(read_resource("patient_bounces.toml"))
WOMAN = Patient(
    birth_name="QUARANTE",
    first_names="Odette",
    birth_date=date(1957, 2, 3),
    sex="F",
    ins=INS,
    qualified=True,
)


def letter(
    subject: str = "Bonjour",
    headers: tuple[tuple[str, str], ...] = (),
    in_reply_to: tuple[str, ...] = (),
    references: tuple[str, ...] = (),
) -> Letter:
    return Letter(
        message_id="<m@x>",
        subject=subject,
        senders=(Mailbox("a@b.example"),),
        headers=headers,
        in_reply_to=in_reply_to,
        references=references,
    )


def test_whose_an_address_is() -> None:
    assert patient_of(f"{INS}+detail@{DOMAIN.upper()}", DOMAIN) == f"{INS}@{DOMAIN}"
    assert patient_of(f"{CORSICAN}@{DOMAIN}", DOMAIN) == f"{CORSICAN.lower()}@{DOMAIN}"
    assert matricule_of(f"{CORSICAN.lower()}@{DOMAIN}") == CORSICAN
    for other in (f"postmaster@{DOMAIN}", f"{INS[:-1]}@{DOMAIN}", f"{INS}@autre.example", INS, ""):
        assert patient_of(other, DOMAIN) == ""
    assert patient_of(f"{INS}@{DOMAIN}", None) == ""
    assert is_patients_mailbox(f"{INS}@{DOMAIN}", DOMAIN)
    assert is_patients_mailbox(f"Postmaster@{DOMAIN}", DOMAIN)
    assert is_patients_mailbox("anybody@elsewhere.example", DOMAIN)
    wrong = INS[:-1] + str((int(INS[-1]) + 1) % 10)
    assert not is_patients_mailbox(f"{wrong}@{DOMAIN}", DOMAIN), "the key is checked"


def test_only_a_qualified_patient_has_a_mailbox_and_a_child_none_at_its_parents() -> None:
    assert mailbox_for(WOMAN, DOMAIN) == f"{INS}@{DOMAIN}"
    assert mailbox_for(WOMAN, None) == ""
    for other in (
        replace(WOMAN, qualified=False),
        replace(WOMAN, anonymous=True),
        replace(WOMAN, ins=""),
        replace(WOMAN, birth_date=date(2024, 5, 6)),
        replace(WOMAN, sex="M"),
    ):
        assert mailbox_for(other, DOMAIN) == ""


@pytest.mark.parametrize(
    ("subject", "field", "ending"),
    [
        ("[FIN]", "", Ending.ALL),
        ("[fin]", "", Ending.NONE),
        ("Re: [FIN]", "", Ending.NONE),
        ("[FIN] merci", "", Ending.NONE),
        ("Résultats", "FIN", Ending.THREAD),
        ("Résultats", " FIN ", Ending.THREAD),
        ("Résultats", "fin", Ending.NONE),
        ("Résultats", "FINI", Ending.NONE),
        ("[FIN]", "FIN", Ending.ALL),
    ],
)
def test_what_ends_an_exchange(subject: str, field: str, ending: Ending) -> None:
    headers = (("x-mss-mes", field),) if field else ()
    assert ending_of(letter(subject, headers)) is ending


def test_the_nearest_mail_cited_decides() -> None:
    old, new = (
        Exchange(
            id=UUID(int=number), mailbox="m@x", patient="p@y", opened_by="m@x", opened_at=NOW, last_at=NOW
        )
        for number in (1, 2)
    )
    answer = letter(in_reply_to=("<c@x>",), references=("<a@x>", "<b@x>", "<c@x>"))
    assert cited_by(answer) == ("<c@x>", "<b@x>", "<a@x>")
    assert nearest(cited_by(answer), {"<a@x>": old, "<b@x>": new}) is new
    assert nearest(cited_by(answer), {"<a@x>": old}) is old
    assert nearest(cited_by(letter()), {"<a@x>": old}) is None
    many = letter(references=tuple(f"<{number}@x>" for number in range(5000)))
    assert len(cited_by(many)) == 200
    assert cited_by(many)[0] == "<4999@x>"


def test_no_ins_is_shown_in_an_address() -> None:
    text = f"from {INS}@{DOMAIN} and {CORSICAN.lower()}+x@{DOMAIN}, not 12@a.example nor {INS}"
    shown = masked(text)
    assert f"{INS}@" not in shown
    assert CORSICAN.lower() not in shown
    assert shown.count("*" * 15 + f"@{DOMAIN}") == 2
    assert masked("claire.martin@gateway.mssante.example") == "claire.martin@gateway.mssante.example"


@pytest.mark.parametrize(
    ("status", "text", "cause"),
    [
        ("5.2.1", "", "closed"),
        ("4.2.2", "", "full"),
        ("5.1.1", "", "unknown"),
        ("5.1.3", "", "invalid"),
        ("5.3.4", "", "size"),
        ("5.7.1", "", "refused"),
        ("5.7.1", "550 L’USAGER S’EST OPPOSÉ à la messagerie", "opposed"),
        ("5.0.0", "552 message size 26300000 exceeds... Message size exceeds fixed limit", "size"),
        ("5.1.1", "La messagerie\n  est  FERMÉE", "closed"),
        ("", "profil non activé", "not_activated"),
        ("", "matricule INS inconnu", "unknown"),
        ("", "", ""),
        ("9.9.9", "???", ""),
        ("5.1.1.1", "x" * 100_000 + " quota", "unknown"),
    ],
)
def test_the_cause_of_a_return(status: str, text: str, cause: str) -> None:
    assert TABLE.cause(status, ["", text]) == cause


def test_each_cause_has_its_sentence_and_returns_are_known_by_their_subject() -> None:
    sentences = load_words().tables["patient_bounces"]
    assert set(sentences) == {cause.name for cause in TABLE.causes} | {""}
    assert TABLE.is_return("Message  non distribué : Vos résultats")
    assert TABLE.is_return("UNDELIVERED MAIL returned to sender")
    assert not TABLE.is_return("Re: Message non distribué")


def test_patients_take_25_megabytes_unless_told(tmp_path: Path) -> None:
    settings = load_mapping({"service": {"domain": "gateway.mssante.example"}}, tmp_path)
    assert settings.documents.patient_max_bytes == 25_000_000
