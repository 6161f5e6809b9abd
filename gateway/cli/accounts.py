"""``gateway account``: who has a mailbox of ours and may log in."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from typing import IO, Any, TypeVar

import click

from config import Settings
from gateway.cli.account_certificates import certificate
from gateway.cli.administrators import administrator
from gateway.cli.context import (
    Invocation,
    as_json,
    example,
    json_option,
    now,
    operator,
    say,
    show_table,
)
from gateway.cli.passwords import choose_password, hashed, password_file_option
from gateway.cli.sessions import end_sessions
from gateway.errors import GatewayError
from gateway.keyfiles import read_key
from gateway.mailserver import dovecot_settings, refresh_logins
from gateway.store import AlreadyExists, NotFound, Store, Transaction
from mailboxes.dovecot.logins import mailbox_address
from teleexpertise.addressing import AddressBook
from teleexpertise.identifiers import Identifier, read_billing_number, read_finess, read_rpps
from teleexpertise.patient_mail import in_patients_domain
from teleexpertise.people import Account, AccountKind, NoticeMode

__all__ = ["account"]

#: Addresses of machines are plain; what is odd is a typing error.
_DEPOSIT = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}@[a-z0-9-]+(\.[a-z0-9-]+)+")

#: As in the form of preferences.
_LONGEST_UNIT = 20

_NUMBERS: tuple[tuple[str, str, Callable[[str], Identifier]], ...] = (
    ("rpps", "--rpps", read_rpps),
    ("finess", "--finess", read_finess),
    ("billing_number", "--billing-number", read_billing_number),
)


@click.group()
def account() -> None:
    """Accounts: add, list, change what is known of them, passwords, ways of notice, certificates, suspend and
    resume.
    """


account.add_command(certificate)


account.add_command(administrator)


_Command = TypeVar("_Command", bound=Callable[..., Any])

_DESCRIBED = (
    ("--profession", "Profession as shown."),
    ("--specialty", "Specialty as the directory names it."),
    ("--rpps", "RPPS number: 11 digits."),
    ("--finess", "FINESS number of the organisation: 9 characters."),
    ("--billing-number", "AM number, or FINESS and specialty code (430000018/05)."),
    ("--unit", "Code of the hospital unit (UF) for exports: 20 characters at most."),
    ("--organisation", "Name of the hospital, practice or house."),
    ("--department", "Department code: 43, 2A, 974."),
    ("--postcode", "Postcode."),
    ("--town", "Town."),
)


def _described(default: str | None) -> Callable[[_Command], _Command]:
    """The options that say who an account is; left out, each is ``default``."""

    def decorated(command: _Command) -> _Command:
        for name, told in reversed(_DESCRIBED):
            command = click.option(name, default=default, help=told)(command)
        return command

    return decorated


@account.command(
    epilog=example(
        'account add lea.martin@demo.mssante.example --name "Dr Léa MARTIN" --profession Médecin',
        'account add avis.dermatologie@demo.mssante.example --kind service --name "Avis Dermatologie"',
    )
)
@click.argument("address")
@click.option("--name", required=True, help='Name as mails show it, such as "Dr Léa MARTIN".')
@click.option(
    "--kind",
    type=click.Choice([str(kind) for kind in AccountKind]),
    default=str(AccountKind.PERSON),
    show_default=True,
    help="A person, a service of an organisation, or an application.",
)
@_described("")
@password_file_option
@json_option
@click.pass_obj
def add(
    invocation: Invocation, /, address: str, password_file: IO[str] | None, json_: bool, **fields: str
) -> None:
    """Add an account of one of our domains, which can log in at once."""
    settings = invocation.settings()
    password, made = choose_password(password_file)

    async def work(store: Store) -> Account:
        new = _checked(address, fields, settings)
        hash_ = hashed(password)
        async with store.transaction() as tx:
            try:
                await tx.accounts.add(new, hash_, now())
            except AlreadyExists as error:
                raise GatewayError(f"{error} is there already") from error
            await tx.audit.write(now(), operator(), "account add", new.address, "done")
        await _refresh(store, settings)
        return new

    added = invocation.run_on_store(work)
    _told(added.address, "added", json_, {"password": password} if made else {})


def _checked(address: str, fields: dict[str, str], settings: Settings) -> Account:
    """The new account, its numbers without the spaces that people type. Raises :class:`GatewayError`."""
    try:
        lower = mailbox_address(address)
    except ValueError as error:
        raise GatewayError(str(error)) from error
    domain = lower.rpartition("@")[2]
    if domain not in settings.local_domains:
        raise GatewayError(f"{domain} is none of our domains: {', '.join(sorted(settings.local_domains))}")
    book = AddressBook(
        settings.service.local_part, settings.service.domain, read_key(settings.files.mac_key_file)
    )
    if book.is_ours(lower):
        raise GatewayError(f"{lower} is an address of the service itself")
    kind = AccountKind(fields["kind"])
    texts: dict[str, Any] = _read({key: value for key, value in fields.items() if key != "kind"})
    return Account(address=lower, kind=kind, **texts)


def _read(fields: Mapping[str, str]) -> dict[str, str]:
    """What an account is said to be, its numbers without the spaces that people type. Raises
    :class:`GatewayError`.
    """
    texts = {key: value.strip() for key, value in fields.items()}
    if not texts.get("name", "x"):
        raise GatewayError("--name wants a name on one line")
    for key, text in texts.items():
        if not text.isprintable():
            raise GatewayError(f"--{key.replace('_', '-')} wants its text on one line")
    if len(texts.get("unit", "")) > _LONGEST_UNIT:
        raise GatewayError(f"--unit wants a code of {_LONGEST_UNIT} characters at most")
    for key, option, read in _NUMBERS:
        if texts.get(key):
            found = read(texts[key])
            if not found.valid:
                raise GatewayError(f"{option} {texts[key]!r} is not valid ({found.problem})")
            texts[key] = found.value
    return texts


@account.command(
    epilog=example(
        "account change lea.martin@demo.mssante.example --profession Médecin --finess 430000018",
        'account change lea.martin@demo.mssante.example --organisation ""',
    )
)
@click.argument("address")
@click.option("--name", help='Name as mails show it, such as "Dr Léa MARTIN".')
@_described(None)
@json_option
@click.pass_obj
def change(invocation: Invocation, /, address: str, json_: bool, **fields: str | None) -> None:
    """Change what is known of an account; what is not named stays, "" empties it.

    Acts finalised before keep what was recorded with them: who finalises again settles what was missing.
    """
    wanted = _read({key: text for key, text in fields.items() if text is not None})
    if not wanted:
        raise click.UsageError("name what is to be changed")

    async def work(store: Store) -> str:
        async def save(tx: Transaction, address: str) -> None:
            found = await tx.accounts.get(address)
            if found is None:
                raise NotFound(address)
            texts: dict[str, Any] = dict(wanted)
            await tx.accounts.save(replace(found, **texts))

        try:
            return await _change(store, "account change", address, save, ", ".join(sorted(wanted)))
        except AlreadyExists as error:
            raise GatewayError(f"{error} is that of another account") from error

    _told(invocation.run_on_store(work), "changed", json_, {"fields": sorted(wanted)} if json_ else {})


async def _refresh(store: Store, settings: Settings) -> None:
    """Let the mailbox server know; the account itself is changed already, so that a repeated command is
    harmless.
    """
    if not settings.mailboxes.embedded:
        return
    try:
        await refresh_logins(store, settings)
    except OSError as error:
        raise GatewayError(f"saved, but the mailbox server was not told: {error}") from error


def _told(address: str, done: str, json_: bool, more: dict[str, object] | None = None) -> None:
    more = more or {}
    if json_:
        as_json({"address": address, "done": done, **more})
        return
    say(f"{address}: {done}")
    for name, value in more.items():
        click.echo(f"{name.replace('_', ' ')}: {value}")


@account.command("list")
@click.option("--suspended", is_flag=True, help="Only the accounts that are suspended.")
@json_option
@click.pass_obj
def list_accounts(invocation: Invocation, suspended: bool, json_: bool) -> None:
    """List the accounts by address."""

    async def work(store: Store) -> tuple[Account, ...]:
        async with store.reading() as tx:
            return await tx.accounts.list()

    found = [each for each in invocation.run_on_store(work) if not (suspended and each.active)]
    if json_:
        as_json([asdict(each) for each in found])
        return
    show_table(
        ("address", "name", "kind", "rpps", "state"),
        [
            (each.address, each.name, each.kind, each.rpps, "active" if each.active else "suspended")
            for each in found
        ],
        "no account",
    )


@account.command(epilog=example("account passwd lea.martin@demo.mssante.example --password-file -"))
@click.argument("address")
@password_file_option
@json_option
@click.pass_obj
def passwd(invocation: Invocation, address: str, password_file: IO[str] | None, json_: bool) -> None:
    """Give an account a new password; the old one is of no use from the next login on."""
    settings = invocation.settings()
    password, made = choose_password(password_file)

    async def work(store: Store) -> str:
        hash_ = hashed(password)
        found = await _change(
            store, "account passwd", address, lambda tx, a: tx.accounts.set_password(a, hash_)
        )
        await _refresh(store, settings)
        return found

    _told(invocation.run_on_store(work), "password changed", json_, {"password": password} if made else {})


@account.command(epilog=example("account rpps lea.martin@demo.mssante.example 10100000017"))
@click.argument("address")
@click.argument("number", default="")
@json_option
@click.pass_obj
def rpps(invocation: Invocation, address: str, number: str, json_: bool) -> None:
    """Give an account its RPPS number, by which a token of Pro Santé Connect opens it; without one: none."""
    read = read_rpps(number) if number else None
    if read is not None and not read.valid:
        raise GatewayError(f"{number!r} is not valid ({read.problem})")
    value = read.value if read else ""

    async def work(store: Store) -> str:
        try:
            return await _change(store, "account rpps", address, lambda tx, a: tx.accounts.set_rpps(a, value))
        except AlreadyExists as error:
            raise GatewayError(f"{error} is that of another account") from error

    _told(invocation.run_on_store(work), "RPPS number changed", json_, {"rpps": value})


@account.command(
    epilog=example("account deposit lea.martin@demo.mssante.example dossier@cabinet.mssante.example")
)
@click.argument("address")
@click.argument("mailbox", default="")
@click.option("--remove", is_flag=True, help="Deposit into MAILBOX no more.")
@json_option
@click.pass_obj
def deposit(invocation: Invocation, address: str, mailbox: str, remove: bool, json_: bool) -> None:
    """Deposit reports of an account's tele-expertises into an applicative MAILBOX as well; without: list."""
    lower, box = address.strip().lower(), mailbox.strip().lower()
    if mailbox and not _DEPOSIT.fullmatch(box):
        raise GatewayError(f"{mailbox!r} is no mail address")
    if remove and not mailbox:
        raise click.UsageError("--remove wants a MAILBOX")

    if box and not remove and in_patients_domain(box, invocation.settings().documents.patient_domain):
        raise GatewayError(f"{mailbox!r} is a patient's: reports go there on request, at the finalisation")

    async def work(store: Store) -> tuple[str, ...]:
        async with store.transaction() as tx:
            if await tx.accounts.get(lower) is None:
                raise GatewayError(f"there is no account {lower}")
            if box:
                change = tx.deposits.remove(lower, box) if remove else tx.deposits.add(lower, box, now())
                done = "done" if await change else "nothing to do"
                verb = "account deposit remove" if remove else "account deposit"
                await tx.audit.write(now(), operator(), verb, lower, done)
            return tuple(name for _, name in await tx.deposits.of([lower]))

    boxes = invocation.run_on_store(work)
    if json_:
        as_json({"address": lower, "deposits": boxes})
        return
    show_table(("documents also go to",), [(name,) for name in boxes], "no deposit")


@account.command(epilog=example("account notice lea.martin@demo.mssante.example digest"))
@click.argument("address")
@click.argument("mode", type=click.Choice([str(mode) for mode in NoticeMode]))
@json_option
@click.pass_obj
def notice(invocation: Invocation, address: str, mode: str, json_: bool) -> None:
    """Say how an account is told of news: a short notice each, a daily digest, or the mails themselves in
    INBOX.

    What concerns its own requests, and reminders, come at once also with a digest.
    """

    async def work(store: Store) -> str:
        async def save(tx: Transaction, address: str) -> None:
            found = await tx.accounts.get(address)
            if found is None:
                raise NotFound(address)
            await tx.accounts.save(replace(found, notice=NoticeMode(mode)))

        return await _change(store, "account notice", address, save)

    _told(invocation.run_on_store(work), f"told by {mode}", json_, {"notice": mode})


@account.command()
@click.argument("address")
@json_option
@click.pass_obj
def suspend(invocation: Invocation, address: str, json_: bool) -> None:
    """Let an account neither log in, write nor receive, and end its open mail sessions. Its mails stay."""
    settings = invocation.settings()

    async def work(store: Store) -> tuple[str, bool]:
        found = await _change(store, "account suspend", address, lambda tx, a: tx.accounts.suspend(a))
        await _refresh(store, settings)
        embedded = settings.mailboxes.embedded
        return found, embedded and await end_sessions(dovecot_settings(settings), found)

    suspended, ended = invocation.run_on_store(work)
    _told(suspended, "suspended", json_, {"sessions_ended": ended} if json_ or ended else {})


@account.command()
@click.argument("address")
@json_option
@click.pass_obj
def resume(invocation: Invocation, address: str, json_: bool) -> None:
    """Undo a suspension: the account logs in with its password as before."""
    settings = invocation.settings()

    async def work(store: Store) -> str:
        found = await _change(store, "account resume", address, lambda tx, a: tx.accounts.resume(a))
        await _refresh(store, settings)
        return found

    _told(invocation.run_on_store(work), "resumed", json_)


async def _change(
    store: Store,
    action: str,
    address: str,
    change: Callable[[Transaction, str], Awaitable[None]],
    fields: str = "",
) -> str:
    """Change one account with its audit line; its address comes back. Raises :class:`GatewayError` for an
    unknown one.
    """
    lower = address.strip().lower()
    async with store.transaction() as tx:
        try:
            await change(tx, lower)
        except NotFound as error:
            raise GatewayError(f"there is no account {lower}") from error
        await tx.audit.write(now(), operator(), action, lower, "done", {"fields": fields} if fields else {})
    return lower
