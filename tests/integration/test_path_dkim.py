"""DKIM between two gateways: mail is signed as it leaves, judged as it arrives, and its readers are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from certs.dkim import sign_dkim
from certs.tls import submission_client_context
from config import load
from gateway import CONFIGURATION
from gateway.dkimspace import load_our_keys
from gateway.services import Services
from tests.support import region
from tests.support.dkim import Dkimpy, dkimpy, keys_toml, opendkim_verifies, published
from tests.support.dovecot import free_port
from tests.support.gateway import TestGateway, octets_after_header
from tests.support.operators import (
    made_operator,
    operator_session,
    operators_folder,
    own_certificate,
    resident,
    write_list,
)

pytestmark = pytest.mark.timeout(120)
HERE, THERE = region.DOMAIN, "voisin.mssante.example"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two gateways that know each other's keys by their tables; ``records``: all that are published."""

    here: TestGateway
    there: TestGateway
    records: dict[str, str]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with operators_folder() as folder, ExitStack() as stack:
        ports = {HERE: free_port(), THERE: free_port()}
        made = {}
        for name, domain in (("here", HERE), ("there", THERE)):
            routes = {other: port for other, port in ports.items() if other != domain}
            made[domain] = made_operator(folder / name, domain, routes, mx_port=ports[domain])
        anchors = [settings.pki.anchors.read_bytes() for settings in made.values()]
        listed = {domain: own_certificate(settings) for domain, settings in made.items()}
        records = published(made[HERE]) | published(made[THERE])
        running = {}
        for domain, settings in made.items():
            settings.pki.anchors.write_bytes(b"".join(anchors))
            write_list(settings, listed)
            path = settings.files.mac_key_file.parent / CONFIGURATION
            path.write_text(path.read_text("utf-8") + keys_toml(records), "utf-8")
            gateway = TestGateway(load(path), submission_client_context(settings.pki.anchors))
            gateway.start()
            stack.callback(gateway.stop)
            running[domain] = gateway
        yield Pair(running[HERE], running[THERE], records)


@pytest.fixture(scope="module")
def judge() -> Iterator[Dkimpy]:
    with dkimpy() as peer:
        yield peer


def as_received(gateway: TestGateway, mail_id: str) -> bytes:
    """The octets that a gateway took at its door."""

    async def stored(services: Services) -> bytes:
        async with services.store.reading() as tx:
            (row,) = await tx.messages.by_mail_id(mail_id)
            raw = await tx.messages.get_raw(row.id)
        assert raw is not None
        return raw

    return bytes(gateway.ask(stored))


def results(mail: Any) -> str:
    """What the gateway's own Authentication-Results says, on one line."""
    return " ".join(str(mail["authentication-results"]).split())


def test_a_users_mail_leaves_signed_and_arrives_as_genuine(pair: Pair, judge: Dkimpy) -> None:
    doctor = pair.here.client(region.GP)
    expert = pair.there.client(resident(region.DERMATOLOGIST, THERE))
    sent = doctor.send(
        doctor.compose(expert.address, "Un mail entre nous", "Bonjour,\r\n\r\n  à demain.\r\n\r\n\r\n")
    )
    got = expert.wait("Un mail entre nous")
    told = results(got)
    assert told.startswith(f"{THERE}; smime=none; dkim=pass header.d={HERE} header.i=@{HERE} header.s=tle1 ")
    raw = as_received(pair.there, str(sent["message-id"]))
    assert raw.startswith(b"DKIM-Signature: ")
    assert octets_after_header(raw) == octets_after_header(sent.as_bytes())
    assert judge.verify(raw, pair.records)
    assert opendkim_verifies(raw, pair.records)
    assert not judge.verify(b"X-TLE-State: completed\r\n" + raw, pair.records)


def test_what_the_service_writes_leaves_signed_too(pair: Pair, judge: Dkimpy) -> None:
    doctor = pair.here.client(region.GP)
    asked = doctor.compose(pair.there.service, "Annuaire dermatologie 43")
    answer = doctor.answer_to(doctor.send(asked))
    assert f"dkim=pass header.d={THERE}" in results(answer)
    assert "smime=pass" in results(answer)
    raw = as_received(pair.here, str(answer["message-id"]))
    assert judge.verify(raw, pair.records)


def test_mail_between_our_own_users_is_not_signed(pair: Pair) -> None:
    doctor, expert = pair.here.client(region.GP), pair.here.client(region.DERMATOLOGIST)
    doctor.send(doctor.compose(expert.address, "Entre nous ici"))
    got = expert.wait("Entre nous ici")
    assert got["dkim-signature"] is None
    assert "dkim=" not in results(got)


def _broken(raw: bytes) -> bytes:
    return raw.replace(b"Bonjour", b"Bonsoir")


def _limited(raw: bytes) -> bytes:
    return raw.replace(b"v=1;", b"v=1; l=3;")


def _other_key(raw: bytes) -> bytes:
    return raw.replace(b"s=tle1;", b"s=absent;")


def _unsigned(raw: bytes) -> bytes:
    return raw.partition(b"\r\nFrom:")[2].join((b"From:", b""))


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (_broken, "dkim=fail reason=body-changed"),
        (_limited, "dkim=policy reason=body-length-limited"),
        (_other_key, "dkim=temperror reason=key-unavailable"),
        (_unsigned, "dkim=none"),
    ],
)
def test_what_is_wrong_with_a_signature_is_told_and_the_mail_delivered(
    pair: Pair, edit: Callable[[bytes], bytes], told: str
) -> None:
    (key,) = load_our_keys(pair.there.settings)
    author, doctor = region.DERMATOLOGIST.address.partition("@")[0], pair.here.client(region.GP)
    subject = f"Essai {edit.__name__}"
    mail = (
        f"From: {author}@{THERE}\r\nTo: {doctor.address}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{edit.__name__}@{THERE}>\r\n"
        f"Authentication-Results: {pair.here.settings.hostname}; dkim=pass header.d=forged.example\r\n"
        "\r\nBonjour\r\n"
    ).encode()
    raw = edit(sign_dkim(mail, key.signer, pair.here.ask(_now)) + mail)
    with operator_session(
        pair.here.settings.smtp.mx_port, own_certificate(pair.there.settings).client_tls
    ) as smtp:
        smtp.sendmail(f"{author}@{THERE}", [doctor.address], raw)
    got = doctor.wait(subject)
    assert told in results(got)
    assert "forged" not in str(got.get_all("authentication-results"))


async def _now(services: Services) -> Any:
    return services.clock()
