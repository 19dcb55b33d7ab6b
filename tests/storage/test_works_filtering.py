"""Filters of works: what they read, what they refuse, and what they find on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection

from longshore import ids
from longshore.clock import SECOND_US, ManualClock, SystemClock
from longshore.engine import filtering, queues, searching, searching_paths, suggesting, works
from longshore.engine.filtering import parse
from longshore.engine.works import Ending, NewWork, Outcome
from longshore.errors import InvalidRequest
from longshore.storage import Database

OWN, OTHER = "og_own", "og_other"


class World:
    """Works of two organisations in some states."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database, self.clock = database, clock
        self.queue = self.make_queue(OWN, "apps", "acme/receipts@1")
        self.second = self.make_queue(OWN, "buckets", "per cent_%")
        self.foreign = self.make_queue(OTHER, "apps", "acme/receipts@1")

    def make_queue(self, organisation: str, surface: str, name: str) -> int:
        return self.database.write_blocking(
            queues.ensure, organisation_id=organisation, surface=surface, name=name, attempts_max=1
        )

    def submit(self, queue: int, count: int = 1, **more: Any) -> list[str]:
        def make(connection: Connection) -> list[str]:
            new = [NewWork(queue, b"{}", id=self.id(index), **more) for index in range(count)]
            return [each.id for each in works.submit(connection, new, actor="test")]

        made = self.database.write_blocking(make)
        self.clock.advance(1)
        return made

    def id(self, index: int) -> str:
        """Return an id of the time of the clock, as a server of that time would make it."""
        early = ids.earliest(ids.WORK, self.clock.now_us())
        return early[:13] + ids.new(ids.WORK)[13:-3] + f"{index:03d}"

    def end(self, work_ids: list[str], outcome: Outcome, error: bytes | None = None) -> None:
        def end(connection: Connection) -> None:
            rows = works.get_many(connection, work_ids)
            queue_ids = {row.queue_id for row in rows.values()}
            leases = works.claim(
                connection, sorted(queue_ids), limit=1000, holder="w", lease_s=60, among=work_ids
            )
            endings = [Ending(each.id, each.attempt, outcome, error=error) for each in leases]
            assert works.finish(connection, endings, holder="w") == []

        self.database.write_blocking(end)
        self.clock.advance(1)

    def find(self, text: str, *, limit: int = 50, before: str | None = None) -> searching.Page:
        return self.database.read_blocking(
            searching.page,
            OWN,
            parse(text),
            at_us=self.clock.now_us(),
            before=before,
            limit=limit,
        )

    def ids(self, text: str) -> list[str]:
        return [each.work.id for each in self.find(text).found]


@pytest.fixture
def world(database: Database, clock: ManualClock) -> World:
    return World(database, clock)


def test_a_filter_is_read_with_quotes_alternatives_comparisons_and_negation() -> None:
    found = parse('state:failure,cancelled -queue:"a, \\"b\\" c" attempt:>=2 wk_06a  "x y"')
    told = [
        (term.name, [value.text for value in term.values], term.comparison, term.negated)
        for term in found.terms
    ]
    assert told == [
        ("state", ["failure", "cancelled"], "", False),
        ("queue", ['a, "b" c'], "", True),
        ("attempt", ["2"], ">=", False),
        ("word", ["wk_06a"], "", False),
        ("word", ["x y"], "", False),
    ]
    assert found.without("queue", "word") == "state:failure,cancelled attempt:>=2"


def test_every_fault_of_a_filter_is_told_at_once_with_the_near_name() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse('stat:failure state:failed attempt:x since:yesterday queue:>a "open')
    faults = " ".join(caught.value.details["faults"])
    assert "Did you mean 'state'?" in faults
    assert "Did you mean 'failure'?" in faults
    for part in (
        "'x' is no whole number",
        "'yesterday' is neither",
        "cannot be compared",
        "open at the end",
    ):
        assert part in faults
    assert len(caught.value.details["faults"]) == 6


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 3_000, "id:" + ",".join(["wk_1"] * 200)])
def test_a_filter_that_no_database_could_take_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse(text)


@pytest.mark.parametrize(
    "value", ["plain", "two words", 'a"b', "a\\b", "a,b", "x*", "-x", "a:b", ""]
)
def test_a_quoted_value_is_read_back_as_it_is(value: str) -> None:
    if not value:
        with pytest.raises(InvalidRequest, match="needs a value"):
            parse(f"queue:{filtering.quote(value)}")
        return
    found = parse(f"queue:{filtering.quote(value)} state:queued").terms[0].values
    assert [each.text for each in found] == [value]
    assert not value.endswith("*") or found[0].quoted


def test_works_are_found_by_each_word_and_never_those_of_others(world: World) -> None:
    first = world.submit(world.queue, 3, group_id="rn_1", priority=5)
    second = world.submit(world.second, 2, concurrency_key="host", unique_key=None)
    unique = world.submit(world.second, unique_key="once")
    foreign = world.submit(world.foreign, 2, group_id="rn_1")
    everything = sorted([*first, *second, *unique], reverse=True)
    for text, expected in {
        "": everything,
        "state:queued": everything,
        "surface:apps": first,
        "queue:acme/*": first,
        "acme": first,
        'queue:"per cent_%"': [*second, *unique],
        "per_": [],
        "-surface:apps": [*second, *unique],
        "group:rn_1": first,
        "priority:>=5": first,
        "priority:<5": [*second, *unique],
        "attempt:0": everything,
        "concurrency_key:host": second,
        "-concurrency_key:host": [*first, *unique],
        "unique_key:once": unique,
        f"id:{second[0]}": second[:1],
        second[0]: second[:1],
        foreign[0]: [],
        "wk_": everything,
        "final:yes": [],
        "final:no": everything,
        "held:yes": [],
        "held:no state:queued": everything,
        "worker:w": [],
        "state:running,waiting": [],
        "queue:nothing": [],
        "since:1h": everything,
        "until:1h": [],
        "since:999999999w": everything,
        "until:0001-01-01": [],
        "since:9999-12-31": [],
        "priority:<999999999999999999": everything,
    }.items():
        assert world.ids(text) == sorted(expected, reverse=True), text


def test_works_that_ended_are_found_by_state_reason_time_holder_and_error(world: World) -> None:
    early = world.submit(world.queue, 2)
    world.end(early, Outcome.SUCCESS)
    world.clock.advance(7_200)
    failed = world.submit(world.queue, 3)
    world.end(
        failed[:2], Outcome.FAILURE, b'{"type": "OSError", "message": "No such file \\u00e9"}'
    )
    world.end(failed[2:], Outcome.REJECTED, b'{"type": "ValueError", "message": "bad"}')
    for text, expected in {
        "state:success": early,
        "state:failure": failed,
        "reason:failed": failed[:2],
        "-reason:failed state:failure": failed[2:],
        "final:yes": [*early, *failed],
        "worker:w since:1h": failed,
        "until:1h": early,
        "finished_since:1h": failed,
        "finished_until:1h": early,
        'error:"no such FILE \u00e9"': failed[:2],
        "-error:oserror": failed[2:],
        "error:oserror,valueerror": failed,
        "error:nothing": [],
    }.items():
        assert world.ids(text) == sorted(expected, reverse=True), text


def test_pages_follow_each_other_without_a_gap_or_a_repeat(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small windows, so that twenty works are many.
    monkeypatch.setattr(searching, "_NEAR", 2)
    monkeypatch.setattr(searching, "WINDOW", 5)
    monkeypatch.setattr(searching_paths, "FEW", 3)
    apps = [one for _ in range(5) for one in world.submit(world.queue, 2)]
    for _ in range(5):
        world.submit(world.second, 2)
    for text in ("", "surface:apps", "state:queued", "priority:0 acme"):
        expected = world.ids("") if text in ("", "state:queued") else apps
        found: list[str] = []
        before, empty = None, 0
        for _ in range(40):
            page = world.find(text, limit=3, before=before)
            found += [each.work.id for each in page.found]
            empty += not page.found and page.searched_to_us is not None
            if page.next is None:
                break
            before = page.next
        if text == "surface:apps":
            assert empty, "what lies in front of it takes more than one window"
        assert sorted(found) == sorted(set(found))
        if text != "":
            assert set(found) >= set(apps)
        assert found == sorted(found, reverse=True)
        assert set(expected) <= {*found, *world.ids("")}


@pytest.mark.parametrize("moment", [1, 2, 3, 4])
def test_no_work_is_passed_over_when_others_are_deleted_while_a_page_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    monkeypatch.setattr(searching, "_NEAR", 5)
    monkeypatch.setattr(searching, "WINDOW", 10)
    monkeypatch.setattr(searching, "candidates", lambda *_: None)
    world.submit(world.queue, 4)
    wanted = world.submit(world.second, 6, priority=7)
    newest = world.submit(world.queue, 8)
    queries, below = 0, searching._below

    def deleting(query: Any, bounds: Any, before: str | None) -> Any:
        nonlocal queries
        queries += 1
        if queries == moment:
            world.database.write_blocking(works.discard, newest[-4:], actor="ann", why="x")
        return below(query, bounds, before)

    monkeypatch.setattr(searching, "_below", deleting)
    found: list[str] = []
    step = searching.Step([], None)
    for _ in range(10):
        step = world.database.read_blocking(
            searching.ids_page, OWN, parse("priority:7"), at_us=0, before=step.next, limit=100
        )
        found += step.ids
        if step.next is None:
            break
    assert sorted(found) == sorted(wanted)


def test_a_name_is_found_by_its_beginning_to_the_letter(world: World) -> None:
    capital = world.make_queue(OWN, "buckets", "ACME-prod")
    small = world.make_queue(OWN, "buckets", "acme-prod")
    (large,), (little,) = world.submit(capital), world.submit(small)
    for text, expected in {
        "queue:acme-*": [little],
        "queue:ACME-*": [large],
        "-queue:acme-* surface:buckets": [large],
        "acme-p": [little],
        "queue:per*": [],
        "queue:%*": [],
    }.items():
        assert world.ids(text) == expected, text

    def named(connection: Connection) -> tuple[list[int], list[str]]:
        found = queues.search(connection, OWN, beginning="acme-")
        told = suggesting.suggest(connection, OWN, "queue:ACME-")
        return [each.id for each in found], [each.text for each in told]

    assert world.database.read_blocking(named) == ([small], ["queue:ACME-prod"])


def test_what_is_counted_is_exact_up_to_a_limit(world: World) -> None:
    world.submit(world.queue, 7)

    def count(connection: Connection, text: str, most: int) -> searching.Count:
        at_us = world.clock.now_us()
        return searching.count(connection, OWN, parse(text), at_us=at_us, most=most)

    for text, most, expected in (
        ("", 7, (7, True)),
        ("", 6, (6, False)),
        ("state:failure", 6, (0, True)),
    ):
        found = world.database.read_blocking(count, text, most)
        assert (found.count, found.exact) == expected


def test_a_place_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(InvalidRequest, match="no place"):
        world.find("", before="x")


def test_what_is_typed_is_gone_on_with_by_names_then_values(world: World) -> None:
    def texts(text: str) -> list[str]:
        return [each.text for each in world.database.read_blocking(suggesting.suggest, OWN, text)]

    assert texts("st") == ["state:"]
    assert texts("state:failure -re") == ["state:failure -reason:"]
    assert texts("state:failure,ca") == ["state:failure,cancelled"]
    assert texts("queue:per") == ['queue:"per cent_%"']
    assert texts("surface:") == ["surface:apps", "surface:buckets"]
    assert texts('queue:"open') == []
    assert texts("error:x") == []


def test_the_earliest_id_of_a_time_is_before_those_made_then() -> None:
    made = ids.new(ids.WORK)
    now_us = SystemClock().now_us()
    assert (
        ids.earliest(ids.WORK, now_us - SECOND_US)
        < made
        < ids.earliest(ids.WORK, now_us + SECOND_US)
    )
