"""A right that is withdrawn is gone at the next command of a session that is open."""

from __future__ import annotations

import smtplib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from gateway.services import Services
from gateway.store import Transaction
from teleexpertise.people import Account
from tests.support import region
from tests.support.gateway import TestGateway, gateway, refusal_text

NURSE = region.NURSE


@pytest.fixture(scope="module")
def own() -> Iterator[TestGateway]:
    with gateway() as made:
        yield made


def change(served: TestGateway, work: Callable[[Transaction], Awaitable[object]]) -> None:
    async def changed(services: Services) -> None:
        async with services.store.transaction() as tx:
            await work(tx)

    served.ask(changed)


@contextmanager
def suspended(served: TestGateway, account: Account) -> Iterator[None]:
    change(served, lambda tx: tx.accounts.suspend(account.address))
    try:
        yield
    finally:
        change(served, lambda tx: tx.accounts.resume(account.address))


@contextmanager
def withdrawn(served: TestGateway, principal: Account, delegate: Account) -> Iterator[None]:
    change(served, lambda tx: tx.delegations.revoke(principal.address, delegate.address))
    try:
        yield
    finally:
        now = served.services.clock()
        change(served, lambda tx: tx.delegations.grant(principal.address, delegate.address, now))


@contextmanager
def session_of(served: TestGateway, account: Account) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("localhost", served.submission_port, timeout=30) as session:
        session.starttls(context=served.tls)
        session.login(account.address, region.PASSWORD)
        yield session


def written(author: Account, number: int = 0) -> bytes:
    lines = (
        f"From: {author.address}",
        f"To: {NURSE.address}",
        "Subject: essai",
        f"Message-ID: <rights.{number}.{author.address}>",
        "",
        "Bonjour.",
        ".",
        "",
    )
    return "\r\n".join(lines).encode()


def test_a_suspension_holds_at_rcpt_at_data_and_at_the_end_of_data(own: TestGateway) -> None:
    writer = region.GP
    with session_of(own, writer) as session:
        assert session.mail(writer.address)[0] == 250
        with suspended(own, writer):
            assert session.rcpt(NURSE.address) == (535, b"5.7.8 Account suspended")
        assert session.rcpt(NURSE.address)[0] == 250
        with suspended(own, writer):
            assert session.docmd("DATA") == (535, b"5.7.8 Account suspended")
        assert session.docmd("DATA")[0] == 354
        with suspended(own, writer):
            session.send(written(writer))
            assert session.getreply() == (535, b"5.7.8 Account suspended")
        with suspended(own, writer):
            assert session.mail(writer.address)[0] == 535
            assert session.rcpt(NURSE.address)[0] == 503
        assert session.sendmail(writer.address, [NURSE.address], written(writer)[:-3]) == {}


def test_a_delegation_withdrawn_between_two_messages(own: TestGateway) -> None:
    with session_of(own, region.SECRETARY) as session:
        principal, delegate = region.GP, region.SECRETARY
        assert session.sendmail(principal.address, [NURSE.address], written(principal, 1)[:-3]) == {}
        with withdrawn(own, principal, delegate):
            code, text = session.mail(principal.address)
            assert (code, text[:5]) == (550, b"5.7.1")
            with pytest.raises(smtplib.SMTPDataError) as refused:
                session.sendmail(delegate.address, [NURSE.address], written(principal, 2)[:-3])
            assert refusal_text(refused.value).startswith("550 5.7.1")
            # in one's own name one writes on
            assert session.sendmail(delegate.address, [NURSE.address], written(delegate, 3)[:-3]) == {}


@pytest.mark.parametrize("author", [region.GP, region.SECRETARY])
def test_a_delegation_withdrawn_within_a_message(own: TestGateway, author: Account) -> None:
    principal, delegate = region.GP, region.SECRETARY
    with session_of(own, delegate) as session:
        assert session.mail(principal.address)[0] == 250
        with withdrawn(own, principal, delegate):
            assert session.rcpt(NURSE.address)[0] == 550
        assert session.rcpt(NURSE.address)[0] == 250
        with withdrawn(own, principal, delegate):
            assert session.docmd("DATA")[0] == 550
        assert session.docmd("DATA")[0] == 354
        with withdrawn(own, principal, delegate):
            session.send(written(author, 4))
            assert session.getreply()[0] == 550  # MAIL FROM counts as From does


def test_membership_of_a_service_withdrawn(own: TestGateway) -> None:
    service, member = region.SERVICE, region.CARDIOLOGIST
    with session_of(own, member) as session:
        assert session.sendmail(service.address, [NURSE.address], written(service, 5)[:-3]) == {}
        with withdrawn(own, service, member):
            assert session.mail(service.address)[0] == 550
        assert session.mail(service.address)[0] == 250


def test_nobody_writes_for_who_is_suspended(own: TestGateway) -> None:
    with session_of(own, region.SECRETARY) as session, suspended(own, region.GP):
        assert session.mail(region.GP.address)[0] == 550
        with pytest.raises(smtplib.SMTPDataError):
            session.sendmail(region.SECRETARY.address, [NURSE.address], written(region.GP, 6)[:-3])


def test_the_null_sender_is_of_who_is_logged_in(own: TestGateway) -> None:
    with session_of(own, region.GP) as session:
        assert session.mail("")[0] == 250
        with suspended(own, region.GP):
            assert session.rcpt(NURSE.address)[0] == 535
