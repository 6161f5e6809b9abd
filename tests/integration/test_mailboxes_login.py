"""Who may log in to the mailbox server, and how."""

import asyncio
import imaplib
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from mailboxes.dovecot.logins import MailboxLogin, write_logins
from mailboxes.dovecot.sharing import SharedMailbox, write_sharing
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


def test_a_reader_sees_the_folders_that_the_rights_name_and_nobody_shares_past_them(dovecot: Running) -> None:
    folder = "T&AOk-l&AOk-expertises"
    made = dovecot.deployment
    with made.imap_of(ALICE) as owner:
        owner.append(folder, "", "", b"Subject: essai\r\n\r\nBonjour\r\n")
        status, data = owner.setacl(folder, BOB, "lrs")
        assert (status, b"NOPERM" in data[0]) == ("NO", True)
    shared = f'"Autres comptes/{ALICE}/{folder}"'
    with made.imap_of(BOB) as reader:
        assert reader.select(shared)[0] == "NO"
    write_sharing(made.settings, [ALICE, BOB], [SharedMailbox(ALICE, frozenset({BOB}))])
    with made.imap_of(BOB) as reader:
        assert reader.select(shared)[0] == "OK"
        reader.store("1:*", "+FLAGS", r"(\Seen)")
        assert reader.search(None, "UNSEEN")[1] == [b""]
        assert reader.setacl(shared, BOB, "lra")[0] == "NO"
        write_sharing(made.settings, [ALICE, BOB], [])
        # Without being disconnected, it may open nothing more a second later.
        eventually(lambda: reader.select(f'"Autres comptes/{ALICE}/INBOX"')[0] == "NO")
        assert reader.select(shared)[0] == "NO"
    with made.imap_of(ALICE) as owner:
        owner.select(folder)
        assert owner.search(None, "SEEN")[1] == [b""]


def test_a_mailbox_that_nobody_opened_yet_is_read_as_empty(dovecot: Running) -> None:
    made, new = dovecot.deployment, "nouveau@hopital.mssante.example"
    write_logins(made.settings, [login(ALICE), login(BOB), login(new)])
    write_sharing(made.settings, [ALICE, BOB, new], [SharedMailbox(new, frozenset({BOB}), common=True)])

    def opens() -> bool:
        with made.imap_of(BOB) as reader:
            return reader.select(f'"Comptes communs/{new}/INBOX"') == ("OK", [b"0"])

    eventually(opens)  # Dovecot may look at its list of logins up to a second later
    write_sharing(made.settings, [ALICE, BOB, new], [])


@pytest.mark.parametrize(
    "address", ['a"b@x.example', "A@x.example", "../x@x.example", "*@x.example", "a b@x.example"]
)
def test_what_cannot_name_a_mailbox_gets_no_rights(address: str) -> None:
    with pytest.raises(ValueError, match=r"cannot name a mailbox|lower case"):
        SharedMailbox(address, frozenset())
    with pytest.raises(ValueError, match=r"cannot name a mailbox|lower case"):
        SharedMailbox(ALICE, frozenset({address}))
