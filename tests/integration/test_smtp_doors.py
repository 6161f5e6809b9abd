"""The doors from outside: TLS, authentication, policy, limits and endings, by real sockets and clients."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest
import uvloop

from gateway.smtp.dialogue import ListenerKind
from gateway.smtp.envelope import Body, Envelope, PeerKind
from gateway.smtp.limits import SmtpLimits
from gateway.smtp.refusals import PolicyRefused
from gateway.smtp.server import Listener, SmtpServers
from tests.support.smtp import (
    RECEIVED_AT,
    Credentials,
    RecordingDoors,
    Talk,
    make_credentials,
    running_doors,
    until,
)

MAIL = b"From: alice@cabinet.mssante.example\r\nSubject: avis\r\n\r\n.une ligne\r\n..deux\r\nfin\r\n"
STUFFED = MAIL.replace(b"\r\n.", b"\r\n..") + b".\r\n"


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return make_credentials(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def doors() -> RecordingDoors:
    return RecordingDoors()


@pytest.fixture
async def servers(doors: RecordingDoors, credentials: Credentials) -> AsyncIterator[SmtpServers]:
    async with running_doors(doors, credentials) as running:
        yield running


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
        listener = Listener(ListenerKind.MX, "127.0.0.1", 0, credentials.server())
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


class TestTransactions:
    async def test_a_transcript_with_dsn(
        self, servers: SmtpServers, doors: RecordingDoors, credentials: Credentials
    ) -> None:
        async with Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk:
            await talk.login(credentials.client())
            sender = "<alice@cabinet.mssante.example>"
            wishes = "BODY=8BITMIME RET=HDRS ENVID=QQ+2B31aB SIZE=90"
            assert (await talk.say(f"mail from: {sender} {wishes}")).startswith("250 2.1.0 ")
            assert (
                await talk.say("RCPT TO:<bob@b.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+40b.example")
            ).startswith("250 2.1.5 ")
            assert (await talk.say("RCPT TO:<inconnu@b.example>")) == "550 5.1.1 Adresse inconnue"
            assert (await talk.say("RCPT TO:<bob@B.example>")).startswith("250 "), "twice is once"
            assert (await talk.data(STUFFED)) == "250 2.0.0 queued as Q1"
            assert (await talk.say("RCPT TO:<bob@b.example>")).startswith("503 5.5.1 ")
        [(envelope, raw)] = doors.accepted
        assert raw == MAIL
        assert envelope.recipients == ("bob@b.example",)
        assert (envelope.dsn.ret, envelope.dsn.envid, envelope.body) == ("HDRS", "QQ+31aB", Body.EIGHT_BIT)
        assert envelope.options[0].notify == {"SUCCESS", "FAILURE"}
        assert envelope.options[0].original == "rfc822;Bob@b.example"

    async def test_a_pipelined_transaction(
        self, servers: SmtpServers, doors: RecordingDoors, credentials: Credentials
    ) -> None:
        async with Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk:
            await talk.login(credentials.client())
            group = b"MAIL FROM:<>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\n"
            assert (await talk.send(group)).startswith("250 2.1.0 ")
            assert (await talk.answer()).startswith("250 2.1.5 ")
            assert (await talk.answer()).startswith("354 ")
            assert (await talk.send(STUFFED + group)).startswith("250 2.0.0 ")
            for code in ("250", "250", "354"):
                assert (await talk.answer()).startswith(code)
            assert (await talk.send(b".\r\nQUIT\r\nNOOP\r\n")).startswith("250 2.0.0 ")
            assert (await talk.answer()).startswith("221 ")
            assert await talk.answer() == ""
        assert [raw for _, raw in doors.accepted] == [MAIL, b""]
        assert doors.accepted[0][0].mail_from == ""

    @pytest.mark.parametrize(
        ("command", "answer"),
        [
            (b"MAIL FROM:alice@cabinet.mssante.example", "501 5.5.4"),
            (b"MAIL FROM:<alice@cabinet.mssante.example> FOO=1", "555 5.5.4"),
            (b"MAIL FROM:<alice@cabinet.mssante.example> SMTPUTF8", "555 5.5.4"),
            (b"MAIL FROM:<alice@cabinet.mssante.example> BODY=BINARYMIME", "501 5.5.4"),
            (b"MAIL FROM:<alice@cabinet.mssante.example> RET=ALL", "501 5.5.4"),
            (b"MAIL FROM:<alice@cabinet.mssante.example> SIZE=99999999999", "552 5.3.4"),
            (b"MAIL FROM:<alice@cabinet.mssante.example> SIZE=x", "501 5.5.4"),
            (b"MAIL FROM:<alice>", "501 5.1.7"),
            (b"MAIL FROM:<r\xc3\xa9my@cabinet.mssante.example>", "501 5.5.2"),
            (b"MAIL FROM:<mallory@cabinet.mssante.example>", "550 5.7.1"),
            (b"MAIL FROM:<" + b"a" * 3000 + b"@b.example>", "500 5.5.2"),
            (b"RCPT TO:<bob@b.example>", "503 5.5.1"),
            (b"DATA", "503 5.5.1"),
            (b"BDAT 3 LAST", "500 5.5.2"),
            (b"EHLO", "501 5.5.4"),
            (b"VRFY bob", "252 2.5.0"),
            (b"EXPN all", "502 5.5.1"),
            (b"NOOP " + b"x" * 600, "500 5.5.2"),
        ],
    )
    async def test_answers(
        self, servers: SmtpServers, credentials: Credentials, command: bytes, answer: str
    ) -> None:
        async with Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk:
            await talk.login(credentials.client())
            assert (await talk.say(command)).startswith(answer + " ")
            assert (await talk.say("NOOP")).startswith("250 "), "the dialogue goes on"

    @pytest.mark.parametrize(
        ("command", "answer"),
        [
            ("RCPT TO:<>", "501 5.1.3"),
            ("RCPT TO:<bob>", "553 5.1.3"),
            ("RCPT TO:<postmaster>", "250 2.1.5"),
            ("RCPT TO:<bob@b.example> NOTIFY=NEVER,SUCCESS", "501 5.5.4"),
            ("RCPT TO:<bob@b.example> ORCPT=bob", "501 5.5.4"),
            ("RCPT TO:<bob@b.example> X=1", "555 5.5.4"),
            ("RCPT TO:<panne@b.example>", "451 4.3.0"),
            ("MAIL FROM:<>", "503 5.5.1"),
            ("DATA now", "501 5.5.4"),
        ],
    )
    async def test_answers_inside_a_transaction(
        self, servers: SmtpServers, credentials: Credentials, command: str, answer: str
    ) -> None:
        async with Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk:
            await talk.login(credentials.client())
            await talk.envelope()
            assert (await talk.say(command)).startswith(answer + " ")

    async def test_french_refusals_leave_in_ascii(
        self, servers: SmtpServers, doors: RecordingDoors, credentials: Credentials
    ) -> None:
        async def refuse(envelope: Envelope) -> None:
            raise PolicyRefused("Le domaine « é.example » n’est pas agréé :\nœuvrez autrement")

        doors.on_accept = refuse
        async with Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk:
            await talk.login(credentials.client())
            await talk.envelope()
            assert (await talk.data(STUFFED)) == (
                '550-5.7.1 Le domaine " e.example " n\'est pas agree :\n550 5.7.1 oeuvrez autrement'
            )

    async def test_an_unexpected_error_is_451_and_tells_nothing(
        self,
        servers: SmtpServers,
        doors: RecordingDoors,
        credentials: Credentials,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        async def break_down(envelope: Envelope) -> None:
            raise TimeoutError("patient Jeanne DURAND")

        doors.on_accept = break_down
        async with Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk:
            await talk.login(credentials.client())
            await talk.envelope()
            assert (await talk.data(STUFFED)) == "451 4.3.0 Temporary failure, try again later"
            assert (await talk.say("NOOP")).startswith("250 ")
        logged = "".join(capfd.readouterr())
        assert "Q1" in logged
        assert "TimeoutError" in logged
        assert "DURAND" not in logged


class TestSmuggling:
    """Only CRLF.CRLF ends DATA; any other candidate is refused, nothing behind it runs (CVE-2023-51764)."""

    CANDIDATES: ClassVar[list[bytes]] = [
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\n.\r",
        b"\r.\n",
        b"\n\n.\n\n",
        b"\r\r\n.\n",
        b"\r\n\x00.\r\n",
        b"\r\n.\x00\r\n",
        b"\n\r.\r\n",
        b"\r\n.\r\r\n",
        b"\r\r.\r\r",
        b"\n.\r\r\n",
        b"\r\n.\n\r\n",
        b"\r\x00\n.\r\n",
        b"\r\n \n.\r\n",
        b"\r\n..\n",
        b"\x0b.\x0b\n",
        b"\r\n.\r\x00\n",
        b"\n..\n",
    ]

    @pytest.mark.parametrize("candidate", CANDIDATES, ids=repr)
    async def test_no_second_message(
        self, servers: SmtpServers, doors: RecordingDoors, credentials: Credentials, candidate: bytes
    ) -> None:
        smuggled = b"MAIL FROM:<admin@b.example>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\nSubject: x\r\n\r\nevil"
        async with Talk.open(servers.ports[ListenerKind.MX]) as talk:
            await talk.answer()
            await talk.say("EHLO peer.example")
            await talk.starttls(credentials.client(show_certificate=True))
            await talk.say("EHLO peer.example")
            await talk.envelope()
            answer = await talk.data(
                b"Subject: a\r\n\r\nbody" + candidate + smuggled + b"\r\n.\r\nNOOP\r\nQUIT\r\n"
            )
            paired = not candidate.replace(b"\r\n", b"").strip(b".\x00")
            if b"\x00" in candidate and paired:
                assert answer.startswith("554 5.6.0 ")
                assert (await talk.answer()).startswith("250 "), "NUL alone does not end the dialogue"
            else:
                assert answer.startswith("521 5.6.0 ")
                assert await talk.answer() == "", "the connection ends, nothing behind runs"
        assert doors.accepted == []
        assert len(doors.senders) == 1

    @pytest.mark.parametrize("command", [b"NOOP\n", b"NOOP\r\r\n", b"NO\rOP\r\n", b"EHLO a\nNOOP\r\n"])
    async def test_bare_line_ends_in_commands(self, servers: SmtpServers, command: bytes) -> None:
        async with Talk.open(servers.ports[ListenerKind.MX]) as talk:
            await talk.answer()
            assert (await talk.send(command + b"NOOP\r\n")).startswith("521 5.5.2 ")
            assert await talk.answer() == ""

    async def test_long_lines(
        self, servers: SmtpServers, doors: RecordingDoors, credentials: Credentials
    ) -> None:
        async with Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk:
            await talk.login(credentials.client())
            for length, code in ((998, "250 2.0.0"), (999, "554 5.6.0")):
                await talk.envelope()
                body = b"Subject: a\r\n\r\n" + b"x" * length + b"\r\n.\r\n"
                assert (await talk.data(body)).startswith(code)
            await talk.envelope()
            assert (await talk.data(b"Subject: a\r\n\r\n" + b"." + b"." * 998 + b"\r\n.\r\n")).startswith(
                "250"
            )
            await talk.envelope()
            assert (await talk.data(b"no header here\r\n\r\nx\r\n.\r\n")).startswith("554 5.6.0")
        assert len(doors.accepted) == 2


class TestLimits:
    async def test_size(self, doors: RecordingDoors, credentials: Credentials) -> None:
        limits = SmtpLimits(max_message_bytes=200_000, error_delay_seconds=0)
        head = b"Subject: a\r\n\r\n"
        line = b"x" * 98 + b"\r\n"
        fits = head + line * 1999 + b"y" * (200_000 - len(head) - 199_900 - 2) + b"\r\n"
        assert len(fits) == 200_000
        async with (
            running_doors(doors, credentials, limits) as servers,
            Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk,
        ):
            await talk.login(credentials.client())
            await talk.envelope()
            assert (await talk.data(fits + b".\r\n")).startswith("250 ")
            await talk.envelope()
            assert (await talk.data(b"X: y\r\n" + fits + b".\r\n")).startswith("552 5.3.4 ")
            await talk.envelope()
            assert (await talk.data(line * 10_000)).startswith("552 5.3.4 "), "endless: cut before its end"
            assert await talk.answer() == ""
        assert [raw for _, raw in doors.accepted] == [fits]

    async def test_recipients(self, doors: RecordingDoors, credentials: Credentials) -> None:
        limits = SmtpLimits(max_recipients=2, error_delay_seconds=0)
        async with (
            running_doors(doors, credentials, limits) as servers,
            Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk,
        ):
            await talk.login(credentials.client())
            await talk.envelope("a@b.example", "b@b.example")
            assert (await talk.say("RCPT TO:<c@b.example>")).startswith("452 4.5.3 ")
            assert (await talk.data(STUFFED)).startswith("250 ")

    async def test_errors(self, doors: RecordingDoors, credentials: Credentials) -> None:
        limits = SmtpLimits(max_errors=4, error_delay_seconds=0)
        async with (
            running_doors(doors, credentials, limits) as servers,
            Talk.open(servers.ports[ListenerKind.MX]) as talk,
        ):
            await talk.answer()
            for _ in range(4):
                assert (await talk.say("DATA")).startswith("530 ")
            assert (await talk.answer()).startswith("421 4.7.0 ")
            assert await talk.answer() == ""

    async def test_connections(self, doors: RecordingDoors, credentials: Credentials) -> None:
        limits = SmtpLimits(max_connections_per_ip=2, error_delay_seconds=0)
        async with running_doors(doors, credentials, limits) as servers:
            port = servers.ports[ListenerKind.MX]
            async with Talk.open(port) as first, Talk.open(port) as second:
                assert (await first.answer()).startswith("220 ")
                assert (await second.answer()).startswith("220 ")
                async with Talk.open(port) as third:
                    assert (await third.answer()).startswith("421 4.7.0 ")
                    assert await third.answer() == ""
                await first.say("QUIT")
                assert await first.answer() == ""

                async def has_room() -> bool:
                    async with Talk.open(port) as fourth:
                        return (await fourth.answer()).startswith("220 ")

                async with asyncio.timeout(20):
                    while not await has_room():  # noqa: ASYNC110
                        await asyncio.sleep(0.01)

    async def test_silence_ends_with_421(self, doors: RecordingDoors, credentials: Credentials) -> None:
        limits = SmtpLimits(idle_seconds=0.2)
        async with (
            running_doors(doors, credentials, limits) as servers,
            Talk.open(servers.ports[ListenerKind.MX]) as talk,
        ):
            await talk.answer()
            assert (await talk.answer()).startswith("421 4.4.2 ")
            assert await talk.answer() == ""

    async def test_slow_data_lives_but_not_for_ever(
        self, doors: RecordingDoors, credentials: Credentials
    ) -> None:
        limits = SmtpLimits(idle_seconds=1.0, data_seconds=2.5, error_delay_seconds=0)
        async with (
            running_doors(doors, credentials, limits) as servers,
            Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk,
        ):
            await talk.login(credentials.client())
            await talk.envelope()
            assert (await talk.say("DATA")).startswith("354")
            talk.writer.write(b"Subject: a\r\n\r\n")
            for _ in range(6):  # 1.5 s in all: longer than idle_seconds, shorter than data_seconds
                await asyncio.sleep(0.25)
                talk.writer.write(b"x\r\n")
                await talk.writer.drain()
            assert (await talk.send(b".\r\n")).startswith("250 ")
            await talk.envelope()
            assert (await talk.say("DATA")).startswith("354")

            async def trickle() -> None:
                while True:
                    talk.writer.write(b"x\r\n")
                    await asyncio.sleep(0.1)

            trickling = asyncio.create_task(trickle())
            assert (await talk.answer()).startswith("421 4.4.2 ")
            trickling.cancel()


class TestEndings:
    async def test_a_client_that_leaves_after_the_dot_still_commits(
        self, servers: SmtpServers, doors: RecordingDoors, credentials: Credentials
    ) -> None:
        begun, gone = asyncio.Event(), asyncio.Event()

        async def slow(envelope: Envelope) -> None:
            begun.set()
            await gone.wait()

        doors.on_accept = slow
        async with Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk:
            await talk.login(credentials.client())
            await talk.envelope()
            assert (await talk.say("DATA")).startswith("354")
            talk.writer.write(STUFFED)
            await begun.wait()
        gone.set()
        await until(lambda: len(doors.accepted) == 1)

    async def test_stopping_waits_for_the_commit_and_tells_the_silent(
        self, doors: RecordingDoors, credentials: Credentials
    ) -> None:
        begun, proceed = asyncio.Event(), asyncio.Event()

        async def slow(envelope: Envelope) -> None:
            begun.set()
            await proceed.wait()

        doors.on_accept = slow
        async with (
            running_doors(doors, credentials) as servers,
            Talk.open(servers.ports[ListenerKind.SUBMISSION]) as busy,
            Talk.open(servers.ports[ListenerKind.MX]) as silent,
        ):
            await silent.answer()
            await busy.login(credentials.client())
            await busy.envelope()
            assert (await busy.say("DATA")).startswith("354")
            busy.writer.write(STUFFED)
            await begun.wait()
            stopping = asyncio.create_task(servers.stop(grace=10))
            assert (await silent.answer()).startswith("421 4.3.2 ")
            proceed.set()
            assert (await busy.answer()).startswith("250 2.0.0 ")
            assert (await busy.answer()).startswith("421 4.3.2 ")
            await stopping
        assert len(doors.accepted) == 1

    async def test_a_port_in_use_leaves_nothing_listening(
        self, servers: SmtpServers, credentials: Credentials
    ) -> None:
        taken = servers.ports[ListenerKind.SUBMISSION]
        second = SmtpServers(
            [
                Listener(ListenerKind.SUBMISSIONS, "127.0.0.1", 0, credentials.server()),
                Listener(ListenerKind.SUBMISSION, "127.0.0.1", taken, credentials.server()),
            ],
            RecordingDoors(),
            SmtpLimits(),
            hostname="h",
            now=lambda: RECEIVED_AT,
            new_queue_id=str,
        )
        with pytest.raises(OSError):
            await second.start()
        assert dict(second.ports) == {}


@pytest.mark.parametrize("kind", [ListenerKind.SUBMISSION, ListenerKind.SUBMISSIONS])
def test_the_same_under_uvloop(credentials: Credentials, kind: ListenerKind) -> None:
    doors = RecordingDoors()

    async def play() -> None:
        async with running_doors(doors, credentials) as servers:

            def submit() -> None:
                client: smtplib.SMTP
                if kind is ListenerKind.SUBMISSIONS:
                    client = smtplib.SMTP_SSL("localhost", servers.ports[kind], context=credentials.client())
                else:
                    client = smtplib.SMTP("localhost", servers.ports[kind])
                    client.starttls(context=credentials.client())
                with client:
                    client.login(doors.account, doors.password)
                    client.sendmail(doors.account, ["bob@b.example"], MAIL * 5000)

            await asyncio.to_thread(submit)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())
    [(envelope, raw)] = doors.accepted
    assert raw == MAIL * 5000
    assert envelope.peer.ip == "127.0.0.1"


def test_silence_under_uvloop(credentials: Credentials) -> None:
    async def play() -> list[str]:
        limits = SmtpLimits(idle_seconds=0.2)
        async with (
            running_doors(RecordingDoors(), credentials, limits) as servers,
            Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk,
        ):
            await talk.answer()
            await talk.say("EHLO client.example")
            await talk.starttls(credentials.client())
            return [await talk.answer(), await talk.answer()]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers = runner.run(play())
    assert answers[0].startswith("421 4.4.2 ")
    assert answers[1] == ""
