"""Rounds over what time has made due: each piece by itself, so that one that fails holds up no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import structlog

from gateway.failures import failure_place
from gateway.store.errors import StoreError

__all__ = ["each"]

_Piece = TypeVar("_Piece")


async def each(
    room: str,
    pieces: Iterable[_Piece],
    work: Callable[[_Piece], Awaitable[None]],
    name: Callable[[_Piece], str],
) -> None:
    """Do the work for each piece; what fails is named in the log of ``room`` and comes again with the next
    round. ``name`` says which piece it was, in identifiers.
    """
    for piece in pieces:
        try:
            await work(piece)
        except StoreError as error:
            structlog.get_logger(room).warning("put off", piece=name(piece), error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - poison of one piece must not end the round of all others
            structlog.get_logger(room).error("failed", piece=name(piece), **failure_place(error))
