"""``gateway trust``: the operators of the trust space, the list that names them, and revocation lists."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from certs.crls import CrlFacts, CrlFault
from certs.listchanges import ListChanges, compare
from certs.operators import (
    MAXIMUM_SIZE,
    TrustListFault,
    list_is_current,
    recipient_listed,
)
from certs.paths import TrustFault
from config import Settings
from gateway.cli.context import (
    Failure,
    Invocation,
    as_json,
    example,
    json_option,
    now,
    operator,
    plain,
    say,
    show_table,
    stamp,
)
from gateway.errors import DeploymentIncomplete, GatewayError, NotAvailable
from gateway.fetching import Fetcher, FetchFailed
from gateway.store import Store
from gateway.trust.crlfiles import MAXIMUM_CRL, known_crls, pki_anchors, store_crl
from gateway.trust.keeper import change_detail, list_tls
from gateway.trust.listfiles import ListInForce, ListRefused, find_list, judged, keep_list
from gateway.trust.status import CrlStatus, TrustStatus, read_status

__all__ = ["trust"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def trust() -> None:
    """The trust space: which operators exchange with us, and which certificates are revoked."""


def _in_force(settings: Settings) -> ListInForce:
    """The list in force by the files. Raises :class:`DeploymentIncomplete` where there is none."""
    try:
        return find_list(settings, now())
    except TrustListFault as error:
        raise DeploymentIncomplete(f"{settings.trust.list_file}: {error}") from error
    except OSError as error:
        raise DeploymentIncomplete(f"{error.filename}: {error.strerror}") from error


def _described(settings: Settings, found: ListInForce) -> dict[str, Any]:
    """The state of the list for people and monitors; ``alarm`` is '' when all is well."""
    status = read_status(settings) or TrustStatus()
    maximum = timedelta(hours=settings.trust.max_age_hours)
    return {
        "generated": found.trusted.generated,
        "current": list_is_current(found.trusted, now(), maximum).allowed,
        "source": settings.trust.url or str(settings.trust.list_file),
        "domains": len(found.trusted.domains),
        "left_out": len(found.trusted.faults),
        "alarm": found.fault or status.list.alarm,
        "alarm_since": status.list.alarm_since,
        "checked_at": status.list.checked_at,
        "refused": status.list.refused,
        "changed": status.list.changed,
    }


def _say_state(state: dict[str, Any]) -> None:
    age = "" if state["current"] else ", TOO OLD: operators are answered 451 4.7.1"
    say(f"generated {stamp(state['generated'])}, {state['domains']} domains{age}")
    say(f"from {state['source']}, last looked at {state['checked_at'] or '-'}")
    if state["left_out"]:
        say(f"{state['left_out']} entries cannot be read and are left out")
    if state["alarm"]:
        since = f" since {state['alarm_since']}" if state["alarm_since"] else ""
        say(f"ALARM{since}: {state['alarm']}; the last good list stays in force")


@trust.command("list", epilog=example("trust list", "trust list --json"))
@json_option
@click.pass_obj
def list_domains(invocation: Invocation, json_: bool) -> None:
    """List the domains of the list in force with the names of their operators' certificates."""
    settings = invocation.settings()
    found = _in_force(settings)
    state = _described(settings, found)
    domains = {
        domain: sorted(name.text for name in names) for domain, names in sorted(found.trusted.domains.items())
    }
    if json_:
        as_json({**state, "operators": domains, "faults": found.trusted.faults})
        return
    _say_state(state)
    rows = [(domain, name) for domain, names in domains.items() for name in names]
    show_table(("domain", "certificate"), rows, "no domain")


@trust.command(epilog=example("trust show ch.mssante.example"))
@click.argument("domain")
@json_option
@click.pass_obj
def show(invocation: Invocation, domain: str, json_: bool) -> None:
    """Show which certificates may send and receive for DOMAIN; exit 1 where it is not listed."""
    found = _in_force(invocation.settings())
    listed = recipient_listed(found.trusted, domain)
    if not listed.allowed:
        raise GatewayError(f"{domain}: {listed.reason}")
    names = sorted(name.text for name in found.trusted.domains[listed.subject])
    if json_:
        as_json({"domain": listed.subject, "certificates": names})
        return
    for name in names:
        say(name)


@trust.command(epilog=example("trust load new-list.xml", "trust load new-list.xml --force"))
@click.argument("file", type=_FILE)
@click.option(
    "--force", is_flag=True, help="Also a list that is older or has lost many domains, never a broken one."
)
@json_option
@click.pass_obj
def load(invocation: Invocation, file: Path, force: bool, json_: bool) -> None:
    """Put the list of FILE in force; a running gateway has it within seconds.

    A list that cannot be read, lacks the signature that is asked for, is older than the one in force or has
    lost many of its domains is refused (exit 1), and the one in force stays.
    """
    settings = invocation.settings()
    document = _read(file)
    held = _held(settings)
    try:
        offered = judged(document, held.trusted if held else None, settings, now(), force=force)
    except ListRefused as refused:
        hint = "; --force puts it in force all the same" if refused.forcible else ""
        raise GatewayError(f"{file}: {refused}{hint}") from refused
    changes = compare(held.trusted, offered) if held else ListChanges(offered.domains, (), {})
    detail = change_detail(changes, offered.generated, document)

    async def record(store: Store) -> None:
        async with store.transaction() as tx:
            await tx.audit.write(
                now(), operator(), "trust load", "list", "forced" if force else "done", detail
            )

    # Written down before it is done: a list in force that nobody put there is worse than a line too many.
    invocation.run_on_store(record)
    try:
        keep_list(settings, document)
    except OSError as error:
        raise GatewayError(f"{error.filename}: {error.strerror}") from error
    if json_:
        as_json({**detail, "domains": len(offered.domains)})
        return
    _say_changes(changes)
    say(f"in force: {len(offered.domains)} domains, generated {stamp(offered.generated)}")


def _held(settings: Settings) -> ListInForce | None:
    """The list in force, ``None`` where no file holds one: then any list that can be read is better."""
    try:
        return find_list(settings, now())
    except (TrustListFault, OSError):
        return None


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAXIMUM_SIZE + 1)
    except OSError as error:
        raise GatewayError(f"{file}: {error.strerror}") from error


def _say_changes(changes: ListChanges) -> None:
    for line in changes.lines:
        say(line)
    counts = f"{len(changes.added)} added, {len(changes.removed)} removed, {len(changes.renamed)} renamed"
    say(counts if changes else "no difference")


@trust.command(epilog=example("trust diff new-list.xml", "trust diff"))
@click.argument("file", type=_FILE, required=False)
@json_option
@click.pass_context
def diff(context: click.Context, file: Path | None, json_: bool) -> None:
    """Show what the list of FILE would change; without FILE, what `trust.url` or the file offers now.

    Exit 1 where it would be refused, 3 where it cannot be fetched.
    """
    invocation: Invocation = context.obj
    settings = invocation.settings()
    document = _read(file) if file is not None else _offered(settings)
    held = _in_force(settings)
    fault = ""
    try:
        judged(document, held.trusted, settings, now())
    except ListRefused as refused:
        fault = str(refused)
        if not refused.forcible:
            raise GatewayError(f"would be refused: {fault}") from refused
    offered = judged(document, None, settings, now(), force=True)
    changes = compare(held.trusted, offered)
    if json_:
        as_json(
            {**change_detail(changes, offered.generated, document), "refused": fault, "lines": changes.lines}
        )
    else:
        _say_changes(changes)
    if fault:
        if not json_:
            click.echo(f"gateway: would be refused: {plain(fault)}", err=True)
        context.exit(1)


def _offered(settings: Settings) -> bytes:
    """What the source has now. Raises :class:`NotAvailable`."""
    url = settings.trust.url
    if url is None:
        return _read(settings.trust.list_file)

    async def fetch() -> bytes:
        async with Fetcher() as fetcher:
            return await fetcher.get(url, max_bytes=MAXIMUM_SIZE, tls=list_tls(settings))

    try:
        return asyncio.run(fetch())
    except FetchFailed as failed:
        raise NotAvailable(str(failed)) from failed
    except OSError as error:
        raise DeploymentIncomplete(f"{error.filename}: {error.strerror}") from error


@trust.command(epilog=example("trust status --json"))
@json_option
@click.pass_context
def status(context: click.Context, json_: bool) -> None:
    """Tell whether list and revocation lists are well, for monitors: exit 1 where an alarm stands."""
    invocation: Invocation = context.obj
    settings = invocation.settings()
    state = _described(settings, _in_force(settings))
    lists = _crl_rows(settings)
    troubles = [row for row in lists if row["state"] != "current" or row["fault"]]
    if json_:
        as_json({"list": state, "crls": lists})
    else:
        _say_state(state)
        for row in troubles:
            say(f"ALARM: revocation list {row['url'] or row['issuer']}: {row['fault'] or row['state']}")
    if state["alarm"] or not state["current"] or troubles:
        context.exit(1)


# -- revocation lists -----------------------------------------------------------------------------------


@trust.group(short_help="Revocation lists: list, fetch.")
def crl() -> None:
    """Revocation lists: those in the folder `pki.crls`, and fetching those of `pki.crl_urls`."""


@crl.command("list", epilog=example("trust crl list"))
@json_option
@click.pass_obj
def list_crls(invocation: Invocation, json_: bool) -> None:
    """List the revocation lists in use, and the addresses that gave none."""
    rows = _crl_rows(invocation.settings())
    if json_:
        as_json(rows)
        return
    show_table(
        ("issuer", "issued", "ends", "state", "revoked", "address", "fault"),
        [
            (
                row["issuer"] or "-",
                stamp(row["issued"]),
                stamp(row["ends"]),
                row["state"],
                row["revoked"],
                row["url"] or "-",
                row["fault"] or "-",
            )
            for row in rows
        ],
        "no revocation list",
    )


def _crl_rows(settings: Settings) -> list[dict[str, Any]]:
    """One row per list in use, and one per address of which no list is in use."""
    try:
        held = known_crls(settings)
    except (TrustFault, OSError) as error:
        raise DeploymentIncomplete(f"{settings.pki.crls}: {error}") from error
    known = read_status(settings) or TrustStatus()
    told = {url: known.crls.get(url, CrlStatus()) for url in settings.pki.crl_urls}
    grace = timedelta(hours=settings.pki.crl_grace_hours)
    rows = []
    for facts in held.values():
        url = next((url for url, each in told.items() if each.issuer == facts.issuer), "")
        each = told.pop(url, CrlStatus())
        rows.append(_row(facts, _state(facts, now(), grace), url, each.fault))
    for url, each in told.items():
        rows.append(_row(None, "missing", url, each.fault or "not fetched yet"))
    return rows


def _row(facts: CrlFacts | None, state: str, url: str, fault: str) -> dict[str, Any]:
    described: dict[str, Any] = dict.fromkeys(("issuer", "issued", "ends", "revoked"))
    if facts is not None:
        described = {name: value for name, value in asdict(facts).items() if name in described}
    return {**described, "state": state, "url": url, "fault": fault}


def _state(facts: CrlFacts, at: datetime, grace: timedelta) -> str:
    if at <= facts.ends:
        return "current"
    return "in grace" if at <= facts.ends + grace else "over"


@crl.command(epilog=example("trust crl fetch"))
@json_option
@click.pass_context
def fetch(context: click.Context, json_: bool) -> None:
    """Fetch the revocation lists of `pki.crl_urls` now; a running gateway has them within seconds.

    Exit 1 where one was refused, 3 where one could not be fetched; those held stay in use.
    """
    invocation: Invocation = context.obj
    settings = invocation.settings()
    if not settings.pki.crl_urls:
        raise GatewayError("pki.crl_urls names no address")
    done = asyncio.run(_fetch_all(settings))
    if json_:
        as_json(done)
    else:
        for row in done:
            say(f"{row['url']}: {row['result']}")
    if any(row["refused"] for row in done):
        raise Failure("a revocation list was refused")
    if any(row["failed"] for row in done):
        raise NotAvailable("a revocation list could not be fetched")


async def _fetch_all(settings: Settings) -> list[dict[str, Any]]:
    async with Fetcher() as fetcher:
        return [await _fetch_one(settings, fetcher, url) for url in settings.pki.crl_urls]


async def _fetch_one(settings: Settings, fetcher: Fetcher, url: str) -> dict[str, Any]:
    row: dict[str, Any] = {"url": url, "issuer": "", "refused": False, "failed": False}
    try:
        body = await fetcher.get(url, max_bytes=MAXIMUM_CRL, now=True)
        facts, news = store_crl(settings, body, pki_anchors(settings, ()), now())
    except FetchFailed as failed:
        return {**row, "failed": True, "result": failed.reason}
    except CrlFault as fault:
        return {**row, "refused": True, "result": str(fault)}
    except (TrustFault, OSError) as error:
        raise DeploymentIncomplete(f"{settings.pki.crls}: {error}") from error
    result = f"issued {stamp(facts.issued)}, ends {stamp(facts.ends)}, {facts.revoked} revoked"
    return {**row, "issuer": facts.issuer, "result": result if news else f"no newer one; {result}"}
