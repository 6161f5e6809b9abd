"""Accounts and who may act for whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Executable, bindparam, delete, exists, select, update

from gateway.store.directory import DirectoryPart, renew
from gateway.store.errors import AlreadyExists, NotFound
from gateway.store.repository import Repository, column_values
from gateway.store.schema import account as accounts
from gateway.store.schema import account_certificate as certificates
from gateway.store.schema import common_seen
from gateway.store.schema import delegation as delegations
from gateway.store.schema import establishment_administrator as administrators
from teleexpertise.delegation import closure
from teleexpertise.people import Account, AccountKind, Rights

__all__ = [
    "ACCOUNT_COLUMNS",
    "AccountCertificate",
    "AccountCertificates",
    "Accounts",
    "Administrators",
    "Delegations",
]

ACCOUNT_COLUMNS = tuple(c for c in accounts.c if c.name not in ("password_hash", "created_at"))

#: What of an account its preferences say.
_PREFERRED = ("billing_number", "unit", "notice", "files_reports")


@cache
def _account() -> Executable:
    return select(*ACCOUNT_COLUMNS).where(accounts.c.address == bindparam("address"))


@cache
def _active_principal() -> Executable:
    """An active account, and whether it has named a delegate itself."""
    named = exists().where(
        delegations.c.principal == accounts.c.address, delegations.c.delegate == bindparam("delegate")
    )
    mine = accounts.c.address == bindparam("address")
    return select(accounts.c.address, named.label("named")).where(mine, accounts.c.active)


@cache
def _entities() -> Executable:
    """The delegates that are services: whose own delegates act for their principals, too."""
    services = select(accounts.c.address).where(accounts.c.kind == AccountKind.SERVICE)
    return select(delegations.c.delegate).where(delegations.c.delegate.in_(services)).distinct()


@cache
def _direct() -> Executable:
    return select(delegations.c.principal, delegations.c.delegate)


class Accounts(Repository):
    """The accounts of our domains, by address in lower case."""

    __slots__ = ()

    async def get(self, address: str) -> Account | None:
        """The account, suspended ones too, or ``None``."""
        row = await self._first(_account(), {"address": address})
        return Account(**row) if row else None

    async def by_rpps(self, rpps: str) -> Account | None:
        """The one account of an RPPS number, suspended ones too; ``None`` where there is none or more than
        one.
        """
        if not rpps:
            return None
        rows = await self._all(select(*ACCOUNT_COLUMNS).where(accounts.c.rpps == rpps).limit(2))
        return Account(**rows[0]) if len(rows) == 1 else None

    async def set_rpps(self, address: str, rpps: str) -> None:
        """Give an account its RPPS number, or '' to take it away. Raises :class:`NotFound`, and
        :class:`AlreadyExists` for the number of another account.
        """
        await self._require_free(rpps, address)
        await self._update(address, rpps=rpps)

    async def _require_free(self, rpps: str, address: str) -> None:
        if not rpps:
            return
        others = select(accounts.c.address).where(accounts.c.rpps == rpps, accounts.c.address != address)
        if await self._first(others.limit(1)) is not None:
            raise AlreadyExists(f"RPPS {rpps}")

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
        """Add an account (``password_hash`` '' lets nobody log in). Raises :class:`AlreadyExists`, for the
        address or the RPPS number, ``ValueError``.
        """
        if account.address != account.address.lower():
            raise ValueError("an account's address is lower case")
        await self._require_free(account.rpps, account.address)
        row = column_values(account) | {"password_hash": password_hash, "created_at": now}
        if not await self._add_new(accounts, row):
            raise AlreadyExists(account.address)

    async def save(self, account: Account) -> None:
        """Replace what is known of an account; the password stays. Raises :class:`NotFound`, and
        :class:`AlreadyExists` for the RPPS number of another one.
        """
        await self._require_free(account.rpps, account.address)
        await self._update(account.address, **column_values(account, "address"))
        await renew(self._connection, DirectoryPart.EXPERTS)

    async def set_preferences(self, account: Account) -> None:
        """Keep how an account bills and wants to be told, nothing else of it. Raises :class:`NotFound`."""
        kept = {name: getattr(account, name) for name in _PREFERRED}
        await self._update(account.address, **kept)
        await renew(self._connection, DirectoryPart.EXPERTS)

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
        await renew(self._connection, DirectoryPart.EXPERTS)

    async def resume(self, address: str) -> None:
        """Undo :meth:`suspend`. Raises :class:`NotFound`."""
        await self._update(address, active=True)
        await renew(self._connection, DirectoryPart.EXPERTS)

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
        for row in await self._all(_direct()):
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

    async def allows(self, principal: str, delegate: str) -> bool:
        """Whether ``principal`` is an account that is not suspended, and is ``delegate`` or has named it,
        itself or by way of a legal entity.
        """
        row = await self._first(_active_principal(), {"address": principal, "delegate": delegate})
        if row is None:
            return False
        # Only who is not named directly costs the closure.
        return row["named"] or principal == delegate or (await self.rights()).may_act(delegate, principal)

    async def rights(self) -> Rights:
        """Who may act for whom, legal entities followed (A.44)."""
        followed = frozenset(row["delegate"] for row in await self._all(_entities()))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCertificate:
    """A client certificate that opens an account: ``key`` of its names (``certs.bindings``), the names as
    text.
    """

    key: str
    address: str
    issuer: str
    subject: str
    created_at: datetime


class AccountCertificates(Repository):
    """Which client certificate opens which account: each one only."""

    __slots__ = ()

    async def bind(self, bound: AccountCertificate) -> None:
        """Let a certificate open an account. Raises :class:`AlreadyExists` where it opens one, this or
        another.
        """
        if not await self._add_new(certificates, column_values(bound)):
            raise AlreadyExists(bound.key)

    async def owner(self, key: str) -> str | None:
        """The address that a certificate opens."""
        row = await self._first(select(certificates.c.address).where(certificates.c.key == key))
        return str(row["address"]) if row else None

    async def list(self, address: str = "") -> tuple[AccountCertificate, ...]:
        """The certificates of an account, or all, in the order of address and time."""
        statement = select(certificates).order_by(certificates.c.address, certificates.c.created_at)
        rows = await self._all(statement.where(certificates.c.address == address) if address else statement)
        return tuple(AccountCertificate(**row) for row in rows)

    async def unbind(self, address: str, key: str) -> bool:
        """End it; ``False`` where this certificate does not open this account."""
        found = (certificates.c.address == address) & (certificates.c.key == key)
        return bool(await self._changed(delete(certificates).where(found)))
