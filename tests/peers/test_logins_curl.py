"""curl logs in with an access token and with a client certificate, on submission and on IMAP."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.support import region
from tests.support.machines import MACHINE, MachineGateway, machine_gateway
from tests.support.prosante import CLIENT, ISSUER, ProSante, pro_sante

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]
DENIED = 67
"""curl: the user name, password, or similar was not accepted."""


@pytest.fixture(scope="module")
def issuer() -> Iterator[ProSante]:
    with pro_sante() as made:
        yield made


@pytest.fixture(scope="module")
def served(issuer: ProSante) -> Iterator[MachineGateway]:
    oauth = f'\n[oauth]\nenabled = true\nissuer = "{ISSUER}"\naudiences = ["{CLIENT}"]\n'
    with machine_gateway(oauth + f'jwks_url = "{issuer.url}"\n') as made:
        yield made


def curl(served: MachineGateway, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    root = str(served.gateway.settings.pki.anchors)
    return subprocess.run(
        ["curl", "-sS", "--cacert", root, *arguments], input=given, capture_output=True, timeout=60
    )


def mail(sender: str, subject: str) -> bytes:
    lines = (f"From: {sender}", f"To: {region.NURSE.address}", f"Subject: {subject}", "", "Bonjour.", "")
    return "\r\n".join(lines).encode()


def sending(sender: str) -> tuple[str, ...]:
    return "--mail-from", sender, "--mail-rcpt", region.NURSE.address, "-T", "-"


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_curl_with_a_token(served: MachineGateway, issuer: ProSante, mechanism: str) -> None:
    sender = region.GP.address
    login = ("-u", f"{sender}:", "--login-options", f"AUTH={mechanism}", "--oauth2-bearer")
    smtp = f"smtp://localhost:{served.gateway.submission_port}/poste"
    imap = f"imaps://localhost:{served.gateway.imaps_port}/INBOX"
    good, bad = issuer.token(region.GP.rpps), issuer.token(region.GP.rpps, exp=1_700_000_000)

    subject = f"par curl {mechanism}"
    done = curl(served, *login, good, "--ssl-reqd", smtp, *sending(sender), given=mail(sender, subject))
    assert done.returncode == 0, done.stderr
    served.gateway.client(region.NURSE).wait(subject)
    done = curl(served, *login, good, imap, "-X", "EXAMINE INBOX")
    assert (done.returncode, b"UIDVALIDITY" in done.stdout) == (0, True), done.stderr
    done = curl(served, *login, bad, "--ssl-reqd", smtp, *sending(sender), given=mail(sender, "non"))
    assert done.returncode == DENIED
    assert curl(served, *login, bad, imap, "-X", "EXAMINE INBOX").returncode == DENIED


def test_curl_with_a_certificate(served: MachineGateway) -> None:
    def login(card: str) -> tuple[str, ...]:
        shown = served.cards[card]
        options = ("-u", f"{MACHINE.address}:", "--login-options", "AUTH=EXTERNAL")
        return (*options, "--cert", str(shown.certificate), "--key", str(shown.key))

    smtp = f"smtps://localhost:{served.smtp_port}/dpi"
    imap = f"imaps://localhost:{served.imap_port}/INBOX"
    letter = mail(MACHINE.address, "par curl et certificat")
    done = curl(served, *login("dpi"), smtp, *sending(MACHINE.address), given=letter)
    assert done.returncode == 0, done.stderr
    served.gateway.client(region.NURSE).wait("par curl et certificat")
    done = curl(served, *login("dpi"), imap, "-X", "EXAMINE INBOX")
    assert (done.returncode, b"UIDVALIDITY" in done.stdout) == (0, True), done.stderr
    assert curl(served, *login("revoked"), smtp, *sending(MACHINE.address), given=letter).returncode == DENIED
    assert curl(served, *login("revoked"), imap, "-X", "EXAMINE INBOX").returncode == DENIED
    assert curl(served, *login("other root"), imap, "-X", "EXAMINE INBOX").returncode != 0
