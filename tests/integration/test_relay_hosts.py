"""The relay against hosts of other operators: aiosmtpd as it is, our own doors, and hosts that misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from aiosmtpd.smtp import SMTP

from gateway.relay.failure import RelayFailed
from gateway.relay.outbound import Relay, RelayTimes
from gateway.relay.routes import MxRoutes, TableRoutes, Target
from gateway.smtp.dialogue import ListenerKind
from gateway.smtp.envelope import DsnOptions, RecipientOptions
from tests.support.smtp import Credentials, RecordingDoors, make_credentials, running_doors

BODY = b"From: a@b.test\r\nSubject: =?utf-8?q?=C3=A9?=\r\n\r\n.point\r\n..\r\n trailing \t\r\n\r\n\r\n"
EIGHT_BIT = BODY + "été\r\n".encode()


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return make_credentials(tmp_path_factory.mktemp("tls"))


class Sink:
    """An aiosmtpd handler that keeps mail, and answers as its recipients' names ask."""

    def __init__(self, offers_8bit: bool = True) -> None:
        self.received: list[tuple[str, list[str], bytes]] = []
        self.options: list[str] = []
        self.offers_8bit = offers_8bit

    async def handle_EHLO(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, name: str, lines: list[str]
    ) -> list[str]:
        session.host_name = name
        return [line for line in lines if self.offers_8bit or "8BITMIME" not in line]

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        answers = {"inconnu": "550 5.1.1 Unknown", "plus-tard": "451 Later", "muet": "550 no\x01 code"}
        answer = answers.get(address.partition("@")[0])
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if envelope.mail_from == "refuse@b.test":
            return "554 5.7.1 No"
        self.options.extend(envelope.mail_options)
        self.received.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 OK"


@asynccontextmanager
async def listening(make: Callable[[], asyncio.BaseProtocol]) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def sink_host(sink: Sink, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    async with listening(
        lambda: SMTP(sink, hostname="sink", tls_context=tls, require_starttls=tls is not None, loop=loop)
    ) as port:
        yield port


def relay_to(
    port: int,
    tls: ssl.SSLContext,
    verify: Callable[[bytes, str], str | None] = lambda certificate, domain: None,
    seconds: float = 20,
) -> Relay:
    async def verified(certificate: bytes, chain: tuple[bytes, ...], domain: str) -> str | None:
        return verify(certificate, domain)

    routes = TableRoutes({"b.test": Target("localhost", port)}, None)
    return Relay(routes, lambda: tls, verified, "gateway.example", RelayTimes(seconds, seconds, seconds * 2))


async def test_octets_arrive_as_they_were(credentials: Credentials) -> None:
    sink = Sink()
    seen: list[tuple[bytes, str]] = []

    def verify(certificate: bytes, domain: str) -> None:
        seen.append((certificate, domain))

    async with sink_host(sink, credentials.server(ask_client=True)) as port:
        relay = relay_to(port, credentials.client(show_certificate=True), verify)
        await relay.send("a@b.test", "bob@B.test", EIGHT_BIT)
        await relay.send("", "bob@b.test", BODY)
    assert sink.received == [("a@b.test", ["bob@B.test"], EIGHT_BIT), ("<>", ["bob@b.test"], BODY)]
    assert sink.options == ["BODY=8BITMIME", f"SIZE={len(EIGHT_BIT)}", f"SIZE={len(BODY)}"]
    expected = ssl.PEM_cert_to_DER_cert(credentials.certificate.read_text())
    assert seen == [(expected, "b.test")] * 2


@pytest.mark.parametrize(
    ("announced", "learned"),
    [
        ("", ""),
        ("teleexpertise@b.test", "teleexpertise@b.test"),
        ("Teleexpertise@B.test", "teleexpertise@b.test"),
        ("teleexpertise@c.test", ""),  # the certificate stands for the recipient's domain alone
        ("teleexpertise@sub.b.test", ""),
        ("teleexpertise@b.test teleexpertise@c.test", ""),
        ("b.test", ""),
        ("@b.test", ""),
    ],
)
async def test_a_gateway_is_known_by_what_it_announces_for_its_own_domain(
    credentials: Credentials, announced: str, learned: str
) -> None:
    doors = RecordingDoors(service=announced)
    async with running_doors(doors, credentials) as servers:
        relay = relay_to(servers.ports[ListenerKind.MX], credentials.client(show_certificate=True))
        assert await relay.send("a@b.test", "bob@b.test", BODY) == learned


async def test_dsn_wishes_travel_to_our_own_doors(credentials: Credentials) -> None:
    doors = RecordingDoors()
    async with running_doors(doors, credentials) as servers:
        relay = relay_to(servers.ports[ListenerKind.MX], credentials.client(show_certificate=True))
        wishes = RecipientOptions(frozenset({"NEVER"}), "rfc822;Bob+x@b.test")
        await relay.send(
            "a@b.test", "bob@b.test", EIGHT_BIT, DsnOptions("FULL", "Q1=é".replace("é", "e+")), wishes
        )
    [(envelope, raw)] = doors.accepted
    assert raw == EIGHT_BIT
    assert envelope.dsn == DsnOptions("FULL", "Q1=e+")
    assert envelope.options == (wishes,)


@pytest.mark.parametrize(
    ("sender", "recipient", "raw", "failure"),
    [
        ("a@b.test", "inconnu@b.test", BODY, (True, 550, "5.1.1", "5.1.1 Unknown")),
        ("a@b.test", "plus-tard@b.test", BODY, (False, 451, "4.0.0", "Later")),
        ("a@b.test", "muet@b.test", BODY, (True, 550, "5.0.0", "no  code")),
        ("refuse@b.test", "bob@b.test", BODY, (True, 554, "5.7.1", "5.7.1 No")),
        ("a@b.test", "bob@b.test", EIGHT_BIT, (True, 554, "5.6.3", "Host does not offer 8BITMIME")),
        (
            "a@b.test",
            "bob@b.test",
            b"A: b\r\n\r\nx\n.\r\n",
            (True, 554, "5.6.0", "Bare CR or LF is not accepted"),
        ),
        ("a@b.test", "bob@c.test", BODY, (True, 550, "5.1.2", "No route to domain")),
        ("a@b.test", "bob", BODY, (True, 550, "5.1.2", "Recipient address without usable domain")),
        (
            "a@b.test",
            "bob@[127.0.0.1]",
            BODY,
            (True, 550, "5.1.2", "Recipient address without usable domain"),
        ),
        (
            "é@b.test",
            "bob@b.test",
            BODY,
            (True, 553, "5.6.7", "Address needs SMTPUTF8, which is not offered"),
        ),
        (
            "a@b.test>\r\nRCPT",
            "b@b.test",
            BODY,
            (True, 553, "5.6.7", "Address needs SMTPUTF8, which is not offered"),
        ),
    ],
)
async def test_failures_tell_what_the_host_said(
    credentials: Credentials, sender: str, recipient: str, raw: bytes, failure: tuple[bool, int, str, str]
) -> None:
    sink = Sink(offers_8bit=False)
    async with sink_host(sink, credentials.server()) as port:
        with pytest.raises(RelayFailed) as raised:
            await relay_to(port, credentials.client()).send(sender, recipient, raw)
    error = raised.value
    assert (error.permanent, error.code, error.enhanced, error.text) == failure
    assert sink.received == []


async def test_a_message_above_the_size_of_the_host(credentials: Credentials) -> None:
    sink = Sink()
    loop = asyncio.get_running_loop()
    async with listening(
        lambda: SMTP(sink, hostname="s", tls_context=credentials.server(), data_size_limit=10, loop=loop)
    ) as port:
        with pytest.raises(RelayFailed) as raised:
            await relay_to(port, credentials.client()).send("a@b.test", "bob@b.test", BODY)
    assert (raised.value.permanent, raised.value.enhanced) == (True, "5.3.4")


async def test_never_in_clear_text(credentials: Credentials) -> None:
    sink = Sink()
    async with sink_host(sink, None) as port:
        with pytest.raises(RelayFailed) as raised:
            await relay_to(port, credentials.client()).send("a@b.test", "bob@b.test", BODY)
    assert not raised.value.permanent
    assert sink.received == []


async def test_a_host_of_a_foreign_authority_gets_nothing(credentials: Credentials, tmp_path: Path) -> None:
    sink = Sink()
    rogue = make_credentials(tmp_path, "rogue")
    async with sink_host(sink, rogue.server()) as port:
        with pytest.raises(RelayFailed) as raised:
            await relay_to(port, credentials.client()).send("a@b.test", "bob@b.test", BODY)
    assert (raised.value.permanent, raised.value.enhanced) == (False, "4.7.5")
    assert sink.received == []


async def test_a_host_that_the_trust_list_does_not_name_gets_nothing(credentials: Credentials) -> None:
    sink = Sink()
    async with sink_host(sink, credentials.server()) as port:
        relay = relay_to(
            port, credentials.client(), lambda certificate, domain: f"DN not listed for {domain}"
        )
        with pytest.raises(RelayFailed, match=r"454 4\.7\.5") as raised:
            await relay.send("a@b.test", "bob@b.test", BODY)
    assert "DN not listed for b.test" in raised.value.text
    assert sink.received == []


async def test_without_our_certificate_the_doors_of_a_peer_stay_closed(credentials: Credentials) -> None:
    doors = RecordingDoors()
    async with running_doors(doors, credentials) as servers:
        relay = relay_to(servers.ports[ListenerKind.MX], credentials.client())
        with pytest.raises(RelayFailed) as raised:
            await relay.send("a@b.test", "bob@b.test", BODY)
    assert not raised.value.permanent
    assert doors.accepted == []


class _Mute(asyncio.Protocol):
    """Accepts and says nothing, or one thing."""

    def __init__(self, greeting: bytes = b"") -> None:
        self._greeting = greeting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._greeting)


@pytest.mark.parametrize(
    "greeting", [b"", b"554 no service\r\n", b"421 busy\r\n", b"\xff\xfe\r\n", b"220 ok\r\n"]
)
async def test_hosts_that_do_not_work_are_tried_later(credentials: Credentials, greeting: bytes) -> None:
    async with listening(lambda: _Mute(greeting)) as port:
        with pytest.raises(RelayFailed) as raised:
            await relay_to(port, credentials.client(), seconds=0.3).send("a@b.test", "bob@b.test", BODY)
    assert not raised.value.permanent
    assert raised.value.remote == "localhost"


async def test_a_closed_port(credentials: Credentials) -> None:
    async with listening(_Mute) as port:
        pass
    with pytest.raises(RelayFailed) as raised:
        await relay_to(port, credentials.client()).send("a@b.test", "bob@b.test", BODY)
    assert (raised.value.permanent, raised.value.enhanced) == (False, "4.4.1")


class _Zone(asyncio.DatagramProtocol):
    """A name server with the answers that the tests need."""

    RECORDS: ClassVar[dict[str, list[str]]] = {
        "two.test.": ["20 second.test.", "10 first.test."],
        "null.test.": ["0 ."],
        "plain.test.": [],
    }

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        name = query.question[0].name
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        records = self.RECORDS.get(name.to_text())
        if name.to_text() == "broken.test.":
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif records is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif records:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "MX", *records))
        self.transport.sendto(answer.to_wire(), addr)


@pytest.fixture
async def routes() -> AsyncIterator[MxRoutes]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Zone, local_addr=("127.0.0.1", 0))
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = transport.get_extra_info("sockname")[1]
    yield MxRoutes(resolver, seconds=2)
    transport.close()


async def test_mx_records(routes: MxRoutes) -> None:
    assert await routes.targets("two.test") == [Target("first.test"), Target("second.test")]
    assert list(await routes.targets("plain.test")) == [Target("plain.test")]
    table = TableRoutes({"here.test": Target("127.0.0.1", 2525)}, routes)
    assert list(await table.targets("HERE.test")) == [Target("127.0.0.1", 2525)]
    assert await table.targets("two.test") == [Target("first.test"), Target("second.test")]


@pytest.mark.parametrize(
    ("domain", "permanent", "enhanced"),
    [("null.test", True, "5.1.10"), ("absent.test", True, "5.1.2"), ("broken.test", False, "4.4.3")],
)
async def test_domains_without_hosts(routes: MxRoutes, domain: str, permanent: bool, enhanced: str) -> None:
    with pytest.raises(RelayFailed) as raised:
        await routes.targets(domain)
    assert (raised.value.permanent, raised.value.enhanced) == (permanent, enhanced)
