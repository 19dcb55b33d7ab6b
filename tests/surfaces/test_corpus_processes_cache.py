"""Processes with a cache: the server writes the elements into a database for the first tasks."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from longshore.edge.jobs import JobContext
from longshore.engine import works
from longshore.surfaces.corpus.process_jobs import HANDLERS
from tests.surfaces.corpus_tasks_rig import claim_jobs
from tests.surfaces.processes_rig import Processes

_REASON = b'{"type": "Reject", "message": "It is too large.", "traceback": ""}'


async def _run_job(processes: Processes, *, outcome: works.Outcome, reported: bool = True) -> None:
    """Run the one job that waits, or let it end in another way."""
    (lease,) = claim_jobs(processes.corpora)
    context = processes.corpora.served.context
    job = JobContext(
        processes.database,
        context.blobs,
        processes.corpora.clock,
        context.outbound,
        processes.corpora.served.organisation.id,
        lease.id,
        lease.attempt,
    )
    if outcome is works.Outcome.SUCCESS:
        payload = json.loads(lease.payload)
        counts = await HANDLERS[payload["job"]](job, payload)
        assert counts["elements"] == 3
    if not reported:
        return
    error = None if outcome is works.Outcome.SUCCESS else _REASON
    ending = works.Ending(lease.id, lease.attempt, outcome, error=error)
    assert not await processes.database.write(works.finish, [ending], holder="server")


async def _initial(processes: Processes, payload: Any, name: str, folder: Path) -> list[str]:
    (parent,) = payload["parents"]
    assert parent["slug"] == "init_elements"
    assert name in [file["path"] for file in parent["files"]]
    answer = await processes.corpora.client.get(f"/api/v1/task/{parent['id']}/artifact/{name}")
    path = folder / name
    path.write_bytes(answer.content)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT version FROM version").fetchall() == [(3,)]
        rows = database.execute("SELECT id FROM elements WHERE initial ORDER BY id").fetchall()
    return [row[0] for row in rows]


async def test_the_first_tasks_are_given_their_elements_in_a_cache(
    processes: Processes, tmp_path: Path
) -> None:
    pages = [each.replace("-", "") for each in processes.pages("p1", "p2", "p3")]
    made = await processes.start(use_cache=True, chunks=2)
    assert [each["slug"] for each in made["tasks"]] == ["init_elements", "reader_1", "reader_2"]
    assert await processes.claim() == []
    await _run_job(processes, outcome=works.Outcome.SUCCESS)
    first, second = [each["payload"] for each in await processes.claim()]
    assert await _initial(processes, first, "db_1.sqlite", tmp_path) == pages[:1]
    assert await _initial(processes, second, "db_2.sqlite", tmp_path) == pages[1:]


async def test_a_cache_that_could_not_be_written_is_tried_again(
    processes: Processes, tmp_path: Path
) -> None:
    pages = [each.replace("-", "") for each in processes.pages("p1", "p2", "p3")]
    made = await processes.start(use_cache=True)
    await _run_job(processes, outcome=works.Outcome.REJECTED)
    assert (await processes.process(made))["state"] == "failed"
    await processes.call("POST", f"/process/{made['id']}/retry/")
    assert await processes.claim() == []
    await _run_job(processes, outcome=works.Outcome.SUCCESS)
    payload = (await processes.claim())[0]["payload"]
    assert await _initial(processes, payload, "db.sqlite", tmp_path) == pages


async def test_a_cache_is_written_anew_after_a_server_that_was_lost(
    processes: Processes, tmp_path: Path
) -> None:
    pages = [each.replace("-", "") for each in processes.pages("p1", "p2", "p3")]
    made = await processes.start(use_cache=True)
    # The first attempt has left its file, and its server dies before it says so.
    await _run_job(processes, outcome=works.Outcome.SUCCESS, reported=False)
    processes.corpora.clock.advance(seconds=7200)
    processes.tidy()
    processes.corpora.clock.advance(seconds=7200)
    processes.tidy()
    assert await processes.claim() == []
    await _run_job(processes, outcome=works.Outcome.SUCCESS)
    payload = (await processes.claim())[0]["payload"]
    assert await _initial(processes, payload, "db.sqlite", tmp_path) == pages
    task = (await processes.process(made))["tasks"][0]
    assert (task["state"], task["attempt"], task["error"]) == ("completed", 2, None)


async def test_a_cache_does_not_go_with_a_queue(processes: Processes) -> None:
    answer = await processes.create(expect=400, use_cache=True, queue=True)
    assert answer["errors"][0]["attr"] == ["use_cache"]


async def test_a_cache_has_the_elements_and_nothing_that_was_found_on_them(
    processes: Processes, tmp_path: Path
) -> None:
    pages = processes.pages("p1", "p2", "p3")
    processes.corpora.elements(processes.corpus, ["below"], parent=pages[0], kind="folder")
    text = {"text": "found before", "confidence": 1.0}
    await processes.call("POST", f"/element/{pages[0]}/transcription/", body=text, expect=201)
    await processes.start(use_cache=True)
    await _run_job(processes, outcome=works.Outcome.SUCCESS)
    payload = (await processes.claim())[0]["payload"]
    initial = await _initial(processes, payload, "db.sqlite", tmp_path)
    assert initial == [each.replace("-", "") for each in pages]
    with closing(sqlite3.connect(tmp_path / "db.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM elements").fetchone() == (3,)
        assert database.execute("SELECT count(*) FROM transcriptions").fetchone() == (0,)


async def test_stopping_a_process_cancels_its_cache(processes: Processes) -> None:
    processes.pages("p1")
    made = await processes.start(use_cache=True)
    await processes.call("POST", f"/process/{made['id']}/stop/")
    stopped = await processes.process(made)
    assert stopped["state"] == "stopped"
    assert [each["state"] for each in stopped["tasks"]] == ["cancelled", "cancelled"]
    assert claim_jobs(processes.corpora) == []


async def test_a_process_whose_cache_failed_is_deleted_with_it(processes: Processes) -> None:
    processes.pages("p1", "p2", "p3")
    made = await processes.start(use_cache=True)
    await _run_job(processes, outcome=works.Outcome.REJECTED)
    failed = await processes.process(made)
    assert [each["state"] for each in failed["tasks"]] == ["failed", "cancelled"]
    assert failed["tasks"][0]["error"]["message"] == "It is too large."
    shown = await processes.call("GET", f"/task/{failed['tasks'][0]['id']}/")
    assert shown["error"] == failed["tasks"][0]["error"]
    assert failed["progress"]["total"] == 3
    await processes.call("DELETE", f"/process/{made['id']}/", expect=204)
    await processes.call("GET", f"/task/{failed['tasks'][0]['id']}/", expect=404)
