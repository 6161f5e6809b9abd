"""Letting the mailbox server know who may read whose folders now, before anybody is told that it is so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.store.rows import OutboxRow
from gateway.workers.failure import ActionFailed
from gateway.workers.subscriptions import SubscriptionWork
from mailboxes.dovecot.server import DovecotServer
from mailboxes.errors import MailboxError
from teleexpertise.commands import Export, Preferences, Worklist
from teleexpertise.letters import Mailbox
from teleexpertise.texts import Link
from teleexpertise.texts.acting_contexts import DelegatesSaved, DelegateTold

__all__ = ["REREAD_SECONDS", "SharingWork"]

#: A session that began just before the change read the old rights, and may not be known to Dovecot yet: after
#: this time it is, so that it is ended like those before it.
REREAD_SECONDS = 1.1

#: How long a confirmation waits for the folders to be in the delegates' mail programs.
_SUBSCRIBE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SharingWork:
    """Performs ``share``. ``refresh`` writes the rights of all mailboxes as they are now, ``subscriptions``
    brings the folders into mail programs that show subscribed ones alone.
    """

    services: Services
    refresh: Callable[[], Awaitable[None]]
    dovecot: DovecotServer
    subscriptions: SubscriptionWork

    async def share(self, row: OutboxRow) -> None:
        """Write the rights, end the sessions of those who lost any, then confirm and tell the delegates.

        Repeated after a failure, all of it is done again, which changes nothing.
        """
        payload = row.payload
        try:
            await self.refresh()
            await self._end_sessions(payload["ended"])
            await self.subscriptions.follow(
                _SUBSCRIBE_SECONDS, (str(payload["principal"]),), payload.get("lost", payload["ended"])
            )
        except (MailboxError, OSError) as error:
            raise ActionFailed("4.3.0", type(error).__name__, permanent=False) from error
        async with self.services.store.transaction() as tx:
            unit = Unit(self.services, tx, self.services.clock(), cause=row.message_id)
            await unit.audit(
                row.recipient or "gateway",
                "delegation share",
                payload["principal"],
                "done",
                ended=len(payload["ended"]),
            )
            await self._tell(unit, row)
            await tx.outbox.done(row, unit.now)

    async def _end_sessions(self, addresses: Sequence[str]) -> None:
        """End the sessions of who lost a right, the subscriptions first where that is done in time: a mail
        program comes back at once, and would show the names of folders that it cannot open.
        """
        if not addresses:
            return
        await asyncio.gather(asyncio.sleep(REREAD_SECONDS), self.subscriptions.follow(REREAD_SECONDS))
        for address in addresses:
            await self.dovecot.end_sessions(address)

    async def _tell(self, unit: Unit, row: OutboxRow) -> None:
        """The confirmation to the author, the news to the account itself where somebody else changed it, and
        a line to each who was named or withdrawn.
        """
        payload = row.payload
        names = payload["names"]
        shown = {address: f"{name} ({address})" for address, name in names.items()}
        principal = shown[payload["principal"]]
        saved = DelegatesSaved(
            principal=principal,
            added=tuple(shown[address] for address in payload["added"]),
            removed=tuple(shown[address] for address in payload["removed"]),
            still=tuple(shown[address] for address in payload["still"]),
            delegates=tuple(shown[address] for address in payload["delegates"]),
            common=payload["common"],
        )
        if row.recipient:  # nobody where an operator did it at the command line, who is told there
            to = Mailbox(row.recipient, payload["name"])
            await unit.answer(saved, to, in_reply_to=str(payload["in_reply_to"]))
        address = str(payload["principal"])
        account = await unit.account(address)
        is_there = account is not None and account.active
        if is_there and address != row.recipient and (saved.added or saved.removed):
            news = replace(saved, told=True, by=str(payload["name"]))
            await unit.answer(news, Mailbox(address, names[address]))
        for given in (True, False):
            for address in payload["added"] if given else payload["removed"]:
                told = DelegateTold(
                    principal=principal,
                    by=str(payload["name"]),
                    given=given,
                    still=address in payload["still"],
                    common=payload["common"],
                    links=self._for_a_delegate(str(payload["principal"])) if given else (),
                )
                if address != row.recipient:
                    await unit.answer(told, Mailbox(address, names[address]))

    def _for_a_delegate(self, principal: str) -> tuple[Link, ...]:
        """What a new delegate can do for an account at once."""
        links = self.services.links
        return (
            links.to(Worklist(), "worklist_all"),
            links.to(Preferences(principal), "preferences_of"),
            links.to(Export(account=principal), "export_of"),
        )
