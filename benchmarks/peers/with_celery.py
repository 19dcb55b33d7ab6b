"""Celery on Redis.

Best documented settings for many short tasks ("Optimizing"): a large prefetch (multiplier 128),
results ignored, no rate limits, no events; gossip, mingle and heartbeat off; many
are published in kombu's batches (one Redis pipeline). The pool is prefork with a process a core.
"""

# mypy: disable-error-code="import-not-found, untyped-decorator, misc"
from __future__ import annotations

from collections.abc import Sequence

from celery import Celery

from peers import tally
from peers.harness import SyncPeer, Task, setting

app = Celery("peers.with_celery", broker=setting("REDIS"))
app.conf.update(
    task_ignore_result=True,
    worker_disable_rate_limits=True,
    worker_prefetch_multiplier=128,
    worker_send_task_events=False,
    task_send_sent_event=False,
    task_serializer="json",
    broker_pool_limit=16,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop", ignore_result=True)
def noop(sent_ns: int, number: int, body: str) -> None:
    tally.ran(sent_ns, number)


class CeleryPeer(SyncPeer):
    durability = "Redis, appendfsync everysec; acknowledged early"
    worker = (
        "celery", "--app", "peers.with_celery", "worker", "--pool", "prefork", "--concurrency", "2",
        "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR",
    )  # fmt: skip

    def open(self) -> None:
        pass

    def many(self, tasks: Sequence[Task]) -> None:
        with app.producer_or_acquire() as producer, producer.batch(len(tasks)):
            for task in tasks:
                noop.apply_async(task, producer=producer)

    def one(self, task: Task) -> None:
        noop.apply_async(task)


PEER = CeleryPeer()
