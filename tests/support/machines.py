"""Applications with client certificates: a gateway that lets them in, and the certificates of one of them."""

from __future__ import annotations

import asyncio
import imaplib
import shutil
import smtplib
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from certs.authority import Authority, Revocation, create_intermediate, create_root, issue, issue_crl, subject
from certs.bindings import certificate_names
from certs.paths import read_certificates
from certs.pki import DemoPki, load_authority, write_private, write_public
from certs.profiles import ORG_AUTH_CLI, ORG_SIGN, Profile
from certs.tls import submission_client_context
from config import Settings, load
from gateway.bootstrap import open_services
from gateway.logins.passwords import password_hasher
from gateway.services import Services
from gateway.store.people import AccountCertificate
from gateway.trustspace import OperatorTrust, load_trust
from teleexpertise.people import Account, AccountKind
from tests.support import region
from tests.support.dovecot import require_dovecot
from tests.support.gateway import TestGateway, made_deployment

MACHINE = Account(
    address=f"dpi@{region.DOMAIN}", name="DPI CH LE PUY", kind=AccountKind.APPLICATION, finess="430000018"
)
OTHER_MACHINE = Account(
    address=f"imagerie@{region.DOMAIN}", name="Imagerie CH LE PUY", kind=AccountKind.APPLICATION
)


@dataclass(frozen=True, slots=True)
class Card:
    """A certificate with its chain, and its key."""

    certificate: Path
    key: Path

    @property
    def der(self) -> bytes:
        """The certificate itself."""
        return read_certificates(self.certificate.read_bytes())[0]


@dataclass(frozen=True, slots=True)
class MachineGateway:
    """A served gateway with an application, and cards by name; ``folder`` is for more of them."""

    gateway: TestGateway
    folder: Path
    cards: dict[str, Card]

    def tls(self, card: str) -> ssl.SSLContext:
        """A client's context that shows a card; '' shows none."""
        context = submission_client_context(self.gateway.settings.pki.anchors)
        if card:
            context.load_cert_chain(self.cards[card].certificate, self.cards[card].key)
        return context

    def revoke(self, *cards: str) -> None:
        """Put cards on the list of their authority, and let the gateway know it as after a fetch."""
        settings = self.gateway.settings
        pki = DemoPki(settings.pki.anchors.parent)
        _revoke(pki, [self.cards["revoked"], *(self.cards[card] for card in cards)])

        async def read_again(services: Services) -> None:
            trust = services.trust
            assert isinstance(trust, OperatorTrust)
            trust.replace(load_trust(settings, services.clock()).state)

        self.gateway.ask(read_again)

    @property
    def imap_port(self) -> int:
        """IMAP for applications."""
        running = self.gateway.running
        assert running is not None
        assert running.machines_imap_port is not None
        return running.machines_imap_port

    @property
    def smtp_port(self) -> int:
        """Submission for applications."""
        running = self.gateway.running
        assert running is not None
        return running.ports[next(kind for kind in running.ports if kind == "machines")]

    def smtp(self, card: str) -> smtplib.SMTP_SSL:
        """A submission session under TLS. Raises ``OSError`` where TLS refuses."""
        session = smtplib.SMTP_SSL("localhost", self.smtp_port, context=self.tls(card), timeout=30)
        try:
            session.ehlo("dpi.example")
        except BaseException:
            session.close()
            raise
        return session

    def imap(self, card: str) -> imaplib.IMAP4_SSL:
        """An IMAP session under TLS. Raises ``OSError`` or ``IMAP4.error`` where TLS refuses."""
        return imaplib.IMAP4_SSL("localhost", self.imap_port, ssl_context=self.tls(card), timeout=30)


def _card(
    folder: Path, name: str, authority: Authority, common_name: str, profile: Profile, issued: datetime
) -> Card:
    made = issue(
        authority, profile, subject(common_name, "143000001", "CH LE PUY", "Haute-Loire (43)"), issued
    )
    card = Card(folder / f"{name}.pem", folder / f"{name}.key")
    write_public(card.certificate, made.certificate_pem + made.chain_pem)
    write_private(card.key, made.key_pem)
    return card


def _cards(settings: Settings, folder: Path) -> dict[str, Card]:
    now = datetime.now(UTC)
    pki = DemoPki(settings.pki.anchors.parent)
    own = load_authority(pki)
    foreign = create_intermediate(create_root(now, "AUTRE RACINE"), now)
    old = now - timedelta(days=4 * 365)
    cards = {
        "dpi": _card(folder, "dpi", own, "dpi.ch-lepuy.example", ORG_AUTH_CLI, now),
        "renewed": _card(folder, "renewed", own, "dpi.ch-lepuy.example", ORG_AUTH_CLI, now),
        "stranger": _card(folder, "stranger", own, "DPI.ch-lepuy.example", ORG_AUTH_CLI, now),
        "signature": _card(folder, "signature", own, "dpi.ch-lepuy.example", ORG_SIGN, now),
        "revoked": _card(folder, "revoked", own, "dpi.ch-lepuy.example", ORG_AUTH_CLI, now),
        "expired": _card(folder, "expired", own, "dpi.ch-lepuy.example", ORG_AUTH_CLI, old),
        "other root": _card(folder, "foreign", foreign, "dpi.ch-lepuy.example", ORG_AUTH_CLI, now),
    }
    _revoke(pki, [cards["revoked"]])
    return cards


def _revoke(pki: DemoPki, cards: Sequence[Card]) -> None:
    """Write the list of the authority: these cards and no other."""
    now = datetime.now(UTC)
    serials = [x509.load_der_x509_certificate(card.der).serial_number for card in cards]
    revoked = [Revocation(serial, now - timedelta(hours=1)) for serial in serials]
    number = int(now.timestamp())
    write_public(pki.crls[1], issue_crl(load_authority(pki), now, revoked, number=number))


async def _add(settings: Settings, card: Card) -> None:
    names = certificate_names(card.der)
    assert names is not None
    async with open_services(settings) as services, services.store.transaction() as tx:
        now = services.clock()
        for account in (MACHINE, OTHER_MACHINE):
            await tx.accounts.add(account, password_hasher().hash(region.PASSWORD), now)
        await tx.account_certificates.bind(
            AccountCertificate(
                key=names.key,
                address=MACHINE.address,
                issuer=names.issuer,
                subject=names.subject,
                created_at=now,
            )
        )


@contextmanager
def machine_gateway(extra_toml: str = "") -> Iterator[MachineGateway]:
    """A served gateway of the test region with two applications, of which one has a certificate."""
    require_dovecot()
    folder = Path(tempfile.mkdtemp(prefix="tle-test-"))
    folder.chmod(0o755)
    try:
        made_deployment(folder / "var", extra_toml)
        text = (folder / "var" / "gateway.toml").read_text("utf-8")
        for section, more in (("smtp", ""), ("imap", "machines_recheck_s = 1\n")):
            text = text.replace(f"[{section}]\n", f"[{section}]\nmachines_port = 0\n{more}", 1)
        (folder / "var" / "gateway.toml").write_text(text, "utf-8")
        settings = load(folder / "var" / "gateway.toml")
        cards = _cards(settings, folder)
        asyncio.run(_add(settings, cards["dpi"]))
        made = TestGateway(settings, submission_client_context(settings.pki.anchors))
        made.start()
        try:
            yield MachineGateway(made, folder, cards)
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
