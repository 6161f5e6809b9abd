"""``gateway pki``: a test PKI shaped like IGC-Santé, and what a certificate may do here."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from certs.authority import PersonNames, SubjectNames
from certs.ledger import REASONS, IssuedEntry
from certs.operators import normal_domain
from certs.pkifiles import DemoPki
from certs.profiles import PROFILES, SERV_SSL, Issuer, Profile
from gateway.cli.context import Invocation, as_json, example, json_option, now, say, show_table, stamp
from gateway.cli.inspecting import inspect
from gateway.cli.moments import Moment
from gateway.pkidesk import (
    CertificateOrder,
    IssuedFiles,
    RenewedList,
    issue_certificate,
    issued_certificates,
    make_pki,
    renew_lists,
    revoke_certificate,
)

__all__ = ["pki"]

_MOST_OCTETS = 1024 * 1024
_STRUCTURE = re.compile(r"3[0-9]{14}|1[0-9][0-9AB][0-9]{7}")
_SERIAL = re.compile(r"(?:0[xX])?[0-9A-Fa-f]{1,2}(?::?[0-9A-Fa-f]{1,2})*")
_ADDRESS = re.compile(r"[!-?A-~]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_URL = re.compile(r"http://[!-~]+")


@click.group("pki")
def pki() -> None:
    """Certificates: make a test PKI (never for operation), issue, revoke, renew revocation lists, inspect."""


_folder_option = click.option(
    "--pki",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the PKI; that of the deployment unless given.",
)


def _folder(invocation: Invocation, folder: Path | None) -> DemoPki:
    return DemoPki(folder if folder is not None else invocation.settings().pki.anchors.parent)


def _checked(pattern: re.Pattern[str], meaning: str) -> Callable[..., Any]:
    """A click callback that takes only values that the pattern matches as a whole."""

    def check(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        for text in value if isinstance(value, tuple) else (value,):
            if text and pattern.fullmatch(text) is None:
                raise click.BadParameter(f"{text!r} is not {meaning}")
        return value

    return check


def _hosts(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """DNS names as A-labels and IP addresses as they are."""
    return tuple(_host(text) for text in value)


def _host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return normal_domain(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is neither a DNS name nor an IP address") from error


_crl_url = _checked(_URL, "an address http://… of printable characters")


@pki.command(
    "init",
    short_help="Make a test PKI in an empty folder.",
    epilog=example("pki init /srv/test-pki", "pki init /srv/test-pki --cn RECETTE"),
)
@click.argument("directory", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--cn",
    "family",
    default="ELEMENTAIRE",
    show_default=True,
    help="Word of the authorities' names: TEST AC RACINE …, TEST AC … ORGANISATIONS, TEST AC … PERSONNES.",
)
@click.option(
    "--crl-url",
    default="",
    callback=_crl_url,
    help="Address (http) under which the CRLs will be found; put into what is issued.",
)
@json_option
@click.pass_obj
def init_pki(invocation: Invocation, directory: Path | None, family: str, crl_url: str, json_: bool) -> None:
    """Make a root, authorities for organisations and for persons, and empty CRLs in DIRECTORY, or in `pki`
    beside the settings.

    Nothing is overwritten: a folder in which something lies is refused. `gateway init` on such a folder adds
    the certificates of a deployment.
    """
    if directory is None and not invocation.path.exists():
        directory = invocation.path.parent / "pki"  # where `gateway init` will look for it
    made = make_pki(_folder(invocation, directory).directory, family.strip(), crl_url, now())
    if json_:
        as_json(
            {
                "directory": made.directory,
                "anchors": made.anchors,
                "intermediates": made.intermediates,
                "crls": [made.crl(name) for name in made.authorities],
            }
        )
    else:
        say(f"{made.directory}: test PKI with {', '.join(made.authorities)}; anchors in {made.anchors}")


@pki.command(
    "issue",
    short_help="Issue a certificate.",
    epilog=example(
        "pki issue --profile serv-ssl --cn mx.b.example --organisation 'CH B' --unit 1430000017 \\",
        "    --department 'Haute-Loire (43)' --host mx.b.example --out /srv/b/tls",
    ),
)
@click.option("--profile", type=click.Choice(list(PROFILES)), required=True, help="What it is for.")
@click.option("--cn", "common_name", required=True, help="Common name: a service, a host or a person.")
@click.option("--organisation", default="", help="O: name of the structure.")
@click.option(
    "--unit",
    default="",
    callback=_checked(_STRUCTURE, "a structure identifier: 3 and a SIRET, or 1 and a FINESS"),
    help="OU: identifier of the structure, 3 + SIRET or 1 + FINESS.",
)
@click.option("--department", default="", help="ST, for example 'Haute-Loire (43)'.")
@click.option("--surname", default="", help="SN of a person.")
@click.option("--given-name", default="", help="GN of a person.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    callback=_checked(_ADDRESS, "a mail address in ASCII"),
    help="Mail address, may be repeated; IGC-Santé's ORG SIGN has none.",
)
@click.option(
    "--host", "hosts", multiple=True, callback=_hosts, help="DNS name or IP address, may be repeated."
)
@click.option("--days", type=click.IntRange(1, 7300), help="Validity, 1095 unless given.")
@click.option(
    "--key",
    type=click.Choice(["rsa", "rsa-3072", "p256", "p384", "ed25519"]),
    help="Kind of the new key, rsa (2048 bits) unless given.",
)
@click.option(
    "--csr",
    "request",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PKCS#10 request whose key is taken; its names are not.",
)
@click.option("--crl-url", default="", callback=_crl_url, help="CRL distribution point (http).")
@click.option(
    "--out",
    "prefix",
    type=click.Path(path_type=Path),
    required=True,
    help="Start of the files' names: OUT.pem, OUT-chain.pem, OUT-full.pem, OUT.key.",
)
@_folder_option
@json_option
@click.pass_obj
def issue(invocation: Invocation, /, folder: Path | None, json_: bool, **given: Any) -> None:
    """Issue a certificate of the test PKI. No file is overwritten; keys are readable by their owner only."""
    profile = PROFILES[given["profile"]]
    _check_names(profile, given)
    request: Path | None = given["request"]
    if request is not None and given["key"] is not None:
        raise click.UsageError("--csr brings a key: --key cannot be asked for beside it")
    person = None
    if profile.issuer is Issuer.PERSONS:
        person = PersonNames(given["surname"], given["given_name"])
    order = CertificateOrder(
        profile=profile,
        common_name=given["common_name"],
        unit=given["unit"],
        organisation=given["organisation"],
        department=given["department"],
        names=SubjectNames(given["hosts"], given["addresses"]),
        prefix=given["prefix"],
        person=person,
        lifetime=timedelta(days=given["days"]) if given["days"] else None,
        key=given["key"] or "rsa",
        request=_beginning(request) if request is not None else None,
        crl_url=given["crl_url"] or None,
    )
    _show_issued(issue_certificate(_folder(invocation, folder), order, now()), json_)


def _check_names(profile: Profile, given: Mapping[str, Any]) -> None:
    """Refuse an order that lacks what its profile is about."""
    if not given["common_name"].strip():
        raise click.UsageError("--cn must not be empty")
    for name in ("common_name", "organisation", "department", "surname", "given_name"):
        if not given[name].isprintable():
            raise click.UsageError("names are printable characters")
    wanted: tuple[str, ...] = ("surname", "given_name")
    if profile.issuer is Issuer.ORGANISATIONS:
        wanted = ("organisation", "unit", "department")
        if given["surname"] or given["given_name"]:
            raise click.UsageError("--surname and --given-name are for persons")
    if profile is SERV_SSL:
        wanted = (*wanted, "hosts")
    options = {"given_name": "--given-name", "hosts": "--host"}
    lacking = [options.get(name, f"--{name}") for name in wanted if not given[name]]
    if lacking:
        raise click.UsageError(f"{given['profile']} needs {', '.join(lacking)}")


def _show_issued(issued: IssuedFiles, json_: bool) -> None:
    if json_:
        as_json(asdict(issued))
        return
    say(f"{issued.entry.serial}: {issued.entry.profile} {issued.entry.subject}")
    say(f"valid until {stamp(issued.entry.not_after)} UTC")
    for path in (issued.certificate, issued.chain, issued.full, issued.key):
        if path is not None:
            say(str(path))


@pki.command(
    "revoke",
    short_help="Revoke a certificate and sign the CRL anew.",
    epilog=example("pki revoke /srv/b/tls.pem --reason keyCompromise", "pki revoke 3f:a0:…:01"),
)
@click.argument("certificate")
@click.option(
    "--reason", type=click.Choice(REASONS), default="unspecified", show_default=True, help="Put on the CRL."
)
@click.option("--at", "moment", type=Moment(), help="Since when, now unless given; not in the future.")
@_folder_option
@json_option
@click.pass_obj
def revoke(
    invocation: Invocation,
    certificate: str,
    reason: str,
    moment: datetime | None,
    folder: Path | None,
    json_: bool,
) -> None:
    """Revoke CERTIFICATE, a file or a serial number in hex, and sign the CRL anew."""
    instant = now()
    found = _named(certificate)
    entry, renewed = revoke_certificate(
        _folder(invocation, folder), found, reason, moment or instant.replace(microsecond=0), instant
    )
    if json_:
        as_json({"certificate": asdict(entry), "crl": asdict(renewed)})
    else:
        say(f"{entry.serial} is revoked from {stamp(entry.revoked_at)} UTC on: {entry.subject}")
        _say_renewed(renewed)


def _named(certificate: str) -> bytes | str:
    """The octets of the file, or the serial number in lower-case hex without leading zeros."""
    path = Path(certificate)
    if path.is_file():
        return _beginning(path)
    if _SERIAL.fullmatch(certificate) is None:
        raise click.BadParameter(f"{certificate!r} is neither a file nor a serial number in hex")
    digits = certificate.replace(":", "")
    return f"{int(digits, 16):x}"


def _beginning(path: Path) -> bytes:
    """As much of a file as shows that it is too large."""
    try:
        with path.open("rb") as file:
            return file.read(_MOST_OCTETS)
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}") from error


@pki.command(
    "crl", short_help="Sign all CRLs anew.", epilog=example("pki crl", "pki crl --days 7 --pki /srv/test-pki")
)
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="Current for.")
@_folder_option
@json_option
@click.pass_obj
def crl(invocation: Invocation, days: int, folder: Path | None, json_: bool) -> None:
    """Sign the CRLs of root and intermediates anew, with the next number."""
    signed = renew_lists(_folder(invocation, folder), timedelta(days=days), now())
    if json_:
        as_json([asdict(renewed) for renewed in signed])
    else:
        for renewed in signed:
            _say_renewed(renewed)


def _say_renewed(renewed: RenewedList) -> None:
    say(
        f"{renewed.path}: CRL {renewed.number} of {renewed.authority}, {renewed.revoked} revoked, "
        f"current until {stamp(renewed.next_update)} UTC"
    )


@pki.command(
    "list", short_help="List what was issued.", epilog=example("pki list", "pki list --revoked --json")
)
@click.option("--revoked", is_flag=True, help="Only those that are revoked.")
@_folder_option
@json_option
@click.pass_obj
def list_issued(invocation: Invocation, revoked: bool, folder: Path | None, json_: bool) -> None:
    """List what was issued: serial number, profile, end, state, subject."""
    entries = [
        entry
        for entry in issued_certificates(_folder(invocation, folder))
        if entry.revoked_at is not None or not revoked
    ]
    if json_:
        as_json([asdict(entry) for entry in entries])
        return
    instant = now()
    rows = [
        (entry.serial, entry.profile or "-", stamp(entry.not_after), _state(entry, instant), entry.subject)
        for entry in entries
    ]
    show_table(("serial", "profile", "ends", "state", "subject"), rows, "nothing was issued")


def _state(entry: IssuedEntry, instant: datetime) -> str:
    if entry.revoked_at is not None:
        because = f" ({entry.reason})" if entry.reason else ""
        return f"revoked {entry.revoked_at:%Y-%m-%d}{because}"
    return "expired" if instant > entry.not_after else "valid"


pki.add_command(inspect)
