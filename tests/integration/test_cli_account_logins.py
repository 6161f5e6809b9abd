"""``gateway account rpps`` and ``gateway account certificate`` on a deployment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.authority import create_intermediate, create_root, issue, subject
from certs.pki import DemoPki, load_authority, write_public
from certs.profiles import ORG_AUTH_CLI, ORG_SIGN, Profile
from gateway.services import Services
from tests.support import region
from tests.support.deployment import Deployment, deployed
from tests.support.machines import MACHINE, OTHER_MACHINE

NUMBER = "10100000058"


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    async def fill(services: Services) -> None:
        async with services.store.transaction() as tx:
            for account in (MACHINE, OTHER_MACHINE):
                await tx.accounts.add(account, "", services.clock())

    with deployed() as made:
        made.work(fill)
        yield made


def certificate(
    deployment: Deployment, folder: Path, name: str, profile: Profile = ORG_AUTH_CLI, foreign: bool = False
) -> Path:
    now = datetime.now(UTC)
    authority = (
        create_intermediate(create_root(now, "AUTRE"), now)
        if foreign
        else load_authority(DemoPki(deployment.settings.pki.anchors.parent))
    )
    made = issue(authority, profile, subject(name, "143000001", "CH LE PUY", "Haute-Loire (43)"), now)
    path = folder / f"{name}.pem"
    write_public(path, made.certificate_pem + made.chain_pem)
    return path


def numbers(deployment: Deployment) -> dict[str, str]:
    return {each["address"]: each["rpps"] for each in deployment.json("account", "list")}


def test_a_number_is_given_shown_and_taken_away(deployment: Deployment) -> None:
    told = deployment.json("account", "rpps", region.NURSE.address, "10 1000 00058")
    assert told == {"address": region.NURSE.address, "done": "RPPS number changed", "rpps": NUMBER}
    assert numbers(deployment)[region.NURSE.address] == NUMBER
    assert NUMBER in deployment.done("account", "list")
    refused = deployment.call("account", "rpps", region.STRANGER.address, NUMBER)
    assert (refused.exit_code, f"RPPS {NUMBER} is that of another" in refused.stderr) == (1, True)
    assert deployment.call("account", "rpps", region.NURSE.address, NUMBER).exit_code == 0  # its own again
    deployment.done("account", "rpps", region.NURSE.address)
    assert numbers(deployment)[region.NURSE.address] == ""
    assert deployment.call("account", "rpps", region.NURSE.address, "12").exit_code == 1
    assert deployment.call("account", "rpps", f"personne@{region.DOMAIN}", NUMBER).exit_code == 1


async def _actions(services: Services) -> set[str]:
    async with services.store.reading() as tx:
        return {row.action for row in await tx.audit.list(limit=1000)}


def test_a_certificate_is_added_listed_and_removed(deployment: Deployment, tmp_path: Path) -> None:
    file = certificate(deployment, tmp_path, "dpi.ch-lepuy.example")
    told = deployment.json("account", "certificate", "add", MACHINE.address.upper(), "--file", file)
    assert told["address"] == MACHINE.address
    assert told["subject"].startswith("CN=dpi.ch-lepuy.example,")
    for address in (MACHINE.address, OTHER_MACHINE.address):
        again = deployment.call("account", "certificate", "add", address, "--file", file)
        assert (again.exit_code, f"opens {MACHINE.address} already" in again.stderr) == (1, True)
    (listed,) = deployment.json("account", "certificate", "list", MACHINE.address)
    assert listed["key"] == told["key"]
    assert deployment.json("account", "certificate", "list", OTHER_MACHINE.address) == []
    assert told["key"][:16] in deployment.done("account", "certificate", "list")
    for address, key in ((OTHER_MACHINE.address, told["key"][:16]), (MACHINE.address, told["key"][:8])):
        assert deployment.call("account", "certificate", "remove", address, key).exit_code == 1
    deployment.done("account", "certificate", "remove", MACHINE.address, told["key"][:16])
    assert deployment.json("account", "certificate", "list") == []
    assert deployment.work(_actions) >= {"account certificate add", "account certificate remove"}


@pytest.mark.parametrize(
    ("address", "profile", "foreign", "why"),
    [
        (region.GP.address, ORG_AUTH_CLI, False, "is no application"),
        (region.SERVICE.address, ORG_AUTH_CLI, False, "is no application"),
        (f"personne@{region.DOMAIN}", ORG_AUTH_CLI, False, "there is no account"),
        (MACHINE.address, ORG_SIGN, False, "usage-not-allowed"),
        (MACHINE.address, ORG_AUTH_CLI, True, "untrusted-issuer"),
    ],
)
def test_a_certificate_that_could_open_nothing_is_refused(
    deployment: Deployment, tmp_path: Path, address: str, profile: Profile, foreign: bool, why: str
) -> None:
    file = certificate(deployment, tmp_path, "x.example", profile, foreign)
    told = deployment.call("account", "certificate", "add", address, "--file", file)
    assert (told.exit_code, why in told.stderr) == (1, True), told.stderr


@pytest.mark.parametrize(
    "text", [b"", b"rubbish", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_that_holds_none_is_refused(deployment: Deployment, tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "x.pem"
    file.write_bytes(text)
    told = deployment.call("account", "certificate", "add", MACHINE.address, "--file", file)
    assert (told.exit_code, "certificate" in told.stderr) == (1, True)
