"""A tele-expertise with members at another operator, whose mail server is Debian's Postfix."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from typing import Any

import pypdf
import pytest

from gateway.services import Services
from gateway.store.rows import OutboxRow, OutboxState
from tests.support import region
from tests.support.gateway import Client, eventually, octets_after_header, text_of, words_of
from tests.support.operators import opened
from tests.support.postfix import AUTRE, UNKNOWN, ForeignClient, Operators, operators
from tests.support.threads import attach, attachments, photo

pytestmark = pytest.mark.timeout(120)

MUTE = "muet.mssante.example"


@pytest.fixture(scope="module")
def both() -> Iterator[Operators]:
    with operators({MUTE: "mute"}, retry_minutes=[30]) as made:
        yield made


@pytest.fixture
def doctor(both: Operators) -> ForeignClient:
    """A doctor at the other operator."""
    return both.foreigner("luc.morel", "Dr Luc MOREL")


@pytest.fixture
def expert(both: Operators) -> Client:
    return both.gateway.client(region.DERMATOLOGIST)


@pytest.fixture
def requester(both: Operators) -> Client:
    return both.gateway.client(region.GP)


def raw_copy(client: Client, sent: EmailMessage) -> bytes:
    """The octets of a mail that somebody sent as a client has them, as soon as it has."""
    mark = str(sent["message-id"]).encode()

    def look() -> bytes | None:
        folders = ("INBOX", "Téléexpertises")
        raws = [raw for folder in folders for raw, _ in client.raw_mails(folder)]
        return next((raw for raw in raws if b"Message-ID: " + mark in raw), None)

    return eventually(look, f"a mail at {client.address}")


def verified(raw: bytes, both: Operators, folder: Path) -> None:
    """The reader at the other side judges our signature with openssl and the common root alone."""
    mail = folder / "mail.eml"
    mail.write_bytes(raw)
    root = both.gateway.settings.pki.anchors
    judged = subprocess.run(
        ["openssl", "cms", "-verify", "-in", mail, "-CAfile", root, "-out", folder / "content"],
        capture_output=True,
        timeout=60,
    )
    assert judged.returncode == 0, judged.stderr.decode()


def outbox(both: Operators, recipient: str) -> list[OutboxRow]:
    """The actions for a recipient, whatever became of them."""

    async def read(services: Services) -> list[OutboxRow]:
        async with services.store.reading() as tx:
            rows = await tx.outbox.list(list(OutboxState))
        return [row for row in rows if row.recipient == recipient]

    found: list[OutboxRow] = both.gateway.ask(read)
    return found


def retried_now(both: Operators, recipient: str) -> None:
    """What `gateway queue retry` does: the waiting actions for a recipient are due at once."""

    async def due(services: Services) -> None:
        async with services.store.transaction() as tx:
            for row in await tx.outbox.list([OutboxState.PENDING]):
                if row.recipient == recipient:
                    await tx.outbox.retry(row, row.last_error, services.clock())

    both.gateway.ask(due)


def quiet(both: Operators) -> None:
    """Wait until neither side has anything left to send."""
    for _ in range(2):
        both.gateway.settled()
        eventually(lambda: not both.postfix.queued(), "an empty queue of Postfix")


def test_a_foreign_doctor_asks_our_expert_from_request_to_report(
    both: Operators, doctor: ForeignClient, expert: Client, tmp_path: Path
) -> None:
    directory = doctor.ask_service("Annuaire dermatologie 43")
    assert "Rémy PERRET" in text_of(directory)
    thread = opened(doctor, expert, both.gateway.service)

    question = thread.question(expert)
    assert attachments(question)["photo é.jpg"] == thread.photos[0][1]
    thread.question(doctor)

    answer = attach(expert.reply(question, "Exérèse conseillée.\n\nDélai : dix jours."), photo("schéma.jpg"))
    expert.send(answer)
    received = raw_copy(doctor, answer)
    assert octets_after_header(received) == octets_after_header(answer.as_bytes())

    reply = doctor.reply(thread.copy_of(doctor, answer), "Merci. Faut-il arrêter l'anticoagulant ?")
    doctor.send(reply)
    received = raw_copy(expert, reply)
    assert octets_after_header(received) == octets_after_header(reply.as_bytes())
    thread.copy_of(expert, reply)

    thread.finalise(expert, "Exérèse complète.")
    report, pdf = thread.report(doctor)
    assert str(report["x-tle-state"]) == "completed"
    text = "".join(page.extract_text() for page in pypdf.PdfReader(BytesIO(pdf)).pages)
    assert thread.values["Nom de naissance"] in text
    assert "Luc MOREL" in text
    ours = [raw for raw, _ in doctor.raw_mails() if b"multipart/signed" in raw]
    assert len(ours) >= 5
    for raw in ours:
        verified(raw, both, tmp_path)


def test_replies_of_a_foreign_member_come_back_to_nobody_there(
    both: Operators, doctor: ForeignClient, expert: Client
) -> None:
    thread = opened(doctor, expert, both.gateway.service)
    reply = doctor.reply(thread.question(doctor), "Précision : lésion apparue en mai.")
    doctor.send(reply)
    thread.copy_of(expert, reply)
    quiet(both)
    copies = [mail for mail in doctor.mails() if mail["message-id"] == reply["message-id"]]
    assert not copies


def test_a_guest_at_the_other_operator_is_invited_by_cc(
    both: Operators, requester: Client, expert: Client
) -> None:
    guest = both.foreigner("ines.garnier", "Mme Inès GARNIER")
    thread = opened(requester, expert, both.gateway.service)
    invitation = requester.reply(thread.question(requester), "Je mets l'infirmière en copie.")
    invitation["Cc"] = guest.address
    requester.send(invitation)
    got = raw_copy(guest, invitation)
    assert octets_after_header(got) == octets_after_header(invitation.as_bytes())

    sent = guest.send(guest.reply(thread.copy_of(guest, invitation), "Bien reçu, pansement fait."))
    for member in (requester, expert):
        assert octets_after_header(raw_copy(member, sent)) == octets_after_header(sent.as_bytes())


def attached_original(raw: bytes) -> bytes:
    """The octets of the mail attached to a mail of ours: as they are, or in base64 where they hold 8 bits."""
    kind, _, rest = raw.partition(b"Content-Type: message/")[2].partition(b"\r\n")
    header, _, body = rest.partition(b"\r\n\r\n")
    body = body.partition(b"\r\n--=_mixed")[0]
    assert kind == (b"global" if b"base64" in header else b"rfc822")
    return base64.b64decode(body) if kind == b"global" else body


@pytest.mark.parametrize("encoding", ["quoted-printable", "8bit"])
def test_a_foreign_authors_mail_reaches_a_foreign_member_inside_a_signed_mail_of_ours(
    both: Operators, doctor: ForeignClient, expert: Client, tmp_path: Path, encoding: str
) -> None:
    guest = both.foreigner("paul.girard", "Dr Paul GIRARD")
    thread = opened(doctor, expert, both.gateway.service)
    picture = photo("nævus.jpg")
    sent = doctor.reply(thread.question(doctor), "")
    sent.set_content("Voici la vue rapprochée.", cte=encoding)
    attach(sent, picture)["Cc"] = f"{guest.name} <{guest.address}>"
    doctor.send(sent, [str(sent["to"].addresses[0].addr_spec)])

    told = thread.wait(guest, lambda mail: "vue rapprochée" in whole_text(mail))
    assert "teleexpertise@" in str(told["from"])
    assert "Luc MOREL" in str(told["from"])
    assert attachments(told)["nævus.jpg"] == picture[1]
    raw = next(raw for raw, _ in guest.raw_mails() if str(told["message-id"]).encode() in raw)
    # What Postfix put before it on its way to us is there too.
    assert attached_original(raw).endswith(sent.as_bytes())
    verified(raw, both, tmp_path)

    reply = guest.send(guest.reply(told, "D'accord avec cette conduite."))
    assert octets_after_header(raw_copy(expert, reply)) == octets_after_header(reply.as_bytes())
    thread.wait(doctor, lambda mail: "Paul GIRARD" in str(mail["from"]))


@pytest.mark.parametrize(
    "name", ["parti", UNKNOWN], ids=["bounced after it was accepted", "refused by the other host"]
)
def test_a_member_who_cannot_be_reached_is_told_to_the_author_once(
    both: Operators, requester: Client, expert: Client, name: str
) -> None:
    lost = f"{name}@{AUTRE}"
    thread = opened(requester, expert, both.gateway.service)
    sent = requester.reply(thread.question(requester), "Je mets un confrère en copie.")
    sent["Cc"] = lost
    requester.send(sent)
    told = requester.wait(lambda mail: lost in whole_text(mail) and "remis" in whole_text(mail).lower())
    assert thread.ref in str(told["subject"])
    assert str(told["auto-submitted"]) != "no"
    thread.copy_of(expert, sent)
    quiet(both)
    counts = mail_counts(both, requester, expert)
    quiet(both)
    assert mail_counts(both, requester, expert) == counts
    assert not both.postfix.queued()


def whole_text(mail: EmailMessage) -> str:
    """Its plain text on one line, '' for a mail without."""
    return words_of(mail) if mail.get_body(("plain",)) else ""


def mail_counts(both: Operators, *clients: Client) -> list[Any]:
    """How many mails everybody has."""
    ours = [len(client.mails(folder)) for client in clients for folder in ("INBOX", "Téléexpertises")]
    boxes = (both.postfix.folder / "mail").glob("*/new/*")
    return [*ours, len(list(boxes))]


def test_mail_for_an_operator_who_is_away_waits_is_tried_again_and_then_reported(
    both: Operators, requester: Client
) -> None:
    away = f"anne.duval@{MUTE}"
    sent = requester.send(requester.compose(away, "Rendez-vous", "Bonjour."))
    (row,) = eventually(
        lambda: [row for row in outbox(both, away) if row.attempts and not row.claimed_until],
        "a failed attempt",
    )
    assert row.state is OutboxState.PENDING
    assert 29 < (row.next_at - row.first_at).total_seconds() / 60 < 31
    assert not [mail for mail in requester.mails() if away in whole_text(mail)]

    retried_now(both, away)
    report = requester.wait(lambda mail: mail.get_content_type() == "multipart/report")
    assert away in whole_text(report)
    status = next(part for part in report.walk() if part.get_content_type() == "message/delivery-status")
    assert "Action: failed" in status.as_string()
    assert str(sent["message-id"]) in report.as_string()
    assert [row.state for row in outbox(both, away)] == [OutboxState.FAILED]
