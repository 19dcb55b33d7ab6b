"""Services in this process, over HTTP, with a stand-in for the worker that computes them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from sqlalchemy import Connection, func, insert, select, update

from longshore.edge.wakeups import Bell
from longshore.engine import workers, works
from longshore.engine.works import Ending, Lease, Outcome
from longshore.server.native import NATIVE
from longshore.storage import Database, notify, now_us
from longshore.surfaces.pipelines import services
from longshore.surfaces.pipelines.routes import native
from longshore.surfaces.pipelines.routes import open as open_routes
from longshore.surfaces.pipelines.routes import services as service_routes
from longshore.surfaces.pipelines.services import Version
from longshore.surfaces.pipelines.tables import pipeline_chunks, pipeline_inputs, pipeline_outputs
from longshore.wire.payloads import NO_RESULT, ChunkResult
from longshore.wire.worker import InputField, ServiceOffer
from tests.unit.serving import Served, serving

NAME = "my-folder/my-service"
Compute = Callable[[dict[str, Any]], dict[str, Any]]
DEADLINE_S = 20.0


def total(record: dict[str, Any]) -> dict[str, Any]:
    """Compute a record as the service of these tests does."""
    if "value" not in record:
        raise ValueError("there is no value")
    return {"total": record["value"] * 2, "label": record.get("label", "")}


@dataclass
class Services:
    """Served services, and the worker that stands in for a real one."""

    served: Served
    compute: Compute = total
    queue_ids: list[int] = field(default_factory=list)
    worker_id: str = ""
    bell: Bell = field(default_factory=Bell)
    seen: list[dict[str, Any]] = field(default_factory=list)
    """What each claimed chunk was."""

    @property
    def client(self) -> httpx.AsyncClient:
        return self.served.client

    @property
    def database(self) -> Database:
        return self.served.database

    @property
    def organisation_id(self) -> str:
        return self.served.organisation.id

    @property
    def tenant(self) -> str:
        return self.served.organisation.name

    def offer(self, *versions: str, name: str = NAME, **more: Any) -> None:
        """Offer versions of a service, without anybody who serves them."""
        more = {"inputs": [InputField(name="value", kind="number")], **more}
        offers = [ServiceOffer(name=name, version=version, **more) for version in versions]
        self.queue_ids += self.database.write_blocking(services.offer, self.organisation_id, offers)

    def resolve(self, service: str = NAME) -> Version:
        return self.database.read_blocking(services.resolve, self.organisation_id, service=service)

    def register(self) -> None:
        """Let a worker say that it serves what was offered."""
        self.worker_id = self.database.write_blocking(
            workers.register,
            organisation_id=self.organisation_id,
            name="worker",
            incarnation=secrets.token_hex(8),
            slots=1,
            queue_ids=self.queue_ids,
        )
        self.bell.ring()

    async def claimed(self) -> list[Lease]:
        """Wait for works and claim them."""
        with self.served.context.wakeups.listen(self.queue_ids) as bell:
            while not (found := await asyncio.to_thread(self.claim)):
                assert await bell.wait(DEADLINE_S)
        return found

    async def queued(self) -> None:
        """Wait until an execution is queued."""
        with self.served.context.wakeups.listen(self.queue_ids) as bell:
            while not self.database.read_blocking(_inputs):
                assert await bell.wait(DEADLINE_S)

    def claim(self) -> list[Lease]:
        return self.database.write_blocking(
            works.claim, self.queue_ids, limit=10, holder=self.worker_id, lease_s=60.0
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Compute what comes, as a worker would, until the block is left."""
        self.register()
        task = asyncio.create_task(self._work())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                # What went wrong in it is the test's own mistake, and told.
                await task

    async def _work(self) -> None:
        while True:
            with self.served.context.wakeups.listen(self.queue_ids) as self.bell:
                while leases := await asyncio.to_thread(self.claim):
                    for lease in leases:
                        await self.database.write(self._finish, lease)
                await self.bell.wait(DEADLINE_S)

    def _finish(self, connection: Connection, lease: Lease) -> None:
        chosen = pipeline_inputs.c.work_id == lease.id
        body = connection.execute(select(pipeline_inputs.c.body).where(chosen)).scalar_one()
        data = msgspec.json.decode(body)
        self.seen.append(data)
        result = msgspec.json.encode(self.result(data))
        connection.execute(insert(pipeline_outputs).values(work_id=lease.id, body=result.decode()))
        connection.execute(
            update(pipeline_chunks)
            .where(pipeline_chunks.c.work_id == lease.id)
            .values(finished_us=now_us(connection))
        )
        notify(connection, f"pipelines:{lease.id}")
        ending = Ending(lease.id, lease.attempt, Outcome.SUCCESS)
        assert works.finish(connection, [ending], holder=self.worker_id) == []

    def result(self, data: dict[str, Any]) -> ChunkResult:
        """Return what a worker makes of the data of a chunk."""
        inputs = data["inputs"]
        columnar = bool(inputs) and isinstance(inputs[0], list)
        records = _records(inputs) if columnar else inputs
        computed = [self._record(record) for record in records]
        outputs: list[Any] = [output for output, _ in computed]
        if columnar:
            header = ["total", "label"]
            outputs = [header] + [
                [output[name] if output else None for name in header] for output in outputs
            ]
        errors = [error for _, error in computed]
        failed = sum(error is not None for error in errors)
        return ChunkResult(
            records=len(computed),
            failed=failed,
            outputs=_raw(outputs),
            errors=_raw(errors) if failed else NO_RESULT,
            process_time=_raw([7] * len(computed)),
        )

    def _record(self, record: dict[str, Any]) -> tuple[dict[str, Any] | None, Any]:
        try:
            return self.compute(record), None
        except ValueError as error:
            told = {"error_type": "ValueError", "message": str(error)}
            return None, [told]

    async def execute(
        self, inputs: Any, *, expect: int = 200, service: str = NAME, **meta: Any
    ) -> Any:
        """Execute one record by the path of a service."""
        folder, _, name = service.partition("/")
        path = f"/{self.tenant}/api/v3/folders/{folder}/services/{name}/execute"
        return await self.post(path, one(inputs, **meta), expect=expect)

    async def execute_many(self, inputs: Any, *, expect: int = 200, **fields: Any) -> Any:
        """Execute a list of records."""
        body = {"inputs": inputs, "service": NAME, **fields}
        return await self.post(f"/{self.tenant}/api/v4/execute", body, expect=expect)

    async def post(self, path: str, body: Any, *, expect: int = 200) -> Any:
        answer = await self.client.post(path, json=body)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def get(self, path: str, *, expect: int = 200) -> Any:
        answer = await self.client.get(path)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def leftovers(self) -> int:
        """Return how many rows of executions there are in all tables."""

        def count(connection: Connection) -> int:
            tables = (pipeline_chunks, pipeline_inputs, pipeline_outputs)
            found = [connection.scalar(select(func.count()).select_from(each)) for each in tables]
            return sum(each or 0 for each in found) + works.claimable(connection, self.queue_ids)

        return self.database.read_blocking(count)


def one(inputs: Any, **meta: Any) -> dict[str, Any]:
    """Return the body of an execution of one record, as the published client sends it."""
    return {
        "request_data": {"inputs": inputs},
        "request_meta": {
            "call_purpose": "Single Execution",
            "source_system": "Spark Python SDK",
            "compiler_type": "Neuron",
            "excel_file": False,
            "response_data_inputs": False,
            **meta,
        },
    }


@asynccontextmanager
async def services_of(database: Database, directory: Path) -> AsyncIterator[Services]:
    """Serve services over a database, with nobody who computes them yet."""
    async with serving(database, directory) as served:
        if "/health" not in {getattr(route, "path", "") for route in served.app.routes}:
            served.app.include_router(service_routes.router)
            served.app.include_router(open_routes.router)
            served.app.include_router(native.router, prefix=NATIVE)
        yield Services(served)


def _inputs(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(pipeline_inputs)) or 0


def _records(rows: list[list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def _raw(value: Sequence[Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
