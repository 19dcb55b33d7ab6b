"""Runs, results, jobs and deployments over the wire, in both colours."""

from __future__ import annotations

import json as json_module
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore import errors
from longshore.sdk import AsyncClient, Client, Retention, RunStatus
from tests.unit.sdk_support import COLOURS, Script, client, close, json, settle

START_NS = 1_700_000_000_123_456_000


def run_json(status: str = "RUNNING", **more: Any) -> httpx.Response:
    counts = {"submitted": 2, "done": 0, "failed": 0, "cancelled": 0, "pending": 2}
    body = {
        "id": "rn_1",
        "status": status,
        "start_timestamp": START_NS,
        "finish_timestamp": None,
        "msg": "waiting for a worker",
        "app_name": "Meal Receipt",
        "username": "admin",
        "files": counts,
    }
    return json({**body, **more})


def results_json(names: list[str], *, has_more: bool) -> httpx.Response:
    fields = [{"field_name": "total", "value": "12.00"}]
    files = [
        {"original_file_name": name, "input_file_path": name, "documents": [{"fields": fields}]}
        for name in names
    ]
    return json({"id": "rn_1", "status": "COMPLETE", "files": files, "has_more": has_more})


@pytest.mark.parametrize("colour", COLOURS)
async def test_files_are_uploaded_and_run_in_one_call(colour: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "b.jpg").write_bytes(b"b")
    script = Script(json({"id": 7}), httpx.Response(204), httpx.Response(204), run_json())
    used = client(colour, script)
    run = await settle(
        used.run(
            "Meal Receipt",
            files=tmp_path / "*.jpg",
            owner="Instabase",
            version="1.0.0",
            keys={"currency": "EUR"},
            tags=["march"],
            generate_pdf=True,
        )
    )
    await close(used)
    assert (run.id, run.status) == ("rn_1", RunStatus.RUNNING)
    assert json_module.loads(script.requests[0].content) == {"name": "a.jpg and 1 more"}
    assert json_module.loads(script.requests[-1].content) == {
        "app_name": "Meal Receipt",
        "owner": "Instabase",
        "batch_id": 7,
        "version": "1.0.0",
        "settings": {
            "keys": {"custom": {"currency": "EUR"}},
            "tags": ["march"],
            "runtime_config": {"generate_post_process_pdf": True},
        },
    }


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_run_that_is_refused_leaves_no_batch_behind(colour: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    script = Script(
        json({"id": 7}),
        httpx.Response(204),
        json({"message": "No app 'Meal Recipe'. Near: Meal Receipt."}, 404),
        json({"job_id": "wk_1"}, 202),
    )
    used = client(colour, script)
    with pytest.raises(errors.NotFound, match="Near: Meal Receipt"):
        await settle(used.run("Meal Recipe", files=tmp_path / "a.jpg"))
    await close(used)
    assert script.paths[-1] == "DELETE /api/v2/batches/7"


async def test_a_batch_that_cannot_be_deleted_either_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    script = Script(json({"id": 7}), json({"message": "disk"}, 507), json({"message": "gone"}, 500))
    with client(Client, script) as used, pytest.raises(errors.DiskFull) as caught:
        used.run("Meal Receipt", files=tmp_path / "a.jpg")
    assert any("Batch 7 stays" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    "inputs", [{}, {"files": "x", "batch": 1}, {"batch": 1, "input_dir": "a/b"}]
)
async def test_a_run_has_exactly_one_input(inputs: dict[str, Any]) -> None:
    with client(Client, Script()) as used:
        with pytest.raises(errors.InvalidRequest, match="exactly one"):
            used.run("Meal Receipt", **inputs)
        with pytest.raises(errors.InvalidRequest, match="exactly one"):
            used.deployments.of("dp_1").run(**inputs)


async def test_missing_files_are_noticed_before_anything_is_sent() -> None:
    with client(Client, Script()) as used, pytest.raises(errors.InvalidRequest):
        used.run("Meal Receipt", files="no-such-*.jpg")


@pytest.mark.parametrize("colour", COLOURS)
async def test_waiting_ends_with_the_run_and_reports_each_look(colour: Any) -> None:
    counts = {"submitted": 2, "done": 2, "failed": 0, "cancelled": 0, "pending": 0}
    script = Script(
        run_json(),
        run_json(),
        run_json("COMPLETE", files=counts, finish_timestamp=START_NS + 10**9),
    )
    used = client(colour, script)
    run = used.runs.of("rn_1")
    looks: list[int] = []
    waited = await settle(run.wait(progress=lambda info: looks.append(info.files.pending)))
    await close(used)
    assert waited is run
    assert looks == [2, 2, 0]
    assert run.finished
    assert run.counts.done == 2
    assert run.started_at == datetime(2023, 11, 14, 22, 13, 20, 123_456, tzinfo=UTC)
    assert (run.finished_at - run.started_at).total_seconds() == 1.0


@pytest.mark.parametrize("status", ["COMPLETE", "FAILED", "CANCELLED", "STOPPED_AT_CHECKPOINT"])
async def test_waiting_ends_however_the_run_ends(status: str) -> None:
    with client(Client, Script(run_json(status))) as used:
        assert used.runs.of("rn_1").wait().status == status


@pytest.mark.parametrize("colour", COLOURS)
async def test_waiting_gives_up_in_time(colour: Any) -> None:
    used = client(colour, lambda _: run_json())
    with pytest.raises(errors.WaitTimeout, match=r"rn_1 is not finished after 0\.3 s"):
        await settle(used.runs.of("rn_1").wait(timeout_s=0.3))
    await close(used)


@pytest.mark.parametrize("colour", COLOURS)
async def test_results_are_read_over_all_pages(colour: Any) -> None:
    script = Script(results_json(["a", "b"], has_more=True), results_json(["c"], has_more=False))
    used = client(colour, script)
    results = await settle(used.runs.of("rn_1").results(confidence=True))
    await close(used)
    assert [file.original_file_name for file in results] == ["a", "b", "c"]
    assert len(results) == 3
    assert [request.url.params["file_offset"] for request in script.requests] == ["0", "2"]
    first = script.requests[0].url.params
    assert first["include_confidence_scores"] == "true"
    assert first["include_source_info"] == "false"


async def test_results_of_an_unfinished_run_are_a_conflict() -> None:
    script = Script(json({"message": "still running", "code": "conflict"}, 409))
    with client(Client, script) as used, pytest.raises(errors.Conflict):
        used.runs.of("rn_1").results()


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_deletion_waits_for_all_its_jobs_and_adds_up(colour: Any) -> None:
    states = {
        "wk_in": iter(["PENDING", "COMPLETE"]),
        "wk_out": iter(["COMPLETE"]),
        "wk_log": iter(["RUNNING", "RUNNING", "COMPLETE"]),
    }

    def server(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            return json(
                {
                    "delete_input_dir_job_id": "wk_in",
                    "delete_output_dir_job_id": "wk_out",
                    "delete_log_dir_job_id": "wk_log",
                },
                202,
            )
        state = next(states[request.url.path.rpartition("/")[2]])
        counts = {"rows": 1, "objects": 2, "bytes": 3} if state == "COMPLETE" else {}
        return json({"state": state, **counts})

    used = client(colour, server)
    deletion = await settle(used.runs.of("rn_1").delete())
    removed = await settle(deletion.wait())
    await close(used)
    assert [job.id for job in deletion.jobs] == ["wk_in", "wk_out", "wk_log"]
    assert (removed.rows, removed.objects, removed.size_bytes) == (3, 6, 9)


async def test_parts_can_be_spared_from_deletion() -> None:
    script = Script(json({"delete_output_dir_job_id": "wk_out"}, 202))
    with client(Client, script) as used:
        deletion = used.runs.of("rn_1").delete(input=False, logs=False)
    assert (deletion.input, deletion.logs) == (None, None)
    assert dict(script.requests[0].url.params) == {
        "delete_db_data": "true",
        "delete_input": "false",
        "delete_output": "true",
        "delete_logs": "false",
    }


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
async def test_a_failed_job_is_raised_with_its_reason(state: str) -> None:
    script = Script(json({"state": state, "message": "the disk is gone"}))
    with (
        client(Client, script) as used,
        pytest.raises(errors.ServerFault, match=f"{state}: the disk is gone"),
    ):
        used.jobs.of("wk_1").wait()


@pytest.mark.parametrize("colour", COLOURS)
async def test_runs_are_listed_with_filters(colour: Any) -> None:
    script = Script(json({"runs": []}))
    used = client(colour, script)
    since = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert await settle(used.runs.list(status=["FAILED", RunStatus.RUNNING], since=since)) == []
    await close(used)
    parameters = script.requests[0].url.params
    assert parameters.get_list("status") == ["FAILED", "RUNNING"]
    assert parameters["from_timestamp"] == "1795176000"
    assert parameters["order"] == "DESCENDING"


@pytest.mark.parametrize(
    "filters",
    [{"since": datetime(2026, 11, 20)}, {"order": "sideways"}],  # noqa: DTZ001 - that is the mistake
)
async def test_filters_that_cannot_be_meant_are_refused(filters: dict[str, Any]) -> None:
    with client(Client, Script()) as used, pytest.raises(errors.InvalidRequest):
        used.runs.list(**filters)


async def test_tags_that_are_one_text_are_refused() -> None:
    with client(Client, Script()) as used, pytest.raises(errors.InvalidRequest, match="list"):
        used.runs.create("Meal Receipt", batch=1, tags="march")


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_deployment_is_made_changed_run_and_deleted(colour: Any) -> None:
    info = {
        "id": "dp_1",
        "name": "daily",
        "app_id": "ap_1",
        "app_name": "Meal Receipt",
        "owner": "Instabase",
        "created_at_ms": 1_700_000_000_000,
        "updated_at_ms": 1_700_000_000_000,
    }
    rule = {"after_s": 60.0}
    script = Script(
        json(info),
        json({**info, "retention": rule}),
        json({"id": "rn_1", "status": "RUNNING"}, 202),
        httpx.Response(204),
    )
    used = client(colour, script)
    deployment = await settle(used.deployments.create("daily", "Meal Receipt", keys={"a": 1}))
    await settle(deployment.update(retention=Retention(after_s=60, delete_input=False)))
    run = await settle(deployment.run(batch=7))
    await settle(deployment.delete())
    await close(used)
    sent = [json_module.loads(request.content or b"{}") for request in script.requests]
    assert sent[0]["settings"] == {"keys": {"custom": {"a": 1}}}
    assert sent[1] == {
        "retention": {
            "after_s": 60.0,
            "delete_db_data": True,
            "delete_input": False,
            "delete_output": True,
            "delete_logs": True,
        }
    }
    assert sent[2] == {"batch_id": 7}
    assert run.id == "rn_1"
    assert deployment.info.retention.after_s == 60
    assert script.paths == [
        "POST /api/v2/apps/deployments",
        "PATCH /api/v2/apps/deployments/dp_1",
        "POST /api/v2/apps/deployments/dp_1/runs",
        "DELETE /api/v2/apps/deployments/dp_1",
    ]


async def test_clearing_a_rule_is_not_leaving_it_out() -> None:
    script = Script(
        json({"id": "dp_1", "name": "d", "app_id": "ap_1", "app_name": "A", "owner": "o"})
    )
    with client(Client, script) as used:
        used.deployments.of("dp_1").update(retention=None)
        with pytest.raises(errors.InvalidRequest, match="Nothing to change"):
            used.deployments.of("dp_1").update()
    assert json_module.loads(script.requests[0].content) == {"retention": None}


async def test_a_run_is_cancelled() -> None:
    async with client(AsyncClient, Script(run_json("CANCELLED"))) as used:
        run = await used.runs.of("rn_1").cancel()
    assert run.status is RunStatus.CANCELLED
