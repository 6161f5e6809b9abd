"""What ``gateway explain`` tells of a mail that was played for real: all that was written because of it."""

import re
import smtplib
from email.message import EmailMessage

import pytest

from gateway.explaining import Explanation, MessagePath, explain
from gateway.services import Services
from tests.support import region
from tests.support.gateway import TestGateway, words_of
from tests.support.threads import Thread, answered, open_thread


@pytest.fixture(scope="module")
def thread(served: TestGateway) -> Thread:
    return open_thread(served)


def explained(served: TestGateway, mail: EmailMessage) -> tuple[MessagePath, tuple[MessagePath, ...]]:
    """The path of a mail, and those of what was written because of it."""

    async def look(services: Services) -> Explanation | None:
        async with services.store.reading() as tx:
            return await explain(tx, str(mail["message-id"]).strip())

    served.settled()
    found = served.ask(look)
    assert found is not None
    first, *others = found.messages
    assert first.mail_id == str(mail["message-id"]).strip()
    return first, tuple(others)


def test_a_form_is_because_of_its_command_and_the_report_because_of_the_form(
    served: TestGateway, thread: Thread
) -> None:
    command = thread.expert.compose(served.service, f"Finaliser {thread.ref}")
    form = thread.expert.answer_to(thread.expert.send(command))
    asked, (sent_form,) = explained(served, command)
    assert sent_form.mail_id == str(form["message-id"]).strip()
    assert sent_form.cause == asked.id
    assert [(each.recipient, each.state) for each in sent_form.actions] == [(thread.expert.address, "done")]

    values = {"Conclusion": "Bénin.", "Suite proposée": "Surveillance"}
    filled = thread.expert.send(answered(thread.expert, form, values))
    confirmation = thread.expert.answer_to(filled)
    report, _ = thread.report(thread.requester)
    finalisation, written = explained(served, filled)
    assert {each.cause for each in written} == {finalisation.id}
    by_mail_id = {each.mail_id: each for each in written}
    assert str(confirmation["message-id"]).strip() in by_mail_id
    posted = by_mail_id[str(report["message-id"]).strip()]
    assert [event.kind for event in posted.events] == ["posted"]
    done = {(each.action, each.recipient) for each in posted.actions if each.state == "done"}
    readers = (thread.requester.address, thread.expert.address)
    assert {("deliver", reader) for reader in readers} <= done
    assert any(action == "file" for action, _ in done)
    assert {event.kind for event in finalisation.events} >= {"completed", "report_made"}


def test_a_synthesis_is_because_of_who_asked_for_it(served: TestGateway, thread: Thread) -> None:
    command = thread.requester.compose(served.service, f"Synthèse {thread.ref}")
    answer = thread.requester.answer_to(thread.requester.send(command))
    asked, (written,) = explained(served, command)
    assert (written.mail_id, written.cause) == (str(answer["message-id"]).strip(), asked.id)
    assert [each.action for each in asked.actions] == ["synthesis"]


def test_what_a_released_letter_brings_is_because_of_the_letter(served: TestGateway) -> None:
    thread = open_thread(served)
    doubtful = thread.expert.reply(thread.question(thread.expert), "Autre chose.")
    for name in ("In-Reply-To", "References", "Subject"):
        del doubtful[name]
    doubtful["Subject"] = "Bonjour"
    question = thread.expert.answer_to(thread.expert.send(doubtful))
    held, (asking,) = explained(served, doubtful)
    assert asking.mail_id == str(question["message-id"]).strip()
    assert held.audit[0].result.startswith("held: ")

    token = re.search(r"objet : (Confirmer \w+)", words_of(question))
    assert token is not None
    confirmation = thread.expert.send(thread.expert.compose(served.service, token[1]))
    thread.copy_of(thread.requester, doubtful)
    released, written = explained(served, doubtful)
    assert {each.cause for each in written} == {released.id}
    notified = {each.recipient for mail in written for each in mail.actions}
    assert thread.requester.address in notified
    assert len(written) > 1
    assert explained(served, confirmation)[1] == ()


def test_a_receipt_is_because_of_the_mail_that_was_delivered(served: TestGateway) -> None:
    sender, reader = served.client(region.GP), served.client(region.DERMATOLOGIST)
    mail = sender.compose(reader.address, "Avec accusé")
    with smtplib.SMTP("localhost", served.submission_port, timeout=30) as session:
        session.starttls(context=served.tls)
        session.login(sender.address, sender.password)
        session.sendmail(
            sender.address, [reader.address], mail.as_bytes(), rcpt_options=["NOTIFY=SUCCESS,FAILURE"]
        )
    ordinary, (receipt,) = explained(served, mail)
    assert receipt.cause == ordinary.id
    assert [(each.recipient, each.state) for each in receipt.actions] == [(sender.address, "done")]
