"""A PostgreSQL server of the tests' own: made by initdb in a temporary folder, reached by a Unix socket only,
gone afterwards. No server of the system is asked or needed.

Its databases sort as French does, by ICU, and belong to a role without any right: what holds here holds
wherever an operator's own databases are.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from gateway.store import Store

_SYSTEM_USERS = ("postgres", "nobody")
_OWNER, _ROLE = "postgres", "gateway"
_TEMPLATE = "migrated"
_READY_SECONDS = 30.0
_UNSAFE = {  # nothing here outlives the tests: a crash of the machine may lose it
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "autovacuum": "off",
}


def find_programs() -> Path | None:
    """The folder of PostgreSQL's server programs, the newest version first; ``None`` where there is none."""
    found = shutil.which("initdb")
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]), reverse=True
    )
    if versions:
        return versions[0].parent
    return Path(found).resolve().parent if found else None


def _account() -> pwd.struct_passwd:
    """Who runs the server where root runs the tests."""
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in _SYSTEM_USERS if name in known)


@dataclass(slots=True)
class Cluster:
    """A server that can be killed and started again; databases as often as asked."""

    programs: Path
    folder: Path
    _process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def make(self) -> None:
        """Make its files and start it, with the role that databases belong to and a database to copy."""
        if os.getuid() == 0:
            os.chown(self.folder, _account().pw_uid, -1)
        options = ("--username", _OWNER, "--auth=trust", "--no-sync", "--no-instructions", "--encoding=UTF8")
        french = ("--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=fr-FR")
        command = [*self._as_itself(), str(self.programs / "initdb"), "-D", str(self._data)]
        subprocess.run([*command, *options, *french], check=True, capture_output=True, cwd="/")
        self.start()
        with self.administrator() as connection:
            connection.execute(f"CREATE ROLE {_ROLE} LOGIN")
            connection.execute(f"CREATE DATABASE {_TEMPLATE} OWNER {_ROLE}")
        asyncio.run(_migrate(self.url(_TEMPLATE)))

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _as_itself(self) -> Sequence[str]:
        """How to run one of its programs: not as root, which it refuses, and not longer than the tests."""
        if os.getuid() != 0:
            return ("setpriv", "--pdeathsig=INT")
        user = _account()
        return (
            *("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"),
            "--pdeathsig=INT",
        )

    def start(self) -> None:
        """Start it and return when it takes connections."""
        settings = ["-k", str(self.folder), *(f"--{name}={value}" for name, value in _UNSAFE.items())]
        command = [*self._as_itself(), str(self.programs / "postgres"), "-D", str(self._data)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, *settings], stdout=log, stderr=log, cwd="/")
        end = time.monotonic() + _READY_SECONDS
        while True:
            try:
                with self.administrator():
                    return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def kill(self) -> None:
        """End it as a fault does: every connection is cut, nothing is written any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    @contextmanager
    def administrator(self, database: str = "postgres") -> Iterator[psycopg.Connection]:
        """A connection of the superuser, each statement of which is a transaction."""
        address = f"host={self.folder} user={_OWNER} dbname={database}"
        with psycopg.connect(address, autocommit=True) as connection:
            yield connection

    def url(self, database: str) -> str:
        """The address of a database for the gateway."""
        return f"postgresql://{_ROLE}@/{database}?host={self.folder}"

    @contextmanager
    def empty_database(self, like: str = "template1") -> Iterator[str]:
        """The address of a database of its own, without any table unless it is ``like`` another; gone
        afterwards.
        """
        name = f"test_{next(self._numbers)}"
        with self.administrator() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {_ROLE} TEMPLATE {like}")
        try:
            yield self.url(name)
        finally:
            with self.administrator() as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of a database with the tables of the program; gone afterwards."""
        with self.empty_database(_TEMPLATE) as url:
            yield url


async def _migrate(url: str) -> None:
    async with Store.open(url):
        pass


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running server; skips where its programs are missing (Debian package ``postgresql``)."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL's programs are missing (Debian package postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="tle-pg-"))
    made = Cluster(programs, folder)
    try:
        made.make()
        yield made
    finally:
        if made._process is not None:
            made.kill()
        shutil.rmtree(folder, ignore_errors=True)
