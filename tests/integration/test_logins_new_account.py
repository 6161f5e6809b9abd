"""An account that was added a moment ago gets its mail: Dovecot reads its list of logins once in a second."""

from __future__ import annotations

from functools import partial

from gateway.logins.passwords import password_hasher
from gateway.mailserver import refresh_logins
from gateway.services import Services
from teleexpertise.people import Account
from tests.support import region
from tests.support.gateway import TestGateway


def test_mail_sent_at_the_moment_of_its_addition_reaches_a_new_account(served: TestGateway) -> None:
    new = [Account(address=f"nouveau{n}@{region.DOMAIN}", name=f"Dr Nouveau N{n}") for n in range(5)]
    sender = served.client(region.GP)

    async def add(account: Account, services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.accounts.add(account, password_hasher().hash(region.PASSWORD), services.clock())
        await refresh_logins(services.store, services.settings)

    for account in new:
        with sender.imap():
            pass  # a login: the list was looked at in this second
        served.ask(partial(add, account))
        sender.send(sender.compose(account.address, "Bienvenue"))
    served.settled()  # a login, too, opens an account only once Dovecot has looked again
    for account in new:
        served.client(account).wait("Bienvenue")
