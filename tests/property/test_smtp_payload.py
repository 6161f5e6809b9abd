"""Whatever the octets and however they arrive, DATA gives back what was sent and leaves what follows."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from gateway.smtp.inflight import InFlight
from gateway.smtp.payload import read_payload
from gateway.smtp.refusals import MessageTooBig

BODIES = st.lists(
    st.sampled_from([b"\r\n", b".", b"..", b"\r", b"\n", b"a", b"\r\n.", b"x" * 70]), max_size=40
).map(lambda pieces: b"".join(pieces) + b"\r\n")


def stuffed(body: bytes) -> bytes:
    """Dots doubled at the begin of lines (RFC 5321 §4.5.2)."""
    return (b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:]


@given(
    body=st.one_of(st.just(b""), BODIES),
    cuts=st.lists(st.integers(1, 30), max_size=30),
    limit=st.integers(0, 400),
)
def test_octets_come_back(body: bytes, cuts: list[int], limit: int) -> None:
    sent = stuffed(body) + b".\r\nQUIT\r\n"

    async def play() -> tuple[bytes | None, bytes]:
        reader = asyncio.StreamReader(limit=64)

        async def feed() -> None:
            start = 0
            for cut in cuts:
                reader.feed_data(sent[start : start + cut])
                start += cut
                await asyncio.sleep(0)
            reader.feed_data(sent[start:])
            reader.feed_eof()

        feeding: list[asyncio.Task[None]] = []

        async def begin() -> None:
            feeding.append(asyncio.create_task(feed()))

        try:
            payload = await read_payload(reader, begin, limit, InFlight(10_000, 0).lease("anybody"))
        except MessageTooBig as refusal:
            await feeding[0]
            return None, b"" if refusal.disconnect else await reader.read()
        await feeding[0]
        return payload, await reader.read()

    payload, rest = asyncio.run(play())
    if payload is None:
        assert len(stuffed(body)) > limit
        assert rest in (b"QUIT\r\n", b"")
    else:
        assert payload == body
        assert rest == b"QUIT\r\n"
        assert len(body) <= limit + 2
