"""The metrics that are read from somewhere at a scrape: the database, the disk, the writer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from longshore.edge.context import Context
from longshore.engine.measures import Measures
from longshore.limits import METRICS_QUEUES
from longshore.server import metrics_list as names


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read for an organisation; `seconds` is how long that took.

    `build` are the versions of Longshore and Python, and the kind of database.
    """

    measured: Measures
    blobs: dict[str, int]
    database_bytes: int
    disk_free_bytes: int
    disk_total_bytes: int
    build: tuple[str, str, str]
    seconds: float


def organisation_families(facts: Facts) -> Iterable[Metric]:
    """Give what the database says of an organisation."""
    measured = facts.measured
    by_state = _gauge(names.WORKS)
    for (surface, state), count in sorted(measured.by_state().items()):
        by_state.add_metric([surface, state], count)
    yield by_state
    yield _gauge(names.OVERDUE, measured.overdue)
    yield from _queue_families(measured)
    workers = _gauge(names.WORKERS)
    workers.add_metric(["online"], measured.workers.online)
    workers.add_metric(["silent"], measured.workers.silent)
    yield workers
    yield _gauge(names.SLOTS, measured.workers.slots)
    yield _gauge(names.RUNNING, measured.workers.running)
    yield _gauge(names.SILENT, measured.workers.longest_silence_s)
    yield _gauge(names.BLOBS, facts.blobs["objects"])
    yield _gauge(names.BLOB_BYTES, facts.blobs["bytes"])


def _queue_families(measured: Measures) -> Iterable[Metric]:
    works, oldest, workers = map(
        _gauge, (names.QUEUE_WORKS, names.QUEUE_OLDEST, names.QUEUE_WORKERS)
    )
    # The busiest come first. All the others are in the sums by surface.
    for queue in measured.queues[:METRICS_QUEUES]:
        labels = [queue.surface, queue.name]
        for state, count in queue.by_state.items():
            works.add_metric([*labels, state], count)
        if queue.oldest_s is not None:
            oldest.add_metric(labels, queue.oldest_s)
        workers.add_metric(labels, queue.workers_online)
    yield from (works, oldest, workers)
    kinds = Counter(
        all=len(measured.queues),
        held=sum(queue.held for queue in measured.queues),
        unserved=sum(queue.unserved for queue in measured.queues),
    )
    queues = _gauge(names.QUEUES)
    for kind, count in kinds.items():
        queues.add_metric([kind], count)
    yield queues


def server_families(context: Context, facts: Facts, age_s: float) -> Iterable[Metric]:
    """Give what this server knows of its stores."""
    database = context.database
    for metric, attribute in (
        (names.TRANSACTIONS, "batches"),
        (names.WRITES, "writes"),
        (names.RETRIES, "retries"),
    ):
        if (value := getattr(database, attribute, None)) is not None:
            family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.text)
            family.add_metric([], value)
            yield family
    if (waiting := getattr(database, "waiting", None)) is not None:
        yield _gauge(names.WAITING, waiting)
    yield _gauge(names.DATABASE_BYTES, facts.database_bytes)
    yield _gauge(names.DISK_FREE, facts.disk_free_bytes)
    yield _gauge(names.DISK_TOTAL, facts.disk_total_bytes)
    yield _gauge(names.COUNT_SECONDS, facts.seconds)
    yield _gauge(names.COUNT_AGE, age_s + facts.measured.age_s)
    build = _gauge(names.BUILD)
    build.add_metric(list(facts.build), 1)
    yield build


def _gauge(metric: names.Metric, value: float | None = None) -> GaugeMetricFamily:
    """Return the family of a metric, with a value where it has no labels."""
    family = GaugeMetricFamily(metric.name, metric.text, labels=metric.labels)
    if value is not None:
        family.add_metric([], value)
    return family
