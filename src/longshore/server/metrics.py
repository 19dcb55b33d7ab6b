"""What Prometheus sees: what this server does as it happens, the database's numbers when it asks."""

from __future__ import annotations

import asyncio
import math
import platform
import shutil
import time
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from sqlalchemy import BigInteger, Connection, select
from sqlalchemy.engine import make_url

from longshore import __version__
from longshore.edge.context import Context
from longshore.engine import artifacts, claims, measures, transitions
from longshore.engine.tables import queues
from longshore.server import metrics_list as names
from longshore.server.metrics_snapshot import Facts, organisation_families, server_families
from longshore.storage import sizes
from longshore.storage.bulk import given_parameters, given_rows
from longshore.storage.tally import BOUNDS_S, Durations, Tally

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Each counter would bring a second line with the time of its making, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_REMEMBERED: Final = 50_000
"""Queues whose surface is remembered."""
FRESH_S: Final = 5.0
"""Scrapes that follow each other more closely share the numbers of the database."""
STALE_S: Final = 120.0
"""Numbers that are older are not shown any more: the scrape waits for new ones."""
BLOBS_FRESH_S: Final = 60.0
"""Blobs are counted no more often: all of their rows are looked at."""
PATIENCE_S: Final = 0.05
"""How long a scrape waits for new numbers where there are some that are not stale."""


@dataclass(slots=True)
class _Kept:
    """The numbers of an organisation, when they were taken, and the task that takes new ones."""

    facts: Facts | None = None
    at_s: float = 0.0
    taking: asyncio.Task[Facts] | None = None
    blobs: dict[str, int] = field(default_factory=dict)
    blobs_at_s: float = -math.inf


class Metrics:
    """The metrics of one server process."""

    def __init__(self) -> None:
        """Make a registry of its own, so that two servers in one process do not mix."""
        self.registry = CollectorRegistry()
        self.tally = Tally()
        self._requests = self._counter(names.REQUESTS)
        self._seconds = Histogram(
            names.REQUEST_SECONDS.name,
            names.REQUEST_SECONDS.text,
            names.REQUEST_SECONDS.labels,
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.passes = self._counter(names.PASSES)
        self.pass_time = Gauge(
            names.PASS_TIME.name,
            names.PASS_TIME.text,
            names.PASS_TIME.labels,
            registry=self.registry,
        )
        self.jobs = self._counter(names.JOBS)
        self.scheduled = self._counter(names.SCHEDULES)
        ProcessCollector(registry=self.registry)
        self._counted: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._kept: dict[str, _Kept] = {}
        self._tallied = _Tallied()

    def _counter(self, metric: names.Metric) -> Counter:
        return Counter(metric.name, metric.text, metric.labels, registry=self.registry)

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

    async def render(self, context: Context, organisation_id: str) -> bytes:
        """Return everything in Prometheus' text form: of this server, and of an organisation."""
        facts, age_s = await self._facts(context, organisation_id)
        await self._tallied.take(context, self.tally)
        snapshot = _Families(
            [
                *self._tallied.families(),
                *server_families(context, facts, age_s),
                *organisation_families(facts),
            ]
        )
        # Some thousands of lines take some milliseconds, in which others are served.
        return await asyncio.to_thread(
            lambda: generate_latest(self.registry) + generate_latest(snapshot)
        )

    async def _facts(self, context: Context, organisation_id: str) -> tuple[Facts, float]:
        """Return the numbers of the database, at most STALE_S old, and their age."""
        kept = self._kept.setdefault(organisation_id, _Kept())
        age_s = time.monotonic() - kept.at_s
        if kept.facts is not None and age_s < FRESH_S:
            return kept.facts, age_s
        if kept.taking is None or kept.taking.done():
            kept.taking = asyncio.create_task(self._take(context, organisation_id, kept))
        taking = kept.taking
        if kept.facts is None or age_s > STALE_S:
            return await asyncio.shield(taking), 0.0
        await asyncio.wait([taking], timeout=PATIENCE_S)
        if taking.done():
            return taking.result(), 0.0
        return kept.facts, age_s

    async def _take(self, context: Context, organisation_id: str, kept: _Kept) -> Facts:
        database = context.database
        if time.monotonic() - kept.blobs_at_s > BLOBS_FRESH_S:
            kept.blobs = await database.read(artifacts.counts, organisation_id)
            kept.blobs_at_s = time.monotonic()
        facts = await database.read(partial(gather, context), organisation_id, kept.blobs)
        kept.facts, kept.at_s = facts, time.monotonic()
        return facts


def gather(
    context: Context, connection: Connection, organisation_id: str, blobs: dict[str, int]
) -> Facts:
    """Read the numbers of the database, and of the disk that holds it."""
    begun_s = time.perf_counter()
    measured = measures.measure(connection, organisation_id)
    path = make_url(context.settings.database_url).database
    size = sizes.measure(connection, path, most=1).total_bytes
    disk = shutil.disk_usage(context.settings.data)
    return Facts(
        measured=measured,
        blobs=blobs,
        database_bytes=size,
        disk_free_bytes=disk.free,
        disk_total_bytes=disk.total,
        build=(__version__, platform.python_version(), connection.dialect.name),
        seconds=time.perf_counter() - begun_s,
    )


class _Families(CollectorRegistry):
    """A registry that holds nothing and reports some families."""

    def __init__(self, families: list[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> list[Metric]:
        """Give them."""
        return self._families


class _Tallied:
    """What transactions have counted, by surface in place of queue: there are few surfaces."""

    def __init__(self) -> None:
        self._surfaces: dict[int, str] = {}
        self._changes: dict[tuple[str, str], int] = {}
        self._durations: dict[tuple[str, str], Durations] = {}
        self._reads: dict[str, int] = {}

    async def take(self, context: Context, tally: Tally) -> None:
        counts, durations = tally.take()
        if len(self._surfaces) > _REMEMBERED:
            self._surfaces.clear()
        queue_ids = {queue_id for _, queue_id, _ in [*counts, *durations]}
        unknown = [each for each in queue_ids - self._surfaces.keys() if isinstance(each, int)]
        if unknown:
            self._surfaces |= await context.database.read(_surfaces, unknown)
        for (name, queue_id, label), count in counts.items():
            if name == transitions.CHANGES:
                key = (self._surface(queue_id), label)
                self._changes[key] = self._changes.get(key, 0) + count
            else:
                self._reads[label] = self._reads.get(label, 0) + count
        for (name, queue_id, _), seen in durations.items():
            self._durations.setdefault((name, self._surface(queue_id)), Durations()).merge(seen)

    def _surface(self, queue_id: int | str) -> str:
        return self._surfaces.get(int(queue_id), "unknown")

    def families(self) -> list[Metric]:
        changes = _counter_family(names.CHANGES)
        for (surface, reason), count in sorted(self._changes.items()):
            changes.add_metric([surface, reason], count)
        reads = _counter_family(names.KEYSTORE_READS)
        for outcome, count in sorted(self._reads.items()):
            reads.add_metric([outcome], count)
        made: list[Metric] = [changes, reads]
        for metric, name in (
            (names.WAIT_SECONDS, claims.WAITS),
            (names.RUN_SECONDS, transitions.RUNS),
        ):
            family = HistogramMetricFamily(metric.name, metric.text, labels=metric.labels)
            for (kind, surface), seen in sorted(self._durations.items()):
                if kind == name:
                    family.add_metric([surface], _cumulative(seen), seen.sum_s)
            made.append(family)
        return made


def _counter_family(metric: names.Metric) -> CounterMetricFamily:
    return CounterMetricFamily(
        metric.name.removesuffix("_total"), metric.text, labels=metric.labels
    )


def _cumulative(seen: Durations) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in BOUNDS_S), "+Inf"]
    return list(zip(bounds, map(float, accumulate(seen.buckets)), strict=True))


def _surfaces(connection: Connection, queue_ids: list[int]) -> dict[int, str]:
    dialect = connection.dialect.name
    given = given_rows(dialect, id=BigInteger)
    rows = connection.execute(
        select(queues.c.id, queues.c.surface).join(given, given.c.id == queues.c.id),
        given_parameters(dialect, [(queue_id,) for queue_id in queue_ids], 1),
    )
    return dict(rows.all())
