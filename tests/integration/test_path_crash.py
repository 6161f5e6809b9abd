"""A gateway that is killed right after its 250: what it took is delivered once when it is back. Signals."""

from __future__ import annotations

import smtplib
import ssl
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support import region
from tests.support.gateway import Client, eventually
from tests.support.operators import renew_own_certificates
from tests.support.processes import GatewayProcess, alive, gateway_process
from tests.support.threads import (
    FOLDER,
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


@pytest.fixture(scope="module")
def crashing() -> Iterator[GatewayProcess]:
    with gateway_process() as made:
        yield made


def copies(thread: Thread, reader: Client) -> Counter[str]:
    return Counter(str(mail["message-id"]) for mail in thread.seen_by(reader))


def assert_once(thread: Thread, *sent: str) -> None:
    for reader in (thread.requester, thread.expert):
        eventually(
            lambda reader=reader: set(sent) <= set(copies(thread, reader)),  # type: ignore[misc]
            f"all mails at {reader.address}",
        )
    thread.gateway.settled()
    for reader in (thread.requester, thread.expert):
        assert set(copies(thread, reader).values()) == {1}


def test_mails_taken_before_a_crash_are_delivered_once(crashing: GatewayProcess) -> None:
    thread = open_thread(crashing)
    question = thread.question(thread.expert)
    answerable = thread.question(thread.requester)
    crashing.settled()
    sent = []
    for number in range(2):
        writer, source = ((thread.expert, question), (thread.requester, answerable))[number % 2]
        mail = attach(writer.reply(source, f"Message {number}."), photo(size=40_000))
        writer.send(mail)
        crashing.kill()
        sent.append(str(mail["message-id"]))
        crashing.start()
    assert_once(thread, *sent)


def test_a_request_taken_before_a_crash_opens_one_conversation(crashing: GatewayProcess) -> None:
    doctor, expert = crashing.client(region.GP), crashing.client(region.DERMATOLOGIST)
    form = request_form(doctor)
    values = request_values()
    reply = attach(answered(doctor, form, values), photo(size=100_000))
    doctor.send(reply)
    crashing.kill()
    crashing.start()
    doctor.send(reply)  # as a client that never saw the 250
    confirmation = doctor.answer_to(reply)
    thread = Thread(reference_in(confirmation), doctor, expert, reply, confirmation)
    thread.question(expert)
    thread.question(doctor)
    crashing.settled()
    for reader in (doctor, expert):
        assert len(thread.seen_by(reader)) == 2
    questions = [m for m in expert.mails(FOLDER) if values["Nom de naissance"] in m.as_string()]
    assert len(questions) <= 2, "the question, and no other conversation"
    assert len([m for m in doctor.mails() if str(m["in-reply-to"]).strip() == reply["message-id"]]) == 1


def test_a_finalisation_taken_before_a_crash_makes_one_report(crashing: GatewayProcess) -> None:
    thread = open_thread(crashing)
    form = thread.form(thread.expert, "Finaliser")
    filled = answered(thread.expert, form, {"Conclusion": "Tout va bien.", "Suite proposée": "Suivi"})
    thread.expert.send(filled)
    crashing.kill()
    crashing.start()
    for reader in (thread.requester, thread.expert):
        thread.report(reader)
    crashing.settled()
    name = f"{thread.ref}-v1.pdf"
    for reader in (thread.requester, thread.expert):
        assert sum(name in attachments(mail) for mail in thread.seen_by(reader)) == 1
        folders = [folder for folder in reader.folders() if thread.values["Nom de naissance"] in folder]
        filed = [n for folder in folders for mail in reader.mails(folder) for n in attachments(mail)]
        assert filed == [name]


def test_a_renewed_certificate_is_taken_up_at_a_signal_without_ending_a_session(
    crashing: GatewayProcess,
) -> None:
    def shown(port: int) -> str:
        return ssl.get_server_certificate(("127.0.0.1", port))

    doors = (crashing.submissions_port, crashing.imaps_port)
    before = {shown(port) for port in doors}
    submission = smtplib.SMTP_SSL("localhost", crashing.submissions_port, context=crashing.tls)
    with crashing.client(region.GP).imap() as reading, submission as writing:
        writing.login(region.GP.address, region.PASSWORD)
        renew_own_certificates(crashing.settings)
        crashing.hang_up()
        eventually(lambda: not before & {shown(port) for port in doors}, "the new certificate")
        assert reading.noop()[0] == "OK"
        assert writing.mail(region.GP.address)[0] == 250


def test_nothing_that_was_started_survives_crashes_and_a_stop(crashing: GatewayProcess) -> None:
    crashing.stop()
    eventually(lambda: not [pid for pid in crashing.left_behind if alive(pid)], "all started processes gone")
