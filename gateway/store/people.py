"""Accounts and who may act for whom."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, update

from gateway.store.errors import AlreadyExists, NotFound
from gateway.store.repository import Repository, column_values
from gateway.store.schema import account as accounts
from gateway.store.schema import common_seen
from gateway.store.schema import delegation as delegations
from gateway.store.schema import establishment_administrator as administrators
from teleexpertise.delegation import closure
from teleexpertise.people import Account, AccountKind, Rights

__all__ = ["ACCOUNT_COLUMNS", "Accounts", "Administrators", "Delegations"]

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

    async def direct(self) -> dict[str, frozenset[str]]:
        """Principal -> those whom it named itself."""
        delegates: dict[str, set[str]] = {}
        for row in await self._all(select(delegations.c.principal, delegations.c.delegate)):
            delegates.setdefault(row["principal"], set()).add(row["delegate"])
        return {principal: frozenset(names) for principal, names in delegates.items()}

    async def named_by(self, principal: str) -> tuple[str, ...]:
        """The delegates that one account named itself, by address."""
        statement = select(delegations.c.delegate).where(delegations.c.principal == principal)
        return tuple(row["delegate"] for row in await self._all(statement.order_by(delegations.c.delegate)))

    async def reads_in_common(self, principal: str) -> bool:
        """Whether what one delegate of an account has read counts as read for all of them."""
        found = select(common_seen.c.address).where(common_seen.c.address == principal)
        return await self._first(found) is not None

    async def set_reading(self, principal: str, *, common: bool) -> bool:
        """Choose that; ``False`` where it was so already."""
        if common:
            return await self._add_new(common_seen, {"address": principal})
        return bool(await self._changed(delete(common_seen).where(common_seen.c.address == principal)))

    async def all_in_common(self) -> frozenset[str]:
        """The accounts whose delegates read in common."""
        return frozenset(row["address"] for row in await self._all(select(common_seen.c.address)))

    async def rights(self) -> Rights:
        """Who may act for whom, legal entities followed (A.44)."""
        services = select(accounts.c.address).where(accounts.c.kind == AccountKind.SERVICE)
        entities = select(delegations.c.delegate).where(delegations.c.delegate.in_(services)).distinct()
        followed = frozenset(row["delegate"] for row in await self._all(entities))
        return closure(await self.direct(), followed)


class Administrators(Repository):
    """Who looks after which establishments (A.45). ``finess`` is 9 characters."""

    __slots__ = ()

    async def add(self, address: str, finess: str, now: datetime) -> bool:
        """Let an account see the activity of an establishment's services; ``False`` where it may already."""
        return await self._add_new(administrators, {"address": address, "finess": finess, "created_at": now})

    async def remove(self, address: str, finess: str) -> bool:
        """End it; ``False`` where there was none."""
        found = (administrators.c.address == address) & (administrators.c.finess == finess)
        return bool(await self._changed(delete(administrators).where(found)))

    async def list(self) -> tuple[tuple[str, str], ...]:
        """(address, FINESS number) of all, by address."""
        statement = select(administrators.c.address, administrators.c.finess)
        rows = await self._all(statement.order_by(administrators.c.address, administrators.c.finess))
        return tuple((row["address"], row["finess"]) for row in rows)

    async def services_of(self, address: str) -> frozenset[str]:
        """The addresses of all services of the establishments that an account looks after."""
        statement = (
            select(accounts.c.address)
            .join(administrators, administrators.c.finess == accounts.c.finess)
            .where(administrators.c.address == address, accounts.c.kind == AccountKind.SERVICE)
        )
        return frozenset(row["address"] for row in await self._all(statement))
