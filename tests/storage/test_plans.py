"""The plans of the hot statements, with the statistics of an idle, a full and a finished table.

A planner that has seen an idle queue takes the index on leases for the smallest thing there is,
and a claim or a report then walks every leased row. So the statements are caught as the engine
sends them and explained on the same database.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Text, bindparam, event, text

from longshore.clock import ManualClock
from longshore.engine import (
    endings,
    filtering,
    janitor,
    queues,
    searching,
    searching_paths,
    works,
)
from longshore.engine.works import Ending, NewWork, Outcome
from longshore.storage import open_database
from tests.conftest import KINDS
from tests.storage.driving import LEASE_S, ORGANISATION, Engine

ROWS = 20_000
HELD = 200
FILLINGS = ("idle", "full", "finished")


def fill(engine: Engine, filling: str) -> None:
    """Put rows into the tables, and have the statistics taken while they are like that.

    idle: statistics of a table with finished works only, then a rush of leases;
    full: mostly queued; finished: mostly finished, a few of everything.
    """
    shares = {
        "idle": [("success", ROWS)],
        "full": [("queued", ROWS - HELD), ("running", HELD)],
        "finished": [("success", ROWS - 2 * HELD), ("queued", HELD), ("running", HELD)],
    }[filling]
    for state, count in shares:
        add_works(engine, state, count)
    engine.do(lambda connection: connection.execute(text("ANALYZE")) and None)
    if filling == "idle":
        for state, count in (("queued", ROWS), ("running", 10 * HELD)):
            add_works(engine, state, count)


_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) ",
    "postgresql": "WITH n(i) AS (SELECT generate_series(1, CAST(:count AS integer))) ",
}
_WORKS = """
INSERT INTO works (id, queue_id, state, reason, priority, due_us, attempt, attempts_max,
                   created_us, lease_until_us, finished_us, worker_id)
{numbers} SELECT 'wk_' || :state || substr(CAST(1000000 + i AS text), 2), :queue_id, :state,
    :reason, i % 3, CAST(:now_us AS bigint) + i, :attempt, 3, :now_us,
    CASE WHEN :state = 'running' THEN CAST(:now_us AS bigint) + i * 1000 END,
    CASE WHEN :state = 'success' THEN CAST(:now_us AS bigint) END,
    CASE WHEN :state <> 'queued' THEN 'w' || CAST(i % 7 AS text) END FROM n
"""
_PAYLOADS = """
INSERT INTO payloads (work_id, payload) SELECT id, '{}' FROM works WHERE state = :state
"""


def add_works(engine: Engine, state: str, count: int) -> None:
    given = {
        "state": state,
        "count": count,
        "queue_id": engine.queue_id,
        "now_us": engine.clock.now_us(),
        "attempt": int(state != "queued"),
        "reason": {"queued": "submitted", "running": "claimed", "success": "done"}[state],
    }

    def add(connection: Connection) -> None:
        numbers = _NUMBERS[connection.dialect.name]
        works_sql = text(_WORKS.format(numbers=numbers)).bindparams(
            bindparam("state", type_=Text), bindparam("reason", type_=Text)
        )
        connection.execute(works_sql, given)
        connection.execute(text(_PAYLOADS), {"state": state})

    engine.do(add)


@contextmanager
def caught(connection: Connection, table: str) -> Iterator[list[tuple[str, Any]]]:
    """Catch the statements on `table` that are executed on the connection."""
    found: list[tuple[str, Any]] = []

    def catch(*arguments: Any) -> None:
        statement, parameters = arguments[2], arguments[3]
        if re.search(rf"\b(UPDATE|FROM|JOIN) {table}\b", statement):
            found.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", catch)
    yield found
    event.remove(connection, "before_cursor_execute", catch)


def plans(engine: Engine, run: Callable[[Connection], Any], *, table: str = "works") -> list[str]:
    """Run something, explain each statement on the table that it sent, and take it all back."""
    explained: list[str] = []

    def trial(connection: Connection) -> None:
        with caught(connection, table) as statements:
            savepoint = connection.begin_nested()
            run(connection)
            savepoint.rollback()
        assert statements, "it has sent a statement"
        explained.extend(explain(connection, *statement) for statement in statements)

    engine.do(trial)
    return explained


def explain(connection: Connection, statement: str, parameters: Any) -> str:
    """Return the plan as lines of text."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return "\n".join(found.detail for found in rows)
    found = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar()
    plan = found if isinstance(found, list) else json.loads(str(found))
    return "\n".join(nodes(plan[0]["Plan"]))


def nodes(plan: dict[str, Any]) -> Iterator[str]:
    names = ("Node Type", "Relation Name", "Alias", "Index Name")
    yield " ".join(str(plan[name]) for name in names if name in plan)
    for below in plan.get("Plans", []):
        yield from nodes(below)


@pytest.fixture(
    scope="module", params=[(kind, one) for kind in KINDS for one in FILLINGS], ids="-".join
)
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """The engine on a filled database, which all tests share: they take back what they do."""
    kind, filling = request.param
    if kind == "sqlite":
        path = tmp_path_factory.mktemp("plans") / f"{filling}.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        url = f"sqlite:///{path}"
    else:
        url = request.getfixturevalue("postgresql_server").new_database()
    clock = ManualClock()
    database = open_database(url, clock=clock, migrate=False)
    engine = Engine(database, clock)
    engine.queue("second")
    engine.queue("third")
    fill(engine, filling)
    yield engine
    database.close()


def held(engine: Engine, count: int) -> list[tuple[str, int, str]]:
    query = text(
        "SELECT id, attempt, worker_id FROM works WHERE state = 'running' ORDER BY id LIMIT :count"
    )
    rows = engine.see(lambda connection: connection.execute(query, {"count": count}).all())
    return [tuple(found) for found in rows]


def goes_by_key(plan: str, *, dialect: str) -> bool:
    """Whether the rows of works are reached by their primary key and in no other way."""
    if dialect == "sqlite":
        touched = [line for line in plan.splitlines() if re.search(r"\bworks\b", line)]
        return bool(touched) and all("PRIMARY KEY (id=?)" in line for line in touched)
    touched = [line for line in plan.splitlines() if "Scan" in line and "works" in line]
    return bool(touched) and all("pk_works" in line for line in touched)


def scans_works(plan: str) -> bool:
    """Whether the whole table is read."""
    return bool(re.search(r"SCAN works(?! USING INDEX)|Seq Scan works", plan))


@pytest.mark.parametrize("limit", [1, 100])
def test_a_claim_follows_its_index_and_sorts_nothing_of_the_queue(
    filled: Engine, limit: int
) -> None:
    claim = partial(works.claim, limit=limit, holder="w1", lease_s=LEASE_S)
    (plan,) = plans(filled, lambda c: claim(c, [filled.queue_id]))
    assert "ix_works_claim" in plan, plan
    assert not scans_works(plan), plan
    assert "Sort" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan


def test_a_claim_over_several_queues_follows_the_index_of_each(filled: Engine) -> None:
    queue_ids = [filled.queue_id, filled.queue("second"), filled.queue("third")]
    claim = partial(works.claim, limit=10, holder="w1", lease_s=LEASE_S)
    (plan,) = plans(filled, lambda c: claim(c, queue_ids))
    assert plan.count("ix_works_claim") == 3, plan
    assert not scans_works(plan), plan


def test_a_claim_under_a_limit_counts_live_leases_by_their_index(filled: Engine) -> None:
    claim = partial(works.claim, limit=10, holder="w1", lease_s=LEASE_S)

    def claim_under_a_limit(connection: Connection) -> None:
        queues.configure(connection, filled.queue_id, concurrency_max=100_000)
        claim(connection, [filled.queue_id])

    count, candidates, update = plans(filled, claim_under_a_limit)
    assert re.search(r"ix_works_(running|lease)", count), count
    assert "ix_works_claim" in candidates, candidates
    assert "Sort" not in candidates, candidates
    assert goes_by_key(update, dialect=filled.database.dialect), update


def test_asking_whether_there_is_work_reads_one_entry_of_the_claim_index(filled: Engine) -> None:
    (plan,) = plans(filled, lambda c: works.claimable(c, [filled.queue_id]))
    assert "ix_works_claim" in plan, plan


@pytest.mark.parametrize("bulk", [1, 100])
@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_report_goes_by_the_key(filled: Engine, bulk: int, outcome: Outcome) -> None:
    holder = held(filled, 1)[0][2]
    endings_ = [Ending(work_id, attempt, outcome) for work_id, attempt, _ in held(filled, bulk)]
    for plan in plans(filled, lambda c: works.finish(c, endings_, holder=holder)):
        assert goes_by_key(plan, dialect=filled.database.dialect), plan


@pytest.mark.parametrize("bulk", [1, 100])
def test_a_renewal_goes_by_the_key(filled: Engine, bulk: int) -> None:
    pairs = [(work_id, attempt) for work_id, attempt, _ in held(filled, bulk)]
    renew = partial(works.renew, holder="w1", lease_s=LEASE_S)
    for plan in plans(filled, lambda c: renew(c, pairs)):
        assert goes_by_key(plan, dialect=filled.database.dialect), plan


def test_expiry_looks_only_at_leases(filled: Engine) -> None:
    look, *change = plans(filled, lambda c: endings.expire(c, limit=100))
    assert "ix_works_lease" in look, look
    assert not scans_works(look), look
    for plan in change:
        assert goes_by_key(plan, dialect=filled.database.dialect), plan


def test_the_retry_pass_looks_only_at_works_to_be_retried(filled: Engine) -> None:
    (plan,) = plans(filled, lambda c: endings.retry(c, limit=100))
    assert "ix_works_retry" in plan, plan


def test_the_release_of_delayed_works_looks_only_at_those(filled: Engine) -> None:
    (plan,) = plans(filled, lambda c: janitor._release(c, 100))
    assert "ix_works_due" in plan, plan


def test_what_follows_an_end_is_found_by_index(filled: Engine) -> None:
    first, *_ = held(filled, 1)
    new = NewWork(filled.queue_id, b"{}", requires=(first[0],))

    def submit_and_finish(connection: Connection) -> None:
        works.submit(connection, [new] * 3, actor="ann")
        ending = Ending(first[0], first[1], Outcome.SUCCESS)
        assert works.finish(connection, [ending], holder=first[2]) == []

    for plan in plans(filled, submit_and_finish):
        assert goes_by_key(plan, dialect=filled.database.dialect), plan


@pytest.mark.parametrize(
    "wanted", ["", "state:queued", "state:failure queue:first", "state:running", "priority:>1"]
)
def test_a_search_walks_the_key_or_takes_few_works_from_an_index(
    filled: Engine, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In proportion to this table, as the real one is to a million works.
    monkeypatch.setattr(searching, "WINDOW", 2_000)
    monkeypatch.setattr(searching_paths, "FEW", 500)
    find = partial(searching.page, at_us=filled.clock.now_us(), before="wk_w")
    for plan in plans(filled, lambda c: find(c, ORGANISATION, filtering.parse(wanted))):
        assert not scans_works(plan), plan


def test_holding_and_letting_go_go_by_the_key(filled: Engine) -> None:
    chosen = [work_id for work_id, *_ in held(filled, 5)]

    def hold_and_release(connection: Connection) -> None:
        works.hold(connection, chosen, actor="ann", why="x")
        works.release(connection, chosen, actor="ann", why="x")

    for plan in plans(filled, hold_and_release):
        assert goes_by_key(plan, dialect=filled.database.dialect), plan
