"""PgQueuer on PostgreSQL.

Best documented settings: the asyncpg driver on uvloop; jobs enqueued as lists (one statement for
a batch); a worker with `batch_size=500`, which also is the size in which it acknowledges, and no
cap on concurrent tasks. Durability level "durable" (its default): all tables are logged.
"""

# mypy: disable-error-code="import-not-found, untyped-decorator"
from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import orjson
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from peers import tally
from peers.harness import CHUNK, AsyncPeer, Task, setting


class PgQueuerPeer(AsyncPeer):
    durability = "PostgreSQL, synchronous_commit=on; tables logged"

    def prepare(self) -> None:
        async def install() -> None:
            await Queries(AsyncpgDriver(await _connect())).install()

        asyncio.run(install())

    async def open(self) -> None:
        self.queries = Queries(AsyncpgDriver(await _connect()))

    async def many(self, tasks: Sequence[Task]) -> None:
        count = len(tasks)
        await self.queries.enqueue(
            ["noop"] * count, [orjson.dumps(tuple(task)) for task in tasks], [0] * count
        )

    async def one(self, task: Task) -> None:
        await self.queries.enqueue("noop", orjson.dumps(tuple(task)), 0)

    def work(self) -> None:
        async def run() -> None:
            queue = PgQueuer(AsyncpgDriver(await _connect()))

            @queue.entrypoint("noop")
            async def noop(job: Job) -> None:
                sent_ns, number, _body = orjson.loads(job.payload or b"[]")
                tally.ran(sent_ns, number)

            await queue.run(batch_size=CHUNK, dequeue_timeout=timedelta(seconds=30))

        uvloop.run(run())


async def _connect() -> asyncpg.Connection:
    return await asyncpg.connect(setting("POSTGRES"), server_settings={"synchronous_commit": "on"})


PEER = PgQueuerPeer()
