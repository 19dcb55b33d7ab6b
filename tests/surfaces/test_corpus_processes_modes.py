"""Processes of other modes, configurations of runs, models, and what tasks leave behind."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from longshore import ids
from longshore.engine import artifacts as blobs
from longshore.storage.bulk import insert_rows
from longshore.surfaces.corpus.tables import corpus_model_versions, corpus_models
from tests.surfaces.processes_rig import UNKNOWN, Processes

CHOICES = {
    "configuration": {"a": "worker", "b": "worker", "c": "worker", "d": "worker"},
    "user_configuration": {
        "b": {"title": "B", "type": "string", "default": "default"},
        "c": {"title": "C", "type": "string", "default": "default"},
        "d": {"title": "D", "type": "string", "default": "default"},
        "count": {"title": "Count", "type": "int", "default": 3},
        "needed": {"title": "Needed", "type": "float", "required": True},
        "key": {"title": "Key", "type": "secret"},
        "colour": {"title": "Colour", "type": "enum", "choices": ["red", "blue"]},
    },
    "secrets": ["services/ocr.json"],
}


def _model(processes: Processes, *, state: str = "available") -> str:
    """Make a model with one version that has an archive; return the version's id."""
    model, version = ids.uuid(), ids.uuid()
    organisation = processes.corpora.served.organisation.id
    database = processes.database

    def store(connection: Any) -> str:
        blob_id = blobs.reserve(connection, organisation_id=organisation)
        blobs.store(connection, blob_id, size_bytes=3, sha256=hashlib.sha256(b"abc").hexdigest())
        return blob_id

    blob_id = database.write_blocking(store)
    columns = ("id", "organisation_id", "name", "description", "created_us")
    database.write_blocking(
        insert_rows, corpus_models, columns, [(model, organisation, f"model {model}", "", 0)]
    )
    names = (
        "id", "model_id", "tag", "description", "configuration", "state", "blob_id",
        "content_type", "size_bytes", "created_us",
    )  # fmt: skip
    row = (
        version, model, "best", "", '{"c":"model","d":"model"}', state, blob_id,
        "application/zstd", 3, 0,
    )  # fmt: skip
    database.write_blocking(insert_rows, corpus_model_versions, names, [row])
    return version


async def test_a_run_is_configured_by_worker_default_model_and_user(processes: Processes) -> None:
    processes.pages("p1")
    await processes.register({"slug": "reader", "version": "2", "configuration": CHOICES})
    version = _model(processes)
    chosen = {"d": "user", "needed": 1, "key": "my/key"}
    made = await processes.start(
        workers=[{"worker": "reader", "configuration": chosen, "model_version": version}]
    )
    run = made["workers"][0]
    found = await processes.call("GET", f"/workers/runs/{run['id']}/configuration/")
    merged = {each["key"]: each["value"] for each in found["configuration"]}
    assert merged == {
        "a": "worker",
        "b": "default",
        "c": "model",
        "d": "user",
        "count": 3,
        "needed": 1,
        "key": "my/key",
        "services/ocr.json": "services/ocr.json",
    }
    secret = {each["key"] for each in found["configuration"] if each["secret"]}
    assert secret == {"key", "services/ocr.json"}
    told = await processes.call("GET", f"/process/workers/{run['id']}/")
    assert told["configuration"]["configuration"] == chosen
    assert told["model_version"]["id"] == version
    assert told["model_version"]["configuration"] == {"c": "model", "d": "model"}
    assert told["model_version"]["model"]["name"].startswith("model ")
    assert "@ best" in told["summary"]
    payload = (await processes.claim())[0]["payload"]
    assert payload["model"]["version_id"] == version
    assert (payload["model"]["size_bytes"], payload["model"]["content_type"]) == (
        3,
        "application/zstd",
    )


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({}, "'needed' is missing"),
        ({"needed": "much"}, "wants float"),
        ({"needed": True}, "wants float"),
        ({"needed": 1.5, "count": 1.5}, "wants int"),
        ({"needed": 1, "colour": "green"}, "none of"),
        ({"needed": 1, "b": 3}, "wants string"),
        (UNKNOWN, "no configuration of the worker"),
    ],
)
async def test_a_configuration_that_the_worker_does_not_allow_for_is_refused(
    processes: Processes, chosen: Any, says: str
) -> None:
    await processes.register({"slug": "reader", "version": "2", "configuration": CHOICES})
    answer = await processes.create(
        expect=400, workers=[{"worker": "reader", "configuration": chosen}]
    )
    assert says in answer["detail"]
    assert answer["errors"][0]["attr"][:3] == ["workers", 0, "configuration"]


async def test_the_same_values_are_one_configuration(processes: Processes) -> None:
    listed = await processes.call("GET", "/workers/")
    worker = listed["results"][0]["id"]
    path = f"/workers/{worker}/configurations/"
    body = {"name": "fast", "configuration": {"a": 1, "b": 2}}
    first = await processes.call("POST", path, body=body, expect=201)
    again = {"name": "other", "configuration": {"b": 2, "a": 1}}
    assert (await processes.call("POST", path, body=again, expect=201))["id"] == first["id"]
    assert (await processes.call("GET", path))["count"] == 1
    await processes.call("POST", path, body={"configuration": {}}, expect=400)
    processes.pages("p1")
    made = await processes.start(workers=[{"worker": "reader", "configuration": first["id"]}])
    assert made["workers"][0]["configuration"]["id"] == first["id"]


async def test_a_model_that_is_not_available_is_refused(processes: Processes) -> None:
    version = _model(processes, state="created")
    answer = await processes.create(
        expect=400, workers=[{"worker": "reader", "model_version": version}]
    )
    assert answer["errors"][0]["attr"] == ["workers", 0, "model_version"]


async def test_a_used_version_keeps_its_configuration(processes: Processes) -> None:
    await processes.register({"slug": "reader", "version": "1", "name": "Reader"})
    changed = {"slug": "reader", "version": "1", "configuration": {"configuration": {"scale": 9}}}
    await processes.register(changed)
    processes.pages("p1")
    made = await processes.create()
    version = made["workers"][0]["worker_version"]
    assert version["worker"]["name"] == "Reader"
    assert version["configuration"]["configuration"] == {"scale": 9}
    answer = await processes.call(
        "POST",
        "/workers/",
        body={"slug": "reader", "version": "1", "configuration": {"configuration": {"scale": 1}}},
        expect=400,
    )
    assert "new version" in answer["detail"]
    # The same, and a command that says nothing of it, are fine.
    await processes.register(changed)
    await processes.register({"slug": "reader", "version": "1"})


@pytest.mark.parametrize(
    ("offer", "attr"),
    [
        ({"slug": "a/b", "version": "1"}, "slug"),
        ({"slug": "", "version": "1"}, "slug"),
        ({"slug": "a", "version": " 1"}, "version"),
        ({"slug": "a", "version": "1", "attempts_max": 0}, "attempts_max"),
        ({"slug": "a", "version": "1", "name": "n" * 300}, "name"),
    ],
)
async def test_a_worker_that_cannot_be_is_refused(
    processes: Processes, offer: dict[str, Any], attr: str
) -> None:
    answer = await processes.call("POST", "/workers/", body=offer, expect=400)
    assert answer["errors"][0]["attr"] == [attr]
    assert (await processes.call("GET", "/workers/"))["count"] == 1


async def test_a_process_over_sets_lists_them_with_their_datasets(processes: Processes) -> None:
    dataset = await processes.call(
        "POST",
        f"/corpus/{processes.corpus}/datasets/",
        body={"name": "letters", "set_names": ["train", "test"]},
        expect=201,
    )
    await processes.register({"slug": "trainer", "version": "1", "kind": "dataset"})
    wrong = await processes.create(expect=400, workers=[{"worker": "trainer"}])
    assert "mode dataset" in wrong["detail"]
    sets = [each["id"] for each in dataset["sets"]]
    made = await processes.start(mode="dataset", sets=sets, workers=[{"worker": "trainer"}])
    assert (made["mode"], made["activity_state"]) == ("dataset", "disabled")
    listed = await processes.call("GET", f"/process/{made['id']}/sets/")
    assert [each["set_name"] for each in listed["results"]] == ["train", "test"]
    told = listed["results"][0]["dataset"]
    assert (told["id"], told["state"], told["corpus_id"]) == (
        dataset["id"],
        "open",
        processes.corpus,
    )
    payload = (await processes.claim())[0]["payload"]
    assert payload["elements"] is None
    assert payload["queued"] is False


async def test_a_process_of_mode_export_lists_its_elements(processes: Processes) -> None:
    pages = processes.pages("p1", "p2")
    made = await processes.start(mode="export")
    assert (made["mode"], made["activity_state"]) == ("export", "disabled")
    listed = await processes.call("GET", f"/process/{made['id']}/elements/")
    assert [each["id"] for each in listed["results"]] == pages
    assert (await processes.claim())[0]["payload"]["elements"] is None


async def test_a_process_by_hand_has_activities_and_no_tasks(processes: Processes) -> None:
    page = processes.pages("p1")[0]
    made = await processes.start(mode="local", element_type="page")
    assert (made["tasks"], made["state"]) == ([], "pending")
    await processes.say(made, page, "started")
    assert (await processes.process(made))["state"] == "running"
    await processes.say(made, page, "error")
    assert (await processes.process(made))["state"] == "failed"
    await processes.call("POST", f"/process/{made['id']}/retry/")
    await processes.say(made, page, "started")
    await processes.say(made, page, "processed")
    assert (await processes.process(made))["state"] == "completed"


async def test_elements_below_an_element_are_chosen_at_any_depth_once(
    processes: Processes,
) -> None:
    corpora = processes.corpora
    box = corpora.elements(processes.corpus, ["box"], kind="folder")[0]
    inner = corpora.elements(processes.corpus, ["inner"], kind="folder", parent=box)[0]
    pages = corpora.elements(processes.corpus, ["p1", "p2"], parent=inner)
    processes.pages("elsewhere")
    path = f"/element/{pages[0]}/parent/{box}/"
    await processes.call("POST", path, expect=201)
    made = await processes.start(parent=box, element_type="page")
    listed = await processes.call("GET", f"/process/{made['id']}/elements/")
    assert [each["id"] for each in listed["results"]] == pages


async def test_the_files_of_a_task_are_artifacts_that_its_children_are_given(
    processes: Processes,
) -> None:
    processes.pages("p1")
    await processes.register({"slug": "reader", "version": "1"}, {"slug": "writer", "version": "1"})
    made = await processes.start(
        workers=[{"worker": "reader"}, {"worker": "writer", "parents": [0]}]
    )
    task = (await processes.claim())[0]
    stored = await processes.corpora.client.post("/longshore/v1/blobs", content=b"a cache")
    blob = stored.json()
    file = {
        "path": "out/db.sqlite",
        "blob_id": blob["blob_id"],
        "size_bytes": 7,
        "sha256": hashlib.sha256(b"a cache").hexdigest(),
    }
    await processes.report(task, files=[file])
    listed = await processes.call("GET", f"/task/{task['payload']['task_id']}/artifacts/")
    assert [each["path"] for each in listed] == ["out/db.sqlite"]
    child = (await processes.claim())[0]["payload"]
    assert child["parents"][0]["id"] == task["payload"]["task_id"]
    assert child["parents"][0]["slug"] == "reader"
    assert child["parents"][0]["files"][0]["path"] == "out/db.sqlite"
    assert (await processes.process(made))["tasks"][0]["exit_code"] == 0


async def test_a_result_that_is_none_of_a_task_is_refused(processes: Processes) -> None:
    processes.pages("p1")
    await processes.start()
    task = (await processes.claim())[0]
    body = {"work_id": task["work_id"], "attempt": 1, "outcome": "success", "result": {"x": 1}}
    report = {"worker_id": processes.worker_id, "reports": [body]}
    await processes.call("POST", "/longshore/v1/worker/report", body=report, expect=400)
    assert not await processes.report(task)
