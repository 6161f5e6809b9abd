"""Logins with an access token at a served gateway: submission and IMAP, good tokens and bad ones."""

from __future__ import annotations

import base64
import imaplib
import json
import smtplib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from structlog.testing import capture_logs

from gateway.mailserver import dovecot_settings
from gateway.services import Services
from teleexpertise.people import Account
from tests.support import region
from tests.support.gateway import TestGateway, eventually, gateway
from tests.support.prosante import CLIENT, ISSUER, ProSante, encoded, pro_sante

GP, SECRETARY, EXPERT = region.GP, region.SECRETARY, region.DERMATOLOGIST
SECRETARY_RPPS = "10100000033"


def toml(issuer: ProSante) -> str:
    return (
        f'\n[oauth]\nenabled = true\nissuer = "{ISSUER}"\naudiences = ["{CLIENT}"]\n'
        f'jwks_url = "{issuer.url}"\nretry_s = 1\nsession_s = 0\n'
    )


@pytest.fixture(scope="module")
def issuer() -> Iterator[ProSante]:
    with pro_sante() as made:
        yield made


@pytest.fixture(scope="module")
def served(issuer: ProSante) -> Iterator[TestGateway]:
    async def number(services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.accounts.set_rpps(SECRETARY.address, SECRETARY_RPPS)

    with gateway(toml(issuer)) as made:
        made.ask(number)
        yield made


def xoauth2(user: str, token: str) -> str:
    return f"user={user}\x01auth=Bearer {token}\x01\x01"


def oauthbearer(user: str, token: str) -> str:
    who = f"a={user}" if user else ""
    return f"n,{who},\x01host=localhost\x01port=993\x01auth=Bearer {token}\x01\x01"


MESSAGES = {"XOAUTH2": xoauth2, "OAUTHBEARER": oauthbearer}


def imap_opens(served: TestGateway, mechanism: str, user: str, token: str) -> bool:
    session = imaplib.IMAP4_SSL("localhost", served.imaps_port, ssl_context=served.tls)
    try:
        session.authenticate(mechanism, lambda _: MESSAGES[mechanism](user, token).encode())
        return session.select("INBOX")[0] == "OK"
    except imaplib.IMAP4.error:
        return False
    finally:
        session.shutdown()


class Submission(smtplib.SMTP):
    """A session under TLS in which nobody is logged in."""

    def __init__(self, served: TestGateway) -> None:
        super().__init__("localhost", served.submission_port, timeout=30)
        self.starttls(context=served.tls)
        self.ehlo("client.example")

    def with_token(self, mechanism: str, message: str, initial: bool = True) -> tuple[int, bytes]:
        """The last answer to one exchange; a challenge is answered as the RFC asks."""
        encoded_message = base64.b64encode(message.encode()).decode()
        if initial:
            code, text = self.docmd("AUTH", f"{mechanism} {encoded_message}")
        else:
            assert self.docmd("AUTH", mechanism) == (334, b"")
            code, text = self.docmd(encoded_message)
        return self.docmd("AQ==" if mechanism == "OAUTHBEARER" else "") if code == 334 else (code, text)


def submits(
    served: TestGateway, mechanism: str, user: str, token: str, initial: bool = True
) -> tuple[int, bytes]:
    with Submission(served) as session:
        return session.with_token(mechanism, MESSAGES[mechanism](user, token), initial)


@pytest.mark.parametrize("mechanism", list(MESSAGES))
def test_a_token_opens_the_mailbox_of_its_holder(
    served: TestGateway, issuer: ProSante, mechanism: str
) -> None:
    token = issuer.token(GP.rpps)
    assert imap_opens(served, mechanism, GP.address, token)
    assert imap_opens(served, mechanism, GP.address.upper(), token)
    for initial in (True, False):
        assert submits(served, mechanism, GP.address, token, initial)[0] == 235
    assert submits(served, "OAUTHBEARER", "", token)[0] == 235  # its holder's, where none is named


def refused_tokens(issuer: ProSante) -> dict[str, tuple[str, str]]:
    """Whose mailbox is wanted, and by what."""
    return {
        "expired": (GP.address, issuer.token(GP.rpps, exp=1_700_000_000)),
        "other issuer": (GP.address, issuer.token(GP.rpps, iss="https://psc.elsewhere.example")),
        "other audience": (GP.address, issuer.token(GP.rpps, azp="autre")),
        "other key": (GP.address, issuer.token(GP.rpps, kid="other")),
        "other key under a known name": (GP.address, issuer.token(GP.rpps, {"kid": issuer.kid}, kid="other")),
        "none": (GP.address, issuer.forged({"alg": "none", "kid": issuer.kid}, GP.rpps)),
        "public key as secret": (GP.address, issuer.confused(GP.rpps)),
        "of somebody else": (EXPERT.address, issuer.token(GP.rpps)),
        "of nobody here": (GP.address, issuer.token("10100000074")),
        "password in place of a token": (GP.address, region.PASSWORD.replace(" ", "_")),
        "nobody's mailbox": ("nobody@" + region.DOMAIN, issuer.token(GP.rpps)),
        "nested": (GP.address, f"{encoded(b'[' * 2000)}.{encoded(b'[' * 2000)}.AAAA"),
        "kid as a path": (GP.address, issuer.token(GP.rpps, {"kid": "../../../../dev/zero"})),
    }


def test_other_tokens_open_nothing_and_passwords_work_beside(served: TestGateway, issuer: ProSante) -> None:
    bad = refused_tokens(issuer)
    mechanisms = [list(MESSAGES)[turn % 2] for turn in range(len(bad))]
    users, tokens = zip(*bad.values(), strict=True)
    with capture_logs() as logs, ThreadPoolExecutor(16) as threads:
        by_imap = threads.map(partial(imap_opens, served), mechanisms, users, tokens)
        assert dict(zip(bad, by_imap, strict=True)) == dict.fromkeys(bad, False)
        # by password, which ends the count of failures too: twenty would close both doors
        with served.client(GP).imap() as session:
            assert session.select("INBOX")[0] == "OK"
        by_smtp = threads.map(partial(submits, served), reversed(mechanisms), users, tokens)
        assert dict(zip(bad, (code for code, _ in by_smtp), strict=True)) == dict.fromkeys(bad, 535)
    assert submits(served, "XOAUTH2", GP.address, issuer.token(GP.rpps))[0] == 235
    assert [line for line in logs if line["log_level"] == "error"] == []

    log = dovecot_settings(served.settings).log.read_text()
    trail = served.ask(_trail)
    for _, token in bad.values():
        for part in token.split("."):
            if len(part) > 30:
                assert part not in log
                assert part not in trail
                assert part not in repr(logs)
    assert "token expired" in trail
    assert "refused imap" in trail


async def _trail(services: Services) -> str:
    async with services.store.reading() as tx:
        return repr(await tx.audit.list(limit=100_000))


def test_the_failure_dialogue_is_the_one_that_clients_know(served: TestGateway, issuer: ProSante) -> None:
    token = issuer.token(GP.rpps, exp=1_700_000_000)
    with Submission(served) as session:
        first = session.docmd(
            "AUTH", "XOAUTH2 " + base64.b64encode(xoauth2(GP.address, token).encode()).decode()
        )
        assert first == (334, b"eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIiwic2NvcGUiOiJtYWlsIn0=")
        assert json.loads(base64.b64decode(first[1])) == {
            "status": "401",
            "schemes": "bearer",
            "scope": "mail",
        }
        assert session.docmd("") == (535, b"5.7.8 Authentication credentials invalid")
        asked = session.docmd(
            "AUTH", "OAUTHBEARER " + base64.b64encode(oauthbearer(GP.address, "x").encode()).decode()
        )
        assert json.loads(base64.b64decode(asked[1]))["status"] == "invalid_token"
        assert session.docmd("AQ==") == (535, b"5.7.8 Authentication credentials invalid")
        # the session goes on: the client may come with a fresh token
        assert session.with_token("XOAUTH2", xoauth2(GP.address, issuer.token(GP.rpps)))[0] == 235


def test_tokens_are_offered_under_tls_only(served: TestGateway) -> None:
    with smtplib.SMTP("localhost", served.submission_port, timeout=30) as session:
        session.ehlo()
        assert not session.has_extn("auth")
        assert session.docmd("AUTH", "XOAUTH2 AA==")[0] == 530
        session.starttls(context=served.tls)
        session.ehlo()
        assert session.esmtp_features["auth"].split() == ["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"]
        assert session.docmd("AUTH", "EXTERNAL =")[0] == 504


def test_a_token_on_the_imap_port_with_starttls(served: TestGateway, issuer: ProSante) -> None:
    session = imaplib.IMAP4("localhost", served.settings.imap.starttls_port, timeout=20)
    assert not [word for word in session.capabilities if word.startswith("AUTH=")]
    session.starttls(served.tls)
    assert {"AUTH=XOAUTH2", "AUTH=OAUTHBEARER"} <= set(session.capabilities)
    message = xoauth2(GP.address, issuer.token(GP.rpps)).encode()
    assert session.authenticate("XOAUTH2", lambda _: message)[0] == "OK"
    session.logout()


@pytest.mark.parametrize(
    "message",
    [
        "",
        "user=a\x01auth=Bearer x\x01",
        "auth=Bearer x\x01\x01",
        f"user={GP.address}\x01user={GP.address}\x01auth=Bearer x\x01\x01",
        f"user={GP.address}\x01auth=Basic x\x01\x01",
        f"user={GP.address}\x01\x01",
        f"user={GP.address}\x01auth=Bearer x\x01\x01\x01\x01y=\x01\x01",
        "n,a=x\x01auth=Bearer x\x01\x01",
        "p=tls-unique,a=x,\x01auth=Bearer x\x01\x01",
        "n,a=x=2Fy,\x01auth=Bearer x\x01\x01",
        "\x00" * 50,
        "é" * 100,
    ],
)
def test_messages_that_are_none_are_refused_as_syntax(served: TestGateway, message: str) -> None:
    with Submission(served) as session:
        for mechanism in MESSAGES:
            assert session.with_token(mechanism, message)[0] in (501, 535)
        assert session.docmd("AUTH", "XOAUTH2 !!!")[0] == 501
        assert session.noop()[0] == 250


def test_a_token_of_a_megabyte_ends_its_session_only(served: TestGateway) -> None:
    long = xoauth2(GP.address, "A" * 1_000_000)
    with Submission(served) as session:
        assert session.with_token("XOAUTH2", xoauth2(GP.address, "A" * 9000))[0] in (500, 535)
        with suppress(smtplib.SMTPServerDisconnected, OSError):
            assert session.with_token("XOAUTH2", long, initial=False)[0] == 500
        with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
            session.noop()
    assert not imap_opens(served, "XOAUTH2", GP.address, "A" * 1_000_000)
    with Submission(served) as session:
        assert session.login(GP.address, region.PASSWORD)[0] == 235


def test_who_acts_for_another_may_name_that_mailbox_and_is_still_oneself(
    served: TestGateway, issuer: ProSante
) -> None:
    token = issuer.token(SECRETARY_RPPS)
    with Submission(served) as session:
        assert session.with_token("XOAUTH2", xoauth2(GP.address, token))[0] == 235
        assert session.mail(GP.address)[0] == 250
        session.rset()
        assert session.mail(SECRETARY.address)[0] == 250
        session.rset()
        assert session.mail(EXPERT.address)[0] == 550
    assert submits(served, "XOAUTH2", EXPERT.address, token)[0] == 535
    # the other way round there is no such right, and on IMAP a mailbox is its holder's
    assert submits(served, "XOAUTH2", SECRETARY.address, issuer.token(GP.rpps))[0] == 535
    assert not imap_opens(served, "XOAUTH2", GP.address, token)


def test_the_token_of_a_suspended_account_opens_nothing(served: TestGateway, issuer: ProSante) -> None:
    token = issuer.token(EXPERT.rpps)
    assert imap_opens(served, "XOAUTH2", EXPERT.address, token)
    served.ask(lambda services: _suspended(services, EXPERT, True))
    try:
        assert not imap_opens(served, "XOAUTH2", EXPERT.address, token)
        assert submits(served, "XOAUTH2", EXPERT.address, token)[0] == 535
    finally:
        served.ask(lambda services: _suspended(services, EXPERT, False))
    assert submits(served, "XOAUTH2", EXPERT.address, token)[0] == 235


async def _suspended(services: Services, account: Account, suspended: bool) -> None:
    async with services.store.transaction() as tx:
        await (tx.accounts.suspend if suspended else tx.accounts.resume)(account.address)


def test_a_new_key_of_the_issuer_is_fetched_and_ten_log_in_at_once(
    served: TestGateway, issuer: ProSante
) -> None:
    asked, old = issuer.asked, issuer.kid
    issuer.kid = "psc-next"
    try:
        token = issuer.token(GP.rpps)
        first = submits(served, "XOAUTH2", GP.address, token)
        assert first[0] == 235
        with ThreadPoolExecutor(10) as threads:
            opened = list(threads.map(lambda n: _opens(served, token, n), range(10)))
        assert opened == [True] * 10
        assert issuer.asked == asked + 1
    finally:
        issuer.kid = old


def _opens(served: TestGateway, token: str, number: int) -> bool:
    if number % 2:
        return imap_opens(served, "XOAUTH2", GP.address, token)
    return submits(served, "XOAUTH2", GP.address, token)[0] == 235


def test_failures_of_both_doors_are_counted_together(served: TestGateway) -> None:
    victim = region.STRANGER

    def wrong(number: int) -> None:
        session = imaplib.IMAP4_SSL("localhost", served.imaps_port, ssl_context=served.tls)
        with pytest.raises(imaplib.IMAP4.error):
            session.login(victim.address, f"faux {number}")
        session.shutdown()

    with ThreadPoolExecutor(20) as threads:
        list(threads.map(wrong, range(20)))
    session = imaplib.IMAP4_SSL("localhost", served.imaps_port, ssl_context=served.tls)
    with pytest.raises(imaplib.IMAP4.error):
        session.login(victim.address, region.PASSWORD)
    session.shutdown()
    with Submission(served) as submission, pytest.raises(smtplib.SMTPResponseException) as refused:
        submission.login(victim.address, region.PASSWORD)
    assert refused.value.smtp_code == 454
    # others at the same place, and the gateway's own filing, are not kept out
    with served.client(GP).imap() as other:
        assert other.select("INBOX")[0] == "OK"


def test_without_the_setting_no_token_is_offered() -> None:
    with gateway() as plain:
        with Submission(plain) as session:
            assert session.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
            assert session.docmd("AUTH", "XOAUTH2 AA==")[0] == 504
        with (
            socket.create_connection(("localhost", plain.imaps_port)) as raw,
            plain.tls.wrap_socket(raw, server_hostname="localhost") as connection,
        ):
            greeting = connection.recv(4096)
    assert b"AUTH=PLAIN" in greeting
    assert b"OAUTH" not in greeting


def test_the_end_of_a_token_ends_the_sessions_that_it_opened(served: TestGateway, issuer: ProSante) -> None:
    ending = issuer.token(GP.rpps, exp=int(time.time()) - 27)  # 30 s of leeway
    reading = imaplib.IMAP4_SSL("localhost", served.imaps_port, ssl_context=served.tls)
    reading.authenticate("XOAUTH2", lambda _: xoauth2(GP.address, ending).encode())
    assert reading.select("INBOX")[0] == "OK"
    with Submission(served) as writing, served.client(SECRETARY).imap() as other:
        assert writing.with_token("XOAUTH2", xoauth2(GP.address, ending))[0] == 235
        assert writing.mail(GP.address)[0] == 250

        def over() -> bool:
            try:
                reading.noop()
            except (imaplib.IMAP4.abort, OSError):
                return True
            return False

        eventually(over, "the end of the reading session")
        assert writing.docmd("RSET")[0] == 250
        assert writing.mail(GP.address) == (421, b"4.7.0 The token has ended, log in again")
        assert other.noop()[0] == "OK"
    reading.shutdown()
