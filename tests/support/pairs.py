"""One conversation between two gateways, with the clients on both sides."""

from __future__ import annotations

from email.message import EmailMessage

from teleexpertise.mirrors import Mirror
from tests.support import region
from tests.support.gateway import Client, TestGateway, eventually
from tests.support.neighbours import held, mirror
from tests.support.operators import opened, resident
from tests.support.threads import answered


class Pair:
    """A conversation that one gateway holds and the other mirrors, with the clients on both sides."""

    def __init__(self, asker: TestGateway, holder: TestGateway) -> None:
        self.asker, self.holder = asker, holder
        self.domain = holder.settings.service.domain
        self.doctor = asker.client(resident(region.GP, asker.settings.service.domain))
        self.secretary = asker.client(resident(region.SECRETARY, asker.settings.service.domain))
        self.expert = holder.client(resident(region.DERMATOLOGIST, self.domain))
        self.thread = opened(self.doctor, self.expert, holder.service)

    @property
    def ref(self) -> str:
        return self.thread.ref

    def mirror(self) -> Mirror:
        found = mirror(self.asker, self.ref, self.domain)
        assert found is not None
        return found

    def alike(self, state: str) -> Mirror:
        """Wait until both records say this state, the keywords of both accounts too."""

        def look() -> Mirror | None:
            self.holder.settled()
            self.asker.settled()
            identifier, theirs, _ = held(self.holder, self.ref)
            ours = mirror(self.asker, self.ref, self.domain)
            same = ours is not None and (str(ours.id), str(ours.state)) == (str(identifier), theirs)
            return ours if same and theirs == state else None

        found = eventually(look, f"{self.ref} {state} at both gateways")
        self.thread.reaches(state)
        assert not found.missing, "every mail that the holder cites is here"
        assert not found.disputed
        return found

    def form(self, client: Client, command: str) -> EmailMessage:
        """A form about this conversation, asked of the service that holds it."""
        return client.answer_to(client.send(client.compose(self.holder.service, f"{command} {self.ref}")))

    def fill(self, client: Client, command: str, **values: str) -> EmailMessage:
        filled = answered(
            client, self.form(client, command), {k.replace("_", " "): v for k, v in values.items()}
        )
        return client.answer_to(client.send(filled))
