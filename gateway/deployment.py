"""Making a deployment: settings file, key, test PKI, trust list, database; the same folder twice changes
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from certs.dkim import KeyKind, new_dkim_key
from certs.operators import TrustEntry, render_trust_list
from certs.paths import read_certificates
from certs.pki import create_demo_pki, write_private, write_public
from certs.tls import peer_name
from config import Settings, load, write_toml
from gateway.bootstrap import new_key
from gateway.errors import DeploymentIncomplete

__all__ = ["CONFIGURATION", "NewDeployment", "mail_home", "make_deployment"]

CONFIGURATION = "gateway.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeployment:
    """What a new deployment is told: its folder, domain, names; ``ports`` override those of the defaults."""

    folder: Path
    domain: str
    organisation: str
    town: str = ""
    finess: str = ""
    test_identifiers: bool = True
    hostnames: Sequence[str] = ("localhost", "127.0.0.1", "::1")
    ports: tuple[tuple[str, str, int], ...] = ()


def _passable(folder: Path) -> bool:
    """Whether any account may pass all directories above ``folder``."""
    return all(parent.stat().st_mode & 0o001 for parent in folder.resolve().parents)


def mail_home(folder: Path) -> Path:
    """Where the mails of a deployment lie: beside its settings, or under /var/lib where that cannot be.

    Started by root, the mailbox server drops to an account of its own, which cannot reach a folder below a
    private home
    (``/root`` has mode 0700).
    """
    if os.geteuid() != 0 or _passable(folder / "mail"):
        return folder / "mail"
    name = sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return Path("/var/lib/teleexpertise-gateway") / name / "mail"


def _values(new: NewDeployment) -> dict[str, dict[str, object]]:
    values: dict[str, dict[str, object]] = {
        "service": {
            "domain": new.domain,
            "organisation_name": new.organisation,
            "town": new.town,
            "test_identifiers": new.test_identifiers,
        }
    }
    if new.finess:
        values["service"]["finess"] = new.finess
    home = mail_home(new.folder)
    if home.parent != new.folder:
        values["mailboxes"] = {"home": str(home)}
    for section, key, port in new.ports:
        values.setdefault(section, {})[key] = port
    return values


def _make_dkim_keys(settings: Settings) -> None:
    """Make the keys that sign for us where they are missing. Raises ``OSError``."""
    for one in settings.dkim.signing if settings.dkim.enabled else ():
        if not one.key.exists():
            one.key.parent.mkdir(parents=True, exist_ok=True)
            write_private(one.key, new_dkim_key(KeyKind.RSA))


def make_deployment(new: NewDeployment, now: datetime) -> Settings:
    """Make what is missing of a deployment in ``new.folder`` and load its settings.

    An existing settings file is kept as it is. Raises :class:`DeploymentIncomplete` for a folder that
    cannot be written,
    ``ConfigError`` for settings that are not valid.
    """
    folder = new.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / CONFIGURATION
        if not path.exists():
            write_public(path, write_toml(_values(new)).encode())
        settings = load(path)
        key = settings.files.mac_key_file
        if not key.exists():
            write_private(key, new_key())
        _make_dkim_keys(settings)
        # As root the mailbox server runs as another account and must get through to the mails.
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        settings.mailboxes.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeploymentIncomplete(f"{error.filename or folder}: {error.strerror}") from error
    pki = create_demo_pki(
        settings.pki.anchors.parent, settings.service.domain, settings.service_address, new.hostnames, now
    )
    if not settings.trust.list_file.exists():
        name = peer_name(read_certificates(pki.tls_certificate.read_bytes())[0])
        assert name is not None, "our own certificate has a name"
        entries = [TrustEntry(domain, name) for domain in sorted(settings.local_domains)]
        write_public(settings.trust.list_file, render_trust_list(entries, now))
    return settings
