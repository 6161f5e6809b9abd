"""The trust space at work: lists and CRLs that change on disk, are fetched, or are hostile."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509

from certs.authority import Authority, Revocation, issue_crl
from certs.names import DistinguishedName
from certs.operators import TrustEntry, render_trust_list
from certs.paths import read_certificates
from certs.pki import DemoPki, load_authority, write_public
from certs.tls import submission_server_context
from config import Settings, load
from gateway.deployment import NewDeployment, make_deployment
from gateway.fetching import BackOff, Fetcher
from gateway.store.rows import AuditRow
from gateway.store.store import Store
from gateway.trust.keeper import TrustKeeper
from gateway.trust.listfiles import held_file, keep_list
from gateway.trust.status import TrustStatus, read_status
from gateway.trustspace import OperatorTrust, load_trust
from tests.support.certificates import signed_trust_list, space
from tests.support.smtp import until
from tests.support.web import Web, endless, silent, status, web, whole

SIGNER = "CN=signature.demo.mssante.example,OU=300000000000017,O=CLINIQUE DE TEST,ST=Haute-Loire (43),C=FR"
NAME = DistinguishedName.from_text("CN=mx.autre.example,O=AUTRE,C=FR")


def document(domains: Sequence[str], generated: datetime | None = None) -> bytes:
    return render_trust_list([TrustEntry(each, NAME) for each in domains], generated or datetime.now(UTC))


def domains(number: int) -> list[str]:
    return [f"d{index}.mssante.example" for index in range(number)]


@dataclass
class World:
    """A deployment at rest, and the keeper at work beside it."""

    settings: Settings
    trust: OperatorTrust
    store: Store
    server: Web
    ahead: timedelta = timedelta(0)
    _keeping: list[asyncio.Task[None]] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def put(self, content: bytes) -> None:
        write_public(self.settings.trust.list_file, content)

    @property
    def listed(self) -> int:
        return len(self.trust.operators.domains)

    @property
    def status(self) -> TrustStatus:
        return read_status(self.settings) or TrustStatus()

    async def audited(self, result: str, action: str = "trust list") -> list[AuditRow]:
        async with self.store.reading() as tx:
            return [row for row in await tx.audit.list() if (row.action, row.result) == (action, result)]

    @property
    def authority(self) -> Authority:
        return load_authority(DemoPki(self.settings.pki.anchors.parent))

    async def alarmed(self, words: str) -> None:
        await until(lambda: words in self.status.list.alarm)

    async def refused(self) -> int:
        """The SMTP code that our own certificate, shown by a peer, is refused with; 250 where it is not."""
        own = read_certificates(self.settings.pki.tls_certificate.read_bytes())
        refusal = await self.trust.client_refusal(own[0], own[1:], self.now())
        return refusal.code if refusal else 250


def deployment(folder: Path, more: str = "") -> Settings:
    """A deployment like the one made once for all tests, with ``more`` tables in its settings."""
    shutil.copytree(_made(), folder, dirs_exist_ok=True)
    path = folder / "gateway.toml"
    path.write_text(path.read_text() + more, "utf-8")
    return load(path)


@cache
def _made() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tle-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    new = NewDeployment(folder=folder, domain="demo.mssante.example", organisation="Test")
    make_deployment(new, datetime.now(UTC))
    return folder


@asynccontextmanager
async def kept(
    folder: Path, more: str = "", served: Web | None = None, first: bytes = b""
) -> AsyncIterator[World]:
    """A deployment whose settings have ``more`` tables (``URL`` stands for the server's address)."""
    async with web() as plain:
        server = served or plain
        settings = deployment(folder, more.replace("URL", server.url("")))
        if first:
            write_public(settings.trust.list_file, first)
        async with (
            Store.open(settings.database.url.get_secret_value()) as store,
            Fetcher(BackOff(first=0.01, longest=0.01)) as fetcher,
        ):
            world = World(settings, load_trust(settings, datetime.now(UTC)), store, server)
            keeper = TrustKeeper(settings, world.trust, store, fetcher, world.now, look_seconds=0.05)
            task = asyncio.create_task(keeper.run())
            try:
                yield world
            finally:
                task.cancel()
                await asyncio.wait((task,))
                if not task.cancelled():
                    task.result()


# -- the file -----------------------------------------------------------------------------------------------


async def test_a_list_that_changes_on_disk_is_in_force_and_told(tmp_path: Path) -> None:
    async with kept(tmp_path, first=document(domains(2))) as world:
        await until(held_file(world.settings).exists)
        world.put(document(domains(3)))
        await until(lambda: world.listed == 3)
        await until(lambda: world.status.list.changed == 1)
        (line,) = await world.audited("changed")
        assert line.detail["domains_added"] == ["d2.mssante.example"]
        assert (line.detail["added"], line.detail["removed"]) == (1, 0)
        assert held_file(world.settings).read_bytes() == document_of(world)


def document_of(world: World) -> bytes:
    return world.settings.trust.list_file.read_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: b"", "not well formed"),
        (lambda: document(domains(20))[:-30], "not well formed"),
        (lambda: b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", "document type"),
        (lambda: b"x" * 100, "not well formed"),
        (lambda: document(domains(10)), "lacks 10 of 20"),
        (lambda: document(domains(20), datetime.now(UTC) - timedelta(days=1)), "before the one in force"),
        (lambda: document(domains(20), datetime.now(UTC) + timedelta(days=9)), "future"),
    ],
    ids=["empty", "truncated", "xxe", "garbage", "shrunken", "older", "future"],
)
async def test_a_list_that_must_not_be_believed_leaves_the_last_good_one_in_force(
    tmp_path: Path, content: Callable[[], bytes], words: str
) -> None:
    async with kept(tmp_path, first=document(domains(20))) as world:
        await until(held_file(world.settings).exists)
        world.put(content())
        await world.alarmed(words)
        assert world.listed == 20
        (line,) = await world.audited("refused")
        assert words in line.detail["reason"]
        assert line.actor == "trust"
        # A restart does not believe it either: the copy of the last good one is there.
        again = load_trust(world.settings, datetime.now(UTC))
        assert len(again.operators.domains) == 20
        # And a good one ends the alarm.
        world.put(document(domains(19)))
        await until(lambda: world.listed == 19 and not world.status.list.alarm)
        assert len(await world.audited("recovered")) == 1


async def test_a_list_that_an_operator_forces_is_in_force_at_once(tmp_path: Path) -> None:
    async with kept(tmp_path, first=document(domains(20))) as world:
        await until(held_file(world.settings).exists)
        keep_list(world.settings, document(domains(2), datetime.now(UTC) - timedelta(days=1)))
        await until(lambda: world.listed == 2)
        assert not world.status.list.alarm
        assert not await world.audited("refused")


async def test_the_list_that_init_made_gives_way_to_any_real_one(tmp_path: Path) -> None:
    async with kept(tmp_path) as world:
        await until(held_file(world.settings).exists)
        world.put(document(domains(7), datetime.now(UTC) - timedelta(days=3)))
        await until(lambda: world.listed == 7)
        assert not world.status.list.alarm


async def test_a_file_that_is_taken_away_leaves_the_list_in_force(tmp_path: Path) -> None:
    async with kept(tmp_path, first=document(domains(2))) as world:
        await until(held_file(world.settings).exists)
        world.settings.trust.list_file.unlink()
        await world.alarmed("cannot be read")
        assert world.listed == 2
        assert len(load_trust(world.settings, datetime.now(UTC)).operators.domains) == 2


async def test_a_list_that_grew_too_old_answers_451_and_one_that_is_new_heals_it(tmp_path: Path) -> None:
    async with kept(tmp_path) as world:
        await until(held_file(world.settings).exists)
        assert await world.refused() == 250
        world.ahead = timedelta(hours=world.settings.trust.max_age_hours + 1)
        assert await world.refused() == 451
        domain = world.trust.domain_refusal("demo.mssante.example", world.now())
        assert domain is not None
        assert (domain.code, domain.enhanced) == (451, "4.7.1")

        async def told() -> bool:
            return bool(await world.audited("stale"))

        while not await told():  # noqa: ASYNC110 - the world raises no event
            await asyncio.sleep(0.05)
        world.put(document(["demo.mssante.example"], world.now()))
        await until(lambda: world.trust.current(world.now()))


# -- the list by network ------------------------------------------------------------------------------------


FETCHED = '\n[trust]\nurl = "URL/list"\n'


@asynccontextmanager
async def secure() -> AsyncIterator[Web]:
    """A server under TLS with a certificate that the deployments believe."""
    settings = load(_made() / "gateway.toml")
    async with web(submission_server_context(settings.pki.tls_certificate, settings.pki.tls_key)) as server:
        yield server


async def test_a_list_is_fetched_kept_on_disk_and_in_force(tmp_path: Path) -> None:
    async with secure() as server:
        server.answers["/list"] = whole(document(domains(5)))
        async with kept(tmp_path, FETCHED, server, document(domains(3))) as world:
            await until(lambda: world.listed == 5)
            assert await eventual(lambda: document_of(world) == held_file(world.settings).read_bytes())
            assert len(load_trust(world.settings, datetime.now(UTC)).operators.domains) == 5


async def eventual(test: Callable[[], bool]) -> bool:
    await until(test)
    return True


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status(403), "answered 403"),
        (whole(b"<html>"), "not well formed"),
        (whole(document(domains(1), datetime.now(UTC) + timedelta(hours=12))), "lacks 19 of 20"),
        (endless, "more than"),
        (status(302, headers="Location: https://elsewhere.example/\r\n"), "another host"),
    ],
    ids=["403", "garbage", "shrunken", "endless", "redirected"],
)
async def test_what_the_server_gives_instead_of_a_list_is_an_alarm(
    tmp_path: Path, answer: object, words: str
) -> None:
    async with secure() as server:
        server.answers["/list"] = answer  # type: ignore[assignment]
        async with kept(tmp_path, FETCHED, server, document(domains(20))) as world:
            await world.alarmed(words)
            assert world.listed == 20
            assert await world.audited("refused")


async def test_a_server_that_says_nothing_delays_no_question(tmp_path: Path) -> None:
    async with secure() as server:
        server.answers["/list"] = server.answers["/crl"] = silent
        more = FETCHED + '[pki]\ncrl_urls = ["URL/crl"]\n'
        async with kept(tmp_path, more, server, document(domains(2))) as world:
            await until(lambda: "/list" in server.asked)
            async with asyncio.timeout(10):  # the fetch would take 30 s to be given up
                assert await world.refused() == 250
                world.put(document(domains(3)))
                await until(lambda: world.listed == 3)


async def test_a_server_of_another_authority_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(space("AUTRE").root.certificate_pem)
    async with secure() as server:
        server.answers["/list"] = whole(document(domains(5)))
        more = FETCHED + 'url_anchors = "other.pem"\n'
        async with kept(tmp_path, more, server, document(domains(3))) as world:
            await world.alarmed("not believed")
            assert world.listed == 3


async def test_a_list_that_must_be_signed_and_is_not_is_an_alarm(tmp_path: Path) -> None:
    (tmp_path / "signers.pem").write_bytes(space().root.certificate_pem)
    crls = [issue_crl(authority, datetime.now(UTC)) for authority in (space().root, space().organisations)]
    more = f'\n[trust]\nsigner_anchors = "signers.pem"\nsigner = "{SIGNER}"\n'
    signed = signed_trust_list(document(domains(2)))
    folder = tmp_path / "pki" / "crls"
    folder.mkdir(parents=True)
    for number, each in enumerate(crls):
        (folder / f"signer-{number}.crl").write_bytes(each)
    async with kept(tmp_path, more, first=signed) as world:
        await until(held_file(world.settings).exists)
        assert world.listed == 2
        world.put(document(domains(3)))
        await world.alarmed("the list is not signed")
        assert world.listed == 2
        world.put(signed.replace(b"d1.mssante", b"e1.mssante"))
        await world.alarmed("the signature does not hold")
        assert world.listed == 2


# -- revocation lists ---------------------------------------------------------------------------------------


REQUIRED = '\n[pki]\nrevocation = "require"\ncrl_urls = ["URL/crl"]\n'


def own_serial(world: World) -> int:
    return x509.load_pem_x509_certificate(world.settings.pki.tls_certificate.read_bytes()).serial_number


def crl(world: World, minutes: float, *revoked: int, lifetime: timedelta = timedelta(days=7)) -> bytes:
    lines = [Revocation(serial, datetime.now(UTC)) for serial in revoked]
    issued = datetime.now(UTC) + timedelta(minutes=minutes)
    return issue_crl(world.authority, issued, lines, 7, lifetime)


async def test_a_fetched_revocation_list_revokes_without_restart(tmp_path: Path) -> None:
    async with web() as server:
        gate = asyncio.Event()
        bodies: list[bytes] = []

        async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await gate.wait()
            await whole(bodies[0])(reader, writer)

        server.answers["/crl"] = later
        async with kept(tmp_path, REQUIRED, server) as world:
            assert await world.refused() == 250
            bodies.append(crl(world, 5, own_serial(world)))
            gate.set()
            await until(lambda: any(each.fetched_at for each in world.status.crls.values()))

            async with asyncio.timeout(20):
                while await world.refused() != 554:  # noqa: ASYNC110 - the world raises no event
                    await asyncio.sleep(0.05)
            # It is on disk, so that a restart knows it too.
            again = load_trust(world.settings, datetime.now(UTC))
            assert bodies[0] in [each.der for each in again.anchors.crls]
            (name,) = [path.name for path in world.settings.pki.crls.glob("fetched-*")]
            assert name.endswith(".crl")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda world: status(403), "answered 403"),
        (lambda world: whole(b"\x30\x03garbage"), "not a CRL"),
        (lambda world: endless, "more than"),
        (lambda world: whole(crl(world, -3000)), "before the one held"),
        (lambda world: whole(issue_crl(space("AUTRE").organisations, datetime.now(UTC))), "not configured"),
    ],
    ids=["403", "garbage", "endless", "old", "another issuer"],
)
async def test_what_is_no_newer_list_of_ours_leaves_the_held_one_in_use(
    tmp_path: Path, make: Callable[[World], object], words: str
) -> None:
    async with web() as server:
        gate = asyncio.Event()
        answers: list[object] = []

        async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await gate.wait()
            await answers[0](reader, writer)  # type: ignore[operator]

        server.answers["/crl"] = later
        async with kept(tmp_path, REQUIRED, server) as world:
            before = {path.name: path.read_bytes() for path in world.settings.pki.crls.iterdir()}
            answers.append(make(world))
            gate.set()
            await until(lambda: any(words in each.fault for each in world.status.crls.values()))
            assert {path.name: path.read_bytes() for path in world.settings.pki.crls.iterdir()} == before
            assert await world.refused() == 250
            (line,) = await world.audited("refused", "trust crl")
            assert line.target == server.url("/crl")


async def test_past_its_grace_a_list_says_nothing_any_more(tmp_path: Path) -> None:
    async with kept(tmp_path, '\n[pki]\nrevocation = "require"\n[trust]\nmax_age_hours = 99999\n') as world:
        assert await world.refused() == 250
        ends = timedelta(days=90)
        world.ahead = ends + timedelta(hours=world.settings.pki.crl_grace_hours - 2)
        assert await world.refused() == 250
        world.ahead = ends + timedelta(hours=world.settings.pki.crl_grace_hours + 2)
        assert await world.refused() == 454


async def test_a_broken_list_that_an_operator_puts_there_changes_nothing_but_is_told(tmp_path: Path) -> None:
    async with kept(tmp_path, '\n[pki]\nrevocation = "require"\n') as world:
        await until(held_file(world.settings).exists)
        write_public(world.settings.pki.crls / "ORG-TEST.crl", b"garbage")

        async with asyncio.timeout(20):
            while not await world.audited("refused", "trust crl"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await world.refused() == 250


async def test_beside_a_broken_list_a_fetched_revocation_counts_all_the_same(tmp_path: Path) -> None:
    async with web() as server:
        gate = asyncio.Event()
        bodies: list[bytes] = []

        async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await gate.wait()
            await whole(bodies[0])(reader, writer)

        server.answers["/crl"] = later
        async with kept(tmp_path, REQUIRED, server) as world:
            await until(held_file(world.settings).exists)
            write_public(world.settings.pki.crls / "ELSEWHERE.crl", b"garbage")
            async with asyncio.timeout(20):
                while not await world.audited("refused", "trust crl"):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert await world.refused() == 250
            bodies.append(crl(world, 5, own_serial(world)))
            gate.set()
            async with asyncio.timeout(20):
                while await world.refused() != 554:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
