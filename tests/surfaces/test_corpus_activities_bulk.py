"""The bulk form of activities: claimed, renewed and reported many at a time, each once."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import select

from longshore.limits import ACTIVITIES_PER_CALL, ACTIVITY_ATTEMPTS, ACTIVITY_LEASE_S
from longshore.surfaces.corpus.remaining import COUNTED, Remaining
from longshore.surfaces.corpus.tables import corpus_worker_runs
from tests.surfaces.processes_rig import UNKNOWN, Processes


def _report(answer: Any, state: str = "processed") -> list[dict[str, Any]]:
    return [
        {"element_id": each["element"]["id"], "attempt": each["attempt"], "state": state}
        for each in answer["activities"]
    ]


async def test_elements_are_claimed_and_reported_by_the_hundred(processes: Processes) -> None:
    pages = processes.pages(*[f"p{number}" for number in range(7)])
    made = await processes.start(queue=True)
    run = made["workers"][0]["id"]
    token = (await processes.claim())[0]["payload"]["token"]
    first = await processes.native("claim", {"worker_run_id": run, "limit": 5}, token=token)
    assert [each["element"]["id"] for each in first["activities"]] == pages[:5]
    assert first["activities"][0]["element"]["type"] == "page"
    assert (first["lease_s"], first["queued"], first["started"]) == (ACTIVITY_LEASE_S, 2, 5)
    body = {"worker_run_id": run, "reports": _report(first)}
    assert await processes.native("report", body, token=token) == {"lost": []}
    # Sent again, since the answer was lost.
    assert await processes.native("report", body, token=token) == {"lost": []}
    assert (await processes.process(made))["progress"]["processed"] == 5


async def test_what_a_silent_program_held_comes_back_after_a_minute(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start(queue=True)
    run = made["workers"][0]["id"]
    claim = {"worker_run_id": run, "limit": 5}
    held = await processes.native("claim", claim)
    clock = processes.corpora.clock
    clock.advance(ACTIVITY_LEASE_S - 1)
    renewal = {"worker_run_id": run, "held": [[page, 1]]}
    assert (await processes.native("renew", renewal))["lost"] == []
    clock.advance(ACTIVITY_LEASE_S - 1)
    processes.tidy()
    assert (await processes.native("claim", claim))["activities"] == []
    clock.advance(2)
    processes.tidy()
    again = await processes.native("claim", claim)
    assert [each["attempt"] for each in again["activities"]] == [2]
    lost = (await processes.native("renew", renewal))["lost"]
    assert lost[0][:2] == [page, 1]
    assert "attempt 2 has begun" in lost[0][2]
    late = await processes.native("report", {"worker_run_id": run, "reports": _report(held)})
    assert late["lost"][0][:2] == [page, 1]
    assert await processes.states(made) == {page: "started"}
    done = await processes.native("report", {"worker_run_id": run, "reports": _report(again)})
    assert done["lost"] == []


async def test_an_element_that_kills_each_program_ends_in_an_error(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start(queue=True)
    claim = {"worker_run_id": made["workers"][0]["id"], "limit": 1}
    for attempt in range(1, ACTIVITY_ATTEMPTS + 1):
        answer = await processes.native("claim", claim)
        assert [each["attempt"] for each in answer["activities"]] == [attempt]
        processes.corpora.clock.advance(ACTIVITY_LEASE_S + 1)
        processes.tidy()
    assert await processes.states(made) == {page: "error"}
    listed = await processes.call("GET", f"/process/{made['id']}/activities/")
    assert "without a renewal" in listed["results"][0]["error"]["message"]


async def test_a_stopped_process_tells_those_that_hold_its_elements(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start(queue=True)
    run = made["workers"][0]["id"]
    await processes.native("claim", {"worker_run_id": run, "limit": 1})
    await processes.call("POST", f"/process/{made['id']}/stop/")
    renewal = {"worker_run_id": run, "held": [[page, 1]]}
    told = await processes.native("renew", renewal)
    assert told["lost"] == [[page, 1, "cancel_requested"]]
    handed = {"worker_run_id": run, "reports": [
        {"element_id": page, "attempt": 1, "state": "queued"}
    ]}  # fmt: skip
    await processes.native("report", handed)
    assert await processes.states(made) == {page: "cancelled"}
    assert (await processes.native("claim", {"worker_run_id": run}))["activities"] == []


async def test_many_claims_at_once_give_each_element_once(processes: Processes) -> None:
    pages = processes.pages(*[f"p{number}" for number in range(100)])
    made = await processes.start(queue=True)
    claim = {"worker_run_id": made["workers"][0]["id"], "limit": 15}
    answers = await asyncio.gather(*[processes.native("claim", claim) for _ in range(10)])
    seen = [each["element"]["id"] for answer in answers for each in answer["activities"]]
    assert sorted(seen) == sorted(pages)


async def test_a_claim_waits_for_an_element_that_is_handed_back(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start(queue=True)
    run = made["workers"][0]["id"]
    held = await processes.native("claim", {"worker_run_id": run})
    wait = asyncio.create_task(processes.native("claim", {"worker_run_id": run, "wait_s": 20.0}))
    queue_id = await _queue(processes, run)
    wakeups = processes.corpora.served.context.wakeups
    while not wakeups.crowded([queue_id], 0):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)
    report = {"worker_run_id": run, "reports": _report(held, "queued")}
    await processes.native("report", report)
    found = await asyncio.wait_for(wait, 10)
    assert [each["element"]["id"] for each in found["activities"]] == [page]
    empty = await processes.native("claim", {"worker_run_id": run, "wait_s": 0.01})
    assert empty["activities"] == []


async def test_what_cannot_be_claimed_or_reported_is_refused(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    run = made["workers"][0]["id"]
    await processes.native("claim", {"worker_run_id": run, "limit": 0}, expect=400)
    too_many = {"worker_run_id": run, "limit": ACTIVITIES_PER_CALL + 1}
    await processes.native("claim", too_many, expect=413)
    assert (await processes.native("renew", {"worker_run_id": run, "held": []}))["lost"] == []
    assert await processes.native("report", {"worker_run_id": run, "reports": []}) == {"lost": []}
    await processes.native("claim", {"worker_run_id": UNKNOWN, "limit": 1}, expect=404)
    odd = {"worker_run_id": run, "elements": ["nonsense"]}
    refused = await processes.native("claim", odd, expect=400)
    assert "no UUID" in refused["detail"]
    begun = {"element_id": page, "attempt": 1, "state": "started"}
    await processes.native("report", {"worker_run_id": run, "reports": [begun]}, expect=400)
    unheld = {"worker_run_id": run, "reports": [{**begun, "state": "processed"}]}
    assert (await processes.native("report", unheld))["lost"][0][0] == page
    assert await processes.states(made) == {page: "queued"}
    strange = {"worker_run_id": run, "reports": [
        {"element_id": UNKNOWN, "attempt": 1, "state": "processed"}
    ]}  # fmt: skip
    assert "no activity" in (await processes.native("report", strange))["lost"][0][2]
    without = await processes.start(activity=False)
    refused = await processes.native(
        "claim", {"worker_run_id": without["workers"][0]["id"]}, expect=400
    )
    assert "no activities" in refused["detail"]


async def test_what_is_left_of_a_long_queue_is_told_without_counting_it_each_time(
    processes: Processes,
) -> None:
    processes.pages(*[f"p{number}" for number in range(COUNTED + 100)])
    made = await processes.start(queue=True)
    run = made["workers"][0]["id"]
    left = COUNTED + 100
    for _ in range(3):
        answer = await processes.native("claim", {"worker_run_id": run, "limit": 60})
        left -= 60
        assert answer["queued"] == left
    remaining = processes.corpora.served.context.shared(Remaining)
    assert remaining._known


async def _queue(processes: Processes, run: str) -> int:
    query = select(corpus_worker_runs.c.queue_id).where(corpus_worker_runs.c.id == run)
    return int(await processes.database.read(lambda connection: connection.scalar(query)) or 0)
