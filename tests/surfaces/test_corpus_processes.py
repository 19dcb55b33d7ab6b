"""Processes: made, started, given to workers, stopped, tried again, deleted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.surfaces.processes_rig import UNKNOWN, Processes, ponos


async def test_a_registration_makes_the_worker_and_its_version_once(processes: Processes) -> None:
    await processes.register()
    listed = await processes.call("GET", "/workers/")
    assert [each["slug"] for each in listed["results"]] == ["reader"]
    versions = await processes.call("GET", f"/workers/{listed['results'][0]['id']}/versions/")
    assert versions["count"] == 1
    version = versions["results"][0]
    assert version["configuration"] == {
        "configuration": {"scale": 2},
        "user_configuration": {},
        "secrets": [],
    }
    assert version["worker"]["name"] == "Line reader"
    assert version["online"] == 2


async def test_a_started_process_gives_a_task_what_it_needs(processes: Processes) -> None:
    pages = processes.pages("p1", "p2", "p3")
    made = await processes.start()
    assert made["state"] == "pending"
    assert made["skip_elements_json"] is False
    assert made["activity_state"] == "ready"
    task = (await processes.claim())[0]
    payload = task["payload"]
    assert payload["elements"] == [{"id": each, "type": "page"} for each in pages]
    assert payload["worker_run_id"] == made["workers"][0]["id"]
    assert payload["process_id"] == made["id"]
    assert payload["task_id"] == made["tasks"][0]["id"]
    assert (payload["worker"], payload["version"], payload["chunk"]) == ("reader", "1", None)
    assert payload["token"].startswith("lt_")
    assert (await processes.process(made))["state"] == "running"


async def test_a_worker_run_is_told_as_both_published_workers_read_it(
    processes: Processes,
) -> None:
    processes.pages("p1")
    made = await processes.start()
    token = (await processes.claim())[0]["payload"]["token"]
    run = await processes.call(
        "GET", f"/process/workers/{made['workers'][0]['id']}/", headers=ponos(token)
    )
    assert run["summary"] == "Worker Line reader @ 1"
    told = {"id", "corpus", "mode", "activity_state", "skip_elements_json"}
    assert {name: run["process"][name] for name in told} == {
        "id": made["id"],
        "corpus": processes.corpus,
        "mode": "workers",
        "activity_state": "ready",
        "skip_elements_json": False,
    }
    assert run["worker_version"]["worker"]["slug"] == "reader"
    assert run["worker_version"]["configuration"]["configuration"] == {"scale": 2}
    assert run["model_version"] is None
    assert run["configuration"] is None


async def test_a_task_is_described_with_its_parents(processes: Processes) -> None:
    processes.pages("p1")
    await processes.register(_offer("reader"), _offer("writer"))
    made = await processes.start(
        workers=[{"worker": "reader"}, {"worker": "writer", "parents": [0]}]
    )
    first, last = made["tasks"]
    found = await processes.call("GET", f"/task/{last['id']}/")
    assert found["parents"] == [first["id"]]
    assert found["state"] == "unscheduled"
    assert (await processes.call("GET", f"/task/{first['id']}/"))["state"] == "pending"
    await processes.call("GET", f"/task/{UNKNOWN}/", expect=404)


async def test_the_elements_are_listed_in_order_by_cursor(processes: Processes) -> None:
    pages = processes.pages(*[f"p{number}" for number in range(5)])
    made = await processes.start(elements=pages[::-1])
    query: dict[str, Any] = {"page_size": 2, "with_count": True, "with_image": True}
    first = await processes.call("GET", f"/process/{made['id']}/elements/", params=query)
    assert first["count"] == 5
    seen = [each["id"] for each in first["results"]]
    page = first
    while page["next"]:
        page = (await processes.corpora.client.get(page["next"])).json()
        seen += [each["id"] for each in page["results"]]
    assert seen == pages[::-1]
    assert first["results"][0]["type"] == "page"


async def test_chunks_split_the_elements_evenly_and_keep_the_order_of_runs(
    processes: Processes,
) -> None:
    pages = processes.pages(*[f"p{number}" for number in range(7)])
    await processes.register(_offer("reader"), _offer("writer"))
    made = await processes.start(
        chunks=3, workers=[{"worker": "reader"}, {"worker": "writer", "parents": [0]}]
    )
    assert len(made["tasks"]) == 6
    claimed = await processes.claim()
    assert [each["payload"]["chunk"] for each in claimed] == [1, 2, 3]
    lists = [[one["id"] for one in each["payload"]["elements"]] for each in claimed]
    assert [len(each) for each in lists] == [2, 2, 3]
    assert [each for part in lists for each in part] == pages
    await processes.report(claimed[1])
    after = await processes.claim()
    assert [(each["payload"]["worker"], each["payload"]["chunk"]) for each in after] == [
        ("writer", 2)
    ]
    assert after[0]["payload"]["parents"][0]["id"] == claimed[1]["payload"]["task_id"]


@pytest.mark.parametrize(
    ("fields", "attr", "says"),
    [
        ({"element_type": "letter"}, ["element_type"], "no type 'letter'"),
        ({"elements": ["nonsense"]}, ["elements", 0], "no UUID"),
        ({"elements": [UNKNOWN]}, ["elements", 0], "no element of the corpus"),
        ({"workers": [{"worker": "nobody"}]}, ["workers", 0, "worker"], "Known are reader"),
        (
            {"workers": [{"worker": "reader", "version": "9"}]},
            ["workers", 0, "version"],
            "it has 1",
        ),
        ({"workers": []}, ["workers"], "at least one"),
        (
            {"workers": [{"worker": "reader", "parents": [0]}]},
            ["workers", 0, "parents"],
            "come before",
        ),
        ({"workers": [{"worker": "reader"}] * 2}, ["workers"], "twice"),
        (
            {"workers": [{"worker": "reader", "model_version": UNKNOWN}]},
            ["workers", 0, "model_version"],
            "no version of a model",
        ),
        ({"chunks": 0}, ["chunks"], "1 to"),
        ({"mode": "files"}, ["mode"], "Invalid enum"),
        ({"mode": "workers"}, ["element_type"], "which elements"),
        ({"mode": "dataset"}, ["sets"], "needs some"),
        ({"mode": "dataset", "sets": [UNKNOWN]}, ["sets", 0], "no set of a dataset"),
        ({"queue": True, "activity": False}, ["queue"], "with activity"),
        ({"corpus": UNKNOWN}, ["corpus"], "no corpus"),
    ],
)
async def test_a_process_that_cannot_be_is_refused_with_the_field(
    processes: Processes, fields: dict[str, Any], attr: list[Any], says: str
) -> None:
    answer = await processes.create(expect=400, **fields)
    assert answer["errors"][0]["attr"] == attr
    assert says in answer["detail"]
    assert (await processes.call("GET", "/process/"))["count"] == 0


async def test_a_process_over_nothing_is_not_started(processes: Processes) -> None:
    made = await processes.create()
    answer = await processes.call("POST", f"/process/{made['id']}/start/", expect=400)
    assert "No element" in answer["detail"]
    assert (await processes.process(made))["state"] == "unscheduled"
    processes.pages("p1")
    await processes.call("POST", f"/process/{made['id']}/start/")
    await processes.call("POST", f"/process/{made['id']}/start/", expect=409)


def _offer(slug: str) -> dict[str, Any]:
    return {"slug": slug, "version": "1"}
