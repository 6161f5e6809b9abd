"""Copies for people elsewhere: which certificate they are sealed with, judged at the moment of use."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from asn1crypto import pem, x509

from certs.authority import Revocation, SubjectNames, issue, issue_crl, subject
from certs.der import object_identifier
from certs.envelopes import cipher_of, decrypt_message
from certs.pki import DemoPki, load_authority
from config import load
from gateway.bootstrap import open_services
from gateway.services import Services
from gateway.store.rows import Direction, KnownCertificateRow, MessageRow, OutboxRow
from gateway.workers.confidential import sealed
from gateway.workers.failure import ActionFailed
from tests.support.deployment import Deployment, deployed
from tests.support.encryption import PERSON_BOTH, Holder, holder, text_entity

ADDRESS = "nora.faure@autre.mssante.example"
COPY = (
    b"From: a@gateway.mssante.example\r\nSubject: =?utf-8?q?Avis?=\r\nX-Note: \xc3\xa9t\xc3\xa9\r\n"
    b"MIME-Version: 1.0\r\n" + text_entity("Secret.")
)


@pytest.fixture(scope="module")
def deployment() -> Any:
    with deployed() as made:
        yield made


@pytest.fixture
def person(deployment: Deployment) -> Holder:
    return holder(deployment.settings, ADDRESS)


def der(who: Holder) -> bytes:
    octets: bytes = pem.unarmor(who.issued.certificate_pem)[2]
    return octets


def known(who: Holder, *, gcm: bool = True, hours: int = 0, address: str = ADDRESS) -> KnownCertificateRow:
    """What a signed mail of so many hours ago taught."""
    return KnownCertificateRow(
        address=address,
        fingerprint=uuid4().hex,
        certificate=der(who),
        issuers=who.issued.chain_pem,
        announces_gcm=gcm,
        signed_at=datetime.now(UTC) - timedelta(hours=hours),
    )


def copied(deployment: Deployment, *rows: KnownCertificateRow, toml: str = "", **changes: Any) -> bytes:
    """The copy for ADDRESS of a mail that came encrypted, where these certificates are known."""
    path = deployment.path.with_name("changed.toml")
    path.write_text(deployment.path.read_text("utf-8") + toml, "utf-8")
    settings = load(path)

    async def work() -> bytes:
        async with open_services(settings) as services:
            services = replace(services, **changes)
            row = await _encrypted_mail(services, rows)
            return await sealed(services, row[0], row[1], COPY)

    return asyncio.run(work())


async def _encrypted_mail(
    services: Services, rows: tuple[KnownCertificateRow, ...]
) -> tuple[OutboxRow, MessageRow]:
    now = services.clock()
    message = MessageRow(
        id=uuid4(),
        sha256="0" * 64,
        mail_id=f"<{uuid4()}@x.example>",
        sender="a@gateway.mssante.example",
        body_sha256="0" * 64,
        direction=Direction.RECEIVED,
        received_at=now,
        size=1,
    )
    row = OutboxRow(
        id=uuid4(), key=str(uuid4()), action="relay", recipient=ADDRESS, first_at=now, next_at=now
    )
    async with services.store.transaction() as tx:
        for old in await tx.certificates.of(ADDRESS):
            await tx.certificates.forget(old)
        for each in rows:
            await tx.certificates.learn(each)
        await tx.messages.add(message, b"ciphertext")
        await tx.messages.add_clear(message.id, b"clear")
    return row, message


def opened_by(raw: bytes, who: Holder) -> bool:
    return b"Secret." in decrypt_message(raw, [who.decryptor])


@pytest.mark.parametrize(("gcm", "cipher"), [(True, "aes256-gcm"), (False, "aes256-cbc")])
def test_a_known_certificate_seals_as_its_owner_reads(
    deployment: Deployment, person: Holder, cipher: str, *, gcm: bool
) -> None:
    raw = copied(deployment, known(person, gcm=gcm))
    found = cipher_of(raw)
    assert found is not None
    assert found.name == cipher
    assert opened_by(raw, person)
    assert raw.isascii()
    assert b"Secret." not in raw


def test_the_newest_signature_wins_and_an_old_one_sent_again_changes_nothing(
    deployment: Deployment, person: Holder
) -> None:
    older = holder(deployment.settings, ADDRESS)
    first = known(older, hours=5)
    again = replace(first, signed_at=first.signed_at - timedelta(hours=1), announces_gcm=False)
    raw = copied(deployment, first, known(person), again)
    assert opened_by(raw, person)


def test_an_operators_certificate_comes_first(deployment: Deployment, person: Holder, tmp_path: Path) -> None:
    configured = holder(deployment.settings, ADDRESS)
    pems = configured.issued.certificate_pem + configured.issued.chain_pem
    (tmp_path / f"{ADDRESS}.pem").write_bytes(pems)
    raw = copied(deployment, known(person), toml=f'\n[smime]\ncertificates = "{tmp_path}"\n')
    assert opened_by(raw, configured)


def test_expired_and_unusable_certificates_are_passed_over(deployment: Deployment, person: Holder) -> None:
    authority = load_authority(DemoPki(deployment.settings.pki.anchors.parent))
    name = subject("PERSONNE", "300000000000017", "CABINET DE TEST", "Haute-Loire (43)")
    long_ago = datetime.now(UTC) - timedelta(days=4 * 365)
    expired = Holder(issue(authority, PERSON_BOTH, name, long_ago, SubjectNames((), (ADDRESS,))))
    signs_only = holder(
        deployment.settings, ADDRESS, profile=replace(PERSON_BOTH, key_usage=frozenset({"digital_signature"}))
    )
    raw = copied(deployment, known(expired), known(signs_only), known(person, hours=9))
    assert opened_by(raw, person)
    with pytest.raises(ActionFailed) as failure:
        copied(deployment, known(expired), known(signs_only))
    assert (failure.value.permanent, failure.value.status) == (True, "5.7.4")


@contextmanager
def revoked(deployment: Deployment, *serials: int) -> Iterator[None]:
    """Serial numbers on the authority's list for a while."""
    path = deployment.settings.pki.crls / "ORG-TEST.crl"
    before = path.read_bytes()
    authority = load_authority(DemoPki(deployment.settings.pki.anchors.parent))
    now = datetime.now(UTC)
    lines = [Revocation(serial, now - timedelta(hours=1)) for serial in serials]
    path.write_bytes(issue_crl(authority, now, lines, 7))
    try:
        yield
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("policy", "gcm", "oaep"),
    [
        ("by-capability", True, True),
        ("by-capability", False, False),
        ("pkcs1", True, False),
        ("oaep", False, True),
    ],
)
def test_rsa_gives_the_key_as_the_operator_says(
    deployment: Deployment, person: Holder, policy: str, gcm: bool, oaep: bool
) -> None:
    raw = copied(deployment, known(person, gcm=gcm), toml=f'\n[smime]\nrsa_transport = "{policy}"\n')
    structure = base64.b64decode(raw.partition(b"\r\n\r\n")[2])
    assert (object_identifier("1.2.840.113549.1.1.7") in structure) is oaep
    assert opened_by(raw, person)


def test_a_revoked_certificate_is_not_used(deployment: Deployment, person: Holder) -> None:
    with revoked(deployment, x509.Certificate.load(der(person)).serial_number):
        with pytest.raises(ActionFailed) as failure:
            copied(deployment, known(person))
        assert failure.value.status == "5.7.4"
        assert copied(deployment, known(person), toml='\n[smime]\nforeign_plain = "tls"\n') == COPY


def test_where_revocation_is_unknown_it_is_tried_again(
    deployment: Deployment, person: Holder, tmp_path: Path
) -> None:
    toml = deployment.path.read_text("utf-8")
    (tmp_path / "none").mkdir()
    deployment.path.write_text(
        f'{toml}\n[pki]\nrevocation = "require"\ncrls = "{tmp_path / "none"}"\n', "utf-8"
    )
    try:
        with pytest.raises(ActionFailed) as failure:
            copied(deployment, known(person))
        assert (failure.value.permanent, failure.value.status) == (False, "4.7.5")
    finally:
        deployment.path.write_text(toml, "utf-8")


def test_the_newest_four_certificates_of_an_address_are_kept(deployment: Deployment, person: Holder) -> None:
    rows = [known(person, hours=hours) for hours in (3, 1, 6, 2, 5, 4)]

    async def learnt(services: Services) -> list[str]:
        async with services.store.transaction() as tx:
            for old in await tx.certificates.of(ADDRESS):
                await tx.certificates.forget(old)
            for row in rows:
                await tx.certificates.learn(row)
            return [row.fingerprint for row in await tx.certificates.of(ADDRESS)]

    newest = sorted(rows, key=lambda row: row.signed_at, reverse=True)
    assert deployment.work(learnt) == [row.fingerprint for row in newest[:4]]
