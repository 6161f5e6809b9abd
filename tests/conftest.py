"""What every test may use; what one room's tests share lies in tests/support or in that folder's conftest."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from config import load_mapping
from gateway.journal import configure_logging

# A test states behaviour, not speed; the first text drawn on a fresh machine builds a table for seconds.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
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
