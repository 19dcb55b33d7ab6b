"""What becomes of activities when tasks are killed, lost, stopped or tried again."""

from __future__ import annotations

from typing import Any

from longshore.engine import works
from longshore.surfaces.corpus import tasks
from tests.surfaces.processes_rig import Processes, ponos


async def test_what_a_killed_task_held_comes_back_and_its_token_ends(
    processes: Processes,
) -> None:
    done, held, left = processes.pages("p1", "p2", "p3")
    made = await processes.start()
    task = (await processes.claim())[0]
    token = task["payload"]["token"]
    await processes.say(made, done, "started", token=token)
    await processes.say(made, done, "processed", token=token)
    await processes.say(made, held, "started", token=token)
    assert not await processes.report(task, "failure", exit_code=-9)
    assert await processes.states(made) == {done: "processed", held: "queued", left: "queued"}
    await processes.say(made, left, "started", token=token, expect=401)
    await processes.call("GET", f"/process/{made['id']}/", headers=ponos(token), expect=401)
    processes.corpora.clock.advance(120)
    processes.tidy()
    again = (await processes.claim())[0]
    assert again["attempt"] == 2
    # What is done is not given out again.
    assert [each["id"] for each in again["payload"]["elements"]] == [held, left]
    assert again["payload"]["token"] != token
    await processes.say(made, held, "started", token=again["payload"]["token"])


async def test_what_a_task_held_whose_worker_is_lost_comes_back(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    token = (await processes.claim())[0]["payload"]["token"]
    await processes.say(made, page, "started", token=token)
    processes.corpora.clock.advance(600)
    processes.tidy()
    assert await processes.states(made) == {page: "queued"}
    await processes.say(made, page, "processed", token=token, expect=401)
    again = (await processes.claim())[0]
    assert again["attempt"] == 2
    await processes.say(made, page, "started", token=again["payload"]["token"])
    await processes.say(made, page, "processed", token=again["payload"]["token"])
    await processes.report(again)
    assert (await processes.process(made))["state"] == "completed"


async def test_a_worker_that_leaves_gives_back_the_elements_of_its_tasks(
    processes: Processes,
) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    token = (await processes.claim())[0]["payload"]["token"]
    await processes.say(made, page, "started", token=token)
    goodbye = {"worker_id": processes.worker_id}
    await processes.call("POST", "/longshore/v1/worker/leave", body=goodbye)
    processes.tidy()
    assert await processes.states(made) == {page: "queued"}
    await processes.say(made, page, "started", token=token, expect=401)


async def test_a_task_that_is_handed_back_gives_back_its_elements(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    task = (await processes.claim())[0]
    await processes.say(made, page, "started", token=task["payload"]["token"])
    body = {"work_id": task["work_id"], "attempt": 1, "outcome": "handed_back"}
    report = {"worker_id": processes.worker_id, "reports": [body]}
    await processes.call("POST", "/longshore/v1/worker/report", body=report)
    assert await processes.states(made) == {page: "queued"}
    again = (await processes.claim())[0]
    await processes.say(made, page, "started", token=again["payload"]["token"])


async def test_the_sweep_finds_what_an_ended_attempt_still_holds(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    task = (await processes.claim())[0]
    await processes.say(made, page, "started", token=task["payload"]["token"])
    # The attempt ends without anybody hearing of it.
    ending = works.Ending(task["work_id"], 1, works.Outcome.SUCCESS, result=b"null")
    processes.database.write_blocking(works.finish, [ending], holder=processes.worker_id)
    assert await processes.states(made) == {page: "started"}
    assert processes.database.write_blocking(tasks.sweep) == {"released": 1}
    assert await processes.states(made) == {page: "queued"}
    assert processes.database.write_blocking(tasks.sweep) == {"released": 0}


async def test_an_element_whose_program_falls_silent_comes_back_after_the_time_limit(
    processes: Processes,
) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start(activity_timeout_s=100.0)
    await processes.say(made, page, "started")
    processes.corpora.clock.advance(90)
    processes.tidy()
    assert await processes.states(made) == {page: "started"}
    processes.corpora.clock.advance(30)
    processes.tidy()
    assert await processes.states(made) == {page: "queued"}
    await processes.say(made, page, "processed", expect=400)
    assert (await processes.say(made, page, "started"))["attempt"] == 2


async def test_a_stopped_process_cancels_what_waits_and_stops_what_runs(
    processes: Processes,
) -> None:
    done, held, left = processes.pages("p1", "p2", "p3")
    made = await processes.start()
    task = (await processes.claim())[0]
    token = task["payload"]["token"]
    await processes.say(made, done, "started", token=token)
    await processes.say(made, done, "processed", token=token)
    await processes.say(made, held, "started", token=token)
    stopped = await processes.call("POST", f"/process/{made['id']}/stop/")
    assert stopped["state"] == "stopping"
    assert await processes.states(made) == {done: "processed", held: "started", left: "cancelled"}
    await processes.say(made, left, "started", token=token, expect=409)
    renewal = {"worker_id": processes.worker_id, "leases": [[task["work_id"], 1]]}
    told = await processes.call("POST", "/longshore/v1/worker/renew", body=renewal)
    assert told["lost"][0]["cancelled"] is True
    await processes.report(task, "cancelled")
    assert await processes.states(made) == {
        done: "processed",
        held: "cancelled",
        left: "cancelled",
    }
    assert (await processes.process(made))["state"] == "stopped"
    await processes.say(made, held, "processed", token=token, expect=401)


async def test_a_late_report_of_a_stopped_task_changes_nothing(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    task = (await processes.claim())[0]
    token = task["payload"]["token"]
    await processes.say(made, page, "started", token=token)
    await processes.call("POST", f"/process/{made['id']}/stop/")
    # The program was just done with it: nothing more is wanted of it, and it may go on.
    said = await processes.say(made, page, "processed", token=token)
    assert said["state"] == "cancelled"
    lost = await processes.report(task)
    assert lost[0]["cancelled"] is True
    processes.tidy()
    after = await processes.process(made)
    assert after["state"] == "stopped"
    assert after["progress"]["cancelled"] == 1


async def test_a_stopped_process_is_tried_again_with_what_is_left(processes: Processes) -> None:
    done, left = processes.pages("p1", "p2")
    made = await processes.start()
    task = (await processes.claim())[0]
    await processes.say(made, done, "started", token=task["payload"]["token"])
    await processes.say(made, done, "processed", token=task["payload"]["token"])
    await processes.call("POST", f"/process/{made['id']}/stop/")
    await processes.call("POST", f"/process/{made['id']}/retry/", expect=409)
    await processes.report(task, "cancelled")
    again = await processes.call("POST", f"/process/{made['id']}/retry/")
    assert again["state"] == "pending"
    assert await processes.states(made) == {done: "processed", left: "queued"}
    second = (await processes.claim())[0]
    assert [each["id"] for each in second["payload"]["elements"]] == [left]
    await _finish(processes, made, second, [left])
    assert (await processes.process(made))["state"] == "completed"
    await processes.call("POST", f"/process/{made['id']}/retry/", expect=409)


async def test_only_the_tasks_of_failed_elements_run_again_with_those_after_them(
    processes: Processes,
) -> None:
    pages = processes.pages("p1", "p2", "p3", "p4")
    offers = [{"slug": slug, "version": "1"} for slug in ("reader", "writer")]
    await processes.register(*offers)
    made = await processes.start(
        chunks=2, workers=[{"worker": "reader"}, {"worker": "writer", "parents": [0]}]
    )
    first, second = await processes.claim()
    await _finish(processes, made, first, pages[:2])
    await processes.report(second, "rejected")
    writer = (await processes.claim())[0]
    await _finish(processes, made, writer, pages[:2], run=1)
    assert (await processes.process(made))["state"] == "failed"
    states = {each["slug"]: each["state"] for each in (await processes.process(made))["tasks"]}
    assert states == {
        "reader_1": "completed",
        "reader_2": "failed",
        "writer_1": "completed",
        "writer_2": "cancelled",
    }
    await processes.call("POST", f"/process/{made['id']}/retry/")
    third = await processes.claim()
    assert [each["payload"]["chunk"] for each in third] == [2]
    await _finish(processes, made, third[0], pages[2:])
    fourth = await processes.claim()
    assert [each["payload"]["worker"] for each in fourth] == ["writer"]
    await _finish(processes, made, fourth[0], pages[2:], run=1)
    after = await processes.process(made)
    assert after["state"] == "completed"
    assert after["progress"]["processed"] == 8


async def test_a_process_that_is_over_can_be_deleted(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    address = f"/process/{made['id']}/"
    await processes.call("DELETE", address, expect=409)
    task = (await processes.claim())[0]
    await _finish(processes, made, task, [page])
    await processes.call("DELETE", address, expect=204)
    await processes.call("GET", address, expect=404)
    await processes.call("GET", f"/task/{task['payload']['task_id']}/", expect=404)
    # The element may be processed once more.
    anew = await processes.start()
    assert await processes.states(anew) == {page: "queued"}


async def test_an_element_that_was_deleted_is_passed_over(processes: Processes) -> None:
    gone, left = processes.pages("p1", "p2")
    made = await processes.start(queue=True)
    await processes.call("DELETE", f"/element/{gone}/", expect=204)
    token = (await processes.claim())[0]["payload"]["token"]
    found = await processes.call("POST", "/process/start-activity/", headers=ponos(token))
    assert found["id"] == left
    listed = await processes.call(
        "GET", f"/process/{made['id']}/elements/", params={"with_count": True}
    )
    assert listed["count"] == 1
    await processes.say(made, gone, "started", token=token, expect=409)


async def _finish(
    processes: Processes, made: Any, task: dict[str, Any], pages: list[str], *, run: int = 0
) -> None:
    token = task["payload"]["token"]
    for page in pages:
        await processes.say(made, page, "started", token=token, run=run)
        await processes.say(made, page, "processed", token=token, run=run)
    assert not await processes.report(task)
