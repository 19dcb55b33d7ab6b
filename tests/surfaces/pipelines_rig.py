"""Pipelines in this process, over HTTP, with a worker that speaks the worker's protocol."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from sqlalchemy import Connection, func, select

from longshore.clock import ManualClock
from longshore.engine import janitor
from longshore.storage import Database
from longshore.surfaces.pipelines import chunks
from longshore.surfaces.pipelines.tables import pipeline_inputs, pipeline_outputs
from longshore.wire.payloads import ChunkPayload, ChunkResult
from tests.unit.serving import Served, bearer, serving

NAME = "my-folder/my-service"
OFFER = {
    "name": NAME,
    "version": "1.0.0",
    "outputs": ["doubled", "label"],
    "subservices": {"figures": ["doubled"]},
}


def objects(*values: float) -> list[dict[str, Any]]:
    return [{"value": value} for value in values]


def chunk(chunk_id: Any, inputs: Any, **data: Any) -> dict[str, Any]:
    """Return a chunk as the published client pushes it."""
    body = {"inputs": inputs, "parameters": {}, "summary": None, **data}
    return {"id": chunk_id, "data": body, "size": len(inputs)}


def doubled(record: Any) -> Any:
    """Compute a record: its value doubled; a negative one is an error."""
    value = record["value"]
    return None if value < 0 else {"doubled": value * 2}


@dataclass
class Pipelines:
    """A server, its clock, and one worker."""

    served: Served
    clock: ManualClock
    worker_id: str = ""
    queues: list[int] = field(default_factory=list)
    offer: dict[str, Any] = field(default_factory=lambda: dict(OFFER))

    @property
    def client(self) -> httpx.AsyncClient:
        return self.served.client

    @property
    def database(self) -> Database:
        return self.served.database

    @property
    def root(self) -> str:
        return f"/{self.served.organisation.name}/api/v4"

    async def call(
        self, method: str, path: str, *, expect: int = 200, body: Any = None, **more: Any
    ) -> Any:
        answer = await self.client.request(method, self.root + path, json=body, **more)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def create(self, service: str = NAME, **fields: Any) -> str:
        body = {
            "service": service,
            "call_purpose": "Async Batch Execution",
            "source_system": "Spark Python SDK",
            "acceptable_error_percentage": 0,
            **fields,
        }
        made = await self.call("POST", "/batch", body=body)
        return str(made["id"])

    async def push(self, batch: str, *given: Any, expect: int = 200, **more: Any) -> Any:
        path = f"/batch/{batch}/chunks"
        return await self.call("POST", path, body={"chunks": list(given)}, expect=expect, **more)

    async def pull(self, batch: str, *, expect: int = 200, **query: Any) -> Any:
        path = f"/batch/{batch}/chunkresults"
        return await self.call("GET", path, params={"max": 100, **query}, expect=expect)

    async def status(self, batch: str) -> Any:
        return await self.call("GET", f"/batch/{batch}/status")

    async def info(self, batch: str) -> Any:
        return (await self.call("GET", f"/batch/{batch}"))["data"]

    async def end(self, batch: str, word: str = "closed", *, expect: int = 200) -> Any:
        body = {"batch_status": word}
        return await self.call("PATCH", f"/batch/{batch}", body=body, expect=expect)

    async def register(self) -> None:
        """Let a worker say that it serves the service of these tests."""
        body = {
            "name": "worker",
            "slots": 2,
            "incarnation": secrets.token_hex(8),
            "services": [self.offer],
        }
        answer = await self._worker("register", body)
        self.worker_id, self.queues = answer["worker_id"], answer["queues"]

    async def claim(self, limit: int = 1_000) -> list[dict[str, Any]]:
        body = {"worker_id": self.worker_id, "queues": self.queues, "limit": limit}
        found = (await self._worker("claim", body))["works"]
        assert isinstance(found, list)
        return found

    async def report(self, *claimed: dict[str, Any], **fields: Any) -> list[Any]:
        """Report works; as successes unless `fields` says otherwise."""
        reports = []
        for each in claimed:
            about = {"work_id": each["work_id"], "attempt": each["attempt"]}
            if "outcome" not in fields:
                about |= {"outcome": "success", "result": computed(each)}
            reports.append({**about, **fields})
        lost = (await self._worker("report", {"worker_id": self.worker_id, "reports": reports}))[
            "lost"
        ]
        assert isinstance(lost, list)
        return lost

    async def work(self, limit: int = 1_000) -> int:
        """Compute all that can be claimed; return how many chunks that were."""
        done = 0
        while found := await self.claim(limit):
            await self.report(*found)
            done += len(found)
        return done

    def tidy(self) -> None:
        self.database.write_blocking(janitor.tidy)
        self.database.write_blocking(chunks.follow)

    def run(self, service: Callable[..., Any], *arguments: Any) -> Any:
        return self.database.write_blocking(service, *arguments)

    def bodies(self) -> tuple[int, int]:
        """Return how many inputs and outputs are stored."""

        def count(connection: Connection) -> tuple[int, int]:
            tables = (pipeline_inputs, pipeline_outputs)
            first, second = (
                connection.scalar(select(func.count()).select_from(each)) or 0 for each in tables
            )
            return first, second

        return self.database.read_blocking(count)

    async def _worker(self, verb: str, body: Mapping[str, Any]) -> Any:
        answer = await self.client.post(f"/longshore/v1/worker/{verb}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


def computed(claimed: Mapping[str, Any]) -> Any:
    """Return the result of a chunk, as a worker computes it."""
    payload = msgspec.convert(
        {**claimed["payload"], "data": msgspec.Raw(b"null")}, type=ChunkPayload
    )
    inputs = claimed["payload"]["data"]["inputs"]
    records = (
        [dict(zip(inputs[0], row, strict=False)) for row in inputs[1:]]
        if payload.columnar
        else inputs
    )
    assert len(records) == payload.records
    results: list[Any] = [doubled(record) for record in records]
    failed = sum(result is None for result in results)
    errors = [
        None if result is not None else [{"error_type": "ValueError", "message": "negative"}]
        for result in results
    ]
    if payload.columnar:
        rows = [None if result is None else [result["doubled"]] for result in results]
        results = [["doubled"], *rows]
    made = ChunkResult(
        records=len(records),
        failed=failed,
        compute_ms=1.5 * len(records),
        outputs=msgspec.Raw(msgspec.json.encode(results)),
        errors=msgspec.Raw(msgspec.json.encode(errors if failed else None)),
    )
    return msgspec.json.decode(msgspec.json.encode(made))


@asynccontextmanager
async def pipelines_of(
    database: Database, clock: ManualClock, directory: Path
) -> AsyncIterator[Pipelines]:
    """Serve pipelines over a database, with a worker that computes what a test tells it to."""
    async with serving(database, directory) as served:
        made = Pipelines(served, clock)
        await made.register()
        yield made


__all__ = ["NAME", "Pipelines", "bearer", "chunk", "objects", "pipelines_of"]
