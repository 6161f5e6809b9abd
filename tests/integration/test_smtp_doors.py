"""The doors from outside: TLS, authentication and real clients, before anything is sent."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from pathlib import Path

import pytest

from gateway.smtp.dialogue import ListenerKind
from gateway.smtp.envelope import PeerKind
from gateway.smtp.limits import SmtpLimits
from gateway.smtp.server import Listener, SmtpServers
from tests.support.smtp import (
    MAIL,
    RECEIVED_AT,
    Credentials,
    RecordingDoors,
    Talk,
    make_credentials,
)


class TestClients:
    """Python's own client, as users and their programs have it."""

    async def test_smtplib_submits_by_starttls(
        self, servers: SmtpServers, doors: RecordingDoors, credentials: Credentials
    ) -> None:
        def submit() -> None:
            with smtplib.SMTP("localhost", servers.ports[ListenerKind.SUBMISSION]) as client:
                client.starttls(context=credentials.client())
                client.login(doors.account, doors.password)
                client.sendmail(doors.account, ["Bob@B.MSSante.example", "carl@c.example"], MAIL)

        await asyncio.to_thread(submit)
        [(envelope, raw)] = doors.accepted
        assert raw == MAIL
        assert envelope.recipients == ("Bob@b.mssante.example", "carl@c.example")
        assert envelope.peer.kind is PeerKind.USER
        assert envelope.peer.login == doors.account
        assert envelope.peer.tls_version.startswith("TLSv1.")
        assert envelope.received_at == RECEIVED_AT
        assert doors.senders == [(doors.account, len(MAIL))]

    @pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
    async def test_smtplib_submits_by_implicit_tls(
        self, servers: SmtpServers, doors: RecordingDoors, credentials: Credentials, mechanism: str
    ) -> None:
        def submit() -> None:
            port = servers.ports[ListenerKind.SUBMISSIONS]
            with smtplib.SMTP_SSL("localhost", port, context=credentials.client()) as client:
                client.ehlo()
                assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
                client.esmtp_features["auth"] = mechanism
                client.login(doors.account, doors.password)
                client.sendmail(doors.account, ["bob@b.example"], MAIL)

        await asyncio.to_thread(submit)
        [(envelope, raw)] = doors.accepted
        assert (raw, envelope.peer.login) == (MAIL, doors.account)

    async def test_an_operator_shows_its_certificate(
        self, servers: SmtpServers, doors: RecordingDoors, credentials: Credentials
    ) -> None:
        def relay() -> None:
            with smtplib.SMTP("localhost", servers.ports[ListenerKind.MX]) as client:
                client.starttls(context=credentials.client(show_certificate=True))
                client.sendmail("x@other.mssante.example", ["bob@b.example"], MAIL)

        await asyncio.to_thread(relay)
        [(envelope, _)] = doors.accepted
        certificate = envelope.peer.certificate
        assert envelope.peer.kind is PeerKind.OPERATOR
        assert certificate == ssl.PEM_cert_to_DER_cert(credentials.certificate.read_text())

    @pytest.mark.parametrize("certificate", ["none", "of a foreign authority"])
    async def test_the_mx_takes_nothing_without_a_trusted_certificate(
        self,
        servers: SmtpServers,
        doors: RecordingDoors,
        credentials: Credentials,
        tmp_path: Path,
        certificate: str,
    ) -> None:
        context = credentials.client()
        if certificate != "none":
            rogue = make_credentials(tmp_path, "rogue")
            context.load_cert_chain(rogue.certificate, rogue.key)

        def relay() -> None:
            with smtplib.SMTP("localhost", servers.ports[ListenerKind.MX]) as client:
                client.starttls(context=context)
                client.sendmail("x@other.mssante.example", ["bob@b.example"], MAIL)

        with pytest.raises((OSError, smtplib.SMTPServerDisconnected)):
            await asyncio.to_thread(relay)
        assert doors.accepted == []

    def test_an_mx_context_that_asks_for_no_certificate_is_a_mistake(self, credentials: Credentials) -> None:
        listener = Listener(ListenerKind.MX, "127.0.0.1", 0, credentials.server)
        with pytest.raises(ValueError, match="client certificate"):
            SmtpServers(
                [listener],
                RecordingDoors(),
                SmtpLimits(),
                hostname="h",
                now=lambda: RECEIVED_AT,
                new_queue_id=str,
            )


class TestSecurityFirst:
    @pytest.mark.parametrize("kind", [ListenerKind.MX, ListenerKind.SUBMISSION])
    async def test_nothing_before_tls(self, servers: SmtpServers, kind: ListenerKind) -> None:
        async with Talk.open(servers.ports[kind]) as talk:
            assert (await talk.answer()) == "220 mx.gateway.example ESMTP"
            offers = (await talk.say("EHLO client.example")).split("\n")
            assert "250-STARTTLS" in offers
            assert not any("AUTH" in offer for offer in offers)
            for command in ("MAIL FROM:<a@b.example>", "AUTH PLAIN AGEAYg==", "VRFY a", "DATA", "XYZ"):
                assert (await talk.say(command)).startswith("530 5.7.0 "), command
            assert (await talk.say("NOOP")) == "250 2.0.0 OK"
            assert (await talk.say("QUIT")).startswith("221 2.0.0 ")
            assert await talk.answer() == ""

    async def test_users_authenticate_first(self, servers: SmtpServers, credentials: Credentials) -> None:
        async with Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk:
            await talk.answer()
            await talk.say("EHLO client.example")
            await talk.starttls(credentials.client())
            offers = (await talk.say("EHLO client.example")).split("\n")
            assert "250-AUTH PLAIN LOGIN" in offers
            assert not any("STARTTLS" in offer for offer in offers)
            assert (await talk.say("MAIL FROM:<a@b.example>")) == "530 5.7.0 Authentication required"
            assert (await talk.say("STARTTLS")).startswith("503 5.5.1 ")
            assert (await talk.say("AUTH CRAM-MD5")).startswith("504 5.5.4 ")
            assert (await talk.say("AUTH PLAIN !!")).startswith("501 5.5.2 ")
            assert (await talk.say("AUTH LOGIN")) == "334 VXNlcm5hbWU6"
            assert (await talk.say("*")).startswith("501 5.7.0 ")

    async def test_the_mx_has_no_authentication(self, servers: SmtpServers, credentials: Credentials) -> None:
        async with Talk.open(servers.ports[ListenerKind.MX]) as talk:
            await talk.answer()
            await talk.say("EHLO peer.example")
            await talk.starttls(credentials.client(show_certificate=True))
            assert "AUTH" not in await talk.say("EHLO peer.example")
            assert (await talk.say("AUTH PLAIN AGEAYg==")).startswith("502 5.5.1 ")

    async def test_the_gateway_is_announced_to_operators_under_tls_only(
        self, doors: RecordingDoors, servers: SmtpServers, credentials: Credentials
    ) -> None:
        doors.service = "teleexpertise@gateway.example"
        for kind in (ListenerKind.MX, ListenerKind.SUBMISSION):
            async with Talk.open(servers.ports[kind]) as talk:
                await talk.answer()
                assert "X-TLE" not in await talk.say("EHLO peer.example")
                await talk.starttls(credentials.client(show_certificate=True))
                offers = (await talk.say("EHLO peer.example")).split("\n")
                told = "250-X-TLE teleexpertise@gateway.example" in offers
                assert told is (kind is ListenerKind.MX)

    async def test_commands_pipelined_behind_starttls_are_forgotten(
        self, servers: SmtpServers, doors: RecordingDoors, credentials: Credentials
    ) -> None:
        async with Talk.open(servers.ports[ListenerKind.MX]) as talk:
            await talk.answer()
            await talk.say("EHLO evil.example")
            answer = await talk.send(b"STARTTLS\r\nEHLO injected.example\r\nMAIL FROM:<evil@b.example>\r\n")
            assert answer.startswith("220")
            await talk.writer.start_tls(
                credentials.client(show_certificate=True), server_hostname="localhost"
            )
            assert (await talk.say("MAIL FROM:<x@b.example>")).startswith("503 5.5.1 "), "EHLO is asked again"
            await talk.say("EHLO peer.example")
            assert (await talk.say("MAIL FROM:<x@b.example>")).startswith("250 ")
        assert [sender for sender, _ in doors.senders] == ["x@b.example"]

    async def test_failed_passwords_end_the_connection(
        self, servers: SmtpServers, credentials: Credentials
    ) -> None:
        async with Talk.open(servers.ports[ListenerKind.SUBMISSIONS], credentials.client()) as talk:
            await talk.answer()
            await talk.say("EHLO client.example")
            for _ in range(3):
                assert (await talk.say("AUTH PLAIN AGEAYg==")).startswith("535 5.7.8 ")
            assert (await talk.answer()).startswith("421 4.7.0 ")
            assert await talk.answer() == ""
