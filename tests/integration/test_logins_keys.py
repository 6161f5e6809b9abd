"""The issuer's keys: fetched over HTTP, kept, not asked for too often; a bad server never holds a login."""

from __future__ import annotations

import asyncio
import base64
import imaplib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from certs.tokens import MAXIMUM_KEY_SET
from config import load_mapping
from config.trustsettings import Oauth
from gateway.errors import DeploymentIncomplete
from gateway.fetching import BackOff, Fetcher
from gateway.logins.bearers import Bearers, open_bearers
from gateway.logins.endpoint import LoginEndpoint
from gateway.logins.keys import KeyKeeper, KeyTimes
from gateway.logins.verdict import LoginVerdict
from gateway.pipeline.attempts import Guesses
from gateway.store import Store
from mailboxes.dovecot.logins import MailboxLogin
from mailboxes.dovecot.settings import LoginQuestions
from tests.support import region
from tests.support.dovecot import HASHER, PASSWORD, deployment, free_port, served
from tests.support.prosante import CLIENT, ISSUER, ProSante, pro_sante
from tests.support.smtp import make_credentials
from tests.support.store import database_url
from tests.support.web import web, whole

TIMES = KeyTimes(refresh=100.0, retry=10.0, keep=1000.0, wait=20.0)
IMPATIENT = replace(TIMES, wait=0.3)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[ProSante]:
    with pro_sante() as made:
        yield made


@asynccontextmanager
async def keeper(
    issuer: ProSante, clock: Clock, cache: Path | None = None, times: KeyTimes = TIMES
) -> AsyncIterator[KeyKeeper]:
    async with Fetcher(BackOff(first=0.0, longest=0.0)) as fetcher:

        async def fetch() -> bytes:
            return await fetcher.get(issuer.url, max_bytes=MAXIMUM_KEY_SET)

        made = KeyKeeper(fetch, times, cache, issuer.url, clock)
        await made.open()
        try:
            yield made
        finally:
            await made.close()


async def names(keys: Awaitable[object]) -> set[str]:
    found = await keys
    return set() if found is None else set(found.keys)  # type: ignore[attr-defined]


async def test_ten_logins_ask_once_and_an_unknown_key_asks_again_but_not_often(issuer: ProSante) -> None:
    clock = Clock()
    async with keeper(issuer, clock) as keys:
        found = await asyncio.gather(*(names(keys.current()) for _ in range(10)))
        assert (found, issuer.asked) == ([{"psc-1"}] * 10, 1)
        await asyncio.gather(*(keys.renewed() for _ in range(50)))
        assert issuer.asked == 1  # a moment after the last look
        issuer.kid = "psc-2"
        clock.now += 11
        found = await asyncio.gather(*(names(keys.renewed()) for _ in range(50)))
        assert (found, issuer.asked) == ([{"psc-2"}] * 50, 2)


@pytest.mark.parametrize(
    ("status", "answer"),
    [(500, b""), (403, b""), (200, b"<html>"), (200, b'{"keys":[]}'), (200, b" " * 300_000)],
    ids=["500", "403", "html", "empty", "long"],
)
async def test_the_last_good_keys_serve_while_the_issuer_is_ill(
    issuer: ProSante, status: int, answer: bytes
) -> None:
    clock = Clock()
    async with keeper(issuer, clock) as keys:
        assert await names(keys.current()) == {"psc-1"}
        issuer.status, issuer.answer = status, answer
        clock.now += 200
        assert await names(keys.current()) == {"psc-1"}
        assert await names(keys.renewed()) == {"psc-1"}
        clock.now += 900  # too old: nobody could tell by them whether a key was withdrawn
        assert await names(keys.current()) == set()
        issuer.status, issuer.answer = 200, None
        clock.now += 11
        assert await names(keys.current()) == {"psc-1"}


async def test_a_silent_server_holds_no_login(issuer: ProSante) -> None:
    clock = Clock()
    issuer.silent.set()
    async with keeper(issuer, clock, times=IMPATIENT) as keys:
        # the whole of ten logins: each waits its 0.3 s beside the others
        async with asyncio.timeout(5):
            assert await asyncio.gather(*(names(keys.current()) for _ in range(10))) == [set()] * 10
        issuer.silent.clear()
        async with asyncio.timeout(20):
            while await names(keys.current()) != {"psc-1"}:
                pass  # the one request is still under way, and each round waits for it
        assert issuer.asked == 1
        issuer.silent.set()
        clock.now += 200
        async with asyncio.timeout(5):
            assert await names(keys.current()) == {"psc-1"}


async def test_keys_outlive_the_process_but_not_their_issuer(issuer: ProSante, tmp_path: Path) -> None:
    cache, clock = tmp_path / "jwks.json", Clock()
    async with keeper(issuer, clock, cache) as keys:
        assert await names(keys.current()) == {"psc-1"}
    issuer.status = 503
    async with keeper(issuer, clock, cache) as keys:
        assert await names(keys.current()) == {"psc-1"}
    cache.write_bytes(cache.read_bytes().replace(issuer.url.encode(), b"https://elsewhere.example/certs"))
    async with keeper(issuer, clock, cache) as keys:
        assert await names(keys.current()) == set()
    for rubbish in (b"", b"keys of ", b"\xff" * 1000, b"x" * 1_000_000):
        cache.write_bytes(rubbish)
        async with keeper(issuer, clock, cache) as keys:
            assert await names(keys.current()) == set()


def _oauth(folder: Path, **changes: object) -> Oauth:
    given = {"enabled": True, "issuer": ISSUER, "audiences": [CLIENT], "wait_s": 1, "retry_s": 1, **changes}
    return load_mapping({"service": {"domain": "gateway.mssante.example"}, "oauth": given}, folder).oauth


async def _opened(oauth: Oauth, folder: Path, token: str) -> LoginVerdict:
    """What comes of a token where the general practitioner has the only account."""
    async with Store.open(database_url(folder)) as store:
        async with store.transaction() as tx:
            await tx.accounts.add(region.GP, "", datetime.now(UTC))
        async with open_bearers(oauth, store, lambda: datetime.now(UTC)) as bearers:
            assert bearers is not None
            return await bearers.login(token, "", may_act=False)


async def test_keys_from_a_file(issuer: ProSante, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(issuer.key_set())
    ends = int(time.time()) + 300
    token, oauth = issuer.token(region.GP.rpps, exp=ends), _oauth(tmp_path, jwks_file="keys.json")
    believed_until = datetime.fromtimestamp(ends + oauth.leeway_s, UTC)
    assert await _opened(oauth, tmp_path, token) == LoginVerdict(region.GP.address, until=believed_until)


async def test_keys_that_are_not_there_are_no_verdict(issuer: ProSante, tmp_path: Path) -> None:
    found = await _opened(_oauth(tmp_path, jwks_file="absent.json"), tmp_path, issuer.token(region.GP.rpps))
    assert (found.account, found.temporary) == ("", True)


@pytest.mark.parametrize("believed", [True, False])
async def test_keys_over_https_come_from_who_is_believed_only(
    issuer: ProSante, tmp_path: Path, believed: bool
) -> None:
    server, other = (make_credentials(_made(tmp_path / name)) for name in ("a", "b"))
    anchors = server.authority if believed else other.authority
    async with web(server.server()) as site:
        site.answers["/certs"] = whole(issuer.key_set())
        oauth = _oauth(tmp_path, jwks_url=site.url("/certs"), jwks_anchors=str(anchors))
        found = await _opened(oauth, tmp_path, issuer.token(region.GP.rpps))
    assert (found.account != "", found.temporary) == (believed, not believed)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def test_authorities_that_cannot_be_read_are_told_at_the_start(tmp_path: Path) -> None:
    oauth = _oauth(tmp_path, jwks_url="https://psc.example/k", jwks_anchors="absent.pem")
    with pytest.raises(DeploymentIncomplete, match=r"absent\.pem"):
        await _opened(oauth, tmp_path, "")


# -- the endpoint that Dovecot asks ------------------------------------------------------------------------


async def _nothing(login: str, address: str, protocol: str) -> None:
    return None


@asynccontextmanager
async def endpoint(bearers: Bearers | None = None) -> AsyncIterator[tuple[LoginEndpoint, str, str]]:
    made = LoginEndpoint(bearers, Guesses(), lambda: datetime.now(UTC), _nothing, lambda account, until: None)
    questions = await made.start()
    secret = base64.b64encode(f"{questions.user}:{questions.secret}".encode()).decode()
    try:
        yield made, f"http://127.0.0.1:{questions.port}", f"Basic {secret}"
    finally:
        await made.stop()


@pytest.mark.parametrize("path", ["/introspect", "/policy", "/policy?command=report", "/", "/x"])
@pytest.mark.parametrize("given", [None, "Basic AAAA", "Bearer x", "Basic " + "A" * 5000])
async def test_only_who_knows_the_secret_is_answered(path: str, given: str | None) -> None:
    async with endpoint() as (_, base, _), aiohttp.ClientSession() as session:
        headers = {"Authorization": given} if given else {}
        async with session.post(base + path, data=b"token=x", headers=headers) as answer:
            assert answer.status == 403
            assert await answer.read() == b""


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"login":5}', b'{"login":["a"]}', b"[" * 20_000, b"\xff\xfe", b"x" * 100_000]
)
async def test_a_question_that_is_none_changes_nothing(body: bytes) -> None:
    async with endpoint() as (_, base, secret), aiohttp.ClientSession() as session:
        for path in ("/policy", "/policy?command=report", "/introspect"):
            async with session.post(base + path, data=body, headers={"Authorization": secret}) as answer:
                assert answer.status in (200, 400, 413, 415)
                if path == "/introspect" and answer.status == 200:
                    assert await answer.json() == {"active": False}
        question = json.dumps({"login": "a@x.example", "remote": "192.0.2.1", "protocol": "imap"})
        async with session.post(base + "/policy", data=question, headers={"Authorization": secret}) as answer:
            assert await answer.json() == {"status": 0}


def test_a_gateway_that_does_not_answer_breaks_no_password() -> None:
    login = MailboxLogin("alice@hopital.mssante.example", HASHER.hash(PASSWORD))
    nobody = LoginQuestions(free_port(), "dovecot", "secret", tokens=True)
    with deployment(questions=nobody) as made, served(made, login):
        assert made.admits(login.address)
        client = made.imap()
        message = f"user={login.address}\x01auth=Bearer x\x01\x01".encode()
        with pytest.raises(imaplib.IMAP4.error, match="UNAVAILABLE"):
            client.authenticate("XOAUTH2", lambda _: message)
        client.shutdown()
