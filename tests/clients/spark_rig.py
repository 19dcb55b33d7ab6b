"""A running server with a worker of services, and the published clients `cspark` beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection

from longshore.access import keys, organisations
from longshore.access.roles import Role
from longshore.storage import open_database
from tests.acceptance.harness import Server, eventually
from tests.clients.spark_client import EARLY, PRESENT, Answer, Console, Remote

SERVICES = Path(__file__).with_name("spark_services.py")
SERVICE = "my-folder/my-service"
SLOTS = 8
"""Most services of these tests wait more than they compute."""
SETTINGS = {"LONGSHORE_RETENTION_INTERVAL_S": "0.2", "LONGSHORE_JANITOR_INTERVAL_S": "0.1"}
FINISH_S = 60.0
"""Longest that a pipeline may take on a busy machine."""
STATUS = {
    "response_timestamp",
    "request_timestamp",
    "batch_status",
    "pipeline_status",
    "chunks_available",
    "chunks_submitted",
    "record_submitted",
    "chunks_completed",
    "records_completed",
    "compute_time_ms",
    "input_buffer_used_bytes",
    "input_buffer_remaining_bytes",
    "output_buffer_used_bytes",
    "output_buffer_remaining_bytes",
    "workers_in_use",
    "records_available",
}
"""Every field of a status."""


@dataclass
class SparkServer:
    """A server with services, an organisation of its user and one of somebody else."""

    server: Server
    foreign_key: str
    foreign_tenant: str
    consoles: dict[str, Console] = field(default_factory=dict)

    @classmethod
    def start(cls, data: Path, mark: str, database: str | None) -> SparkServer:
        server = Server(
            data,
            mark,
            database=database,
            worker=True,
            slots=SLOTS,
            apps=[SERVICES],
            settings=SETTINGS,
        )
        data.mkdir(parents=True)
        foreign = _foreign_organisation(server.database)
        server.start()
        made = cls(server, *foreign)
        try:
            eventually(lambda: offers(server, SERVICE), FINISH_S, "the worker offers its services")
        except AssertionError:
            made.close()
            raise
        return made

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def key(self) -> str:
        return self.server.key

    @property
    def tenant(self) -> str:
        return str(self.server.credentials["organisation_id"])

    def ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **more: Any
    ) -> httpx.Response:
        """Send a request that the published client would not send; `path` begins below the tenant."""
        headers = {"x-synthetic-key": key or self.key, **more.pop("headers", {})}
        url = f"{self.url}/{self.tenant}/api/v4{path}"
        return httpx.request(
            method, url, json=body, headers=headers, trust_env=False, timeout=FINISH_S, **more
        )

    def console(self, client: str, home: Path) -> Console:
        """Return the process of a client, which tests share since starting one takes a while."""
        if client not in self.consoles:
            self.consoles[client] = Console(client, home)
        return self.consoles[client]

    def close(self) -> None:
        for console in self.consoles.values():
            console.close()
        self.server.stop()
        self.server.close()


def _foreign_organisation(url: str) -> tuple[str, str]:
    def make(connection: Connection) -> tuple[str, str]:
        organisations.ensure_first(connection)
        made = organisations.ensure(connection, "neighbours")
        return keys.create(connection, made.id, name="t", role=Role.ADMIN)[1], made.id

    opened = open_database(url)
    try:
        return opened.write_blocking(make)
    finally:
        opened.close()


StartSpark = Callable[[str], SparkServer]
FLAVOURS = ("sync", "async", "early")
"""0.3.3 as `Client` and as `AsyncClient`, and 0.1.10."""


@dataclass
class Spark:
    """A user of one flavour of the published client."""

    server: SparkServer
    console: Console
    flavour: str
    client: Remote

    @classmethod
    def of(cls, server: SparkServer, flavour: str, home: Path) -> Spark:
        console = server.console(EARLY if flavour == "early" else PRESENT, home)
        made = cls(server, console, flavour, console.sdk)
        made.client = made.connect()
        return made

    @property
    def sdk(self) -> Remote:
        return self.console.sdk

    @property
    def early(self) -> bool:
        return self.flavour == "early"

    @property
    def batches(self) -> Remote:
        return self.client.batches

    def connect(self, key: str | None = None, tenant: str | None = None, **options: Any) -> Remote:
        """Make another client, as another user where told so."""
        kind = "AsyncClient" if self.flavour == "async" else "Client"
        given = {"tenant": tenant or self.server.tenant, **options}
        chosen: Any = None if "token" in options or "oauth" in options else key or self.server.key
        return self.console.connect(self.server.url, chosen, kind=kind, **given)

    def pipeline(self, service: str = SERVICE, **options: Any) -> Remote:
        """Create a pipeline."""
        made: Remote = self.batches.of(self.batches.create(service, **options).data["id"])
        return made

    def chunk(self, chunk_id: Any, inputs: Sequence[Any], **more: Any) -> Remote:
        """Make a chunk; `more` may have its size and what else its data holds."""
        size = {"size": more.pop("size")} if "size" in more else {}
        data = self.sdk.ChunkData(list(inputs), **more)
        made: Remote = self.sdk.BatchChunk(chunk_id, data, **size)
        return made

    def completed(self, pipeline: Remote, chunks: int) -> dict[str, Any]:
        """Wait until so many chunks have been computed, and return the status after that."""

        def computed() -> bool:
            found: int = pipeline.get_status().data["chunks_completed"]
            return found >= chunks

        eventually(computed, FINISH_S, f"{chunks} chunks are computed")
        # A record counts as completed once a status has told that it is available.
        status: dict[str, Any] = pipeline.get_status().data
        return status

    def pull(self, pipeline: Remote, chunks: int, **options: Any) -> dict[str, dict[str, Any]]:
        """Pull until there are so many chunks, and return them by id; none may come twice."""
        found: dict[str, dict[str, Any]] = {}

        def pulled() -> bool:
            answer: Answer = pipeline.pull(**options)
            for result in answer.data["data"]:
                assert result["id"] not in found, "a chunk came twice"
                found[result["id"]] = result
            return len(found) >= chunks

        eventually(pulled, FINISH_S, f"{chunks} chunks can be pulled")
        return found


def offers(server: Server, service: str) -> bool:
    """Return whether a worker has offered a service."""
    headers = {"Authorization": f"Bearer {server.key}"}
    answer = httpx.get(f"{server.url}/longshore/v1/services", headers=headers, trust_env=False)
    answer.raise_for_status()
    return service in answer.text


def details(told: str) -> dict[str, Any]:
    """Return what an error of the server says beside its message."""
    body = json.loads(told)
    found: dict[str, Any] = body.get("details") or body["error"]["details"]
    return found
