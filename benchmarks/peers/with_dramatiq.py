"""Dramatiq on Redis.

Best documented settings: the command line's worker with a process a core and eight threads each
(its default), and a larger `dramatiq_queue_prefetch` for short messages. The middleware is its
default; nothing else is stored.
"""

# mypy: disable-error-code="import-not-found, untyped-decorator"
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from peers import tally
from peers.harness import SyncPeer, Task, setting

dramatiq.set_broker(RedisBroker(url=setting("REDIS")))


@dramatiq.actor(max_retries=0)
def noop(sent_ns: int, number: int, body: str) -> None:
    tally.ran(sent_ns, number)


class DramatiqPeer(SyncPeer):
    durability = "Redis, appendfsync everysec"
    worker = ("dramatiq", "peers.with_dramatiq", "--processes", "2", "--threads", "8")
    variables: ClassVar[dict[str, str]] = {"dramatiq_queue_prefetch": "128"}

    def open(self) -> None:
        pass

    def many(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            noop.send(*task)

    def one(self, task: Task) -> None:
        noop.send(*task)


PEER = DramatiqPeer()
