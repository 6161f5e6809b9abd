"""What every test may use; what one room's tests share lies in tests/support or in that folder's conftest."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from config import load_mapping
from gateway.journal import configure_logging
from tests.support.postgres import Cluster, cluster
from tests.support.store import database_url

# A test states behaviour, not speed; the first text drawn on a fresh machine builds a table for seconds.
settings.register_profile(
    "house", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("house")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def events_on_standard_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Gateways served within this process log as a served one does: unconfigured, structlog prints to
    whatever standard output is, which is that of a command under test at times.
    """
    given = {"service": {"domain": "gateway.mssante.example"}}
    configure_logging(load_mapping(given, tmp_path_factory.mktemp("settings")))


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of outside judges (test vectors, document validator), which the project cannot ship.

    Environment variable TLE_SHARED, else ../shared beside the project; tests that need it skip without it.
    """
    folder = Path(os.environ.get("TLE_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"no shared test material at {folder} (environment variable TLE_SHARED)")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server of this process's tests, started when the first one asks for it."""
    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table; the test runs on each kind that the gateway knows."""
    with _database(request, tmp_path, Cluster.empty_database) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new database; the test runs on each kind that the gateway knows."""
    with _database(request, tmp_path, Cluster.database) as url:
        yield url


@contextmanager
def _database(
    request: pytest.FixtureRequest,
    folder: Path,
    make: Callable[[Cluster], AbstractContextManager[str]],
) -> Iterator[str]:
    if request.param == "sqlite":
        yield database_url(folder)
        return
    with make(request.getfixturevalue("postgres")) as url:
        yield url
