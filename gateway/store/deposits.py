"""The applicative mailboxes that accounts want documents deposited into ("dépôt dans le dossier patient")."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, select

from gateway.store.repository import Repository
from gateway.store.schema import account_deposit as deposits

__all__ = ["Deposits"]


class Deposits(Repository):
    """Mailboxes by the account that named them; both in lower case."""

    __slots__ = ()

    async def add(self, address: str, mailbox: str, now: datetime) -> bool:
        """Deposit the documents of an account into a mailbox as well; ``False`` where it is so already."""
        row = {"address": address, "mailbox": mailbox, "created_at": now}
        return await self._add_new(deposits, row)

    async def remove(self, address: str, mailbox: str) -> bool:
        """End it; ``False`` where there was none."""
        found = (deposits.c.address == address) & (deposits.c.mailbox == mailbox)
        return bool(await self._changed(delete(deposits).where(found)))

    async def of(self, addresses: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Account and mailbox for each of some accounts, by account, then mailbox."""
        wanted = deposits.c.address.in_(list(dict.fromkeys(addresses)))
        statement = select(deposits.c.address, deposits.c.mailbox).where(wanted)
        rows = await self._all(statement.order_by(deposits.c.address, deposits.c.mailbox))
        return tuple((row["address"], row["mailbox"]) for row in rows)
