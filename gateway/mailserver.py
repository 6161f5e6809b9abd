"""The private mailbox server of a deployment: what it is started with, and which mailboxes it knows."""

from __future__ import annotations

import asyncio
import os

from config import Settings
from gateway.store.store import Store
from mailboxes.dovecot.logins import MailboxLogin, take_turn, write_logins
from mailboxes.dovecot.settings import DovecotSettings
from mailboxes.dovecot.sharing import SharedMailbox, write_sharing

__all__ = ["dovecot_settings", "mailboxes_in_force", "refresh_logins"]

_TURN_SECONDS = 0.02


def dovecot_settings(settings: Settings) -> DovecotSettings:
    """The private mailbox server of an embedded deployment."""
    return DovecotSettings(
        home=settings.mailboxes.home,
        certificate=settings.pki.tls_certificate,
        key=settings.pki.tls_key,
        hostname=settings.hostname,
        bind=settings.imap.bind,
        starttls_port=settings.imap.starttls_port,
        tls_port=settings.imap.tls_port,
        managesieve_port=settings.imap.managesieve_port,
        user=settings.mailboxes.user,
    )


async def refresh_logins(store: Store, settings: Settings) -> None:
    """Let the private mailbox server, where there is one, know the accounts as they are now and who may read
    whose folders; it rereads that at the next login.

    One at a time, in all processes: else one that read before a withdrawal could write after it, and open
    again for an instant what was closed.
    """
    if not settings.mailboxes.embedded:
        return
    dovecot = dovecot_settings(settings)
    while (turn := await asyncio.to_thread(take_turn, dovecot)) is None:  # noqa: ASYNC110 - other processes
        await asyncio.sleep(_TURN_SECONDS)
    try:
        await asyncio.to_thread(_write_mailboxes, dovecot, *await mailboxes_in_force(store))
    finally:
        os.close(turn)


def _write_mailboxes(
    settings: DovecotSettings, logins: tuple[MailboxLogin, ...], shared: tuple[SharedMailbox, ...]
) -> None:
    write_logins(settings, logins)
    write_sharing(settings, [login.address for login in logins], shared)


async def mailboxes_in_force(store: Store) -> tuple[tuple[MailboxLogin, ...], tuple[SharedMailbox, ...]]:
    """Who may log in, and whose folders they read besides their own: those whom they may act for."""
    async with store.reading() as tx:
        found = await tx.accounts.logins()
        rights = await tx.delegations.rights()
        common = await tx.delegations.all_in_common()
    logins = tuple(MailboxLogin(address, stored, active) for address, stored, active in found if stored)
    known = {login.address for login in logins}
    shared = (
        SharedMailbox(principal, frozenset(readers & known), principal in common)
        for principal, readers in rights.delegates.items()
        if principal in known
    )
    return logins, tuple(sorted(shared, key=lambda mailbox: mailbox.owner))
