"""Another operator's Postfix that shows certificates which must not be believed, in both directions.

Every certificate but the stranger's carries the very name that the trust list holds: only the certificate
itself, or the way TLS is spoken, decides.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from socket import create_server

from cryptography import x509

from certs.authority import (
    Authority,
    Revocation,
    SubjectNames,
    create_intermediate,
    create_root,
    issue_crl,
    subject,
)
from certs.authority import issue as issue_certificate
from certs.pki import DemoPki, load_authority, write_private, write_public
from certs.profiles import ORG_AUTH_CLI, ORG_SIGN, SERV_SSL, Profile
from certs.tls import submission_client_context
from config import Settings
from tests.support.dovecot import free_port
from tests.support.gateway import TestGateway
from tests.support.operators import (
    OperatorCertificate,
    issued_certificate,
    made_operator,
    operators_folder,
    own_certificate,
    write_list,
)
from tests.support.postfix import AUTRE, Operators, Postfix, require_postfix, served_postfix
from tests.support.region import DOMAIN as OURS

HOST = f"mx.{AUTRE}"


class Way(StrEnum):
    """What is wrong with the other side."""

    STRANGER = "stranger"
    """Another operator's certificate: good, but listed for another domain."""
    EXPIRED = "expired"
    REVOKED = "revoked"
    OTHER_ROOT = "other-root"
    SELF_SIGNED = "self-signed"
    WRONG_USAGE = "wrong-usage"
    """A certificate for signing mail (from us: one that is no server's)."""
    NONE = "none"
    """No certificate."""
    CLEAR = "clear"
    """No TLS."""
    TLS_1_1 = "tls11"
    """The right certificate under TLS 1.1, for which OpenSSL must be talked out of its security level."""

    @property
    def domain(self) -> str:
        """The foreign domain whose host is wrong in this way."""
        return f"{self}.mssante.example"


def _made(folder: Path, way: str, issued: tuple[bytes, bytes], anchors: Path) -> OperatorCertificate:
    certificate, key = folder / f"{way}.pem", folder / f"{way}.key"
    write_public(certificate, issued[0])
    write_private(key, issued[1])
    return OperatorCertificate(certificate, key, anchors)


def _issued(authority: Authority, profile: Profile, now: datetime, host: str = HOST) -> tuple[bytes, bytes]:
    name = subject(host, "300000000000042", "AUTRE OPERATEUR DE TEST", "Loire (42)")
    made = issue_certificate(authority, profile, name, now, SubjectNames(hosts=(host, "localhost")))
    return made.certificate_pem + made.chain_pem, made.key_pem


def _self_signed(folder: Path) -> tuple[bytes, bytes]:
    certificate, key = folder / "self.crt", folder / "self.key"
    name = f"/C=FR/ST=Loire (42)/O=AUTRE OPERATEUR DE TEST/OU=300000000000042/CN={HOST}"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", name]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True, timeout=60
    )
    return certificate.read_bytes(), key.read_bytes()


def revoke(settings: Settings, certificate: OperatorCertificate, number: int = 2, minutes: int = 1) -> None:
    """Put a certificate on the revocation list of the test authority, where an operator would put it."""
    serial = x509.load_pem_x509_certificate(certificate.certificate.read_bytes()).serial_number
    now = datetime.now(UTC)
    authority = load_authority(DemoPki(settings.pki.anchors.parent))
    lines = [Revocation(serial, now - timedelta(hours=1))]
    # Ahead of the list it replaces, so that it is the newer one.
    crl = issue_crl(authority, now + timedelta(minutes=minutes), lines, number)
    write_public(settings.pki.crls / "ORG-TEST.crl", crl)


def impostors(settings: Settings, folder: Path) -> dict[Way, OperatorCertificate]:
    """A certificate for each way that has one."""
    now = datetime.now(UTC)
    ours = load_authority(DemoPki(settings.pki.anchors.parent))
    root = create_root(now, "AUTRE RACINE")
    theirs = create_intermediate(root, now, "AUTRE ORGANISATIONS")
    made = {
        Way.STRANGER: _issued(ours, SERV_SSL, now, "mx.tiers.mssante.example"),
        Way.EXPIRED: _issued(ours, SERV_SSL, now - timedelta(days=4 * 365)),
        Way.REVOKED: _issued(ours, SERV_SSL, now),
        Way.OTHER_ROOT: _issued(theirs, SERV_SSL, now),
        Way.SELF_SIGNED: _self_signed(folder),
        Way.WRONG_USAGE: _issued(ours, ORG_SIGN, now),
    }
    found = {way: _made(folder, way, each, settings.pki.anchors) for way, each in made.items()}
    revoke(settings, found[Way.REVOKED])
    return found


def client_only(settings: Settings, folder: Path) -> OperatorCertificate:
    """A good certificate of the listed name that is for clients only."""
    ours = load_authority(DemoPki(settings.pki.anchors.parent))
    issued = _issued(ours, ORG_AUTH_CLI, datetime.now(UTC))
    return _made(folder, "client-only", issued, settings.pki.anchors)


@dataclass(frozen=True, slots=True)
class Hostile:
    """Our gateway, which requires revocation lists, and a Postfix that is wrong in every way at once."""

    both: Operators
    certificates: dict[Way, OperatorCertificate]

    def address(self, way: Way) -> str:
        """An address in our domain; Postfix sends to it the wrong way."""
        return f"{way}@{OURS}"


def _services(certificates: dict[Way, OperatorCertificate], ports: dict[Way, int]) -> str:
    """Lines of master.cf: a client and a server for each way."""
    lines = []
    for way in Way:
        client, server = [], []
        if way in certificates:
            files = certificates[way]
            client = [f"-o smtp_tls_cert_file={files.certificate}", f"-o smtp_tls_key_file={files.key}"]
            server = [f"-o smtpd_tls_cert_file={files.certificate}", f"-o smtpd_tls_key_file={files.key}"]
        elif way is Way.NONE:
            client = ["-o smtp_tls_cert_file=", "-o smtp_tls_key_file="]
        elif way is Way.TLS_1_1:
            old = "_mandatory_protocols=TLSv1.1 -o {0}_tls_mandatory_ciphers=low"
            weak = "-o tls_low_cipherlist=ALL:@SECLEVEL=0"
            client, server = ([f"-o {end}_tls{old.format(end)} {weak}"] for end in ("smtp", "smtpd"))
        else:
            client = ["-o smtp_tls_security_level=none"]
            server = ["-o smtpd_tls_security_level=none -o smtpd_tls_ask_ccert=no -o smtpd_tls_req_ccert=no"]
        lines.append(f"smtp-{way} unix - - n - - smtp {' '.join(client)}")
        if server:
            lines.append(f"127.0.0.1:{ports[way]} inet n - n - - smtpd {' '.join(server)}")
    return "\n".join(lines) + "\n"


@contextmanager
def hostile_operators() -> Iterator[Hostile]:
    """Both of them at work; nothing stays."""
    require_postfix()
    with ExitStack() as stack:
        folder = stack.enter_context(operators_folder())
        ports = {way: free_port() for way in Way}
        mx_port = free_port()
        routes = {AUTRE: mx_port, **{way.domain: ports[way] for way in Way}}
        # Who accepts and says nothing: every test here also shows that mail does not wait for it.
        silent = stack.enter_context(create_server(("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/organisations.crl"
        more = f'[pki]\nrevocation = "require"\ncrl_urls = ["{url}"]'
        settings = made_operator(folder / "var", OURS, routes, more=more)
        theirs = issued_certificate(settings, folder, HOST)
        made = impostors(settings, folder)
        served = {**made, Way.WRONG_USAGE: client_only(settings, folder)}
        listed = {OURS: own_certificate(settings), AUTRE: theirs}
        listed |= {way.domain: theirs for way in Way}
        listed["tiers.mssante.example"] = made[Way.STRANGER]
        write_list(settings, listed)
        gateway = TestGateway(settings, submission_client_context(settings.pki.anchors))
        gateway.start()
        try:
            lines = _services(made, ports)
            wrong = served[Way.WRONG_USAGE]
            usual = made[Way.WRONG_USAGE]
            lines = lines.replace(
                f"smtpd_tls_cert_file={usual.certificate}", f"smtpd_tls_cert_file={wrong.certificate}"
            )
            lines = lines.replace(f"smtpd_tls_key_file={usual.key}", f"smtpd_tls_key_file={wrong.key}")
            postfix = Postfix(folder / "pf", AUTRE, mx_port, free_port(), free_port(), theirs, lines)
            back: dict[str, int | str] = {OURS: gateway.mx_port}
            back |= {f"{way}@{OURS}": f"smtp-{way}:[127.0.0.1]:{gateway.mx_port}" for way in Way}
            with served_postfix(postfix, [AUTRE, *(way.domain for way in Way)], back):
                yield Hostile(Operators(gateway, postfix), made)
        finally:
            gateway.stop()
