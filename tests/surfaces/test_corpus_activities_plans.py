"""How the hot statements of activities reach their rows: never by walking a whole process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

from longshore.access import Principal, Role
from longshore.surfaces.corpus import activities, activity_batches, holders, tasks
from longshore.surfaces.corpus.activities import Update, Word
from longshore.surfaces.corpus.activity_batches import Claim, Report, Reports
from longshore.surfaces.corpus.remaining import Remaining
from tests.storage.test_plans import caught, explain
from tests.surfaces.processes_rig import Processes

ELEMENTS = 3_000
DONE = 2_000


async def _filled(processes: Processes) -> tuple[Any, Principal]:
    """Start a process most of whose elements are processed; return it, and who calls."""
    processes.pages(*[f"p{number}" for number in range(ELEMENTS)])
    made = await processes.start(queue=True)
    run = made["workers"][0]["id"]
    for _ in range(DONE // 500):
        given = await processes.native("claim", {"worker_run_id": run, "limit": 500})
        reports = [
            {"element_id": each["element"]["id"], "attempt": 1, "state": "processed"}
            for each in given["activities"]
        ]
        await processes.native("report", {"worker_run_id": run, "reports": reports})
    await processes.database.write(lambda connection: connection.execute(text("ANALYZE")) and None)
    served = processes.corpora.served
    principal = Principal(
        "ky_test",
        "test",
        served.organisation.id,
        served.organisation.name,
        None,
        None,
        Role.ADMIN,
    )
    return made, principal


def _plans(processes: Processes, table: str, service: Callable[[Connection], Any]) -> list[str]:
    def trial(connection: Connection) -> list[str]:
        with caught(connection, table) as statements:
            savepoint = connection.begin_nested()
            service(connection)
            savepoint.rollback()
        return [explain(connection, *statement) for statement in statements]

    found = processes.database.write_blocking(trial)
    assert found, "it has sent a statement"
    return found


def _walks(plan: str, table: str) -> bool:
    # An index of what runs holds what programs are at, however long the process is.
    lines = [line for line in plan.splitlines() if "ix_works_running" not in line]
    return any(f"SCAN {table}" in line or f"Seq Scan {table}" in line for line in lines)


async def test_a_word_finds_its_activity_by_the_element(processes: Processes) -> None:
    made, principal = await _filled(processes)
    page = next(iter((await processes.states(made, state="queued")).items()))[0]
    said = Update(element_id=page, state=Word.STARTED)
    run = made["workers"][0]["id"]
    plans = _plans(
        processes,
        "corpus_activities",
        lambda connection: activities.change(connection, principal, run, said),
    )
    for plan in plans:
        assert not _walks(plan, "corpus_activities"), plan
        assert not _walks(plan, "works"), plan


async def test_a_claim_and_a_report_touch_what_they_name_only(processes: Processes) -> None:
    made, principal = await _filled(processes)
    run = made["workers"][0]["id"]

    def work(connection: Connection) -> None:
        asked = Claim(worker_run_id=run, limit=50)
        remaining = Remaining(processes.database)
        given = activity_batches.claim(connection, principal, asked, "http://test", remaining)
        reports = [
            Report(each["element"]["id"], each["attempt"], Word.PROCESSED)
            for each in given["activities"]
        ]
        assert len(reports) == 50
        activity_batches.report(connection, principal, Reports(run, reports))

    for table in ("corpus_activities", "corpus_elements", "works"):
        for plan in _plans(processes, table, work):
            assert not _walks(plan, table), plan


async def test_what_an_attempt_held_is_found_among_what_runs(processes: Processes) -> None:
    made, _ = await _filled(processes)
    run = made["workers"][0]["id"]
    await processes.native("claim", {"worker_run_id": run, "limit": 20})
    gone = holders.of_attempt("nobody", 1)
    for plan in _plans(processes, "works", lambda connection: holders.release(connection, [gone])):
        assert not _walks(plan, "works"), plan
    for plan in _plans(processes, "works", tasks.sweep):
        assert not _walks(plan, "works"), plan
