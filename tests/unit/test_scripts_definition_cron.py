"""When cron expressions are due: days on which clocks change, calendars, business dates."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import calendars, cron
from longshore.surfaces.scripts.definition.model import Calendar, ScheduleTrigger

HOUR_US = 3_600_000_000
BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def shown(at_us: int, zone: str) -> str:
    """Return an instant on the wall, with its distance from UTC."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(ZoneInfo(zone)).isoformat()


def due(expression: str, zone: str, day: str) -> list[str]:
    """Return when an expression is due on a day on the wall, in order."""
    begin = us(f"{day}T00:00:00") - 24 * HOUR_US
    found = [
        shown(each.at_us, zone)
        for each in cron.instants(expression, zone, begin, begin + 72 * HOUR_US)
    ]
    return [each.removeprefix(f"{day}T") for each in found if each.startswith(day)]


@pytest.mark.parametrize(
    ("expression", "zone", "day", "instants"),
    [
        # Clocks go forward from 02:00 to 03:00: a skipped time of day happens after the gap.
        ("30 2 * * *", BERLIN, "2026-03-29", ["03:00:00+02:00"]),
        ("0 2 * * *", NEW_YORK, "2026-03-08", ["03:00:00-04:00"]),
        ("59 1 * * *", BERLIN, "2026-03-29", ["01:59:00+01:00"]),
        ("0 3 * * *", BERLIN, "2026-03-29", ["03:00:00+02:00"]),
        # Two skipped times, and one that stands right after the gap, happen once.
        ("0,30 2 * * *", BERLIN, "2026-03-29", ["03:00:00+02:00"]),
        ("30 2,3 * * *", BERLIN, "2026-03-29", ["03:00:00+02:00", "03:30:00+02:00"]),
        ("0 2,3 * * *", NEW_YORK, "2026-03-08", ["03:00:00-04:00"]),
        # What follows the running clock leaves the gap out.
        ("*/30 2 * * *", BERLIN, "2026-03-29", []),
        ("*/30 1-3 * * *", BERLIN, "2026-03-29",
         ["01:00:00+01:00", "01:30:00+01:00", "03:00:00+02:00", "03:30:00+02:00"]),
        # Clocks go back from 03:00 to 02:00 (02:00 to 01:00): a time of day happens the first time.
        ("30 2 * * *", BERLIN, "2026-10-25", ["02:30:00+02:00"]),
        ("30 1 * * *", NEW_YORK, "2026-11-01", ["01:30:00-04:00"]),
        ("0 3 * * *", BERLIN, "2026-10-25", ["03:00:00+01:00"]),
        # What follows the running clock happens each time.
        ("*/30 2 * * *", BERLIN, "2026-10-25",
         ["02:00:00+02:00", "02:30:00+02:00", "02:00:00+01:00", "02:30:00+01:00"]),
        ("0 */1 * * *", NEW_YORK, "2026-11-01",
         ["00:00:00-04:00", "01:00:00-04:00", "01:00:00-05:00",
          *[f"{hour:02}:00:00-05:00" for hour in range(2, 24)]]),
        # Half an hour: forward from 02:00 to 02:30, back from 02:00 to 01:30.
        ("15 2 * * *", LORD_HOWE, "2026-10-04", ["02:30:00+11:00"]),
        ("45 2 * * *", LORD_HOWE, "2026-10-04", ["02:45:00+11:00"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-05", ["01:45:00+11:00"]),
        ("*/15 2 * * *", LORD_HOWE, "2026-10-04", ["02:30:00+11:00", "02:45:00+11:00"]),
        ("*/15 1 * * *", LORD_HOWE, "2026-04-05",
         ["01:00:00+11:00", "01:15:00+11:00", "01:30:00+11:00", "01:45:00+11:00",
          "01:30:00+10:30", "01:45:00+10:30"]),
        # The day after, all is as ever.
        ("30 2 * * *", BERLIN, "2026-03-30", ["02:30:00+02:00"]),
        ("30 2 * * *", BERLIN, "2026-10-26", ["02:30:00+01:00"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-05", ["02:15:00+11:00"]),
        # Fields for days: both must fit where one is a star, else either is enough.
        ("0 3 29 2 *", "UTC", "2028-02-29", ["03:00:00+00:00"]),
        ("0 3 1 * mon", "UTC", "2026-06-08", ["03:00:00+00:00"]),
        ("0 3 L * *", "UTC", "2026-02-28", ["03:00:00+00:00"]),
        ("0 3 * * 5L", "UTC", "2026-02-27", ["03:00:00+00:00"]),
    ],
)  # fmt: skip
def test_golden_instants(expression: str, zone: str, day: str, instants: list[str]) -> None:
    assert due(expression, zone, day) == instants


def test_a_day_that_a_zone_left_out_is_caught_up_with_at_its_end() -> None:
    # Samoa went over the date line: 30 December 2011 never was.
    begin, end = us("2011-12-29T00:00:00"), us("2012-01-01T00:00:00")
    found = cron.instants("30 2 * * *", "Pacific/Apia", begin, end)
    assert [(shown(each.at_us, "Pacific/Apia"), each.day.day) for each in found] == [
        ("2011-12-29T02:30:00-10:00", 29),
        ("2011-12-31T00:00:00+14:00", 30),
        ("2011-12-31T02:30:00+14:00", 31),
        ("2012-01-01T02:30:00+14:00", 1),
    ]


EXPRESSIONS = st.sampled_from(
    ["30 2 * * *", "0 2 * * *", "0,30 1,2,3 * * *", "*/15 * * * *", "0 * * * *", "30 */1 * * *",
     "*/20 2 * * *", "15 2-3 * * *", "* 1 * * *", "5 0 1 * *", "0 12 * * 1-5", "0 1 L * *"]
)  # fmt: skip
HOURS = st.integers(us("2025-01-01T00:00:00") // HOUR_US, us("2028-01-01T00:00:00") // HOUR_US)


@settings(max_examples=60, deadline=None)
@given(
    EXPRESSIONS,
    st.sampled_from([BERLIN, NEW_YORK, "UTC", "Asia/Kolkata", "America/St_Johns"]),
    HOURS,
    st.integers(0, 3599),
)
def test_where_clocks_shift_by_hours_it_is_what_cronsim_finds(
    expression: str, zone: str, hour: int, second: int
) -> None:
    after_us = hour * HOUR_US + second * 1_000_000
    ours = itertools.islice(cron.instants(expression, zone, after_us), 12)
    begin = datetime.fromtimestamp(after_us // 1_000_000, UTC).astimezone(ZoneInfo(zone))
    theirs = (round(each.timestamp()) * 1_000_000 for each in CronSim(expression, begin))
    # It loses where it is between the two times of a doubled hour, and begins that hour again.
    later = (each for each in theirs if each > after_us)
    assert [each.at_us for each in ours] == list(itertools.islice(later, 12))


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE]), HOURS, st.integers(0, 40))
def test_where_it_is_asked_from_does_not_matter(
    expression: str, zone: str, hour: int, cut: int
) -> None:
    begin, end = hour * HOUR_US, (hour + 48) * HOUR_US
    whole = list(cron.instants(expression, zone, begin, end))
    between = begin + cut * HOUR_US + 1_800_000_000
    first = list(cron.instants(expression, zone, begin, between))
    assert [*first, *cron.instants(expression, zone, between, end)] == whole
    assert whole == sorted(set(whole))


def test_a_day_that_counts_once_a_year_is_found_at_once() -> None:
    holiday = date(2030, 12, 24)
    found = cron.first("* * * * *", BERLIN, us("2026-01-01T00:00:00"), counts=holiday.__eq__)
    assert found is not None
    assert shown(found.at_us, BERLIN) == "2030-12-24T00:00:00+01:00"


@pytest.mark.parametrize(
    "bad", ["", "* * * *", "a b c d e", "60 * * * *", "* * * * * *", "*/0 * * * *", "@daily"]
)
def test_what_is_no_expression_is_refused(bad: str) -> None:
    with pytest.raises(InvalidRequest, match="cron expression"):
        cron.check_expression(bad)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789*/-,#LWMONJAN ²", max_size=30))
def test_any_expression_is_taken_or_refused(text: str) -> None:
    try:
        cron.check_expression(text)
    except InvalidRequest:
        return
    for each in itertools.islice(cron.instants(text, "UTC", us("2026-01-01T00:00:00")), 2):
        assert each.at_us > us("2026-01-01T00:00:00")


CALENDAR = Calendar(holidays=("2026-12-25", "2026-12-31"))


def days(which: str, month: str) -> list[int]:
    schedule = ScheduleTrigger(cron="0 3 * * *", time_zone=BERLIN, days=which)  # type: ignore[arg-type]
    begin = us(f"{month}-01T00:00:00") - HOUR_US
    found = calendars.instants(schedule, CALENDAR, begin, begin + 31 * 24 * HOUR_US)
    return [each.day.day for each in found]


def test_calendars_choose_days() -> None:
    assert days("working", "2026-12") == [
        *[1, 2, 3, 4, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18, 21, 22, 23, 24, 28, 29, 30]
    ]
    assert days("holidays", "2026-12") == [25, 31]
    assert days("last_working_day_of_month", "2026-12") == [30]
    assert days("last_working_day_of_month", "2026-10") == [30]


@pytest.mark.parametrize(
    ("which", "instant", "expected"),
    [
        ("same_day", "2026-12-28T02:00:00", "2026-12-28"),
        ("previous_day", "2026-12-28T02:00:00", "2026-12-27"),
        # Sunday, Saturday and Christmas are left out.
        ("previous_working_day", "2026-12-28T02:00:00", "2026-12-24"),
    ],
)
def test_the_business_date_follows_the_calendar(which: str, instant: str, expected: str) -> None:
    schedule = ScheduleTrigger(cron="0 3 * * *", time_zone=BERLIN, business_date=which)  # type: ignore[arg-type]
    found = calendars.next_instant(schedule, CALENDAR, us(instant) - 1)
    assert found is not None
    assert found.at_us == us(instant)
    assert str(calendars.business_date(schedule, CALENDAR, found)) == expected


def test_the_business_date_is_that_on_the_wall_of_the_zone() -> None:
    schedule = ScheduleTrigger(cron="30 0 * * *", time_zone="Pacific/Auckland")
    found = calendars.next_instant(schedule, CALENDAR, us("2026-07-01T00:00:00"))
    assert found is not None
    assert shown(found.at_us, "UTC") == "2026-07-01T12:30:00+00:00"
    assert str(calendars.business_date(schedule, CALENDAR, found)) == "2026-07-02"
