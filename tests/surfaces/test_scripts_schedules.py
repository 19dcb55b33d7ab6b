"""Schedules on both databases: each instant fires once or is reported as missed, whatever clocks do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, select

from longshore import limits
from longshore.access import organisations
from longshore.clock import ManualClock
from longshore.errors import Conflict, InvalidRequest
from longshore.storage import Database, open_database
from longshore.surfaces.scripts import cron, hosts, scheduling, starting, workflows
from longshore.surfaces.scripts.tables import scripts_firings, scripts_runs

MINUTE_S, HOUR_S = 60.0, 3600.0


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@dataclass
class Planner:
    """An organisation with a host, and what its schedules have done."""

    database: Database
    clock: ManualClock
    organisation_id: str

    def set(self, text: str) -> None:
        self.clock.advance((us(text) - self.clock.now_us()) / 1_000_000)

    def apply(self, *schedules: str, calendar: str = "{}", name: str = "nightly") -> str:
        listed = "".join(f"\n    - {{{each}}}" for each in schedules)
        text = (
            f"workflow: {name}\ncalendar: {calendar}\ntriggers:\n  schedules:{listed or ' []'}\n"
            "steps:\n  load: {script: load.py, host: host1}\n"
        )
        applied = self.database.write_blocking(
            workflows.apply, self.organisation_id, text, actor="a test"
        )
        return applied.workflow.id

    def fire(self) -> scheduling.Fired:
        return self.database.write_blocking(scheduling.fire)

    def fire_all(self) -> None:
        for _ in range(100):
            if not self.fire().more:
                return
        raise AssertionError("there is always more to fire")

    def firings(self) -> list[Any]:
        query = select(scripts_firings).order_by(scripts_firings.c.instant_us)
        return self.database.read_blocking(lambda connection: list(connection.execute(query)))

    def states(self) -> list[str]:
        return [row.state for row in self.firings()]

    def runs(self) -> list[Any]:
        query = select(scripts_runs).order_by(scripts_runs.c.id)
        return self.database.read_blocking(lambda connection: list(connection.execute(query)))


def planner_of(database: Database, clock: ManualClock) -> Planner:
    def prepare(connection: Connection) -> str:
        organisation_id = organisations.ensure(connection, "local").id
        hosts.ensure(connection, organisation_id, "host1", actor="a test")
        return organisation_id

    return Planner(database, clock, database.write_blocking(prepare))


@pytest.fixture
def planner(database: Database, clock: ManualClock) -> Planner:
    made = planner_of(database, clock)
    made.set("2026-06-01T00:00:00")
    return made


def test_an_instant_starts_one_run_for_its_business_date(planner: Planner) -> None:
    planner.apply("cron: 0 3 * * *, time_zone: Europe/Berlin, business_date: previous_working_day")
    assert planner.fire() == scheduling.Fired([], 0, False)
    planner.set("2026-06-01T00:59:59")
    assert planner.fire().runs == []
    planner.clock.advance(1)
    (run_id,) = planner.fire().runs
    assert planner.fire().runs == []
    (run,) = planner.runs()
    assert (run.id, run.trigger, run.business_date) == (run_id, "schedule", "2026-05-29")
    assert run.started_by == "schedule 0 3 * * * (Europe/Berlin) at 2026-06-01T01:00:00.000Z"
    (firing,) = planner.firings()
    assert (firing.state, firing.run_id, firing.why) == ("fired", run_id, "on time")


def test_a_clock_that_goes_back_fires_nothing_again(planner: Planner) -> None:
    planner.apply("cron: '*/10 * * * *'")
    for _ in range(12):
        planner.clock.advance(10 * MINUTE_S)
        planner.fire_all()
    assert planner.states() == ["fired"] * 12
    planner.clock.advance(-HOUR_S)
    for _ in range(6):
        planner.clock.advance(10 * MINUTE_S)
        planner.fire_all()
    assert len(planner.runs()) == 12
    planner.clock.advance(10 * MINUTE_S)
    planner.fire_all()
    assert planner.states() == ["fired"] * 13
    assert len(planner.runs()) == 13


def test_a_new_version_while_the_clock_is_back_fires_nothing_again(planner: Planner) -> None:
    planner.apply("cron: '*/10 * * * *'")
    planner.clock.advance(10 * MINUTE_S)
    planner.fire_all()
    planner.clock.advance(-5 * MINUTE_S)
    planner.apply("cron: '*/10 * * * *'", calendar="{holidays: [2026-12-25]}")
    planner.clock.advance(5 * MINUTE_S)
    planner.fire_all()
    assert planner.states() == ["fired"]
    assert len(planner.runs()) == 1


@pytest.mark.parametrize(
    ("policy", "states"),
    [
        ("last", ["missed"] * 5 + ["fired"]),
        ("all", ["fired"] * 6),
        ("none", ["missed"] * 5 + ["fired"]),
    ],
)
def test_a_clock_that_jumps_forward_treats_what_it_passes_as_the_schedule_says(
    planner: Planner, policy: str, states: list[str]
) -> None:
    planner.apply(f"cron: '*/10 * * * *', missed: {policy}")
    planner.clock.advance(HOUR_S)
    planner.fire_all()
    assert planner.states() == states
    why = planner.firings()[0].why
    assert why == {
        "last": "no server looked at it for 3000 s after it was due, and only the last that was "
        "missed is run (missed: last)",
        "all": "3000 s late",
        "none": "no server looked at it for 3000 s after it was due, and what was missed is not "
        "run (missed: none)",
    }[policy]  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "states"),
    [("last", ["missed", "missed", "fired"]), ("all", ["fired"] * 3), ("none", ["missed"] * 3)],
)
def test_after_an_outage_the_last_instant_counts_even_if_it_is_late(
    planner: Planner, policy: str, states: list[str]
) -> None:
    planner.apply(f"cron: '0 * * * *', missed: {policy}")
    planner.clock.advance(3 * HOUR_S + 30 * MINUTE_S)
    planner.fire_all()
    assert planner.states() == states


@pytest.mark.parametrize("policy", ["last", "all"])
def test_a_long_outage_is_caught_up_with_in_pieces(planner: Planner, policy: str) -> None:
    planner.apply(f"cron: '*/15 * * * *', missed: {policy}")
    count = limits.SCHEDULE_INSTANTS + 20 if policy == "last" else 25
    planner.clock.advance(count * 15 * MINUTE_S)
    first = planner.fire()
    assert first.more
    assert len(first.runs) == (0 if policy == "last" else 20)
    planner.fire_all()
    fired = planner.states().count("fired")
    assert (len(planner.firings()), fired) == (count, 1 if policy == "last" else count)
    dates = [run.business_date for run in planner.runs()]
    assert dates == sorted(dates)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", "2026-03-28"), ("Europe/Berlin", "2026-10-24"),
        ("America/New_York", "2026-03-07"), ("America/New_York", "2026-10-31"),
        ("Australia/Lord_Howe", "2026-10-03"), ("Australia/Lord_Howe", "2026-04-04"),
    ],
)  # fmt: skip
def test_on_days_when_clocks_change_and_with_clocks_that_jump_each_instant_is_accounted_for(
    planner: Planner, zone: str, day: str
) -> None:
    planner.set(f"{day}T00:00:00")
    planner.apply(
        *(f"cron: '{each}', time_zone: {zone}" for each in ("30 2 * * *", "15,45 * * * *")),
        f"cron: '0 1-3 * * *', time_zone: {zone}, missed: all",
    )
    begin_us, chance = planner.clock.now_us(), random.Random(day)
    latest_us = begin_us
    while planner.clock.now_us() < begin_us + 36 * HOUR_S * 1_000_000:
        jump_s = chance.choice([-HOUR_S, HOUR_S]) if chance.random() < 0.08 else 0
        planner.clock.advance(11 * MINUTE_S + jump_s)
        latest_us = max(latest_us, planner.clock.now_us())
        planner.fire_all()
    wanted = [
        each.at_us
        for expression in ("30 2 * * *", "15,45 * * * *", "0 1-3 * * *")
        for each in cron.instants(expression, zone, begin_us, latest_us)
    ]
    rows = planner.firings()
    assert sorted(row.instant_us for row in rows) == sorted(wanted)
    runs = {row.run_id for row in rows if row.state == "fired"}
    assert runs == {run.id for run in planner.runs()}
    assert len(runs) == sum(row.state == "fired" for row in rows)
    assert all(row.why for row in rows if row.state == "missed")
    moments = [datetime.fromtimestamp(each / 1e6, ZoneInfo(zone)) for each in wanted]
    assert len({each.utcoffset() for each in moments}) == 2, "the clocks have changed"


@pytest.fixture
def servers(database_url: str, clock: ManualClock) -> Iterator[tuple[Database, Database]]:
    """Two servers on one database."""
    opened = [open_database(database_url, clock=clock, migrate=False) for _ in range(2)]
    yield opened[0], opened[1]
    for each in opened:
        each.close()


def test_two_servers_that_both_fire_start_each_instant_once(
    servers: tuple[Database, Database], clock: ManualClock
) -> None:
    planner = planner_of(servers[0], clock)
    planner.set("2026-06-01T00:00:00")
    for number in range(4):
        planner.apply("cron: '*/10 * * * *', missed: all", name=f"w{number}")
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            clock.advance(10 * MINUTE_S)
            fired = [pool.submit(servers[n % 2].write_blocking, scheduling.fire) for n in range(4)]
            assert sum(len(each.result(20).runs) for each in fired) == 4
    assert planner.states() == ["fired"] * 40
    assert len(planner.runs()) == 40


def test_a_server_that_dies_before_it_commits_leaves_nothing_and_the_next_fires_once(
    planner: Planner,
) -> None:
    planner.apply("cron: 0 3 * * *")
    planner.set("2026-06-01T03:00:01")

    def die(connection: Connection) -> None:
        assert len(scheduling.fire(connection).runs) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        planner.database.write_blocking(die)
    assert (planner.runs(), planner.firings()) == ([], [])
    assert len(planner.fire().runs) == 1
    assert planner.fire().runs == []


def test_a_run_that_cannot_start_is_missed_with_the_reason_and_keeps_no_other_from_starting(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = planner.apply("cron: 0 3 * * *", name="bad")
    planner.apply("cron: 0 3 * * *", name="good")
    start: Callable[..., int] = starting.start

    def refuse(connection: Connection, organisation_id: str, workflow_id: str, **more: Any) -> int:
        run_id = start(connection, organisation_id, workflow_id, **more)
        if workflow_id == bad:
            raise Conflict("It is full.")
        return run_id

    monkeypatch.setattr(starting, "start", refuse)
    planner.set("2026-06-01T03:00:00")
    fired = planner.fire()
    assert (len(fired.runs), fired.missed) == (1, 1)
    (missed,) = [row for row in planner.firings() if row.state == "missed"]
    assert missed.why == "the run could not start: It is full."
    assert [run.id for run in planner.runs()] == fired.runs


def test_a_schedule_that_is_taken_out_and_put_back_begins_with_its_next_instant(
    planner: Planner,
) -> None:
    planner.apply("cron: '0 * * * *', missed: all")
    planner.apply()
    planner.clock.advance(2 * HOUR_S)
    planner.fire_all()
    planner.apply("cron: '0 * * * *', missed: all")
    planner.clock.advance(HOUR_S)
    planner.fire_all()
    assert [row.instant_us for row in planner.firings()] == [us("2026-06-01T03:00:00")]


def test_a_retired_workflow_fires_no_more_until_it_is_brought_back(planner: Planner) -> None:
    planner.apply("cron: '0 * * * *'")
    planner.database.write_blocking(workflows.retire, planner.organisation_id, "nightly")
    planner.clock.advance(2 * HOUR_S)
    planner.fire_all()
    assert planner.firings() == []
    planner.apply("cron: '0 * * * *'")
    planner.clock.advance(HOUR_S)
    planner.fire_all()
    assert planner.states() == ["fired"]


def test_a_new_calendar_counts_at_once(planner: Planner) -> None:
    schedule = "cron: 0 3 * * *, days: working"
    planner.apply(schedule)
    planner.apply(schedule, calendar="{holidays: [2026-06-01]}")
    planner.set("2026-06-02T12:00:00")
    planner.fire_all()
    assert [row.instant_us for row in planner.firings()] == [us("2026-06-02T03:00:00")]


def test_a_schedule_whose_last_holiday_is_over_ends_and_cannot_be_applied_any_more(
    planner: Planner,
) -> None:
    schedule, calendar = "cron: 0 3 * * *, days: holidays", "{holidays: [2026-06-01]}"
    workflow_id = planner.apply(schedule, calendar=calendar)
    planner.set("2026-06-01T03:00:00")
    planner.fire_all()
    assert planner.states() == ["fired"]
    assert planner.database.read_blocking(scheduling.of_workflow, workflow_id) == []
    with pytest.raises(InvalidRequest, match="never fires again on days: holidays"):
        planner.apply(schedule, calendar=calendar, name="other")
