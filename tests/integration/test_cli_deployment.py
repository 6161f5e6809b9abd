"""A deployment that is damaged, or changed by two commands at once, as operators meet it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from config import Settings
from gateway.cli.root import cli
from gateway.mailserver import dovecot_settings, refresh_logins
from gateway.services import Services
from gateway.store import Store, Transaction
from mailboxes.dovecot.account import service_account
from mailboxes.errors import MailboxError
from tests.support import region
from tests.support.deployment import Deployment, deployed

NEWER = "$argon2id$newer"


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


def _list(settings: Settings) -> Path:
    return settings.trust.list_file


def _anchors(settings: Settings) -> Path:
    return settings.pki.anchors


def _revocation_list(settings: Settings) -> Path:
    return settings.pki.crls / "other.crl"


def _certificate(settings: Settings) -> Path:
    return settings.pki.smime_certificate


def _key(settings: Settings) -> Path:
    return settings.pki.smime_key


@pytest.mark.parametrize("damaged", [_list, _anchors, _revocation_list, _certificate, _key])
def test_a_damaged_file_is_named_in_one_line(
    deployment: Deployment, damaged: Callable[[Settings], Path]
) -> None:
    path = damaged(deployment.settings)
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(b"not what it should be\n")
    try:
        told = deployment.call("expert", "list", "dermatologie")
    finally:
        path.unlink() if before is None else path.write_bytes(before)
    named = path.parent if before is None else path
    assert told.exit_code == 1
    assert str(named) in told.stderr
    assert len(told.stderr.splitlines()) == 1


@pytest.mark.parametrize("missing", [_list, _anchors, _certificate, _key])
def test_a_missing_file_is_named_in_one_line(
    deployment: Deployment, missing: Callable[[Settings], Path]
) -> None:
    path = missing(deployment.settings)
    aside = path.with_suffix(".aside")
    path.rename(aside)
    try:
        told = deployment.call("expert", "list", "dermatologie")
    finally:
        aside.rename(path)
    assert told.exit_code == 1
    assert told.stderr.startswith(f"gateway: {path}: ")
    assert len(told.stderr.splitlines()) == 1


def test_a_key_of_another_certificate_is_refused(deployment: Deployment) -> None:
    pki = deployment.settings.pki
    before = pki.smime_key.read_bytes()
    pki.smime_key.write_bytes(pki.tls_key.read_bytes())
    try:
        told = deployment.call("expert", "list", "dermatologie")
    finally:
        pki.smime_key.write_bytes(before)
    assert told.exit_code == 1
    assert f"{pki.smime_key}" in told.stderr
    assert "does not belong to the certificate" in told.stderr


@dataclass(slots=True)
class Overtaken:
    """A store whose first reader is slow: another one does its whole work meanwhile, if nothing holds it."""

    store: Store
    other: Callable[[], Coroutine[Any, Any, None]]
    overtaking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        async with self.store.reading() as tx:
            yield tx
        if self.overtaking is None:
            self.overtaking = asyncio.create_task(self.other())
            await asyncio.wait({self.overtaking}, timeout=0.5)


def test_of_commands_at_once_none_leaves_an_older_list_of_logins(deployment: Deployment) -> None:
    settings = deployment.settings
    try:
        service_account(dovecot_settings(settings))
    except MailboxError as missing:
        pytest.skip(str(missing))

    async def both(services: Services) -> None:
        async def other() -> None:
            async with services.store.transaction() as tx:
                await tx.accounts.set_password(region.GP.address, NEWER)
            await refresh_logins(services.store, settings)

        slow = Overtaken(services.store, other)
        await refresh_logins(cast(Store, slow), settings)
        assert slow.overtaking is not None
        await slow.overtaking

    deployment.work(both)
    assert f"{region.GP.address}:{{ARGON2ID}}{NEWER}:" in dovecot_settings(settings).logins.read_text()


def test_where_the_mailbox_server_is_another_no_logins_are_written(deployment: Deployment) -> None:
    settings = deployment.settings
    other = settings.mailboxes.home.parent / "elsewhere"
    mailboxes = settings.mailboxes.model_copy(update={"embedded": False, "home": other})
    changed = settings.model_copy(update={"mailboxes": mailboxes})

    async def refresh(services: Services) -> None:
        await refresh_logins(services.store, changed)

    deployment.work(refresh)
    assert not other.exists()


def test_init_makes_the_settings_file_that_it_names(tmp_path: Path) -> None:
    path = tmp_path / "recette.toml"
    for _ in range(2):
        made = CliRunner().invoke(cli, ["--config", str(path), "init"])
        assert made.exit_code == 0, made.output
        assert str(path) in made.output
    assert [found.name for found in tmp_path.glob("*.toml")] == ["recette.toml"]
    assert CliRunner().invoke(cli, ["--config", str(path), "check-config"]).exit_code == 0
