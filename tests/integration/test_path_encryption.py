"""Mail encrypted to the organisation and to people: what the gateway opens, passes on, refuses."""

from __future__ import annotations

import base64
import io
import re
import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pypdf import PdfReader

from certs.envelopes import decrypt_message
from certs.tls import submission_client_context
from config import load
from gateway.cli.root import cli
from gateway.pipeline.stored_letters import stored_letter
from gateway.sealing import Sealing
from gateway.services import Services
from tests.support import region
from tests.support.certificates import run
from tests.support.dovecot import free_port
from tests.support.encryption import (
    Holder,
    encrypted,
    holder,
    organisation,
    text_entity,
    wrapped,
)
from tests.support.gateway import (
    Client,
    TestGateway,
    octets_after_header,
    read,
    refusal_text,
    text_of,
)
from tests.support.operators import made_operator, operators_folder, own_certificate, write_list
from tests.support.threads import Thread, answered, open_thread, request_form, request_values

pytestmark = pytest.mark.timeout(180)
HERE, THERE = region.DOMAIN, "voisin.mssante.example"


@dataclass(frozen=True, slots=True)
class Space:
    """Two operators. Both decrypt; where nothing is known of a recipient, `there` sends over TLS."""

    here: TestGateway
    there: TestGateway
    keys: Holder
    old_keys: Holder
    there_keys: Holder

    def person(self, account: Any, **kind: Any) -> Holder:
        """A certificate for an account here."""
        return holder(self.here.settings, account.address, **kind)


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with operators_folder() as folder, ExitStack() as stack:
        ports = {HERE: free_port(), THERE: free_port()}
        made = {}
        for name, domain in (("here", HERE), ("there", THERE)):
            routes = {other: port for other, port in ports.items() if other != domain}
            made[domain] = made_operator(folder / name, domain, routes, mx_port=ports[domain])
        anchors = b"".join(settings.pki.anchors.read_bytes() for settings in made.values())
        keys, line = organisation(made[HERE])
        old_keys, old_line = organisation(made[HERE], "old")
        there_keys, there_line = organisation(made[THERE])
        listed = {domain: own_certificate(settings) for domain, settings in made.items()}
        toml = {
            HERE: f"decryption = [{line}, {old_line}]",
            THERE: f'decryption = [{there_line}]\nforeign_plain = "tls"',
        }
        running = {}
        for domain, settings in made.items():
            settings.pki.anchors.write_bytes(anchors)
            write_list(settings, listed)
            path = settings.pki.anchors.parent.parent / "gateway.toml"
            path.write_text(path.read_text("utf-8") + f"\n[smime]\n{toml[domain]}\n", "utf-8")
            settings = load(path)
            gateway = TestGateway(settings, submission_client_context(settings.pki.anchors))
            gateway.start()
            stack.callback(gateway.stop)
            running[domain] = gateway
        yield Space(running[HERE], running[THERE], keys, old_keys, there_keys)


@pytest.fixture
def thread(space: Space) -> Thread:
    return played(space)


def played(space: Space) -> Thread:
    """A conversation of two people here, read by both so far."""
    made = open_thread(space.here, requester=region.GP, expert=region.DERMATOLOGIST)
    made.question(made.expert)
    made.question(made.requester)
    return made


def draft_of(thread: Thread, client: Client | None = None) -> EmailMessage:
    """A reply of the expert (or of another member) to be encrypted."""
    writer = client or thread.expert
    return writer.reply(thread.question(writer), "")


def address_in(mail: EmailMessage, field: str = "to") -> str:
    return str(mail[field].addresses[0].addr_spec)


def sent(thread: Thread, draft: EmailMessage, raw: bytes, client: Client | None = None) -> None:
    (client or thread.expert).send_bytes(raw, [address_in(draft)])


def raw_copy(thread: Thread, reader: Client, draft: EmailMessage) -> bytes:
    thread.copy_of(reader, draft)
    return next(
        raw for raw, _ in thread.raw_seen_by(reader) if read(raw)["message-id"] == draft["message-id"]
    )


async def stored(services: Services, mail_id: str) -> Any:
    async with services.store.reading() as tx:
        rows = await tx.messages.by_mail_id(mail_id)
        return [(row, await tx.messages.get_raw(row.id), await tx.messages.get_clear(row.id)) for row in rows]


def command(space: Space, *arguments: str) -> str:
    """What a command of the gateway here prints."""
    path = space.here.settings.pki.anchors.parent.parent / "gateway.toml"
    found = CliRunner().invoke(cli, ["--config", str(path), *arguments])
    assert found.exit_code == 0, found.output
    return " ".join(found.stdout.split())


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
    assert "decrypted: encrypted to a certificate of ours" in command(space, "explain", str(row.id))


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


def entity_in(raw: bytes) -> bytes:
    """The content of a mail as a MIME entity: its Content-* fields and its body."""
    header, _, body = raw.partition(b"\r\n\r\n")
    content = [line for line in re.split(rb"\r\n(?![ \t])", header) if line.lower().startswith(b"content-")]
    return b"\r\n".join(content) + b"\r\n\r\n" + body


def pdf_text(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(pdf)).pages)


def test_what_was_decrypted_stays_readable_when_the_key_is_gone(space: Space, thread: Thread) -> None:
    draft = draft_of(thread)
    raw = encrypted(
        draft, text_entity("Avant le changement."), [space.old_keys.target()], space.person(thread.expert)
    )
    sent(thread, draft, raw)
    thread.copy_of(thread.requester, draft)
    ((row, _, _),) = space.here.ask(lambda services: stored(services, draft["message-id"]))

    async def words(services: Services) -> str:
        without = replace(services, sealing=Sealing())
        async with services.store.reading() as tx:
            letter = await stored_letter(without, tx, row.id)
        assert letter is not None
        return letter.text

    assert "Avant le changement." in space.here.ask(words)
    command(space, "rebuild", "--check")


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
