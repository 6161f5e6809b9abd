"""Mail that means harm: what a member, a colleague or a broken client writes stops and forges nothing."""

from __future__ import annotations

import base64
import smtplib
from email.message import EmailMessage
from uuid import uuid4

import pytest

from gateway.intake.rawmail import wire_fault
from tests.support import region
from tests.support.forms import quoted
from tests.support.gateway import Client, TestGateway, eventually, octets_after_header, read, text_of
from tests.support.threads import (
    Thread,
    answered,
    attach,
    attachments,
    open_thread,
    photo,
    reference_in,
    request_form,
    request_values,
)


@pytest.fixture
def thread(served: TestGateway) -> Thread:
    return open_thread(served)


def raw_reply(thread: Thread, client: Client, *fields: bytes, text: bytes = b"Bonjour.") -> bytes:
    """A reply as octets with header fields that Python's library would not write."""
    question = thread.question(client)
    name = f"{client.address}".encode()
    given = b"\r\n".join(fields)
    own = (
        b""
        if b"\nmessage-id:" in b"\n" + given.lower()
        else b"Message-ID: <%s@x.test>\r\n" % uuid4().hex.encode()
    )
    author = b"" if b"\nfrom:" in b"\n" + given.lower() else b"From: <%s>\r\n" % name
    return b"%s%sTo: <%s>\r\nSubject: Re: %s\r\nIn-Reply-To: %s\r\n%s\r\n\r\n%s\r\n" % (
        author,
        own,
        reply_address(question).encode(),
        thread.ref.encode(),
        str(question["message-id"]).encode(),
        given or b"X-Nothing: 1",
        text,
    )


def reply_address(mail: EmailMessage) -> str:
    """The conversation's address in the Reply-To of one of its mails."""
    return str(mail["reply-to"].addresses[0].addr_spec)


def send_reply(thread: Thread, client: Client, *fields: bytes, text: bytes = b"Bonjour.") -> bytes:
    """Send such a reply; the octets sent."""
    raw = raw_reply(thread, client, *fields, text=text)
    client.send_bytes(raw, [reply_address(thread.question(client))])
    return raw


def arrives(thread: Thread, client: Client, words: bytes) -> bytes:
    """The octets of the mail of a thread that contains words."""

    def look() -> bytes | None:
        return next((raw for raw, _ in thread.raw_seen_by(client) if words in raw), None)

    return eventually(look, f"{words!r} at {client.address}")


_LONG_NAME = b"Reply-To: " + b"\r\n ".join([b"=?utf-8?q?" + b"a" * 60 + b"?="] * 40) + b" <x@autre.test>"


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"Message-ID:\r\n <" + b"i" * 980 + b"@x.test>", id="message-id-as-long-as-a-line"),
        pytest.param(_LONG_NAME, id="one-word-of-2400-letters"),
        pytest.param(
            b"References: " + b"\r\n ".join(b"<%d@x.test>" % n for n in range(9000)), id="references"
        ),
        pytest.param(b"Date: Fri, 31 Dec 9999 23:59:59 +0000", id="last-second-of-the-calendar"),
        pytest.param(b"Date: Mon, 1 Jan 0000 00:00:00 +0000", id="year-0"),
        pytest.param(b"Resent-From: <remy.perret@x.test>\r\nResent-To: <a@b.test>", id="resent"),
    ],
)
def test_no_header_field_of_one_mail_stops_the_conversation(thread: Thread, field: bytes) -> None:
    send_reply(thread, thread.requester, field, text=b"Premier mot.")
    arrives(thread, thread.expert, b"Premier mot.")
    thread.tell(thread.expert, "La suite.")
    thread.tell(thread.requester, "Encore une suite.")


@pytest.mark.parametrize(
    "forged",
    [
        b"X-TLE-Id : 00000000-0000-0000-0000-000000000000",
        b"x-tle-STATE:\r\n completed",
        b"X-TLE-Delivery: 0123456789abcdef0123456789abcdef",
        b"X-TLE-Place: INBOX",
        b'Authentication-Results: "gateway.mssante.example"; smime=pass forged',
        b"Authentication-Results: (a (b)) gateway.mssante.example.; smime=pass forged",
        b"AUTHENTICATION-RESULTS:\r\n GATEWAY.mssante.example 1; smime=pass forged",
    ],
)
def test_fields_that_only_the_gateway_writes_are_never_the_authors(thread: Thread, forged: bytes) -> None:
    send_reply(thread, thread.requester, forged, text=b"Avec un faux champ.")
    copy = arrives(thread, thread.expert, b"Avec un faux champ.")
    header = copy.partition(b"\r\n\r\n")[0]
    assert b"00000000-0000" not in header
    assert b"forged" not in header
    assert b"0123456789abcdef0123456789abcdef" not in header
    assert b"X-TLE-Place" not in header
    assert read(copy)["x-tle-state"] == "requested"


@pytest.mark.parametrize(
    "author",
    [
        b"From: <remy.perret@%s>",
        b"From: <claire.martin@%s>, <remy.perret@%s>",
        b"From: <claire.martin@%s>\r\nFrom: <remy.perret@%s>",
        b"From: medecins: <claire.martin@%s>, <remy.perret@%s>;",
        b'From: "claire.martin@%s" <remy.perret@%s>',
        b"From: <claire.martin@%s> <remy.perret@%s>",
        b"From: (claire.martin@%s) remy.perret@%s",
        b"From: <claire.martin@%s,remy.perret@%s>",
        "From: <claire.martin@ｇateway.mssante.example>".encode(),
        b"From: <claire.martin+x@%s>",
        b"From: <claire.martin@%s.>",
        b'From: <"claire.martin "@%s>',
        b"From:",
    ],
)
def test_nobody_writes_as_somebody_else_however_the_address_is_dressed(thread: Thread, author: bytes) -> None:
    domain = region.DOMAIN.encode()
    raw = raw_reply(thread, thread.requester, author.replace(b"%s", domain))
    with pytest.raises(smtplib.SMTPDataError) as refused:
        thread.requester.send_bytes(raw, [reply_address(thread.question(thread.requester))])
    assert 500 <= refused.value.smtp_code < 600


def test_two_sender_fields_do_not_hide_one_another(thread: Thread) -> None:
    fields = b"Sender: <%s>\r\nSender: <remy.perret@%s>" % (
        region.GP.address.encode(),
        region.DOMAIN.encode(),
    )
    with pytest.raises(smtplib.SMTPDataError):
        send_reply(thread, thread.requester, fields)


def test_a_token_opens_only_the_door_that_it_was_made_for(served: TestGateway, thread: Thread) -> None:
    book, client = served.services.book, thread.requester
    reply = reply_address(thread.question(client))
    token = reply.partition("+")[2].partition("@")[0]
    form = request_form(client)
    form_token = next(word for word in text_of(form).replace("-", " ").split() if len(word) == 42)
    bounce = book.bounce(uuid4()).partition("+")[2].partition("@")[0]
    for local in (
        f"retour+{token}",
        f"teleexpertise+{form_token.lower()}",
        f"teleexpertise+{bounce}",
        f"teleexpertise+{token[:-1]}",
        f"teleexpertise+{token}a",
        f"teleexpertise+{'b' if token[0] == 'a' else 'a'}{token[1:]}",
    ):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.send(client.compose(f"{local}@{region.DOMAIN}", f"Re: {thread.ref}", "x"))
        assert {code for code, _ in refused.value.recipients.values()} == {550}
        client.close()  # errors of one connection are answered late


def test_a_stranger_learns_nothing_of_which_references_exist(served: TestGateway, thread: Thread) -> None:
    stranger = served.client(region.STRANGER)
    answers = []
    for reference in (thread.ref, "TLE-2026-999999"):
        for command in ("Synthèse", "Finaliser", "Annuler", f"Retirer {region.GP.address}"):
            with pytest.raises(smtplib.SMTPDataError) as refused:
                stranger.send(stranger.compose(served.service, f"{command} {reference}"))
            answers.append(str(refused.value).replace(reference, "REF"))
            stranger.close()  # errors of one connection are answered late
    assert len(set(answers)) == 1


def test_a_removed_guest_can_do_nothing_with_what_is_left(served: TestGateway, thread: Thread) -> None:
    guest = served.client(region.STRANGER)
    question = thread.question(thread.requester)
    invitation = thread.requester.reply(question, "Avec un confrère.")
    invitation["Cc"] = guest.address
    thread.requester.send(invitation)
    thread.copy_of(guest, invitation)
    doubtful = guest.send(guest.compose(reply_address(question), "Sans référence", "Un mot tardif."))
    doubt = guest.answer_to(doubtful)
    thread.requester.ask_service(f"Retirer {guest.address} {thread.ref}")
    confirm = next(line for line in text_of(doubt).splitlines() if "Confirmer" in line and len(line) > 45)
    for attempt in (
        guest.reply(thread.copy_of(guest, invitation), "Encore moi."),
        guest.compose(served.service, confirm[confirm.index("Confirmer") :].split("»")[0].strip()),
        guest.compose(served.service, f"Synthèse {thread.ref}"),
    ):
        with pytest.raises(smtplib.SMTPDataError) as refused:
            guest.send(attempt)
        assert refused.value.smtp_code == 550
        guest.close()  # errors of one connection are answered late
    served.settled()
    assert not any(b"Un mot tardif." in raw for raw, _ in thread.raw_seen_by(thread.expert))


def test_a_form_that_a_member_hides_in_a_mail_keeps_nobody_from_answering(
    served: TestGateway, thread: Thread
) -> None:
    trap = text_of(request_form(served.client(region.STRANGER)))
    thread.tell(thread.requester, "Votre avis ?\n" + trap)
    received = thread.seen_by(thread.expert)[-1]
    answer = thread.expert.send(thread.expert.reply(received, "Le voici.\n\n" + quoted(text_of(received))))
    thread.copy_of(thread.requester, answer)


def test_a_crowd_in_copy_is_refused_and_nobody_is_invited(served: TestGateway, thread: Thread) -> None:
    names = ", ".join(f"inconnu{number}@{region.DOMAIN}" for number in range(900))
    raw = raw_reply(thread, thread.requester, b"Cc: " + names.replace(", ", ",\r\n ").encode())
    with pytest.raises(smtplib.SMTPDataError, match="30 participants"):
        thread.requester.send_bytes(raw, [reply_address(thread.question(thread.requester))])


def test_the_same_message_id_in_two_conversations_is_two_mails(served: TestGateway, thread: Thread) -> None:
    other = open_thread(served)
    field = b"Message-ID: <%s@x.test>" % uuid4().hex.encode()
    for each in (thread, other):
        send_reply(each, each.requester, field, text=b"Le meme texte.")
        arrives(each, each.expert, b"Le meme texte.")


def test_automatic_mail_to_a_bounce_address_and_others_reaches_the_others(served: TestGateway) -> None:
    client, other = served.client(region.GP), served.client(region.STRANGER)
    bounce = served.services.book.bounce(uuid4())
    sent = client.compose(other.address, "Réunion", "Demain.")
    sent["Auto-Submitted"] = "auto-generated"
    client.send(sent, [bounce, other.address])
    other.wait(lambda mail: mail["message-id"] == sent["message-id"])


_HOSTILE_TYPES = ("image/x y", 'image/a"b', "image/é", "a/b/c", "=?utf-8?q?image?=/png", "image/" + "p" * 900)


def test_hostile_attachments_do_not_spoil_the_mails_that_we_sign(served: TestGateway) -> None:
    doctor, expert = served.client(region.GP), served.client(region.DERMATOLOGIST)
    smuggled = b"Subject: x\n\rbare\x00\n.\n" + b"z" * 5000
    sent = attach(answered(doctor, request_form(doctor), request_values()), photo())
    raw = sent.as_bytes()
    boundary = sent.get_boundary()
    assert boundary is not None
    parts = b"".join(
        b"--%s\r\nContent-Type: %s\r\nContent-Disposition: attachment\r\n\r\nabc\r\n"
        % (boundary.encode(), kind.encode())
        for kind in _HOSTILE_TYPES
    )
    parts += b"--%s\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n" % (
        boundary.encode(),
        base64.encodebytes(smuggled).replace(b"\n", b"\r\n"),
    )
    end = b"--%s--" % boundary.encode()
    doctor.send_bytes(raw.replace(end, parts + end), [served.service])
    thread = Thread(reference_in(doctor.answer_to(sent)), doctor, expert, sent, sent)
    question = thread.question(expert)
    octets = next(raw for raw, _ in thread.raw_seen_by(expert) if b"Content-Type: image/jpeg" in raw)
    assert wire_fault(octets) is None
    assert any(name.endswith(".jpg") for name in attachments(question))
    assert octets_after_header(octets)
