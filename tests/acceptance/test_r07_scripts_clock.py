"""R7: clocks that jump, days on which clocks change, and servers that were away.

The passes of the scripts surface are called by hand, at the times that a clock of the tests says.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from longshore.access import organisations
from longshore.clock import SECOND_US, ManualClock
from longshore.storage import Database
from longshore.surfaces.scripts import hosts, scheduling, workflows
from longshore.surfaces.scripts.tables import scripts_firings, scripts_runs

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
DAYS = {
    # The day before clocks change; the zone is put in where a time of that day is asked for.
    (BERLIN, "spring"): datetime(2026, 3, 28, tzinfo=UTC),
    (BERLIN, "autumn"): datetime(2026, 10, 24, tzinfo=UTC),
    (NEW_YORK, "spring"): datetime(2026, 3, 7, tzinfo=UTC),
    (NEW_YORK, "autumn"): datetime(2026, 10, 31, tzinfo=UTC),
}
SKIPPED_OR_DOUBLED = {BERLIN: 2, NEW_YORK: 2}
"""The hour on the wall that is skipped in spring. In New York it is another that comes twice."""
DOUBLED = {BERLIN: 2, NEW_YORK: 1}


@dataclass
class Tower:
    """A database, its clock, and one workflow with one schedule."""

    database: Database
    clock: ManualClock
    organisation_id: str = ""

    def schedule(self, cron: str, zone: ZoneInfo, at: datetime, missed: str = "last") -> None:
        """Apply a workflow with a schedule at a time."""
        self.go(at)
        trigger = {"cron": cron, "time_zone": str(zone), "missed": missed}
        definition = {
            "workflow": "clockwork",
            "triggers": {"schedules": [trigger]},
            "steps": {"tick": {"command": ["true"], "host": "alpha"}},
        }

        def apply(connection: Any) -> str:
            local = organisations.ensure_first(connection)
            hosts.ensure(connection, local.id, "alpha", actor="test")
            workflows.apply(connection, local.id, json.dumps(definition), actor="test")
            return local.id

        self.organisation_id = self.database.write_blocking(apply)

    def go(self, at: datetime) -> None:
        self.clock.advance((_us(at) - self.clock.now_us()) / SECOND_US)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now_us() / SECOND_US, tz=UTC)

    def tick(self, seconds: float = 0.0) -> None:
        """Move the clock and let a pass look at what is due, until nothing is left."""
        self.clock.advance(seconds)
        while self.database.write_blocking(scheduling.fire).more:
            pass

    def firings(self) -> dict[datetime, str]:
        """Return what became of each instant, and check that its run is the only one."""

        def read(connection: Any) -> tuple[list[Any], list[Any]]:
            firings = select(scripts_firings).order_by(scripts_firings.c.instant_us)
            return (
                list(connection.execute(firings)),
                list(connection.execute(select(scripts_runs.c.id, scripts_runs.c.started_by))),
            )

        rows, runs = self.database.read_blocking(read)
        assert sorted(row.run_id for row in rows if row.state == "fired") == sorted(
            run.id for run in runs
        ), "one run for each instant that fired, and no other"
        assert len({run.started_by for run in runs}) == len(runs), "each was started by its own"
        assert all(row.why for row in rows), "it is said what became of each"
        return {
            datetime.fromtimestamp(row.instant_us / SECOND_US, tz=UTC): row.state for row in rows
        }


@pytest.fixture
def tower(database: Database, clock: ManualClock) -> Iterator[Tower]:
    return Tower(database, clock)


def _us(at: datetime) -> int:
    return round(at.timestamp() * SECOND_US)


def _wall(zone: ZoneInfo, day: datetime, hour: int, minute: int = 0, fold: int = 0) -> datetime:
    """Return the moment at which clocks of a zone show a time, the first or the second of them."""
    shown = day.replace(hour=hour, minute=minute, fold=fold, tzinfo=zone)
    return shown.astimezone(UTC)


def _expected(zone: ZoneInfo, season: str, cron: str) -> list[datetime]:
    """Return the instants of three days around the change, as a person would tell them."""
    before = DAYS[zone, season]
    days = [before + timedelta(days=number) for number in range(3)]
    skipped, doubled = SKIPPED_OR_DOUBLED[zone], DOUBLED[zone]
    if cron == "nightly":
        # Skipped in spring: it runs when the gap is over. Doubled in autumn: the first counts.
        moments = [_wall(zone, day, skipped if season == "spring" else doubled, 30) for day in days]
        if season == "spring":
            moments[1] = _wall(zone, days[1], skipped + 1)
        return moments
    first, last = _wall(zone, days[0], 0), _wall(zone, days[2], 23, 30)
    count = int((last - first) / timedelta(minutes=30)) + 1
    # What follows the clock as it runs neither loses nor repeats a half hour that there is.
    return [first + number * timedelta(minutes=30) for number in range(count)]


def _cron(zone: ZoneInfo, season: str, kind: str) -> str:
    hour = SKIPPED_OR_DOUBLED[zone] if season == "spring" else DOUBLED[zone]
    return f"30 {hour} * * *" if kind == "nightly" else "*/30 * * * *"


@pytest.mark.parametrize("kind", ["nightly", "half-hourly"])
@pytest.mark.parametrize("season", ["spring", "autumn"])
@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK], ids=str)
def test_each_instant_of_days_on_which_clocks_change_fires_once(
    tower: Tower, zone: ZoneInfo, season: str, kind: str
) -> None:
    start = _wall(zone, DAYS[zone, season], 0) - timedelta(minutes=1)
    end = _wall(zone, DAYS[zone, season] + timedelta(days=2), 23, 59)
    tower.schedule(_cron(zone, season, kind), zone, start, missed="all")
    chance = random.Random(f"{zone} {season} {kind}")
    while tower.now() < end:
        left_s = (end - tower.now()).total_seconds()
        tower.tick(min(left_s, chance.uniform(1.0, 3_000.0)))
        if left_s > 7_200.0 and chance.random() < 0.4:
            # The clock is set to something else, and somebody sets it right again.
            wrong_s = chance.choice((-3_600.0, -600.0, 600.0))
            tower.tick(wrong_s)
            tower.tick(chance.uniform(0.0, 30.0))
            tower.tick(-wrong_s)
    expected = _expected(zone, season, kind)
    assert list(tower.firings()) == expected
    assert set(tower.firings().values()) == {"fired"}


@pytest.mark.parametrize(
    ("missed", "fired"), [("all", [0, 1, 2, 3]), ("last", [3]), ("none", [])], ids=str
)
def test_a_clock_an_hour_ahead_reports_what_it_passes_over_and_fires_nothing_twice(
    tower: Tower, missed: str, fired: list[int]
) -> None:
    start = datetime(2026, 6, 1, 11, 59, tzinfo=UTC)
    tower.schedule("*/15 * * * *", BERLIN, start, missed)
    # From 11:59 to 12:59 at once; the last of 12:00, :15, :30 and :45 is 14 minutes late.
    tower.tick(3_600.0)
    instants = [datetime(2026, 6, 1, 12, 15 * number, tzinfo=UTC) for number in range(4)]
    told = {each: "fired" if number in fired else "missed" for number, each in enumerate(instants)}
    assert tower.firings() == told
    # Back to the right time: what was dealt with stays as it is, minute by minute.
    tower.tick(-3_600.0)
    for _ in range(61):
        tower.tick(60.0)
    after = tower.firings()
    assert {each: after[each] for each in instants} == told
    assert list(after) == [*instants, datetime(2026, 6, 1, 13, 0, tzinfo=UTC)]
    assert after[datetime(2026, 6, 1, 13, 0, tzinfo=UTC)] == "fired"


@pytest.mark.parametrize("missed", ["last", "all", "none"])
def test_instants_while_no_server_ran_are_each_run_or_reported(tower: Tower, missed: str) -> None:
    start = _wall(BERLIN, DAYS[BERLIN, "autumn"], 20)
    tower.schedule("0 * * * *", BERLIN, start, missed)
    # A server that is away over the night in which an hour comes twice: 20:00 to 08:00.
    tower.tick(13 * 3_600.0 + 30.0)
    firings = tower.firings()
    assert list(firings) == [start + timedelta(hours=number) for number in range(1, 14)]
    states = list(firings.values())
    # The last was due half a minute ago, which is no delay.
    expected = {"all": ["fired"] * 13, "last": ["missed"] * 12 + ["fired"]}
    assert states == expected.get(missed, ["missed"] * 12 + ["fired"])
