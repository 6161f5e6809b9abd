"""Who may log in to the mailbox server, and how."""

import asyncio
import imaplib
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from mailboxes.dovecot.logins import MailboxLogin, write_logins
from tests.support.dovecot import PASSWORD, Running, deployment, eventually, login, served

ALICE = "alice.martin@hopital.mssante.example"
BOB = "bob@hopital.mssante.example"
CAROL = "carol@hopital.mssante.example"


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Running]:
    with deployment() as made, served(made, login(ALICE), login(BOB), login(CAROL, active=False)) as running:
        yield running


def plain_connection(dovecot: Running) -> imaplib.IMAP4:
    settings = dovecot.deployment.settings
    return imaplib.IMAP4(settings.bind, settings.starttls_port, timeout=15)


def test_no_login_is_offered_or_taken_before_tls_even_on_loopback(dovecot: Running) -> None:
    with plain_connection(dovecot) as client:
        assert "LOGINDISABLED" in client.capabilities
        assert not any(capability.startswith("AUTH=") for capability in client.capabilities)
        with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
            client.login(ALICE, "whatever")


def test_login_after_starttls(dovecot: Running) -> None:
    with plain_connection(dovecot) as client:
        client.starttls(dovecot.deployment.client_tls)
        assert "LOGINDISABLED" not in client.capabilities
        client.authenticate("PLAIN", lambda _: f"\0{ALICE}\0{PASSWORD}".encode())
        assert client.select()[0] == "OK"


def test_login_by_implicit_tls_in_any_case_of_letters(dovecot: Running) -> None:
    with dovecot.deployment.imap_of(ALICE.title()) as client:
        assert client.select()[0] == "OK"


def test_wrong_password_is_refused(dovecot: Running) -> None:
    with (
        dovecot.deployment.imap() as client,
        pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"),
    ):
        client.login(ALICE, "wrong")


def test_suspended_account_cannot_log_in(dovecot: Running) -> None:
    with dovecot.deployment.imap() as client, pytest.raises(imaplib.IMAP4.error):
        client.authenticate("PLAIN", lambda _: f"\0{CAROL}\0{PASSWORD}".encode())


def test_master_user_needs_its_password(dovecot: Running) -> None:
    with (
        dovecot.deployment.imap() as client,
        pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"),
    ):
        client.login(f"{ALICE}*gateway", "gateway")


def test_changes_hold_at_once_and_the_library_s_default_cost_is_borne(dovecot: Running) -> None:
    settings, admits = dovecot.deployment.settings, dovecot.deployment.admits
    hashed = PasswordHasher(parallelism=1).hash(PASSWORD)
    write_logins(settings, [MailboxLogin(ALICE, hashed), login(BOB, active=False), login(CAROL)])
    try:
        eventually(lambda: admits(CAROL) and not admits(BOB))
        assert admits(ALICE)
    finally:
        write_logins(settings, [login(ALICE), login(BOB), login(CAROL, active=False)])
        eventually(lambda: admits(BOB) and not admits(CAROL))


def test_open_sessions_of_an_account_can_be_ended_and_only_its_own(dovecot: Running) -> None:
    ended, stays = dovecot.deployment.imap_of(ALICE), dovecot.deployment.imap_of(BOB)

    def over() -> bool:
        asyncio.run(dovecot.server.end_sessions(ALICE))
        try:
            ended.noop()
        except (imaplib.IMAP4.abort, OSError):
            return True
        return False

    try:
        eventually(over)  # a session that was opened this instant may not be known to Dovecot yet
        assert stays.noop()[0] == "OK"
        asyncio.run(dovecot.server.end_sessions(ALICE))
        with pytest.raises(ValueError, match="cannot name a mailbox"):
            asyncio.run(dovecot.server.end_sessions("*"))  # doveadm's wildcard for everybody
    finally:
        ended.shutdown()
        stays.logout()


def test_usual_folders_are_there_marked_and_subscribed(dovecot: Running) -> None:
    with dovecot.deployment.imap_of(BOB) as client:
        listed = b"\n".join(line for line in client.lsub()[1] if isinstance(line, bytes)).decode()
        special = b"\n".join(line for line in client.list()[1] if isinstance(line, bytes)).decode()
    for folder in ("Sent", "Drafts", "Trash", "Junk", "Archive"):
        assert f'"/" {folder}' in listed
        assert f"\\{folder})" in special
    assert '"/" T&AOk-l&AOk-expertises' in listed


def test_a_delegate_sees_a_folder_that_was_shared_and_keeps_seen_apart(dovecot: Running) -> None:
    folder = "T&AOk-l&AOk-expertises"
    with dovecot.deployment.imap_of(ALICE) as owner:
        owner.append(folder, "", "", b"Subject: essai\r\n\r\nBonjour\r\n")
        assert owner.setacl(folder, BOB, "lrs")[0] == "OK"
    shared = f'"shared/{ALICE}/{folder}"'
    with dovecot.deployment.imap_of(BOB) as delegate:
        assert delegate.select(shared)[0] == "OK"
        delegate.store("1", "+FLAGS", r"(\Seen)")
        status, data = delegate.append(shared, "", "", b"Subject: non\r\n\r\n.\r\n")
        assert (status, b"NOPERM" in data[0]) == ("NO", True)
        assert delegate.search(None, "SEEN")[1] == [b"1"]
    with dovecot.deployment.imap_of(ALICE) as owner:
        owner.select(folder)
        assert owner.search(None, "SEEN")[1] == [b""]
