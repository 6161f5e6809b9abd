"""``gateway dkim``: keys are made once, what is published is seen, mails are verified."""

import asyncio
import json
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from certs.dkim import load_dkim_signer, sign_dkim
from gateway.cli.context import now
from tests.support import region
from tests.support.deployment import Deployment, deployed
from tests.support.dkim import Zone, dns_server, keys_toml, published, quoted

NAME = f"tle1._domainkey.{region.DOMAIN}"
MAIL = b"From: a@gateway.mssante.example\r\nSubject: avis\r\n\r\nBonjour\r\n"


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


@contextmanager
def served(zone: Zone) -> Iterator[str]:
    """The zone served in a thread of its own: the command runs a loop of its own."""
    ready, stop = Event(), Event()
    address: list[str] = []

    async def serve() -> None:
        async with dns_server(zone) as found:
            address.append(found)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait(10)
    try:
        yield address[0]
    finally:
        stop.set()
        thread.join(10)


@contextmanager
def with_settings(deployment: Deployment, change: Callable[[str], str]) -> Iterator[None]:
    """The settings file changed for a while."""
    before = deployment.path.read_text("utf-8")
    deployment.path.write_text(change(before), "utf-8")
    try:
        yield
    finally:
        deployment.path.write_text(before, "utf-8")


def asks(address: str) -> Callable[[str], str]:
    return lambda text: text.replace("dns = false", f'dns = false\nnameservers = ["{address}"]\nlookup_s = 1')


def signed(deployment: Deployment) -> bytes:
    (key,) = deployment.settings.dkim.signing
    signer = load_dkim_signer(region.DOMAIN, key.selector, key.key.read_bytes())
    return sign_dkim(MAIL, signer, now()) + MAIL


def test_a_deployment_has_a_key_that_nobody_else_reads(deployment: Deployment) -> None:
    (key,) = deployment.settings.dkim.signing
    assert stat.S_IMODE(key.key.stat().st_mode) == 0o600
    (shown,) = deployment.json("dkim", "show", "--no-dns")
    assert (shown["name"], shown["kind"], shown["signs"], shown["dns"]) == (NAME, "rsa", True, "not asked")
    assert shown["record"] == published(deployment.settings)[NAME]


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_a_new_key_prints_what_to_publish_and_is_never_written_over(
    deployment: Deployment, kind: str
) -> None:
    made = deployment.json("dkim", "key", "--selector", f"k-{kind}", "--kind", kind)
    path = Path(made["key"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    record = made["records"][f"k-{kind}._domainkey.{region.DOMAIN}"]
    assert record.startswith(f"v=DKIM1; k={kind}; p=")
    pem = path.read_bytes()
    again = deployment.call("dkim", "key", "--selector", f"k-{kind}")
    assert again.exit_code == 1
    assert again.stderr.startswith(f"gateway: {path} is there already")
    assert path.read_bytes() == pem
    assert pem.splitlines()[1].decode() not in json.dumps(made)


def test_a_key_as_text_is_a_zone_line_and_a_line_of_settings(deployment: Deployment) -> None:
    text = deployment.done("dkim", "key", "--selector", "next")
    strings = re.search(rf"^next\._domainkey\.{region.DOMAIN}\. IN TXT \( (.*) \)$", text, re.MULTILINE)
    assert strings is not None
    assert all(len(part) <= 255 for part in re.findall('"([^"]*)"', strings[1]))
    line = re.search(r"^\{ selector = .* \}$", text, re.MULTILINE)
    assert line is not None
    entry = line[0].replace("<when the DNS knows it>", "2026-01-01T00:00:00Z")

    def with_it(settings: str) -> str:
        return settings.replace("dns = false", f"dns = false\nsigning = [{entry}]")

    with with_settings(deployment, with_it):
        (shown,) = deployment.json("dkim", "show", "--no-dns")
        assert (shown["name"].partition(".")[0], shown["signs"]) == ("next", True)


@pytest.mark.parametrize("selector", ["../../etc/x", "a b", "", "a/b", "é"])
def test_a_selector_that_is_no_name_makes_no_file(deployment: Deployment, selector: str) -> None:
    before = sorted(deployment.settings.pki.tls_key.parent.iterdir())
    told = deployment.call("dkim", "key", "--selector", selector)
    if selector:
        assert told.exit_code == 1
        assert "no DNS name" in told.stderr
        assert sorted(deployment.settings.pki.tls_key.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("texts", "broken", "state", "exit_code"),
    [
        ("own", False, "published", 0),
        ("other", False, "differs", 1),
        ("nonsense", False, "differs", 1),
        ("none", False, "missing", 1),
        ("none", True, "unknown", 3),
    ],
)
def test_whether_the_dns_has_our_record_is_seen(
    deployment: Deployment, texts: str, broken: bool, state: str, exit_code: int
) -> None:
    own = published(deployment.settings)[NAME]
    answers = {"own": quoted(own), "other": quoted(own.replace("p=MIIB", "p=MIIC")), "nonsense": '"x"'}
    zone = Zone(
        {NAME: (answers[texts],)} if texts in answers else {}, broken=frozenset({NAME} if broken else ())
    )
    with served(zone) as address, with_settings(deployment, asks(address)):
        told = deployment.call("dkim", "show", "--json")
        (shown,) = json.loads(told.stdout)
        assert (shown["dns"], told.exit_code) == (state, exit_code)
        assert state in deployment.call("dkim", "show").stdout


def test_that_no_key_signs_is_seen(deployment: Deployment) -> None:
    key = '{ selector = "later", key = "pki/dkim.key", since = 2999-01-01T00:00:00Z }'

    def exit_code(more: str) -> int:
        with with_settings(deployment, lambda text: text.replace("dns = false", f"dns = false\n{more}")):
            return deployment.call("dkim", "show", "--no-dns").exit_code

    assert exit_code("") == 0
    for signing in (f"signing = [{key}]", "signing = []"):
        assert exit_code(signing) == 1
        assert exit_code(f"{signing}\nenabled = false") == 0


def verified(deployment: Deployment, path: Path, *options: str) -> tuple[int, Any]:
    told = deployment.call("dkim", "verify", path, "--json", *options)
    return told.exit_code, json.loads(told.stdout)


def test_a_mail_is_verified_with_the_table_or_the_dns(deployment: Deployment, tmp_path: Path) -> None:
    raw, record = signed(deployment), published(deployment.settings)[NAME]
    (tmp_path / "good.eml").write_bytes(raw)
    (tmp_path / "bad.eml").write_bytes(raw + b"x\r\n")
    (tmp_path / "unsigned.eml").write_bytes(MAIL)
    with with_settings(deployment, lambda text: text + keys_toml({NAME: record})):
        code, found = verified(deployment, tmp_path / "good.eml", "--no-dns")
        assert (code, found["verdict"]) == (0, "passed")
        assert found["signatures"][0]["not_oversigned"] == []
        code, found = verified(deployment, tmp_path / "bad.eml", "--no-dns")
        assert (code, found["signatures"][0]["reason"]) == (1, "body-changed")
        assert verified(deployment, tmp_path / "unsigned.eml")[0] == 1
        code, found = verified(deployment, tmp_path / "good.eml", "--at", "2020-01-01")
        assert (code, found["signatures"][0]["reason"]) == (1, "signed-in-future")
        text = deployment.call("dkim", "verify", tmp_path / "good.eml", "--no-dns")
        assert (text.exit_code, "genuine" in text.stdout) == (0, True)
    code, found = verified(deployment, tmp_path / "good.eml", "--no-dns")
    assert (code, found["signatures"][0]["reason"]) == (3, "key-unavailable")
    with served(Zone({NAME: (quoted(record),)})) as address, with_settings(deployment, asks(address)):
        assert verified(deployment, tmp_path / "good.eml", "--dns")[0] == 0


def test_a_missing_key_is_told_and_made_again(deployment: Deployment) -> None:
    (key,) = deployment.settings.dkim.signing
    aside = key.key.rename(key.key.with_suffix(".aside"))
    try:
        told = deployment.call("expert", "list", "dermatologie")
        assert told.exit_code == 1
        assert told.stderr.startswith(f"gateway: {key.key}: ")
        made = deployment.json("dkim", "key")
        assert (made["selector"], made["key"], made["configured"]) == ("tle1", str(key.key), True)
        assert deployment.call("expert", "list", "dermatologie").exit_code == 0
    finally:
        aside.replace(key.key)
