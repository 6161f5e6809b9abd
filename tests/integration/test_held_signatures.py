"""A mail that waits for its author's word is released as it was judged when it came."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from certs.paths import RevocationMode
from certs.signing import load_signer
from certs.smime import sign_complete
from certs.verdicts import Verdict
from gateway.pipeline.holding import revived
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.screening import screen
from gateway.pipeline.stored_letters import believed_letter
from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.trustspace import OperatorTrust
from teleexpertise.letters import Letter
from tests.support import region
from tests.support.deployment import Deployment, deployed, envelope, mail
from tests.support.encryption import holder


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


def test_protected_fields_outlive_the_revocation_lists_of_their_day(deployment: Deployment) -> None:
    issued = holder(deployment.settings, region.GP.address).issued
    signer = load_signer(issued.certificate_pem, issued.key_pem, issued.chain_pem)
    draft = mail(region.GP, region.STRANGER.address, "Vrai").replace("é".encode(), b"e")
    raw = sign_complete(draft, signer, datetime.now(UTC))
    put_in = f"Cc: {region.DERMATOLOGIST.address}\r\n".encode()
    raw = put_in + raw.replace(b"Subject: Vrai", b"Subject: Faux", 1)

    async def work(services: Services) -> tuple[Incoming, Letter | None]:
        incoming = await screen(services, envelope(region.GP, region.STRANGER.address, "B" * 16), raw)
        assert incoming.signature.verdict is Verdict.PASSED
        trust = services.trust
        assert isinstance(trust, OperatorTrust)
        # Lists issued later say nothing of the moment when the mail came.
        anchors = replace(trust.anchors, crls=(), revocation=RevocationMode.REQUIRE)
        async with services.store.transaction() as tx:
            unit = Unit(services, tx, incoming.received_at)
            row = await unit.store(incoming)
            trust.replace(replace(trust.state, anchors=anchors, paths=type(trust.state.paths)()))
            return await revived(unit, row.id), await believed_letter(services, tx, row.id)

    again, believed = deployment.work(work)
    assert believed is not None
    for letter in (again.letter, believed):
        assert letter.subject == "Vrai"
        assert letter.cc == ()
    assert again.signature.verdict is Verdict.PASSED
