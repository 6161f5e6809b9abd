"""Certificates without mail address, as IGC-Santé's ORG SIGN are: believed where the settings bind them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.authority import issue, subject
from certs.pki import DemoPki, load_authority
from certs.profiles import ORG_SIGN
from certs.verdicts import Reason, SignatureReport, Verdict
from config import ConfigError, Settings, load
from gateway.bootstrap import open_services
from gateway.compose.composer import Draft
from gateway.deployment import NewDeployment, make_deployment
from gateway.errors import DeploymentIncomplete
from gateway.trustspace import load_trust
from teleexpertise.letters import Mailbox
from teleexpertise.texts import contexts as mails

UNIT = "300000000000099"


@dataclass(frozen=True, slots=True)
class Pair:
    """An operator that signs without address in its certificate, and one that receives it."""

    signs: Settings
    receives: Settings
    path: Path
    issuer: str
    raw: bytes

    def judged(self, toml: str) -> SignatureReport:
        """The verdict of the one that receives, with these lines in its settings."""
        changed = self.path.with_name("changed.toml")
        changed.write_text(self.path.read_text("utf-8") + toml, "utf-8")
        trust = load_trust(load(changed), datetime.now(UTC))
        return asyncio.run(trust.verify(self.raw, datetime.now(UTC)))

    def binding(
        self, issuer: str = "", subject: str = f"OU={UNIT}", domain: str = "signe.mssante.example"
    ) -> str:
        """One binding in TOML."""
        return (
            f'\n[[smime.bindings]]\nissuer = "{issuer or self.issuer}"\nsubject = "{subject}"\n'
            f'domains = ["{domain}"]\n'
        )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    now = datetime.now(UTC)
    folder = tmp_path_factory.mktemp("bindings")
    made = {
        name: make_deployment(
            NewDeployment(folder=folder / name, domain=f"{name}.mssante.example", organisation="Essai"), now
        )
        for name in ("signe", "recoit")
    }
    signs, receives = made["signe"], made["recoit"]
    authority = load_authority(DemoPki(signs.pki.anchors.parent))
    name = subject("SERVICE DE TEST", UNIT, "ETABLISSEMENT DE TEST", "Haute-Loire (43)")
    issued = issue(authority, ORG_SIGN, name, now)
    signs.pki.smime_certificate.write_bytes(issued.certificate_pem)
    signs.pki.smime_key.write_bytes(issued.key_pem)
    receives.pki.anchors.write_bytes(receives.pki.anchors.read_bytes() + signs.pki.anchors.read_bytes())
    issuer = authority.certificate.subject.rfc4514_string()
    return Pair(signs, receives, folder / "recoit" / "gateway.toml", issuer, asyncio.run(_written(signs)))


async def _written(settings: Settings) -> bytes:
    """A mail that the gateway writes and signs by itself."""
    async with open_services(settings) as services:
        body = services.texts.render(mails.VitalEmergency(expert_name="Dr Rémy PERRET"))
        draft = Draft(
            body=body, from_name="Essai", to=(Mailbox("a@recoit.mssante.example"),), automatic="auto-replied"
        )
        return services.composer.write(draft, services.new_id(), services.clock()).raw


def test_a_certificate_without_address_is_the_senders_where_it_is_bound(pair: Pair) -> None:
    report = pair.judged(pair.binding())
    assert (report.verdict, report.reason) == (Verdict.PASSED, Reason.GENUINE), report.detail
    assert report.signers[0].addresses == ()


def test_unbound_it_says_nothing_about_the_sender(pair: Pair) -> None:
    report = pair.judged("")
    assert (report.verdict, report.reason) == (Verdict.FAILED, Reason.SENDER_UNBOUND)


@pytest.mark.parametrize(
    "other",
    [
        {"domain": "autre.mssante.example"},
        {"subject": "OU=300000000000098"},
        {"subject": f"OU={UNIT},CN=AUTRE SERVICE"},
        {"issuer": "CN=AUTRE AC,O=TEST,C=FR"},
    ],
)
def test_a_binding_of_something_else_does_not_hold(pair: Pair, other: dict[str, str]) -> None:
    assert pair.judged(pair.binding(**other)).reason is Reason.SENDER_UNBOUND


def test_two_bindings_of_the_same_names_are_taken_together(pair: Pair) -> None:
    toml = pair.binding(domain="autre.mssante.example") + pair.binding()
    assert pair.judged(toml).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"issuer": "no name at all"}, "number 1"),
        ({"subject": "C=FR"}, "needs O, OU or CN"),
    ],
)
def test_a_binding_that_is_none_is_told(pair: Pair, other: dict[str, str], told: str) -> None:
    with pytest.raises(DeploymentIncomplete, match=told):
        pair.judged(pair.binding(**other))


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ('[[smime.bindings]]\nissuer = "CN=X"\nsubject = "O=Y"\n', "smime.bindings.0.domains: is missing"),
        ('[[smime.bindings]]\nissuer = "CN=X"\nsubject = "O=Y"\ndomains = []\n', "domains"),
        ('[[smime.bindings]]\nissuer = "CN=X"\nsubject = "O=Y"\ndomains = ["a b"]\n', "domain name"),
        ('[smime]\nforeign_plain = "yes"\n', "foreign_plain"),
        ('[smime]\ndecryption = [{ certificate = "a.pem" }]\n', "smime.decryption.0.key: is missing"),
    ],
)
def test_settings_that_are_wrong_are_told_with_their_line(pair: Pair, toml: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        pair.judged("\n" + toml)
    assert told in str(error.value)
    lines = pair.path.read_text("utf-8").count("\n")
    number = int(str(error.value).partition("changed.toml:")[2].partition(":")[0])
    assert number > lines


def test_keys_that_cannot_be_read_are_told_by_file(pair: Pair) -> None:
    folder = pair.path.parent / "pki"
    certificate, key = folder / "smime.pem", pair.signs.pki.smime_key
    toml = f'\n[smime]\ndecryption = [{{ certificate = "{certificate}", key = "{key}" }}]\n'
    changed = pair.path.with_name("keys.toml")
    changed.write_text(pair.path.read_text("utf-8") + toml, "utf-8")

    async def opened() -> None:
        async with open_services(load(changed)):
            pass

    with pytest.raises(DeploymentIncomplete, match="does not belong to the certificate"):
        asyncio.run(opened())
