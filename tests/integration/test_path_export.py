"""Exports by mail: who orders one gets the activity of the accounts that they may act for, no other."""

from __future__ import annotations

import csv
import io
import smtplib
from email.message import EmailMessage

import pytest

from tests.support import region
from tests.support.gateway import TestGateway, refusal_text, text_of, words_of
from tests.support.threads import Thread, attachments, open_thread


@pytest.fixture(scope="module")
def thread(served: TestGateway) -> Thread:
    return open_thread(served)


def rows_of(mail: EmailMessage) -> list[dict[str, str]]:
    ((name, content),) = attachments(mail).items()
    assert name.startswith("teleexpertises_")
    assert name.endswith(".csv")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"))


def test_a39_each_side_gets_its_own_pending_rows(thread: Thread) -> None:
    for client, role in ((thread.requester, "demandeur"), (thread.expert, "expert")):
        mail = client.ask_service("Export en cours csv")
        (row,) = [row for row in rows_of(mail) if row["Référence"] == thread.ref]
        assert row["Rôle"] == role
        assert "données de santé" in text_of(mail)
        assert "demandez « xlsx »" in words_of(mail), "a spreadsheet takes the zero from a number of Ain"
        assert thread.ref not in str(mail["subject"])
    mail = thread.expert.ask_service("Export demandeur en cours csv")
    assert all(row["Rôle"] == "demandeur" for row in rows_of(mail))
    assert thread.ref not in {row["Référence"] for row in rows_of(mail)}


def test_a40_finalised_rows_carry_the_act_and_both_numbers(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.finalise(thread.expert)
    (row,) = [
        row
        for row in rows_of(thread.expert.ask_service("Export expert csv"))
        if row["Référence"] == thread.ref
    ]
    assert row["État"] == "terminée"
    assert row["Acte"] in ("TE2", "")
    assert row["Compte du correspondant"] == thread.requester.address
    assert row["Patient : nom de naissance"] == thread.values["Nom de naissance"]


def test_a38_a_delegate_gets_the_activity_of_whom_they_act_for(thread: Thread, served: TestGateway) -> None:
    secretary = served.client(region.SECRETARY)
    accounts = {row["Compte"] for row in rows_of(secretary.ask_service("Export en cours csv"))}
    assert thread.requester.address in accounts


def test_a38_a_stranger_gets_nothing_and_is_refused_others(thread: Thread, served: TestGateway) -> None:
    stranger = served.client(region.STRANGER)
    # Other modules let this person ask for advice of their own.
    assert thread.ref not in {row["Référence"] for row in rows_of(stranger.ask_service("Export csv"))}
    mail = stranger.compose(served.service, f"Export pour {thread.requester.address} csv")
    with pytest.raises(smtplib.SMTPException) as refusal:
        stranger.send(mail)
    assert refusal_text(refusal.value).startswith("550 5.7.1")


def test_a37_an_order_with_a_mistake_is_told_back(served: TestGateway) -> None:
    mail = served.client(region.GP).ask_service("Export expert 31/02/2026 pdf")
    assert attachments(mail) == {}
    assert "« 31/02/2026 », « pdf »" in text_of(mail).replace("\N{NO-BREAK SPACE}", " ")
