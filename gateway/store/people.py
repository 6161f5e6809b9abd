"""Accounts and who may act for whom."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, update

from gateway.store.errors import AlreadyExists, NotFound
from gateway.store.repository import Repository, column_values
from gateway.store.schema import account as accounts
from gateway.store.schema import delegation as delegations
from teleexpertise.people import Account, Rights

__all__ = ["ACCOUNT_COLUMNS", "Accounts", "Delegations"]

ACCOUNT_COLUMNS = tuple(c for c in accounts.c if c.name not in ("password_hash", "created_at"))


class Accounts(Repository):
    """The accounts of our domains, by address in lower case."""

    __slots__ = ()

    async def get(self, address: str) -> Account | None:
        """The account, suspended ones too, or ``None``."""
        row = await self._first(select(*ACCOUNT_COLUMNS).where(accounts.c.address == address))
        return Account(**row) if row else None

    async def list(self) -> tuple[Account, ...]:
        """All accounts by address."""
        rows = await self._all(select(*ACCOUNT_COLUMNS).order_by(accounts.c.address))
        return tuple(Account(**row) for row in rows)

    async def oldest(self) -> Account | None:
        """The active account that was made first, ``None`` where there is none."""
        oldest_first = select(*ACCOUNT_COLUMNS).order_by(accounts.c.created_at, accounts.c.address)
        row = await self._first(oldest_first.where(accounts.c.active).limit(1))
        return Account(**row) if row else None

    async def add(self, account: Account, password_hash: str, now: datetime) -> None:
        """Add an account (``password_hash`` '' lets nobody log in). Raises :class:`AlreadyExists`,
        ``ValueError``.
        """
        if account.address != account.address.lower():
            raise ValueError("an account's address is lower case")
        row = column_values(account) | {"password_hash": password_hash, "created_at": now}
        if not await self._add_new(accounts, row):
            raise AlreadyExists(account.address)

    async def save(self, account: Account) -> None:
        """Replace what is known of an account; the password stays. Raises :class:`NotFound`."""
        await self._update(account.address, **column_values(account, "address"))

    async def password_hash(self, address: str) -> str | None:
        """The password hash of an active account, or ``None`` where nobody may log in."""
        row = await self._first(
            select(accounts.c.password_hash).where(accounts.c.address == address, accounts.c.active)
        )
        return (row["password_hash"] or None) if row else None

    async def logins(self) -> tuple[tuple[str, str, bool], ...]:
        """Address, password hash and whether active, of all accounts, by address: what a mailbox server
        needs.
        """
        statement = select(accounts.c.address, accounts.c.password_hash, accounts.c.active)
        rows = await self._all(statement.order_by(accounts.c.address))
        return tuple((row["address"], row["password_hash"], row["active"]) for row in rows)

    async def set_password(self, address: str, password_hash: str) -> None:
        """Change the password hash. Raises :class:`NotFound`."""
        await self._update(address, password_hash=password_hash)

    async def suspend(self, address: str) -> None:
        """Let the account neither log in nor write. Raises :class:`NotFound`."""
        await self._update(address, active=False)

    async def resume(self, address: str) -> None:
        """Undo :meth:`suspend`. Raises :class:`NotFound`."""
        await self._update(address, active=True)

    async def _update(self, address: str, **values: object) -> None:
        statement = update(accounts).where(accounts.c.address == address).values(**values)
        if not await self._changed(statement):
            raise NotFound(address)


class Delegations(Repository):
    """Who named whom a delegate."""

    __slots__ = ()

    async def grant(self, principal: str, delegate: str, now: datetime) -> None:
        """Let ``delegate`` act for ``principal``; nothing changes where it may already."""
        row = {"principal": principal, "delegate": delegate, "created_at": now}
        await self._add_new(delegations, row)

    async def revoke(self, principal: str, delegate: str) -> bool:
        """End it; ``False`` where there was none."""
        found = (delegations.c.principal == principal) & (delegations.c.delegate == delegate)
        return bool(await self._changed(delete(delegations).where(found)))

    async def rights(self) -> Rights:
        """All delegations as the domain asks them."""
        delegates: dict[str, set[str]] = {}
        for row in await self._all(select(delegations.c.principal, delegations.c.delegate)):
            delegates.setdefault(row["principal"], set()).add(row["delegate"])
        return Rights({principal: frozenset(names) for principal, names in delegates.items()})
