from __future__ import annotations

import json

import pytest

from longshore import limits
from longshore.clock import ManualClock
from longshore.engine import artifacts, works
from longshore.engine.works import Ending, Outcome
from longshore.surfaces.apps.finishing import finish_run
from longshore.wire.payloads import AppPayload, AppResult
from tests.surfaces.apps_rig import APP, OWNER, RECEIPT, Answer, Platform


def spoiled(payload: AppPayload) -> Answer:
    return ValueError("not an image") if payload.file.name.startswith("bad") else RECEIPT


async def test_a_run_goes_from_running_to_complete_and_shows_its_results(apps: Platform) -> None:
    batch_id = await apps.batch("b.jpg", "a.jpg")
    run = await apps.start(batch_id=str(batch_id), owner="INSTABASE")

    assert run["status"] == "RUNNING"
    assert run["finish_timestamp"] is None
    assert run["start_timestamp"] == apps.clock.now_us() * 1_000
    assert run["msg"] == "0 of 2 files done"
    assert run["version"] == "1.0.0"
    refused = await apps.get(f"/apps/runs/{run['id']}/results", 409)
    assert "0 of 2 files done" in refused["message"]

    assert apps.work() == 2
    assert (await apps.get(f"/apps/runs/{run['id']}"))["msg"].endswith("writing the results")
    assert await apps.jobs() == 1

    ended = await apps.get(f"/apps/runs/{run['id']}")
    assert ended["status"] == "COMPLETE"
    assert ended["msg"] == "2 of 2 files done"
    assert ended["finish_timestamp"] == apps.clock.now_us() * 1_000
    found = await apps.get(f"/apps/runs/{run['id']}/results")
    assert [file["original_file_name"] for file in found["files"]] == ["a.jpg", "b.jpg"]
    assert found["batch_id"] == str(batch_id)
    assert found["keys"] == {"custom": {}}
    assert found["case_info"] == {"fields": []}
    assert found["has_more"] is False
    fields = found["files"][0]["documents"][0]["fields"]
    assert fields[0] == {
        "field_name": "merchant_name",
        "value": "Café Zoë",
        "type": "TEXT",
        "error_msg": None,
    }
    assert fields[1]["field_name"] == "total__amount"
    assert fields[1]["value"] is None


async def test_the_four_flags_add_their_keys_and_nothing_else(apps: Platform) -> None:
    run_id = await apps.finished()
    path = f"/apps/runs/{run_id}/results"

    plain = await apps.get(path)
    everything = await apps.get(
        path,
        include_confidence_scores="true",
        include_source_info="True",
        include_review_results="true",
        include_validation_results="true",
    )

    document = plain["files"][0]["documents"][0]
    assert set(document) == {"fields", "class_name", "page_numbers"}
    assert document["page_numbers"] == [1]
    assert "review_completed" not in plain
    full = everything["files"][0]["documents"][0]
    assert everything["review_completed"] is False
    assert full["review_completed"] is False
    assert full["class_edit_history"] == []
    assert full["page_layouts"] == [{"page_number": 0, "width": 100.0, "height": 200.0}]
    assert full["classification_confidence"] == {"model": 0.7}
    assert full["validations"] == {"final_result_pass": False}
    first, second = full["fields"]
    assert first["confidence"] == {"model": 0.9, "ocr": 0.8}
    assert first["source_coordinates"] == [
        {"top_x": 1.0, "top_y": 2.0, "bottom_x": 3.0, "bottom_y": 4.0, "page_number": 0}
    ]
    assert first["edit_history"] == []
    assert first["validations"] == {"valid": True, "alerts": []}
    assert second["validations"]["valid"] is False
    assert second["validations"]["alerts"][0]["alert_level"] == "FAILURE"
    assert second["validations"]["alerts"][0]["msg"] == "no total was found"


async def test_a_bad_file_has_an_error_and_the_others_their_results(apps: Platform) -> None:
    run_id = await apps.finished("bad.jpg", "good.jpg", worker=spoiled)

    run = await apps.get(f"/apps/runs/{run_id}")
    bad, good = (await apps.get(f"/apps/runs/{run_id}/results"))["files"]

    assert run["status"] == "COMPLETE"
    assert run["msg"] == "1 of 2 files done, 1 failed"
    assert run["files"] == {"submitted": 2, "done": 1, "failed": 1, "cancelled": 0, "pending": 0}
    assert bad["error_msg"] == "ValueError: not an image"
    [field] = bad["documents"][0]["fields"]
    assert (field["field_name"], field["value"], field["type"]) == ("error", "ERROR", "ERROR")
    assert field["error_msg"] == "ValueError: not an image"
    assert "error_msg" not in good
    assert good["documents"][0]["fields"][0]["value"] == "Café Zoë"


async def test_a_run_whose_files_all_fail_has_failed_and_still_answers_results(
    apps: Platform,
) -> None:
    run_id = await apps.finished("bad.jpg", worker=spoiled)

    run = await apps.get(f"/apps/runs/{run_id}")

    assert run["status"] == "FAILED"
    assert "not an image" in run["msg"]
    assert len((await apps.get(f"/apps/runs/{run_id}/results"))["files"]) == 1


async def test_a_result_of_the_wrong_form_counts_as_a_failure(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg")
    run = await apps.start(batch_id=batch_id)
    [lease] = apps.claim()

    ending = Ending(lease.id, lease.attempt, Outcome.SUCCESS, result=b'{"documents": 5}')
    apps.database.write_blocking(works.finish, [ending], holder="wr_test")
    await apps.jobs()

    assert (await apps.get(f"/apps/runs/{run['id']}"))["status"] == "FAILED"
    [file] = (await apps.get(f"/apps/runs/{run['id']}/results"))["files"]
    assert "form of a result" in file["error_msg"]


async def test_the_results_are_written_to_the_output_folder(apps: Platform) -> None:
    run_id = await apps.finished()
    run = await apps.get(f"/apps/runs/{run_id}")

    answer = await apps.client.get(f"/api/v2/files/{run['output_dir']}/results.json")

    assert answer.status_code == 200
    written = json.loads(answer.content)
    assert written["id"] == run_id
    assert written["status"] == "COMPLETE"
    assert written["finish_timestamp"] == run["finish_timestamp"]
    assert "confidence" in written["files"][0]["documents"][0]["fields"][0]


async def test_the_output_folder_can_be_chosen_and_bears_the_id_of_the_run(apps: Platform) -> None:
    folder = apps.folder("out/receipts", "Team")

    run_id = await apps.finished(output_dir=folder)
    run = await apps.get(f"/apps/runs/{run_id}")

    assert run["output_dir"] == f"{folder}/{run_id}"
    assert run["output_workspace"] == "Team"
    listed = await apps.get(f"/files/{folder}", **{"expect-node-type": "folder"})
    assert [(node["name"], node["metadata"]["node_type"]) for node in listed["nodes"]] == [
        (run_id, "folder")
    ]


async def test_a_run_reads_a_folder_of_the_drive(apps: Platform) -> None:
    for name in ("in/one.jpg", "in/deep/two.jpg", "elsewhere.jpg"):
        await apps.client.put(f"/api/v2/files/{apps.folder(name)}", content=b"x")

    run = await apps.start(input_dir="/" + apps.folder("in") + "/")
    apps.work()

    assert run["files"]["submitted"] == 2
    assert [payload.file.name for payload in apps.seen] == ["deep/two.jpg", "one.jpg"]


async def test_files_of_a_run_stay_as_they_were_when_it_started(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg", content=b"first")
    await apps.start(batch_id=batch_id)
    await apps.client.put(f"/api/v2/batches/{batch_id}/files/a.jpg", content=b"second")
    await apps.client.put(f"/api/v2/batches/{batch_id}/files/b.jpg", content=b"new")
    await apps.leftovers()

    assert apps.work() == 1
    pinned = apps.seen[0].file
    kept = [chunk async for chunk in apps.served.context.blobs.get(pinned.blob_id)]
    assert b"".join(kept) == b"first"

    await apps.jobs()
    objects, blobs = await apps.leftovers()
    # What is left: the two files of the batch and the results; the pinned bytes are gone.
    assert objects == len(blobs) == 3
    assert pinned.blob_id not in blobs


async def test_the_highest_production_version_is_the_default(apps: Platform) -> None:
    apps.offer("1.9.0", "1.10.0", "2.0.0-rc1")
    batch_id = await apps.batch("a.jpg")

    assert (await apps.start(batch_id=batch_id))["version"] == "1.10.0"
    assert (await apps.start(batch_id=batch_id, version="2.0.0-rc1"))["version"] == "2.0.0-rc1"
    listed = await apps.get("/apps")
    assert [each["version"] for each in listed["apps"][0]["versions"]] == [
        "2.0.0-rc1",
        "1.10.0",
        "1.9.0",
        "1.0.0",
    ]
    assert listed["apps"][0]["default_version"] == "1.10.0"


async def test_an_app_is_found_without_its_owner_unless_several_have_one(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg")
    body = {"app_name": APP.lower(), "batch_id": batch_id}
    alone = await apps.client.post("/api/v2/apps/runs", json=body)
    apps.offer("3.0", owner="Somebody")
    several = await apps.client.post("/api/v2/apps/runs", json=body)
    apps.offer("4.0", owner="local")
    own = await apps.client.post("/api/v2/apps/runs", json=body)

    assert alone.json()["owner"] == OWNER
    assert several.status_code == 400
    assert "Instabase, Somebody" in several.json()["message"]
    assert own.json()["owner"] == "local"
    by_id = await apps.client.post(
        "/api/v2/apps/runs", json={"app_id": own.json()["app_id"], "batch_id": batch_id}
    )
    assert by_id.json()["version"] == "4.0"


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"app_name": "Meal Reciept"}, 404, "Did you mean 'Meal Receipt'?"),
        ({"app_id": "ap_none", "app_name": None}, 404, "Instabase/Meal Receipt"),
        ({"owner": "Nobody"}, 404, "'Instabase'"),
        ({"version": "7"}, 404, "There are: 1.0.0"),
        ({"app_name": None}, 400, "names no app"),
        ({"batch_id": None}, 400, "names no input"),
        ({"batch_id": 987654}, 404, "no batch 987654"),
        ({"batch_id": "12x"}, 400, "whole number"),
        ({"batch_id": 10**30}, 404, "no batch"),
        ({"batch_id": None, "input_dir": "somewhere"}, 400, "not one of the drive"),
        ({"settings": {"keys": {"secret": {"a": "b"}}}}, 400, "no such secret"),
        ({"settings": {"webhook_config": {"url": "http://10.0.0.1"}}}, 400, "a private address"),
        ({"settings": {"tags": ["x" * 300, "y" * 300]}}, 413, "600 characters"),
        ({"settings": {"nonsense": 1}}, 400, "settings.nonsense"),
        ({"settings": {"runtime_config": {"generate_post_process_pdf": "yes"}}}, 400, "true or"),
        ({"settings": {"keys": {"custom": {"k": "v" * 70_000}}}}, 413, "as JSON"),
    ],
)
async def test_a_run_that_cannot_start_is_refused_and_changes_nothing(
    apps: Platform, body: dict[str, object], status: int, told: str
) -> None:
    batch_id = await apps.batch("a.jpg")
    wanted = {"app_name": APP, "batch_id": batch_id, **body}

    answer = await apps.client.post(
        "/api/v2/apps/runs", json={name: value for name, value in wanted.items() if value}
    )

    assert answer.status_code == status, answer.text
    assert told in answer.json()["message"]
    assert (await apps.get("/apps/runs"))["runs"] == []
    assert apps.claim() == []


async def test_a_run_needs_files_and_not_too_many(
    apps: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = await apps.batch()
    full = await apps.batch("a", "b", "c")
    monkeypatch.setattr(limits, "FILES_PER_RUN", 2)

    none = await apps.client.post("/api/v2/apps/runs", json={"app_name": APP, "batch_id": empty})
    many = await apps.client.post("/api/v2/apps/runs", json={"app_name": APP, "batch_id": full})

    assert none.status_code == 400
    assert "has no files" in none.json()["message"]
    assert many.status_code == 413
    assert "more than 2 files" in many.json()["message"]


async def test_a_run_without_a_worker_waits_and_says_so(apps: Platform) -> None:
    apps.offer("2.0.0", name="Invoice", online=False)
    batch_id = await apps.batch("a.jpg")

    run = await apps.start(app_name="Invoice", batch_id=batch_id)

    assert run["status"] == "RUNNING"
    assert 'no worker offers "Invoice 2.0.0" of Instabase' in run["msg"]


async def test_cancelling_stops_what_waits_and_keeps_what_is_done(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg", "b.jpg", "c.jpg")
    run = await apps.start(batch_id=batch_id)
    apps.work(limit=1)

    answer = await apps.client.post(f"/api/v2/apps/runs/{run['id']}/cancel")
    await apps.jobs()
    again = await apps.client.post(f"/api/v2/apps/runs/{run['id']}/cancel")

    assert answer.status_code == 200
    ended = await apps.get(f"/apps/runs/{run['id']}")
    assert ended["status"] == again.json()["status"] == "CANCELLED"
    assert ended["msg"] == "1 of 3 files done, 2 cancelled"
    first, second, _ = (await apps.get(f"/apps/runs/{run['id']}/results"))["files"]
    assert first["documents"][0]["fields"][0]["value"] == "Café Zoë"
    assert "Cancelled" in second["error_msg"]


async def test_results_come_in_pages_of_files(
    apps: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RESULT_FILES_PER_PAGE", 2)
    run_id = await apps.finished("a", "b", "c", "d", "e")
    names: list[str] = []
    more = True
    while more:
        page = await apps.get(f"/apps/runs/{run_id}/results", file_offset=len(names))
        names += [file["original_file_name"] for file in page["files"]]
        more = page["has_more"]
        assert page["files"]

    assert names == ["a", "b", "c", "d", "e"]
    beyond = await apps.get(f"/apps/runs/{run_id}/results", file_offset=10**12)
    assert beyond["files"] == []
    assert beyond["has_more"] is False
    await apps.get(f"/apps/runs/{run_id}/results", 400, file_offset=-1)


async def test_listing_filters_sorts_and_defaults_to_a_day(
    apps: Platform, clock: ManualClock
) -> None:
    batch_id = await apps.batch("a.jpg")
    old = await apps.start(batch_id=batch_id)
    clock.advance(20 * 3600)
    middle = await apps.start(batch_id=batch_id, output_workspace="Team")
    clock.advance(5 * 3600)
    apps.offer("1.0", name="Invoice")
    new = await apps.start(app_name="Invoice", batch_id=batch_id)
    await apps.client.post(f"/api/v2/apps/runs/{middle['id']}/cancel")
    await apps.jobs()
    old_s = old["start_timestamp"] // 10**9

    async def ids(**query: object) -> list[str]:
        return [run["id"] for run in (await apps.get("/apps/runs", **query))["runs"]]

    assert await ids() == [new["id"], middle["id"]]
    assert await ids(from_timestamp=old_s, order="ASCENDING") == [
        old["id"],
        middle["id"],
        new["id"],
    ]
    assert await ids(from_timestamp=old_s, to_timestamp=old_s) == [old["id"]]
    assert await ids(status=["CANCELLED", "FAILED"]) == [middle["id"]]
    assert await ids(output_workspaces=["Team", "personal"], limit=1) == [new["id"]]
    assert await ids(output_workspaces="Team") == [middle["id"]]
    assert await ids(app_name="Invoice") == [new["id"]]
    assert await ids(app_id=new["app_id"]) == [new["id"]]
    assert await ids(run_id=middle["id"], status="RUNNING") == []
    assert await ids(username="nobody") == []
    assert await ids(sort_by="status", order="ASCENDING") == [middle["id"], new["id"]]
    assert await ids(offset=1) == [middle["id"]]
    for query in (
        {"status": "PENDING"},
        {"sort_by": "x"},
        {"order": "up"},
        {"from_timestamp": "x"},
    ):
        await apps.get("/apps/runs", 400, **query)


async def test_settings_reach_the_worker_and_come_back_with_the_results(apps: Platform) -> None:
    keys = {"custom": {"currency": "EUR", "deep": {"list": [1, None]}}}
    run_id = await apps.finished(
        settings={"keys": keys, "tags": ["march"], "runtime_config": {"note": "kept"}}
    )

    assert apps.seen[0].keys == keys["custom"]
    assert apps.seen[0].generate_pdf is False
    assert (await apps.get(f"/apps/runs/{run_id}/results"))["keys"] == keys
    assert (await apps.get(f"/apps/runs/{run_id}"))["tags"] == ["march"]


async def test_a_post_processed_pdf_is_put_into_the_output_folder(apps: Platform) -> None:

    async def pdf() -> str:
        blob_id = apps.database.write_blocking(
            artifacts.reserve, organisation_id=apps.organisation_id
        )

        async def content() -> object:
            yield b"%PDF"

        stored = await apps.served.context.blobs.put(blob_id, content(), limit_bytes=10)  # type: ignore[arg-type]
        apps.database.write_blocking(
            artifacts.store, blob_id, size_bytes=stored.size_bytes, sha256=stored.sha256
        )
        return blob_id

    blob_id = await pdf()
    result = AppResult(documents=RECEIPT.documents, pdf_blob_id=blob_id)
    wanted = {"settings": {"runtime_config": {"generate_post_process_pdf": True}}}
    with_pdf = await apps.finished(worker=lambda _: result, **wanted)
    missing = AppResult(documents=RECEIPT.documents, pdf_blob_id="bl_" + "0" * 26)
    without = await apps.finished(worker=lambda _: missing, **wanted)

    async def document(run_id: str) -> dict[str, object]:
        found = await apps.get(f"/apps/runs/{run_id}/results", include_source_info="true")
        shown: dict[str, object] = found["files"][0]["documents"][0]
        return shown

    shown = await document(with_pdf)
    path = shown["post_processed_pdf_path"]
    assert shown["post_processed_paths"] == [path]
    assert (await apps.client.get(f"/api/v2/files/{path}")).content == b"%PDF"
    assert "post_processed_pdf_path" not in await document(without)
    objects, _ = await apps.leftovers()
    unasked = AppResult(documents=RECEIPT.documents, pdf_blob_id=await pdf())
    await apps.finished(worker=lambda _: unasked)
    # The PDF that nobody asked for is gone: only the batch's file and the results came on top.
    assert (await apps.leftovers())[0] == objects + 2
    assert apps.seen[0].generate_pdf is True


async def test_an_end_that_gave_up_is_taken_up_again(apps: Platform) -> None:

    batch_id = await apps.batch("a.jpg")
    run = await apps.start(batch_id=batch_id)
    apps.work()
    [job] = apps.job_leases()
    apps.database.write_blocking(works.cancel, [job.id], actor="someone", why="a slip")

    apps.database.write_blocking(
        works.finish, [Ending(job.id, job.attempt, Outcome.CANCELLED)], holder="wr_test"
    )

    assert apps.sweep()["finishers"] == 1
    assert await apps.jobs() == 1
    assert (await apps.get(f"/apps/runs/{run['id']}"))["status"] == "COMPLETE"
    assert apps.sweep()["finishers"] == 0


async def test_the_end_of_a_run_can_be_run_twice(apps: Platform) -> None:

    run_id = await apps.finished()
    before = await apps.get(f"/apps/runs/{run_id}")
    batch_id = await apps.batch("x")
    await apps.start(batch_id=batch_id)
    [lease] = apps.claim()
    await finish_run(apps.job_context(lease), {"run_id": run_id})

    assert await apps.get(f"/apps/runs/{run_id}") == before


async def test_a_repeated_request_with_one_idempotency_key_starts_one_run(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg")
    body = {"app_name": APP, "batch_id": batch_id}
    headers = {"Idempotency-Key": "once"}

    first = await apps.client.post("/api/v2/apps/runs", json=body, headers=headers)
    second = await apps.client.post("/api/v2/apps/runs", json=body, headers=headers)

    assert first.json()["id"] == second.json()["id"]
    assert len(apps.claim()) == 1
