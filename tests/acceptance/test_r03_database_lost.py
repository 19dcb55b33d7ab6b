"""R3: the database goes away again and again in the middle of a run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.acceptance import invariants
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour, wait_for_apps
from tests.acceptance.harness import eventually
from tests.conftest import PostgreSQLServer

HUNG_S = 30.0
FILES = 120
CUTS = 16
POSTMASTER_KILLS = 2


class Postgres:
    """A PostgreSQL server of this test alone, that can be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self._made = PostgreSQLServer(directory)
        self._server = self._made._server
        self._uri = self._made.uri
        self.url = self._made.new_database()
        self._name = self.url.partition("?")[0].rpartition("/")[2]
        self.cut = 0

    def cut_connections(self) -> None:
        """End all sessions of the database, in whatever they are."""
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(self._uri, autocommit=True) as connection:
            self.cut += len(connection.execute(query, (self._name,)).fetchall())

    def kill(self) -> None:
        """Kill the postmaster as `kill -9` does; its backends see it and end."""
        pid = self._server.get_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self._answers(), 20.0, "PostgreSQL is gone")

    def start(self) -> None:
        def started() -> bool:
            try:
                self._server.ensure_postgres_running()
            except subprocess.SubprocessError:
                # Shared memory is in use until the last backend has ended.
                return False
            return self._answers()

        eventually(started, 30.0, "PostgreSQL runs again")

    def close(self) -> None:
        self._made.stop()

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self._uri, connect_timeout=5):
                return True
        except psycopg.OperationalError:
            return False


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    # Not under pytest's own directory; see `postgresql_server`.
    with tempfile.TemporaryDirectory(prefix="longshore-") as directory:
        made = Postgres(Path(directory, "pg"))
        yield made
        made.close()


class Uploads:
    """A user who goes on uploading files and starting runs while the database comes and goes."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.runs: list[str] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._go, name="uploads")
        self._thread.start()

    def join(self) -> None:
        self._thread.join(120.0)
        assert not self._thread.is_alive(), "the uploads hang"
        if self.error is not None:
            raise self.error

    def _go(self) -> None:
        try:
            for run in range(4):
                files = range(run * FILES // 4, (run + 1) * FILES // 4)
                contents = {f"{name:04}.txt": f"text {name}".encode() for name in files}
                self.runs.append(self.user.run_files("Echo", contents))
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self.error = error


def _check_patience(user: User) -> None:
    told = {status for status in user.statuses if status >= 400}
    assert told <= {503}, f"clients saw more than errors to try again on: {user.statuses}"
    assert user.longest_s < HUNG_S, f"a request hung for {user.longest_s:.0f} s"


@pytest.mark.timeout(300)
def test_lost_connections_and_a_killed_postmaster_lose_nothing(
    harbour: Harbour, postgres: Postgres
) -> None:
    server = harbour.server(database=postgres.url)
    server.start()
    user = harbour.user(server)
    worker = harbour.worker(server)
    worker.start()
    wait_for_apps(user, ["Echo"])
    chance = random.Random(20_263)
    pause = threading.Event()

    uploads = Uploads(user)
    for cut in range(CUTS):
        pause.wait(chance.uniform(0.2, 0.6))
        if cut % (CUTS // POSTMASTER_KILLS) == 5:
            postgres.kill()
            pause.wait(chance.uniform(0.5, 1.5))
            postgres.start()
        else:
            postgres.cut_connections()
    uploads.join()
    for run_id in uploads.runs:
        assert user.finished(run_id, within_s=60.0)["status"] == "COMPLETE"
    print(f"{postgres.cut} sessions cut, {user.retries} requests repeated: {dict(user.statuses)}")
    assert postgres.cut > CUTS, "something was connected each time"
    _check_patience(user)
    invariants.check_all(user)
    assert worker.running
    assert server.running
    assert server.stop() == 0


@pytest.mark.timeout(300)
def test_a_server_on_sqlite_killed_again_and_again_in_a_run_loses_nothing(
    harbour: Harbour,
) -> None:
    server = harbour.server()
    server.start()
    user = harbour.user(server)
    worker = harbour.worker(server)
    worker.start()
    wait_for_apps(user, ["Echo"])
    chance = random.Random(20_264)
    pause = threading.Event()

    uploads = Uploads(user)
    for _ in range(6):
        pause.wait(chance.uniform(0.2, 1.2))
        server.restart()
    uploads.join()
    for run_id in uploads.runs:
        assert user.finished(run_id, within_s=60.0)["status"] == "COMPLETE"
    _check_patience(user)
    invariants.check_all(user)
    assert worker.running
