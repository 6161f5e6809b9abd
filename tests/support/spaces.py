"""Conversations with encrypted mail: two operators that decrypt, what they keep, what their readers get."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from click.testing import CliRunner
from pypdf import PdfReader

from certs.tls import submission_client_context
from config import load
from gateway.cli.root import cli
from gateway.services import Services
from tests.support import region
from tests.support.dovecot import free_port
from tests.support.encryption import Holder, holder, organisation
from tests.support.gateway import Client, TestGateway, read
from tests.support.operators import made_operator, operators_folder, own_certificate, write_list
from tests.support.threads import Thread, open_thread

HERE, THERE = region.DOMAIN, "voisin.mssante.example"


@dataclass(frozen=True, slots=True)
class Space:
    """Two operators. Both decrypt; where nothing is known of a recipient, `there` sends over TLS."""

    here: TestGateway
    there: TestGateway
    keys: Holder
    old_keys: Holder
    there_keys: Holder

    def person(self, account: Any, **kind: Any) -> Holder:
        """A certificate for an account here."""
        return holder(self.here.settings, account.address, **kind)


@contextmanager
def two_operators() -> Iterator[Space]:
    """Both served; gone afterwards."""
    with operators_folder() as folder, ExitStack() as stack:
        ports = {HERE: free_port(), THERE: free_port()}
        made = {}
        for name, domain in (("here", HERE), ("there", THERE)):
            routes = {other: port for other, port in ports.items() if other != domain}
            made[domain] = made_operator(folder / name, domain, routes, mx_port=ports[domain])
        anchors = b"".join(settings.pki.anchors.read_bytes() for settings in made.values())
        keys, line = organisation(made[HERE])
        old_keys, old_line = organisation(made[HERE], "old")
        there_keys, there_line = organisation(made[THERE])
        listed = {domain: own_certificate(settings) for domain, settings in made.items()}
        toml = {
            HERE: f"decryption = [{line}, {old_line}]",
            THERE: f'decryption = [{there_line}]\nforeign_plain = "tls"',
        }
        running = {}
        for domain, settings in made.items():
            settings.pki.anchors.write_bytes(anchors)
            write_list(settings, listed)
            path = settings.pki.anchors.parent.parent / "gateway.toml"
            path.write_text(path.read_text("utf-8") + f"\n[smime]\n{toml[domain]}\n", "utf-8")
            settings = load(path)
            gateway = TestGateway(settings, submission_client_context(settings.pki.anchors))
            gateway.start()
            stack.callback(gateway.stop)
            running[domain] = gateway
        yield Space(running[HERE], running[THERE], keys, old_keys, there_keys)


def played(space: Space) -> Thread:
    """A conversation of two people here, read by both so far."""
    made = open_thread(space.here, requester=region.GP, expert=region.DERMATOLOGIST)
    made.question(made.expert)
    made.question(made.requester)
    return made


def draft_of(thread: Thread, client: Client | None = None) -> EmailMessage:
    """A reply of the expert (or of another member) to be encrypted."""
    writer = client or thread.expert
    return writer.reply(thread.question(writer), "")


def address_in(mail: EmailMessage, field: str = "to") -> str:
    return str(mail[field].addresses[0].addr_spec)


def sent(thread: Thread, draft: EmailMessage, raw: bytes, client: Client | None = None) -> None:
    (client or thread.expert).send_bytes(raw, [address_in(draft)])


def raw_copy(thread: Thread, reader: Client, draft: EmailMessage) -> bytes:
    thread.copy_of(reader, draft)
    return next(
        raw for raw, _ in thread.raw_seen_by(reader) if read(raw)["message-id"] == draft["message-id"]
    )


async def stored(services: Services, mail_id: str) -> Any:
    async with services.store.reading() as tx:
        rows = await tx.messages.by_mail_id(mail_id)
        return [(row, await tx.messages.get_raw(row.id), await tx.messages.get_clear(row.id)) for row in rows]


def command(gateway: TestGateway, *arguments: str) -> str:
    """What a command prints that is called beside a running gateway, on one line."""
    path = gateway.settings.pki.anchors.parent.parent / "gateway.toml"
    found = CliRunner().invoke(cli, ["--config", str(path), *arguments])
    assert found.exit_code == 0, found.output
    return " ".join(found.stdout.split())


def pdf_text(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(pdf)).pages)
