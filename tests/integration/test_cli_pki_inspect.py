"""``gateway pki inspect``: files as operators hand them over, in a deployment and without one."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import pem
from click.testing import CliRunner, Result

from certs.paths import read_certificates
from gateway.cli.root import cli
from tests.support.certificates import run
from tests.support.deployment import Deployment, deployed


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


def inspected(deployment: Deployment, code: int, *words: object) -> Any:
    """The data of an inspection that must end with this code."""
    found = deployment.call("pki", "inspect", *words, "--json")
    assert found.exit_code == code, found.output
    return json.loads(found.stdout)


def answers(data: Any, place: int = 0) -> dict[str, str]:
    return {one["role"]: one["verdict"] for one in data["certificates"][place]["abilities"]}


def test_the_deployments_own_certificates_may_what_they_are_for(deployment: Deployment) -> None:
    pki = deployment.settings.pki
    folder = pki.anchors.parent
    for path, roles in (
        (pki.tls_certificate, {"operator server", "operator client", "machine login (EXTERNAL)"}),
        (pki.smime_certificate, {"organisation signature", "person's signature"}),
        (folder / "conf.pem", {"organisation encryption"}),
        (pki.anchors, {"certification authority"}),
    ):
        found = answers(inspected(deployment, 0, path))
        assert {role for role, verdict in found.items() if verdict == "passed"} == roles
    data = inspected(deployment, 0, pki.crls / "ORG-TEST.crl")
    assert [one["verdict"] for one in data["lists"]] == ["passed"]


def test_the_text_says_yes_and_why_not(deployment: Deployment) -> None:
    pki = deployment.settings.pki
    text = deployment.done("pki", "inspect", pki.smime_certificate)
    assert "  operator client: no - extended key usage lacks clientAuth; " in text
    assert f"  organisation signature: yes - for mail from {deployment.settings.service_address}\n" in text
    told = deployment.call("pki", "inspect", pki.tls_certificate, "--domain", "elsewhere.example")
    assert "operator server: no - domain elsewhere.example is not in the trust list\n" in told.stdout
    assert told.exit_code == 0  # it may still log in


def test_standard_input_and_a_bundle_of_pkcs7(deployment: Deployment, tmp_path: Path) -> None:
    pki = deployment.settings.pki
    bundle = tmp_path / "bundle.p7b"
    command = "openssl crl2pkcs7 -nocrl -outform DER"
    assert run(*command.split(), "-certfile", pki.tls_certificate, "-out", bundle).returncode == 0
    found = CliRunner().invoke(
        cli, ["--config", str(deployment.path), "pki", "inspect", "-", "--json"], input=bundle.read_bytes()
    )
    assert found.exit_code == 0
    assert len(json.loads(found.stdout)["certificates"]) == 2


def test_a_private_key_is_noticed_and_never_shown(deployment: Deployment, tmp_path: Path) -> None:
    pki = deployment.settings.pki
    both = tmp_path / "both.pem"
    both.write_bytes(pki.tls_key.read_bytes() + pki.tls_certificate.read_bytes())
    for words in ((), ("--json",)):
        told = deployment.call("pki", "inspect", both, *words)
        assert told.exit_code == 0
        assert "this file also holds a private key" in told.stdout
        for line in pki.tls_key.read_text().splitlines():
            assert line not in told.output
    alone = deployment.call("pki", "inspect", pki.tls_key)
    assert (alone.exit_code, "holds a private key" in alone.stdout) == (1, True)


def test_a_chain_whose_leaf_may_nothing_is_not_saved_by_its_authority(
    deployment: Deployment, tmp_path: Path
) -> None:
    given = ("--organisation", "CH", "--unit", "1430000017", "--department", "Haute-Loire (43)")
    issue = ("pki", "issue", "--profile", "serv-ssl", "--cn", "mx.b.example", "--host", "mx.b.example")
    deployment.done(*issue, *given, "--out", tmp_path / "own")
    full = tmp_path / "own-full.pem"
    told = deployment.done("pki", "inspect", full)
    assert "operator client: no - no domain of the trust list lists this DN\n" in told
    deployment.done("pki", "revoke", tmp_path / "own.pem", "--reason", "keyCompromise")
    data = inspected(deployment, 1, full)
    assert answers(data, 1)["certification authority"] == "passed"
    reasons = {reason for one in data["certificates"][0]["abilities"] for reason in one["reasons"]}
    assert any(reason.startswith("revoked on ") for reason in reasons)


def test_the_time_can_be_another(deployment: Deployment) -> None:
    path = deployment.settings.pki.tls_certificate
    far = datetime.now(UTC) + timedelta(days=3 * 365 + 30)
    text = deployment.call("pki", "inspect", path, "--at", far.isoformat())
    assert (text.exit_code, "expired on " in text.stdout) == (1, True)
    near = datetime.now(UTC) + timedelta(days=3 * 365 - 13)
    data = inspected(deployment, 0, path, "--at", near.isoformat())
    assert data["certificates"][0]["warnings"][0].startswith("expires in 12 days")
    wrong = deployment.call("pki", "inspect", path, "--at", "tomorrow")
    assert (wrong.exit_code, "the offset is needed" in wrong.stderr) == (2, True)


def test_without_a_deployment_the_options_name_the_trust(deployment: Deployment, tmp_path: Path) -> None:
    pki = deployment.settings.pki

    def call(*words: object) -> Result:
        arguments = ["--config", str(tmp_path / "none.toml"), "pki", "inspect", *map(str, words)]
        return CliRunner().invoke(cli, arguments)

    bare = call(pki.smime_certificate)
    assert bare.exit_code == 1
    assert "organisation signature: not known - no anchors at hand" in bare.stdout
    good = call(pki.smime_certificate, "--trust", pki.anchors.parent, "--crl", pki.crls)
    assert (good.exit_code, "organisation signature: yes" in good.stdout) == (0, True)
    unknown = call(pki.smime_certificate, "--trust", pki.anchors.parent)
    assert "no current CRL tells" in unknown.stdout
    false = call(pki.smime_certificate, "--trust", pki.smime_certificate)
    assert (false.exit_code, "no self-signed certificate" in false.stderr) == (1, True)
    assert "--trust names anchors" in call(pki.smime_certificate, "--crl", pki.crls).stderr


def test_a_broken_deployment_does_not_keep_from_inspecting(deployment: Deployment) -> None:
    settings = deployment.settings
    before = settings.trust.list_file.read_bytes()
    settings.trust.list_file.write_bytes(b"<broken")
    try:
        told = deployment.call("pki", "inspect", settings.pki.tls_certificate)
    finally:
        settings.trust.list_file.write_bytes(before)
    assert told.exit_code == 1
    assert "! the deployment's anchors, CRLs or trust list cannot be read" in told.stdout
    assert "certificate CN=" in told.stdout


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "holds no certificate"),
        (b"garbage\n" * 1000, "holds no certificate"),
        (b"\x00" * (5 * 1024 * 1024), "larger than 4 MiB"),
        (b"\x30\x84\xff\xff\xff\xff" * 1000, "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\n" * 10_000, "is not whole"),
    ],
)
def test_hostile_files_are_answered_in_a_line(
    deployment: Deployment, tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "file").write_bytes(content)
    told = deployment.call("pki", "inspect", tmp_path / "file")
    assert told.exit_code == 1
    assert why in told.output
    assert len(told.output.splitlines()) == 1


def test_a_false_authority_with_a_known_name_leaves_no_trace_on_the_terminal(
    deployment: Deployment, tmp_path: Path
) -> None:
    pki = deployment.settings.pki
    leaf, authority = read_certificates(pki.tls_certificate.read_bytes())
    false = authority[:-1] + bytes([authority[-1] ^ 1])
    (tmp_path / "file").write_bytes(leaf_and(leaf, false))
    command = (sys.executable, "-c", "from gateway.cli.root import main; main()")
    told = run(*command, "--config", deployment.path, "pki", "inspect", tmp_path / "file")
    assert (told.returncode, told.stderr) == (0, b"")
    assert told.stdout.count(b"certification authority: no") == 2


def leaf_and(*certificates: bytes) -> bytes:
    return b"".join(pem.armor("CERTIFICATE", der) for der in certificates)


def test_ten_thousand_certificates_are_too_many(deployment: Deployment, tmp_path: Path) -> None:
    own = deployment.settings.pki.smime_certificate.read_bytes()
    file = tmp_path / "file"
    file.write_bytes(own * 10_000)
    told = deployment.call("pki", "inspect", file)
    assert (told.exit_code, "larger than 4 MiB" in told.stderr) == (1, True)


def test_a_file_that_is_not_there_is_wrong_use(deployment: Deployment, tmp_path: Path) -> None:
    told = deployment.call("pki", "inspect", tmp_path / "none")
    assert (told.exit_code, "No such file" in told.stderr) == (2, True)


def test_the_certificate_of_igc_sante_is_read(deployment: Deployment, root: Path) -> None:
    vectors = root.parent / "shared" / "vectors" / "igc-sante"
    if not vectors.is_dir():
        pytest.skip("no vectors beside the repository")
    path = vectors / "EL-TEST-ORG-SIGN.crt.pem"
    at = "2023-01-01T00:00:00Z"
    facts = inspected(deployment, 1, path, "--at", at)["certificates"][0]["facts"]
    assert facts["policies"] == ["1.2.250.1.213.1.7.2.1.1.1.1"]
    assert (facts["addresses"], facts["extended_key_usage"]) == ([], ["emailProtection"])
    told = inspected(deployment, 1, path)["certificates"][0]["abilities"]
    assert all(any(reason.startswith("expired on 2024-12-23") for reason in one["reasons"]) for one in told)
