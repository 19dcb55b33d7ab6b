"""RQ on Redis.

Best documented settings ("Notes on Performance"): SimpleWorker, which does not fork for each
job, two of them; `enqueue_many` for many; results not kept (`result_ttl=0`); JSON serializer;
job descriptions not logged.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import multiprocessing
from collections.abc import Sequence

from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from peers import tally
from peers.harness import SyncPeer, Task, setting


def noop(sent_ns: int, number: int, body: str) -> None:
    tally.ran(sent_ns, number)


def _queue() -> Queue:
    return Queue("bench", connection=Redis.from_url(setting("REDIS")), serializer=JSONSerializer)


class RQPeer(SyncPeer):
    durability = "Redis, appendfsync everysec"

    def open(self) -> None:
        self.queue = _queue()

    def many(self, tasks: Sequence[Task]) -> None:
        self.queue.enqueue_many(
            [Queue.prepare_data(noop, args=tuple(task), result_ttl=0) for task in tasks]
        )

    def one(self, task: Task) -> None:
        self.queue.enqueue_call(noop, args=tuple(task), result_ttl=0)

    def work(self) -> None:
        second = multiprocessing.get_context("fork").Process(target=_work, daemon=True)
        second.start()
        _work()


def _work() -> None:
    SimpleWorker(
        [_queue()],
        connection=Redis.from_url(setting("REDIS")),
        serializer=JSONSerializer,
        log_job_description=False,
    ).work(logging_level="ERROR")


PEER = RQPeer()
