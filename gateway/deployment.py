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
from certs.names import DistinguishedName
from certs.operators import TrustEntry, render_trust_list
from certs.paths import read_certificates
from certs.pki import DemoPki, create_demo_pki, write_private, write_public
from certs.tls import peer_name
from config import Settings, load, write_toml
from gateway import CONFIGURATION
from gateway.errors import DeploymentIncomplete
from gateway.keyfiles import new_key
from gateway.pkidesk import pki_locked

__all__ = ["NewDeployment", "mail_home", "make_deployment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeployment:
    """What a new deployment is told: its folder, domain, names; ``ports`` override those of the defaults.

    ``decrypts``: mail encrypted to the test PKI's ORG CONF certificate is opened; ``file``: the settings'
    name.
    """

    folder: Path
    domain: str
    organisation: str
    town: str = ""
    finess: str = ""
    test_identifiers: bool = True
    hostnames: Sequence[str] = ("localhost", "127.0.0.1", "::1")
    ports: tuple[tuple[str, str, int], ...] = ()
    practice_setting: str = ""
    facility_type: str = ""
    decrypts: bool = False
    file: str = CONFIGURATION


def _passable(folder: Path) -> bool:
    """Whether any account may pass all directories above ``folder``."""
    return all(parent.stat().st_mode & 0o001 for parent in folder.resolve().parents)


def mail_home(folder: Path) -> Path:
    """Where the mails of a deployment lie: beside its settings, or under /var/lib where that cannot be.

    Started by root, the mailbox server drops to an account of its own, which cannot reach a folder below a
    private home (``/root`` has mode 0700).
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
    if new.practice_setting and new.facility_type:
        values["documents"] = {
            "practice_setting": new.practice_setting,
            "facility_type": new.facility_type,
        }
    home = mail_home(new.folder)
    if home.parent != new.folder:
        values["mailboxes"] = {"home": str(home)}
    for section, key, port in new.ports:
        values.setdefault(section, {})[key] = port
    if new.decrypts and _has_conf(DemoPki(new.folder / "pki")):
        pair = {"certificate": "pki/conf.pem", "key": "pki/conf.key"}
        values["smime"] = {"decryption": [pair]}
    return values


def _has_conf(pki: DemoPki) -> bool:
    """Whether an encryption certificate is there or will be made: not beside those of a real authority."""
    return pki.conf_key.exists() or not pki.anchors.exists()


def _own_name(certificate: Path) -> DistinguishedName:
    """The name in our own certificate. Raises :class:`DeploymentIncomplete`."""
    try:
        name = peer_name(next(iter(read_certificates(certificate.read_bytes())), None))
    except OSError as error:
        raise DeploymentIncomplete(f"{certificate}: {error.strerror}") from error
    except ValueError:
        name = None
    if name is None:
        raise DeploymentIncomplete(f"{certificate}: not readable as a certificate")
    return name


def _make_pki(settings: Settings, hostnames: Sequence[str], now: datetime) -> None:
    """Make what the test PKI lacks; certificates of a real authority are left alone.

    They are known by the anchors, beside which no key of an authority lies. Raises
    :class:`DeploymentIncomplete`.
    """
    pki = DemoPki(settings.pki.anchors.parent)
    if settings.pki.anchors.exists() and not pki.authorities and not pki.index.exists():
        return
    try:
        pki.directory.mkdir(parents=True, exist_ok=True)
        with pki_locked(pki):
            create_demo_pki(pki.directory, settings.service.domain, settings.service_address, hostnames, now)
    except OSError as error:
        raise DeploymentIncomplete(f"{error.filename or pki.directory}: {error.strerror}") from error


def _make_dkim_keys(settings: Settings) -> None:
    """Make the keys that sign for us where they are missing. Raises ``OSError``."""
    for one in settings.dkim.signing if settings.dkim.enabled else ():
        if not one.key.exists():
            one.key.parent.mkdir(parents=True, exist_ok=True)
            write_private(one.key, new_dkim_key(KeyKind.RSA))


def make_deployment(new: NewDeployment, now: datetime) -> Settings:
    """Make what is missing of a deployment in ``new.folder`` and load its settings.

    An existing settings file is kept as it is. Raises :class:`DeploymentIncomplete` for a folder that cannot
    be written, ``ConfigError`` for settings that are not valid.
    """
    folder = new.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / new.file
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
    _make_pki(settings, new.hostnames, now)
    if not settings.trust.list_file.exists():
        name = _own_name(settings.pki.tls_certificate)
        entries = [TrustEntry(domain, name) for domain in sorted(settings.local_domains)]
        write_public(settings.trust.list_file, render_trust_list(entries, now))
    return settings
