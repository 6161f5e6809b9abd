"""A real Postfix as another operator: a private instance on free ports of loopback, gone after the tests."""

from __future__ import annotations

import os
import pwd
import signal
import smtplib
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

import pytest

from certs.tls import submission_client_context
from tests.support.dovecot import free_port
from tests.support.gateway import Client, TestGateway, eventually, read
from tests.support.operators import (
    OperatorCertificate,
    issued_certificate,
    made_operator,
    operators_folder,
    own_certificate,
    write_list,
)
from tests.support.region import DOMAIN as OURS

AUTRE = "autre.mssante.example"
#: Who has a mailbox there; whom its listener refuses at once. Anybody else is accepted, then bounced.
PATIENT_INS = "257024319299785"
PEOPLE = ("luc.morel", "ines.garnier", "paul.girard", PATIENT_INS)
UNKNOWN = "inconnu"
MASTER = Path("/usr/lib/postfix/sbin/master")
_QUEUES = "active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace"
_SERVICES = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """The other operator.

    ``mx_port`` wants TLS and a certificate, ``clear_port`` offers no TLS, its own people submit at
    ``user_port`` without any ado.
    """

    folder: Path
    domain: str
    mx_port: int
    clear_port: int
    user_port: int
    credentials: OperatorCertificate
    services: str = ""
    """Further lines of master.cf."""

    @property
    def log(self) -> str:
        """All that it logged."""
        path = self.folder / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def received(self, address: str) -> list[bytes]:
        """The mails in a mailbox as they were stored, oldest first, with CRLF."""
        box = self.folder / "mail" / address
        files = [*box.glob("new/*"), *box.glob("cur/*")]
        files.sort(key=lambda file: (file.stat().st_mtime_ns, file.name))
        return [file.read_bytes().replace(b"\n", b"\r\n") for file in files]

    def queued(self) -> list[str]:
        """Names of the queue files: mails that are not settled yet."""
        found = []
        for queue in ("maildrop", "incoming", "active", "deferred"):
            found += [file.name for file in (self.folder / "queue" / queue).rglob("*") if file.is_file()]
        return found


@dataclass(slots=True)
class ForeignClient(Client):
    """A mail client of somebody at the other operator: sends through Postfix, reads the Maildir."""

    operator: Postfix = field(kw_only=True)

    def send_bytes(self, raw: bytes, recipients: Sequence[str], mail_from: str | None = None) -> None:
        with smtplib.SMTP("127.0.0.1", self.operator.user_port, local_hostname="poste", timeout=30) as smtp:
            smtp.sendmail(self.address if mail_from is None else mail_from, list(recipients), raw)

    def raw_mails(self, folder: str = "INBOX") -> list[tuple[bytes, tuple[str, ...]]]:
        return [(raw, ()) for raw in self.operator.received(self.address)]

    def mails(self, folder: str = "INBOX") -> list[EmailMessage]:
        return [read(raw) for raw, _ in self.raw_mails(folder)]


@dataclass(frozen=True, slots=True)
class Operators:
    """Our gateway and the other operator, each in the other's list."""

    gateway: TestGateway
    postfix: Postfix

    def foreigner(self, name: str, shown: str = "") -> ForeignClient:
        """A person at the other operator."""
        address = f"{name}@{self.postfix.domain}"
        return ForeignClient(address, shown or address, self.gateway, operator=self.postfix)


def require_postfix() -> None:
    """Skip where no Postfix of our own can be run."""
    if not MASTER.exists():
        pytest.skip("Postfix is not installed")
    if os.geteuid() != 0:
        pytest.skip("a Postfix of our own needs root")


def _transport(route: int | str) -> str:
    return route if isinstance(route, str) else f"smtp:[127.0.0.1]:{route}"


def _main_cf(postfix: Postfix, domains: Iterable[str], routes: Mapping[str, int | str]) -> str:
    folder, credentials = postfix.folder, postfix.credentials
    nobody = pwd.getpwnam("nobody")
    own = sorted(domains)
    people = [f"{name}@{domain}" for domain in own for name in PEOPLE]
    settings = {
        "compatibility_level": "3.6",
        "queue_directory": folder / "queue",
        "data_directory": folder / "data",
        "maillog_file": folder / "log",
        "maillog_file_prefixes": folder,
        "myhostname": f"mx.{postfix.domain}",
        # As Debian sets it: reports come from MAILER-DAEMON at a host that no trust list names.
        "myorigin": "$myhostname",
        "mydestination": "",
        "alias_maps": "",
        "local_recipient_maps": "",
        "inet_interfaces": "127.0.0.1",
        "inet_protocols": "ipv4",
        "mynetworks": "",
        "smtpd_peername_lookup": "no",
        "smtp_dns_support_level": "disabled",
        "smtp_host_lookup": "native",
        "biff": "no",
        "virtual_mailbox_domains": " ".join(own),
        # Somebody who is not in it is found out by delivery only, so that Postfix bounces.
        "virtual_mailbox_maps": _inline({address: f"{address}/" for address in people}),
        "virtual_mailbox_base": folder / "mail",
        "virtual_uid_maps": f"static:{nobody.pw_uid}",
        "virtual_gid_maps": f"static:{nobody.pw_gid}",
        "transport_maps": _inline({name: _transport(route) for name, route in routes.items()}),
        "smtp_tls_security_level": "verify",
        "smtp_tls_verify_cert_match": "localhost",
        "smtp_tls_CAfile": credentials.anchors,
        "smtp_tls_cert_file": credentials.certificate,
        "smtp_tls_key_file": credentials.key,
        "smtp_tls_loglevel": "1",
        "smtpd_tls_security_level": "encrypt",
        "smtpd_tls_CAfile": credentials.anchors,
        "smtpd_tls_cert_file": credentials.certificate,
        "smtpd_tls_key_file": credentials.key,
        "smtpd_tls_loglevel": "1",
        "smtpd_tls_ask_ccert": "yes",
        "smtpd_tls_req_ccert": "yes",
        "smtpd_reject_unlisted_recipient": "no",
        "smtpd_relay_restrictions": "reject_unauth_destination",
        "minimal_backoff_time": "5s",
        "queue_run_delay": "5s",
    }
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


def _inline(table: Mapping[str, str]) -> str:
    entries = ", ".join(f"{{ {key} = {value} }}" for key, value in table.items())
    return f"inline:{{ {entries} }}" if entries else ""


def _master_cf(postfix: Postfix) -> str:
    unknown = _inline({f"{UNKNOWN}@{postfix.domain}": "550 5.1.1 inconnu"})
    clear = "-o smtpd_tls_security_level=none -o smtpd_tls_req_ccert=no -o smtpd_tls_ask_ccert=no"
    doors = (
        (postfix.mx_port, f"-o {{ smtpd_recipient_restrictions = check_recipient_access {unknown} }}"),
        (postfix.clear_port, clear),
        (
            postfix.user_port,
            f"{clear} -o smtpd_relay_restrictions=permit_mynetworks,reject -o mynetworks=127.0.0.0/8",
        ),
    )
    return (
        "".join(f"127.0.0.1:{port} inet n - n - - smtpd {options}\n" for port, options in doors)
        + _SERVICES
        + postfix.services
    )


def _lay_out(postfix: Postfix, domains: Iterable[str], routes: Mapping[str, int | str]) -> Path:
    """Write the configuration and make the folders; returns the configuration folder."""
    folder, owner = postfix.folder, pwd.getpwnam("postfix")
    for name in ("etc", "queue", "data", "mail"):
        (folder / name).mkdir(parents=True)
    for name in _QUEUES.split():
        (folder / "queue" / name).mkdir()
        if name != "pid":
            os.chown(folder / "queue" / name, owner.pw_uid, owner.pw_gid)
    (folder / "queue" / "public").chmod(0o711)
    os.chown(folder / "data", owner.pw_uid, owner.pw_gid)
    nobody = pwd.getpwnam("nobody")
    os.chown(folder / "mail", nobody.pw_uid, nobody.pw_gid)
    (folder / "etc" / "main.cf").write_text(_main_cf(postfix, domains, routes))
    (folder / "etc" / "master.cf").write_text(_master_cf(postfix))
    return folder / "etc"


@contextmanager
def served_postfix(
    postfix: Postfix, domains: Iterable[str], routes: Mapping[str, int | str]
) -> Iterator[Postfix]:
    """Run it for ``domains``; ``routes`` are the MX ports of others on loopback, or whole transports, by
    domain or address. Leaves no process.
    """
    configuration = _lay_out(postfix, domains, routes)
    with (postfix.folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [str(MASTER), "-c", str(configuration), "-d"],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        _wait_for_greeting(postfix)
        yield postfix
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        finally:
            _end_group(process.pid)


def _wait_for_greeting(postfix: Postfix) -> None:
    try:
        eventually(lambda: _answers(postfix.user_port), "Postfix greets", 20)
    except AssertionError as failure:
        said = (postfix.folder / "errors").read_text("utf-8", "replace")
        raise AssertionError(f"{failure}\n{said}\n{postfix.log}") from failure


def _answers(port: int) -> bool:
    try:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="poste", timeout=5) as smtp:
            return smtp.noop()[0] == 250
    except OSError:
        return False


def _end_group(group: int) -> None:
    """Postfix's master ends its children; whoever is left of its process group ends here."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def operators(
    extra_domains: Mapping[str, str] | None = None,
    *,
    retry_minutes: Sequence[int] = (60,),
    more: str = "",
    documents: str = "",
) -> Iterator[Operators]:
    """Our gateway and Postfix. ``extra_domains`` are further foreign domains of the list and their way:

    ``own`` (Postfix, like its first domain), ``stranger`` (Postfix, but the list names another certificate),
    ``clear`` (Postfix without TLS), ``mute`` (nobody listens). ``more`` are further tables of our settings,
    ``documents`` further lines of that table.
    """
    require_postfix()
    with operators_folder() as folder:
        mx_port, clear_port, mute_port = free_port(), free_port(), free_port()
        ports = {"own": mx_port, "stranger": mx_port, "clear": clear_port, "mute": mute_port}
        extra = dict(extra_domains or {})
        routes = {AUTRE: mx_port, **{domain: ports[way] for domain, way in extra.items()}}
        settings = made_operator(
            folder / "var", OURS, routes, retry_minutes=retry_minutes, more=more, documents=documents
        )
        theirs = issued_certificate(settings, folder, f"mx.{AUTRE}")
        nobody = issued_certificate(settings, folder, "mx.tiers.mssante.example")
        listed = {OURS: own_certificate(settings), AUTRE: theirs}
        listed |= {domain: nobody if way == "stranger" else theirs for domain, way in extra.items()}
        write_list(settings, listed)
        made = TestGateway(settings, submission_client_context(settings.pki.anchors))
        made.start()
        try:
            postfix = Postfix(folder / "pf", AUTRE, mx_port, clear_port, free_port(), theirs)
            with served_postfix(postfix, [AUTRE, *extra], {OURS: made.mx_port}):
                yield Operators(made, postfix)
        finally:
            made.stop()
