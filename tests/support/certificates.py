"""A throw-away trust space for the tests of `certs`: authorities, certificates and the peers' command
lines.
"""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree
from signxml.signer import XMLSigner

from certs.authority import (
    Authority,
    IssuedCertificate,
    Revocation,
    SubjectNames,
    create_intermediate,
    create_root,
    issue,
    issue_crl,
    subject,
)
from certs.paths import RevocationMode, TrustAnchors, load_anchors
from certs.profiles import ORG_SIGN, Profile
from certs.signing import Signer, load_signer

NOW = datetime.now(UTC).replace(microsecond=0)
"""The moment of this run: openssl, gpgsm and TLS judge by the machine's clock."""
ADDRESS = "teleexpertise@demo.mssante.example"


@dataclass(frozen=True)
class Space:
    """Root and intermediate of one trust space."""

    root: Authority
    organisations: Authority


def space(which: str = "EL-TEST") -> Space:
    """Make a trust space once per run and name; another name is another, unrelated space."""
    return _space(which)


@cache
def _space(which: str) -> Space:
    root = create_root(NOW - timedelta(days=400), f"{which} RACINE")
    return Space(root, create_intermediate(root, NOW - timedelta(days=400), f"{which} ORGANISATIONS"))


def certificate(
    key: str = "rsa",
    address: str | None = ADDRESS,
    profile: Profile = ORG_SIGN,
    issued: datetime = NOW,
    which: str = "EL-TEST",
    hosts: tuple[str, ...] = (),
    common_name: str = "signature.demo.mssante.example",
) -> IssuedCertificate:
    """Issue a certificate once per run and set of properties."""
    return _certificate(key, address, profile, issued, which, hosts, common_name)


@cache
def _certificate(
    key: str,
    address: str | None,
    profile: Profile,
    issued: datetime,
    which: str,
    hosts: tuple[str, ...],
    common_name: str,
) -> IssuedCertificate:
    names = SubjectNames(hosts, (address,) if address else ())
    name = subject(common_name, "300000000000017", "CLINIQUE DE TEST", "Haute-Loire (43)")
    return issue(space(which).organisations, profile, name, issued, names, key)


def signer(key: str = "rsa", pss: bool = False, **properties: Any) -> Signer:
    """Load the signer of such a certificate."""
    issued = certificate(key, **properties)
    return load_signer(issued.certificate_pem, issued.key_pem, issued.chain_pem, pss)


def trust(
    revoked: tuple[int, ...] = (),
    crls: tuple[str, ...] = ("root", "organisations"),
    issued: datetime = NOW,
    lifetime: timedelta = timedelta(days=7),
    revocation: RevocationMode = RevocationMode.REQUIRE,
    **properties: Any,
) -> TrustAnchors:
    """Believe in the first space; `revoked` serials are on the intermediate's CRL."""
    here = space()
    lines = [Revocation(serial, NOW - timedelta(hours=2)) for serial in revoked]
    lists = {
        "root": lambda: issue_crl(here.root, issued, lifetime=lifetime),
        "organisations": lambda: issue_crl(here.organisations, issued, lines, lifetime=lifetime),
    }
    return load_anchors(
        here.root.certificate_pem, b"", [lists[name]() for name in crls], revocation, **properties
    )


def signed_trust_list(document: bytes, issued: IssuedCertificate | None = None) -> bytes:
    """The same trust list with an enveloped XML signature of a certificate of the first space."""
    shown = issued or certificate(address=None)
    chain = [shown.certificate_pem.decode(), shown.chain_pem.decode()]
    return etree.tostring(XMLSigner().sign(etree.fromstring(document), key=shown.key_pem, cert=chain))


def headers(sender: str = ADDRESS, **others: str) -> list[tuple[str, str]]:
    """Give the header of a plausible message."""
    return [
        ("From", f'"Dr Aude BELLON =?utf-8?q?=28t=C3=A9l=C3=A9expertise=29?=" <{sender}>'),
        ("To", "martin@autre.mssante.example"),
        ("Subject", "[TLE-2026-000123 - en cours]"),
        ("Date", NOW.strftime("%a, %d %b %Y %H:%M:%S +0000")),
        ("Message-ID", "<1@demo.mssante.example>"),
        ("X-TLE-Id", "5b0c8d0e-0000-4000-8000-000000000001"),
        *((name.replace("_", "-"), value) for name, value in others.items()),
    ]


ENTITY = (
    b"Content-Type: multipart/mixed; boundary=frontier\r\n"
    b"\r\n"
    b"--frontier\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n"
    b"\r\n"
    b"Bonjour, la l=C3=A9sion est b=C3=A9nigne. \r\n"
    b"--frontier\r\n"
    b"Content-Type: image/jpeg\r\n"
    b"Content-Transfer-Encoding: base64\r\n"
    b"\r\n"
    b"/9j/4AAQSkZJRgABAQ==\r\n"
    b"--frontier--\r\n"
)


def run(
    *command: str | Path, given: bytes | None = None, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run a peer and return what it said; the caller judges the exit status."""
    return subprocess.run(
        [str(word) for word in command], input=given, capture_output=True, timeout=60, **options
    )
