"""Keys, certificates and authorities of a deployment, read from its files."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from certs.operators import TrustListFault
from certs.paths import TrustAnchors, TrustFault
from certs.signing import Signer, SigningFault, load_signer
from config import Settings
from gateway.errors import DeploymentIncomplete
from gateway.ownkeys import OwnKeys
from gateway.sealing import load_sealing
from gateway.trust.crlfiles import known_crls, pki_anchors

__all__ = [
    "new_key",
    "open_anchors",
    "open_authorities",
    "open_keys",
    "open_signer",
    "read_key",
    "told_by_file",
]

_KEY_OCTETS = 32


def new_key() -> bytes:
    """A fresh key for sealed addresses, forms and deliveries."""
    return secrets.token_bytes(_KEY_OCTETS)


def read_key(path: Path) -> bytes:
    """The deployment's key. Raises :class:`DeploymentIncomplete` where it is missing or too short to be
    one.
    """
    try:
        key = path.read_bytes()
    except OSError as error:
        raise DeploymentIncomplete(f"{path}: {error.strerror}; `gateway init` makes a deployment") from error
    if len(key) < _KEY_OCTETS:
        raise DeploymentIncomplete(f"{path}: a key has at least {_KEY_OCTETS} octets")
    return key


@contextmanager
def told_by_file(settings: Settings) -> Iterator[None]:
    """Name the file of a fault in certificates, keys or lists. Raises :class:`DeploymentIncomplete`."""
    pki = settings.pki
    try:
        yield
    except OSError as error:
        raise DeploymentIncomplete(f"{error.filename}: {error.strerror}") from error
    except SigningFault as error:
        files = f"{pki.smime_certificate}, {pki.smime_key}, {pki.smime_chain}"
        raise DeploymentIncomplete(f"{files}: {error}") from error
    except TrustFault as error:
        files = f"{pki.anchors}, {pki.smime_chain}, {pki.crls}"
        raise DeploymentIncomplete(f"{files}: {error}") from error
    except TrustListFault as error:
        raise DeploymentIncomplete(f"{settings.trust.list_file}: {error}") from error


def open_signer(settings: Settings) -> Signer:
    """The organisation's certificate and key. Raises :class:`DeploymentIncomplete` that names the file."""
    pki = settings.pki
    with told_by_file(settings):
        beside = [pki.smime_chain, *(pair.certificate for pair in settings.smime.decryption[:1])]
        return load_signer(
            pki.smime_certificate.read_bytes(),
            pki.smime_key.read_bytes(),
            # The certificate to encrypt to goes with each signature: so others learn it (RFC 8551 §2.5.3).
            b"\n".join(path.read_bytes() for path in beside),
        )


def open_anchors(settings: Settings) -> TrustAnchors:
    """What is believed of signatures. Raises :class:`DeploymentIncomplete` that names the file."""
    with told_by_file(settings):
        return pki_anchors(settings, tuple(known_crls(settings).values()))


def open_authorities(settings: Settings) -> TrustAnchors:
    """Whom we believe, without revocation lists. Raises :class:`DeploymentIncomplete` that names the file."""
    with told_by_file(settings):
        return pki_anchors(settings, ())


def open_keys(settings: Settings) -> OwnKeys:
    """What signs, opens and seals. Raises :class:`DeploymentIncomplete` that names the file."""
    return OwnKeys(open_signer(settings), load_sealing(settings))
