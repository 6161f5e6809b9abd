"""DKIM keys from a real name server on the loopback and from the table; which of our keys signs when."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.dkim import DkimFault, DkimReason, KeyKind, Unavailable, load_dkim_signer, sign_dkim
from certs.dkim.verifying import signatures_in
from certs.verdicts import Verdict
from config import ConfigError, Settings
from config.loader import load_mapping
from gateway.dkimkeys import TableKeys, key_place, key_source
from gateway.dkimspace import DkimSpace, OurKey, load_dkim, signing_key
from tests.support.dkim import (
    DOMAIN,
    KEY,
    NOW,
    SELECTOR,
    Zone,
    dkim_signer,
    dns_server,
    key_pem,
    quoted,
    record_text,
)

MAIL = b"From: remy@demo.mssante.example\r\nSubject: avis\r\n\r\nBonjour\r\n"
NAIVE = datetime.fromisoformat("2026-01-01T00:00:00")
GOOD = key_place(KEY)
MANY, NONSENSE, BROKEN, SILENT = (f"{name}._domainkey.{DOMAIN}" for name in ("many", "odd", "broken", "mute"))


def settings(folder: Path, **dkim: object) -> Settings:
    return load_mapping({"service": {"domain": DOMAIN}, "dkim": dkim}, folder)


@pytest.fixture
def zone() -> Zone:
    texts = {
        GOOD: (quoted(record_text(KeyKind.RSA)),),
        MANY: (quoted(record_text()), '"v=spf1 -all"'),
        NONSENSE: ('"v=spf1 -all"',),
    }
    return Zone(texts, frozenset({BROKEN}), frozenset({SILENT}))


@pytest.fixture
async def source(zone: Zone, tmp_path: Path) -> AsyncIterator[TableKeys]:
    async with dns_server(zone) as address:
        yield key_source(settings(tmp_path, nameservers=[address], lookup_s=1))


async def test_a_key_in_two_strings_is_found_once_for_many_mails(source: TableKeys, zone: Zone) -> None:
    assert len(zone.texts[GOOD][0]) > 255
    for _ in range(3):
        assert await source.find(KEY) == dkim_signer(KeyKind.RSA).record
    assert zone.asked == [GOOD]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("absent", Unavailable.MISSING),
        ("many", Unavailable.MALFORMED),
        ("odd", Unavailable.MALFORMED),
        ("broken", Unavailable.UNKNOWN),
        ("mute", Unavailable.UNKNOWN),
        ("a" * 63 + "." + "b" * 63 + "." + "c" * 63 + "." + "d" * 40, Unavailable.UNKNOWN),  # no name at all
    ],
)
async def test_each_answer_of_the_dns_has_its_meaning_and_is_remembered(
    source: TableKeys, zone: Zone, selector: str, found: Unavailable
) -> None:
    assert await source.find((DOMAIN, selector)) is found
    asked = len(zone.asked)
    assert await source.find((DOMAIN, selector)) is found
    assert len(zone.asked) == asked


async def test_a_silent_name_server_costs_each_mail_no_more_than_the_limit(
    zone: Zone, tmp_path: Path
) -> None:
    raw = b"".join(
        b"DKIM-Signature: v=1; a=rsa-sha256; d=demo.mssante.example; s=mute%d; h=from; bh=AA==; b=AA==\r\n"
        % n
        for n in range(6)
    )
    names = [key_place(name) for name in signatures_in(raw + MAIL)]
    assert len(names) == 4
    async with dns_server(replace(zone, silent=frozenset(names), asked=[])) as address:
        space = load_dkim(settings(tmp_path, nameservers=[address], lookup_s=1, enabled=False))
        async with asyncio.timeout(3):  # one second for all four at once
            report = await space.judge(raw + MAIL, NOW)
    assert report.verdict is Verdict.INDETERMINATE
    assert {one.reason for one in report.signatures} == {DkimReason.KEY_UNAVAILABLE}


async def test_the_table_comes_before_the_dns(zone: Zone, tmp_path: Path) -> None:
    async with dns_server(zone) as address:
        table = {GOOD: record_text(), BROKEN: "v=DKIM1; p=!"}
        known = key_source(settings(tmp_path, keys=table, nameservers=[address]))
        assert await known.find(KEY) == dkim_signer().record
        assert await known.find((DOMAIN, "broken")) is Unavailable.MALFORMED
        assert await known.find((DOMAIN, "absent")) is Unavailable.MISSING
    assert zone.asked == [key_place((DOMAIN, "absent"))]


async def test_without_name_servers_a_key_cannot_be_had(tmp_path: Path) -> None:
    assert await key_source(settings(tmp_path, dns=False)).find(KEY) is Unavailable.UNKNOWN


async def test_a_mail_is_judged_by_what_the_dns_says(zone: Zone, tmp_path: Path) -> None:
    async with dns_server(zone) as address:
        space = load_dkim(settings(tmp_path, nameservers=[address], enabled=False))
        for kind, reason in ((KeyKind.RSA, DkimReason.GENUINE), (KeyKind.ED25519, DkimReason.KEY_MISMATCH)):
            raw = sign_dkim(MAIL, dkim_signer(kind), NOW) + MAIL
            report = await space.judge(raw, NOW)
            assert [one.reason for one in report.signatures] == [reason]
        assert (await space.judge(MAIL, NOW)).verdict is Verdict.NONE


# -- our keys -----------------------------------------------------------------------------------------------


def our_key(selector: str, since: datetime) -> OurKey:
    return OurKey(load_dkim_signer(DOMAIN, selector, key_pem()), since)


def test_a_key_signs_from_its_time_on_and_then_the_next() -> None:
    first, second = our_key("k1", NOW), our_key("k2", NOW + timedelta(days=30))
    for keys in ((first, second), (second, first)):
        assert signing_key(keys, NOW - timedelta(seconds=1)) is None
        assert signing_key(keys, NOW) is first
        assert signing_key(keys, NOW + timedelta(days=29)) is first
        assert signing_key(keys, NOW + timedelta(days=30)) is second
    assert signing_key((first, our_key("k3", NOW)), NOW) is not first
    assert signing_key((), NOW) is None


async def test_the_signature_is_in_the_name_of_the_authors_domain_if_ours_and_each_attempt_the_same(
    tmp_path: Path,
) -> None:
    key = our_key(SELECTOR, NOW)
    space = DkimSpace(key_source(settings(tmp_path, dns=False)), (key,), frozenset({DOMAIN, "ch.example"}))
    for author, domain in (
        (b"remy@demo.mssante.example", DOMAIN),
        (b'"Dr" <x@CH.example>', "ch.example"),
        (b"x@elsewhere.example", DOMAIN),
        (b"x@ch.example, y@ch.example", DOMAIN),
    ):
        mail = MAIL.replace(b"remy@demo.mssante.example", author)
        once = await space.sign(mail, NOW, NOW)
        again = await space.sign(mail, NOW, NOW + timedelta(hours=5))
        assert once == again
        assert once.endswith(mail)
        assert signatures_in(once) == ((domain, SELECTOR),)
    before_its_time = await space.sign(MAIL, NOW, NOW - timedelta(hours=1))
    assert before_its_time == MAIL


async def test_what_cannot_be_signed_is_told(tmp_path: Path) -> None:
    space = DkimSpace(key_source(settings(tmp_path, dns=False)), (our_key("k", NOW),), frozenset({DOMAIN}))
    with pytest.raises(DkimFault):
        await space.sign(MAIL.replace(b"\r\n", b"\n"), NOW, NOW)


@pytest.mark.parametrize(
    ("dkim", "named"),
    [
        ({"signing": [{"selector": "A B", "key": "k"}]}, "dkim.signing.0.selector"),
        ({"signing": [{"selector": "a", "key": "k", "since": "soon"}]}, "dkim.signing.0.since"),
        ({"signing": [{"selector": "a", "key": "k", "since": NAIVE}]}, "dkim.signing.0.since"),
        ({"signing": [{"selector": "a", "kye": "k"}]}, "dkim.signing.0."),
        ({"keys": {"demo.example": "p="}}, "dkim.keys"),
        ({"nameservers": ["192.0.2.1"]}, "dkim.nameservers.0"),
        ({"lookup_s": 60}, "dkim.lookup_s"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_named(tmp_path: Path, dkim: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError) as told:
        settings(tmp_path, **dkim)
    assert named in str(told.value)


def test_keys_with_their_time_are_read(tmp_path: Path) -> None:
    since = datetime(2026, 12, 1, tzinfo=UTC)
    (tmp_path / "k.pem").write_bytes(key_pem())
    made = settings(tmp_path, signing=[{"selector": "k2", "key": "k.pem", "since": since}], dns=False)
    (key,) = load_dkim(made).keys
    assert (key.since, key.signer.selector, key.signer.domain) == (since, "k2", DOMAIN)


def test_openssl_reads_the_keys_that_we_make(tmp_path: Path) -> None:
    for kind in KeyKind:
        path = tmp_path / f"{kind}.pem"
        path.write_bytes(key_pem(kind))
        read = subprocess.run(
            ["openssl", "pkey", "-in", path, "-noout", "-text"], capture_output=True, check=False
        )
        assert read.returncode == 0
        assert (b"2048 bit" if kind is KeyKind.RSA else b"ED25519") in read.stdout
