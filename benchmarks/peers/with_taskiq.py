"""TaskIQ on Redis.

Best documented settings: ListQueueBroker, the fastest of its brokers (it does not acknowledge; a
task taken by a worker that dies is gone), orjson, a worker process a core with 100 tasks each,
parameters not parsed (`--no-parse`), no result back end.
"""

# mypy: disable-error-code="import-not-found, untyped-decorator"
from __future__ import annotations

import asyncio
from collections.abc import Sequence

from taskiq.serializers import ORJSONSerializer
from taskiq_redis import ListQueueBroker

from peers import tally
from peers.harness import AsyncPeer, Task, setting

broker = ListQueueBroker(setting("REDIS")).with_serializer(ORJSONSerializer())


@broker.task(task_name="noop")
async def noop(sent_ns: int, number: int, body: str) -> None:
    tally.ran(sent_ns, number)


class TaskIQPeer(AsyncPeer):
    durability = "Redis, appendfsync everysec; never acknowledged"
    worker = (
        "taskiq", "worker", "--workers", "2", "--max-async-tasks", "100", "--no-parse",
        "--log-level", "ERROR", "peers.with_taskiq:broker",
    )  # fmt: skip

    async def open(self) -> None:
        await broker.startup()

    async def many(self, tasks: Sequence[Task]) -> None:
        for start in range(0, len(tasks), 50):
            await asyncio.gather(*[self.one(task) for task in tasks[start : start + 50]])

    async def one(self, task: Task) -> None:
        await noop.kiq(*task)


PEER = TaskIQPeer()
