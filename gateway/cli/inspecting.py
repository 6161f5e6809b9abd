"""``gateway pki inspect``: what a certificate may do here, and why not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import click
from asn1crypto import pem, x509

from certs.bundles import MAXIMUM_OCTETS, Bundle, BundleFault, read_bundle
from certs.inspection import (
    Ability,
    Inspection,
    InspectionFault,
    ListFacts,
    Surroundings,
    inspect_certificate,
    inspect_list,
)
from certs.operators import TrustListFault
from certs.paths import RevocationMode, TrustAnchors, TrustFault, load_anchors
from certs.verdicts import Verdict
from gateway.cli.context import Failure, Invocation, as_json, example, json_option, now, say, stamp
from gateway.cli.moments import Moment
from gateway.trustspace import load_trust

__all__ = ["inspect"]

_ANSWERS = {Verdict.PASSED: "yes", Verdict.FAILED: "no", Verdict.INDETERMINATE: "not known"}
_CERTIFICATE_FILES = (".pem", ".crt", ".cer", ".der")
_MOST_FILES = 200


@dataclass(frozen=True, slots=True)
class _Report:
    """Everything that is printed."""

    certificates: tuple[Inspection, ...]
    lists: tuple[ListFacts, ...]
    private_keys: int
    requests: int
    warnings: tuple[str, ...]

    @property
    def useful(self) -> bool:
        """Whether what the file is about may do at least one thing: its end entities, where it has some."""
        leaves = [one for one in self.certificates if not one.facts.authority] or self.certificates
        if leaves:
            return any(one.useful for one in leaves)
        return any(one.verdict is Verdict.PASSED for one in self.lists)


@click.command(
    short_help="What a certificate may do here, and why not.",
    epilog=example(
        "pki inspect var/pki/tls.pem",
        "pki inspect peer.cer --domain b.mssante.example --at 2027-01-01T00:00:00Z",
        "pki inspect - --trust /srv/igc --crl /srv/igc/crls --json <bundle.p7b",
    ),
)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--trust",
    "anchors",
    type=click.Path(exists=True, path_type=Path),
    help="Anchors: file or folder of certificates, self-signed ones as roots; else the deployment's.",
)
@click.option(
    "--crl",
    "lists",
    type=click.Path(exists=True, path_type=Path),
    help="A CRL or a folder of .crl files, instead of the deployment's.",
)
@click.option("--at", "moment", type=Moment(), help="Judge at this time instead of now.")
@click.option("--domain", default="", help="Ask whether it may serve this mail domain.")
@json_option
@click.pass_context
def inspect(
    context: click.Context,
    file: Path,
    anchors: Path | None,
    lists: Path | None,
    moment: datetime | None,
    domain: str,
    json_: bool,
) -> None:
    """Tell what FILE (- for standard input) may do here, and why not: PEM or DER, certificate, chain, CRL or
    PKCS#7 bundle.

    Exit code 0 when it may do at least one thing, 1 when nothing. A private key is never read or printed.
    """
    try:
        bundle = read_bundle(_read(file))
    except BundleFault as error:
        raise Failure(f"{file}: {error}") from error
    invocation: Invocation = context.obj
    around, warnings = _surroundings(invocation, anchors, lists, moment or now())
    around = replace(around, enclosed=bundle.certificates, domain=domain)
    report = _report(bundle, around, warnings)
    if json_:
        as_json({"useful": report.useful, **asdict(report)})
    else:
        _print(report)
    if not report.useful:
        context.exit(1)


def _read(file: Path) -> bytes:
    """Read a little more than is allowed, so that a larger file is noticed and an endless one ends."""
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(MAXIMUM_OCTETS + 1)
        with file.open("rb") as stream:
            return stream.read(MAXIMUM_OCTETS + 1)
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from error


def _surroundings(
    invocation: Invocation, anchors: Path | None, lists: Path | None, moment: datetime
) -> tuple[Surroundings, tuple[str, ...]]:
    """What is known here; a deployment whose trust cannot be read is told and does not keep from
    inspecting.
    """
    warnings: list[str] = []
    around = Surroundings(moment)
    if invocation.path.exists():
        try:
            space = load_trust(invocation.settings(), moment)
            around = Surroundings(moment, space.anchors, space.operators)
        except (TrustFault, TrustListFault) as error:
            warnings.append(f"the deployment's anchors, CRLs or trust list cannot be read: {error}")
        except OSError as error:
            warnings.append(f"{error.filename}: {error.strerror}")
    elif anchors is None:
        warnings.append(f"there is no deployment at {invocation.path}, and --trust names no anchors")
    if anchors is None and lists is None:
        return around, tuple(warnings)
    try:
        return replace(around, trust=_given_trust(around.trust, anchors, lists)), tuple(warnings)
    except (TrustFault, BundleFault, OSError) as error:
        raise Failure(f"--trust, --crl: {error}") from error


def _given_trust(own: TrustAnchors | None, anchors: Path | None, lists: Path | None) -> TrustAnchors:
    """The trust that the options name; without --trust the deployment's, with other CRLs."""
    found = [read_bundle(octets) for octets in _files(anchors, _CERTIFICATE_FILES)] if anchors else []
    crls = [der for one in found for der in one.crls]
    for octets in _files(lists, (".crl",)) if lists else ():
        crls += read_bundle(octets).crls
    mode = own.revocation if own is not None else RevocationMode.REQUIRE
    if anchors is None:
        if own is None:
            raise TrustFault("CRLs alone are no trust: --trust names anchors")
        read = load_anchors(_pem(own.roots), _pem(own.intermediates), crls, mode, own.grace, own.bindings)
        return replace(read, revocation=own.revocation)
    certificates = [der for one in found for der in one.certificates]
    roots = [der for der in certificates if x509.Certificate.load(der).self_issued]
    if not roots:
        raise TrustFault(f"{anchors} holds no self-signed certificate to be an anchor")
    others = [der for der in certificates if der not in roots]
    bindings = own.bindings if own is not None else None
    return load_anchors(_pem(roots), _pem(others), crls, mode, bindings=bindings)


def _pem(certificates: list[bytes] | tuple[bytes, ...]) -> bytes:
    return b"".join(pem.armor("CERTIFICATE", der) for der in certificates)


def _files(path: Path, endings: tuple[str, ...]) -> Iterator[bytes]:
    """Contents of a file, or of the files of a folder with these endings."""
    if path.is_file():
        chosen = [path]
    else:
        chosen = sorted(one for one in path.iterdir() if one.suffix.lower() in endings and one.is_file())
    if len(chosen) > _MOST_FILES:
        raise BundleFault(f"{path}: more than {_MOST_FILES} files")
    for one in chosen:
        with one.open("rb") as stream:
            yield stream.read(MAXIMUM_OCTETS + 1)


def _report(bundle: Bundle, around: Surroundings, warnings: tuple[str, ...]) -> _Report:
    told = [*warnings, *bundle.faults]
    certificates: list[Inspection] = []
    lists: list[ListFacts] = []
    for der in bundle.certificates:
        try:
            certificates.append(inspect_certificate(der, around))
        except InspectionFault as error:
            told.append(str(error))
    for der in bundle.crls:
        try:
            lists.append(inspect_list(der, around))
        except InspectionFault as error:
            told.append(str(error))
    if bundle.private_keys:
        told.append("this file also holds a private key: it was not read; a certificate goes out without it")
    if bundle.requests:
        told.append("a certificate request is no certificate: `gateway pki issue --csr` takes it")
    return _Report(tuple(certificates), tuple(lists), bundle.private_keys, bundle.requests, tuple(told))


def _print(report: _Report) -> None:
    for warning in report.warnings:
        say(f"! {warning}")
    for one in report.certificates:
        _print_facts(one)
        for ability in one.abilities:
            _print_ability(ability)
    for one_list in report.lists:
        _print_list(one_list)


def _print_facts(one: Inspection) -> None:
    facts = one.facts
    say(f"certificate {facts.subject}")
    for label, value in (
        ("issuer", facts.issuer),
        ("serial", facts.serial),
        ("valid", f"{stamp(facts.not_before)} to {stamp(facts.not_after)} UTC"),
        ("key", f"{facts.key}, signed with {facts.signature}"),
        ("usage", ", ".join((*facts.key_usage, *facts.extended_key_usage))),
        ("policies", ", ".join(facts.policies)),
        ("addresses", ", ".join(facts.addresses)),
        ("hosts", ", ".join(facts.hosts)),
        ("CRL at", ", ".join(facts.crl_addresses)),
        ("SHA-256", facts.fingerprint),
    ):
        say(f"  {label:<10} {value or '-'}")
    for warning in one.warnings:
        say(f"  ! {warning}")


def _print_ability(ability: Ability) -> None:
    sentences = "; ".join((*ability.reasons, *ability.notes))
    say(f"  {ability.role}: {_ANSWERS[ability.verdict]}{f' - {sentences}' if sentences else ''}")


def _print_list(facts: ListFacts) -> None:
    say(f"revocation list of {facts.issuer}")
    say(f"  number     {'-' if facts.number is None else facts.number}, {facts.revoked} revoked")
    say(f"  current    {stamp(facts.issued)} to {stamp(facts.ends)} UTC")
    reasons = f" - {'; '.join(facts.reasons)}" if facts.reasons else ""
    say(f"  may revoke here: {_ANSWERS[facts.verdict]}{reasons}")
