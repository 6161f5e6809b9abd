"""Two operators that both run the gateway, and a third one of the same trust space that only sends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from certs.tls import submission_client_context
from config import Settings
from gateway import CONFIGURATION
from gateway.services import Services
from gateway.store import AuditRow
from teleexpertise.mirrors import Mirror, fold_mirror
from tests.support import region
from tests.support.deployment import Deployment
from tests.support.dovecot import free_port
from tests.support.gateway import Client, TestGateway, eventually
from tests.support.operators import (
    know_dkim_keys,
    made_operator,
    operator_session,
    operators_folder,
    own_certificate,
    resident,
    write_list,
)

HERE, THERE, THIRD = region.DOMAIN, "voisin.mssante.example", "tiers.mssante.example"


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The gateway of the one who asks, and that of the expert; ``third`` runs none of them."""

    here: TestGateway
    there: TestGateway
    third: Settings

    @property
    def doctor(self) -> Client:
        """Who asks; there she has no account."""
        return self.here.client(region.GP)

    @property
    def expert(self) -> Client:
        """Who is asked."""
        return self.there.client(resident(region.DERMATOLOGIST, THERE))

    @property
    def colleague(self) -> Client:
        """Another account beside the expert's."""
        return self.there.client(resident(region.CARDIOLOGIST, THERE))

    def counts(self) -> list[int]:
        """How many mails everybody has who takes part, and how many the gateways keep."""
        readers = (self.doctor, self.expert, self.colleague)
        mails = [len(client.mails(folder)) for client in readers for folder in ("INBOX", "Téléexpertises")]
        return [*mails, *(gateway.ask(_outbox_size) for gateway in (self.here, self.there))]

    def quiet(self) -> list[int]:
        """The counts once nothing moves any more: two looks alike with empty queues on both sides."""

        def look() -> list[int] | None:
            before = self.counts()
            self.here.settled()
            self.there.settled()
            return before if before == self.counts() else None

        return eventually(look, "quiet on both sides")


async def _outbox_size(services: Services) -> int:
    async with services.store.reading() as tx:
        return sum((await tx.outbox.counts()).values())


def mirror(gateway: TestGateway, ref: str, holder: str) -> Mirror | None:
    """What a gateway's own record says of a conversation that another one holds."""

    async def read(services: Services) -> Mirror | None:
        async with services.store.reading() as tx:
            found = await tx.mirrors.by_ref(ref, holder)
            return fold_mirror(found[0], holder, await tx.mirrors.events(found[0])) if found else None

    return gateway.ask(read)  # type: ignore[no-any-return]


def held(gateway: TestGateway, ref: str) -> tuple[UUID, str, int]:
    """Identifier, state and last number of a conversation at its holder."""

    async def read(services: Services) -> tuple[UUID, str, int]:
        async with services.store.reading() as tx:
            row = await tx.conversations.by_ref(ref)
        assert row is not None
        return row.id, row.projection.state, row.next_seq - 1

    return gateway.ask(read)  # type: ignore[no-any-return]


def disbelieved(gateway: TestGateway) -> list[AuditRow]:
    """The lines of the audit trail about X-TLE fields that were not believed."""

    async def read(services: Services) -> list[AuditRow]:
        async with services.store.reading() as tx:
            return [line for line in await tx.audit.list(limit=100_000) if line.action == "disbelieve"]

    return gateway.ask(read)  # type: ignore[no-any-return]


def inject(
    gateway: TestGateway, sender: Settings, mail_from: str, recipients: Sequence[str], raw: bytes
) -> None:
    """Hand octets to a gateway's door for operators, under the certificate of another one."""
    with operator_session(gateway.mx_port, own_certificate(sender).client_tls) as smtp:
        smtp.sendmail(mail_from, list(recipients), raw)


def deployment(settings: Settings) -> Deployment:
    """The command line of a deployment, which may be served meanwhile."""
    return Deployment(settings, settings.files.mac_key_file.parent / CONFIGURATION)


@contextmanager
def neighbours(**options: Any) -> Iterator[Neighbours]:
    """Both gateways, served; ``options`` as for ``made_operator``."""
    with operators_folder() as folder, ExitStack() as stack:
        domains = (HERE, THERE, THIRD)
        ports = {domain: free_port() for domain in domains}
        made = {}
        for domain in domains:
            routes = {other: port for other, port in ports.items() if other != domain}
            made[domain] = made_operator(folder / domain, domain, routes, mx_port=ports[domain], **options)
        anchors = [settings.pki.anchors.read_bytes() for settings in made.values()]
        listed = {domain: own_certificate(settings) for domain, settings in made.items()}
        running: dict[str, TestGateway] = {}
        for domain, settings in list(made.items()):
            settings.pki.anchors.write_bytes(b"".join(anchors))
            write_list(settings, listed)
            others = [other for name, other in made.items() if name != domain]
            made[domain] = know_dkim_keys(settings, others)
            if domain != THIRD:
                context = submission_client_context(settings.pki.anchors)
                gateway = TestGateway(made[domain], context)
                gateway.start()
                stack.callback(gateway.stop)
                running[domain] = gateway
        yield Neighbours(running[HERE], running[THERE], made[THIRD])
