"""A real Postfix with certificates that must not be believed: refused with its code, or with its alert where
TLS itself fails, and written down with address and reason. In both directions.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.services import Services
from gateway.store.rows import AuditRow, OutboxRow, OutboxState
from tests.support import region
from tests.support.gateway import Client, eventually
from tests.support.impostors import Hostile, Way, hostile_operators, revoke
from tests.support.operators import issued_certificate, operator_session
from tests.support.postfix import AUTRE, ForeignClient

pytestmark = pytest.mark.timeout(120)

FOREIGNER = f"luc.morel@{AUTRE}"
_PAGE = 1000


@pytest.fixture(scope="module")
def hostile() -> Iterator[Hostile]:
    with hostile_operators() as made:
        yield made


@pytest.fixture
def doctor(hostile: Hostile) -> ForeignClient:
    return hostile.both.foreigner("luc.morel", "Dr Luc MOREL")


@pytest.fixture
def ours(hostile: Hostile) -> Client:
    return hostile.both.gateway.client(region.GP)


def turned_away(hostile: Hostile) -> list[AuditRow]:
    """The lines of the audit trail about operators that were turned away."""

    async def read(services: Services) -> list[AuditRow]:
        async with services.store.reading() as tx:
            return [row for row in await tx.audit.list(limit=_PAGE) if row.action == "turn away"]

    found: list[AuditRow] = hostile.both.gateway.ask(read)
    return found


def queued(hostile: Hostile, recipient: str) -> list[OutboxRow]:
    """Actions for a recipient that were tried once at least."""

    async def read(services: Services) -> list[OutboxRow]:
        async with services.store.reading() as tx:
            rows = await tx.outbox.list(list(OutboxState))
        return [row for row in rows if row.recipient == recipient and row.attempts and row.last_error]

    found: list[OutboxRow] = hostile.both.gateway.ask(read)
    return found


def test_the_right_certificate_passes_both_ways_although_revocation_lists_are_required(
    hostile: Hostile, doctor: ForeignClient, ours: Client
) -> None:
    there = ours.send(ours.compose(doctor.address, "Bonjour", "De chez nous"))
    doctor.wait(lambda mail: mail["message-id"] == there["message-id"])
    back = doctor.send(doctor.compose(ours.address, "Bonjour", "De chez eux"))
    ours.wait(lambda mail: mail["message-id"] == back["message-id"])


@pytest.mark.parametrize(
    ("way", "code", "reason"),
    [
        (Way.STRANGER, "550 5.7.1", f"name-unlisted {AUTRE}"),
        (Way.REVOKED, "554 5.7.1", "certificate revoked"),
        (Way.CLEAR, "530 5.7.0", "mail without tls"),
    ],
)
def test_postfix_is_answered_and_bounces_to_its_sender(
    hostile: Hostile, doctor: ForeignClient, way: Way, code: str, reason: str
) -> None:
    address = hostile.address(way)
    sent = doctor.send(doctor.compose(address, f"Essai {way}", "Bonjour"))

    def bounced(mail: object) -> bool:
        text = str(mail)
        return f"Final-Recipient: rfc822; {address}" in text and str(sent["message-id"]) in text

    bounce = doctor.wait(bounced)
    assert f"Diagnostic-Code: smtp; {code}" in " ".join(bounce.as_string().split())
    line = next(row for row in turned_away(hostile) if row.detail["reason"] == reason)
    assert line.actor == "127.0.0.1"
    assert line.result in (code, "not secured")
    if way is Way.STRANGER:
        assert line.detail["certificate"] == hostile.certificates[way].name.text


@pytest.mark.parametrize(
    ("way", "alert", "reason"),
    [
        (Way.EXPIRED, "certificate expired", "tls: certificate: certificate has expired"),
        (Way.OTHER_ROOT, "unknown ca", "tls: certificate: unable to get local issuer certificate"),
        (Way.SELF_SIGNED, "unknown ca", "tls: certificate: self-signed certificate"),
        (Way.WRONG_USAGE, "unsupported certificate", "tls: certificate: unsuitable certificate purpose"),
        (Way.NONE, "certificate required", "tls: peer did not return a certificate"),
        (Way.TLS_1_1, "protocol version", "tls: unsupported protocol"),
    ],
)
def test_postfix_gets_an_alert_keeps_its_mail_and_we_write_down_why(
    hostile: Hostile, doctor: ForeignClient, way: Way, alert: str, reason: str
) -> None:
    before = len(hostile.both.postfix.log)
    doctor.send(doctor.compose(hostile.address(way), f"Essai {way}", "Bonjour"))
    line = eventually(
        lambda: next((row for row in turned_away(hostile) if row.detail["reason"] == reason), None), reason
    )
    assert (line.actor, line.result) == ("127.0.0.1", "not secured")
    eventually(lambda: f"alert {alert}" in hostile.both.postfix.log[before:], f"alert {alert} at Postfix")


def test_a_null_sender_is_judged_by_its_certificate_too(hostile: Hostile) -> None:
    tls = hostile.certificates[Way.REVOKED].client_tls
    with operator_session(hostile.both.gateway.mx_port, tls) as smtp:
        smtp.ehlo()
        assert smtp.mail("")[0] == 554


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (Way.STRANGER, "Host not trusted for this domain: name-unlisted"),
        (Way.EXPIRED, "Host not trusted for this domain: tls: certificate: certificate has expired"),
        (Way.REVOKED, "Host not trusted for this domain: certificate revoked"),
        (Way.OTHER_ROOT, "Host not trusted for this domain: tls: certificate: unable to get"),
        (Way.SELF_SIGNED, "Host not trusted for this domain: tls: certificate: self-signed"),
        (Way.WRONG_USAGE, "Host not trusted for this domain: tls: certificate: unsuitable"),
        (Way.CLEAR, "Host not trusted for this domain: no STARTTLS"),
        (Way.TLS_1_1, "Host not trusted for this domain: tls: tlsv1 alert protocol version"),
    ],
)
def test_mail_of_ours_stays_in_the_queue_and_is_not_shown_to_such_a_host(
    hostile: Hostile, ours: Client, way: Way, reason: str
) -> None:
    address = f"luc.morel@{way.domain}"
    sent = ours.send(ours.compose(address, "Confidentiel", "Bonjour"))
    (row,) = eventually(lambda: queued(hostile, address), "a failed attempt")
    assert row.state is OutboxState.PENDING
    assert row.last_error.startswith(f"4.7.5 {reason}")
    assert str(sent["message-id"]).strip("<>") not in hostile.both.postfix.log
    assert not hostile.both.postfix.received(address)


def test_a_certificate_that_is_revoked_while_we_serve_is_refused_without_restart(hostile: Hostile) -> None:
    gateway = hostile.both.gateway
    fresh = issued_certificate(gateway.settings, hostile.both.postfix.folder, f"mx.{AUTRE}")

    def answer() -> int:
        with operator_session(gateway.mx_port, fresh.client_tls) as smtp:
            smtp.ehlo()
            return smtp.mail(FOREIGNER)[0]

    assert answer() == 250
    revoke(gateway.settings, fresh, number=3, minutes=2)
    eventually(lambda: answer() == 554, "the certificate refused")
