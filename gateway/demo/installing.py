"""Puts the demonstration into a deployment, and says how a mail client connects to it."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from config import Settings
from gateway.demo.accounts import (
    DemoAccount,
    DemoFile,
    demo_file,
    read_demo_file,
    refresh_demo_file,
    write_demo_file,
)
from gateway.demo.data import DemoData, load_demo
from gateway.logins.passwords import password_hasher
from gateway.mailserver import refresh_logins
from gateway.store import Store
from teleexpertise.people import Account, AccountKind

__all__ = ["client_settings", "install_demo", "is_empty"]

_PASSWORD_OCTETS = 8


async def is_empty(settings: Settings) -> bool:
    """Whether the deployment has no account yet: the demonstration goes into such a one only."""
    async with Store.open(settings.database.url.get_secret_value()) as store, store.reading() as tx:
        return not await tx.accounts.list()


async def install_demo(settings: Settings, now: datetime) -> None:
    """Add what is missing of the demonstration: accounts with random passwords, experts, delegations.

    The file of the accounts is written before they are: an installation that was cut short goes on with the
    same passwords. An account that is there already keeps its own. Raises ``DeploymentIncomplete``,
    ``StoreError``.
    """
    data = load_demo(settings.service.domain)
    async with Store.open(settings.database.url.get_secret_value()) as store:
        async with store.reading() as tx:
            present = {account.address for account in await tx.accounts.list()}
        told = _told(data, read_demo_file(settings.files.demo_accounts), present)
        write_demo_file(settings.files.demo_accounts, demo_file(settings, told))
        await _add(store, data, {account.address: account.password for account in told}, present, now)
        await refresh_logins(store, settings)


def _told(data: DemoData, known: DemoFile | None, present: Collection[str]) -> tuple[DemoAccount, ...]:
    """What the file is to say of each account of the demonstration: not of one that somebody else made."""
    passwords = {account.address: account.password for account in known.accounts} if known else {}
    experts = {expert.account.address for expert in data.experts}
    delegates = {delegate for _, delegate in data.delegations}
    return tuple(
        DemoAccount(
            address=account.address,
            password=passwords.get(account.address) or secrets.token_hex(_PASSWORD_OCTETS),
            role=_role(account, experts, delegates),
            name=account.name,
            acts_for=tuple(one for one, delegate in data.delegations if delegate == account.address),
        )
        for account in data.accounts
        if account.address in passwords or account.address not in present
    )


def _role(account: Account, experts: Collection[str], delegates: Collection[str]) -> str:
    if account.kind is AccountKind.SERVICE:
        return "service"
    if account.address in experts:
        return "expert"
    return "delegate" if account.address in delegates else "requester"


async def _add(
    store: Store, data: DemoData, passwords: Mapping[str, str], present: Collection[str], now: datetime
) -> None:
    """Add accounts with all that belongs to them, in one transaction."""
    missing = [account for account in data.accounts if account.address not in present]
    with ThreadPoolExecutor() as threads:  # argon2 computes outside the interpreter's lock
        hashes = list(
            threads.map(password_hasher().hash, (passwords[account.address] for account in missing))
        )
    added = {account.address for account in missing}
    async with store.transaction() as tx:
        for account, stored in zip(missing, hashes, strict=True):
            await tx.accounts.add(account, stored, now)
        for expert in data.experts:
            if expert.account.address in added:
                await tx.experts.put(expert)
        for principal, delegate in data.delegations:
            if added & {principal, delegate}:
                await tx.delegations.grant(principal, delegate, now)


def client_settings(settings: Settings) -> str:
    """What a person types into a mail client to try the service, in French."""
    shown = refresh_demo_file(settings) or demo_file(settings, ())
    story = load_demo(settings.service.domain).conversation
    invited = dict.fromkeys((story.requester, story.expert, *_private_experts(shown)))
    source = files("gateway.demo").joinpath("templates", "reglages.txt.j2").read_text("utf-8")
    # Plain text for a terminal: nothing is markup in it.
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701 - as said
    return environment.from_string(source).render(
        file=replace(shown, accounts=tuple(a for a in shown.accounts if a.address in invited)),
        accounts_path=settings.files.demo_accounts,
        search=story.search,
    )


def _private_experts(shown: DemoFile) -> list[str]:
    return [account.address for account in shown.accounts if account.role == "expert"][:1]
