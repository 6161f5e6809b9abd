"""The octets of one DATA, read in large chunks and not by line (RFC 5321 §4.5.2, §4.1.1.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.smtp.inflight import Lease
from gateway.smtp.refusals import MessageTooBig, TooMuchAtOnce

__all__ = ["read_payload"]

_END = b"\r\n.\r\n"
_PATIENCE = 4
"""A client that goes on beyond this many times the limit is cut off, not listened to until its end."""


async def read_payload(
    reader: asyncio.StreamReader, begin: Callable[[], Awaitable[None]], limit: int, lease: Lease
) -> bytes:
    """Call ``begin`` (it says 354), then read up to CRLF.CRLF, dots unstuffed, without the end mark.

    Only that sequence ends the data. Octets behind it stay in the reader. What is kept meanwhile is held by
    ``lease``. Raises ``MessageTooBig`` above ``limit`` octets and ``TooMuchAtOnce`` where the lease cannot
    grow, after the end mark so that the answer finds its listener; ``asyncio.IncompleteReadError`` when the
    client leaves.
    """
    # The CRLF of the DATA line begins the end mark of an empty message (RFC 5321 §4.1.1.4): put it back.
    reader._buffer[:0] = b"\r\n"  # type: ignore[attr-defined]  # asyncio has no way to give back
    await begin()
    kept = bytearray()
    size = 0
    ended = crowded = False
    while not ended:
        try:
            chunk = await reader.readuntil(_END)
            ended = True
        except asyncio.LimitOverrunError as overrun:
            # That many octets cannot hold the begin of an end mark, or reach up to a whole one.
            chunk = await reader.read(overrun.consumed)
        size += len(chunk)
        too_big = size > limit + len(_END)
        crowded = crowded or not (too_big or lease.grow(len(chunk)))
        if too_big or crowded:
            kept.clear()
            lease.end()
        else:
            kept += chunk
        if size > limit * _PATIENCE and not ended:
            raise MessageTooBig(disconnect=True)
    if size > limit + len(_END):
        raise MessageTooBig
    if crowded:
        raise TooMuchAtOnce
    del kept[-len(b".\r\n") :]
    if b"\r\n." in kept:
        kept = kept.replace(b"\r\n.", b"\r\n")
    del kept[: len(b"\r\n")]
    return bytes(kept)
