"""What came encrypted and goes to people elsewhere: sealed for them, over TLS where allowed, or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.envelopes import decrypt_message, is_encrypted
from gateway.services import Services
from tests.support import region
from tests.support.certificates import run
from tests.support.encryption import (
    encrypted,
    holder,
    text_entity,
)
from tests.support.gateway import (
    Client,
    read,
)
from tests.support.operators import (
    resident,
)
from tests.support.spaces import (
    THERE,
    Space,
    address_in,
    command,
    draft_of,
    pdf_text,
    played,
    sent,
    two_operators,
)
from tests.support.threads import (
    Thread,
    attachments,
)

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with two_operators() as made:
        yield made


@pytest.fixture
def thread(space: Space) -> Thread:
    return played(space)


# -- to other operators -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def colleague(space: Space) -> Client:
    """Somebody at the other operator of whom nothing is known yet."""
    return space.there.client(resident(region.CARDIOLOGIST, THERE))


def invite(thread: Thread, client: Client) -> None:
    """Bring a person of the other operator into the conversation."""
    reply = thread.expert.reply(thread.question(thread.expert), "Avec avis de cardiologie.")
    reply["Cc"] = client.address
    thread.expert.send(reply)
    client.wait(lambda mail: mail["message-id"] == reply["message-id"])


def test_a_member_elsewhere_without_known_certificate_gets_nothing_and_the_sender_a_report(
    space: Space, thread: Thread, colleague: Client
) -> None:
    invite(thread, colleague)
    draft = draft_of(thread)
    raw = encrypted(
        draft, text_entity("Ne part pas en clair."), [space.keys.target()], space.person(thread.expert)
    )
    sent(thread, draft, raw)
    thread.copy_of(thread.requester, draft)
    report = thread.expert.wait(
        lambda mail: (
            mail.get_content_type() == "multipart/report" and str(draft["message-id"]) in mail.as_string()
        )
    )
    status = report.as_string()
    assert f"Final-Recipient: rfc822; {colleague.address}" in status
    assert "Status: 5.7.4" in status
    assert "Action: failed" in status
    assert "Ne part pas en clair" not in status
    space.here.settled()
    assert not any("Ne part pas" in mail.as_string() for mail in colleague.mails())
    # What we write about it ourselves does not leave readable either.
    thread.finalise(thread.expert)
    _, pdf = thread.report(thread.requester)
    assert f"Un message n'a pas pu être remis à {colleague.address}." in pdf_text(pdf)
    space.here.settled()
    assert not any("compte rendu" in str(mail["subject"]).lower() for mail in colleague.mails())
    command(space.here, "rebuild", "--check")


def test_a_member_elsewhere_whose_certificate_is_known_gets_it_encrypted_anew(
    space: Space, thread: Thread, tmp_path: Path
) -> None:
    guest = space.there.client(resident(region.NURSE, THERE))
    invite(thread, guest)
    own = holder(space.there.settings, guest.address)
    received = guest.wait(lambda mail: thread.ref in str(mail["subject"]) or mail["x-tle-ref"] == thread.ref)
    hello = guest.reply(received, "")
    content = text_entity("Bonjour, voici mon certificat.")
    guest.send_bytes(encrypted(hello, content, [space.keys.target()], own), [address_in(hello)])
    told = thread.copy_of(thread.expert, hello)
    assert told["x-tle-decrypted"] is not None, "what another operator brings is decrypted as well"
    assert told["authentication-results"].startswith(f"{space.here.settings.hostname}; smime=pass")

    draft = draft_of(thread)
    raw = encrypted(
        draft, text_entity("Scelle a nouveau."), [space.keys.target()], space.person(thread.expert)
    )
    sent(thread, draft, raw)
    copy = guest.wait(lambda mail: mail["message-id"] == draft["message-id"])
    octets = next(o for o, _ in guest.raw_mails() if read(o)["message-id"] == draft["message-id"])
    assert is_encrypted(octets)
    assert copy["subject"] == "[...]"
    opened = decrypt_message(octets, [own.decryptor])
    assert opened == decrypt_message(raw, [space.keys.decryptor])
    (tmp_path / "mail.eml").write_bytes(octets)
    (tmp_path / "own.pem").write_bytes(own.issued.certificate_pem + own.issued.key_pem)
    judged = run("openssl", "cms", "-decrypt", "-in", tmp_path / "mail.eml", "-inkey", tmp_path / "own.pem")
    assert b"Scelle a nouveau." in judged.stdout, judged.stderr
    thread.finalise(thread.expert)
    report = guest.wait(
        lambda mail: thread.ref in str(mail["subject"]) and mail.get_content_subtype() == "pkcs7-mime"
    )
    inside = read(
        decrypt_message(report.as_bytes(policy=report.policy.clone(linesep="\r\n")), [own.decryptor])
    )
    assert inside.get_content_type() == "multipart/signed"
    assert f"{thread.ref}-v1.pdf" in attachments(inside)


def test_over_tls_alone_where_the_operator_allows_it(space: Space) -> None:
    doctor = space.there.client(resident(region.STRANGER, THERE))
    reader = space.here.client(region.STRANGER)
    draft = doctor.compose(reader.address, "Courrier", "")
    author = holder(space.there.settings, doctor.address)
    raw = encrypted(draft, text_entity("Lisible chez vous."), [space.there_keys.target()], author)
    doctor.send_bytes(raw, [reader.address])
    copy = reader.wait(lambda mail: mail["message-id"] == draft["message-id"])
    assert copy.get_content_type() == "multipart/signed"
    assert copy["subject"] == "[...]", "what its author hid is not told on the way"
    assert "smime=pass" in copy["authentication-results"]


def test_what_the_gateway_signs_tells_others_to_what_they_can_encrypt(space: Space, tmp_path: Path) -> None:
    doctor = space.there.client(resident(region.GP, THERE))
    answer = doctor.answer_to(doctor.send(doctor.compose(space.here.service, "Aide")))
    octets = next(raw for raw, _ in doctor.raw_mails() if read(raw)["message-id"] == answer["message-id"])
    (tmp_path / "mail.eml").write_bytes(octets)
    anchors = space.here.settings.pki.anchors
    judged = run(
        "openssl", "cms", "-verify", "-in", tmp_path / "mail.eml", "-CAfile", anchors, "-out", "/dev/null"
    )
    assert judged.returncode == 0, judged.stderr

    async def known(services: Services) -> list[bytes]:
        async with services.store.reading() as tx:
            return [row.certificate for row in await tx.certificates.of(space.here.service)]

    assert space.there.ask(known) == [space.keys.decryptor.certificate]
