"""Tasks that ask for the next element and find none: their programs end with status 1."""

from __future__ import annotations

from typing import Any

from tests.surfaces.processes_rig import Processes, ponos


async def _take(processes: Processes, task: Any) -> str:
    headers = ponos(task["payload"]["token"])
    found = await processes.call("POST", "/process/start-activity/", headers=headers)
    return str(found["id"])


async def _end(processes: Processes, task: Any, status: int) -> None:
    assert await processes.report(task, "rejected", exit_code=status) == []


async def _tasks(processes: Processes, made: Any) -> list[str]:
    return [task["state"] for task in (await processes.process(made))["tasks"]]


async def test_a_task_that_finds_the_queue_empty_has_not_failed(processes: Processes) -> None:
    processes.pages("p1", "p2")
    made = await processes.start(queue=True, chunks=2)
    first, second = await processes.claim()
    for _ in range(2):
        element = await _take(processes, first)
        await processes.say(made, element, "processed", token=first["payload"]["token"])
    await _end(processes, second, 1)
    assert sorted(await _tasks(processes, made)) == ["completed", "running"]
    await processes.report(first)
    assert (await processes.process(made))["state"] == "completed"


async def test_a_task_that_leaves_elements_in_the_queue_has_failed(processes: Processes) -> None:
    processes.pages("p1", "p2")
    made = await processes.start(queue=True)
    (task,) = await processes.claim()
    await _end(processes, task, 1)
    assert (await processes.process(made))["state"] == "failed"


async def test_a_task_that_asked_while_others_held_all_is_tried_again(
    processes: Processes,
) -> None:
    processes.pages("p1", "p2")
    made = await processes.start(queue=True, chunks=2)
    first, second = await processes.claim()
    elements = [await _take(processes, first) for _ in range(2)]
    token = first["payload"]["token"]
    await processes.say(made, elements[0], "processed", token=token)
    # The second finds nothing now; then the first is lost, and what it held comes back.
    await processes.say(made, elements[1], "queued", token=token)
    await _end(processes, second, 1)
    assert "failed" not in await _tasks(processes, made)
    assert (await processes.process(made))["state"] == "running"


async def test_a_task_whose_only_element_failed_has_failed(processes: Processes) -> None:
    processes.pages("p1")
    made = await processes.start(queue=True)
    (task,) = await processes.claim()
    element = await _take(processes, task)
    await processes.say(made, element, "error", token=task["payload"]["token"])
    await _end(processes, task, 1)
    assert (await processes.process(made))["state"] == "failed"


async def test_another_status_or_a_list_of_elements_leaves_no_doubt(processes: Processes) -> None:
    processes.pages("p1", "p2")
    queued = await processes.start(queue=True, chunks=2)
    first, second = await processes.claim()
    for _ in range(2):
        await _take(processes, first)
    await _end(processes, second, 2)
    assert "failed" in await _tasks(processes, queued)
    listed = await processes.start(activity=False)
    (task,) = await processes.claim()
    await _end(processes, task, 1)
    assert (await processes.process(listed))["state"] == "failed"
