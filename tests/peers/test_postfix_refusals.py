"""What passes between operators and what does not: certificates, listed domains, relaying, clear text."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator

import pytest

from certs.tls import submission_client_context
from gateway.services import Services
from gateway.store.rows import OutboxRow, OutboxState
from tests.support import region
from tests.support.gateway import Client, eventually
from tests.support.operators import OperatorCertificate, issued_certificate, opened, operator_session
from tests.support.postfix import AUTRE, ForeignClient, Operators, operators

pytestmark = pytest.mark.timeout(120)

#: Listed with another certificate than the host's, and with a host that offers no TLS.
STRANGER, CLEAR = "tiers.mssante.example", "clair.mssante.example"
UNLISTED = "ailleurs.test"


@pytest.fixture(scope="module")
def both() -> Iterator[Operators]:
    with operators({STRANGER: "stranger", CLEAR: "clear"}) as made:
        yield made


@pytest.fixture
def doctor(both: Operators) -> ForeignClient:
    return both.foreigner("luc.morel", "Dr Luc MOREL")


@pytest.fixture
def ours(both: Operators) -> Client:
    return both.gateway.client(region.GP)


def refusal(
    both: Operators,
    mail_from: str,
    recipient: str,
    author: str = "",
    certificate: OperatorCertificate | None = None,
) -> tuple[int, str]:
    """The answer to a mail offered to our MX, by Postfix's operator unless told; (0, '') if taken."""
    text = f"From: {author or mail_from}\r\nTo: {recipient}\r\nSubject: Essai\r\n\r\nBonjour\r\n"
    shown = certificate or both.postfix.credentials
    with operator_session(both.gateway.mx_port, shown.client_tls) as smtp:
        try:
            smtp.sendmail(mail_from, [recipient], text.encode())
        except smtplib.SMTPRecipientsRefused as refused:
            code, answer = refused.recipients[recipient]
            return code, answer.decode()
        except smtplib.SMTPResponseException as refused:
            error = refused.smtp_error
            return refused.smtp_code, error.decode() if isinstance(error, bytes) else error
    return 0, ""


FOREIGNER = f"luc.morel@{AUTRE}"


@pytest.mark.parametrize(
    ("mail_from", "author"),
    [
        pytest.param(f"x@{STRANGER}", "", id="MAIL FROM of another operator's domain"),
        pytest.param(FOREIGNER, f"x@{STRANGER}", id="From of another operator's domain"),
        pytest.param(region.GP.address, "", id="MAIL FROM in our own domain"),
        pytest.param(FOREIGNER, region.GP.address, id="From in our own domain"),
        pytest.param("", region.GP.address, id="report in our own name"),
        pytest.param("", f"x@{STRANGER}", id="report in another operator's name"),
        pytest.param(f"x@{UNLISTED}", "", id="MAIL FROM of a domain outside the list"),
        pytest.param(FOREIGNER, f"x@{UNLISTED}", id="From of a domain outside the list"),
        pytest.param(f"x@sous.{AUTRE}", "", id="subdomain of the operator's"),
        pytest.param(FOREIGNER, f"{FOREIGNER}, x@{AUTRE}", id="two authors"),
    ],
)
def test_an_operator_writes_only_in_its_own_domains(both: Operators, mail_from: str, author: str) -> None:
    code, answer = refusal(both, mail_from, region.GP.address, author)
    assert code == 550, answer
    assert answer.startswith(("5.7.1", "5.6.0"))


def test_case_of_addresses_does_not_matter(both: Operators) -> None:
    assert refusal(both, f"Luc.Morel@{AUTRE.upper()}", region.GP.address.upper()) == (0, "")


@pytest.mark.parametrize(
    "recipient",
    [f"ines.garnier@{AUTRE}", f"x@{STRANGER}", f"x@{UNLISTED}", f"{region.GP.address}@{AUTRE}"],
)
def test_the_mx_relays_for_nobody(both: Operators, recipient: str) -> None:
    code, answer = refusal(both, FOREIGNER, recipient)
    assert code in (501, 550, 553), answer
    assert code == 501 or answer.startswith("5.7.1")


def test_a_report_on_our_mail_is_taken_from_the_operator_that_got_it_and_from_no_other(
    both: Operators, doctor: ForeignClient
) -> None:
    thread = opened(doctor, both.gateway.client(region.DERMATOLOGIST), both.gateway.service)
    question = thread.question(doctor)
    bounce_address = str(question["return-path"]).strip("<>")
    daemon = f"MAILER-DAEMON@mx.{AUTRE}"

    stranger = issued_certificate(both.gateway.settings, both.postfix.folder, f"mx.{STRANGER}")
    assert refusal(both, "", bounce_address, daemon, stranger)[0] == 550
    assert refusal(both, "", region.GP.address, daemon)[0] == 550
    assert refusal(both, "", bounce_address, region.GP.address)[0] == 550
    assert refusal(both, "", bounce_address, daemon) == (0, "")


def test_an_unknown_mailbox_of_ours_is_refused(both: Operators) -> None:
    code, answer = refusal(both, FOREIGNER, f"personne@{region.DOMAIN}")
    assert (code, answer[:5]) == (550, "5.1.1")


def test_an_operator_without_a_certificate_is_not_heard(both: Operators) -> None:
    context = submission_client_context(both.gateway.settings.pki.anchors)
    context.check_hostname = False
    with (
        pytest.raises((ssl.SSLError, smtplib.SMTPException, OSError)),
        operator_session(both.gateway.mx_port, context) as smtp,
    ):
        smtp.sendmail(FOREIGNER, [region.GP.address], b"From: x\r\n\r\n")


def test_a_certificate_of_the_space_that_is_not_listed_may_send_nothing(both: Operators) -> None:
    folder = both.postfix.folder
    intruder = issued_certificate(both.gateway.settings, folder, "mx.intrus.mssante.example")
    with operator_session(both.gateway.mx_port, intruder.client_tls) as smtp:
        smtp.ehlo()
        assert smtp.mail(FOREIGNER)[0] == 550


def test_mail_before_tls_is_refused(both: Operators) -> None:
    with smtplib.SMTP("127.0.0.1", both.gateway.mx_port, local_hostname="mx.test", timeout=30) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("auth")
        assert smtp.mail(FOREIGNER)[0] == 530


def test_postfix_bounces_what_we_refuse_to_its_own_sender(both: Operators, doctor: ForeignClient) -> None:
    doctor.send(doctor.compose(f"personne@{region.DOMAIN}", "Essai", "Bonjour"))
    bounce = doctor.wait(lambda mail: mail.get_content_type() == "multipart/report")
    assert "5.1.1" in bounce.as_string()


def test_ordinary_mail_goes_both_ways_byte_for_byte(
    both: Operators, doctor: ForeignClient, ours: Client
) -> None:
    there = ours.send(ours.compose(doctor.address, "Rendez-vous", "Mardi à 9 h.\n.point\n\n..fin"))
    got = doctor.wait("Rendez-vous")
    raw = next(raw for raw, _ in doctor.raw_mails() if str(got["message-id"]).encode() in raw)
    assert raw.endswith(there.as_bytes().partition(b"\r\n\r\n")[2])
    back = doctor.send(doctor.reply(got, "Entendu : mardi à 9 h."))
    ours.wait(lambda mail: mail["message-id"] == back["message-id"])
    raw = next(raw for raw, _ in ours.raw_mails() if str(back["message-id"]).encode() in raw)
    assert raw.endswith(back.as_bytes().partition(b"\r\n\r\n")[2])


def test_our_users_write_to_listed_domains_only(ours: Client) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        ours.send(ours.compose(f"quelquun@{UNLISTED}", "Essai"))
    (answer,) = refused.value.recipients.values()
    assert answer[0] == 550


@pytest.mark.parametrize("domain", [STRANGER, CLEAR], ids=["certificate of another", "no TLS"])
def test_mail_for_a_host_that_is_not_the_listed_one_stays_in_the_queue_and_is_not_shown_to_it(
    both: Operators, ours: Client, domain: str
) -> None:
    address = f"luc.morel@{domain}"
    before = both.postfix.log
    sent = ours.send(ours.compose(address, "Confidentiel", "Bonjour"))

    async def read(services: Services) -> list[OutboxRow]:
        async with services.store.reading() as tx:
            rows = await tx.outbox.list(list(OutboxState))
        return [row for row in rows if row.recipient == address and row.attempts and row.last_error]

    (row,) = eventually(lambda: both.gateway.ask(read), "a failed attempt")
    assert row.state is OutboxState.PENDING
    assert not row.claimed_until
    eventually(lambda: "connect from" in both.postfix.log[len(before) :], "the connection in Postfix's log")
    # Postfix counts the commands of each session: ours ended before MAIL.
    seen = both.postfix.log[len(before) :]
    assert "mail=" not in seen
    assert str(sent["message-id"]).strip("<>") not in seen
    assert not both.postfix.received(address)
