"""``gateway pki init|issue|revoke|crl|list``, judged by openssl."""

import json
import stat
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from certs.authority import SubjectNames
from certs.pkifiles import DemoPki
from certs.profiles import PROFILES
from gateway.cli.root import cli
from gateway.deployment import NewDeployment, make_deployment
from gateway.pkidesk import CertificateOrder, issue_certificate, issued_certificates, pki_locked
from tests.support.certificates import run

ORGANISATION = ("--organisation", "CH DE TEST", "--unit", "1430000017", "--department", "Haute-Loire (43)")
PERSON = ("--surname", "MARTIN", "--given-name", "Jeanne")
WANTED: dict[str, tuple[str, ...]] = {
    "serv-ssl": (*ORGANISATION, "--host", "mx.b.example", "--host", "127.0.0.1"),
    "org-auth-cli": ORGANISATION,
    "org-sign": ORGANISATION,
    "org-conf": (*ORGANISATION, "--address", "avis@b.example"),
    "person-sign": (*PERSON, "--address", "j.martin@b.example"),
    "person-auth": PERSON,
}


@dataclass(frozen=True)
class Folder:
    """A test PKI and the commands on it; there is no deployment."""

    path: Path

    def call(self, *words: object) -> Result:
        """Run `gateway pki …`; what it printed and its exit code."""
        config = str(self.path.parent / "none.toml")
        found = CliRunner().invoke(cli, ["--config", config, "pki", *map(str, words)])
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    def json(self, *words: object) -> Any:
        """Run a command on this PKI that must succeed; its data."""
        found = self.call(*words, "--pki", self.path, "--json")
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    def issue(self, profile: str, prefix: Path, *more: object) -> Any:
        """Issue a certificate of a profile."""
        given = ("--profile", profile, "--cn", f"{profile}.b.example", *WANTED[profile], "--out", prefix)
        return self.json("issue", *given, *more)

    def refused(self, code: int, *words: object) -> str:
        """Run a command that must end with this code, and its one sentence."""
        found = self.call(*words, "--pki", self.path)
        assert (found.exit_code, found.stdout) == (code, "")
        return found.stderr

    def verified(self, certificate: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
        """Ask openssl, which has the root and all CRLs, and the chain that came with the certificate."""
        lists = self.path.parent / "lists.pem"
        pieces = [run("openssl", "crl", "-inform", "DER", "-in", one) for one in self.crls]
        lists.write_bytes(b"".join(piece.stdout for piece in pieces))
        chain = certificate.with_name(certificate.stem + "-chain.pem")
        command = ["openssl", "verify", "-x509_strict", "-crl_check_all", "-CRLfile", str(lists)]
        return run(*command, *options, "-CAfile", self.path / "ca.pem", "-untrusted", chain, certificate)

    @property
    def crls(self) -> Sequence[Path]:
        """The revocation lists, by name."""
        return sorted((self.path / "crls").glob("*.crl"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("pki") / "test")
    found = folder.call("init", folder.path, "--crl-url", "http://crl.test/lists/")
    assert found.exit_code == 0, found.output
    return folder


def number(crl: Path) -> int:
    return (
        x509.load_der_x509_crl(crl.read_bytes())
        .extensions.get_extension_for_class(x509.CRLNumber)
        .value.crl_number
    )


def test_a_pki_has_a_root_two_authorities_empty_crls_and_private_keys(made: Folder) -> None:
    assert [crl.name for crl in made.crls] == ["EL-TEST.crl", "ORG-TEST.crl", "PERS-TEST.crl"]
    subjects = [
        certificate.subject.rfc4514_string()
        for certificate in x509.load_pem_x509_certificates((made.path / "intermediates.pem").read_bytes())
    ]
    assert ["ORGANISATIONS" in subjects[0], "PERSONNES" in subjects[1]] == [True, True]
    keys = [*made.path.glob("*.key"), made.path / "index.json"]
    assert len(keys) == 4
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_nothing_is_overwritten(made: Folder, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in made.path.rglob("*") if path.is_file()}
    told = made.call("init", made.path)
    assert (told.exit_code, "not empty: nothing is overwritten" in told.stderr) == (1, True)
    (tmp_path / "x-chain.pem").write_text("mine")
    given = ("--profile", "org-sign", "--cn", "x", *ORGANISATION, "--out", tmp_path / "x")
    assert "x-chain.pem exists" in made.refused(1, "issue", *given)
    assert {path: path.read_bytes() for path in made.path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["x-chain.pem"]


@pytest.mark.parametrize(
    ("profile", "key", "purpose"),
    [
        ("serv-ssl", "rsa", "sslserver"),
        ("serv-ssl", "rsa", "sslclient"),
        ("org-auth-cli", "p256", "sslclient"),
        ("org-sign", "rsa-3072", "smimesign"),
        ("org-sign", "ed25519", "smimesign"),
        ("org-conf", "rsa", "smimeencrypt"),
        ("person-sign", "p384", "smimesign"),
        ("person-auth", "p256", "sslclient"),
    ],
)
def test_openssl_accepts_each_profile_for_its_purpose(
    made: Folder, tmp_path: Path, profile: str, key: str, purpose: str
) -> None:
    issued = made.issue(profile, tmp_path / "own", "--key", key, "--days", "30")
    certificate = Path(issued["certificate"])
    assert made.verified(certificate, "-purpose", purpose).stdout.endswith(b": OK\n")
    text = run(
        "openssl", "x509", "-in", certificate, "-noout", "-text", "-nameopt", "RFC2253"
    ).stdout.decode()
    branch = "PERS" if profile.startswith("person") else "ORG"
    assert f"URI:http://crl.test/lists/{branch}-TEST.crl" in text
    assert f"Policy: {PROFILES[profile].policy}" in text
    assert ("email:" in text) == ("--address" in WANTED[profile])
    public = run("openssl", "pkey", "-in", issued["key"], "-pubout").stdout
    assert public == run("openssl", "x509", "-in", certificate, "-noout", "-pubkey").stdout
    assert stat.S_IMODE(Path(issued["key"]).stat().st_mode) == 0o600
    assert Path(issued["full"]).read_bytes() == certificate.read_bytes() + Path(issued["chain"]).read_bytes()


def test_the_subject_has_the_order_of_igc_sante(made: Folder, tmp_path: Path) -> None:
    issued = made.issue("org-sign", tmp_path / "own", "--key", "p256")
    found = x509.load_pem_x509_certificate(Path(issued["certificate"]).read_bytes()).subject
    assert [part.rfc4514_attribute_name for part in found] == ["C", "ST", "O", "OU", "CN"]
    person = made.issue("person-sign", tmp_path / "person", "--key", "p256")
    assert person["entry"]["subject"] == "GN=Jeanne,SN=MARTIN,CN=person-sign.b.example,C=FR"


def test_a_request_brings_its_key_and_no_names(made: Folder, tmp_path: Path) -> None:
    request = tmp_path / "r.csr"
    command = (
        "openssl req -new -newkey rsa:2048 -nodes -subj /CN=mine -addext subjectAltName=DNS:evil.example"
    )
    assert run(*command.split(), "-keyout", tmp_path / "r.key", "-out", request).returncode == 0
    issued = made.issue("org-sign", tmp_path / "own", "--csr", request)
    assert issued["key"] is None
    assert not (tmp_path / "own.key").exists()
    certificate = Path(issued["certificate"])
    assert "mine" not in issued["entry"]["subject"]
    assert b"evil" not in run("openssl", "x509", "-in", certificate, "-noout", "-text").stdout
    own = run("openssl", "pkey", "-in", tmp_path / "r.key", "-pubout").stdout
    assert run("openssl", "x509", "-in", certificate, "-noout", "-pubkey").stdout == own
    assert made.verified(certificate).returncode == 0


def test_bad_requests_are_refused(made: Folder, tmp_path: Path) -> None:
    given = ("issue", "--profile", "org-sign", "--cn", "x", *ORGANISATION, "--out", tmp_path / "x", "--csr")
    request = tmp_path / "r.csr"
    weak = "openssl req -new -newkey rsa:1024 -nodes -subj /CN=x -outform DER"
    assert run(*weak.split(), "-keyout", tmp_path / "w.key", "-out", request).returncode == 0
    assert "RSA of 1024 bits" in made.refused(1, *given, request)
    good = "openssl req -new -newkey ed25519 -nodes -subj /CN=x -outform DER"
    assert run(*good.split(), "-keyout", tmp_path / "g.key", "-out", request).returncode == 0
    octets = request.read_bytes()
    request.write_bytes(octets[:-1] + bytes([octets[-1] ^ 1]))
    assert "does not prove its key" in made.refused(1, *given, request)
    request.write_bytes(b"\x30" * 70_000)
    assert "too large" in made.refused(1, *given, request)
    request.write_bytes(b"garbage")
    assert "PKCS#10" in made.refused(1, *given, request)
    conf = ("issue", "--profile", "org-conf", "--cn", "x", *ORGANISATION, "--out", tmp_path / "x")
    request.write_bytes(octets)
    assert "needs a key that encrypts or agrees" in made.refused(1, *conf, "--csr", request)
    assert "needs a key that encrypts or agrees" in made.refused(1, *conf, "--key", "ed25519")
    assert not (tmp_path / "x.pem").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--profile", "org-sign", "--cn", "x"), "needs --organisation, --unit, --department"),
        (("--profile", "serv-ssl", "--cn", "x", *ORGANISATION), "needs --host"),
        (("--profile", "person-sign", "--cn", "x"), "needs --surname, --given-name"),
        (("--profile", "org-sign", "--cn", "x", *ORGANISATION, "--surname", "X"), "are for persons"),
        (("--profile", "org-sign", "--cn", " ", *ORGANISATION), "--cn must not be empty"),
        (("--profile", "org-sign", "--cn", "x", "--unit", "2430000017"), "is not a structure identifier"),
        (("--profile", "org-sign", "--cn", "x", "--address", "a@b@c"), "is not a mail address"),
        (("--profile", "org-sign", "--cn", "x", "--key", "rsa-1024"), "Invalid value for '--key'"),
        (("--profile", "org-sign", "--cn", "x\ny", *ORGANISATION), "printable"),
        (("--profile", "serv-ssl", "--cn", "x", "--host", "a b"), "neither a DNS name nor an IP address"),
        (("--profile", "ca", "--cn", "x"), "Invalid value for '--profile'"),
    ],
)
def test_wrong_use_is_told(made: Folder, tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    assert why in made.refused(2, "issue", *words, "--out", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_stand_in_a_certificate_is_refused(made: Folder, tmp_path: Path) -> None:
    given = ("issue", "--profile", "org-sign", *ORGANISATION, "--out", tmp_path / "x", "--key", "p256")
    assert "cannot stand in a certificate" in made.refused(1, *given, "--cn", "x" * 65)
    assert "outlive its authority" in made.refused(1, *given, "--cn", "x", "--days", "7300")
    assert "is no folder" in made.refused(1, *given[:-3], tmp_path / "none" / "x", "--cn", "x")


def test_a_revoked_certificate_is_refused_by_openssl_and_the_crl_says_why(
    made: Folder, tmp_path: Path
) -> None:
    issued, other = made.issue("serv-ssl", tmp_path / "own"), made.issue("serv-ssl", tmp_path / "other")
    crl = made.path / "crls" / "ORG-TEST.crl"
    before = number(crl)
    since = (datetime.now(UTC) - timedelta(minutes=20)).replace(microsecond=0)
    given = ("--reason", "keyCompromise", "--at", since.isoformat())
    done = made.json("revoke", issued["certificate"], *given)
    assert done["crl"]["number"] == before + 1 == number(crl)
    judged = made.verified(Path(issued["certificate"]))
    assert (judged.returncode, b"certificate revoked" in judged.stderr) == (2, True)
    assert made.verified(Path(other["certificate"])).returncode == 0
    text = run("openssl", "crl", "-inform", "DER", "-in", crl, "-noout", "-text").stdout.decode()
    assert "Key Compromise" in text
    assert f"{since:%b} {since.day:2} {since:%H:%M:%S} {since:%Y} GMT" in text
    assert "revoked already" in made.refused(1, "revoke", issued["certificate"])
    serial = ":".join(wrapped(f"{int(other['entry']['serial'], 16):X}"))
    assert made.json("revoke", serial)["certificate"]["serial"] == other["entry"]["serial"]
    assert made.verified(Path(other["certificate"])).returncode == 2
    listed = {entry["serial"]: entry for entry in made.json("list", "--revoked")}
    assert listed[issued["entry"]["serial"]]["reason"] == "keyCompromise"
    assert other["entry"]["serial"] in listed


def wrapped(digits: str) -> list[str]:
    even = digits.zfill(len(digits) + len(digits) % 2)
    return [even[place : place + 2] for place in range(0, len(even), 2)]


def test_what_is_not_ours_is_not_revoked(made: Folder, tmp_path: Path) -> None:
    before = [crl.read_bytes() for crl in made.crls]
    foreign = tmp_path / "foreign.pem"
    command = "openssl req -x509 -newkey ed25519 -nodes -subj /CN=x"
    assert run(*command.split(), "-keyout", tmp_path / "k", "-out", foreign).returncode == 0
    assert "was not issued by an authority" in made.refused(1, "revoke", foreign)
    assert "a root is not revoked" in made.refused(1, "revoke", made.path / "ca.pem")
    assert "no certificate of serial number ab12" in made.refused(1, "revoke", "AB:12")
    assert "neither a file nor a serial number" in made.refused(2, "revoke", "no such")
    issued = made.issue("org-sign", tmp_path / "own", "--key", "p256")["certificate"]
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert "in the future" in made.refused(1, "revoke", issued, "--at", ahead)
    assert "the offset is needed" in made.refused(2, "revoke", issued, "--at", "2026-11-25T10:00:00")
    assert "is valid from" in made.refused(1, "revoke", issued, "--at", "2020-01-01T00:00:00Z")
    foreign.write_bytes(b"\x30\x82" * 40_000)
    assert "too large" in made.refused(1, "revoke", foreign)
    assert [crl.read_bytes() for crl in made.crls] == before


def test_crls_are_signed_anew_for_the_days_asked_and_keep_their_lines(made: Folder, tmp_path: Path) -> None:
    issued = made.issue("person-auth", tmp_path / "own", "--key", "p256")
    made.json("revoke", issued["certificate"])
    before = [number(crl) for crl in made.crls]
    signed = made.json("crl", "--days", "7")
    assert [number(crl) for crl in made.crls] == [one + 1 for one in before]
    ends = {datetime.fromisoformat(one["next_update"]) for one in signed}
    assert all(timedelta(days=6) < end - datetime.now(UTC) < timedelta(days=8) for end in ends)
    assert made.verified(Path(issued["certificate"])).returncode == 2


def test_an_authority_can_be_revoked_by_the_root(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "pki")
    assert folder.call("init", folder.path, "--cn", "RECETTE").exit_code == 0
    issued = folder.issue("person-sign", tmp_path / "own", "--key", "p256")
    assert folder.verified(Path(issued["certificate"])).returncode == 0
    authority = next(entry for entry in folder.json("list") if "RECETTE PERSONNES" in entry["subject"])
    done = folder.json("revoke", authority["serial"], "--reason", "cACompromise")
    assert done["crl"]["authority"] == "EL-TEST"
    assert folder.verified(Path(issued["certificate"])).returncode == 2


def order(prefix: Path) -> CertificateOrder:
    return CertificateOrder(
        profile=PROFILES["org-auth-cli"],
        common_name=prefix.name,
        unit="1430000017",
        organisation="CH",
        department="Haute-Loire (43)",
        names=SubjectNames(),
        prefix=prefix,
        key="p256",
    )


def test_ten_at_once_are_all_in_the_index(made: Folder, tmp_path: Path) -> None:
    pki, moment = DemoPki(made.path), datetime.now(UTC)
    before = len(issued_certificates(pki))
    with ThreadPoolExecutor(10) as pool:
        done = list(
            pool.map(lambda name: issue_certificate(pki, order(tmp_path / f"n{name}"), moment), range(10))
        )
    serials = {issued.entry.serial for issued in done}
    known = issued_certificates(pki)
    assert len(serials) == 10
    assert len(known) == before + 10
    assert serials <= {entry.serial for entry in known}


def test_of_two_with_one_name_one_is_refused(made: Folder, tmp_path: Path) -> None:
    pki, moment = DemoPki(made.path), datetime.now(UTC)

    def once(_number: int) -> bool:
        try:
            issue_certificate(pki, order(tmp_path / "same"), moment)
        except Exception as error:  # noqa: BLE001 - its text is what is judged
            assert "nothing is overwritten" in str(error)  # noqa: PT017
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(once, range(4))) == [False, False, False, True]


def test_a_folder_that_is_no_pki_or_a_damaged_one_is_told_in_one_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "pki")
    assert "holds no test PKI" in folder.refused(1, "list")
    assert folder.call("init", folder.path).exit_code == 0
    for name in ("index.json", "ORG-TEST.key", "crls/ORG-TEST.crl", "intermediates.pem"):
        path = folder.path / name
        before = path.read_bytes()
        path.write_bytes(b"{}")
        told = folder.refused(1, "crl")
        assert str(path) in told
        assert len(told.splitlines()) == 1
        path.write_bytes(before)
    (folder.path / "EL-TEST.key").unlink()  # a root that is kept elsewhere does not stop the others
    assert [one["authority"] for one in folder.json("crl")] == ["ORG-TEST", "PERS-TEST"]


def test_the_demonstrations_pki_is_such_a_folder(tmp_path: Path) -> None:
    settings = make_deployment(
        NewDeployment(folder=tmp_path / "var", domain="a.example", organisation="A"), datetime.now(UTC)
    )
    folder = Folder(settings.pki.anchors.parent)
    listed = {entry["profile"]: entry for entry in folder.json("list")}
    assert set(listed) == {"CA", "SERV_SSL", "ORG_SIGN", "ORG_CONF"}
    issued = folder.issue("person-sign", tmp_path / "own", "--key", "p256")
    assert folder.verified(Path(issued["certificate"])).returncode == 0
    folder.json("revoke", listed["SERV_SSL"]["serial"], "--reason", "superseded")
    crl = x509.load_der_x509_crl((folder.path / "crls" / "ORG-TEST.crl").read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(int(listed["SERV_SSL"]["serial"], 16)) is not None


def test_a_deployment_is_made_upon_a_pki_that_is_there(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "var" / "pki")
    assert folder.call("init", folder.path, "--cn", "RECETTE").exit_code == 0
    anchors = (folder.path / "ca.pem").read_bytes()
    new = NewDeployment(folder=tmp_path / "var", domain="a.example", organisation="A")
    make_deployment(new, datetime.now(UTC))
    assert (folder.path / "ca.pem").read_bytes() == anchors
    chain = folder.path / "smime-chain.pem"
    for name in ("tls.pem", "smime.pem", "conf.pem"):
        judged = run(
            "openssl", "verify", "-CAfile", folder.path / "ca.pem", "-untrusted", chain, folder.path / name
        )
        assert judged.returncode == 0, judged.stderr


def test_certificates_of_a_real_authority_are_left_alone(tmp_path: Path) -> None:
    new = NewDeployment(folder=tmp_path / "var", domain="a.example", organisation="A")
    settings = make_deployment(new, datetime.now(UTC))
    pki = DemoPki(settings.pki.anchors.parent)
    for path in (*pki.authority_keys, pki.index, pki.conf_key, pki.conf_certificate, pki.crl("EL-TEST")):
        path.unlink()
    before = {path: path.read_bytes() for path in pki.directory.rglob("*") if path.is_file()}
    make_deployment(new, datetime.now(UTC))
    assert {path: path.read_bytes() for path in pki.directory.rglob("*") if path.is_file()} == before


def test_init_tells_a_damaged_folder_in_one_line(tmp_path: Path) -> None:
    command = ["--config", str(tmp_path / "var" / "gateway.toml"), "init"]
    assert CliRunner().invoke(cli, command).exit_code == 0
    folder = tmp_path / "var" / "pki"
    for name, why in (
        ("tls.key", "lacks tls.key"),
        ("index.json", "index.json: "),
        ("ca.pem", "ca.pem is not"),
    ):
        path = folder / name
        before = path.read_bytes()
        if name == "tls.key":
            path.unlink()
        else:
            path.write_bytes(b"{}")
            (folder / "crls" / "EL-TEST.crl").unlink()  # so that it is to be signed anew
        told = CliRunner().invoke(cli, command)
        assert (told.exit_code, len(told.stderr.splitlines())) == (1, 1)
        assert why in told.stderr
        path.write_bytes(before)
        assert CliRunner().invoke(cli, command).exit_code == 0
    (tmp_path / "var" / "trust-list.xml").unlink()
    (folder / "tls.pem").write_bytes(b"garbage")
    told = CliRunner().invoke(cli, command)
    assert (told.exit_code, "tls.pem: not readable as a certificate" in told.stderr) == (1, True)


def test_what_a_killed_command_began_is_cleared(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "pki")
    assert folder.call("init", folder.path).exit_code == 0
    (folder.path / ".index.json.4242").write_bytes(b"{")
    (folder.path / "crls" / ".ORG-TEST.crl.4242").write_bytes(b"0")
    folder.json("crl")
    assert [path.name for path in folder.path.rglob(".*")] == [".lock"]


def test_a_pki_that_another_command_holds_is_waited_for(made: Folder, tmp_path: Path) -> None:
    pki = DemoPki(made.path)
    with ThreadPoolExecutor(1) as pool:
        with pki_locked(pki):
            waiting = pool.submit(issue_certificate, pki, order(tmp_path / "late"), datetime.now(UTC))
            before = issued_certificates(pki)
            assert not waiting.done()
        assert waiting.result().entry not in before
