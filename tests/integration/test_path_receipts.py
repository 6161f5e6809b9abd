"""Receipts over the whole gateway: made when asked for, noted from others, never answered, never looping."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP

import pytest

from gateway.cli.conversations import delivery_states
from gateway.relay.mdn import read_receipt
from gateway.services import Services
from tests.support import region
from tests.support.gateway import Client, TestGateway, eventually, text_of, words_of
from tests.support.threads import FOLDER, Thread, open_thread


def mdn(client: Client, to: str, original: str, fields: str, subject: str = "Lu") -> bytes:
    """A receipt as a client writes it."""
    text = (
        f"From: {client.address}\r\nTo: {to}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
        f"Message-ID: <mdn-{abs(hash((client.address, original, fields)))}@client.example>\r\n"
        "Date: Mon, 01 Jun 2026 10:00:00 +0200\r\n"
        'Content-Type: multipart/report; report-type=disposition-notification; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nVu.\r\n--b\r\n"
        "Content-Type: message/disposition-notification\r\n\r\n"
        f"Final-Recipient: rfc822; {client.address}\r\nOriginal-Message-ID: {original}\r\n{fields}--b--\r\n"
    )
    return text.encode()


READ = "Disposition: manual-action/MDN-sent-manually; displayed\r\n"
FAILED_OLD = "Disposition: automatic-action/MDN-sent-automatically; processed/Error: 902^Patient inconnu\r\n"
FAILED_NEW = (
    "Disposition: automatic-action/MDN-sent-automatically; processed/error\r\nError: 904^INS autre\r\n"
)


def told(served: TestGateway, thread: Thread) -> dict[tuple[str, str], str]:
    """What the recipients' sides said of mails: (Message-ID, recipient) -> word."""

    async def look(services: Services) -> dict[tuple[str, str], str]:
        async with services.store.reading() as tx:
            row = await tx.conversations.by_ref(thread.ref)
            assert row is not None
            return {
                (receipt["mail_id"], receipt["recipient"]): receipt["word"]
                for receipt in row.projection.folded["receipts"]
            }

    return dict(served.ask(look))


def deliveries(served: TestGateway, thread: Thread) -> set[tuple[str, str, str]]:
    """What ``gateway conversation show`` lists: recipient, state, told."""

    async def look(services: Services) -> set[tuple[str, str, str]]:
        async with services.store.reading() as tx:
            row = await tx.conversations.by_ref(thread.ref)
            assert row is not None
            return {(d.recipient, d.state, d.told) for d in await delivery_states(tx, row.id)}

    return set(served.ask(look))


def mails_of(client: Client) -> int:
    return len(client.mails()) + len(client.mails(FOLDER))


@pytest.fixture(scope="module")
def finished(served: TestGateway) -> Thread:
    thread = open_thread(served)
    thread.tell(thread.expert, "Une lésion bénigne.")
    thread.finalise(thread.expert)
    thread.report(thread.requester)
    thread.report(thread.expert)
    served.settled()
    return thread


def test_a_mail_that_asks_the_service_gets_one_receipt(served: TestGateway) -> None:
    client = served.client(region.GP)
    asked = client.compose(served.service, "Annuaire dermatologie")
    asked["Disposition-Notification-To"] = f"<{client.address}>"
    client.send(asked)

    def receipt() -> bytes | None:
        for raw, _ in client.raw_mails():
            report = read_receipt(raw)
            if report is not None and report.message_id == str(asked["message-id"]):
                return raw
        return None

    raw = eventually(receipt, "a receipt")
    assert b"\r\nAuto-Submitted: auto-replied\r\n" in raw
    assert b"Return-Path: <>" in raw
    assert b"automatic-action/MDN-sent-automatically; processed" in raw
    assert b"displayed" not in raw
    served.settled()
    before = mails_of(client)
    # Answering it by a receipt that asks for one again ends there.
    answer = mdn(client, served.service, "<x@y.example>", READ)
    again = answer.replace(
        b"MIME-Version", b"Disposition-Notification-To: " + client.address.encode() + b"\r\nMIME-Version"
    )
    for sender in (client.address, ""):
        client.send_bytes(again, [served.service], sender)
    served.settled()
    assert mails_of(client) == before


@pytest.mark.parametrize("to", ["another", "two", "the service", "automatic", "required"])
def test_a_request_that_could_loop_or_reach_others_is_not_followed(served: TestGateway, to: str) -> None:
    client = served.client(region.GP)
    mail = client.compose(served.service, f"Annuaire dermatologie {to}")
    asked = {
        "another": region.DERMATOLOGIST.address,
        "two": f"{client.address}, {region.DERMATOLOGIST.address}",
        "the service": served.service,
    }.get(to, client.address)
    mail["Disposition-Notification-To"] = asked
    if to == "automatic":
        mail["Auto-Submitted"] = "auto-generated"
    if to == "required":
        mail["Disposition-Notification-Options"] = "signed-receipt-protocol=required,pkcs7-signature"
    client.send(mail)
    served.settled()
    for reader in (client, served.client(region.DERMATOLOGIST)):
        reports = [read_receipt(raw) for raw, _ in reader.raw_mails()]
        assert not any(report and report.message_id == str(mail["message-id"]) for report in reports)


def test_a_members_letter_that_asks_gets_processed_and_not_displayed(served: TestGateway) -> None:
    thread = open_thread(served)
    thread.question(thread.expert)
    reply = thread.expert.reply(thread.seen_by(thread.expert)[-1], "Je regarde.")
    reply["Disposition-Notification-To"] = thread.expert.address
    thread.expert.send(reply)
    thread.copy_of(thread.requester, reply)

    def receipt() -> bool | None:
        reports = [read_receipt(raw) for raw, _ in thread.expert.raw_mails()]
        return any(r and r.message_id == str(reply["message-id"]) for r in reports) or None

    eventually(receipt, "a receipt")
    # The requester's client may tell the expert itself: passed on as it is, and noted.
    answer = mdn(thread.requester, thread.expert.address, str(reply["message-id"]), READ)
    thread.requester.send_bytes(answer, [thread.expert.address], "")
    key = (str(reply["message-id"]), thread.requester.address)
    eventually(lambda: told(served, thread).get(key) == "displayed" or None, "the read state")
    served.settled()
    got = [
        raw for raw, _ in thread.expert.raw_mails() if b"manual-action/MDN-sent-manually; displayed" in raw
    ]
    assert len(got) == 1
    assert (thread.requester.address, "delivered", "displayed") in deliveries(served, thread)
    assert (thread.expert.address, "delivered", "") in deliveries(served, thread)


def report_of(thread: Thread, client: Client) -> tuple[EmailMessage, str]:
    """The mail with the report, and where it asks receipts to."""
    mail, _ = thread.report(client)
    address = str(mail["disposition-notification-to"]).strip("<> ")
    assert address == str(mail["return-path"]).strip("<> \r\n"), (
        "else no automatic receipt comes (RFC 8098 §2.1)"
    )
    return mail, address


def test_a_report_asks_what_became_of_it_and_the_answer_is_shown(
    finished: Thread, served: TestGateway
) -> None:
    mail, address = report_of(finished, finished.requester)
    before = (mails_of(finished.requester), mails_of(finished.expert))
    for sender in ("", finished.requester.address):
        answer = mdn(finished.requester, address, str(mail["message-id"]), READ)
        finished.requester.send_bytes(answer, [address], sender)
    served.settled()
    assert told(served, finished)[str(mail["message-id"]), finished.requester.address] == "displayed"
    assert (mails_of(finished.requester), mails_of(finished.expert)) == before
    assert finished.state(finished.expert) == "completed"


def test_a_failed_integration_is_told_once_to_who_finalised(finished: Thread, served: TestGateway) -> None:
    mail, address = report_of(finished, finished.requester)
    served.settled()
    before = mails_of(finished.requester)
    for _ in range(3):
        answer = mdn(finished.requester, address, str(mail["message-id"]), FAILED_OLD, "[KO Intégration]")
        finished.requester.send_bytes(answer, [address], "")
    served.settled()

    def shown() -> list[EmailMessage]:
        return [
            each for each in finished.expert.mails()
            if "Document non intégré" in str(each["subject"]) and finished.ref in str(each["subject"])
        ]  # fmt: skip

    (notice,) = shown()
    assert "Le patient n'y est pas connu." in words_of(notice)
    assert "902" in words_of(notice)
    assert finished.requester.address in words_of(notice)
    assert notice["in-reply-to"] == mail["message-id"], "it stands in the thread"
    assert notice["auto-submitted"] == "auto-replied"
    assert mails_of(finished.requester) == before
    assert finished.state(finished.expert) == "completed"
    # The newer form, with another error, is another failure.
    answer = mdn(finished.requester, address, str(mail["message-id"]), FAILED_NEW)
    finished.requester.send_bytes(answer, [address], "")
    served.settled()
    assert len(shown()) == 2
    assert any("L'INS du document" in words_of(each) for each in shown())


def test_the_plain_mail_of_a_failed_integration_is_understood(served: TestGateway) -> None:
    thread = open_thread(served)
    sent = thread.tell(thread.requester, "Voici un document.")
    failure = EmailMessage(policy=SMTP)
    failure["From"], failure["To"] = thread.expert.address, served.service
    failure["Subject"] = "[KO Intégration système !][903] XDM/1.0/DDM+CR XX YY"
    failure["Message-ID"] = f"<ko-{thread.ref}@client.example>"
    failure.set_content("Le message ci-dessous n'a pas pu être intégré.")
    failure["In-Reply-To"] = str(sent["message-id"])
    thread.expert.send_bytes(failure.as_bytes(policy=SMTP), [served.service])
    notice = thread.requester.wait(
        lambda mail: "Document non intégré" in str(mail["subject"]) and thread.ref in str(mail["subject"])
    )
    assert "INS" in text_of(notice)
    assert thread.state(thread.expert) == "requested"


def test_a_receipt_of_somebody_who_never_had_the_mail_says_nothing(
    finished: Thread, served: TestGateway
) -> None:
    mail, _ = report_of(finished, finished.requester)
    stranger = served.client(region.NURSE)
    answer = mdn(stranger, served.service, str(mail["message-id"]), FAILED_OLD)
    stranger.send_bytes(answer, [served.service], "")
    served.settled()
    assert (str(mail["message-id"]), stranger.address) not in told(served, finished)
