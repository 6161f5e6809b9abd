"""Certificates, keys and authorities are renewed while the gateway serves, and no connection ends for it."""

from __future__ import annotations

import hashlib
import imaplib
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from certs.authority import Authority, create_intermediate, create_root, issue, subject
from certs.paths import read_certificates
from certs.pki import DemoPki, load_authority, write_private, write_public
from certs.profiles import ORG_AUTH_CLI, SERV_SSL
from gateway.services import Services
from gateway.store.rows import AuditRow
from gateway.trustspace import OperatorTrust
from tests.support import region
from tests.support.gateway import eventually
from tests.support.machines import Card, MachineGateway, machine_gateway
from tests.support.operators import renew_own_certificates


@dataclass(frozen=True, slots=True)
class Files:
    """What a reload reads, as it was when the gateway was started."""

    served: MachineGateway
    contents: dict[str, bytes]

    @property
    def pki(self) -> DemoPki:
        """Where the files lie."""
        return DemoPki(self.served.gateway.settings.pki.anchors.parent)

    def restore(self) -> None:
        """Put them back and take them up."""
        for name, content in self.contents.items():
            (self.pki.directory / name).write_bytes(content)
        assert reload(self.served)


@pytest.fixture(scope="module")
def served() -> Iterator[MachineGateway]:
    with machine_gateway() as made:
        yield made


@pytest.fixture
def files(served: MachineGateway) -> Iterator[Files]:
    pki = DemoPki(served.gateway.settings.pki.anchors.parent)
    paths = [pki.anchors, pki.intermediates, pki.tls_certificate, pki.tls_key]
    paths += [pki.smime_certificate, pki.smime_key, pki.smime_chain]
    found = Files(served, {path.name: path.read_bytes() for path in paths})
    yield found
    found.restore()


def reload(served: MachineGateway) -> bool:
    running = served.gateway.running
    assert running is not None
    return bool(served.gateway.ask(lambda _: running.reload()))


def shown_by(served: MachineGateway) -> dict[str, bytes]:
    """The certificate at each door; the client does not judge it."""
    gateway = served.gateway
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(served.cards["dpi"].certificate, served.cards["dpi"].key)
    shown = {}
    for name, port in {
        "submissions": gateway.submissions_port,
        "imaps": gateway.imaps_port,
        "machines smtp": served.smtp_port,
        "machines imap": served.imap_port,
    }.items():
        # without a name (SNI), as a client that connects by address
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            context.wrap_socket(plain) as tls,
        ):
            shown[name] = tls.getpeercert(binary_form=True) or b""
    for name, port in {"submission": gateway.submission_port, "mx": gateway.mx_port}.items():
        with smtplib.SMTP("localhost", port, timeout=20) as session:
            session.starttls(context=context)
            assert isinstance(session.sock, ssl.SSLSocket)
            shown[name] = session.sock.getpeercert(binary_form=True) or b""
    return shown


def own_certificate(served: MachineGateway) -> bytes:
    """What the file holds."""
    return read_certificates(served.gateway.settings.pki.tls_certificate.read_bytes())[0]


async def _reloads(services: Services) -> list[AuditRow]:
    async with services.store.reading() as tx:
        return [row for row in await tx.audit.list(limit=100_000) if row.action == "reload"]


def test_renewed_certificates_are_shown_everywhere_and_open_connections_go_on(
    served: MachineGateway, files: Files
) -> None:
    gateway = served.gateway
    before = own_certificate(served)
    assert set(shown_by(served).values()) == {before}
    submitting = smtplib.SMTP("localhost", gateway.submission_port, timeout=30)
    submitting.starttls(context=gateway.tls)
    submitting.login(region.GP.address, region.PASSWORD)
    machine = served.imap("dpi")
    machine.authenticate("EXTERNAL", lambda _: b"")
    with gateway.client(region.NURSE).imap() as reading, submitting:
        assert reading.select("INBOX")[0] == "OK"
        renew_own_certificates(gateway.settings)
        assert reload(served)
        renewed = own_certificate(served)
        assert renewed != before
        eventually(lambda: set(shown_by(served).values()) == {renewed}, "the new certificate at all doors")
        assert reading.noop()[0] == "OK"
        assert machine.select("INBOX")[0] == "OK"
        assert submitting.mail(region.GP.address)[0] == 250
    machine.logout()
    (row,) = gateway.ask(_reloads)[-1:]
    assert (row.result, row.detail["tls"]) == ("done", hashlib.sha256(renewed).hexdigest())


def test_mail_flows_under_the_renewed_certificates(served: MachineGateway, files: Files) -> None:
    gateway = served.gateway
    renew_own_certificates(gateway.settings)
    assert reload(served)
    doctor = gateway.client(region.GP)
    answer = doctor.ask_service("Aide")
    signer = read_certificates(gateway.settings.pki.smime_certificate.read_bytes())[0]

    async def signers(services: Services) -> list[tuple[str, str]]:
        async with services.store.reading() as tx:
            (row,) = await tx.messages.by_mail_id(str(answer["message-id"]))
            raw = await tx.messages.get_raw(row.id)
        assert raw is not None
        report = await services.trust.verify(raw, services.clock())
        return [(str(each.verdict), each.fingerprint) for each in report.signers]

    assert gateway.ask(signers) == [("passed", hashlib.sha256(signer).hexdigest())]


def _other_key(files: Files) -> None:
    files.pki.tls_key.write_bytes(files.served.cards["dpi"].key.read_bytes())


def _garbage(files: Files) -> None:
    files.pki.anchors.write_bytes(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")


def _missing(files: Files) -> None:
    files.pki.smime_key.unlink()


def _expired(files: Files) -> None:
    _own(files, load_authority(files.pki), datetime.now(UTC) - timedelta(days=4 * 365))


def _strange(files: Files) -> None:
    now = datetime.now(UTC)
    _own(files, create_intermediate(create_root(now, "AUTRE RACINE"), now), now)


def _own(files: Files, authority: Authority, now: datetime) -> None:
    name = subject("teleexpertise.example", "143000001", "CH LE PUY", "Haute-Loire (43)")
    made = issue(authority, SERV_SSL, name, now)
    write_public(files.pki.tls_certificate, made.certificate_pem + made.chain_pem)
    write_private(files.pki.tls_key, made.key_pem)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_other_key, "tls.key"),
        (_garbage, "anchors"),
        (_missing, "smime.key"),
        (_expired, "expired"),
        (_strange, "untrusted-issuer"),
    ],
)
def test_files_that_cannot_be_used_leave_the_old_ones_in_force_and_are_told(
    served: MachineGateway, files: Files, spoil: Callable[[Files], None], reason: str
) -> None:
    before = own_certificate(served)
    trust = served.gateway.services.trust
    assert isinstance(trust, OperatorTrust)
    believed, signer = trust.anchors, served.gateway.services.own.signer
    spoil(files)
    assert not reload(served)
    assert set(shown_by(served).values()) == {before}
    assert trust.anchors is believed
    assert served.gateway.services.own.signer is signer
    (row,) = served.gateway.ask(_reloads)[-1:]
    assert row.result == "refused"
    assert reason in row.detail["reason"]


def test_an_authority_is_believed_and_forgotten_without_restart(served: MachineGateway, files: Files) -> None:
    now = datetime.now(UTC)
    root = create_root(now, "RACINE SUIVANTE")
    name = subject("dpi.suivant.example", "143000001", "CH LE PUY", "Haute-Loire (43)")
    made = issue(create_intermediate(root, now), ORG_AUTH_CLI, name, now)
    card = Card(served.folder / "next.pem", served.folder / "next.key")
    write_public(card.certificate, made.certificate_pem + made.chain_pem)
    write_private(card.key, made.key_pem)
    served.cards["next"] = card

    def said() -> str:
        try:
            mailbox = served.imap("next")
        except OSError as error:
            return str(error)
        try:
            mailbox.authenticate("EXTERNAL", lambda _: b"")
        except imaplib.IMAP4.error as error:
            return str(error)
        finally:
            mailbox.shutdown()
        return "opened"

    assert "unknown ca" in said()
    files.pki.anchors.write_bytes(files.contents[files.pki.anchors.name] + root.certificate_pem)
    assert reload(served)
    assert "certificate of nobody here" in said()  # by TLS and path it is somebody
    files.pki.anchors.write_bytes(files.contents[files.pki.anchors.name])
    assert reload(served)
    assert "unknown ca" in said()
