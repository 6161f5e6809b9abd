"""``gateway account`` on a deployment, and its effect on a gateway that another process runs."""

import imaplib
import json
import smtplib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.root import cli
from gateway.logins.passwords import password_hasher
from gateway.mailserver import dovecot_settings
from gateway.services import Services
from mailboxes.dovecot.account import service_account
from mailboxes.errors import MailboxError
from tests.support import region
from tests.support.deployment import Deployment, deployed
from tests.support.gateway import eventually, gateway

PASSWORD = "un autre mot de passe"


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        try:
            service_account(dovecot_settings(made.settings))
        except MailboxError as missing:
            pytest.skip(str(missing))
        yield made


def address(name: str) -> str:
    return f"{name}@{region.DOMAIN}"


def logins(deployment: Deployment) -> dict[str, str]:
    lines = dovecot_settings(deployment.settings).logins.read_text().splitlines()
    return {line.partition(":")[0]: line for line in lines}


def opens(deployment: Deployment, account: str, password: str) -> bool:
    async def stored(services: Services) -> str | None:
        async with services.store.reading() as tx:
            return await tx.accounts.password_hash(account)

    found = deployment.work(stored)
    return found is not None and password_hasher().verify(found, password)


def test_an_account_is_added_with_a_password_that_is_told_once(deployment: Deployment) -> None:
    told = deployment.json(
        *("account", "add", address("Lea.Roux"), "--name", "Dr Léa ROUX", "--rpps", "10 1000 00041"),
        *("--department", "43", "--kind", "person"),
    )
    assert told["address"] == address("lea.roux")
    assert opens(deployment, address("lea.roux"), told["password"])
    (found,) = [each for each in deployment.json("account", "list") if each["address"] == address("lea.roux")]
    assert (found["name"], found["rpps"], found["department"]) == ("Dr Léa ROUX", "10100000041", "43")
    assert address("lea.roux") in logins(deployment)


def test_what_is_known_of_an_account_is_changed_and_the_rest_of_it_stays(deployment: Deployment) -> None:
    def known() -> dict[str, object]:
        rows = deployment.json("account", "list")
        (found,) = [each for each in rows if each["address"] == region.SECRETARY.address]
        return dict(found)

    before = known()
    told = deployment.json(
        *("account", "change", region.SECRETARY.address.upper(), "--profession", " Sage-femme "),
        *("--finess", "43 0000 018", "--organisation", "Maison de santé", "--unit", "3412"),
    )
    assert told["fields"] == ["finess", "organisation", "profession", "unit"]
    changes = {"profession": "Sage-femme", "finess": "430000018", "organisation": "Maison de santé"} | {
        "unit": "3412"
    }
    assert known() == before | changes
    assert "changed" in deployment.done("account", "change", region.SECRETARY.address, "--organisation", "")
    assert known()["organisation"] == ""
    for arguments, code, why in (
        ((region.SECRETARY.address,), 2, "name what is to be changed"),
        ((region.SECRETARY.address, "--finess", "12"), 1, "--finess"),
        ((region.SECRETARY.address, "--unit", "1" * 21), 1, "--unit"),
        ((region.SECRETARY.address, "--rpps", region.GP.rpps), 1, "another account"),
        ((region.SECRETARY.address, "--name", " "), 1, "--name"),
        ((region.SECRETARY.address, "--town", "a\nb"), 1, "one line"),
        ((address("personne"), "--town", "x"), 1, "no account"),
    ):
        result = deployment.call("account", "change", *arguments)
        assert result.exit_code == code
        assert why in result.stderr
    undone = ("--profession", str(before["profession"]), "--finess", str(before["finess"]))
    deployment.done("account", "change", region.SECRETARY.address, *undone)


def test_a_password_comes_from_a_file_and_is_not_printed(deployment: Deployment, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n", "utf-8")
    told = deployment.done(
        "account", "add", address("max.petit"), "--name", "Max PETIT", "--password-file", secret
    )
    assert PASSWORD not in told
    assert "password" not in told
    assert opens(deployment, address("max.petit"), PASSWORD)


def test_a_new_password_from_standard_input_replaces_the_old_one(deployment: Deployment) -> None:
    before = logins(deployment).get(region.NURSE.address)
    told = deployment.json(
        "account", "passwd", region.NURSE.address, "--password-file", "-", input=PASSWORD + "\n"
    )
    assert told == {"address": region.NURSE.address, "done": "password changed"}
    assert opens(deployment, region.NURSE.address, PASSWORD)
    assert logins(deployment)[region.NURSE.address] != before


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((address("nouveau"), "--name", " "), "--name"),
        (("x@elsewhere.example", "--name", "X"), "none of our domains"),
        (("pas une adresse", "--name", "X"), "cannot name a mailbox"),
        ((address("a+b"), "--name", "X"), "cannot name a mailbox"),
        ((address("teleexpertise"), "--name", "X"), "service itself"),
        ((region.GP.address, "--name", "X"), "there already"),
        ((address("nouveau"), "--name", "X", "--rpps", "123"), "--rpps"),
        ((address("nouveau"), "--name", "X", "--rpps", region.GP.rpps), f"RPPS {region.GP.rpps} is there"),
        ((address("nouveau"), "--name", "X", "--billing-number", "12"), "--billing-number"),
    ],
)
def test_an_account_that_cannot_be_is_refused(
    deployment: Deployment, arguments: tuple[str, ...], why: str
) -> None:
    told = deployment.call("account", "add", *arguments)
    assert told.exit_code == 1
    assert why in told.stderr
    assert address("nouveau") not in deployment.done("account", "list")


@pytest.mark.parametrize("password", ["court", "x" * 300, "avec\x07un bip dedans", ""])
def test_an_unusable_password_is_refused(deployment: Deployment, password: str) -> None:
    told = deployment.call("account", "passwd", region.GP.address, "--password-file", "-", input=password)
    assert told.exit_code == 1
    assert "password" in told.stderr
    assert opens(deployment, region.GP.address, region.PASSWORD)


@pytest.mark.parametrize("command", ["passwd", "suspend", "resume"])
def test_an_unknown_account_is_refused(deployment: Deployment, command: str) -> None:
    told = deployment.call("account", command, address("personne"))
    assert told.exit_code == 1
    assert f"no account {address('personne')}" in told.stderr


def test_wrong_use(deployment: Deployment) -> None:
    assert deployment.call("account", "add", address("x")).exit_code == 2
    assert deployment.call("account", "add", address("x"), "--name", "X", "--kind", "robot").exit_code == 2
    assert (
        deployment.call("account", "passwd", region.GP.address, "--password-file", "/no/file").exit_code == 2
    )


def test_a_suspension_is_undone(deployment: Deployment) -> None:
    account = region.SECRETARY.address
    assert deployment.json("account", "suspend", account)["sessions_ended"] is False
    assert "nologin" in logins(deployment)[account]
    suspended = deployment.json("account", "list", "--suspended")
    assert [each["address"] for each in suspended] == [account]
    deployment.done("account", "resume", account)
    assert "nologin" not in logins(deployment)[account]
    assert deployment.done("account", "list", "--suspended").strip() == "no account"


def test_each_change_leaves_an_audit_line_without_the_password(deployment: Deployment) -> None:
    told = deployment.json("account", "passwd", region.STRANGER.address)

    async def lines(services: Services) -> list[str]:
        async with services.store.reading() as tx:
            return [f"{line}" for line in await tx.audit.list() if line.target == region.STRANGER.address]

    (line,) = deployment.work(lines)
    assert "account passwd" in line
    assert "operator" in line
    assert told["password"] not in line


def test_a_running_gateway_ends_the_sessions_of_a_suspended_account() -> None:
    with gateway() as served:
        config = str(served.settings.files.mac_key_file.parent / "gateway.toml")
        client = served.client(region.GP)
        with ExitStack() as sessions:

            def connect() -> imaplib.IMAP4_SSL:
                session = imaplib.IMAP4_SSL(
                    "localhost", served.imaps_port, ssl_context=served.tls, timeout=30
                )
                sessions.callback(session.shutdown)
                return session

            session = connect()
            session.login(region.GP.address, region.PASSWORD)
            told = CliRunner().invoke(
                cli, ["--config", config, "account", "suspend", region.GP.address, "--json"]
            )
            assert told.exit_code == 0, told.output
            assert json.loads(told.stdout)["sessions_ended"] is True

            def ended() -> bool:
                try:
                    session.noop()
                except (imaplib.IMAP4.abort, OSError):
                    return True
                return False

            eventually(ended, "the end of the session")
            with pytest.raises(imaplib.IMAP4.error):
                connect().login(region.GP.address, region.PASSWORD)
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.send(client.compose(served.service, "Annuaire"))


def test_how_an_account_is_told_is_changed_and_shown(deployment: Deployment) -> None:
    assert deployment.json("account", "notice", region.NURSE.address, "digest")["notice"] == "digest"
    (found,) = [
        each for each in deployment.json("account", "list") if each["address"] == region.NURSE.address
    ]
    assert found["notice"] == "digest"
    assert deployment.call("account", "notice", region.NURSE.address, "pigeon").exit_code == 2
    assert deployment.call("account", "notice", address("nobody"), "inbox").exit_code == 1
