"""SAQ on Redis.

Best documented settings: orjson for dump and load, hiredis, uvloop, a worker with a concurrency
of 50; results not kept (`ttl=-1`). It has no bulk verb: many are enqueued concurrently, as its
own benchmark does.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import uvloop
from saq import Queue, Worker

from peers import tally
from peers.harness import AsyncPeer, Task, setting


async def noop(_context: dict[str, Any], *, sent_ns: int, number: int, body: str) -> None:
    tally.ran(sent_ns, number)


def _queue() -> Queue:
    return Queue.from_url(setting("REDIS"), name="bench", dump=orjson.dumps, load=orjson.loads)


class SAQPeer(AsyncPeer):
    durability = "Redis, appendfsync everysec"

    async def open(self) -> None:
        self.queue = _queue()
        await self.queue.connect()

    async def many(self, tasks: Sequence[Task]) -> None:
        for start in range(0, len(tasks), 50):
            await asyncio.gather(*[self.one(task) for task in tasks[start : start + 50]])

    async def one(self, task: Task) -> None:
        await self.queue.enqueue("noop", ttl=-1, **task._asdict())

    def work(self) -> None:
        async def run() -> None:
            await Worker(_queue(), functions=[("noop", noop)], concurrency=50).start()

        uvloop.run(run())


PEER = SAQPeer()
