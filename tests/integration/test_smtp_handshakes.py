"""TLS handshakes of operators that fail: an alert for the peer, a reason for the audit trail."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.smtp.dialogue import ListenerKind
from gateway.smtp.limits import SmtpLimits
from tests.support.smtp import Credentials, RecordingDoors, Talk, make_credentials, running_doors, until


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return make_credentials(tmp_path_factory.mktemp("tls"))


def on_asyncio(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def on_uvloop(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


LOOPS = pytest.mark.parametrize("run", [on_asyncio, on_uvloop])
Run = Callable[[Coroutine[Any, Any, None]], None]


async def _failed(port: int, tls: ssl.SSLContext) -> str:
    """What OpenSSL says at the client when the server refuses its handshake: the alert."""
    async with Talk.open(port) as talk:
        await talk.answer()
        await talk.say("EHLO mx.test")
        try:
            await talk.starttls(tls)
            await talk.say("EHLO mx.test")  # under TLS 1.3 the refusal comes with the first read
            await talk.reader.read()
            raise AssertionError("the handshake was accepted")
        except ssl.SSLError as error:
            return str(error.reason)


def client(
    credentials: Credentials, version: ssl.TLSVersion, certificate: Credentials | None
) -> ssl.SSLContext:
    context = credentials.client()
    context.minimum_version = context.maximum_version = version
    if certificate is not None:
        context.load_cert_chain(certificate.certificate, certificate.key)
    return context


@LOOPS
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_certificate(run: Run, credentials: Credentials, version: ssl.TLSVersion) -> None:
    async def work() -> None:
        doors = RecordingDoors()
        async with running_doors(doors, credentials) as servers:
            alert = await _failed(servers.ports[ListenerKind.MX], client(credentials, version, None))
            assert "ALERT" in alert
            assert doors.away == [("127.0.0.1", "tls: peer did not return a certificate")]

    run(work())


@LOOPS
def test_certificate_of_another_authority(run: Run, credentials: Credentials, tmp_path: Path) -> None:
    stranger = make_credentials(tmp_path, "stranger")

    async def work() -> None:
        doors = RecordingDoors()
        async with running_doors(doors, credentials) as servers:
            tls = client(credentials, ssl.TLSVersion.TLSv1_3, stranger)
            alert = await _failed(servers.ports[ListenerKind.MX], tls)
            assert "UNKNOWN_CA" in alert
            assert doors.away == [("127.0.0.1", "tls: certificate: unable to get local issuer certificate")]

    run(work())


@LOOPS
def test_what_is_no_tls_and_a_client_that_leaves(run: Run, credentials: Credentials) -> None:
    async def work() -> None:
        doors = RecordingDoors()
        async with running_doors(doors, credentials) as servers:
            port = servers.ports[ListenerKind.MX]
            for octets in (b"EHLO again\r\n" * 10, b""):
                async with Talk.open(port) as talk:
                    await talk.answer()
                    assert (await talk.say("STARTTLS")).startswith("220")
                    if octets:
                        talk.writer.write(octets)
                        await talk.reader.read()
                    else:
                        talk.writer.close()
                        await talk.writer.wait_closed()
            await until(lambda: len(doors.away) == 2)
            first, second = (reason for _, reason in doors.away)
            assert first.startswith("tls: ")
            assert second == "tls: connection lost during the handshake"

    run(work())


async def test_a_handshake_that_never_ends_is_ended(credentials: Credentials) -> None:
    doors = RecordingDoors()
    limits = SmtpLimits(error_delay_seconds=0, handshake_seconds=1)
    async with (
        running_doors(doors, credentials, limits) as servers,
        Talk.open(servers.ports[ListenerKind.MX]) as talk,
    ):
        await talk.answer()
        assert (await talk.say("STARTTLS")).startswith("220")
        await talk.reader.read()
        assert doors.away == [("127.0.0.1", "tls: handshake took too long")]


async def test_mail_in_clear_text_is_noted_at_the_mx_and_nowhere_else(credentials: Credentials) -> None:
    doors = RecordingDoors()
    async with running_doors(doors, credentials) as servers:
        for kind in (ListenerKind.MX, ListenerKind.SUBMISSION):
            async with Talk.open(servers.ports[kind]) as talk:
                await talk.answer()
                await talk.say("EHLO mx.test")
                assert (await talk.say("MAIL FROM:<a@b.test>")).startswith("530 5.7.0")
    assert doors.away == [("127.0.0.1", "mail without tls")]


async def test_the_chain_above_a_certificate_reaches_the_doors(credentials: Credentials) -> None:
    doors = RecordingDoors()
    async with (
        running_doors(doors, credentials) as servers,
        Talk.open(servers.ports[ListenerKind.MX]) as talk,
    ):
        await talk.answer()
        await talk.say("EHLO mx.test")
        await talk.starttls(credentials.client(show_certificate=True))
        await talk.say("EHLO mx.test")
        assert (await talk.say("MAIL FROM:<a@b.test>")).startswith("250")
    authority = ssl.PEM_cert_to_DER_cert(credentials.authority.read_text())
    assert [peer.chain for peer in doors.peers] == [(authority,)]
