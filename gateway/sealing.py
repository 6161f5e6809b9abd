"""Encryption at the gateway's doors: our keys, and certificates that an operator put there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from certs.envelopes import Decryptor, DecryptorFault, load_decryptor
from certs.paths import read_certificates
from config import Settings
from gateway.errors import DeploymentIncomplete

__all__ = ["Sealing", "load_sealing"]

_ADDRESS = re.compile(r"[^@\s/]{1,64}@[^@\s/]{1,190}")


@dataclass(frozen=True, slots=True)
class Sealing:
    """``keys`` open what is encrypted to us; ``configured`` are certificates (DER, authorities too) by
    address in lower case, in the order of their file, which come before those known from signatures.
    """

    keys: tuple[Decryptor, ...] = field(default=(), repr=False)
    configured: Mapping[str, tuple[bytes, ...]] = field(default_factory=lambda: MappingProxyType({}))


def load_sealing(settings: Settings) -> Sealing:
    """Read keys and certificates of ``[smime]``. Raises :class:`DeploymentIncomplete`."""
    smime = settings.smime
    keys = []
    for pair in smime.decryption:
        try:
            keys.append(
                load_decryptor(pair.certificate.read_bytes(), pair.key.read_bytes(), pair.authenticated_only)
            )
        except OSError as error:
            raise DeploymentIncomplete(f"{error.filename}: {error.strerror}") from error
        except DecryptorFault as fault:
            raise DeploymentIncomplete(f"{pair.certificate}, {pair.key}: {fault}") from fault
    configured = _configured(smime.certificates) if smime.certificates is not None else {}
    return Sealing(tuple(keys), MappingProxyType(configured))


def _configured(folder: Path) -> dict[str, tuple[bytes, ...]]:
    if not folder.is_dir():
        raise DeploymentIncomplete(f"{folder}: is no folder (smime.certificates)")
    found = {}
    for path in sorted(folder.glob("*.pem")):
        address = path.name.removesuffix(".pem").lower()
        if not _ADDRESS.fullmatch(address):
            raise DeploymentIncomplete(f"{path}: should be named by an address, such as nom@domaine.pem")
        try:
            certificates = read_certificates(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DeploymentIncomplete(f"{path}: cannot be read as certificates") from error
        found[address] = certificates
    return found
