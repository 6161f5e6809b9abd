"""Fetching over loopback: what a hung, endless, refusing or lying server can do to us, which is nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.fetching import BackOff, Fetcher, FetchFailed
from tests.support.smtp import make_credentials
from tests.support.web import Web, endless, silent, status, web, whole


@dataclass
class Clock:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def fetcher(clock: Clock) -> AsyncIterator[Fetcher]:
    async with Fetcher(BackOff(60, 200), clock) as made:
        yield made


@pytest.fixture
async def server() -> AsyncIterator[Web]:
    async with web() as made:
        yield made


async def failure(fetcher: Fetcher, url: str, max_bytes: int = 1000, seconds: float = 20) -> FetchFailed:
    with pytest.raises(FetchFailed) as failed:
        await fetcher.get(url, max_bytes=max_bytes, seconds=seconds)
    return failed.value


async def test_a_body_is_returned_as_it_was_sent(fetcher: Fetcher, server: Web) -> None:
    body = bytes(range(256)) * 3
    server.answers["/list"] = whole(body)
    assert await fetcher.get(server.url("/list"), max_bytes=768) == body


async def test_a_body_of_one_octet_too_many_is_refused(fetcher: Fetcher, server: Web) -> None:
    server.answers["/list"] = whole(bytes(769))
    assert "more than 768" in (await failure(fetcher, server.url("/list"), 768)).reason


async def test_an_endless_body_ends_at_the_limit(fetcher: Fetcher, server: Web) -> None:
    server.answers["/list"] = endless
    assert "more than 100000" in (await failure(fetcher, server.url("/list"), 100_000)).reason


async def test_a_server_that_says_nothing_is_given_up(fetcher: Fetcher, server: Web) -> None:
    server.answers["/list"] = silent
    assert "no whole answer" in (await failure(fetcher, server.url("/list"), seconds=0.2)).reason


async def test_a_refusing_server_is_left_alone_ever_longer_and_others_are_not(
    fetcher: Fetcher, server: Web, clock: Clock
) -> None:
    server.answers["/a"], server.answers["/b"] = status(403), whole(b"b")
    assert (await failure(fetcher, server.url("/a"))).reason == "answered 403"
    for pause in (60, 120, 200, 200):  # doubled up to the longest
        clock.seconds += pause - 1
        remembered = await failure(fetcher, server.url("/a"))
        assert (remembered.fresh, remembered.retry_in) == (False, 1)
        clock.seconds += 1
        assert (await failure(fetcher, server.url("/a"))).fresh
    assert await fetcher.get(server.url("/b"), max_bytes=1) == b"b"
    assert server.asked == ["/a"] * 5 + ["/b"]


async def test_a_success_ends_the_pause_and_an_operator_need_not_wait_for_it(
    fetcher: Fetcher, server: Web, clock: Clock
) -> None:
    server.answers["/a"] = status(500)
    await failure(fetcher, server.url("/a"))
    server.answers["/a"] = whole(b"ok")
    assert await fetcher.get(server.url("/a"), max_bytes=2, now=True) == b"ok"
    assert await fetcher.get(server.url("/a"), max_bytes=2) == b"ok"
    server.answers["/a"] = status(500)
    await failure(fetcher, server.url("/a"))
    clock.seconds += 60  # the first pause again
    assert (await failure(fetcher, server.url("/a"))).fresh


async def test_twenty_who_ask_at_once_are_one_request(fetcher: Fetcher, server: Web) -> None:
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await gate.wait()
        await whole(b"once")(reader, writer)

    server.answers["/a"] = late
    asking = [asyncio.create_task(fetcher.get(server.url("/a"), max_bytes=4)) for _ in range(20)]
    await arrived.wait()
    asking[0].cancel()  # the first one leaves; the others get the answer all the same
    gate.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert found[1:] == [b"once"] * 19
    assert server.asked == ["/a"]


async def test_a_redirect_is_followed_on_the_same_host_only(fetcher: Fetcher, server: Web) -> None:
    server.answers["/old"] = status(302, headers="Location: /new\r\n")
    server.answers["/new"] = whole(b"new")
    assert await fetcher.get(server.url("/old"), max_bytes=3) == b"new"
    async with web() as other:
        server.answers["/away"] = status(302, headers=f"Location: {other.url('/')}\r\n")
        assert "another host" in (await failure(fetcher, server.url("/away"))).reason
        assert other.asked == []
    server.answers["/file"] = status(302, headers="Location: file:///etc/passwd\r\n")
    assert "another host" in (await failure(fetcher, server.url("/file"))).reason
    server.answers["/round"] = status(302, headers="Location: /round\r\n")
    assert "too many" in (await failure(fetcher, server.url("/round"))).reason


async def test_a_compressed_answer_is_refused(fetcher: Fetcher, server: Web) -> None:
    server.answers["/bomb"] = whole(b"\x1f\x8b", headers="Content-Encoding: gzip\r\n")
    assert "encoding" in (await failure(fetcher, server.url("/bomb"))).reason


@pytest.mark.parametrize(
    "said", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"]
)
async def test_what_is_no_http_is_a_failure(fetcher: Fetcher, server: Web, said: bytes) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    server.answers["/a"] = answer
    assert (await failure(fetcher, server.url("/a"))).reason


async def test_proxies_of_the_environment_are_not_used(
    server: Web, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.answers["/a"] = whole(b"direct")
    async with Fetcher(monotonic=clock) as fetcher:
        assert await fetcher.get(server.url("/a"), max_bytes=6) == b"direct"


@pytest.mark.parametrize("url", ["ftp://localhost/a", "file:///etc/passwd", "http://", "http://localhost:1/"])
async def test_other_addresses_fail(fetcher: Fetcher, url: str) -> None:
    assert (await failure(fetcher, url)).url == url


async def test_https_believes_the_authorities_it_is_given_and_no_others(
    fetcher: Fetcher, tmp_path: Path
) -> None:
    credentials = make_credentials(tmp_path)
    async with web(credentials.server()) as server:
        server.answers["/a"] = whole(b"secret")
        tls = credentials.client()
        assert await fetcher.get(server.url("/a"), max_bytes=6, tls=tls) == b"secret"
        strangers = ssl.create_default_context()
        with pytest.raises(FetchFailed, match="not believed"):
            await fetcher.get(server.url("/a"), max_bytes=6, tls=strangers)
