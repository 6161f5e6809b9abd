"""Applications log in by client certificate: one certificate opens one mailbox, on submission and IMAP."""

from __future__ import annotations

import base64
import imaplib
import json
import smtplib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from certs.bindings import certificate_names
from gateway.cli.root import cli
from gateway.services import Services
from gateway.store.people import AccountCertificate
from tests.support import region
from tests.support.gateway import Client, eventually
from tests.support.machines import MACHINE, OTHER_MACHINE, MachineGateway, machine_gateway


@pytest.fixture(scope="module")
def served() -> Iterator[MachineGateway]:
    with machine_gateway() as made:
        yield made


def external(session: smtplib.SMTP, wanted: str = "") -> tuple[int, bytes]:
    return session.docmd("AUTH", "EXTERNAL " + (base64.b64encode(wanted.encode()).decode() or "="))


def imap_external(session: imaplib.IMAP4_SSL, wanted: str = "") -> str:
    """'' for a login, else what was said."""
    try:
        session.authenticate("EXTERNAL", lambda _: wanted.encode())
    except imaplib.IMAP4.error as error:
        return str(error)
    return ""


@pytest.mark.parametrize("card", ["dpi", "renewed"])
@pytest.mark.parametrize("wanted", ["", MACHINE.address, MACHINE.address.upper()])
def test_a_certificate_opens_its_mailbox(served: MachineGateway, card: str, wanted: str) -> None:
    with served.smtp(card) as session:
        assert session.esmtp_features["auth"].split() == ["EXTERNAL"]
        assert external(session, wanted)[0] == 235
        assert session.mail(MACHINE.address)[0] == 250
        session.rset()
        assert session.mail(region.GP.address)[0] == 550
    mailbox = served.imap(card)
    assert "AUTH=EXTERNAL" in mailbox.capabilities
    assert imap_external(mailbox, wanted) == ""
    assert mailbox.select("INBOX")[0] == "OK"
    mailbox.logout()


def test_an_application_sends_and_reads(served: MachineGateway) -> None:
    gateway = served.gateway
    sender = Client(MACHINE.address, MACHINE.name, gateway)
    message = sender.compose(region.NURSE.address, "Compte rendu de laboratoire")
    with served.smtp("dpi") as session:
        assert session.docmd("AUTH", "EXTERNAL") == (334, b"")
        assert session.docmd("")[0] == 235
        session.sendmail(MACHINE.address, [region.NURSE.address], message.as_bytes())
    nurse = gateway.client(region.NURSE)
    received = nurse.wait(lambda mail: mail["message-id"] == message["message-id"])
    nurse.send(nurse.reply(received, "Bien reçu."))

    def answered() -> bool:
        mailbox = served.imap("dpi")
        try:
            assert imap_external(mailbox) == ""
            mailbox.select("INBOX")
            return bool(mailbox.search(None, "HEADER", "In-Reply-To", message["message-id"])[1][0])
        finally:
            mailbox.logout()

    eventually(answered, "the nurse's answer in the application's mailbox")


@pytest.mark.parametrize("wanted", [OTHER_MACHINE.address, region.GP.address, region.SERVICE.address])
def test_the_same_certificate_opens_no_other_mailbox(served: MachineGateway, wanted: str) -> None:
    with served.smtp("dpi") as session:
        code, text = external(session, wanted)
        assert (code, text) == (535, b"5.7.8 Not accepted: certificate of somebody else")
        assert session.mail(wanted)[0] == 530
    mailbox = served.imap("dpi")
    assert "certificate of somebody else" in imap_external(mailbox, wanted)
    mailbox.shutdown()


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("stranger", "certificate of nobody here"),
        ("revoked", "certificate revoked"),
    ],
)
def test_certificates_that_tls_accepts_and_the_login_does_not(
    served: MachineGateway, card: str, reason: str
) -> None:
    with served.smtp(card) as session:
        assert external(session) == (535, f"5.7.8 Not accepted: {reason}".encode())
    mailbox = served.imap(card)
    assert reason in imap_external(mailbox)
    mailbox.shutdown()
    assert reason in served.gateway.ask(_trail)


def test_a_client_that_says_nothing_or_rubbish_holds_nobody(served: MachineGateway) -> None:
    for port in (served.smtp_port, served.imap_port):
        with (
            socket.create_connection(("localhost", port)),
            socket.create_connection(("localhost", port)) as other,
        ):
            other.sendall(b"EHLO x\r\n" * 100)
            with served.smtp("dpi") as session:
                assert external(session)[0] == 235


async def _trail(services: Services) -> str:
    async with services.store.reading() as tx:
        return repr(await tx.audit.list(limit=100_000))


@pytest.mark.parametrize(
    ("card", "alert", "reason"),
    [
        ("", "certificate required", "tls: peer did not return a certificate"),
        ("expired", "certificate expired", "tls: certificate: certificate has expired"),
        ("other root", "unknown ca", "tls: certificate: unable to get local issuer certificate"),
        ("signature", "unsupported certificate", "tls: certificate: unsuitable certificate purpose"),
    ],
)
def test_certificates_that_tls_refuses_by_its_alert(
    served: MachineGateway, card: str, alert: str, reason: str
) -> None:
    for opening in (served.smtp, served.imap):
        with pytest.raises((OSError, smtplib.SMTPException, imaplib.IMAP4.error), match=alert):
            opening(card)
    eventually(lambda: reason in served.gateway.ask(_trail), f"{reason!r} in the audit trail")


def test_no_password_and_no_token_opens_the_ports_of_applications(served: MachineGateway) -> None:
    with served.smtp("dpi") as session:
        plain = base64.b64encode(f"\0{region.GP.address}\0{region.PASSWORD}".encode()).decode()
        for mechanism in ("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"):
            assert session.docmd("AUTH", f"{mechanism} {plain}")[0] == 504
        assert session.mail(MACHINE.address)[0] == 530
    mailbox = served.imap("dpi")
    for attempt in (
        lambda: mailbox.login(region.GP.address, region.PASSWORD),
        lambda: mailbox.authenticate("PLAIN", lambda _: b"\0x\0y"),
    ):
        with pytest.raises(imaplib.IMAP4.error):
            attempt()
    mailbox.shutdown()


def test_users_are_asked_for_no_certificate_and_machines_use_their_password_elsewhere(
    served: MachineGateway,
) -> None:
    gateway = served.gateway
    with gateway.client(region.GP).imap() as session:
        assert b"AUTH=EXTERNAL" not in session.capability()[1][0]
    # a certificate shown where none is asked for changes nothing
    with smtplib.SMTP_SSL("localhost", gateway.submissions_port, context=served.tls("other root")) as session:
        session.ehlo()
        assert "EXTERNAL" not in session.esmtp_features["auth"]
        assert session.login(region.GP.address, region.PASSWORD)[0] == 235


HOSTILE = [
    b"a\r\n",
    b"* AUTHENTICATE EXTERNAL =\r\n",
    b"a SELECT INBOX\r\n",
    b"a STARTTLS\r\n",
    b"a AUTHENTICATE EXTERNAL {5}\r\n",
    b"a LOGIN {5+}\r\nhello\r\n",
    b"a AUTHENTICATE EXTERNAL !!!\r\n",
    b"a AUTHENTICATE EXTERNAL " + base64.b64encode(b"\xff\x00") + b"\r\n",
    b"a AUTHENTICATE EXTERNAL " + base64.b64encode(f"{MACHINE.address}*gateway".encode()) + b"\r\n",
    b"a AUTHENTICATE EXTERNAL " + base64.b64encode(f"{MACHINE.address}\0x".encode()) + b"\r\n",
    b"a" * 20_000 + b"\r\n",
    b"\x00\r\n",
    "é\r\n".encode(),
    b"a NOOP\na LOGOUT\n\r\n",
    b"a NOOP\r\n" * 50 + b"b BAD\r\n" * 30,
]


@pytest.mark.parametrize("octets", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_login_opens_nothing(served: MachineGateway, octets: bytes) -> None:
    with capture_logs() as logs:
        mailbox = served.imap("dpi")
        mailbox.sock.settimeout(10)
        mailbox.send(octets)
        mailbox.send(b"z SELECT INBOX\r\nz LOGOUT\r\n")
        answer = b""
        try:
            while chunk := mailbox.sock.recv(65536):
                answer += chunk
        except ConnectionError:
            pass
        mailbox.shutdown()
    assert b"z OK [READ" not in answer
    assert b"UIDVALIDITY" not in answer
    assert [line for line in logs if line["log_level"] == "error"] == []


def test_commands_sent_behind_the_login_reach_the_mailbox(served: MachineGateway) -> None:
    mailbox = served.imap("dpi")
    mailbox.sock.settimeout(20)
    mailbox.send(b"a AUTHENTICATE EXTERNAL =\r\nb SELECT INBOX\r\nc LOGOUT\r\n")
    answer = b""
    while chunk := mailbox.sock.recv(65536):
        answer += chunk
    mailbox.shutdown()
    assert b"a OK" in answer
    assert b"b OK" in answer
    assert b"c OK" in answer


def test_ten_log_in_at_once(served: MachineGateway) -> None:
    def opened(number: int) -> bool:
        mailbox = served.imap("dpi")
        try:
            return imap_external(mailbox) == "" and mailbox.select("INBOX")[0] == "OK"
        finally:
            mailbox.logout()

    with ThreadPoolExecutor(10) as threads:
        assert list(threads.map(opened, range(10))) == [True] * 10


def test_a_certificate_that_is_taken_away_opens_nothing_from_the_next_command(
    served: MachineGateway,
) -> None:
    names = certificate_names(served.cards["dpi"].der)
    assert names is not None

    async def unbind(services: Services) -> None:
        async with services.store.transaction() as tx:
            (bound,) = await tx.account_certificates.list(MACHINE.address)
            assert await tx.account_certificates.unbind(MACHINE.address, names.key)
            kept.append(bound)

    async def bind(services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.account_certificates.bind(kept[0])

    kept: list[AccountCertificate] = []
    with served.smtp("dpi") as session:
        assert external(session)[0] == 235
        assert session.mail(MACHINE.address)[0] == 250
        served.gateway.ask(unbind)
        try:
            assert session.rcpt(region.NURSE.address)[0] == 535
            session.rset()
            assert session.mail(MACHINE.address)[0] == 535
            mailbox = served.imap("dpi")
            assert "nobody here" in imap_external(mailbox)
            mailbox.shutdown()
        finally:
            served.gateway.ask(bind)
        assert session.mail(MACHINE.address)[0] == 250


def test_taking_a_certificate_away_ends_the_open_mail_sessions(served: MachineGateway) -> None:
    def call(*arguments: str) -> str:
        path = str(served.folder / "var" / "gateway.toml")
        done = CliRunner().invoke(cli, ["--config", path, "account", "certificate", *arguments, "--json"])
        assert done.exit_code == 0, done.output
        return done.stdout

    mailbox = served.imap("dpi")
    assert imap_external(mailbox) == ""
    assert mailbox.select("INBOX")[0] == "OK"
    (bound,) = json.loads(call("list", MACHINE.address))
    assert json.loads(call("remove", MACHINE.address, bound["key"][:16]))["sessions_ended"]
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        mailbox.noop()
    mailbox.shutdown()
    call("add", MACHINE.address, "--file", str(served.cards["renewed"].certificate))
    again = served.imap("dpi")
    assert imap_external(again) == ""
    again.logout()


def test_a_revocation_that_becomes_known_holds_from_the_next_command(served: MachineGateway) -> None:
    with served.smtp("dpi") as session:
        assert external(session)[0] == 235
        assert session.mail(MACHINE.address)[0] == 250
        served.revoke("dpi")
        try:
            assert session.rcpt(region.NURSE.address) == (535, b"5.7.8 Not accepted: certificate revoked")
            mailbox = served.imap("dpi")
            assert "certificate revoked" in imap_external(mailbox)
            mailbox.shutdown()
            renewed = served.imap("renewed")  # the same names, another serial number
            assert imap_external(renewed) == ""
            renewed.logout()
        finally:
            served.revoke()
        assert session.rcpt(region.NURSE.address)[0] == 250


def ended(mailbox: imaplib.IMAP4_SSL) -> bool:
    """Whether the other side has ended a session."""
    try:
        mailbox.noop()
    except (imaplib.IMAP4.abort, OSError):
        return True
    return False


def test_a_revocation_ends_the_open_mail_sessions_of_that_certificate_only(served: MachineGateway) -> None:
    revoked, renewed = served.imap("dpi"), served.imap("renewed")
    for mailbox in (revoked, renewed):
        assert imap_external(mailbox) == ""
        assert mailbox.select("INBOX")[0] == "OK"
    served.revoke("dpi")
    try:
        eventually(lambda: ended(revoked), "the end of the session")
        assert renewed.select("INBOX")[0] == "OK"
    finally:
        served.revoke()
    assert "end session" in served.gateway.ask(_trail)
    renewed.logout()
    revoked.shutdown()
