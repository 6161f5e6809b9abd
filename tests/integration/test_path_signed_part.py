"""The signed part is what is shown: what stands outside is marked, protected header fields are believed."""

from __future__ import annotations

import re
from email.message import EmailMessage
from typing import Any

import pytest

from certs.protection import protect
from gateway.services import Services
from tests.support import region
from tests.support.encryption import Holder, entity_in, fields_of, holder, signing, text_entity
from tests.support.forms import quoted, typed_into
from tests.support.gateway import Client, TestGateway, octets_after_header, read, text_of, words_of
from tests.support.spaces import command, pdf_text, raw_copy
from tests.support.threads import Thread, open_thread, request_form, request_values

FOOTER = "Liste de diffusion : ajoute en chemin."


@pytest.fixture
def thread(served: TestGateway) -> Thread:
    made = open_thread(served)
    made.question(made.expert)
    made.question(made.requester)
    return made


def owner(client: Client) -> Holder:
    return holder(client.gateway.settings, client.address)


def mail_of(draft: EmailMessage, entity: bytes, **changes: str) -> bytes:
    """A draft with a finished MIME entity as its content; ``changes`` replace values of its header."""
    header = "".join(f"{name}: {value}\r\n" for name, value in fields_of(draft, **changes))
    return header.encode() + b"MIME-Version: 1.0\r\n" + entity


def mixed(*parts: bytes) -> bytes:
    body = b"".join(b"--outer\r\n" + part + b"\r\n" for part in parts)
    return b"Content-Type: multipart/mixed; boundary=outer\r\n\r\n" + body + b"--outer--\r\n"


def reply_of(thread: Thread, client: Client) -> EmailMessage:
    return client.reply(thread.question(client), "")


def send(client: Client, draft: EmailMessage, raw: bytes) -> None:
    client.send_bytes(raw, [draft["to"].addresses[0].addr_spec])


def kept_of(thread: Thread, draft: EmailMessage) -> dict[str, Any]:
    """What the store keeps of a mail beside its octets."""

    async def look(services: Services) -> dict[str, Any]:
        async with services.store.reading() as tx:
            (row,) = await tx.messages.by_mail_id(draft["message-id"])
        return dict(row.envelope)

    found: dict[str, Any] = thread.gateway.ask(look)
    return found


def test_a_footer_outside_of_the_signed_part_is_marked_and_nobodys_word(thread: Thread) -> None:
    draft, expert = reply_of(thread, thread.expert), thread.expert
    entity = mixed(
        signing(owner(expert))(text_entity("Lesion benigne.")),
        text_entity(FOOTER),
        b'Content-Type: application/pdf; name="pub.pdf"\r\nContent-Disposition: attachment\r\n\r\n%PDF-1.4',
    )
    raw = mail_of(draft, entity)
    send(expert, draft, raw)
    copy = raw_copy(thread, thread.requester, draft)
    assert octets_after_header(copy) == octets_after_header(raw)
    assert "partly-signed" in read(copy)["authentication-results"]
    line = words_of(thread.form(expert, "Finaliser"))
    assert "Lesion benigne. (et une partie non signée)" in line
    assert FOOTER not in line
    thread.finalise(expert)
    shown = pdf_text(thread.report(thread.requester)[1])
    signed, _, outside = shown.partition("Partie non signée du message, non attribuée à son auteur :")
    assert "Lesion benigne." in signed
    assert FOOTER not in signed
    assert FOOTER in outside
    assert "pub.pdf (partie non signée)" in outside
    assert kept_of(thread, draft)["findings"] == ["unsigned-part"]
    assert "finding unsigned-part: something stands outside of the signed part" in command(
        thread.gateway, "explain", str(draft["message-id"])
    )


@pytest.mark.parametrize("where", ["before", "after", "third part"])
def test_words_around_a_signature_are_outside_of_it(thread: Thread, where: str) -> None:
    draft, expert = reply_of(thread, thread.expert), thread.expert
    signed = signing(owner(expert))(text_entity("Signe."))
    extra = text_entity("Ajoute.")
    if where == "third part":
        boundary = re.search(rb'boundary="([^"]+)"', signed)
        assert boundary is not None
        closing = b"--" + boundary[1] + b"--"
        entity = signed.replace(closing, b"--" + boundary[1] + b"\r\n" + extra + b"\r\n" + closing)
    else:
        entity = mixed(extra, signed) if where == "before" else mixed(signed, extra)
    send(expert, draft, mail_of(draft, entity))
    thread.copy_of(thread.requester, draft)
    line = words_of(thread.form(expert, "Finaliser"))
    assert "Signe. (et une partie non signée)" in line
    assert "Ajoute." not in line


def test_a_form_outside_of_the_signed_part_is_not_read(served: TestGateway) -> None:
    asking = served.client(region.GP)
    form = request_form(asking)
    reply = asking.reply(form, quoted(typed_into(text_of(form), request_values())))
    filled = entity_in(reply.as_bytes())
    send(asking, reply, mail_of(reply, mixed(signing(owner(asking))(text_entity("Bonjour.")), filled)))
    answer = asking.answer_to(reply)
    assert "ouverte" not in str(answer["subject"])
    assert "hors de la partie signée" in words_of(answer)


def test_a_form_inside_of_the_signed_part_is_read(served: TestGateway) -> None:
    asking = served.client(region.GP)
    form = request_form(asking)
    reply = asking.reply(form, quoted(typed_into(text_of(form), request_values())))
    filled = entity_in(reply.as_bytes())
    send(asking, reply, mail_of(reply, mixed(signing(owner(asking))(filled), text_entity(FOOTER))))
    assert "ouverte" in str(asking.answer_to(reply)["subject"])


def test_the_protected_subject_is_believed_and_a_difference_named_without_its_words(thread: Thread) -> None:
    """Somebody on the way makes a mail of doubt look as if it belonged here."""
    expert = thread.expert
    draft = reply_of(thread, expert)
    for field in ("subject", "in-reply-to", "references"):
        del draft[field]
    draft["Subject"] = "Autre sujet"
    protected = protect(fields_of(draft), text_entity("Pour qui ?"))
    raw = mail_of(draft, signing(owner(expert))(protected), subject=f"Re: [{thread.ref}] force")
    send(expert, draft, raw)
    doubt = expert.answer_to(draft)
    assert "Autre sujet" in text_of(doubt)
    kept = kept_of(thread, draft)
    assert kept["findings"] == ["headers-differ (subject)"]

    async def lines(services: Services) -> list[dict[str, Any]]:
        async with services.store.reading() as tx:
            return [dict(line.detail) for line in await tx.audit.list(limit=100_000)]

    details = [detail for detail in thread.gateway.ask(lines) if "findings" in detail]
    assert "headers-differ (subject)" in [detail["findings"] for detail in details]
    assert "force" not in str(details)


def test_a_protected_header_names_who_is_in_copy(thread: Thread) -> None:
    """A Cc that was put in outside invites nobody."""
    expert = thread.expert
    draft = reply_of(thread, expert)
    protected = protect(fields_of(draft), text_entity("Entre nous deux."))
    signed = signing(owner(expert))(protected)
    raw = f"Cc: {region.STRANGER.address}\r\n".encode() + mail_of(draft, signed)
    send(expert, draft, raw)
    copy = read(raw_copy(thread, thread.requester, draft))
    assert 'reason="headers-differ (cc)"' in " ".join(copy["authentication-results"].split())
    shown = thread.gateway.client(region.STRANGER).mails("Téléexpertises")
    assert thread.ref not in [mail["x-tle-ref"] for mail in shown]


def test_a_header_copied_into_the_text_is_not_repeated_in_the_report(thread: Thread) -> None:
    expert = thread.expert
    draft = reply_of(thread, expert)
    text = (
        b'Content-Type: text/plain; charset=utf-8; hp-legacy-display="1"\r\n\r\n'
        b"Subject: Sujet recopie\r\n\r\nAvis rendu.\r\n"
    )
    protected = protect(fields_of(draft), text).replace(b'hp="clear"', b'hp="cipher"')
    send(expert, draft, mail_of(draft, signing(owner(expert))(protected)))
    thread.copy_of(thread.requester, draft)
    thread.finalise(expert)
    shown = pdf_text(thread.report(thread.requester)[1])
    assert "Avis rendu." in shown
    assert "Sujet recopie" not in shown


@pytest.mark.parametrize("signs", [False, True])
def test_a_display_name_with_another_address_is_flagged_to_the_reader(thread: Thread, *, signs: bool) -> None:
    expert = thread.expert
    draft = reply_of(thread, expert)
    entity = text_entity("Bonjour.")
    raw = mail_of(
        draft,
        signing(owner(expert))(entity) if signs else entity,
        **{"from": f'"directeur@ch-lepuy.example" <{expert.address}>'},
    )
    send(expert, draft, raw)
    copy = read(raw_copy(thread, thread.requester, draft))
    assert "display-name-address" in copy["authentication-results"]
    notice = thread.requester.wait(
        lambda mail: thread.ref in str(mail["subject"]) and "montre une autre adresse" in words_of(mail)
    )
    assert "directeur@ch-lepuy.example" not in text_of(notice)
    assert kept_of(thread, draft)["findings"] == ["display-name-address"]


def test_a_signature_that_does_not_hold_is_marked_in_the_report(thread: Thread) -> None:
    expert = thread.expert
    draft = reply_of(thread, expert)
    somebody = holder(thread.gateway.settings, region.STRANGER.address)
    send(expert, draft, mail_of(draft, signing(somebody)(text_entity("Avis signe par un autre."))))
    thread.copy_of(thread.requester, draft)
    thread.finalise(expert)
    shown = pdf_text(thread.report(thread.requester)[1])
    assert "signature non valide" in shown
    assert "Avis signe par un autre." in shown
