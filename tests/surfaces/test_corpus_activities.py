"""Activities: what workers say of elements, one word at a time; each element once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from longshore.access import Role
from longshore.engine.tables import events
from longshore.storage import Database
from tests.surfaces.processes_rig import UNKNOWN, Processes, ponos
from tests.unit.serving import bearer


async def test_an_element_is_started_once_and_processed(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    said = await processes.say(made, page, "started")
    assert said == {
        "element_id": page,
        "process_id": made["id"],
        "state": "started",
        "attempt": 1,
    }
    assert await processes.states(made) == {page: "started"}
    await processes.say(made, page, "started", expect=409)
    assert (await processes.say(made, page, "processed"))["state"] == "processed"
    assert await processes.states(made) == {page: "processed"}
    await processes.say(made, page, "started", expect=409)


async def test_a_word_that_was_taken_may_be_said_again(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    await processes.say(made, page, "started")
    await processes.say(made, page, "processed")
    await processes.say(made, page, "processed")
    # What follows a lost answer in the published worker: it is refused, and harmless.
    await processes.say(made, page, "error", expect=400)
    assert await processes.states(made) == {page: "processed"}


async def test_an_error_is_kept_and_the_element_can_be_started_again(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    await processes.say(made, page, "started")
    await processes.say(made, page, "error")
    await processes.say(made, page, "error")
    assert await processes.states(made) == {page: "error"}
    processes.corpora.clock.advance(3_600)
    processes.tidy()
    assert await processes.states(made) == {page: "error"}
    assert (await processes.say(made, page, "started"))["attempt"] == 2
    await processes.say(made, page, "processed")


async def test_an_element_can_be_handed_back(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    await processes.say(made, page, "started")
    await processes.say(made, page, "queued")
    await processes.say(made, page, "queued")
    assert await processes.states(made) == {page: "queued"}
    await processes.say(made, page, "started")


async def test_only_started_is_ever_refused_with_409(processes: Processes) -> None:
    page, other = processes.pages("p1", "p2")
    made = await processes.start(elements=[page])
    await processes.say(made, other, "started", expect=409)
    await processes.say(made, UNKNOWN, "started", expect=409)
    for state in ("processed", "error"):
        await processes.say(made, page, state, expect=400)
        await processes.say(made, other, state, expect=400)
    assert await processes.states(made) == {page: "queued"}


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({"element_id": "nonsense", "state": "started"}, ["element_id"]),
        ({"state": "started"}, ["element_id"]),
        ({"element_id": UNKNOWN, "state": "done"}, ["state"]),
        ({"element_id": UNKNOWN, "state": "started", "process_id": UNKNOWN}, ["process_id"]),
    ],
)
async def test_a_word_that_cannot_be_is_400(
    processes: Processes, body: dict[str, Any], attr: list[str]
) -> None:
    processes.pages("p1")
    made = await processes.start()
    path = f"/workers/versions/{made['workers'][0]['id']}/activity/"
    answer = await processes.call("PUT", path, body=body, expect=400)
    assert answer["errors"][0]["attr"] == attr


async def test_another_cannot_say_what_became_of_a_held_element(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    token = (await processes.claim())[0]["payload"]["token"]
    await processes.say(made, page, "started", token=token)
    answer = await processes.say(made, page, "processed", expect=400)
    assert "held by a task" in answer["detail"]
    await processes.say(made, page, "started", expect=409)
    await processes.say(made, page, "processed", token=token)


async def test_roles_and_organisations_are_kept_apart(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    run = made["workers"][0]["id"]
    served = processes.corpora.served
    viewer = bearer(served.token(Role.VIEWER))
    body = {"element_id": page, "state": "started"}
    path = f"/workers/versions/{run}/activity/"
    await processes.call("PUT", path, body=body, headers=viewer, expect=403)
    await processes.call("POST", f"/process/{made['id']}/stop/", headers=viewer, expect=403)
    _, stranger = served.other_organisation()
    theirs = bearer(stranger)
    await processes.call("PUT", path, body=body, headers=theirs, expect=404)
    for address in (
        f"/process/{made['id']}/",
        f"/process/workers/{run}/",
        f"/workers/runs/{run}/configuration/",
        f"/task/{made['tasks'][0]['id']}/",
        f"/process/{made['id']}/activities/",
        f"/process/{made['id']}/elements/",
        f"/process/{made['id']}/sets/",
        f"/workers/versions/{made['workers'][0]['worker_version']['id']}/",
    ):
        foreign = await processes.call("GET", address, headers=theirs, expect=404)
        assert "There is no" in foreign["detail"]
    claim = {"worker_run_id": run, "limit": 1}
    await processes.native("claim", claim, token=stranger, expect=404)


async def test_a_token_of_a_task_speaks_for_its_own_worker_run_only(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    first = await processes.start()
    token = (await processes.claim())[0]["payload"]["token"]
    second = await processes.start(
        workers=[{"worker": "reader", "configuration": {"scale": 3}}], elements=[page]
    )
    await processes.say(second, page, "started", token=token, expect=403)
    await processes.say(first, page, "started", token=token)


async def test_of_two_workers_exactly_one_starts_an_element(processes: Processes) -> None:
    pages = processes.pages(*[f"p{number}" for number in range(20)])
    made = await processes.start(chunks=2)
    tokens = [each["payload"]["token"] for each in await processes.claim()]
    path = f"/api/v1/workers/versions/{made['workers'][0]['id']}/activity/"

    async def start(page: str, token: str) -> int:
        body = {"element_id": page, "process_id": made["id"], "state": "started"}
        client = processes.corpora.client
        return (await client.put(path, json=body, headers=ponos(token))).status_code

    for page in pages:
        answers = await asyncio.gather(*[start(page, token) for token in tokens * 2])
        assert sorted(answers) == [200, 409, 409, 409]


async def test_a_key_that_two_programs_share_starts_an_element_once(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    path = f"/api/v1/workers/versions/{made['workers'][0]['id']}/activity/"
    body = {"element_id": page, "process_id": made["id"], "state": "started"}
    client = processes.corpora.client
    answers = await asyncio.gather(*[client.put(path, json=body) for _ in range(5)])
    assert sorted(each.status_code for each in answers) == [200, 409, 409, 409, 409]


async def test_the_next_element_of_the_queue_is_started_until_none_is_left(
    processes: Processes,
) -> None:
    pages = processes.pages("p1", "p2", "p3")
    made = await processes.start(queue=True)
    assert made["skip_elements_json"] is True
    payload = (await processes.claim())[0]["payload"]
    assert payload["elements"] is None
    assert payload["queued"] is True
    token = payload["token"]
    seen = []
    for _ in pages:
        found = await processes.call("POST", "/process/start-activity/", headers=ponos(token))
        assert found["type"] == "page"
        seen.append(found["id"])
        await processes.say(made, found["id"], "processed", token=token)
    assert seen == pages
    await processes.call("POST", "/process/start-activity/", headers=ponos(token), expect=404)
    await processes.call("POST", "/process/start-activity/", expect=400)
    assert set((await processes.states(made)).values()) == {"processed"}


async def test_many_programs_that_ask_for_the_next_element_get_each_once(
    processes: Processes,
) -> None:
    pages = processes.pages(*[f"p{number}" for number in range(30)])
    await processes.start(queue=True, chunks=3)
    tokens = [each["payload"]["token"] for each in await processes.claim()]
    assert len(tokens) == 3
    seen: list[str] = []

    async def work(token: str) -> None:
        client = processes.corpora.client
        while True:
            answer = await client.post("/api/v1/process/start-activity/", headers=ponos(token))
            if answer.status_code == 404:
                return
            assert answer.status_code == 200, answer.text
            seen.append(answer.json()["id"])

    await asyncio.gather(*[work(token) for token in tokens * 2])
    assert sorted(seen) == sorted(pages)


async def test_a_second_process_finds_what_is_processed_and_takes_the_rest(
    processes: Processes,
) -> None:
    done, failed, left = processes.pages("p1", "p2", "p3")
    first = await processes.start()
    for page, state in ((done, "processed"), (failed, "error")):
        await processes.say(first, page, "started")
        await processes.say(first, page, state)
    second = await processes.start()
    assert second["progress"]["total"] == 3
    assert await processes.states(second) == {done: "processed", failed: "queued", left: "queued"}
    await processes.say(second, done, "started", expect=409)
    for page in (failed, left):
        await processes.say(second, page, "started")
        await processes.say(second, page, "processed")
    assert (await processes.process(second))["progress"]["processed"] == 3
    # Another configuration is another piece of work.
    third = await processes.start(workers=[{"worker": "reader", "configuration": {"scale": 9}}])
    assert set((await processes.states(third)).values()) == {"queued"}


async def test_without_activities_nothing_is_claimed(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start(activity=False)
    assert made["activity_state"] == "disabled"
    assert (await processes.claim())[0]["payload"]["elements"] == [{"id": page, "type": "page"}]
    await processes.say(made, page, "started", expect=409)
    assert await processes.states(made) == {}


async def test_each_change_is_in_the_history_and_said_in_words(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start()
    run = made["workers"][0]["id"]
    query = {"worker_run_id": run, "element_id": page}
    address = "/longshore/v1/corpus/activities/"
    waits = await processes.call("GET", address, params=query)
    assert waits["state"] == "queued"
    assert "it waits for a task to take it" in waits["why"]
    await processes.say(made, page, "started")
    held = await processes.call("GET", address, params=query)
    assert held["state"] == "started"
    assert "is held by key:" in held["why"]
    report = {
        "worker_run_id": run,
        "reports": [
            {
                "element_id": page,
                "attempt": 1,
                "state": "error",
                "error": {"type": "ValueError", "message": "a blank page", "traceback": "at 1"},
            }
        ],
    }
    assert (await processes.native("report", report))["lost"] == []
    over = await processes.call("GET", address, params=query)
    assert "ValueError: a blank page" in over["why"]
    assert [each["state"] for each in over["events"]] == ["queued", "started", "error"]
    assert await _events(processes.database, over["work_id"]) == 3
    listed = await processes.call("GET", f"/process/{made['id']}/activities/")
    assert listed["results"][0]["error"]["message"] == "a blank page"
    only = {"state": "error", "with_count": True}
    counted = await processes.call("GET", f"/process/{made['id']}/activities/", params=only)
    assert counted["count"] == 1


async def _events(database: Database, work_id: str) -> int:
    query = select(func.count()).select_from(events).where(events.c.work_id == work_id)
    found = await database.read(lambda connection: connection.scalar(query))
    return found or 0
