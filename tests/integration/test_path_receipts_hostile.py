"""Receipts as attacks: of receipts, of unknown mails, from people who never had them, in odd shapes."""

from __future__ import annotations

import pytest

from gateway.services import Services
from tests.support import region
from tests.support.gateway import Client, TestGateway
from tests.support.threads import FOLDER, Thread, open_thread

FINAL = "Disposition: automatic-action/MDN-sent-automatically; processed/Error: 902^Patient inconnu\r\n"


def mdn(author: str, to: str, original: str, fields: str = FINAL, *, more: str = "") -> bytes:
    """A receipt of a failed integration; ``more`` are header fields."""
    return (
        f"From: {author}\r\nTo: {to}\r\nSubject: Lu\r\nMIME-Version: 1.0\r\n"
        f"Message-ID: <{abs(hash((author, original, fields, more)))}@hostile.example>\r\n"
        f"Date: Mon, 01 Jun 2026 10:00:00 +0200\r\n{more}"
        'Content-Type: multipart/report; report-type=disposition-notification; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nVu.\r\n--b\r\n"
        "Content-Type: message/disposition-notification\r\n\r\n"
        f"Final-Recipient: rfc822; {author}\r\nOriginal-Message-ID: {original}\r\n{fields}--b--\r\n"
    ).encode()


@pytest.fixture(scope="module")
def thread(served: TestGateway) -> Thread:
    made = open_thread(served)
    made.tell(made.expert, "Une lésion bénigne.")
    made.finalise(made.expert)
    made.report(made.requester)
    made.report(made.expert)
    served.settled()
    return made


def traces(served: TestGateway, thread: Thread) -> tuple[int, int, int, int]:
    """What an attack must not change: receipts and events of the thread, mails of both of its members."""

    async def look(services: Services) -> tuple[int, int]:
        async with services.store.reading() as tx:
            row = await tx.conversations.by_ref(thread.ref)
            assert row is not None
            return len(row.projection.folded["receipts"]), row.next_seq

    served.settled()
    receipts, seq = served.ask(look)
    return receipts, seq, _mails(thread.requester), _mails(thread.expert)


def _mails(client: Client) -> int:
    return len(client.mails()) + len(client.mails(FOLDER))


def report_mail(thread: Thread) -> tuple[str, str]:
    """The report's Message-ID and where it asks receipts to."""
    mail, _ = thread.report(thread.requester)
    return str(mail["message-id"]), str(mail["disposition-notification-to"]).strip("<> ")


def test_a_receipt_of_a_receipt_is_nothing(served: TestGateway, thread: Thread) -> None:
    client = thread.requester
    asked = client.compose(served.service, "Annuaire dermatologie")
    asked["Disposition-Notification-To"] = f"<{client.address}>"
    client.send(asked)
    ours = client.wait(lambda mail: str(mail["subject"]).startswith("Accusé"))
    before = traces(served, thread)
    for to in (served.service, report_mail(thread)[1]):
        for sender in (client.address, ""):
            more = f"Disposition-Notification-To: {client.address}\r\n"
            receipt = mdn(client.address, to, str(ours["message-id"]), more=more)
            client.send_bytes(receipt, [to], sender)
    assert traces(served, thread) == before


def test_a_receipt_of_a_mail_that_nobody_sent_is_nothing(served: TestGateway, thread: Thread) -> None:
    before = traces(served, thread)
    for original in (
        "<never@gateway.mssante.example>",
        "<>",
        "",
        "no id at all",
        f"<{'x' * 900}@y.example>",
    ):
        thread.requester.send_bytes(mdn(thread.requester.address, served.service, original), [served.service])
    _, address = report_mail(thread)
    thread.requester.send_bytes(mdn(thread.requester.address, address, "<never@x.example>"), [address], "")
    assert traces(served, thread) == before


def test_who_acts_for_a_reader_tells_of_the_reading(served: TestGateway, thread: Thread) -> None:
    original, asked_to = report_mail(thread)
    secretary = served.client(region.SECRETARY)
    before = traces(served, thread)
    fields = "Disposition: manual-action/MDN-sent-manually; dispatched\r\n"
    secretary.send_bytes(mdn(secretary.address, asked_to, original, fields), [asked_to], "")
    assert traces(served, thread)[0] == before[0] + 1


def test_a_receipt_forged_by_who_never_had_the_mail_is_nothing(served: TestGateway, thread: Thread) -> None:
    original, asked_to = report_mail(thread)
    stranger = served.client(region.STRANGER)
    before = traces(served, thread)
    reply = str(thread.seen_by(thread.expert)[-1]["reply-to"]).partition("<")[2].rstrip(">")
    # The address that a report asks receipts to goes along where its reader passes it on.
    for to in (served.service, reply, asked_to):
        stranger.send_bytes(mdn(stranger.address, to, original), [to], "")
        # Whose reading it claims to tell is of no account: the login says who writes.
        claimed = mdn(stranger.address, to, original).replace(
            f"rfc822; {stranger.address}".encode(), f"rfc822; {thread.requester.address}".encode()
        )
        stranger.send_bytes(claimed, [to], "")
    assert traces(served, thread) == before


ODD = {
    "nested in mixed": ("multipart/report; report", "multipart/mixed; report"),
    "other boundary": ("--b\r\nContent-Type: message", "--c\r\nContent-Type: message"),
    "no fields": ("Disposition:", "X-Disposition:"),
    "unknown disposition": ("processed/Error", "swallowed/Error"),
    "two dispositions": ("Disposition:", "Disposition: a/b; swallowed\r\nDisposition:"),
    "encoded": (
        "Content-Type: message/disposition-notification",
        "Content-Transfer-Encoding: base64\r\nContent-Type: message/disposition-notification",
    ),
    "charset": ("902^Patient inconnu", "902^" + "\x1b[2J" * 20),
}


@pytest.mark.parametrize("shape", ODD)
def test_odd_shapes_are_nothing_or_told_once_and_change_no_state(
    served: TestGateway, thread: Thread, shape: str
) -> None:
    original, address = report_mail(thread)
    before = traces(served, thread)
    before_word, after_word = (word.encode() for word in ODD[shape])
    raw = mdn(thread.requester.address, address, original).replace(before_word, after_word)
    for _ in range(2):
        thread.requester.send_bytes(raw, [address], "")
    after = traces(served, thread)
    assert after[0] - before[0] <= 1
    assert after[3] - before[3] <= 1, "who finalised hears of a failure once"
    assert after[2] == before[2], "no receipt is answered"
    assert thread.state(thread.expert) == "completed"


def test_an_immense_receipt_is_bounded(served: TestGateway, thread: Thread) -> None:
    original, address = report_mail(thread)
    before = traces(served, thread)
    line = "X-Filler: " + "y" * 900 + "\r\n"
    thread.requester.send_bytes(
        mdn(thread.requester.address, address, original, line * 3000 + FINAL), [address], ""
    )
    parts = "--b\r\nContent-Type: message/disposition-notification\r\n\r\n" + FINAL
    thread.requester.send_bytes(mdn(thread.requester.address, address, original, parts * 200), [address], "")
    after = traces(served, thread)
    assert after[0] - before[0] <= 1
    assert after[3] - before[3] <= 1
    assert after[2] == before[2]


def test_as_many_words_as_a_member_may_tell_are_bounded(served: TestGateway, thread: Thread) -> None:
    original, address = report_mail(thread)
    before = traces(served, thread)
    for code in (*range(898, 910), "x", "", "9" * 50):
        fields = f"Disposition: a/b; processed/Error: {code}^texte {code}\r\n"
        thread.requester.send_bytes(mdn(thread.requester.address, address, original, fields), [address], "")
    after = traces(served, thread)
    # Seven national codes and "another": what is not known is one thing, however it is spelled.
    assert after[0] - before[0] <= 8
    assert after[3] - before[3] <= 8
