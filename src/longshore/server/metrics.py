"""What Prometheus sees: requests as they happen, the engine's numbers when it asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import Connection

from longshore.clock import SECOND_US
from longshore.engine import artifacts, insights, workers
from longshore.storage import now_us

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Each counter would bring a second line with the time of its making, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics of one server process."""

    def __init__(self) -> None:
        """Make a registry of its own, so that two servers in one process do not mix."""
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "longshore_requests_total",
            "HTTP requests by method, route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "longshore_request_seconds",
            "Time from a request's first byte to the last of its answer, by route.",
            ["route"],
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.passes = Counter(
            "longshore_passes_total",
            "Background passes of this server by name and outcome.",
            ["name", "outcome"],
            registry=self.registry,
        )
        self.pass_time = Gauge(
            "longshore_pass_last_success_timestamp_seconds",
            "When a background pass last succeeded here, in seconds since 1970.",
            ["name"],
            registry=self.registry,
        )
        self.jobs = Counter(
            "longshore_system_jobs_total",
            "System jobs that ended on this server, by job and outcome.",
            ["job", "outcome"],
            registry=self.registry,
        )
        self._counted: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        # Looking a label up takes longer than counting; there are few that are asked for at all.
        key = (method, route, status)
        if (counted := self._counted.get(key)) is None:
            counted = self._counted[key] = (
                self._requests.labels(method, route, str(status)),
                self._seconds.labels(route),
            )
        counted[0].inc()
        counted[1].observe(seconds)

    def render(self, facts: Facts, batches: tuple[int, int] | None) -> bytes:
        """Return everything in Prometheus' text form.

        Args:
            facts: what the database said just now.
            batches: transactions and writes of the group-commit writer, where there is one.
        """
        return generate_latest(self.registry) + generate_latest(_Snapshot(facts, batches))


@dataclass(frozen=True, slots=True)
class Facts:
    """The engine's numbers for one organisation."""

    queues: list[insights.QueueCounts]
    workers: list[workers.Worker]
    blobs: dict[str, int]
    at_us: int


def gather(connection: Connection, organisation_id: str) -> Facts:
    """Read the engine's numbers."""
    return Facts(
        queues=insights.queue_counts(connection, organisation_id),
        workers=workers.listing(connection, organisation_id),
        blobs=artifacts.counts(connection, organisation_id),
        at_us=now_us(connection),
    )


class _Snapshot(CollectorRegistry):
    """A registry that holds nothing and reports one snapshot."""

    def __init__(self, facts: Facts, batches: tuple[int, int] | None) -> None:
        super().__init__()
        self._facts = facts
        self._batches = batches

    def collect(self) -> Iterable[Any]:
        """Give the families of the snapshot."""
        yield from _queue_families(self._facts)
        yield from _worker_families(self._facts)
        stored = GaugeMetricFamily("longshore_blobs", "Stored blobs.")
        stored.add_metric([], self._facts.blobs["objects"])
        yield stored
        size = GaugeMetricFamily("longshore_blob_bytes", "Bytes of stored blobs.")
        size.add_metric([], self._facts.blobs["bytes"])
        yield size
        if self._batches is not None:
            transactions, writes = self._batches
            for name, text, value in (
                ("longshore_writer_transactions", "Transactions of the writer.", transactions),
                ("longshore_writer_writes", "Writes in them (group commit).", writes),
            ):
                family = GaugeMetricFamily(name, text)
                family.add_metric([], value)
                yield family


def _queue_families(facts: Facts) -> Iterable[GaugeMetricFamily]:
    works = GaugeMetricFamily(
        "longshore_works", "Works by queue and state.", labels=["surface", "queue", "state"]
    )
    oldest = GaugeMetricFamily(
        "longshore_queue_oldest_seconds",
        "How long the longest waiting work of a queue could have been claimed.",
        labels=["surface", "queue"],
    )
    online = GaugeMetricFamily(
        "longshore_queue_workers", "Workers online by queue.", labels=["surface", "queue"]
    )
    for entry in facts.queues:
        names = [entry.queue.surface, entry.queue.name]
        for state, count in entry.counts.by_state.items():
            works.add_metric([*names, state], count)
        if entry.oldest_us is not None:
            oldest.add_metric(names, max(facts.at_us - entry.oldest_us, 0) / SECOND_US)
        online.add_metric(names, entry.workers_online)
    return works, oldest, online


def _worker_families(facts: Facts) -> Iterable[GaugeMetricFamily]:
    silent = GaugeMetricFamily(
        "longshore_worker_silent_seconds",
        "Time since a worker's last call; a healthy one claims at least every half minute.",
        labels=["worker", "name"],
    )
    running = GaugeMetricFamily(
        "longshore_worker_running", "Works that a worker holds.", labels=["worker", "name"]
    )
    for worker in facts.workers:
        if worker.left_us is None:
            names = [worker.id, worker.name]
            silent.add_metric(names, max(facts.at_us - worker.seen_us, 0) / SECOND_US)
            running.add_metric(names, worker.running)
    return silent, running
