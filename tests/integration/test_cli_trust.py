"""``gateway trust``: what an operator sees of the list and of revocation lists, and how a list is forced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.authority import issue_crl
from certs.names import DistinguishedName
from certs.operators import TrustEntry, render_trust_list
from certs.pki import DemoPki, load_authority, write_public
from gateway.services import Services
from gateway.trust.listfiles import held_file
from tests.support.certificates import signed_trust_list, space
from tests.support.deployment import Deployment, deployed
from tests.support.web import Web, serving_web, status, whole

A, B = (DistinguishedName.from_text(f"CN=mx.{name}.example,O=GIP {name},C=FR") for name in "ab")


@pytest.fixture(scope="module")
def made() -> Iterator[Deployment]:
    with deployed() as deployment:
        yield deployment


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with serving_web() as web:
        yield web


def document(
    number: int, names: tuple[DistinguishedName, ...] = (A,), age: timedelta = timedelta(0)
) -> bytes:
    entries = [TrustEntry(f"d{n:02}.mssante.example", name) for n in range(number) for name in names]
    return render_trust_list(entries, datetime.now(UTC) - age)


@pytest.fixture
def deployment(made: Deployment) -> Deployment:
    """Ten domains in force."""
    held_file(made.settings).unlink(missing_ok=True)
    write_public(made.settings.trust.list_file, document(10))
    return made


def offered(folder: Path, content: bytes) -> Path:
    path = folder / "offered.xml"
    path.write_bytes(content)
    return path


def audited(deployment: Deployment) -> list[tuple[str, str]]:
    async def read(services: Services) -> list[tuple[str, str]]:
        async with services.store.reading() as tx:
            return [(row.result, row.actor) for row in await tx.audit.list() if row.action == "trust load"]

    return deployment.work(read)


def test_the_list_is_shown_with_its_state(deployment: Deployment) -> None:
    found = deployment.json("trust", "list")
    assert (len(found["operators"]), found["current"], found["alarm"]) == (10, True, "")
    assert found["operators"]["d03.mssante.example"] == [A.text]
    text = deployment.done("trust", "list")
    assert f"d03.mssante.example  {A.text}" in text
    assert "10 domains" in text


def test_one_domain_is_shown(deployment: Deployment) -> None:
    assert deployment.done("trust", "show", "D03.mssante.example.").strip() == A.text
    assert deployment.json("trust", "show", "d03.mssante.example")["certificates"] == [A.text]
    for unlisted in ("autre.example", "x..y"):
        told = deployment.call("trust", "show", unlisted)
        assert told.exit_code == 1
        assert told.stderr.startswith(f"gateway: {unlisted}: domain-")


def test_a_list_is_loaded_with_its_difference_told_and_audited(
    deployment: Deployment, tmp_path: Path
) -> None:
    before = len(audited(deployment))
    file = offered(tmp_path, document(11, (A, B)))
    shown = deployment.done("trust", "diff", file)
    assert "+ d10.mssante.example" in shown
    assert len(deployment.json("trust", "list")["operators"]) == 10, "a difference changes nothing"
    loaded = deployment.done("trust", "load", file)
    assert loaded.startswith(shown)
    assert f"~ d00.mssante.example  + {B.text}" in loaded
    assert "1 added, 0 removed, 10 renamed" in loaded
    assert "in force: 11 domains" in loaded
    assert len(deployment.json("trust", "list")["operators"]) == 11
    lines = audited(deployment)
    assert len(lines) == before + 1
    assert lines[-1][0] == "done"
    assert lines[-1][1].startswith("operator ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (document(4, age=timedelta(seconds=-2)), "lacks 6 of 10 domains"),
        (document(10, age=timedelta(days=1)), "before"),
    ],
)
def test_an_unlikely_list_needs_force(
    deployment: Deployment, tmp_path: Path, content: bytes, words: str
) -> None:
    write_public(deployment.settings.trust.list_file, document(10, age=timedelta(hours=1)))
    file = offered(tmp_path, content)
    for command in ("load", "diff"):
        told = deployment.call("trust", command, file)
        assert told.exit_code == 1
        assert words in told.stderr
    assert len(deployment.json("trust", "list")["operators"]) == 10
    deployment.done("trust", "load", file, "--force")
    found = deployment.json("trust", "list")
    assert (found["alarm"], found["domains"]) == ("", content.count(b"<Nom>"))
    assert audited(deployment)[-1][0] == "forced"


@pytest.mark.parametrize("content", [b"", b"<a/>", document(9)[:-40]])
def test_force_does_not_help_a_broken_list(deployment: Deployment, tmp_path: Path, content: bytes) -> None:
    file = offered(tmp_path, content)
    for command in (("load", file), ("load", file, "--force"), ("diff", file)):
        told = deployment.call("trust", *command)
        assert told.exit_code == 1
        assert len(told.stderr.splitlines()) == 1
    assert len(deployment.json("trust", "list")["operators"]) == 10


def test_a_broken_file_in_place_is_an_alarm_and_the_last_good_list_is_shown(
    deployment: Deployment, tmp_path: Path
) -> None:
    deployment.done("trust", "load", offered(tmp_path, document(10)))
    write_public(deployment.settings.trust.list_file, b"<broken")
    assert "not well formed" in deployment.json("trust", "list")["alarm"]
    assert "ALARM" in deployment.done("trust", "list")
    told = deployment.call("trust", "status")
    assert told.exit_code == 1
    assert "ALARM: not well formed" in told.stdout
    # What a gateway believes that starts now.
    assert deployment.work(_listed) == 10
    deployment.done("trust", "load", offered(tmp_path, document(10)))
    assert deployment.call("trust", "status").exit_code == 0


async def _listed(services: Services) -> int:
    return sum(services.trust.listed(f"d{n:02}.mssante.example") for n in range(10))


def test_a_list_that_is_too_old_is_told(deployment: Deployment) -> None:
    write_public(deployment.settings.trust.list_file, document(10, age=timedelta(days=60)))
    assert deployment.json("trust", "list")["current"] is False
    assert "TOO OLD" in deployment.done("trust", "list")
    assert deployment.call("trust", "status").exit_code == 1


def test_wrong_use(deployment: Deployment) -> None:
    assert deployment.call("trust", "load", "no-such-file.xml").exit_code == 2
    assert deployment.call("trust", "show").exit_code == 2


def with_urls(deployment: Deployment, *urls: str) -> None:
    text = deployment.path.read_text("utf-8").partition("\n# crls\n")[0]
    deployment.path.write_text(text + f"\n# crls\n[pki]\ncrl_urls = {list(urls)}\n", "utf-8")


def test_revocation_lists_are_listed_and_fetched(deployment: Deployment, server: Web) -> None:
    listed = deployment.json("trust", "crl", "list")
    assert {row["state"] for row in listed} == {"current"}
    assert len(listed) == 2
    assert deployment.call("trust", "crl", "fetch").exit_code == 1, "no address is configured"
    authority = load_authority(DemoPki(deployment.settings.pki.anchors.parent))
    newer = issue_crl(authority, datetime.now(UTC) + timedelta(minutes=3), number=9)
    server.answers["/org.crl"] = whole(newer)
    with_urls(deployment, server.url("/org.crl"))
    assert "0 revoked" in deployment.done("trust", "crl", "fetch")
    (path,) = deployment.settings.pki.crls.glob("fetched-*.crl")
    assert path.read_bytes() == newer
    (row,) = deployment.json("trust", "crl", "fetch")
    assert row["result"].startswith("no newer one")
    assert "current" in deployment.done("trust", "crl", "list")


def test_a_list_that_is_refused_exits_with_1_and_one_that_is_not_had_with_3(
    deployment: Deployment, server: Web
) -> None:
    server.answers["/bad"], server.answers["/no"] = whole(b"<html>"), status(403)
    with_urls(deployment, server.url("/bad"), server.url("/no"))
    told = deployment.call("trust", "crl", "fetch")
    assert told.exit_code == 1
    assert "not a CRL" in told.stdout
    assert "answered 403" in told.stdout
    with_urls(deployment, server.url("/no"))
    assert deployment.call("trust", "crl", "fetch").exit_code == 3
    assert "missing" in deployment.done("trust", "crl", "list")
    with_urls(deployment)


def test_a_signature_is_asked_for_and_its_authorities_must_be_there(
    deployment: Deployment, tmp_path: Path
) -> None:
    folder = deployment.path.parent
    text = deployment.path.read_text("utf-8")
    try:
        deployment.path.write_text(f'{text}\n[trust]\nsigner_anchors = "signers.pem"\n', "utf-8")
        told = deployment.call("trust", "load", offered(tmp_path, document(10)))
        assert told.exit_code == 1
        assert "trust.signer_anchors" in told.stderr
        (folder / "signers.pem").write_bytes(space().root.certificate_pem)
        told = deployment.call("trust", "load", offered(tmp_path, document(10)), "--force")
        assert told.exit_code == 1
        assert "not signed" in told.stderr
        signed = signed_trust_list(document(10))
        deployment.done("trust", "load", offered(tmp_path, signed))
        assert held_file(deployment.settings).read_bytes() == signed
        told = deployment.call(
            "trust", "load", offered(tmp_path, signed.replace(b"d01.", b"e01.")), "--force"
        )
        assert told.exit_code == 1
        assert "signature does not hold" in told.stderr
    finally:
        deployment.path.write_text(text, "utf-8")
