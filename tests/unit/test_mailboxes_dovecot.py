"""The private Dovecot's settings, configuration and logins, without a Dovecot."""

from dataclasses import replace
from pathlib import Path

import pytest

from mailboxes.dovecot.account import ServiceAccount
from mailboxes.dovecot.configuration import listening_address, render_configuration
from mailboxes.dovecot.installation import find_installation
from mailboxes.dovecot.logins import MailboxLogin
from mailboxes.dovecot.script import render_before_script
from mailboxes.dovecot.server import restart_delay
from mailboxes.dovecot.settings import DovecotSettings, LoginQuestions, RunFiles
from mailboxes.errors import DovecotMissing
from mailboxes.vocabulary import STATES, state_keyword

SETTINGS = DovecotSettings(
    home=Path("/srv/mails"),
    certificate=Path("/etc/tle/tls.crt"),
    key=Path("/etc/tle/tls.key"),
    hostname="mail.hopital.mssante.example",
)
ACCOUNT = ServiceAccount(uid=109, gid=113, user="dovecot", group="dovecot")
QUESTIONS = LoginQuestions(8025, "dovecot", "s3cret_-")
HASH = "$argon2id$v=19$m=65536,t=3,p=1$0qjjiC5QJm+KiPipe1vRPw$eIV00DQ5EFWA6y7Bt+E94VNPe11mVf+/ZS/NhoiyDxs"


def rendered(settings: DovecotSettings = SETTINGS) -> list[str]:
    text = render_configuration(settings, RunFiles(Path("/run/tle-x")), ACCOUNT)
    return [line.strip() for line in text.splitlines()]


def test_everything_runs_as_the_one_account_and_speaks_tls_only() -> None:
    lines = rendered()
    for line in (
        "ssl = required",
        "disable_plaintext_auth = yes",
        "default_internal_user = dovecot",
        "default_login_user = dovecot",
        "first_valid_uid = 109",
        "last_valid_uid = 109",
        "auth_cache_size = 0",
        "lmtp_save_to_detail_mailbox = no",
        "sieve_max_redirects = 0",
        "sendmail_path = /bin/false",
    ):
        assert line in lines


def test_braces_are_balanced_in_every_variant() -> None:
    variants = (
        SETTINGS,
        replace(SETTINGS, managesieve_port=4190),
        replace(SETTINGS, bind="192.0.2.7", managesieve_port=4190),
        replace(SETTINGS, questions=QUESTIONS),
        replace(SETTINGS, questions=replace(QUESTIONS, tokens=True)),
    )
    for settings in variants:
        lines = rendered(settings)
        assert sum(line.endswith("{") for line in lines) == sum(line == "}" for line in lines)


def test_tokens_are_taken_only_where_somebody_judges_them_and_passwords_are_told_to_nobody() -> None:
    assert "auth_mechanisms = plain login" in rendered()
    assert not [line for line in rendered() if line.startswith("auth_policy")]
    counting = rendered(replace(SETTINGS, questions=QUESTIONS))
    assert "auth_mechanisms = plain login" in counting
    assert "auth_policy_reject_on_fail = no" in counting
    assert not [line for line in counting if "password" in line and not line.startswith("#")]
    taking = rendered(replace(SETTINGS, questions=replace(QUESTIONS, tokens=True)))
    assert "auth_mechanisms = plain login xoauth2 oauthbearer" in taking
    # each password database says for which mechanisms it is: none sees a token by chance
    assert sum(line.startswith("passdb") for line in taking) == 3
    assert sum(line.startswith("mechanisms =") for line in taking) == 3


@pytest.mark.parametrize("secret", ["", "a b", "a\nb", "a@b", "a:b", "a/b", "é", "%u", "$x"])
def test_a_secret_that_would_end_an_address_or_a_line_is_refused(secret: str) -> None:
    with pytest.raises(ValueError):
        LoginQuestions(8025, "dovecot", secret)


def test_only_loopback_is_served_from_another_address_and_without_delay_by_address() -> None:
    public = replace(SETTINGS, bind="192.0.2.7")
    assert listening_address(SETTINGS) == "127.0.0.2"
    assert listening_address(public) == "192.0.2.7"
    assert "unix_listener anvil-auth-penalty {" in rendered()
    assert "unix_listener anvil-auth-penalty {" not in rendered(public)


def test_managesieve_is_served_only_when_wanted() -> None:
    assert "protocols = imap lmtp" in rendered()
    with_sieve = rendered(replace(SETTINGS, managesieve_port=4190))
    assert "protocols = imap lmtp sieve" in with_sieve
    assert "port = 4190" in with_sieve


@pytest.mark.parametrize("home", ["relative", "/with blank", "/a\nb", "/a%u", "/a:b", "/a$b", "/a#b"])
def test_a_home_that_the_configuration_would_misread_is_refused(home: str) -> None:
    with pytest.raises(ValueError, match="mail directory"):
        replace(SETTINGS, home=Path(home))


def test_other_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="host name"):
        replace(SETTINGS, hostname="a b")
    with pytest.raises(ValueError, match="host name"):
        replace(SETTINGS, bind="x\ny")
    with pytest.raises(ValueError, match="positive"):
        replace(SETTINGS, duplicate_days=0)


def test_the_instance_is_named_by_its_home_alone() -> None:
    assert replace(SETTINGS, tls_port=1).instance == SETTINGS.instance
    assert replace(SETTINGS, home=Path("/srv/other")).instance != SETTINGS.instance


def test_the_script_knows_every_state_and_the_period() -> None:
    script = render_before_script(30)
    assert ":seconds 2592000" in script
    for state in STATES:
        assert f'"{state}"' in script
        assert state_keyword(state) == f"tle_{state}"
    with pytest.raises(ValueError, match="state"):
        state_keyword("invented")


@pytest.mark.parametrize(
    "address",
    [
        *("", "alice", "@a.example", "alice@", "a@..", "é@a.example", "alice+x@a.example"),
        *("../x@a.example", "..@a.example", "a/b@a.example", ".tle@x/y"),
        *("a:b@a.example", "a\n@a.example", "a@a.example\n", "a*gateway@a.example"),
    ],
)
def test_addresses_that_cannot_be_a_directory_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="cannot name a mailbox"):
        MailboxLogin(address, HASH)


@pytest.mark.parametrize("password_hash", ["", "{PLAIN}secret", f"{HASH}:0", f"{HASH}\n", "$argon2i$v=19$x"])
def test_only_argon2id_hashes_are_taken(password_hash: str) -> None:
    with pytest.raises(ValueError, match="argon2id"):
        MailboxLogin("alice@a.example", password_hash)


def test_addresses_are_kept_in_lower_case() -> None:
    assert MailboxLogin("Alice.Martin@A.Example", HASH).home == ("a.example", "alice.martin")


def test_missing_packages_are_named(tmp_path: Path) -> None:
    with pytest.raises(DovecotMissing) as missing:
        find_installation(managesieve=True, root=tmp_path)
    names = ("dovecot-core", "dovecot-imapd", "dovecot-lmtpd", "dovecot-managesieved", "dovecot-sieve")
    assert missing.value.packages == names
    assert "apt-get install dovecot-core" in str(missing.value)


def test_restarts_come_soon_first_and_never_later_than_half_a_minute() -> None:
    delays = [restart_delay(failures) for failures in range(50)]
    assert delays == sorted(delays)
    assert delays[0] <= 0.5
    assert delays[-1] == 30.0
