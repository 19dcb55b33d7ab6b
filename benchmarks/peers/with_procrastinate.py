"""Procrastinate on PostgreSQL.

Best documented settings: the psycopg connector with a pool; `batch_defer_async` for many; one
worker with a concurrency of 30, LISTEN/NOTIFY, and `delete_jobs="always"`, which keeps the table
small. The task is asynchronous, so that none waits for a thread.
"""

# mypy: disable-error-code="import-not-found, untyped-decorator"
from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import uvloop
from procrastinate import App, PsycopgConnector

from peers import tally
from peers.harness import AsyncPeer, Task, setting

app = App(
    connector=PsycopgConnector(
        conninfo=setting("POSTGRES"),
        max_size=16,
        kwargs={"options": "-c synchronous_commit=on"},
    )
)


@app.task(queue="bench", name="noop", pass_context=False)
async def noop(sent_ns: int, number: int, body: str) -> None:
    tally.ran(sent_ns, number)


class ProcrastinatePeer(AsyncPeer):
    durability = "PostgreSQL, synchronous_commit=on"

    def prepare(self) -> None:
        async def install() -> None:
            async with app.open_async():
                await app.schema_manager.apply_schema_async()

        asyncio.run(install())

    async def open(self) -> None:
        await app.open_async()

    async def many(self, tasks: Sequence[Task]) -> None:
        await noop.batch_defer_async(*[task._asdict() for task in tasks])

    async def one(self, task: Task) -> None:
        await noop.defer_async(**task._asdict())

    def work(self) -> None:
        logging.disable(logging.WARNING)

        async def run() -> None:
            async with app.open_async():
                await app.run_worker_async(queues=["bench"], concurrency=30, delete_jobs="always")

        uvloop.run(run())


PEER = ProcrastinatePeer()
