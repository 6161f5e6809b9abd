"""What the doors say to an operator at MAIL, by its certificate, the list and what is known revoked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from certs.authority import Revocation, issue_crl
from certs.crls import crl_facts
from certs.operators import TrustEntry, read_trust_list, render_trust_list
from certs.paths import RevocationMode, read_certificates
from certs.pki import DemoPki, load_authority
from certs.tls import peer_name
from gateway.pipeline.doors import GatewayDoors
from gateway.services import Services
from gateway.smtp.envelope import Peer, PeerKind
from gateway.smtp.refusals import Refusal
from gateway.trust.crlfiles import with_crls
from gateway.trustspace import OperatorTrust, TrustState
from tests.support import region
from tests.support.certificates import certificate
from tests.support.deployment import Deployment, deployed

PARTNER = "partenaire.mssante.example"


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


def chain(services: Services) -> tuple[bytes, ...]:
    """The certificate of this deployment and its intermediate: here a partner shows them."""
    return read_certificates(services.settings.pki.tls_certificate.read_bytes())


def peer(services: Services, shown: tuple[bytes, ...] | None = None) -> Peer:
    found = chain(services) if shown is None else shown
    return Peer(
        kind=PeerKind.OPERATOR, ip="192.0.2.9", certificate=found[0] if found else None, chain=found[1:]
    )


def trusting(
    services: Services, change: Callable[[TrustState], TrustState] = lambda state: state
) -> Services:
    """The same services; the partner's domain is listed with the certificate, then ``change``."""
    name = peer_name(chain(services)[0])
    assert name is not None
    listed = read_trust_list(render_trust_list([TrustEntry(PARTNER, name)], datetime.now(UTC)))
    assert isinstance(services.trust, OperatorTrust)
    state = replace(services.trust.state, operators=listed)
    return replace(services, trust=OperatorTrust(change(state)))


def stale(state: TrustState) -> TrustState:
    old = datetime.now(UTC) - state.maximum_age - timedelta(hours=1)
    return replace(state, operators=replace(state.operators, generated=old))


def without_crls(state: TrustState) -> TrustState:
    anchors = replace(with_crls(state.anchors, ()), revocation=RevocationMode.REQUIRE)
    return replace(state, anchors=anchors)


def required(state: TrustState) -> TrustState:
    return replace(state, anchors=replace(state.anchors, revocation=RevocationMode.REQUIRE))


async def answer(services: Services, mail_from: str, shown: Peer) -> str:
    try:
        await GatewayDoors(services).check_sender(shown, mail_from, 0)
    except Refusal as refusal:
        return f"{refusal.code} {refusal.enhanced}"
    return "250"


@pytest.mark.parametrize(
    ("change", "mail_from", "expected"),
    [
        (required, f"a@{PARTNER}", "250"),
        (required, f"a@{PARTNER.upper()}", "250"),
        (required, "", "250"),
        (required, "a@autre.mssante.example", "550 5.7.1"),
        (required, f"a@sous.{PARTNER}", "550 5.7.1"),
        (required, region.GP.address, "550 5.7.1"),
        (required, "a", "550 5.7.1"),
        (without_crls, f"a@{PARTNER}", "454 4.7.0"),
        (without_crls, "", "454 4.7.0"),
        (stale, f"a@{PARTNER}", "451 4.7.1"),
        (stale, "", "451 4.7.1"),
    ],
)
def test_the_answer_at_mail(
    deployment: Deployment, change: Callable[[TrustState], TrustState], mail_from: str, expected: str
) -> None:
    async def work(services: Services) -> str:
        return await answer(trusting(services, change), mail_from, peer(services))

    assert deployment.work(work) == expected


@pytest.mark.parametrize("mail_from", [f"a@{PARTNER}", ""])
@pytest.mark.parametrize(
    "shown",
    [
        (),
        (b"garbage",),
        read_certificates(certificate(which="AUTRE").certificate_pem),
    ],
    ids=["none", "garbage", "another root"],
)
def test_what_tls_should_have_refused_is_refused_again(
    deployment: Deployment, shown: tuple[bytes, ...], mail_from: str
) -> None:
    async def work(services: Services) -> str:
        return await answer(trusting(services, required), mail_from, peer(services, shown))

    assert deployment.work(work) == "554 5.7.1"


def test_a_verdict_is_found_once_and_not_kept_beyond_the_lists_it_rests_on(deployment: Deployment) -> None:
    async def work(services: Services) -> list[str]:
        changed = trusting(services, required)
        assert isinstance(changed.trust, OperatorTrust)
        found = [await answer(changed, f"a@{PARTNER}", peer(services)) for _ in range(3)]
        assert len(changed.trust.state.paths) == 1
        authority = load_authority(DemoPki(services.settings.pki.anchors.parent))
        serial = x509.load_der_x509_certificate(chain(services)[0]).serial_number
        lines = [Revocation(serial, datetime.now(UTC))]
        crl = crl_facts(issue_crl(authority, datetime.now(UTC) + timedelta(minutes=1), lines))
        before = changed.trust.state
        revoking = replace(
            before.anchors, crls=(*before.anchors.crls, *with_crls(before.anchors, (crl,)).crls)
        )
        changed.trust.replace(replace(before, anchors=revoking, paths=type(before.paths)()))
        found.append(await answer(changed, f"a@{PARTNER}", peer(services)))
        changed.trust.replace(before)  # a verdict of then still counts for the lists of then
        found.append(await answer(changed, f"a@{PARTNER}", peer(services)))
        return found

    assert deployment.work(work) == ["250", "250", "250", "554 5.7.1", "250"]


def test_a_list_that_is_too_old_cannot_tell_a_user_that_an_address_is_outside(deployment: Deployment) -> None:
    async def work(services: Services) -> list[str]:
        user = Peer(kind=PeerKind.USER, ip="192.0.2.7", login=region.GP.address)
        found = []
        for change in (required, stale):
            for domain in (PARTNER, "ailleurs.example"):
                doors = GatewayDoors(trusting(services, change))
                try:
                    await doors.check_recipient(user, region.GP.address, f"a@{domain}")
                    found.append("250")
                except Refusal as refusal:
                    found.append(f"{refusal.code} {refusal.enhanced}")
        return found

    assert deployment.work(work) == ["250", "550 5.7.1", "250", "451 4.7.1"]


def test_a_scanner_fills_no_audit_trail(deployment: Deployment) -> None:
    async def work(services: Services) -> int:
        doors = GatewayDoors(services)
        scanner = Peer(kind=PeerKind.OPERATOR, ip="198.51.100.7", helo="x" * 500)
        for _ in range(50):
            await doors.turned_away(scanner, "tls: peer did not return a certificate")
        async with services.store.reading() as tx:
            lines = [row for row in await tx.audit.list() if row.actor == "198.51.100.7"]
        assert all(len(str(line.detail)) < 500 for line in lines)
        return len(lines)

    assert deployment.work(work) == 5


def test_a_peer_that_shows_ever_new_certificates_fills_no_memory(deployment: Deployment) -> None:
    async def work(services: Services) -> int:
        changed = trusting(services, required)
        assert isinstance(changed.trust, OperatorTrust)
        for number in range(1100):
            shown = (b"garbage %d" % number,)
            assert await changed.trust.client_refusal(shown[0], (), datetime.now(UTC)) is not None
        return len(changed.trust.state.paths)

    assert deployment.work(work) == 0
