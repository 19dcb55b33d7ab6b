"""Real servers for the published clients: `longshore up`, with a worker beside it where needed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from aihub import AIHub
from sqlalchemy import Connection

from longshore.access import keys, organisations
from longshore.access.roles import Role
from longshore.storage import open_database
from tests.acceptance.harness import Server, eventually, kill_marked
from tests.clients.arkindex_rig import Archive, StartWorker, TaskWorker
from tests.clients.spark_rig import FLAVOURS, Spark, SparkServer, StartSpark
from tests.clients.workflow_client import Console, Workspace
from tests.conftest import KINDS

READING_APP = Path(__file__).with_name("reading_app.py")
SETTINGS = {"LONGSHORE_RETENTION_INTERVAL_S": "0.2", "LONGSHORE_JANITOR_INTERVAL_S": "0.1"}
FINISH_S = 60.0
"""Longest that a run or job may take on a busy machine."""


@dataclass
class Hub:
    """A running server and the published client, as a user of it would set them up."""

    server: Server
    client: Any

    @property
    def root(self) -> str:
        return f"{self.server.url}/api"

    @property
    def organisation_id(self) -> str:
        return str(self.server.credentials["organisation_id"])

    def folder(self, rest: str, workspace: str = "personal") -> str:
        return f"{self.organisation_id}/{workspace}/fs/Instabase Drive/{rest}"

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request that the published client has no method for."""
        headers = {"Authorization": f"Bearer {self.server.key}"}
        answer = httpx.request(
            method, f"{self.server.url}{path}", headers=headers, trust_env=False, **more
        )
        assert answer.is_success, answer.text
        return answer

    def batch(self, **files: str) -> int:
        """Make a batch of files; names get `.txt`."""
        batch_id: int = self.client.batches.create("batch", "Tests").id
        for name, text in files.items():
            self.client.batches.add_file(batch_id, f"{name}.txt", text.encode())
        return batch_id

    def start(self, batch_id: int, **more: Any) -> str:
        run = self.client.apps.runs.create("Meal Receipt", batch_id=batch_id, **more)
        assert run.status == "RUNNING"
        return str(run.id)

    def finish(self, run_id: str) -> Any:
        """Wait for the end of a run and return it."""

        def ended() -> Any:
            run = self.client.apps.runs.status(run_id)
            return run if run.status != "RUNNING" else None

        return eventually(ended, FINISH_S, f"run {run_id} ends")

    def job(self, job_id: str) -> Any:
        """Wait for the end of a job and return its status."""

        def ended() -> Any:
            status = self.client.jobs.status(job_id)
            return status if status.state not in ("PENDING", "RUNNING") else None

        return eventually(ended, FINISH_S, f"job {job_id} ends")


@pytest.fixture(scope="session")
def mark() -> Iterator[str]:
    made = secrets.token_hex(12)
    yield made
    kill_marked(made)


@pytest.fixture(scope="session")
def longshore_server(tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[Server]:
    """A server whose worker reads lines; shared, so tests count only what is their own."""
    data = tmp_path_factory.mktemp("clients") / "data"
    server = Server(data, mark, worker=True, apps=[READING_APP], settings=SETTINGS)
    server.start()
    yield server
    server.stop()
    server.close()
    unforeseen = server.unforeseen()
    assert not unforeseen, "\n".join(unforeseen)


@pytest.fixture
def hub(longshore_server: Server) -> Hub:
    # All clients of one process share address and key: the last one made wins.
    client = AIHub(longshore_server.key, "local", f"{longshore_server.url}/api")
    found = Hub(longshore_server, client)

    def offered() -> bool:
        apps = found.ask("GET", "/api/v2/apps").json()["apps"]
        return any(version["workers_online"] for app in apps for version in app["versions"])

    eventually(offered, FINISH_S, "the worker offers its app")
    return found


ORGANISATIONS = 300
"""More than there are tests of the workflow client; each has an organisation to itself."""


@dataclass
class BucketServer:
    """A running server, and the keys of organisations that have nothing yet."""

    server: Server
    keys: list[str]
    shared: Console | None = None

    @classmethod
    def start(
        cls, data: Path, mark: str, database: str | None, *, fault: str | None = None
    ) -> BucketServer:
        server = Server(data, mark, database=database)
        data.mkdir(parents=True)
        made = cls(server, _keys_of_new_organisations(server.database))
        server.start(fault=fault)
        return made

    def workspace(self, home: Path) -> Workspace:
        """Return the home of a user in an organisation of its own."""
        return Workspace.make(home, self.server.url, self.keys.pop())

    def console(self, workspace: Workspace) -> Console:
        """Return the process of the client that tests share, since starting one takes a while."""
        if self.shared is None or not self.shared.usable:
            self.close()
            home = self.server.data.with_name(f"home-{secrets.token_hex(4)}")
            made = Workspace.make(home, self.server.url, workspace.key)
            self.shared = Console(made, home / "console.log")
        self.shared.become(workspace.key)
        return self.shared

    def close(self) -> None:
        if self.shared is not None:
            self.shared.close()
            self.shared = None


def _keys_of_new_organisations(url: str) -> list[str]:
    def make(connection: Connection) -> list[str]:
        organisations.ensure_first(connection)
        made = []
        for number in range(ORGANISATIONS):
            organisation = organisations.ensure(connection, f"tests-{number}")
            made.append(keys.create(connection, organisation.id, name="t", role=Role.ADMIN)[1])
        return made

    opened = open_database(url)
    try:
        return opened.write_blocking(make)
    finally:
        opened.close()


StartServer = Callable[[str], BucketServer]


@pytest.fixture(scope="session")
def bucket_servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mark: str
) -> Iterator[StartServer]:
    """A server on each database, which starts when it is first asked for."""
    started: dict[str, BucketServer] = {}

    def get(kind: str) -> BucketServer:
        if kind not in started:
            data = tmp_path_factory.mktemp("buckets") / "data"
            database = None
            if kind == "postgresql":
                database = request.getfixturevalue("postgresql_server").new_database()
            started[kind] = BucketServer.start(data, mark, database)
        return started[kind]

    yield get
    for made in started.values():
        made.close()
        made.server.stop()
        made.server.close()
    unforeseen = [line for made in started.values() for line in made.server.unforeseen()]
    assert not unforeseen, "\n".join(unforeseen)


@pytest.fixture(params=KINDS)
def bucket_server(request: pytest.FixtureRequest, bucket_servers: StartServer) -> BucketServer:
    """A server on each database."""
    return bucket_servers(request.param)


@pytest.fixture
def workspace(bucket_server: BucketServer, tmp_path: Path) -> Workspace:
    """The home of a user of the workflow client, in an organisation that has nothing yet."""
    return bucket_server.workspace(tmp_path / "home")


@pytest.fixture
def console(bucket_server: BucketServer, workspace: Workspace) -> Console:
    """A process of the workflow client, as the user of the workspace."""
    return bucket_server.console(workspace)


@pytest.fixture(scope="session")
def spark_servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mark: str
) -> Iterator[StartSpark]:
    """A server with services on each database, which starts when it is first asked for."""
    started: dict[str, SparkServer] = {}

    def get(kind: str) -> SparkServer:
        if kind not in started:
            database = None
            if kind == "postgresql":
                database = request.getfixturevalue("postgresql_server").new_database()
            data = tmp_path_factory.mktemp("spark") / "data"
            started[kind] = SparkServer.start(data, mark, database)
        return started[kind]

    yield get
    for made in started.values():
        made.close()
    unforeseen = [line for made in started.values() for line in made.server.unforeseen()]
    assert not unforeseen, "\n".join(unforeseen)


@pytest.fixture
def spark_server(spark_servers: StartSpark) -> SparkServer:
    """A server with services on SQLite, which tests share."""
    return spark_servers("sqlite")


@pytest.fixture(params=FLAVOURS)
def spark(request: pytest.FixtureRequest, spark_server: SparkServer, tmp_path: Path) -> Spark:
    """A user of each flavour of the published client."""
    return Spark.of(spark_server, request.param, tmp_path)


@pytest.fixture
def present(spark_server: SparkServer, tmp_path: Path) -> Spark:
    """A user of the present client, where its flavours do not differ."""
    return Spark.of(spark_server, "sync", tmp_path)


@pytest.fixture(scope="session")
def corpus_server(tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[Server]:
    """A server without a worker, for the published base of corpus workers."""
    data = tmp_path_factory.mktemp("corpora") / "data"
    server = Server(data, mark, settings=SETTINGS)
    server.start()
    yield server
    server.stop()
    server.close()
    unforeseen = server.unforeseen()
    assert not unforeseen, "\n".join(unforeseen)


@pytest.fixture
def archive(corpus_server: Server, tmp_path: Path) -> Iterator[Archive]:
    """A new corpus on that server, and a home for the programs of its user."""
    made = Archive(corpus_server, tmp_path)
    yield made
    made.close()


@pytest.fixture
def start_worker(archive: Archive, mark: str) -> Iterator[StartWorker]:
    """Starts `longshore worker` with programs for tasks; ends it after the test."""
    started: list[TaskWorker] = []

    def start(programs: Mapping[str, Sequence[str]], *options: str, **more: Any) -> None:
        started.append(TaskWorker(archive, mark, programs))
        started[-1].start(*options, **more)

    yield start
    for worker in started:
        worker.stop()
        worker.close()
