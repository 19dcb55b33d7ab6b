"""What went on and how much there is: counted in the background, exact, and right after mishaps."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from longshore.clock import SECOND_US, ManualClock
from longshore.engine import (
    activity,
    activity_census,
    activity_counting,
    activity_histograms,
    activity_rolling,
    tables,
)
from longshore.engine.activity_tables import buckets
from longshore.engine.works import Outcome
from longshore.storage import Database
from tests.storage.driving import ORGANISATION, Engine

FIRST_US = 1_700_000_000 * SECOND_US
"""Where the manual clock starts: the beginning of a bucket of ten seconds, not of a longer one."""


class Server:
    """What a server remembers of its looks, and the passes that it does."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.known: dict[int, int] = {}

    def look(self) -> activity_counting.Look:
        found: activity_counting.Look = self.engine.see(activity_counting.look, self.known)
        return found

    def keep(self, found: activity_counting.Look) -> None:
        self.engine.do(activity_counting.keep, found, took_us=5)
        self.known = dict(found.events)

    def roll(self) -> int:
        """Count until nothing is left, as a server does; return in how many looks."""
        for looks in range(1, 1_000):
            found = self.look()
            self.keep(found)
            behind = self.engine.do(activity_rolling.compact)
            if not found.more and not behind:
                return looks
        raise AssertionError("it goes on for ever")

    def census(self) -> None:
        found = self.engine.see(activity_census.take)
        assert self.engine.do(activity_census.keep, found, took_us=5)


def changes(engine: Engine, length_s: int = 10, surface: str = "apps") -> dict[int, dict[str, int]]:
    """Return what each bucket says happened, by its begin in seconds after the start."""

    def read(connection: Any) -> dict[int, dict[str, int]]:
        rows = connection.execute(
            select(buckets)
            .where(buckets.c.length_s == length_s, buckets.c.surface == surface)
            .order_by(buckets.c.begins_us)
        )
        return {
            (row.begins_us - FIRST_US) // SECOND_US: activity_rolling.tally_of(row).changes
            for row in rows
        }

    found: dict[int, dict[str, int]] = engine.see(read)
    return found


def late_event(engine: Engine, at_us: int, **more: Any) -> None:
    """Commit an event now that says it was at `at_us`."""
    values = {
        "work_id": "wk_late", "queue_id": engine.queue_id, "attempt": 1, "at_us": at_us,
        "from_state": "running", "to_state": "success", "reason": "done", "actor": "w9",
    }  # fmt: skip
    engine.do(lambda connection: connection.execute(tables.events.insert().values(values | more)))


def forget(engine: Engine) -> None:
    """Forget what is old, in as many steps as that takes."""
    while engine.do(activity_rolling.forget):
        pass


def test_what_happens_is_counted_in_the_bucket_of_its_time(
    engine: Engine, clock: ManualClock
) -> None:
    server = Server(engine)
    first, second, third = engine.submit_many(3)
    clock.advance(12)
    engine.claim(2)
    clock.advance(9)
    engine.finish(first)
    engine.finish(second, Outcome.FAILURE)
    engine.cancel(third)
    server.roll()
    assert changes(engine) == {
        0: {"submitted": 3},
        10: {"claimed": 2},
        20: {"succeeded": 1, "failed": 1, "cancelled": 1},
    }


def test_counting_twice_counts_once(engine: Engine, clock: ManualClock) -> None:
    server = Server(engine)
    engine.submit_many(4)
    server.roll()
    server.roll()
    Server(engine).roll()
    clock.advance(3)
    engine.submit()
    server.roll()
    assert changes(engine) == {0: {"submitted": 5}}


def test_events_that_are_committed_late_are_counted(engine: Engine, clock: ManualClock) -> None:
    server = Server(engine)
    engine.submit()
    server.roll()
    clock.advance(35)
    server.roll()
    late_event(engine, FIRST_US + 4 * SECOND_US)
    clock.advance(15)
    server.roll()
    assert changes(engine) == {0: {"submitted": 1, "succeeded": 1}}


def test_two_servers_that_count_at_once_count_once(engine: Engine, clock: ManualClock) -> None:
    here, there = Server(engine), Server(engine)
    engine.submit_many(2)
    early = here.look()
    engine.submit_many(3)
    clock.advance(11)
    there.keep(there.look())
    here.keep(early)  # It is slow, and knows less than what was kept meanwhile.
    assert changes(engine) == {0: {"submitted": 5}}
    clock.advance(11)
    engine.submit()
    here.roll()
    there.roll()
    assert changes(engine) == {0: {"submitted": 5}, 20: {"submitted": 1}}


def test_what_was_counted_of_works_that_are_deleted_stays(
    engine: Engine, clock: ManualClock
) -> None:
    server = Server(engine)
    work_id = engine.submit()
    engine.claim()
    engine.finish(work_id)
    engine.submit()
    server.roll()
    engine.forget(work_id)
    clock.advance(1)
    server.roll()
    assert changes(engine) == {0: {"submitted": 2, "claimed": 1, "succeeded": 1}}


def test_a_server_catches_up_after_a_pause_in_bounded_looks(
    engine: Engine, clock: ManualClock, monkeypatch: Any
) -> None:
    monkeypatch.setattr(activity_counting, "EVENTS", 5)
    server = Server(engine)
    server.roll()
    for _ in range(6):
        engine.submit_many(3)
        clock.advance(4_000)
    found = server.look()
    assert found.more
    assert sum(found.events.values()) <= 6
    assert server.roll() > 1
    assert [one["submitted"] for one in changes(engine).values()] == [3] * 6
    assert sum(one["submitted"] for one in changes(engine, 3_600).values()) == 18


def test_lengths_of_attempts_and_waits_are_those_of_their_own_attempt(
    engine: Engine, clock: ManualClock
) -> None:
    server = Server(engine)
    work_id = engine.submit(attempts_max=2)
    clock.advance(8)
    engine.claim()
    clock.advance(100)
    engine.finish(work_id, Outcome.FAILURE)
    clock.advance(5)
    engine.tidy()
    clock.advance(2)
    engine.claim()
    clock.advance(0.5)
    engine.finish(work_id, attempt=2)
    server.roll()
    seen = engine.see(activity.series, ORGANISATION, 900)
    waits = [value for value in seen.wait_p95_s if value is not None]
    runs = [value for value in seen.run_p95_s if value is not None]
    assert [4 < waits[0] <= 8.2, 1 < waits[1] <= 2.1] == [True, True]
    assert [64 < runs[0] <= 131, 0.25 < runs[1] <= 0.52] == [True, True]


def test_of_busy_queues_a_sample_tells_the_lengths(
    engine: Engine, clock: ManualClock, monkeypatch: Any
) -> None:
    monkeypatch.setattr(activity_counting, "SAMPLED", 10)
    other = engine.queue("other")
    engine.submit_many(200)
    engine.submit(queue_id=other)
    clock.advance(4)
    engine.claim(200)
    engine.claim(queue_ids=[other])
    found = Server(engine).look()
    tally = found.tallies[FIRST_US, ORGANISATION, "apps"]
    assert tally.changes == {"submitted": 201, "claimed": 201}
    assert 150 <= sum(tally.waits.values()) <= 250
    assert activity_histograms.percentile(tally.waits, 0.5) is not None


def test_buckets_are_put_together_and_old_ones_forgotten(
    engine: Engine, clock: ManualClock
) -> None:
    server = Server(engine)
    for _ in range(10):
        engine.submit_many(2)
        clock.advance(10_000)
        server.roll()
    clock.advance(100_000)
    server.roll()
    for length_s in (300, 3_600, 86_400):
        assert sum(one["submitted"] for one in changes(engine, length_s).values()) == 20
    forget(engine)
    assert changes(engine) == {}
    assert len(changes(engine, 300)) == 10
    clock.advance(80 * 86_400)
    forget(engine)
    assert (changes(engine, 300), len(changes(engine, 3_600))) == ({}, 10)
    clock.advance(10 * 86_400)
    forget(engine)
    assert (changes(engine, 3_600), changes(engine, 86_400)) == ({}, {})


def test_the_census_counts_works_by_queue_and_state(engine: Engine, clock: ManualClock) -> None:
    server = Server(engine)
    other = engine.queue("other", surface="scripts")
    for place in ("waiting", "queued", "running", "success", "retrying"):
        engine.at(place)
    failed = engine.submit(queue_id=other, attempts_max=1)
    engine.claim(queue_ids=[other])
    clock.advance(5)
    engine.finish(failed, Outcome.FAILURE)
    server.census()
    seen = engine.see(activity.per_queue, ORGANISATION)
    assert [one.queue.name for one in seen] == ["first", "other"]
    assert seen[0].counts.by_state == {
        "waiting": 1, "queued": 1, "running": 1, "retrying": 1, "success": 1, "failure": 0,
        "cancelled": 0,
    }  # fmt: skip
    assert seen[0].counts.failed_us is None
    assert seen[1].counts.failed_us == FIRST_US + 5 * SECOND_US
    totals = engine.see(activity.totals, ORGANISATION)
    assert (totals.at_us, sum(totals.by_state.values())) == (FIRST_US + 5 * SECOND_US, 6)
    assert sum(engine.see(activity.totals, "og_other").by_state.values()) == 0


def test_a_census_that_is_older_than_the_one_kept_changes_nothing(
    engine: Engine, clock: ManualClock
) -> None:
    early = engine.see(activity_census.take)
    engine.submit()
    clock.advance(1)
    Server(engine).census()
    assert not engine.do(activity_census.keep, early, took_us=5)
    assert engine.see(activity.totals, ORGANISATION).by_state["queued"] == 1


def test_queues_whose_works_are_gone_are_counted_as_empty(engine: Engine) -> None:
    server = Server(engine)
    work_id = engine.submit()
    server.census()
    engine.settle(work_id)
    server.census()
    assert sum(engine.see(activity.totals, ORGANISATION).by_state.values()) == 0


def test_depth_over_time_goes_on_until_the_next_census(engine: Engine, clock: ManualClock) -> None:
    server = Server(engine)
    ids = engine.submit_many(7)
    server.census()
    clock.advance(60)
    server.census()
    engine.cancel(*ids)
    clock.advance(20)
    server.census()
    server.roll()
    depth = engine.see(activity.series, ORGANISATION, 900).depth["queued"]
    assert depth[-9:] == [7] * 8 + [0]
    assert engine.see(activity.series, ORGANISATION, 900, "scripts").depth["queued"][-9:] == [0] * 9


def test_charts_of_long_windows_tell_of_the_last_seconds_too(
    engine: Engine, clock: ManualClock
) -> None:
    server = Server(engine)
    engine.submit_many(3)
    server.roll()
    clock.advance(100_000)
    engine.submit_many(2)
    server.roll()
    for window_s in activity.WINDOWS_S.values():
        seen = engine.see(activity.series, ORGANISATION, window_s)
        lengths = [seen.step_s] * len(seen.times_s)
        lengths[-1] = max(seen.at_us // SECOND_US - seen.times_s[-1], 1)
        many = sum(
            rate * length for rate, length in zip(seen.rates["submitted"], lengths, strict=True)
        )
        assert round(many) == (5 if window_s > 100_000 else 2)


def test_surfaces_have_rates_of_the_last_minutes(engine: Engine, clock: ManualClock) -> None:
    server = Server(engine)
    engine.submit_many(30)
    engine.claim(15)
    server.roll()
    server.census()
    (apps,) = engine.see(activity.per_surface, ORGANISATION)
    assert (apps.surface, apps.queues, apps.counts.by_state["queued"]) == ("apps", 1, 15)
    assert (apps.rates["submitted"], apps.rates["claimed"]) == (0.1, 0.05)
    clock.advance(400)
    (apps,) = engine.see(activity.per_surface, ORGANISATION)
    assert apps.rates.get("submitted", 0) == 0


def test_queues_are_listed_by_key(engine: Engine) -> None:
    for number in range(5):
        engine.queue(f"queue {number}", surface="scripts")
    first = engine.see(activity.per_queue, ORGANISATION, surface="scripts", limit=3)
    last = first[-1].queue
    rest = engine.see(
        activity.per_queue, ORGANISATION, surface="scripts", after=(last.surface, last.name)
    )
    assert [one.queue.name for one in first + rest] == [f"queue {number}" for number in range(5)]


def test_nothing_is_written_where_works_are_claimed_and_finished(
    engine: Engine, database: Database
) -> None:
    work_id = engine.submit()
    engine.claim()
    engine.finish(work_id)
    many = database.read_blocking(
        lambda connection: connection.execute(select(func.count()).select_from(buckets)).scalar()
    )
    assert many == 0
