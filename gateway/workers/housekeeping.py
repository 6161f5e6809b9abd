"""What is forgotten in time: forms nobody answered, counts of answers given in hours long past."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from gateway.services import Services
from gateway.store.errors import StoreError

__all__ = ["keep_house"]

_EVERY_SECONDS = 3600.0
#: Expired forms stay a while, so that a late answer is told that its form is too old rather than unknown.
_FORMS_STAY = timedelta(days=30)
_COUNTS_STAY = timedelta(hours=2)


async def keep_house(services: Services) -> None:
    """Clear up every hour until cancelled; a database that is busy is cleared up the next time."""
    while True:
        now = services.clock()
        try:
            async with services.store.transaction() as tx:
                await tx.forms.forget_expired(now - _FORMS_STAY)
                await tx.answers.forget_before(now - _COUNTS_STAY)
        except StoreError as error:
            structlog.get_logger("housekeeping").warning("put off", error=type(error).__name__)
        await asyncio.sleep(_EVERY_SECONDS)
