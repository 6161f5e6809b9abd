"""openssl, gpgsm and NSS with the keys of the test space: each signs, verifies, encrypts and decrypts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from certs.authority import IssuedCertificate, SubjectNames, issue, subject
from certs.profiles import ORG_SIGN
from certs.signing import Signer, load_signer
from tests.support.certificates import NOW, run, space
from tests.support.envelopes import confidential

MISSING = tuple(
    name for name in ("openssl", "gpgsm", "certutil", "cmsutil", "pk12util") if shutil.which(name) is None
)
"""Programs of the peers that are not installed."""
PEERS = ("openssl", "gpgsm", "nss")
_PASSWORD = b"x\n"


@cache
def signing(kind: str) -> IssuedCertificate:
    """Issue a certificate for signatures once per run and kind of key, with an address of its own."""
    key = ec.generate_private_key(ec.SECP521R1()) if kind == "p521" else kind
    name = subject(f"signature {kind}", "300000000000017", "CLINIQUE DE TEST", "Haute-Loire (43)")
    names = SubjectNames(addresses=(address(kind),))
    return issue(space().organisations, ORG_SIGN, name, NOW, names, key)


def address(kind: str) -> str:
    """The address in such a certificate."""
    return f"signe-{kind}@demo.mssante.example"


def own_signer(kind: str, pss: bool = False) -> Signer:
    """Our own side of such a certificate."""
    issued = signing(kind)
    return load_signer(issued.certificate_pem, issued.key_pem, issued.chain_pem, pss)


@dataclass(frozen=True)
class Peers:
    """The peers with their keys in a folder: each answer is what the peer made, None where it refused."""

    folder: Path

    def file(self, name: str, content: bytes) -> Path:
        """Write a file of the folder."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def _made(self, *command: str | Path, given: bytes = b"") -> bytes | None:
        out = self.folder / "out"
        out.unlink(missing_ok=True)
        done = run(*(out if word == "OUT" else word for word in command), given=given)
        return out.read_bytes() if done.returncode == 0 and out.exists() and out.stat().st_size else None

    def _gpgsm(self, *command: str | Path) -> bytes | None:
        home = self.folder / "gnupg"
        common = (
            "gpgsm",
            "--homedir",
            home,
            "--batch",
            "--disable-crl-checks",
            "--pinentry-mode",
            "loopback",
        )
        return self._made(*common, "--passphrase-fd", "0", *command, given=_PASSWORD)

    def _cmsutil(self, *command: str | Path) -> bytes | None:
        return self._made("cmsutil", command[0], "-d", f"sql:{self.folder / 'nss'}", *command[1:])

    def _key(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    # -- signatures ------------------------------------------------------------------------------------

    def verifies(self, peer: str, signature: bytes, content: bytes) -> bool:
        """Whether a peer accepts a detached signature (DER) over a content."""
        signed, detached = self.file("content", content), self.file("signature", signature)
        if peer == "openssl":
            command = "openssl cms -verify -binary -inform DER -purpose smimesign"
            files = ("-in", detached, "-content", signed, "-CAfile", self.folder / "ca.pem", "-out", "OUT")
            return self._made(*command.split(), *files) == content
        if peer == "gpgsm":
            home = self.folder / "gnupg"
            judged = run(
                "gpgsm", "--homedir", home, "--batch", "--disable-crl-checks", "--verify", detached, signed
            )
            return judged.returncode == 0
        return self._cmsutil("-D", "-i", detached, "-c", signed, "-o", "OUT") == content

    def signs(self, peer: str, kind: str, content: bytes, opaque: bool, *options: str) -> bytes | None:
        """Let a peer sign a content; the structure as it writes it, DER or BER."""
        source, (certificate, key) = self.file("content", content), self._key(f"sign-{kind}")
        if peer == "openssl":
            command = ["openssl", "cms", "-sign", "-binary", "-outform", "DER", "-md", "sha256"]
            command += ["-nodetach"] if opaque else []
            files = (
                "-in",
                source,
                "-signer",
                certificate,
                "-inkey",
                key,
                "-certfile",
                self.folder / "chain.pem",
            )
            return self._made(*command, *files, *options, "-out", "OUT")
        if peer == "gpgsm":
            act = "--sign" if opaque else "--detach-sign"
            return self._gpgsm("--local-user", address(kind), act, "-o", "OUT", *options, source)
        # -Y NONE: it would ask for a certificate of the same name that it can encrypt to
        words = ("-S", "-N", f"sign-{kind}", "-G", "-H", "SHA256", "-Y", "NONE", *(() if opaque else ("-T",)))
        return self._cmsutil(*words, *options, "-i", source, "-o", "OUT")

    # -- encryption ------------------------------------------------------------------------------------

    def decrypts(self, peer: str, kind: str, envelope: bytes) -> bytes | None:
        """What a peer finds inside of an envelope for the key of this kind."""
        source, (certificate, key) = self.file("envelope", envelope), self._key(f"conf-{kind}")
        if peer == "openssl":
            command = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER"]
            return self._made(*command, "-in", source, "-recip", certificate, "-inkey", key, "-out", "OUT")
        if peer == "gpgsm":
            return self._gpgsm("--decrypt", "-o", "OUT", source)
        return self._cmsutil("-D", "-i", source, "-o", "OUT")

    def encrypts(self, peer: str, kind: str, content: bytes, *options: str) -> bytes | None:
        """Let a peer encrypt a content for the key of this kind."""
        source, (certificate, _) = self.file("content", content), self._key(f"conf-{kind}")
        if peer == "openssl":
            command = ("openssl", "cms", "-encrypt", "-binary", "-outform", "DER", "-in", source)
            return self._made(*command, *options, "-recip", certificate, "-out", "OUT")
        recipient = f"conf-{kind}@demo.mssante.example"
        if peer == "gpgsm":
            return self._gpgsm("--recipient", recipient, *options, "--encrypt", "-o", "OUT", source)
        return self._cmsutil("-E", "-r", recipient, *options, "-i", source, "-o", "OUT")


@contextmanager
def peers(folder: Path, signers: Sequence[str], recipients: Sequence[str]) -> Iterator[Peers]:
    """Give the peers certificates and keys of these kinds; their agents end with the block."""
    made = Peers(folder)
    made.file("ca.pem", space().root.certificate_pem)
    made.file("chain.pem", space().organisations.certificate_pem)
    owned: Mapping[str, IssuedCertificate] = {f"sign-{kind}": signing(kind) for kind in signers} | {
        f"conf-{kind}": confidential(kind, f"conf-{kind}") for kind in recipients
    }
    for name, issued in owned.items():
        made.file(f"{name}.pem", issued.certificate_pem)
        made.file(f"{name}.key", issued.key_pem)
        command = ["openssl", "pkcs12", "-export", "-legacy", "-passout", "pass:x"]
        files = (
            "-in",
            folder / f"{name}.pem",
            "-inkey",
            folder / f"{name}.key",
            "-out",
            folder / f"{name}.p12",
        )
        assert run(*command, *files, "-name", name, "-certfile", folder / "chain.pem").returncode == 0
    _fill_nss(folder, list(owned))
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    try:
        _fill_gnupg(folder, home, [name for name in owned if name.endswith("-rsa")])
        yield made
    finally:
        run("gpgconf", "--homedir", home, "--kill", "all")


def _fill_nss(folder: Path, names: Sequence[str]) -> None:
    base = folder / "nss"
    base.mkdir()
    assert run("certutil", "-N", "--empty-password", "-d", f"sql:{base}").returncode == 0
    for name, trust in (("ca", "CT,C,C"), ("chain", ",,")):
        added = run(
            "certutil", "-A", "-d", f"sql:{base}", "-n", name, "-t", trust, "-i", folder / f"{name}.pem"
        )
        assert added.returncode == 0
    for name in names:
        run("pk12util", "-i", folder / f"{name}.p12", "-d", f"sql:{base}", "-W", "x", "-K", "")


def _fill_gnupg(folder: Path, home: Path, names: Sequence[str]) -> None:
    """Import the RSA keys: gpgsm 2.2 ends by a segmentation fault on others."""
    found = run("openssl", "x509", "-in", folder / "ca.pem", "-noout", "-fingerprint", "-sha1").stdout
    (home / "trustlist.txt").write_text(f"{found.decode().strip().partition('=')[2]} S relax\n")
    (home / "gpg-agent.conf").write_text("allow-loopback-pinentry\n")
    gpgsm = ("gpgsm", "--homedir", home, "--batch", "--disable-crl-checks", "--pinentry-mode", "loopback")
    assert run(*gpgsm, "--import", folder / "ca.pem", folder / "chain.pem").returncode == 0
    for name in names:
        bundle = folder / f"{name}.p12"
        imported = run(*gpgsm, "--passphrase-fd", "0", "--import", bundle, given=_PASSWORD)
        assert imported.returncode == 0, imported.stderr
