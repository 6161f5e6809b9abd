"""``gateway dkim``: make keys, see what is published, verify a mail."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import click

from certs.dkim import (
    DkimFault,
    DkimReport,
    DkimSignature,
    KeyKind,
    KeyRecord,
    Unavailable,
    load_dkim_signer,
    new_dkim_key,
    render_key_record,
)
from certs.pki import write_private
from certs.verdicts import Verdict
from config import Settings
from gateway.cli.context import Invocation, as_json, example, json_option, now, say, show_table, stamp
from gateway.dkimkeys import Found, KeySource, key_place, key_source
from gateway.dkimspace import DkimSpace, OurKey, load_our_keys, signing_key
from gateway.errors import DeploymentIncomplete, GatewayError

__all__ = ["dkim"]

_STRING = 255
"""Octets of one string of a TXT record; longer texts are several (RFC 1035 §3.3, RFC 6376 §3.6.2.2)."""
_EXITS = {Verdict.PASSED: 0, Verdict.INDETERMINATE: 3}


@click.group()
def dkim() -> None:
    """DKIM: make keys and their DNS records, see what is published, verify a mail."""


# -- key ----------------------------------------------------------------------------------------------------


@dkim.command(epilog=example("dkim key", "dkim key --selector tle2 --kind ed25519"))
@click.option(
    "--selector",
    help="Name of the key. By default one of the settings whose file is missing, else `tle` and the date.",
)
@click.option(
    "--kind",
    type=click.Choice([str(kind) for kind in KeyKind]),
    default=str(KeyKind.RSA),
    show_default=True,
    help="rsa (2048 bits) is what everybody verifies.",
)
@json_option
@click.pass_obj
def key(invocation: Invocation, selector: str | None, kind: str, json_: bool) -> None:
    """Make a key and print the record to publish; a key that is there is never written over.

    A new selector is to be added to `dkim.signing`: with `since`, so that it signs once the DNS knows it.
    """
    settings = invocation.settings()
    name = (selector or _next_selector(settings)).lower()
    configured = {one.selector: one.key for one in settings.dkim.signing}
    path = configured.get(name, settings.pki.tls_key.parent / f"dkim-{name}.key")
    pem = new_dkim_key(KeyKind(kind))
    records = _records(settings, name, pem)
    _write(path, pem)
    if json_:
        as_json({"selector": name, "key": path, "configured": name in configured, "records": records})
        return
    say(f"{path}: made, not to be shown to anybody")
    say("To publish in the DNS:")
    for place, text in records.items():
        say(zone_line(place, text))
    if name not in configured:
        say("Then add to `signing` in [dkim] of gateway.toml, and start the gateway again:")
        say(f'{{ selector = "{name}", key = "{path}", since = <when the DNS knows it> }}')


def _next_selector(settings: Settings) -> str:
    missing = [one.selector for one in settings.dkim.signing if not one.key.exists()]
    return missing[0] if missing else f"tle{now():%Y%m%d}"


def _records(settings: Settings, selector: str, pem: bytes) -> dict[str, str]:
    """The record under each of our domains, by the name to publish it under."""
    try:
        signers = [load_dkim_signer(domain, selector, pem) for domain in sorted(settings.local_domains)]
    except DkimFault as fault:
        raise GatewayError(f"{selector}: {fault}") from fault
    return {
        key_place((signer.domain, signer.selector)): render_key_record(signer.record) for signer in signers
    }


def _write(path: Path, pem: bytes) -> None:
    if path.exists():
        raise GatewayError(f"{path} is there already; choose another --selector")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, pem)
    except OSError as error:
        raise DeploymentIncomplete(f"{path}: {error.strerror}") from error


def zone_line(place: str, text: str) -> str:
    """A line of a zone file, the text in strings of at most 255 octets."""
    strings = " ".join(f'"{text[at : at + _STRING]}"' for at in range(0, len(text), _STRING))
    return f"{place}. IN TXT ( {strings} )"


# -- show ---------------------------------------------------------------------------------------------------


@dkim.command(epilog=example("dkim show", "dkim show --no-dns --json"))
@click.option("--dns/--no-dns", default=True, help="Ask the DNS whether the records are published.")
@json_option
@click.pass_obj
def show(invocation: Invocation, dns: bool, json_: bool) -> None:
    """Show our keys, which of them signs now, their records, and whether the DNS has them.

    Exit code 1 where no key signs though mail is to be signed, or the one that does is not published as it
    is; 3 where that cannot be found out now.
    """
    settings = invocation.settings()
    try:
        keys = load_our_keys(settings)
    except OSError as error:
        raise DeploymentIncomplete(f"{error.filename}: {error.strerror}; `gateway dkim key`") from error
    except DkimFault as fault:
        raise DeploymentIncomplete(f"dkim.signing: {fault}") from fault
    asked = settings.dkim.model_copy(update={"dns": True})
    source = key_source(settings.model_copy(update={"dkim": asked}), table=False) if dns else None
    shown = asyncio.run(_shown(settings, keys, source))
    if json_:
        as_json(shown)
    else:
        _show(shown)
    click.get_current_context().exit(_shown_exit(settings, shown))


def _shown_exit(settings: Settings, shown: list[dict[str, Any]]) -> int:
    states = {one["dns"] for one in shown if one["signs"]}
    if states & {"missing", "differs"} or (settings.dkim.enabled and not states):
        return 1
    return 3 if "unknown" in states else 0


async def _shown(
    settings: Settings, keys: tuple[OurKey, ...], source: KeySource | None
) -> list[dict[str, Any]]:
    signing = signing_key(keys, now()) if settings.dkim.enabled else None
    shown = []
    for one, configured in zip(keys, settings.dkim.signing, strict=True):
        for domain in sorted(settings.local_domains):
            name = (domain, one.signer.selector)
            found = await source.find(name) if source is not None else None
            shown.append(
                {
                    "name": key_place(name),
                    "kind": one.signer.kind,
                    "signs": one is signing,
                    "since": configured.since,
                    "dns": _published(found, one.signer.record),
                    "record": render_key_record(one.signer.record),
                }
            )
    return shown


def _published(found: Found | None, record: KeyRecord) -> str:
    if found is None:
        return "not asked"
    if found is Unavailable.MALFORMED:
        return "differs"
    if isinstance(found, Unavailable):
        return str(found)
    return "published" if (found.kind, found.public) == (record.kind, record.public) else "differs"


def _show(shown: list[dict[str, Any]]) -> None:
    rows = [
        (one["name"], one["kind"], "yes" if one["signs"] else "no", stamp(one["since"]), one["dns"])
        for one in shown
    ]
    show_table(("name", "kind", "signs now", "since", "DNS"), rows, "no key: `gateway dkim key` makes one")
    for one in shown:
        say(zone_line(one["name"], one["record"]))


# -- verify -------------------------------------------------------------------------------------------------


@dkim.command(epilog=example("dkim verify mail.eml", "dkim verify - --no-dns --json < mail.eml"))
@click.argument("file", type=click.File("rb"))
@click.option("--dns/--no-dns", default=True, help="Look up keys that the settings do not name.")
@click.option("--at", type=click.DateTime(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]), help="Judge as of then, UTC.")
@json_option
@click.pass_obj
def verify(invocation: Invocation, file: BinaryIO, dns: bool, at: datetime | None, json_: bool) -> None:
    """Verify the DKIM signatures of the mail in FILE (- for standard input), which must end its lines with
    CRLF.

    Exit code 0 where one of them holds, 3 where a key could not be looked up, else 1.
    """
    settings = invocation.settings()
    asked = settings.dkim.model_copy(update={"dns": dns})
    space = DkimSpace(key_source(settings.model_copy(update={"dkim": asked})), (), settings.local_domains)
    moment = at.replace(tzinfo=UTC) if at else now()
    report = asyncio.run(space.judge(file.read(), moment))
    if json_:
        as_json(_described(report))
    else:
        rows = [
            (one.verdict, one.reason, one.domain or "-", one.selector or "-", one.identity or "-")
            for one in report.signatures
        ]
        show_table(("verdict", "reason", "domain", "selector", "identity"), rows, report.fault or "unsigned")
    click.get_current_context().exit(_EXITS.get(report.verdict, 1))


def _described(report: DkimReport) -> dict[str, Any]:
    return {
        "verdict": report.verdict,
        "fault": report.fault,
        "signatures": [_signature(one) for one in report.signatures],
    }


def _signature(one: DkimSignature) -> dict[str, Any]:
    return {
        "verdict": one.verdict,
        "reason": one.reason,
        "domain": one.domain,
        "selector": one.selector,
        "identity": one.identity,
        "algorithm": one.algorithm,
        "signed": one.signed,
        "not_oversigned": sorted({name for name in one.present if not one.oversigns(name)}),
    }
