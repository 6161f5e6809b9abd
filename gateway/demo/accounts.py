"""The file that tells an evaluator how to log in: servers, and each account with its password."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from certs.pki import write_private
from config import Settings
from gateway.errors import DeploymentIncomplete
from mailboxes.folders import PATIENTS
from mailboxes.vocabulary import CONVERSATIONS_FOLDER

__all__ = [
    "IMPLICIT_TLS",
    "DemoAccount",
    "DemoFile",
    "Endpoint",
    "demo_file",
    "read_demo_file",
    "write_demo_file",
]

#: As account dialogues of mail clients name it; the other way is STARTTLS.
IMPLICIT_TLS = "SSL/TLS"
_FOLDERS = ("INBOX", CONVERSATIONS_FOLDER, PATIENTS)
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - these are recognised, not listened on
_LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A port of the gateway as the account dialogue of a mail client asks for it."""

    host: str
    port: int
    security: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAccount:
    """One account: ``role`` is requester, expert, delegate or service, ``acts_for`` whom it may act for."""

    address: str
    password: str
    role: str
    name: str
    acts_for: tuple[str, ...] = ()
    folders: tuple[str, ...] = _FOLDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFile:
    """All of the file. ``ca_certificate`` is the path of the authority that clients must trust."""

    service_address: str
    ca_certificate: str
    imap: tuple[Endpoint, ...]
    smtp: tuple[Endpoint, ...]
    accounts: tuple[DemoAccount, ...]

    def account(self, address: str) -> DemoAccount:
        """The account of an address. Raises :class:`DeploymentIncomplete`."""
        for account in self.accounts:
            if account.address == address:
                return account
        raise DeploymentIncomplete(f"{address} is not among the demonstration accounts")


_FILE = TypeAdapter(DemoFile)


def _client_host(bind: str) -> str:
    """The host that a client on this machine writes: one that the demonstration certificate names."""
    return "localhost" if bind in _EVERYWHERE + _LOOPBACK else bind


def demo_file(settings: Settings, accounts: tuple[DemoAccount, ...]) -> DemoFile:
    """The file for these settings."""
    imap, smtp = settings.imap, settings.smtp
    read, send = _client_host(imap.bind), _client_host(smtp.bind)
    return DemoFile(
        service_address=settings.service_address,
        ca_certificate=str(settings.pki.anchors.resolve()),
        imap=(
            Endpoint(host=read, port=imap.tls_port, security=IMPLICIT_TLS),
            Endpoint(host=read, port=imap.starttls_port, security="STARTTLS"),
        ),
        smtp=(
            Endpoint(host=send, port=smtp.submissions_port, security=IMPLICIT_TLS),
            Endpoint(host=send, port=smtp.submission_port, security="STARTTLS"),
        ),
        accounts=accounts,
    )


def read_demo_file(path: Path) -> DemoFile | None:
    """What the file says, ``None`` without one. Raises :class:`DeploymentIncomplete` for another content."""
    try:
        return _FILE.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeploymentIncomplete(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise DeploymentIncomplete(
            f"{path} is not a list of demonstration accounts ({error.error_count()} faults)"
        ) from error


def refresh_demo_file(settings: Settings) -> DemoFile | None:
    """What the file says, after its servers were made those of the settings; ``None`` without a file."""
    known = read_demo_file(settings.files.demo_accounts)
    if known is None:
        return None
    current = demo_file(settings, known.accounts)
    if current != known:
        write_demo_file(settings.files.demo_accounts, current)
    return current


def write_demo_file(path: Path, content: DemoFile) -> None:
    """Write the file, readable by its owner only, in one piece. Raises :class:`DeploymentIncomplete`."""
    document: Mapping[str, Any] = asdict(content)
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    try:
        write_private(path, text.encode())
    except OSError as error:
        raise DeploymentIncomplete(f"{path}: {error.strerror}") from error
