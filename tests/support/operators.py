"""Several operators in one trust space: deployments of ours, the certificates and the list they share."""

from __future__ import annotations

import asyncio
import shutil
import smtplib
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from certs.authority import SubjectNames, issue, subject
from certs.dkim import load_dkim_signer, render_key_record
from certs.names import DistinguishedName
from certs.operators import TrustEntry, render_trust_list
from certs.paths import read_certificates
from certs.pki import DemoPki, create_demo_pki, load_authority, write_private, write_public
from certs.profiles import SERV_SSL
from certs.tls import mx_client_context, peer_name
from config import Settings, load
from gateway import CONFIGURATION
from gateway.bootstrap import open_services
from gateway.deployment import NewDeployment, make_deployment
from gateway.logins.passwords import password_hasher
from teleexpertise.people import Account
from tests.support import region
from tests.support.dovecot import free_port, require_dovecot
from tests.support.gateway import Client, text_of
from tests.support.threads import Thread, answered, attach, photo, reference_in, request_values


@dataclass(frozen=True, slots=True)
class OperatorCertificate:
    """Certificate (with its chain) and key of one operator, and the root that all believe."""

    certificate: Path
    key: Path
    anchors: Path

    @property
    def name(self) -> DistinguishedName:
        """The name that the trust list knows it by."""
        name = peer_name(read_certificates(self.certificate.read_bytes())[0])
        assert name is not None
        return name

    @property
    def client_tls(self) -> ssl.SSLContext:
        """A context that shows this certificate."""
        return mx_client_context(self.certificate, self.key, self.anchors)


def own_certificate(settings: Settings) -> OperatorCertificate:
    """The certificate of a deployment of ours."""
    return OperatorCertificate(settings.pki.tls_certificate, settings.pki.tls_key, settings.pki.anchors)


def renew_own_certificates(settings: Settings) -> None:
    """Write new certificates with new keys under the same names, as an operator does before they end."""
    pki = DemoPki(settings.pki.anchors.parent)
    for path in (pki.tls_certificate, pki.tls_key, pki.smime_certificate, pki.smime_key):
        path.unlink()
    hosts = (settings.hostname, "localhost", "127.0.0.1")
    create_demo_pki(
        pki.directory, settings.service.domain, settings.service_address, hosts, datetime.now(UTC)
    )


def issued_certificate(settings: Settings, folder: Path, host: str) -> OperatorCertificate:
    """A certificate for another operator's ``host`` from the test authority of a deployment."""
    authority = load_authority(DemoPki(settings.pki.anchors.parent))
    name = subject(host, "300000000000042", "AUTRE OPERATEUR DE TEST", "Loire (42)")
    names = SubjectNames(hosts=(host, "localhost", "127.0.0.1"))
    issued = issue(authority, SERV_SSL, name, datetime.now(UTC), names)
    certificate, key = folder / f"{host}.pem", folder / f"{host}.key"
    write_public(certificate, issued.certificate_pem + issued.chain_pem)
    write_private(key, issued.key_pem)
    return OperatorCertificate(certificate, key, settings.pki.anchors)


def write_list(settings: Settings, operators: Mapping[str, OperatorCertificate]) -> None:
    """Write the trust list of a deployment: domain -> certificate of its operator."""
    entries = [TrustEntry(domain, certificate.name) for domain, certificate in operators.items()]
    write_public(settings.trust.list_file, render_trust_list(entries, datetime.now(UTC)))


def resident(account: Account, domain: str) -> Account:
    """The same person with an account in another domain."""
    return replace(account, address=f"{account.address.partition('@')[0]}@{domain}")


async def _fill(settings: Settings) -> None:
    domain = settings.service.domain
    hash_ = password_hasher().hash(region.PASSWORD)
    async with open_services(settings) as services, services.store.transaction() as tx:
        for account in region.ACCOUNTS:
            await tx.accounts.add(resident(account, domain), hash_, services.clock())
        for expert in region.EXPERTS:
            await tx.experts.put(replace(expert, account=resident(expert.account, domain)))
        for names in region.DELEGATIONS:
            principal, delegate = (f"{name.partition('@')[0]}@{domain}" for name in names)
            await tx.delegations.grant(principal, delegate, services.clock())


def made_operator(
    folder: Path,
    domain: str,
    routes: Mapping[str, int],
    *,
    mx_port: int = 0,
    retry_minutes: Sequence[int] = (60,),
    more: str = "",
    documents: str = "",
) -> Settings:
    """A deployment with the test region's people in ``domain``; ``routes``: ports of other domains; ``more``:
    further tables of its settings, ``documents`` further lines of that table.
    """
    ports = (
        ("smtp", "mx_port", mx_port),
        ("smtp", "submission_port", 0),
        ("smtp", "submissions_port", 0),
        ("imap", "starttls_port", free_port()),
        ("imap", "tls_port", free_port()),
        ("conversation", "answers_per_hour", 500),
        ("dkim", "dns", False),
    )
    new = NewDeployment(
        folder=folder,
        domain=domain,
        organisation=f"Opérateur {domain}",
        ports=ports,
        finess="430000018",
        practice_setting="ETABLISSEMENT",
        facility_type="SA01",
    )
    settings = make_deployment(new, datetime.now(UTC))
    relay = ["", "[relay]", f"retry_minutes = {list(retry_minutes)}", "[relay.routes]"]
    relay += [f'"{name}" = "127.0.0.1:{port}"' for name, port in routes.items()]
    path = folder / "gateway.toml"
    text = path.read_text("utf-8").replace("[documents]\n", f"[documents]\n{documents}\n")
    path.write_text(text + "\n".join(relay) + f"\n{more}\n", "utf-8")
    settings = make_deployment(new, datetime.now(UTC))
    asyncio.run(_fill(settings))
    return settings


def know_dkim_keys(settings: Settings, others: Iterable[Settings]) -> Settings:
    """The deployment again, with the DKIM keys of others as their DNS would show them."""
    path = settings.files.mac_key_file.parent / CONFIGURATION
    lines = ["", "[dkim.keys]"]
    for other in others:
        (one,) = other.dkim.signing
        signer = load_dkim_signer(other.service.domain, one.selector, one.key.read_bytes())
        place = f"{one.selector}._domainkey.{other.service.domain}"
        lines.append(f'"{place}" = "{render_key_record(signer.record)}"')
    path.write_text(path.read_text("utf-8") + "\n".join(lines) + "\n", "utf-8")
    return load(path)


@contextmanager
def operators_folder() -> Iterator[Path]:
    """A folder that the servers' own accounts can reach, gone afterwards; skips without Dovecot."""
    require_dovecot()
    folder = Path(tempfile.mkdtemp(prefix="tle-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def operator_session(port: int, tls: ssl.SSLContext) -> Iterator[smtplib.SMTP]:
    """An SMTP session at an operator's MX, under TLS with the certificate of ``tls``."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="mx.test", timeout=30) as smtp:
        smtp.starttls(context=tls)
        yield smtp


def opened(asking: Client, asked: Client, service: str, **changes: str) -> Thread:
    """A tele-expertise asked of an expert at ``service`` by form, with one photo, from anywhere."""
    values, picture = request_values(billing="431000034", **changes), photo("photo é.jpg")
    command = asking.compose(service, f"Nouvelle téléexpertise {asked.address}")
    form = asking.answer_to(asking.send(command))
    sent = asking.send(attach(answered(asking, form, values), picture))
    confirmation = asking.answer_to(sent)
    assert "ouverte" in str(confirmation["subject"]), text_of(confirmation)
    return Thread(reference_in(confirmation), asking, asked, sent, confirmation, values, (picture,))
