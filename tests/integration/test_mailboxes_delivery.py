"""Delivery by LMTP and what the global Sieve script makes of it."""

import asyncio
import imaplib
import re
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from mailboxes.errors import DeliveryFailed
from mailboxes.lmtp import LmtpDelivery
from tests.support.dovecot import PASSWORD, Running, deployment, login, served

SENDER = "dr.martin@hopital.mssante.example"
CONVERSATIONS = "T&AOk-l&AOk-expertises"
STATES = ("requested", "in_progress", "on_hold", "completed", "declined", "cancelled", "redirected")

_numbers = count(1)


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Running]:
    mailboxes = [login(f"boite{number}@hopital.mssante.example") for number in range(1, 30)]
    with deployment() as made, served(made, *mailboxes) as running:
        yield running


@pytest.fixture
async def delivery(dovecot: Running) -> AsyncIterator[LmtpDelivery]:
    pool = LmtpDelivery(dovecot.server.lmtp_socket, timeout=20)
    yield pool
    await pool.close()


@pytest.fixture
def mailbox() -> str:
    """A mailbox that no other test has used."""
    return f"boite{next(_numbers)}@hopital.mssante.example"


def message(*fields: str, body: str = "Bonjour,\r\n") -> bytes:
    head = ("From: dr.martin@hopital.mssante.example", "Subject: essai", *fields)
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


def fetched(dovecot: Running, address: str, folder: str) -> list[tuple[str, bytes]]:
    """Flags and bytes of each message in a folder, unaltered by the look at them."""
    with dovecot.deployment.imap_of(address) as client:
        if client.select(folder, readonly=True)[1] == [b"0"]:
            return []
        parts = client.fetch("1:*", "(FLAGS BODY.PEEK[])")[1]
    return [(part[0].decode(), part[1]) for part in parts if isinstance(part, tuple)]


async def test_every_byte_arrives_behind_three_fields_of_dovecot(
    dovecot: Running, delivery: LmtpDelivery, mailbox: str
) -> None:
    original = (
        b"Received: from x by y; Mon, 1 Jun 2026 10:00:00 +0200\r\nX-Odd:  two  blanks \r\n\tfolded\t\r\n"
        b"Subject: =?utf-8?q?=C3=A9?=\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        b"From here\r\n.point\r\n..\r\n.\r\n \r\ntrailing  \t\r\n\xc3\xa9\xff\x80\r\nFrom here\r\n"
        + b"x" * 900
        + b"\r\n\r\n\r\n"
    )
    await delivery.deliver(SENDER, mailbox, original)
    ((_, stored),) = await asyncio.to_thread(fetched, dovecot, mailbox, "INBOX")
    assert stored.endswith(original)
    added = stored.removesuffix(original).decode()
    assert re.fullmatch(
        rf"Return-Path: <{SENDER}>\r\nDelivered-To: {mailbox}\r\n"
        r"Received: from gateway\r\n\tby mail\.hopital\.mssante\.example with LMTP\r\n"
        rf"\tid \S+\r\n\t\(envelope-from <{SENDER}>\)\r\n\tfor <{mailbox}>; [^\r\n]+\r\n",
        added,
    ), added


async def test_three_deliveries_of_one_key_store_one_message(
    dovecot: Running, delivery: LmtpDelivery, mailbox: str
) -> None:
    keyed = message("X-TLE-Delivery: k-1")
    await asyncio.gather(*(delivery.deliver(SENDER, mailbox, keyed) for _ in range(3)))
    await delivery.deliver(SENDER, mailbox, keyed)
    await delivery.deliver(SENDER, mailbox, message("X-TLE-Delivery: k-2"))
    assert len(await asyncio.to_thread(fetched, dovecot, mailbox, "INBOX")) == 2


async def test_mail_without_a_key_is_never_taken_for_a_duplicate(
    dovecot: Running, delivery: LmtpDelivery, mailbox: str
) -> None:
    for _ in range(2):
        await delivery.deliver("", mailbox, message())
    assert len(await asyncio.to_thread(fetched, dovecot, mailbox, "INBOX")) == 2


@pytest.mark.parametrize("state", STATES)
async def test_a_conversation_goes_to_its_folder_with_the_keyword_of_its_state(
    dovecot: Running, delivery: LmtpDelivery, mailbox: str, state: str
) -> None:
    await delivery.deliver(SENDER, mailbox, message("X-TLE-Id: abc", f"X-TLE-State: {state}"))
    ((flags, _),) = await asyncio.to_thread(fetched, dovecot, mailbox, CONVERSATIONS)
    assert f"tle_{state}" in flags
    assert r"\Seen" not in flags
    assert await asyncio.to_thread(fetched, dovecot, mailbox, "INBOX") == []


async def test_the_author_s_copy_is_read_already_and_an_unknown_state_gives_no_keyword(
    dovecot: Running, delivery: LmtpDelivery, mailbox: str
) -> None:
    await delivery.deliver(
        SENDER, mailbox, message("X-TLE-Id: abc", "X-TLE-Copy: seen", "X-TLE-State: invented")
    )
    ((flags, _),) = await asyncio.to_thread(fetched, dovecot, mailbox, CONVERSATIONS)
    assert r"\Seen" in flags
    assert "tle_" not in flags


async def test_a_conversation_can_be_placed_into_the_inbox(
    dovecot: Running, delivery: LmtpDelivery, mailbox: str
) -> None:
    await delivery.deliver(
        SENDER, mailbox, message("X-TLE-Id: abc", "X-TLE-Place: INBOX", "X-TLE-State: requested")
    )
    ((flags, _),) = await asyncio.to_thread(fetched, dovecot, mailbox, "INBOX")
    assert "tle_requested" in flags


async def test_an_address_with_detail_is_the_same_mailbox_and_the_same_folder(
    dovecot: Running, delivery: LmtpDelivery, mailbox: str
) -> None:
    local, _, domain = mailbox.partition("@")
    await delivery.deliver(SENDER, f"{local}+Trash@{domain}", message())
    assert len(await asyncio.to_thread(fetched, dovecot, mailbox, "INBOX")) == 1


async def test_an_unknown_mailbox_is_refused_for_good_and_the_connection_stays_usable(
    dovecot: Running, delivery: LmtpDelivery, mailbox: str
) -> None:
    for recipient in ("personne@hopital.mssante.example", "pas une adresse\r\nRSET"):
        with pytest.raises(DeliveryFailed) as failure:
            await delivery.deliver(SENDER, recipient, message())
        assert failure.value.permanent
        assert failure.value.code in {550, 553}
    await delivery.deliver(SENDER, mailbox, message())


async def test_a_missing_server_is_a_passing_failure() -> None:
    with deployment() as made:
        pool = LmtpDelivery(made.settings.home / "no-socket")
        with pytest.raises(DeliveryFailed) as failure:
            await pool.deliver(SENDER, SENDER, message())
        await pool.close()
    assert (failure.value.permanent, failure.value.code) == (False, 451)


def sieve_session(dovecot: Running, address: str, script: str) -> str:
    """Put and activate a script by ManageSieve (RFC 5804); return the server's answer to the script."""
    settings = dovecot.deployment.settings
    assert settings.managesieve_port is not None
    tls = dovecot.deployment.client_tls
    with socket.create_connection((settings.bind, settings.managesieve_port), timeout=15) as clear:
        greeting = clear.recv(4096)
        assert b"PLAIN" not in greeting
        clear.sendall(b"STARTTLS\r\n")
        while b"OK" not in clear.recv(4096):
            pass
        with tls.wrap_socket(clear, server_hostname="localhost") as sieve, sieve.makefile("rwb") as stream:

            def answer() -> bytes:
                lines = b""
                while not re.search(rb"(?m)^(OK|NO|BYE)\b.*\r\n", lines):
                    line: bytes = stream.readline()
                    assert line
                    lines += line
                return lines

            def ask(command: bytes) -> bytes:
                stream.write(command)
                stream.flush()
                return answer()

            answer()
            token = b64encode(f"\0{address}\0{PASSWORD}".encode())
            assert b"OK" in ask(b'AUTHENTICATE "PLAIN" "' + token + b'"\r\n')
            source = script.encode()
            put = ask(b'PUTSCRIPT "mien" {%d+}\r\n%s\r\n' % (len(source), source))
            ask(b'SETACTIVE "mien"\r\n')
            return put.decode()


@pytest.mark.parametrize(
    "script",
    [
        'require "vacation"; vacation "absent";',
        'require "enotify"; notify "mailto:ailleurs@dehors.example";',
        'require "reject"; reject "non";',
        'require "duplicate"; if duplicate { discard; }',
    ],
)
def test_users_cannot_write_scripts_that_send_mail(dovecot: Running, mailbox: str, script: str) -> None:
    assert sieve_session(dovecot, mailbox, script).startswith("NO")


async def test_a_user_s_redirect_sends_nothing_and_keeps_the_mail(
    dovecot: Running, delivery: LmtpDelivery, mailbox: str
) -> None:
    await asyncio.to_thread(sieve_session, dovecot, mailbox, 'redirect "ailleurs@dehors.example";')
    await delivery.deliver(SENDER, mailbox, message())
    assert len(await asyncio.to_thread(fetched, dovecot, mailbox, "INBOX")) == 1
    log = dovecot.deployment.settings.log.read_text()
    assert "forwarded to" not in log
    assert re.search(rf"{mailbox}.*\.dovecot\.sieve failed, but implicit keep was successful", log)


async def test_a_user_s_own_script_sorts_other_mail_but_not_conversations(
    dovecot: Running, delivery: LmtpDelivery, mailbox: str
) -> None:
    script = 'require ["fileinto"]; fileinto "Junk";'
    put = await asyncio.to_thread(sieve_session, dovecot, mailbox, script)
    assert put.startswith("OK")
    await delivery.deliver(SENDER, mailbox, message())
    await delivery.deliver(SENDER, mailbox, message("X-TLE-Id: abc"))
    await delivery.deliver(SENDER, mailbox, message("X-TLE-Id: abc", "X-TLE-Place: INBOX"))
    for folder in ("Junk", CONVERSATIONS, "INBOX"):
        assert len(await asyncio.to_thread(fetched, dovecot, mailbox, folder)) == 1


def test_the_server_does_not_tell_imap_clients_without_login_of_mailboxes(dovecot: Running) -> None:
    with dovecot.deployment.imap() as client, pytest.raises(imaplib.IMAP4.error):
        client.select()


def test_the_first_login_and_the_first_delivery_of_a_mailbox_do_not_disturb_each_other() -> None:
    mailboxes = [f"nouvelle{number}@hopital.mssante.example" for number in range(40)]
    with deployment() as made, served(made, *map(login, mailboxes)) as running:

        def log_in(address: str) -> bytes | None:
            with made.imap_of(address) as client:
                return client.select("INBOX", readonly=True)[1][0]

        async def touch(pool: LmtpDelivery, address: str) -> None:
            logins = (asyncio.to_thread(log_in, address) for _ in range(2))
            await asyncio.gather(*logins, pool.deliver(SENDER, address, message("X-TLE-Delivery: k-1")))

        async def touch_all() -> None:
            pool = LmtpDelivery(running.server.lmtp_socket, timeout=20)
            try:
                for first in range(0, len(mailboxes), 4):
                    await asyncio.gather(*(touch(pool, address) for address in mailboxes[first : first + 4]))
            finally:
                await pool.close()

        asyncio.run(touch_all())
        assert [len(fetched(running, address, "INBOX")) for address in mailboxes] == [1] * len(mailboxes)
        assert "Panic" not in made.settings.log.read_text()
