"""Decrypted content that nobody signed: refused, or taken where the operator allows it and the cipher shows
that nothing was changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from config import load
from gateway.bootstrap import open_services
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.screening import screen
from gateway.smtp.refusals import Refusal
from tests.support import region
from tests.support.deployment import Deployment, deployed, envelope
from tests.support.encryption import Holder, encrypted, organisation, text_entity


@dataclass(frozen=True, slots=True)
class Door:
    """A deployment that decrypts, at rest."""

    deployment: Deployment
    keys: Holder
    line: str

    def screened(self, setting: str, raw: bytes) -> Incoming:
        """One mail of the doctor to a colleague as the door sees it."""
        path = self.deployment.path.with_name("door.toml")
        toml = f'\n[smime]\ndecryption = [{self.line}]\nunsigned_content = "{setting}"\n'
        path.write_text(self.deployment.path.read_text("utf-8") + toml, "utf-8")

        async def work() -> Incoming:
            async with open_services(load(path)) as services:
                return await screen(services, envelope(region.GP, region.STRANGER.address, "A" * 16), raw)

        return asyncio.run(work())

    def mail(self, *, gcm: bool) -> bytes:
        """An encrypted mail without signature, its subject hidden, its header protected."""
        draft = EmailMessage(policy=SMTP)
        draft["From"] = region.GP.address
        draft["To"] = region.STRANGER.address
        draft["Subject"] = "Sujet cache"
        draft["Date"] = datetime.now(UTC)
        draft["Message-ID"] = "<non-signe@client.example>"
        return encrypted(draft, text_entity("Non signe."), [self.keys.target(gcm=gcm)])


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with deployed() as made:
        yield Door(made, *organisation(made.settings))


@pytest.mark.parametrize(("setting", "gcm"), [("refuse", True), ("refuse", False), ("gcm", False)])
def test_it_is_refused(door: Door, setting: str, *, gcm: bool) -> None:
    with pytest.raises(Refusal) as refused:
        door.screened(setting, door.mail(gcm=gcm))
    assert (refused.value.code, refused.value.enhanced) == (550, "5.7.5")


def test_it_is_taken_unsigned_where_the_operator_allows_it(door: Door) -> None:
    incoming = door.screened("gcm", door.mail(gcm=True))
    assert incoming.letter.text == "Non signe."
    assert incoming.letter.subject == "Sujet cache"
    assert str(incoming.signature.verdict) == "none"
    results = dict(incoming.trace)["Authentication-Results"]
    assert "smime=none reason=decrypted" in results


def test_what_its_header_says_inside_of_its_author_is_nobodys(door: Door) -> None:
    raw = door.mail(gcm=True).replace(region.GP.address.encode(), region.NURSE.address.encode(), 1)
    with pytest.raises(Refusal):
        door.screened("gcm", raw)  # the From outside is held against the login, whatever stands inside
