"""The doors from outside: what MAIL, RCPT and DATA are answered, and what never ends DATA."""

from __future__ import annotations

from typing import ClassVar

import pytest

from gateway.smtp.dialogue import ListenerKind
from gateway.smtp.envelope import Body, Envelope
from gateway.smtp.refusals import PolicyRefused
from gateway.smtp.server import SmtpServers
from tests.support.smtp import MAIL, STUFFED, Credentials, RecordingDoors, Talk


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
