"""``gateway database``: what it prints, and what it never shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.store.migration import SCHEMA_REVISION
from tests.support.deployment import Deployment, deployed, play
from tests.support.postgres import Cluster

SECRET = "geheim-42"


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        made.work(play)
        yield made


@pytest.fixture
def target(postgres: Cluster) -> Iterator[str]:
    """The address of an empty database, with a password in both places that an address has for it."""
    with postgres.empty_database() as url:
        yield f"{url.replace('gateway@', f'gateway:{SECRET}@')}&password={SECRET}"


def test_status_tells_engine_revision_size_queue_and_rows(deployment: Deployment) -> None:
    told = deployment.done("database", "status")
    data = deployment.json("database", "status")
    assert data["engine"] == "sqlite"
    assert data["revision"] == data["program_revision"] == SCHEMA_REVISION
    assert data["octets"] > 100_000
    assert data["rows"]["conversation"] == 1
    assert data["queue"]["pending"] == data["rows"]["outbox"] > 0
    assert data["oldest_pending"][:10] in told
    assert "no gateway serves it" in told
    assert f"sqlite {data['version']}: {data['url']}" in told


def test_a_copy_says_what_to_change_and_shows_no_password(
    deployment: Deployment, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = deployment.json("database", "status")["rows"]
    told = deployment.done("database", "copy", "--to", target)
    assert f"{sum(before.values())} rows of {len(before)} tables copied, and read back alike" in told
    assert "hold in the copy" in told
    assert f"to be changed in {deployment.path}" in told
    assert '[database]\nurl = "postgresql://gateway@/test_' in told
    assert "its password in ~/.pgpass" in told
    monkeypatch.setenv("TLE_COPY_TO", target)
    again = deployment.call("database", "copy")
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == "gateway: the database is not empty: there are rows in account\n"
    monkeypatch.setenv("TLE_DATABASE_URL", target)
    there = deployment.json("database", "status")
    assert there["rows"] == before | {"audit": before["audit"] + 1}
    back = deployment.done("database", "copy", "--to", "sqlite:///back.sqlite3")
    assert "to be changed in TLE_DATABASE_URL" in back
    assert (deployment.path.parent / "back.sqlite3").exists()
    assert SECRET not in told + again.stderr + str(there) + back


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"mysql://gateway:{SECRET}@db.example/gateway", "no support for this database: mysql://gateway@db"),
        (f"postgresql:gateway:{SECRET}@x", "not a database URL"),
        (f"postgresql://gateway:{SECRET}@", "no database is named: postgresql://gateway@"),
        ("sqlite:///nowhere/copy.sqlite3", "No such file or directory"),
    ],
)
def test_an_address_that_is_none_is_told_in_one_line(deployment: Deployment, url: str, told: str) -> None:
    found = deployment.call("database", "copy", "--to", url)
    assert (found.exit_code, found.stdout) == (3, "")
    assert told in found.stderr
    assert found.stderr.count("\n") == 1
    assert SECRET not in found.stderr
