"""``gateway smime verify``: the verdict on a signed message, with the reasons for it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from certs.paths import RevocationMode, TrustAnchors
from certs.smime import verify_message
from certs.verdicts import SignatureReport, SignerReport, Verdict
from gateway.cli.context import Invocation, as_json, example, json_option, now, plain, stamp
from gateway.cli.smime_files import message_file, read_anchors, read_message, read_moment
from gateway.keyfiles import open_anchors

__all__ = ["verify"]

_COLUMNS = 100
_LABEL = 12
_EXIT = {Verdict.PASSED: 0, Verdict.FAILED: 1, Verdict.NONE: 1, Verdict.INDETERMINATE: 3}
_place = click.Path(exists=True, path_type=Path)


@click.command(
    short_help="The verdict on a signed message, and why.",
    epilog=example(
        "smime verify mail.eml",
        "smime verify - --trust anchors/ --crl crls/ < mail.eml",
        "smime verify mail.eml --trust root.pem --at 2026-03-02T14:30 --json",
    )
    + "\n\nExit codes: 0 passed, 1 failed or not signed, 2 wrong use, 3 indeterminate.",
)
@message_file
@click.option(
    "--trust",
    type=_place,
    multiple=True,
    metavar="DIR|FILE",
    help="Believe the certificates of this file or folder (PEM or DER) instead of the deployment's anchors.",
)
@click.option(
    "--crl",
    "lists",
    type=_place,
    multiple=True,
    metavar="DIR|FILE",
    help="Revocation lists to use; with this option each certificate of the path needs one.",
)
@click.option(
    "--at", metavar="TIME", help="Judge as of this time, ISO 8601, UTC unless it has a zone. [default: now]"
)
@json_option
@click.pass_obj
def verify(
    invocation: Invocation,
    file: Path,
    trust: tuple[Path, ...],
    lists: tuple[Path, ...],
    at: str | None,
    json_: bool,
) -> None:
    """Judge the signature over the whole of a message: verdict, signers, reasons, protected headers, and the
    fields of the outer header that contradict them.

    FILE is a message as it was received, - for standard input. Without --trust the anchors, revocation lists
    and bindings of the deployment are used; with it no deployment is needed. A message of which only a part
    is signed counts as not signed.
    """
    moment = read_moment(at, now())
    believed = None if trust else open_anchors(invocation.settings())
    anchors = read_anchors(trust, lists, believed)
    report = verify_message(read_message(file), anchors, moment)
    if json_:
        as_json(_described(report, anchors, moment))
    else:
        for line in _lines(report, anchors, moment):
            click.echo(line)
    click.get_current_context().exit(_EXIT[report.verdict])


def _revocation(anchors: TrustAnchors) -> str:
    """How revocation was judged, in a word for machines."""
    if anchors.revocation is RevocationMode.REQUIRE:
        return "required"
    return "when-known" if anchors.crls else "not-checked"


def _described(report: SignatureReport, anchors: TrustAnchors, moment: datetime) -> dict[str, Any]:
    return {
        "verdict": report.verdict,
        "reason": report.reason,
        "detail": report.detail,
        "at": moment,
        "revocation": _revocation(anchors),
        "signers": [
            {
                "verdict": signer.verdict,
                "reason": signer.reason,
                "detail": signer.detail,
                "subject": signer.subject,
                "issuer": signer.issuer,
                "serial": f"{signer.serial:X}",
                "addresses": list(signer.addresses),
                "signing_time": signer.signing_time,
                "fingerprint": signer.fingerprint,
            }
            for signer in report.signers
        ],
        "protected_headers": [list(field) for field in report.protected_headers],
        "differing_headers": list(report.differing_headers),
        "notes": list(report.notes),
    }


def _lines(report: SignatureReport, anchors: TrustAnchors, moment: datetime) -> Iterator[str]:
    said = {
        Verdict.NONE: f"none: nothing in it is signed as a whole ({report.reason})",
        Verdict.INDETERMINATE: f"indeterminate ({report.reason}): ask again when more is known",
    }.get(report.verdict, f"{report.verdict} ({report.reason})")
    yield from _labelled("verdict", said)
    if report.detail:
        yield from _labelled("", report.detail)
    for signer in report.signers:
        yield from _signer(signer)
    for name, value in report.protected_headers:
        yield from _labelled("protected", f"{name}: {value}")
    if report.differing_headers:
        yield from _labelled("differs", ", ".join(report.differing_headers))
    if report.notes:
        yield from _labelled("note", ", ".join(report.notes))
    told = {"required": "required", "when-known": "lists that are known", "not-checked": "not checked"}
    yield from _labelled("revocation", told[_revocation(anchors)])
    yield from _labelled("judged at", f"{stamp(moment)} UTC")


def _signer(signer: SignerReport) -> Iterator[str]:
    reason = f"{signer.verdict} ({signer.reason})"
    yield from _labelled("signer", signer.subject or "certificate not enclosed")
    yield from _labelled("", f"{reason}: {signer.detail}" if signer.detail else reason)
    if signer.subject:
        yield from _labelled("", f"issued by {signer.issuer}, serial {signer.serial:X}")
        yield from _labelled("", f"addresses {', '.join(signer.addresses) or 'none'}")
        yield from _labelled("", f"SHA-256 {signer.fingerprint}")
    if signer.signing_time is not None:
        yield from _labelled("", f"signed {stamp(signer.signing_time)} UTC")


def _labelled(label: str, text: str) -> list[str]:
    """A label and its text, folded to the width of a terminal."""
    return textwrap.wrap(
        plain(text),
        width=_COLUMNS,
        initial_indent=f"{label:<{_LABEL}}",
        subsequent_indent=" " * _LABEL,
        break_on_hyphens=False,
    )
