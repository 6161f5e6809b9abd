"""Delegates named by form and command line, as tests of acting for others do it and look at it."""

from __future__ import annotations

import re
from email.message import EmailMessage

from click.testing import CliRunner, Result

from gateway.cli.root import cli
from gateway.services import Services
from teleexpertise.people import Account
from tests.support.forms import form_of, quoted, typed_into
from tests.support.gateway import Client, TestGateway, text_of, words_of


def command(served: TestGateway, *arguments: str) -> Result:
    """A call of the command line in this process, on the gateway that serves."""
    config = str(served.settings.files.mac_key_file.parent / "gateway.toml")
    return CliRunner().invoke(cli, ["--config", config, *arguments])


def told(served: TestGateway, *arguments: str) -> str:
    """What a call that succeeds prints."""
    result = command(served, *arguments)
    assert result.exit_code == 0, result.output
    # The gateway's own log goes the same way, as it serves in this process.
    lines = result.stdout.splitlines(keepends=True)
    return "".join(line for line in lines if not re.match(r"\d{4}-\d\d-\d\d ", line))


def tidied(served: TestGateway, principal: str, delegate: str) -> None:
    """Take back what a test has set up, without the wait for sessions to end."""

    async def revoke(services: Services) -> None:
        async with services.store.transaction() as tx:
            assert await tx.delegations.revoke(principal, delegate)

    served.ask(revoke)


def filled(form: EmailMessage, untick: str = "", **values: str) -> str:
    """The text of a delegates' form with lines typed and the line of one person unticked."""
    labels = {"add": "Ajouter", "common": "Marques de lecture"}
    text = typed_into(text_of(form), {labels[name]: value for name, value in values.items()})
    lines = [
        line.replace("[x]", "[ ]") if untick and f"({untick})" in line else line for line in text.splitlines()
    ]
    assert not untick or "\n".join(lines) != text
    return quoted("\n".join(lines))


def saved(client: Client, account: Account, untick: str = "", **values: str) -> EmailMessage:
    """The answer to a delegates' form as filled."""
    form = client.ask_service(f"Délégués {account.address}")
    return client.answer_to(client.send(client.reply(form, filled(form, untick, **values))))


def shown(form: EmailMessage) -> set[str]:
    """The addresses that the form lists as delegates."""
    ticked = [line for line in form_of(text_of(form)).splitlines() if line.lstrip().startswith("[x]")]
    return {line.rpartition("(")[2].rstrip(") ") for line in ticked}


def journal(served: TestGateway, target: str) -> list[tuple[str, str, dict[str, object]]]:
    """The audit trail's lines about one account: actor, action, detail."""

    async def lines(services: Services) -> list[tuple[str, str, dict[str, object]]]:
        async with services.store.reading() as tx:
            return [
                (line.actor, line.action, dict(line.detail))
                for line in await tx.audit.list()
                if line.target == target
            ]

    found: list[tuple[str, str, dict[str, object]]] = served.ask(lines)
    return found


def exported(mail: EmailMessage) -> set[str]:
    """Whose activity an export holds, as its mail says."""
    found = re.search(r"Comptes : (.*?) (?:La colonne|Le format CSV|Ce fichier)", words_of(mail))
    assert found is not None
    return set(found[1].split(", "))
