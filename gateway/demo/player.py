"""Plays one tele-expertise through a running gateway, as the mail clients of its two sides would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from config import Settings
from gateway.demo.accounts import refresh_demo_file
from gateway.demo.client import NotSeen
from gateway.demo.plot import play_all
from gateway.demo.stage import set_stage
from gateway.demo.steps import Archive, Performance, Step
from gateway.errors import DeploymentIncomplete, NotAvailable
from gateway.services import Services

__all__ = ["play", "play_if_empty"]


async def play_if_empty(
    settings: Settings, services: Services, out: Path, announce: Callable[[], None]
) -> Performance | None:
    """Announce and play the demonstration where no conversation is there yet, its clients in a thread.

    ``None`` where there is one, or where the deployment has no demonstration accounts. Raises what
    :func:`play` raises; cancelled, it lets the clients leave.
    """
    async with services.store.reading() as tx:
        if await tx.conversations.list(limit=1):
            return None
    if refresh_demo_file(settings) is None:
        return None
    announce()
    stopped = Event()
    try:
        return await asyncio.to_thread(play, settings, out, lambda _: None, stopped)
    finally:
        stopped.set()


def play(
    settings: Settings, out: Path, tell: Callable[[Step], None], stopped: Event | None = None
) -> Performance:
    """Play it, ``tell`` of each step as soon as both sides saw it, and leave mails and report in ``out``.

    A step that is not seen ends it: the performance names it. Raises :class:`NotAvailable` where no gateway
    answers, :class:`DeploymentIncomplete` without demonstration accounts, ``GatewayError`` for a folder that
    cannot be written or a login that is refused.
    """
    path = settings.files.demo_accounts
    accounts = refresh_demo_file(settings)
    if accounts is None:
        raise DeploymentIncomplete(
            f"{path} is not there: `gateway init --demo` makes the demonstration accounts"
        )
    began = time.monotonic()
    archive = Archive(out)
    stage = set_stage(settings, accounts, archive, tell, stopped or Event())
    missed, why = "", ""
    with ExitStack() as stack:
        for client in stage.clients:
            stack.enter_context(client)
        archive.begin()
        try:
            play_all(stage)
        except (NotSeen, NotAvailable) as error:
            missed, why = stage.story.steps[stage.key], str(error)
    performance = Performance(
        reference=stage.reference,
        folder=str(out),
        steps=tuple(stage.steps),
        seconds=round(time.monotonic() - began, 1),
        missed=missed,
        why=why,
    )
    archive.end(performance)
    return performance
