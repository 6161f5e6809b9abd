"""What passes between operators and what does not: certificates, listed domains, relaying, clear text."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from certs.operators import TrustEntry, read_trust_list, render_trust_list
from certs.pki import write_public
from certs.tls import submission_client_context
from gateway.services import Services
from gateway.store.rows import AuditRow, OutboxRow, OutboxState
from tests.support import region
from tests.support.gateway import Client, eventually, refusal_text
from tests.support.operators import OperatorCertificate, issued_certificate, opened, operator_session
from tests.support.postfix import AUTRE, ForeignClient, Operators, operators

pytestmark = pytest.mark.timeout(120)

#: Listed with another certificate than the host's, and with a host that offers no TLS.
STRANGER, CLEAR = "tiers.mssante.example", "clair.mssante.example"
#: Listed at first, nobody listens there; it is taken off the list while mail for it waits.
LEAVING = "partant.mssante.example"
UNLISTED = "ailleurs.test"


@pytest.fixture(scope="module")
def both() -> Iterator[Operators]:
    with operators({STRANGER: "stranger", CLEAR: "clear", LEAVING: "mute"}) as made:
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


def refused_lines(both: Operators) -> list[AuditRow]:
    """The lines of the audit trail about mail that was not taken."""

    async def read(services: Services) -> list[AuditRow]:
        async with services.store.reading() as tx:
            lines = await tx.audit.list(limit=10_000)
        return [line for line in lines if line.action in ("refuse", "turn away")]

    found: list[AuditRow] = both.gateway.ask(read)
    return found


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
    before = len(refused_lines(both))
    code, answer = refusal(both, mail_from, region.GP.address, author)
    assert code == 550, answer
    assert answer.startswith(("5.7.1", "5.6.0"))
    written = refused_lines(both)[before:]
    assert [line.actor for line in written] == ["127.0.0.1"]
    assert answer.startswith("5.6.0") or written[0].detail["reason"] in answer


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


def tried(both: Operators, address: str) -> list[OutboxRow]:
    """Deliveries to an address that were tried once at least."""

    async def read(services: Services) -> list[OutboxRow]:
        async with services.store.reading() as tx:
            rows = await tx.outbox.list(list(OutboxState))
        return [row for row in rows if row.recipient == address and row.attempts and row.last_error]

    found: list[OutboxRow] = both.gateway.ask(read)
    return found


def tried_again(both: Operators, row: OutboxRow) -> None:
    """As `gateway queue retry` does: the attempt after the last one, so that it is given up if it fails."""

    async def work(services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.outbox.retry(row, row.last_error, services.clock())

    both.gateway.ask(work)


def test_a_host_that_never_shows_the_listed_certificate_is_told_to_the_author_in_the_end(
    both: Operators, ours: Client
) -> None:
    address = f"ines.garnier@{STRANGER}"
    ours.send(ours.compose(address, "Confidentiel", "Bonjour"))
    (row,) = eventually(lambda: tried(both, address), "a failed attempt")
    tried_again(both, row)
    report = ours.wait(lambda mail: mail.get_content_type() == "multipart/report" and address in str(mail))
    words = " ".join(report.get_payload(0).get_content().split())  # type: ignore[union-attr]
    assert "n'a pas prouvé" in words.replace("’", "'")
    assert "rien ne lui a été transmis" in words
    assert "Status: 4.7.5" in report.as_string()
    assert not both.postfix.received(address)


def test_mail_that_waits_for_a_domain_bounces_once_it_leaves_the_list_without_restart(
    both: Operators, ours: Client
) -> None:
    settings = both.gateway.settings
    address = f"luc.morel@{LEAVING}"
    listed = settings.trust.list_file.read_bytes()
    ours.send(ours.compose(address, "Rendez-vous", "Bonjour"))
    (row,) = eventually(lambda: tried(both, address), "a failed attempt")
    assert row.last_error.startswith("4.4.1")
    held = read_trust_list(listed)
    entries = [
        TrustEntry(domain, name)
        for domain, names in held.domains.items()
        for name in names
        if domain != LEAVING
    ]
    write_public(settings.trust.list_file, render_trust_list(entries, datetime.now(UTC)))
    eventually(lambda: not both.gateway.services.trust.listed(LEAVING), "the new list in force")
    tried_again(both, row)
    report = ours.wait(lambda mail: mail.get_content_type() == "multipart/report" and address in str(mail))
    words = " ".join(report.get_payload(0).get_content().split())  # type: ignore[union-attr]
    assert "ne fait plus partie de l'espace de confiance" in words.replace("’", "'")
    assert "Status: 5.7.1" in report.as_string()
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        ours.send(ours.compose(address, "Encore"))
    assert "espace de confiance" in refusal_text(refused.value)
    assert not both.postfix.received(address)


def test_a_null_sender_is_never_a_members_words(both: Operators, doctor: ForeignClient) -> None:
    """A mail with MAIL FROM:<> and a member's From, that no mark tells to be automatic."""
    expert = both.gateway.client(region.DERMATOLOGIST)
    thread = opened(doctor, expert, both.gateway.service)
    question = thread.question(expert)
    reply = str(question["reply-to"]).partition("<")[2].rstrip(">")
    text = (
        f"From: {doctor.address}\r\nTo: {reply}\r\nSubject: Re: {question['subject']}\r\n"
        f"References: {question['message-id']}\r\nMessage-ID: <null@x.{AUTRE}>\r\n\r\nMots volants\r\n"
    )
    with operator_session(both.gateway.mx_port, both.postfix.credentials.client_tls) as smtp:
        smtp.sendmail("", [reply], text.encode())
    after = doctor.send(doctor.reply(thread.question(doctor), "Merci de votre avis."))
    expert.wait(lambda mail: mail["message-id"] == after["message-id"], "Téléexpertises")
    for folder in ("INBOX", "Téléexpertises"):
        assert not [raw for raw, _ in expert.raw_mails(folder) if b"Mots volants" in raw]


@pytest.mark.parametrize("domain", [STRANGER, CLEAR], ids=["certificate of another", "no TLS"])
def test_mail_for_a_host_that_is_not_the_listed_one_stays_in_the_queue_and_is_not_shown_to_it(
    both: Operators, ours: Client, domain: str
) -> None:
    address = f"luc.morel@{domain}"
    before = both.postfix.log
    sent = ours.send(ours.compose(address, "Confidentiel", "Bonjour"))

    (row,) = eventually(lambda: tried(both, address), "a failed attempt")
    assert row.state is OutboxState.PENDING
    assert not row.claimed_until
    eventually(lambda: "connect from" in both.postfix.log[len(before) :], "the connection in Postfix's log")
    # Postfix counts the commands of each session: ours ended before MAIL.
    seen = both.postfix.log[len(before) :]
    assert "mail=" not in seen
    assert str(sent["message-id"]).strip("<>") not in seen
    assert not both.postfix.received(address)
