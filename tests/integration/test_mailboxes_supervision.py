"""Starting, restarting and ending the private Dovecot."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailboxes.dovecot.account import service_account
from mailboxes.dovecot.logins import write_logins
from mailboxes.dovecot.processes import instance_processes
from mailboxes.dovecot.server import DovecotServer, ServerEvent
from mailboxes.dovecot.settings import DovecotSettings
from mailboxes.errors import DovecotFailed
from mailboxes.lmtp import LmtpDelivery
from tests.support.dovecot import Deployment, deployment, eventually, login

ALICE = "alice@hopital.mssante.example"
MESSAGE = b"Subject: essai\r\nX-TLE-Delivery: %s\r\n\r\nBonjour\r\n"


@pytest.fixture
def made() -> Iterator[Deployment]:
    with deployment() as deployed:
        write_logins(deployed.settings, [login(ALICE)])
        yield deployed


@contextlib.asynccontextmanager
async def supervised(settings: DovecotSettings) -> AsyncIterator[tuple[DovecotServer, list[ServerEvent]]]:
    """A started and watched server with the events that it reports."""
    events: list[ServerEvent] = []
    server = DovecotServer(settings, events.append)
    await server.start()
    watching = asyncio.create_task(server.watch())
    try:
        yield server, events
    finally:
        await server.stop()
        await watching


def processes(settings: DovecotSettings) -> set[int]:
    return set(instance_processes(settings.instance, service_account(settings).uid))


async def until(events: list[ServerEvent], kind: str) -> None:
    await asyncio.to_thread(eventually, lambda: any(event.kind == kind for event in events))


async def test_stop_leaves_no_process_no_file_and_no_open_port(made: Deployment) -> None:
    async with supervised(made.settings) as (server, _):
        run = server.lmtp_socket.parent.parent
        assert run.stat().st_mode & 0o777 == 0o700
        assert (run / "dovecot.conf").stat().st_mode & 0o777 == 0o600
        client = await asyncio.to_thread(made.imap_of, ALICE)  # a session that is open when the server ends
        assert len(processes(made.settings)) > 3
    client.shutdown()
    assert processes(made.settings) == set()
    assert not run.exists()
    for port in (made.settings.starttls_port, made.settings.tls_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((made.settings.bind, port), timeout=5).close()
    await server.stop()


async def test_stop_touches_no_other_instance(made: Deployment) -> None:
    with deployment() as other:
        async with supervised(other.settings) as (stays, _):
            pid = stays.pid
            async with supervised(made.settings):
                pass
            assert stays.pid == pid
            assert len(processes(other.settings)) > 3


def mails_in_inbox(made: Deployment, account: str) -> int:
    with made.imap_of(account) as client:
        (count,) = client.select("INBOX", readonly=True)[1]
        return int(count or b"0")


@pytest.mark.parametrize("orphans", [False, True], ids=["master-killed", "all-killed"])
async def test_a_killed_dovecot_comes_back_with_the_same_socket(made: Deployment, orphans: bool) -> None:
    async with supervised(made.settings) as (server, events):
        delivery = LmtpDelivery(server.lmtp_socket, timeout=20)
        await delivery.deliver("", ALICE, MESSAGE % b"k-1")
        first = server.pid
        assert first is not None
        for pid in processes(made.settings) if orphans else {first}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await until(events, "restarted")
        assert server.pid not in {None, first}
        # the connection of the pool was lost with the old server; the key is still remembered by the new one
        await delivery.deliver("", ALICE, MESSAGE % b"k-1")
        await delivery.deliver("", ALICE, MESSAGE % b"k-2")
        assert await asyncio.to_thread(mails_in_inbox, made, ALICE) == 2
        await delivery.close()
    assert [event.kind for event in events] == ["died", "restarted"]
    assert processes(made.settings) == set()


async def test_a_restart_that_fails_is_tried_again(made: Deployment) -> None:
    hidden = made.settings.key.with_suffix(".away")
    async with supervised(made.settings) as (server, events):
        made.settings.key.rename(hidden)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await until(events, "restart_failed")
        hidden.rename(made.settings.key)
        await until(events, "restarted")
        assert await asyncio.to_thread(made.admits, ALICE)


async def test_stop_while_waiting_for_a_restart_ends_the_watch(made: Deployment) -> None:
    async with supervised(made.settings) as (server, events):
        made.settings.key.unlink()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await until(events, "restart_failed")
    assert processes(made.settings) == set()


async def test_the_instance_of_a_killed_gateway_is_ended_before_the_start(
    made: Deployment, root: Path
) -> None:
    settings = made.settings
    program = f"""
        import asyncio
        from pathlib import Path
        from mailboxes.dovecot.server import DovecotServer
        from mailboxes.dovecot.settings import DovecotSettings
        async def serve():
            server = DovecotServer(DovecotSettings(
                home=Path({str(settings.home)!r}), certificate=Path({str(settings.certificate)!r}),
                key=Path({str(settings.key)!r}), hostname={settings.hostname!r},
                starttls_port={settings.starttls_port}, tls_port={settings.tls_port}))
            await server.start()
            print(server.lmtp_socket, flush=True)
            await server.watch()
        asyncio.run(serve())
    """
    gateway = await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        cwd=root,
        text=True,
    )
    with gateway:
        assert gateway.stdout is not None
        left = Path((await asyncio.to_thread(gateway.stdout.readline)).strip()).parent.parent
        with pytest.raises(DovecotFailed, match="another gateway"):
            await DovecotServer(settings).start()
        gateway.kill()
    stale = processes(settings)
    assert len(stale) > 3
    async with supervised(settings) as (server, _):
        assert not stale & processes(settings)
        assert not left.exists()
        assert server.lmtp_socket.exists()
        assert await asyncio.to_thread(made.admits, ALICE)


async def test_a_taken_port_is_reported_in_dovecot_s_own_words_and_nothing_stays(made: Deployment) -> None:
    with socket.socket() as taken:
        taken.bind((made.settings.bind, made.settings.tls_port))
        taken.listen()
        with pytest.raises(DovecotFailed, match="Address already in use"):
            await DovecotServer(made.settings).start()
    assert processes(made.settings) == set()
    async with supervised(made.settings):
        pass


async def test_a_bad_certificate_is_reported(made: Deployment) -> None:
    made.settings.certificate.write_text("not a certificate")
    with pytest.raises(DovecotFailed, match="no certificate"):
        await DovecotServer(made.settings).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Dovecot as another account")
async def test_mails_out_of_reach_of_the_account_are_reported_with_the_remedy(made: Deployment) -> None:
    closed = made.settings.home.parent / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DovecotFailed, match=rf"dovecot cannot pass {closed} .*chmod"):
        await DovecotServer(replace(made.settings, home=closed / "mails")).start()


async def test_a_run_directory_with_a_long_path_is_refused(made: Deployment) -> None:
    parent = made.settings.home.parent / ("x" * 80)
    parent.mkdir()
    with pytest.raises(DovecotFailed, match="too long a path"):
        await DovecotServer(replace(made.settings, run_parent=parent)).start()
