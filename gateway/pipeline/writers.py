"""In whose name a user may write at this moment: asked anew at each command, since rights are withdrawn while
sessions last.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.logins.machines import Machines
from gateway.pipeline.refusing import refused
from gateway.services import Services
from gateway.smtp.envelope import Peer
from gateway.smtp.refusals import PolicyRefused, TemporaryFailure
from teleexpertise.people import Account
from teleexpertise.texts.contexts import RefusalReason

__all__ = ["require_writer"]


async def require_writer(services: Services, peer: Peer, names: Iterable[str]) -> Account:
    """The account that is logged in, if it may write in each of these names ('' is nobody's: ``<>``).

    It must not be suspended, and neither must be whom it writes for; an application's certificate must still
    hold and open it. Raises ``Refusal``.
    """
    async with services.store.reading() as tx:
        account = await tx.accounts.get(peer.login)
        if account is None or not account.active:
            raise PolicyRefused("Account suspended", code=535, enhanced="5.7.8")
        for name in {name.lower() for name in names if name} - {account.address}:
            if not await tx.delegations.allows(name, account.address):
                raise refused(services, RefusalReason.MAY_NOT_ACT, name)
    if peer.certificate is not None:
        machines = Machines(services.trust, services.store, services.clock)
        again = await machines.login(peer.certificate, peer.chain, account.address)
        if again.temporary:
            raise TemporaryFailure("Certificate cannot be judged now", code=454, enhanced="4.7.0")
        if not again.account:
            raise PolicyRefused(f"Not accepted: {again.reason}", code=535, enhanced="5.7.8")
    return account
