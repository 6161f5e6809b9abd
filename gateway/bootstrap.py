"""The composition root: one reading of the settings becomes the parts of a running gateway, here and
nowhere else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

from certs.dkim import DkimFault
from config import Settings, departments, read_resource, specialties
from gateway.compose.composer import Composer
from gateway.directories import Directories
from gateway.dkimspace import DkimSpace, load_dkim
from gateway.errors import DeploymentIncomplete
from gateway.intake.limits import IntakeLimits
from gateway.keyfiles import open_keys, read_key, told_by_file
from gateway.pipeline.links import Links
from gateway.rulebook import load_rulebook
from gateway.services import Services
from gateway.store.store import Store
from gateway.trustspace import OperatorTrust, load_trust
from teleexpertise.addressing import AddressBook
from teleexpertise.forms import load_catalogue
from teleexpertise.letters import Mailbox
from teleexpertise.patient_bounces import load_bounces
from teleexpertise.texts import ServiceView, Texts

__all__ = ["open_services"]


def _trust(settings: Settings) -> OperatorTrust:
    with told_by_file(settings):
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
