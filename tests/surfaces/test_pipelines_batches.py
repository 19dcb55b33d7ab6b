from __future__ import annotations

from typing import Any

import pytest

from longshore import limits
from longshore.surfaces.pipelines import ending, pulling
from tests.surfaces.pipelines_rig import NAME, Pipelines, bearer, chunk, objects

STATUS_KEYS = {
    "response_timestamp", "request_timestamp", "batch_status", "pipeline_status",
    "chunks_available", "chunks_submitted", "record_submitted", "chunks_completed",
    "records_completed", "compute_time_ms", "input_buffer_used_bytes",
    "input_buffer_remaining_bytes", "output_buffer_used_bytes", "output_buffer_remaining_bytes",
    "workers_in_use", "records_available",
}  # fmt: skip


async def test_a_pipeline_has_the_facts_of_the_protocol(pipelines: Pipelines) -> None:
    body = {
        "service": f"{NAME}[1.0]",
        "version_id": None,
        "version_by_timestamp": None,
        "subservice": "figures",
        "output": "doubled,label",
        "call_purpose": "cp",
        "source_system": "SS",
        "correlation_id": "corr",
        "unique_record_key": "k1,k2",
        "initial_workers": 10,
        "max_workers": 100,
        "chunks_per_request": 2,
        "runner_thread_count": 3,
        "max_input_size_in_mb": 1.5,
        "max_output_size_in_mb": 2.5,
        "acceptable_error_percentage": 6,
        "zz": 1,
    }
    made = await pipelines.call("POST", "/batch", body=body)
    assert made["object"] == "batch"
    data = made["data"]
    assert data["service_uri"] == f"{NAME}[1.0.0]"
    assert data["batch_status"] == "created"
    assert data["unique_record_key"] == "k1,k2"
    assert (data["correlation_id"], data["source_system"]) == ("corr", "SS")
    assert data["service_id"]
    assert data["version_id"]
    found = await pipelines.info(made["id"])
    assert found["configuration"] == {
        "initial_workers": 10,
        "chunks_per_request": 2,
        "runner_thread_count": 3,
        "acceptable_error_percentage": 6,
        "input_buffer_allocated_bytes": 1_500_000,
        "output_buffer_allocated_bytes": 2_500_000,
        "max_workers": 100,
    }
    assert set(await pipelines.status(made["id"])) == STATUS_KEYS


async def test_records_go_through_in_the_form_in_which_they_came(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    status = await pipelines.push(
        batch,
        chunk("objects", objects(1, -2, 3)),
        chunk("rows", [["value"], [4], [5]]),
        chunk("header only", [["value"]]),
        chunk("nothing", []),
    )
    assert (status["chunks_submitted"], status["record_submitted"]) == (4, 5)
    assert status["batch_status"] == "in_progress"
    assert status["input_buffer_used_bytes"] > 0
    assert await pipelines.work() == 4
    pulled = await pipelines.pull(batch)
    by_id = {each["id"]: each for each in pulled["data"]}
    assert by_id["objects"]["outputs"] == [{"doubled": 2}, None, {"doubled": 6}]
    assert [bool(each) for each in by_id["objects"]["errors"]] == [False, True, False]
    assert by_id["objects"]["warnings"] == [None, None, None]
    assert by_id["objects"]["process_time"] == [0, 0, 0]
    assert by_id["objects"]["summary_output"] == [[]]
    assert by_id["rows"]["outputs"] == [["doubled"], [8], [10]]
    assert by_id["header only"]["outputs"] == [["doubled"]]
    assert by_id["nothing"]["outputs"] == by_id["nothing"]["errors"] == []
    assert pulled["status"]["records_available"] == 0
    assert pulled["status"]["input_buffer_used_bytes"] == 0
    assert pulled["status"]["compute_time_ms"] == 8


async def test_a_record_counts_as_completed_once_somebody_was_told(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    await pipelines.push(batch, chunk("a", objects(1, 2)))
    await pipelines.work()
    first = await pipelines.status(batch)
    assert (first["records_completed"], first["records_available"]) == (0, 2)
    second = await pipelines.status(batch)
    assert (second["records_completed"], second["records_available"]) == (2, 2)
    await pipelines.push(batch, chunk("b", objects(3)))
    await pipelines.work()
    pulled = await pipelines.pull(batch, max=1)
    assert [each["id"] for each in pulled["data"]] == ["a"]
    assert pulled["status"]["records_completed"] == 2
    assert (await pipelines.status(batch))["records_completed"] == 3


async def test_a_closed_pipeline_takes_nothing_more_and_gives_what_is_left(
    pipelines: Pipelines,
) -> None:
    batch = await pipelines.create()
    await pipelines.push(batch, chunk("a", objects(1)))
    closed = await pipelines.end(batch)
    assert closed["data"]["batch_status"] == "closed"
    refused = await pipelines.push(batch, chunk("b", objects(2)), expect=409)
    assert "closed" in refused["detail"]
    assert (await pipelines.status(batch))["batch_status"] == "closed"
    await pipelines.work()
    assert (await pipelines.status(batch))["batch_status"] == "completed"
    assert [each["id"] for each in (await pipelines.pull(batch))["data"]] == ["a"]
    assert (await pipelines.end(batch))["data"]["batch_status"] == "closed"
    described = await pipelines.call("GET", "/batch/status")
    assert [each["id"] for each in described["recent_batches"]] == [batch]
    assert described["recent_batches"][0]["data"]["summary"]["records_completed"] == 1


async def test_a_cancelled_pipeline_drops_everything_at_once(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    await pipelines.push(batch, *(chunk(str(n), objects(n)) for n in range(4)))
    ready, running = await pipelines.claim(1), await pipelines.claim(1)
    await pipelines.report(*ready)
    cancelled = await pipelines.end(batch, "cancelled")
    assert cancelled["data"]["batch_status"] == "cancelled"
    lost = await pipelines.report(*running)
    assert [each["cancelled"] for each in lost] == [True]
    assert (await pipelines.pull(batch))["data"] == []
    assert await pipelines.claim() == []
    status = await pipelines.status(batch)
    assert status["batch_status"] == "cancelled"
    assert status["input_buffer_used_bytes"] == status["output_buffer_used_bytes"] == 0
    assert pipelines.bodies() == (0, 0)
    assert "cancelled" in (await pipelines.end(batch, "closed", expect=409))["detail"]
    assert (await pipelines.end(batch, "cancelled"))["data"]["batch_status"] == "cancelled"


@pytest.mark.parametrize(("accuracy", "verdict"), [(0, "failed"), (50, "completed")])
async def test_too_many_errors_make_a_pipeline_fail(
    pipelines: Pipelines, accuracy: int, verdict: str
) -> None:
    batch = await pipelines.create(acceptable_error_percentage=accuracy)
    await pipelines.push(batch, chunk("a", objects(1, -1)))
    await pipelines.end(batch)
    await pipelines.work()
    assert (await pipelines.status(batch))["batch_status"] == verdict
    assert (await pipelines.info(batch))["summary"]["records_failed"] == 1
    assert len((await pipelines.pull(batch))["data"]) == 1


async def test_a_full_input_buffer_refuses_with_its_figures(pipelines: Pipelines) -> None:
    batch = await pipelines.create(max_input_size=0.0002)
    await pipelines.push(batch, chunk("a", objects(*range(8))))
    before = await pipelines.status(batch)
    path = f"{pipelines.root}/batch/{batch}/chunks"
    answer = await pipelines.client.post(
        path, json={"chunks": [chunk("b", objects(1)), chunk("c", objects(*range(4)))]}
    )
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    details = answer.json()["details"]
    assert details["input_buffer_used_bytes"] == before["input_buffer_used_bytes"]
    assert details["pushed_bytes"] > details["input_buffer_remaining_bytes"]
    assert (await pipelines.status(batch))["chunks_submitted"] == 1
    await pipelines.work()
    await pipelines.push(batch, chunk("b", objects(1)))
    alone = await pipelines.push(batch, chunk("d", objects(*range(50))), expect=422)
    assert "whole input buffer" in alone["detail"]


async def test_a_full_output_buffer_stops_computing_until_somebody_pulls(
    pipelines: Pipelines,
) -> None:
    batch = await pipelines.create(max_output_size=0.0002)
    await pipelines.push(batch, *(chunk(str(n), objects(n)) for n in range(6)))
    while found := await pipelines.claim(1):
        await pipelines.report(*found)
    status = await pipelines.status(batch)
    assert status["output_buffer_used_bytes"] >= 200
    assert status["output_buffer_remaining_bytes"] == 0
    assert 0 < status["chunks_completed"] < 6
    waiting = await pipelines.call("GET", f"/batch/{batch}/chunks")
    assert [each["state"] for each in waiting["chunks"]].count("pending") == (
        6 - status["chunks_completed"]
    )
    seen = set()
    while len(seen) < 6:
        pulled = await pipelines.pull(batch, max=1)
        seen |= {each["id"] for each in pulled["data"]}
        await pipelines.work(1)
    assert seen == {str(n) for n in range(6)}


async def test_a_chunk_is_taken_once_however_often_it_is_pushed(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    for _ in range(3):
        status = await pipelines.push(batch, chunk("a", objects(1)), chunk("a", objects(1)))
        assert status["record_submitted"] == 1
    refused = await pipelines.push(batch, chunk("new", []), chunk("a", objects(2)), expect=409)
    assert "other data" in refused["detail"]
    named = {"headers": {"x-request-id": "push-1"}}
    for _ in range(3):
        await pipelines.push(batch, chunk("", objects(5)), chunk(None, objects(5)), **named)
    assert (await pipelines.status(batch))["chunks_submitted"] == 3
    await pipelines.push(batch, chunk("", objects(5)))
    await pipelines.work()
    assert len({each["id"] for each in (await pipelines.pull(batch))["data"]}) == 4
    # Even when it is computed, pulled and erased, it is known.
    assert (await pipelines.push(batch, chunk("a", objects(1))))["chunks_submitted"] == 4


async def test_a_repeated_request_makes_one_pipeline(pipelines: Pipelines) -> None:
    body = {"service": NAME}
    headers = {"x-request-id": "create-1"}
    made = {
        (await pipelines.call("POST", "/batch", body=body, headers=headers))["id"] for _ in range(3)
    }
    assert len(made) == 1
    assert await pipelines.create() not in made


async def test_a_pull_can_be_had_again_until_it_is_confirmed(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    await pipelines.push(batch, *(chunk(str(n), objects(n)) for n in range(4)))
    await pipelines.work()
    path = f"{pipelines.root}/batch/{batch}/chunkresults"
    first = await pipelines.client.get(path, params={"max": 2})
    delivery = first.headers["x-longshore-delivery"]
    again = await pipelines.client.get(path, params={"delivery": delivery})
    assert again.json()["data"] == first.json()["data"]
    second = await pipelines.client.get(path, params={"max": 2, "confirm": delivery})
    assert len(second.json()["data"]) == 2
    left = (await pipelines.pull(batch, again=True))["data"]
    assert left == second.json()["data"]
    gone = await pipelines.pull(batch, delivery=delivery, expect=404)
    assert "confirmed" in gone["detail"]
    states = [
        each["state"] for each in (await pipelines.call("GET", f"/batch/{batch}/chunks"))["chunks"]
    ]
    assert sorted(states) == ["delivered", "delivered", "erased", "erased"]
    pipelines.clock.advance(limits.DELIVERED_KEPT_S + 1)
    assert pipelines.run(pulling.expire) == {"erased": 2}
    assert (await pipelines.pull(batch, again=True))["data"] == []
    assert pipelines.bodies() == (0, 0)


async def test_the_same_pull_sent_again_gives_the_same_chunks(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    await pipelines.push(batch, *(chunk(str(n), objects(n)) for n in range(4)))
    await pipelines.work()
    path = f"/batch/{batch}/chunkresults?max=2"
    answers = [
        await pipelines.call("GET", path, headers={"x-request-id": "pull-1"}) for _ in range(3)
    ]
    assert answers[0]["data"] == answers[1]["data"] == answers[2]["data"]
    assert answers[2]["status"]["records_available"] == 2
    await pipelines.pull(batch)
    assert (await pipelines.status(batch))["records_available"] == 0


async def test_outputs_that_nobody_read_return_to_the_buffer(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    await pipelines.push(batch, chunk("a", objects(1)))
    await pipelines.work()
    path = f"{pipelines.root}/batch/{batch}/chunkresults"
    delivery = (await pipelines.client.get(path)).headers["x-longshore-delivery"]
    assert pipelines.run(pulling.give_back, batch, delivery) == 1
    assert [each["id"] for each in (await pipelines.pull(batch))["data"]] == ["a"]


async def test_a_chunk_whose_attempts_run_out_has_an_error_at_each_record(
    pipelines: Pipelines,
) -> None:
    pipelines.offer["attempts_max"] = 1
    await pipelines.register()
    batch = await pipelines.create()
    await pipelines.push(batch, chunk("bad", [["value"], [1], [2]]), chunk("good", objects(1)))
    bad, good = sorted(await pipelines.claim(), key=lambda each: each["work_id"])
    await pipelines.report(good)
    error = {"type": "ProcessEnded", "message": "the process was killed"}
    await pipelines.report(bad, outcome="failure", error=error)
    pipelines.tidy()
    pulled = {each["id"]: each for each in (await pipelines.pull(batch))["data"]}
    assert set(pulled) == {"bad", "good"}
    assert pulled["bad"]["outputs"] == [[], None, None]
    for errors in pulled["bad"]["errors"]:
        assert "the process was killed" in errors[0]["message"]
    summary = (await pipelines.info(batch))["summary"]
    assert (summary["chunks_failed"], summary["records_failed"]) == (1, 2)


async def test_a_lost_attempt_is_run_again_and_recorded_once(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    await pipelines.push(batch, chunk("a", objects(1, 2)))
    first = await pipelines.claim()
    pipelines.clock.advance(60)
    pipelines.tidy()
    pipelines.clock.advance(60)
    pipelines.tidy()
    second = await pipelines.claim()
    assert [each["work_id"] for each in second] == [each["work_id"] for each in first]
    assert len(await pipelines.report(*first)) == 1
    assert (await pipelines.status(batch))["chunks_completed"] == 0
    assert await pipelines.report(*second) == []
    assert await pipelines.report(*second) == []
    summary = (await pipelines.info(batch))["summary"]
    assert (summary["chunks_retried"], summary["records_retried"]) == (1, 2)
    assert len((await pipelines.pull(batch))["data"]) == 1


async def test_an_idle_pipeline_is_closed(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    await pipelines.push(batch, chunk("a", objects(1)))
    pipelines.clock.advance(limits.PIPELINE_IDLE_S - 1)
    assert pipelines.run(ending.close_idle) == {"closed": 0}
    pipelines.clock.advance(2)
    assert pipelines.run(ending.close_idle) == {"closed": 1}
    assert (await pipelines.status(batch))["batch_status"] == "closed_by_timeout"
    await pipelines.register()
    await pipelines.work()
    assert (await pipelines.status(batch))["batch_status"] == "completed_by_timeout"
    assert len((await pipelines.pull(batch))["data"]) == 1


async def test_old_and_deleted_pipelines_leave_nothing(pipelines: Pipelines) -> None:
    old, deleted = await pipelines.create(), await pipelines.create()
    for batch in (old, deleted):
        await pipelines.push(batch, *(chunk(str(n), objects(n)) for n in range(3)))
    await pipelines.work()
    await pipelines.end(old)
    answer = await pipelines.client.delete(f"{pipelines.root}/batch/{deleted}")
    assert answer.status_code == 202
    assert pipelines.run(ending.delete_some, deleted)["chunks"] == 3
    assert pipelines.run(ending.delete_some, deleted) == {"rows": 2, "chunks": 0}
    assert pipelines.run(ending.delete_some, deleted) == {"rows": 0, "chunks": 0}
    await pipelines.call("GET", f"/batch/{deleted}", expect=404)
    pipelines.clock.advance(limits.PIPELINE_KEPT_S + 1)
    while any(pipelines.run(ending.delete_old).values()):
        pass
    await pipelines.call("GET", f"/batch/{old}", expect=404)
    assert pipelines.bodies() == (0, 0)


async def test_max_workers_limits_what_runs_at_once(pipelines: Pipelines) -> None:
    batch = await pipelines.create(max_workers=2, initial_workers=1)
    await pipelines.push(batch, *(chunk(str(n), objects(n)) for n in range(5)))
    first = await pipelines.claim()
    assert len(first) == 1
    await pipelines.report(*first)
    second = await pipelines.claim()
    assert len(second) == 2
    assert (await pipelines.status(batch))["workers_in_use"] == 2


async def test_a_small_pipeline_does_not_wait_for_a_large_one(pipelines: Pipelines) -> None:
    large, small = await pipelines.create(), await pipelines.create()
    await pipelines.push(large, *(chunk(f"large {n}", objects(n)) for n in range(50)))
    await pipelines.push(small, chunk("small", objects(1)))
    claimed = await pipelines.claim(4)
    assert len(claimed) == 4
    assert len({each["queue"] for each in claimed}) == 2


BAD_CREATES: list[tuple[dict[str, Any], int, str]] = [
    ({"service": "my-folder/my-servce"}, 404, "my-service"),
    ({"service": f"{NAME}[9]"}, 404, "1.0.0"),
    ({}, 400, "names no service"),
    ({"service": NAME, "max_workers": 0}, 400, "max_workers"),
    ({"service": NAME, "output": "tripled"}, 400, "doubled"),
    ({"service": NAME, "subservice": "figurs"}, 400, "figures"),
    ({"service": NAME, "max_input_size": -1}, 400, "max_input_size"),
    ({"service": 5}, 400, "service"),
]


@pytest.mark.parametrize(("body", "expect", "word"), BAD_CREATES)
async def test_what_cannot_be_created_is_refused(
    pipelines: Pipelines, body: dict[str, Any], expect: int, word: str
) -> None:
    refused = await pipelines.call("POST", "/batch", body=body, expect=expect)
    assert word in refused["detail"]


BAD_PUSHES: list[tuple[str, int]] = [
    ('{"chunks":[{"id":"a","data":{"inputs":[{"value":NaN}]}}]}', 400),
    ('{"chunks":[{"id":5,"data":{"inputs":[]}}]}', 400),
    ('{"chunks":[{"id":"a","data":{"inputs":5}}]}', 400),
    ('{"chunks":[{"id":"a"}]}', 400),
    ('{"chunks":[{"id":"a","data":{"inputs":[["v","v"],[1,2]]}}]}', 400),
    ('{"chunks":[{"id":"a","data":{"inputs":[[1],[2]]}}]}', 400),
    ('{"chunks":[{"id":"a","data":{"inputs":[],"parameters":5}}]}', 400),
    (
        '{"chunks":[{"id":"a","data":{"inputs":[],"summary":'
        '{"aggregation":[{"output_name":"v","operator":"MEDIAN"}]}}}]}',
        400,
    ),
    ('{"chunks":', 400),
    ("[]", 400),
    ('{"chunks":[{"id":"a","data":{"inputs":[' + "[" * 5_000 + "]" * 5_000 + "]}}]}", 422),
]


@pytest.mark.parametrize(("body", "expect"), BAD_PUSHES)
async def test_what_cannot_be_pushed_is_refused_whole(
    pipelines: Pipelines, body: str, expect: int
) -> None:
    batch = await pipelines.create()
    good = '{"chunks":[{"id":"good","data":{"inputs":[]}},'
    path = f"{pipelines.root}/batch/{batch}/chunks"
    for sent in (body, body.replace('{"chunks":[', good)):
        answer = await pipelines.client.post(path, content=sent)
        assert answer.status_code == expect, answer.text
    assert (await pipelines.status(batch))["chunks_submitted"] == 0


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    answer = await pipelines.client.post(
        f"{pipelines.root}/batch/{batch}/chunks",
        content=b"{",
        headers={"content-length": str(100_000_000)},
    )
    assert answer.status_code == 422
    assert "bytes" in answer.json()["detail"]


async def test_nothing_is_pushed_by_no_chunks(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    status = await pipelines.push(batch)
    assert (status["chunks_submitted"], status["batch_status"]) == (0, "created")


async def test_nobody_reaches_another_organisations_pipelines(pipelines: Pipelines) -> None:
    batch = await pipelines.create()
    other, token = pipelines.served.other_organisation()
    headers = bearer(token)
    for root in (f"/{other.name}/api/v4", pipelines.root):
        for method, path in (
            ("GET", ""), ("GET", "/status"), ("POST", "/chunks"), ("GET", "/chunkresults"),
            ("GET", "/chunks"), ("PATCH", ""), ("DELETE", ""),
        ):  # fmt: skip
            bodies: dict[str, Any] = {
                "POST": {"chunks": []},
                "PATCH": {"batch_status": "cancelled"},
            }
            answer = await pipelines.client.request(
                method, f"{root}/batch/{batch}{path}", headers=headers, json=bodies.get(method)
            )
            assert answer.status_code == 404, (method, path)
    described = await pipelines.client.get(f"/{other.name}/api/v4/batch/status", headers=headers)
    assert described.json()["in_progress_batches"] == []
    assert (await pipelines.status(batch))["batch_status"] == "created"
