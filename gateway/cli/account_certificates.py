"""``gateway account certificate``: which client certificate opens the mailbox of which application."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from certs.bindings import CertificateNames, certificate_names
from certs.paths import TrustFault, Usage, read_certificates, validate
from certs.verdicts import Verdict
from config import Settings
from gateway.cli.context import (
    Invocation,
    as_json,
    example,
    json_option,
    now,
    operator,
    say,
    show_table,
    stamp,
)
from gateway.cli.sessions import end_sessions
from gateway.errors import DeploymentIncomplete, GatewayError
from gateway.mailserver import dovecot_settings
from gateway.store import AlreadyExists, Store, Transaction
from gateway.store.people import AccountCertificate
from gateway.trustspace import load_trust
from teleexpertise.people import AccountKind

__all__ = ["certificate"]

_SHOWN = 16
"""How much of a certificate's key is shown and asked for, in hexadecimal digits."""

_file_option = click.option(
    "--file",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The certificate, PEM; its chain may follow.",
)


@click.group(short_help="Client certificates of applications: add, list, remove.")
def certificate() -> None:
    """Client certificates by which applications log in (SASL EXTERNAL): each opens one mailbox."""


def _read(file: Path) -> tuple[tuple[bytes, ...], CertificateNames]:
    """The certificates of a file, and the names of the first. Raises :class:`GatewayError`."""
    try:
        found = read_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        raise GatewayError(f"{file}: no certificate can be read") from error
    names = certificate_names(found[0]) if found else None
    if names is None:
        raise GatewayError(f"{file}: no certificate with issuer and subject")
    return found, names


def _judge(certificates: tuple[bytes, ...], settings: Settings) -> str:
    """'' for a certificate (the first, its chain after it) that can log in now, or what is not known of it;
    raises :class:`GatewayError` for one that cannot.
    """
    own, *chain = certificates
    try:
        verdict = validate(own, chain, load_trust(settings, now()).anchors, Usage.TLS_CLIENT, now())
    except OSError as error:
        raise DeploymentIncomplete(f"{error.filename}: {error.strerror}") from error
    except (TrustFault, ValueError) as error:
        raise DeploymentIncomplete(str(error)) from error
    if verdict.verdict is Verdict.FAILED:
        raise GatewayError(f"this certificate could not log in: {verdict.reason} ({verdict.detail})")
    return "" if verdict.verdict is Verdict.PASSED else verdict.detail


async def _application(tx: Transaction, address: str) -> str:
    lower = address.strip().lower()
    account = await tx.accounts.get(lower)
    if account is None:
        raise GatewayError(f"there is no account {lower}")
    if account.kind is not AccountKind.APPLICATION:
        raise GatewayError(f"{lower} is no application: people and services do not log in by certificate")
    return lower


@certificate.command(
    epilog=example("account certificate add dpi@demo.mssante.example --file dpi-auth-cli.pem")
)
@click.argument("address")
@_file_option
@json_option
@click.pass_obj
def add(invocation: Invocation, address: str, file: Path, json_: bool) -> None:
    """Let a certificate, and those that renew it under its names, open an application's mailbox."""
    settings = invocation.settings()
    certificates, names = _read(file)
    unknown = _judge(certificates, settings)

    async def work(store: Store) -> AccountCertificate:
        async with store.transaction() as tx:
            bound = AccountCertificate(
                key=names.key,
                address=await _application(tx, address),
                issuer=names.issuer,
                subject=names.subject,
                created_at=now(),
            )
            try:
                await tx.account_certificates.bind(bound)
            except AlreadyExists as error:
                owner = await tx.account_certificates.owner(names.key)
                raise GatewayError(f"this certificate opens {owner} already") from error
            await tx.audit.write(
                now(), operator(), "account certificate add", bound.address, names.key[:_SHOWN]
            )
        return bound

    bound = invocation.run_on_store(work)
    if json_:
        as_json({**asdict(bound), "not_known": unknown})
        return
    say(f"{bound.address}: opened by {bound.subject}, issued by {bound.issuer}")
    if unknown:
        say(f"note: {unknown}; until that is known it is told to try again later")


@certificate.command("list")
@click.argument("address", default="")
@json_option
@click.pass_obj
def list_certificates(invocation: Invocation, address: str, json_: bool) -> None:
    """List the certificates of one application, or of all."""

    async def work(store: Store) -> tuple[AccountCertificate, ...]:
        async with store.reading() as tx:
            return await tx.account_certificates.list(address.strip().lower())

    found = invocation.run_on_store(work)
    if json_:
        as_json([asdict(each) for each in found])
        return
    show_table(
        ("address", "id", "subject", "issuer", "since"),
        [(one.address, one.key[:_SHOWN], one.subject, one.issuer, stamp(one.created_at)) for one in found],
        "no certificate",
    )


@certificate.command(epilog=example("account certificate remove dpi@demo.mssante.example 3f5c2a90d1e47b68"))
@click.argument("address")
@click.argument("id_", metavar="ID")
@json_option
@click.pass_obj
def remove(invocation: Invocation, address: str, id_: str, json_: bool) -> None:
    """Let a certificate (its ID as listed) open the mailbox no more, and end the open mail sessions."""
    settings = invocation.settings()
    lower = address.strip().lower()

    async def work(store: Store) -> bool:
        async with store.transaction() as tx:
            held = [
                one.key
                for one in await tx.account_certificates.list(lower)
                if one.key.startswith(id_.lower())
            ]
            if len(id_) < _SHOWN or len(held) != 1:
                raise GatewayError(f"{lower} has no certificate {id_}")
            await tx.account_certificates.unbind(lower, held[0])
            await tx.audit.write(now(), operator(), "account certificate remove", lower, held[0][:_SHOWN])
        return settings.mailboxes.embedded and await end_sessions(dovecot_settings(settings), lower)

    ended = invocation.run_on_store(work)
    if json_:
        as_json({"address": lower, "done": "removed", "sessions_ended": ended})
    else:
        say(f"{lower}: removed")
