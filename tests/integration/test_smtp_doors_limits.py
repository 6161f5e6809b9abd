"""The doors from outside: sizes, numbers, silence, and how connections and servers end."""

from __future__ import annotations

import asyncio
import smtplib

import pytest
import uvloop

from gateway.smtp.dialogue import ListenerKind
from gateway.smtp.envelope import Envelope
from gateway.smtp.limits import SmtpLimits
from gateway.smtp.server import Listener, SmtpServers
from tests.support.smtp import (
    MAIL,
    RECEIVED_AT,
    STUFFED,
    Credentials,
    RecordingDoors,
    Talk,
    running_doors,
    until,
)


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

    async def test_memory(self, doors: RecordingDoors, credentials: Credentials) -> None:
        """One sender may hold a quarter of the room; what is over it is told after its end, others go on."""
        limits = SmtpLimits(
            max_message_bytes=100_000, max_inflight_bytes=600_000, error_delay_seconds=0, max_errors=1000
        )
        mail = b"Subject: a\r\n\r\n" + (b"x" * 98 + b"\r\n") * 990

        async def announced(talk: Talk) -> bool:
            """Whether a mail that says its size finds room."""
            await talk.say("RSET")
            await talk.say(f"MAIL FROM:<alice@cabinet.mssante.example> SIZE={len(mail)}")
            await talk.say("RCPT TO:<bob@b.mssante.example>")
            answer = await talk.say("DATA")
            assert answer.startswith("354 ") or answer == "452 4.3.1 Too much mail at once, try again later"
            return answer.startswith("354 ") and bool(await talk.send(b".\r\n"))

        async with running_doors(doors, credentials, limits) as servers:
            port = servers.ports[ListenerKind.SUBMISSION]
            async with Talk.open(port) as other, Talk.open(servers.ports[ListenerKind.MX]) as operator:
                await other.login(credentials.client())
                async with Talk.open(port) as holding:
                    await holding.login(credentials.client())
                    await holding.envelope()
                    assert (await holding.say("DATA")).startswith("354 ")
                    holding.writer.write(mail)
                    async with asyncio.timeout(20):
                        while await announced(other):
                            pass
                    await other.say("RSET")
                    await other.envelope()
                    assert (await other.data(mail + b".\r\n")).startswith("452 4.3.1 ")
                    await operator.answer()
                    await operator.say("EHLO mx.b.example")
                    await operator.starttls(credentials.client(show_certificate=True))
                    await operator.say("EHLO mx.b.example")
                    await operator.envelope()
                    assert (await operator.data(mail + b".\r\n")).startswith("250 ")
                async with asyncio.timeout(20):
                    while not await announced(other):
                        pass
                await other.envelope()
                assert (await other.data(mail + b".\r\n")).startswith("250 ")
        assert [raw for _, raw in doors.accepted if raw] == [mail, mail]

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

    async def test_slow_data_lives_longer_than_silence(
        self, doors: RecordingDoors, credentials: Credentials
    ) -> None:
        limits = SmtpLimits(idle_seconds=1.0, data_seconds=60, error_delay_seconds=0)
        async with (
            running_doors(doors, credentials, limits) as servers,
            Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk,
        ):
            await talk.login(credentials.client())
            await talk.envelope()
            assert (await talk.say("DATA")).startswith("354")
            talk.writer.write(b"Subject: a\r\n\r\n")
            clock = asyncio.get_running_loop().time
            begun = clock()

            def lived() -> bool:
                talk.writer.write(b"x\r\n")
                return clock() > begun + 1.5

            await until(lived)
            assert (await talk.send(b".\r\n")).startswith("250 ")

    async def test_slow_data_does_not_live_for_ever(
        self, doors: RecordingDoors, credentials: Credentials
    ) -> None:
        limits = SmtpLimits(idle_seconds=60, data_seconds=0.5, error_delay_seconds=0)
        async with (
            running_doors(doors, credentials, limits) as servers,
            Talk.open(servers.ports[ListenerKind.SUBMISSION]) as talk,
        ):
            await talk.login(credentials.client())
            await talk.envelope()
            assert (await talk.say("DATA")).startswith("354")
            answered = asyncio.create_task(talk.answer())

            def told() -> bool:
                talk.writer.write(b"x\r\n")
                return answered.done()

            await until(told)
            assert (await answered).startswith("421 4.4.2 ")
        assert doors.accepted == []


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
                Listener(ListenerKind.SUBMISSIONS, "127.0.0.1", 0, credentials.server),
                Listener(ListenerKind.SUBMISSION, "127.0.0.1", taken, credentials.server),
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
