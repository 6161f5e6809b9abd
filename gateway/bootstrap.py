"""The composition root: one reading of the settings becomes the parts of a running gateway, here and
nowhere else.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from certs.dkim import DkimFault
from certs.operators import TrustListFault
from certs.paths import TrustAnchors, TrustFault
from certs.signing import Signer, SigningFault, load_signer
from config import Settings, departments, read_resource, specialties
from gateway.compose.composer import Composer
from gateway.directories import Directories
from gateway.dkimspace import DkimSpace, load_dkim
from gateway.errors import DeploymentIncomplete
from gateway.intake.limits import IntakeLimits
from gateway.ownkeys import OwnKeys
from gateway.pipeline.links import Links
from gateway.sealing import load_sealing
from gateway.services import Services
from gateway.store.store import Store
from gateway.trust.crlfiles import known_crls, pki_anchors
from gateway.trustspace import OperatorTrust, load_trust
from mailboxes.dovecot.settings import DovecotSettings
from teleexpertise.addressing import AddressBook
from teleexpertise.forms import load_catalogue
from teleexpertise.letters import Mailbox
from teleexpertise.patient_bounces import load_bounces
from teleexpertise.rules import RuleBook, RuleError, load_rules
from teleexpertise.texts import ServiceView, Texts

__all__ = [
    "dovecot_settings",
    "load_rulebook",
    "new_key",
    "open_anchors",
    "open_authorities",
    "open_keys",
    "open_services",
    "open_signer",
    "read_key",
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


def load_rulebook(settings: Settings) -> RuleBook:
    """The default rules and the operator's own. Raises ``RuleError`` that names rule, key and what is
    known.
    """
    sources = [read_resource("rules.toml")]
    if settings.rules.file is not None:
        try:
            sources.append(settings.rules.file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise RuleError(f"rules file {settings.rules.file}: {error}") from error
    return load_rules(sources)


@contextmanager
def _told_by_file(settings: Settings) -> Iterator[None]:
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
    with _told_by_file(settings):
        beside = [pki.smime_chain, *(pair.certificate for pair in settings.smime.decryption[:1])]
        return load_signer(
            pki.smime_certificate.read_bytes(),
            pki.smime_key.read_bytes(),
            # The certificate to encrypt to goes with each signature: so others learn it (RFC 8551 §2.5.3).
            b"\n".join(path.read_bytes() for path in beside),
        )


def open_anchors(settings: Settings) -> TrustAnchors:
    """What is believed of signatures. Raises :class:`DeploymentIncomplete` that names the file."""
    with _told_by_file(settings):
        return pki_anchors(settings, tuple(known_crls(settings).values()))


def open_authorities(settings: Settings) -> TrustAnchors:
    """Whom we believe, without revocation lists. Raises :class:`DeploymentIncomplete` that names the file."""
    with _told_by_file(settings):
        return pki_anchors(settings, ())


def open_keys(settings: Settings) -> OwnKeys:
    """What signs, opens and seals. Raises :class:`DeploymentIncomplete` that names the file."""
    return OwnKeys(open_signer(settings), load_sealing(settings))


def _trust(settings: Settings) -> OperatorTrust:
    with _told_by_file(settings):
        return load_trust(settings, datetime.now(UTC))


def _dkim(settings: Settings) -> DkimSpace:
    try:
        return load_dkim(settings)
    except OSError as error:
        text = f"{error.filename}: {error.strerror}; `gateway dkim key` makes a key"
        raise DeploymentIncomplete(text) from error
    except DkimFault as error:
        files = ", ".join(str(one.key) for one in settings.dkim.signing)
        raise DeploymentIncomplete(f"{files}: {error}") from error


def _synonyms() -> Mapping[str, Sequence[str]]:
    return {specialty.name: specialty.synonyms for specialty in specialties()}


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open the store and assemble everything that decides. Raises :class:`DeploymentIncomplete` that names
    the file, ``RuleError``, ``StoreError``.
    """
    key = read_key(settings.files.mac_key_file)
    texts = Texts(ServiceView(settings.service.organisation_name, settings.service_address), settings.zone)
    smtp = settings.smtp
    own = open_keys(settings)
    async with Store.open(settings.database.url.get_secret_value()) as store:
        yield Services(
            settings=settings,
            store=store,
            book=AddressBook(settings.service.local_part, settings.service.domain, key),
            texts=texts,
            composer=Composer(
                Mailbox(settings.service_address, settings.service.display_name),
                own.sign,
                [("X-MSS-NIL", settings.documents.nil)] if settings.documents.nil else (),
            ),
            rules=load_rulebook(settings),
            links=Links(settings.service_address, texts.words),
            forms=load_catalogue(),
            trust=_trust(settings),
            limits=IntakeLimits(
                max_header_bytes=smtp.max_header_bytes, max_depth=smtp.max_depth, max_parts=smtp.max_parts
            ),
            key=key,
            synonyms=_synonyms(),
            usual_items={
                specialty.name: specialty.usual_items for specialty in specialties() if specialty.usual_items
            },
            departments=departments(),
            zone=settings.zone,
            clock=lambda: datetime.now(UTC),
            new_id=uuid4,
            dkim=_dkim(settings),
            own=own,
            directories=Directories(_synonyms(), departments()),
            patient_bounces=load_bounces(read_resource("patient_bounces.toml")),
        )


def dovecot_settings(settings: Settings) -> DovecotSettings:
    """The private mailbox server of an embedded deployment."""
    return DovecotSettings(
        home=settings.mailboxes.home,
        certificate=settings.pki.tls_certificate,
        key=settings.pki.tls_key,
        hostname=settings.hostname,
        bind=settings.imap.bind,
        starttls_port=settings.imap.starttls_port,
        tls_port=settings.imap.tls_port,
        managesieve_port=settings.imap.managesieve_port,
        user=settings.mailboxes.user,
    )
