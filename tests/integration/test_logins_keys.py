"""The issuer's keys: fetched over HTTP, kept, not asked for too often; a bad server never holds a login."""

from __future__ import annotations

import asyncio
import base64
import imaplib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from certs.tokens import MAXIMUM_KEY_SET
from gateway.fetching import BackOff, Fetcher
from gateway.logins.bearers import Bearers
from gateway.logins.endpoint import LoginEndpoint
from gateway.logins.keys import KeyKeeper, KeyTimes
from gateway.pipeline.attempts import Guesses
from mailboxes.dovecot.logins import MailboxLogin
from mailboxes.dovecot.settings import LoginQuestions
from tests.support.dovecot import HASHER, PASSWORD, deployment, free_port, served
from tests.support.prosante import ProSante, pro_sante

TIMES = KeyTimes(refresh=100.0, retry=10.0, keep=1000.0, wait=0.3)


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
    async with keeper(issuer, clock) as keys:
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


# -- the endpoint that Dovecot asks ------------------------------------------------------------------------


async def _nothing(login: str, address: str, protocol: str) -> None:
    return None


@asynccontextmanager
async def endpoint(bearers: Bearers | None = None) -> AsyncIterator[tuple[LoginEndpoint, str, str]]:
    made = LoginEndpoint(bearers, Guesses(), lambda: datetime.now(UTC), _nothing)
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
