"""Huey on SQLite.

Best documented settings: WAL (its default) and no result store (`results=False`); the consumer
with one thread, since SQLite has one writer, and `initial_delay` at a millisecond without
back-off, since it polls. `fsync=False` (synchronous=OFF) is the fastest that it documents; with
the variant "durable" it is as durable as the others on a database.
"""

# mypy: disable-error-code="import-not-found, untyped-decorator"
from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from huey import SqliteHuey
from huey.consumer import Consumer

from peers import tally
from peers.harness import SyncPeer, Task, setting

DURABLE = setting("VARIANT") == "durable"
huey = SqliteHuey(
    "bench",
    filename=str(Path(setting("DIRECTORY")) / "huey.db"),
    results=False,
    fsync=DURABLE,
)


@huey.task(name="noop")
def noop(sent_ns: int, number: int, body: str) -> None:
    tally.ran(sent_ns, number)


class HueyPeer(SyncPeer):
    durability = f"SQLite, WAL, synchronous={'FULL' if DURABLE else 'OFF'}; taken before it is done"

    def open(self) -> None:
        pass

    def many(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            noop(*task)

    def one(self, task: Task) -> None:
        noop(*task)

    def work(self) -> None:
        logging.disable(logging.WARNING)
        Consumer(huey, workers=1, periodic=False, initial_delay=0.001, backoff=1.0).run()


PEER = HueyPeer()
