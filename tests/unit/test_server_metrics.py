"""Metrics: what the list names is what a server gives, and what happened is what they count."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from longshore import limits
from longshore.access import keystore
from longshore.engine import activity_census, measures, queues, workers, works
from longshore.engine.works import Ending, NewWork, Outcome
from longshore.server import metrics
from longshore.server.metrics_list import METRICS, Metric
from longshore.storage import Database, tally
from tests.unit.serving import Served, serving

EXTRA_SUFFIXES = ("_bucket", "_count", "_sum")


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as made:
        yield made


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each scrape read the database anew."""
    monkeypatch.setattr(metrics, "FRESH_S", 0.0)
    monkeypatch.setattr(metrics, "STALE_S", 0.0)
    return iter(())


async def scrape(served: Served) -> dict[str, Any]:
    """Return the families of a scrape by name; counters with their `_total`."""
    answer = await served.client.get("/metrics")
    assert answer.status_code == 200
    found = {}
    for family in text_string_to_metric_families(answer.text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = family
    return found


def value(families: dict[str, Any], name: str, **labels: str) -> float | None:
    for sample in families[name].samples:
        if sample.name in (name, f"{name}_count") and sample.labels == labels:
            return float(sample.value)
    return None


def queue(served: Served, name: str = "a queue", surface: str = "apps") -> int:
    return served.database.write_blocking(
        queues.ensure,
        organisation_id=served.organisation.id,
        surface=surface,
        name=name,
        attempts_max=2,
    )


def submit(served: Served, queue_id: int, count: int = 1) -> None:
    new = [NewWork(queue_id, b"{}") for _ in range(count)]
    served.database.write_blocking(works.submit, new, actor="test")


def run(served: Served, queue_id: int, outcome: Outcome = Outcome.SUCCESS) -> None:
    [lease] = served.database.write_blocking(
        works.claim, [queue_id], limit=1, holder="test", lease_s=60
    )
    ending = Ending(lease.id, lease.attempt, outcome)
    assert served.database.write_blocking(works.finish, [ending], holder="test") == []


async def test_a_scrape_gives_what_the_list_names_and_nothing_else(served: Served) -> None:
    queue_id = queue(served)
    submit(served, queue_id, 2)
    run(served, queue_id)
    await served.client.get("/healthz")
    families = await scrape(served)
    dialect = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[served.database.dialect]
    expected = {each.name: each for each in METRICS if each.where in ("", dialect)}
    assert families.keys() == expected.keys()
    for name, family in families.items():
        check_family(expected[name], family)


def check_family(metric: Metric, family: Any) -> None:
    assert family.type == metric.kind
    if not metric.name.startswith("process_"):
        assert family.documentation == metric.text
    for sample in family.samples:
        assert set(sample.labels) - {"le"} == set(metric.labels), metric.name


def test_names_follow_the_conventions_of_prometheus() -> None:
    for metric in METRICS:
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert not metric.name.endswith(EXTRA_SUFFIXES), metric.name
        assert not {"ms", "us", "mib"} & set(metric.name.split("_")), metric.name
        if metric.kind == "histogram":
            assert metric.name.endswith("_seconds"), metric.name


@pytest.mark.usefixtures("fresh")
async def test_what_happens_to_works_is_counted_by_surface_and_reason(
    served: Served, clock: Any
) -> None:
    queue_id = queue(served)
    submit(served, queue_id, 3)
    clock.advance(4)
    run(served, queue_id)
    run(served, queue_id, Outcome.FAILURE)
    families = await scrape(served)
    changed = "longshore_work_changes_total"
    assert value(families, changed, surface="apps", reason="submitted") == 3
    assert value(families, changed, surface="apps", reason="claimed") == 2
    assert value(families, changed, surface="apps", reason="done") == 1
    assert value(families, changed, surface="apps", reason="failed") == 1
    assert value(families, "longshore_work_run_seconds", surface="apps") == 2
    waits = families["longshore_work_wait_seconds"].samples
    above = {each.labels["le"]: each.value for each in waits if "le" in each.labels}
    assert (above["2.5"], above["5.0"], above["+Inf"]) == (0, 2, 2)
    assert value(families, "longshore_works", surface="apps", state="queued") == 1
    assert value(families, "longshore_works", surface="apps", state="retrying") == 1
    assert value(families, "longshore_queue_oldest_seconds", surface="apps", queue="a queue") == 4


async def test_what_was_rolled_back_is_not_counted(served: Served) -> None:
    queue_id = queue(served)

    def fail(connection: Any) -> None:
        works.submit(connection, [NewWork(queue_id, b"{}")], actor="test")
        raise LookupError

    with pytest.raises(LookupError):
        served.database.write_blocking(fail)
    families = await scrape(served)
    assert families["longshore_work_changes_total"].samples == []


@pytest.mark.usefixtures("fresh")
async def test_thousands_of_queues_give_a_few_hundred_lines(served: Served) -> None:
    def fill(connection: Any) -> None:
        for number in range(limits.METRICS_QUEUES + 20):
            queue_id = queues.ensure(
                connection,
                organisation_id=served.organisation.id,
                surface="apps",
                name=f"queue {number}",
            )
            new = [NewWork(queue_id, b"{}") for _ in range(1 + number % 7)]
            works.submit(connection, new, actor="test")

    served.database.write_blocking(fill)
    families = await scrape(served)
    told = families["longshore_queue_works"].samples
    assert len(told) == limits.METRICS_QUEUES
    # Those in which least works wait are left out, and are in the sum.
    assert value(families, "longshore_queue_works", surface="apps", queue="queue 6", state="queued")
    assert min(sample.value for sample in told) > 1
    total = sum(1 + number % 7 for number in range(limits.METRICS_QUEUES + 20))
    assert value(families, "longshore_works", surface="apps", state="queued") == total
    assert value(families, "longshore_queues", kind="all") == limits.METRICS_QUEUES + 20
    assert value(families, "longshore_queues", kind="unserved") == limits.METRICS_QUEUES + 20


@pytest.mark.usefixtures("fresh")
async def test_workers_are_online_until_they_are_silent_for_a_minute(
    served: Served, clock: Any
) -> None:
    queue_id = queue(served)
    submit(served, queue_id, 2)
    worker_id = served.database.write_blocking(
        workers.register,
        organisation_id=served.organisation.id,
        name="one",
        incarnation="1",
        slots=3,
        queue_ids=[queue_id],
    )
    served.database.write_blocking(works.claim, [queue_id], limit=1, holder=worker_id, lease_s=20)
    clock.advance(30)
    families = await scrape(served)
    assert value(families, "longshore_workers", status="online") == 1
    assert value(families, "longshore_worker_slots") == 3
    assert value(families, "longshore_worker_slots_used") == 1
    assert value(families, "longshore_worker_silent_seconds") == 30
    assert value(families, "longshore_leases_overdue") == 0
    clock.advance(40)
    families = await scrape(served)
    assert value(families, "longshore_workers", status="online") == 0
    assert value(families, "longshore_workers", status="silent") == 1
    assert value(families, "longshore_leases_overdue") == 1


async def test_reads_of_secrets_are_counted_and_their_names_are_not_told(served: Served) -> None:
    def use(connection: Any) -> None:
        organisation_id = served.organisation.id
        keystore.put(connection, organisation_id, "a-secret-name", "a value", actor="test")
        reader = keystore.Reader(organisation_id, "ak_1", "a key", "rq_1", {})
        keystore.read(
            connection, reader, ["a-secret-name", "another"], scopes=[keystore.ORGANISATION]
        )

    served.database.write_blocking(use)
    families = await scrape(served)
    assert value(families, "longshore_keystore_reads_total", outcome="read") == 1
    assert value(families, "longshore_keystore_reads_total", outcome="missing") == 1
    assert "a-secret-name" not in (await served.client.get("/metrics")).text


async def test_scrapes_that_follow_each_other_share_what_was_counted(served: Served) -> None:
    queue_id = queue(served)
    first = await scrape(served)
    submit(served, queue_id)
    second = await scrape(served)
    assert value(first, "longshore_works", surface="apps", state="queued") is None
    assert value(second, "longshore_works", surface="apps", state="queued") is None
    # What this server did itself is told at once.
    counted = "longshore_work_changes_total"
    assert value(second, counted, surface="apps", reason="submitted") == 1


@pytest.mark.usefixtures("fresh")
async def test_works_are_those_of_the_census_where_a_server_takes_one(
    served: Served, clock: Any
) -> None:
    queue_id = queue(served)
    submit(served, queue_id, 2)
    database = served.database
    database.write_blocking(
        activity_census.keep, database.read_blocking(activity_census.take), took_us=1
    )
    submit(served, queue_id)
    clock.advance(7)
    families = await scrape(served)
    assert value(families, "longshore_works", surface="apps", state="queued") == 2
    assert value(families, "longshore_metrics_age_seconds") == pytest.approx(7, abs=2)
    # Nobody takes one any more: what is asked for is counted.
    clock.advance(measures.OLD_S)
    families = await scrape(served)
    assert value(families, "longshore_works", surface="apps", state="queued") == 3


def test_what_nobody_asks_for_takes_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "KEYS_MAX", 3)
    made = tally.Tally()
    made.add_each("changes", "done", [1, 2, 3, 4, 5, 1])
    made.observe("runs", [(queue_id, 1.0) for queue_id in range(1, 6)])
    counts, durations = made.take()
    assert counts == {
        ("changes", 1, "done"): 2,
        ("changes", 2, "done"): 1,
        ("changes", 3, "done"): 1,
        ("changes", tally.OTHERS, "done"): 2,
    }
    assert sum(sum(each.buckets) for each in durations.values()) == 5
    assert len(durations) == 4
    assert made.take() == ({}, {})
