"""``gateway smime``: messages judged, signed, encrypted and decrypted by hand, without a deployment too."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import pem
from click.testing import CliRunner, Result

from certs.authority import Revocation, issue_crl
from certs.envelopes import decrypt_message, encrypt_message
from certs.smime import sign_message
from gateway.cli.root import cli
from tests.support.certificates import ADDRESS, ENTITY, NOW, certificate, headers, signer, space
from tests.support.deployment import Deployment, deployed
from tests.support.encryption import organisation
from tests.support.envelopes import built, confidential, decryptor, entropy, mail, target


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smime")
    issued, own = certificate(), confidential()
    draft = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers()) + ENTITY
    for name, content in (
        ("root.pem", space().root.certificate_pem),
        ("signer.pem", issued.certificate_pem),
        ("signer.key", issued.key_pem),
        ("chain.pem", issued.chain_pem),
        ("own.pem", own.certificate_pem),
        ("own.key", own.key_pem),
        ("draft.eml", draft),
        ("stored.eml", draft.replace(b"\r\n", b"\n")),
        ("signed.eml", sign_message(headers(), ENTITY, signer(), NOW)),
    ):
        (folder / name).write_bytes(content)
    return folder


def call(*arguments: object, given: bytes | None = None) -> Result:
    """Run a command where there is no deployment."""
    command = ["--config", "no/gateway.toml", "smime", *map(str, arguments)]
    return CliRunner().invoke(cli, command, input=given)


def told(*arguments: object, given: bytes | None = None) -> Any:
    return json.loads(call(*arguments, "--json", given=given).stdout)


SIGNER = ("--cert", "signer.pem", "--key", "signer.key", "--chain", "chain.pem")


def own(files: Path, options: tuple[str, ...]) -> list[object]:
    return [files / word if "." in word else word for word in options]


# -- verify --------------------------------------------------------------------------------------------


def test_a_signed_message_passes_and_says_why(files: Path) -> None:
    found = call("verify", files / "signed.eml", "--trust", files / "root.pem")
    assert found.exit_code == 0
    for said in (
        "verdict     passed (genuine)",
        "CN=signature.demo.mssante.example",
        f"addresses {ADDRESS}",
        "protected   Subject: [TLE-2026-000123 - en cours]",
        "revocation  not checked",
    ):
        assert said in found.stdout
    data = told("verify", "-", "--trust", files / "root.pem", given=(files / "signed.eml").read_bytes())
    assert (data["verdict"], data["reason"], data["revocation"]) == ("passed", "genuine", "not-checked")
    assert data["signers"][0]["addresses"] == [ADDRESS]
    assert ["Subject", "[TLE-2026-000123 - en cours]"] in data["protected_headers"]


def test_what_fails_exits_with_1_and_names_the_reason(files: Path) -> None:
    raw = (files / "signed.eml").read_bytes()
    trust = ("--trust", files / "root.pem")
    for changed, verdict, reason in (
        (raw.replace(b"Bonjour", b"Bonsoir"), "failed", "digest-wrong"),
        (raw.replace(ADDRESS.encode(), b"autre@x.example", 1), "failed", "from-differs"),
        ((files / "draft.eml").read_bytes(), "none", "unsigned"),
        (b"", "none", "unsigned"),
    ):
        found = call("verify", "-", *trust, given=changed)
        assert found.exit_code == 1
        assert f"verdict     {verdict}" in found.stdout
        assert reason in found.stdout
        assert told("verify", "-", *trust, given=changed)["reason"] == reason


def test_what_the_outer_header_says_otherwise_is_named(files: Path) -> None:
    changed = (files / "signed.eml").read_bytes().replace(b"Subject: [TLE", b"Subject: Re: [TLE", 1)
    found = call("verify", "-", "--trust", files / "root.pem", given=changed)
    assert found.exit_code == 0
    assert "differs     subject" in found.stdout
    assert "note        headers-differ" in found.stdout


def test_a_message_stored_with_lf_is_judged_as_it_travelled(files: Path) -> None:
    stored = (files / "signed.eml").read_bytes().replace(b"\r\n", b"\n")
    assert call("verify", "-", "--trust", files / "root.pem", given=stored).exit_code == 0


def test_revocation_lists_are_required_where_they_are_given(files: Path, tmp_path: Path) -> None:
    arguments = ("verify", files / "signed.eml", "--trust", files / "root.pem", "--crl", tmp_path)
    assert told(*arguments)["reason"] == "revocation-unknown"
    assert call(*arguments).exit_code == 3
    here = space()
    (tmp_path / "root.crl").write_bytes(issue_crl(here.root, NOW))
    (tmp_path / "organisations.crl").write_bytes(issue_crl(here.organisations, NOW))
    assert call(*arguments).exit_code == 0
    serial = int(told(*arguments)["signers"][0]["serial"], 16)
    revoked = issue_crl(here.organisations, NOW, [Revocation(serial, NOW - timedelta(hours=1))])
    (tmp_path / "organisations.crl").write_bytes(revoked)
    assert told(*arguments)["reason"] == "revoked"
    assert call(*arguments).exit_code == 1


def test_the_time_of_the_judgement_can_be_given(files: Path) -> None:
    arguments = ("verify", files / "signed.eml", "--trust", files / "root.pem", "--at")
    later = NOW.replace(year=NOW.year + 5)
    assert told(*arguments, later.date().isoformat())["reason"] == "expired"
    assert told(*arguments, (NOW - timedelta(days=2)).isoformat())["verdict"] == "failed"
    assert told(*arguments, (NOW + timedelta(days=2)).isoformat())["at"].endswith("+00:00")
    assert call(*arguments, "hier").exit_code == 2


def test_anchors_come_from_a_folder_in_pem_or_der(files: Path, tmp_path: Path) -> None:
    arguments = ("verify", files / "signed.eml", "--trust", tmp_path)
    assert call(*arguments).exit_code == 2  # nothing to believe
    (tmp_path / "root.cer").write_bytes(pem.unarmor(space().root.certificate_pem)[2])
    (tmp_path / "other.pem").write_bytes(space("OTHER").root.certificate_pem)
    (tmp_path / "notes.txt").write_text("not a certificate", "utf-8")
    assert call(*arguments).exit_code == 0
    (tmp_path / "root.cer").unlink()
    assert told(*arguments)["reason"] == "untrusted-issuer"
    (tmp_path / "broken.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert call(*arguments).exit_code == 2
    assert call("verify", files / "signed.eml", "--trust", tmp_path / "none").exit_code == 2


def test_the_deployment_believes_its_own_anchors(deployment: Deployment, files: Path, tmp_path: Path) -> None:
    found = deployment.call("smime", "verify", files / "signed.eml")
    assert found.exit_code == 1
    assert "untrusted-issuer" in found.stdout
    domain = deployment.settings.service.domain
    draft = f"From: teleexpertise@{domain}\r\nSubject: essai\r\n\r\nBonjour\r\n"
    (tmp_path / "draft.eml").write_bytes(draft.encode())
    deployment.done("smime", "sign", tmp_path / "draft.eml", "-o", tmp_path / "signed.eml")
    assert deployment.json("smime", "verify", tmp_path / "signed.eml")["verdict"] == "passed"
    assert deployment.call("smime", "verify", tmp_path / "signed.eml", "--crl", tmp_path).exit_code == 3


def test_the_deployment_decrypts_what_is_encrypted_to_it(deployment: Deployment, files: Path) -> None:
    settings = deployment.settings
    made, line = organisation(settings)
    conf = settings.pki.anchors.parent / "conf.pem"
    found = deployment.call("smime", "encrypt", files / "draft.eml", "--to", conf)
    raw = found.stdout_bytes
    assert decrypt_message(raw, [made.decryptor]).endswith(ENTITY.partition(b"\r\n\r\n")[2])
    encrypted_file = conf.with_name("encrypted.eml")
    encrypted_file.write_bytes(raw)
    refused = deployment.call("smime", "decrypt", encrypted_file)
    assert refused.exit_code == 1
    assert "[smime] decryption" in refused.stderr
    before = deployment.path.read_text("utf-8")
    deployment.path.write_text(f"{before}\n[smime]\ndecryption = [{line}]\n", "utf-8")
    try:
        opened = deployment.call("smime", "decrypt", encrypted_file)
        assert opened.exit_code == 0
        assert opened.stdout_bytes == decrypt_message(raw, [made.decryptor])
        pinned = line.replace(" }", ", authenticated_only = true }")
        deployment.path.write_text(f"{before}\n[smime]\ndecryption = [{pinned}]\n", "utf-8")
        closed = deployment.call("smime", "decrypt", encrypted_file)
        assert closed.stderr == "gateway: the message cannot be decrypted\n"  # it is AES-CBC
    finally:
        deployment.path.write_text(before, "utf-8")


# -- sign ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["draft.eml", "stored.eml"])
@pytest.mark.parametrize("pss", [False, True])
def test_what_is_signed_verifies(files: Path, tmp_path: Path, name: str, pss: bool) -> None:
    options = [*own(files, SIGNER), *(["--pss"] if pss else [])]
    result = told("sign", files / name, *options, "-o", tmp_path / "out.eml")
    assert result["scheme"] == ("pss" if pss else "rsa")
    assert call("verify", tmp_path / "out.eml", "--trust", files / "root.pem").exit_code == 0
    printed = call("sign", files / name, *options)
    assert call("verify", "-", "--trust", files / "root.pem", given=printed.stdout_bytes).exit_code == 0


def test_what_cannot_be_signed_is_told_in_one_line(files: Path) -> None:
    draft = (files / "draft.eml").read_bytes()
    for given in (draft + "é".encode(), draft + b"x" * 999, b"no message", draft + b"a\nb"):
        found = call("sign", "-", *own(files, SIGNER), given=given)
        assert found.exit_code == 1
        assert found.stdout == ""
        assert found.stderr.startswith("gateway: it cannot be signed: ")
    assert call("sign", files / "draft.eml", "--cert", files / "signer.pem").exit_code == 2
    wrong = ("--cert", files / "signer.pem", "--key", files / "own.key")
    assert call("sign", files / "draft.eml", *wrong).exit_code == 1
    assert call("sign", files / "draft.eml", *own(files, SIGNER), "--json").exit_code == 2


# -- encrypt and decrypt -------------------------------------------------------------------------------

KEY = ("--cert", "own.pem", "--key", "own.key")


@pytest.mark.parametrize("gcm", [False, True])
def test_what_is_encrypted_is_decrypted_and_its_signature_verifies(
    files: Path, tmp_path: Path, gcm: bool
) -> None:
    options = ["--to", files / "own.pem", "--sign", *own(files, SIGNER), *(["--gcm"] if gcm else [])]
    result = told("encrypt", files / "draft.eml", *options, "-o", tmp_path / "out.eml")
    assert (result["cipher"], result["authenticated"]) == ("aes256-gcm" if gcm else "aes256-cbc", gcm)
    raw = (tmp_path / "out.eml").read_bytes()
    assert b"Subject: [...]\r\n" in raw
    found = call("decrypt", tmp_path / "out.eml", *own(files, KEY), "--message")
    assert found.exit_code == 0
    assert ("believe the content only if it is signed" in found.stderr) is not gcm
    verdict = told("verify", "-", "--trust", files / "root.pem", given=found.stdout_bytes)
    assert (verdict["verdict"], verdict["differing_headers"]) == ("passed", [])
    entity = call("decrypt", tmp_path / "out.eml", *own(files, KEY))
    assert entity.stdout_bytes == decrypt_message(raw, [decryptor()])


def test_what_was_decrypted_is_for_its_owner_alone(files: Path, tmp_path: Path) -> None:
    call("encrypt", files / "draft.eml", "--to", files / "own.pem", "-o", tmp_path / "out.eml")
    result = told("decrypt", tmp_path / "out.eml", *own(files, KEY), "-o", tmp_path / "plain")
    assert result["cipher"] == "aes256-cbc"
    assert (tmp_path / "plain").stat().st_mode & 0o777 == 0o600
    message = call("decrypt", tmp_path / "out.eml", *own(files, KEY), "--message").stdout_bytes
    assert message.count(b"Subject:") == 2  # the protected one and its HP-Outer
    assert b"HP-Outer: Subject: [...]\r\n" in message


def test_a_signed_message_is_encrypted_as_it_is(files: Path) -> None:
    given = call("encrypt", files / "signed.eml", "--to", files / "own.pem").stdout_bytes
    found = call("decrypt", "-", *own(files, KEY), "--message", given=given)
    assert call("verify", "-", "--trust", files / "root.pem", given=found.stdout_bytes).exit_code == 0


def test_what_is_not_decrypted_is_told_without_its_cause(files: Path) -> None:
    whole = mail(built([], b"", b""))
    for given, why in (
        ((files / "draft.eml").read_bytes(), "it is not encrypted as a whole"),
        (whole, "it is not encrypted as a whole"),
        (encrypted("b"), "it is not encrypted for these certificates"),
        (altered(), "the message cannot be decrypted"),
    ):
        found = call("decrypt", "-", *own(files, KEY), given=given)
        assert found.exit_code == 1
        assert found.stdout == ""
        assert found.stderr == f"gateway: {why}\n"


def encrypted(who: str) -> bytes:
    return encrypt_message(headers(), ENTITY, [target("rsa", who, gcm=True)], entropy)


def altered() -> bytes:
    raw = encrypted("a")
    return raw[:-30] + (b"A" if raw[-30:-29] != b"A" else b"B") + raw[-29:]


def test_wrong_use_of_keys_and_certificates(files: Path) -> None:
    draft = files / "draft.eml"
    assert call("decrypt", draft, "--cert", files / "own.pem").exit_code == 2
    assert call("decrypt", draft, "--cert", files / "own.pem", "--key", files / "signer.key").exit_code == 1
    assert call("encrypt", draft).exit_code == 2
    assert call("encrypt", draft, "--to", files / "own.pem", *own(files, SIGNER)).exit_code == 2
    refused = call("encrypt", draft, "--to", files / "signer.pem")
    assert refused.exit_code == 1
    assert "key usage does not allow encryption" in refused.stderr
    assert call("encrypt", draft, "--to", files / "draft.eml").exit_code == 1


def test_a_new_deployment_opens_what_is_encrypted_to_its_certificate(tmp_path: Path, files: Path) -> None:
    def call(*arguments: object) -> Result:
        return CliRunner().invoke(cli, ["--config", f"{tmp_path}/new/gateway.toml", *map(str, arguments)])

    assert call("init").exit_code == 0
    conf, sealed = tmp_path / "new" / "pki" / "conf.pem", tmp_path / "sealed.eml"
    assert call("smime", "encrypt", files / "draft.eml", "--to", conf, "-o", sealed).exit_code == 0
    opened = call("smime", "decrypt", sealed)
    assert opened.exit_code == 0, opened.output
    assert opened.stdout_bytes.endswith(ENTITY.partition(b"\r\n\r\n")[2])
    settings = (tmp_path / "new" / "gateway.toml").read_bytes()
    assert call("init").exit_code == 0
    assert (tmp_path / "new" / "gateway.toml").read_bytes() == settings


@pytest.mark.parametrize("option", ["--trust", "--crl"])
def test_files_larger_than_any_list_are_not_read(
    deployment: Deployment, files: Path, tmp_path: Path, option: str
) -> None:
    huge = tmp_path / "huge.bin"
    with huge.open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    found = deployment.call("smime", "verify", files / "draft.eml", option, huge)
    assert found.exit_code == 2
    assert "huge.bin: larger than 16 MiB" in found.stderr
