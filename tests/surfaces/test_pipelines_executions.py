"""Synchronous executions over HTTP: one record (v3) and lists of them (v4)."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from longshore import limits
from longshore.access import Role
from longshore.clock import ManualClock
from longshore.engine import works
from longshore.engine.works import Ending, Outcome
from longshore.storage import Database
from longshore.surfaces.pipelines import executing
from tests.surfaces.services_rig import NAME, Services, one, services_of
from tests.unit.serving import bearer


@pytest.fixture
async def rig(database: Database, tmp_path: Path) -> AsyncIterator[Services]:
    async with services_of(database, tmp_path) as made:
        yield made


@pytest.fixture
async def served(rig: Services) -> AsyncIterator[Services]:
    """A service with a worker that serves it."""
    rig.offer("0.4.2", outputs=["total", "label"], subservices={"sums": ["total"]})
    async with rig.working():
        yield rig


async def test_one_record_is_answered_in_the_form_of_the_protocol(served: Services) -> None:
    answer = await served.execute({"value": 3, "label": "é"}, correlation_id="c-1")
    version = served.resolve()
    assert (answer["status"], answer["error"]) == ("Success", None)
    assert answer["response_data"] == {
        "outputs": {"total": 6, "label": "é"},
        "warnings": None,
        "errors": None,
        "service_chain": None,
    }
    meta = answer["response_meta"]
    assert (meta["service_id"], meta["version_id"]) == (version.service_id, version.id)
    assert (meta["version"], meta["process_time"], meta["correlation_id"]) == ("0.4.2", 7, "c-1")
    assert (meta["system"], meta["compiler_type"]) == ("SPARK", "Python")
    assert meta["request_timestamp"].endswith("Z")
    assert meta["call_id"]
    assert meta["compiler_version"].startswith("Longshore")
    assert served.seen == [
        {"inputs": [{"value": 3, "label": "é"}], "parameters": None, "summary": None}
    ]


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([{"value": 1}, {"value": 2}], [{"total": 2, "label": ""}, {"total": 4, "label": ""}]),
        ([["value"], [1], [2]], [["total", "label"], [2, ""], [4, ""]]),
    ],
    ids=["objects", "rows"],
)
async def test_records_are_answered_in_the_form_of_the_inputs(
    served: Services, inputs: list[Any], outputs: list[Any]
) -> None:
    answer = await served.execute_many(inputs, correlation_id="c-2")
    version = served.resolve()
    assert answer.pop("call_id")
    assert answer.pop("request_timestamp").endswith("Z")
    assert answer.pop("compiler_version").startswith("Longshore")
    assert answer == {
        "outputs": outputs,
        "warnings": [None, None],
        "errors": [None, None],
        "process_time": [7, 7],
        "service_id": version.service_id,
        "version_id": version.id,
        "version": "0.4.2",
        "correlation_id": "c-2",
    }


async def test_parameters_of_a_list_reach_the_worker(served: Services) -> None:
    await served.execute_many([{"value": 1}], parameters={"common": 1})
    assert served.seen[0]["parameters"] == {"common": 1}


async def test_an_error_of_a_record_leaves_the_others_as_they_are(served: Services) -> None:
    answer = await served.execute_many([{"value": 1}, {}])
    assert answer["outputs"] == [{"total": 2, "label": ""}, None]
    assert answer["errors"][0] is None
    assert answer["errors"][1][0]["message"] == "there is no value"
    single = await served.execute({})
    assert single["response_data"]["outputs"] is None
    assert single["response_data"]["errors"][0]["message"] == "there is no value"


async def test_a_request_without_inputs_is_a_record_without_any(served: Services) -> None:
    path = f"/{served.tenant}/api/v3/folders/my-folder/services/my-service/execute"
    bodies: list[Any] = [{}, {"request_data": {}}, {"request_data": {"inputs": None}}, one({})]
    for body in bodies:
        answer = await served.post(path, body)
        assert answer["response_data"]["errors"]
    answer = await served.client.post(path)
    assert answer.status_code == 200


async def test_a_service_and_a_version_can_be_named_by_their_ids(served: Services) -> None:
    served.offer("0.9.0")
    served.register()
    latest, old = served.resolve(), served.resolve(f"{NAME}[0.4]")
    paths = {
        f"/{served.tenant}/api/v3/service/{old.service_id}": latest,
        f"/{served.tenant}/api/v3/version/{old.id}": old,
    }
    for path, version in paths.items():
        answer = await served.post(path, one({"value": 1}))
        assert answer["response_meta"]["version_id"] == version.id
    by_meta = f"/{served.tenant}/api/v3/execute"
    for meta in ({"version_id": old.id}, {"service_id": old.service_id, "version": "0.4.2"}):
        answer = await served.post(by_meta, one({"value": 1}, **meta))
        assert answer["response_meta"]["version"] == "0.4.2"
    for fields in ({"service": old.service_id}, {"service": None, "version_id": latest.id}):
        answer = await served.execute_many([{"value": 1}], **fields)
        assert answer["version"] == "0.9.0"


async def test_versions_and_dates_are_resolved(served: Services) -> None:
    served.offer("0.5.0", active_since="2020-01-01")
    served.register()
    answer = await served.execute({"value": 1}, version="0.4")
    assert answer["response_meta"]["version"] == "0.4.2"
    answer = await served.execute({"value": 1}, transaction_date="2021-01-01")
    assert answer["response_meta"]["version"] == "0.5.0"
    answer = await served.execute_many([{"value": 1}], version_by_timestamp="2021-01-01")
    assert answer["version"] == "0.5.0"
    await served.execute({"value": 1}, transaction_date="2019-01-01", expect=404)


async def test_only_the_outputs_that_are_wanted_come_back(served: Services) -> None:
    answer = await served.execute({"value": 1}, requested_output="total")
    assert answer["response_data"]["outputs"] == {"total": 2}
    answer = await served.execute({"value": 1}, service_category="sums")
    assert answer["response_data"]["outputs"] == {"total": 2}
    many = await served.execute_many([{"value": 1}, {}], output="total")
    assert many["outputs"] == [{"total": 2}, None]
    rows = await served.execute_many([["value"], [1]], subservice="sums", output="label")
    assert rows["outputs"] == [["total", "label"], [2, ""]]
    rows = await served.execute_many([["value"], [1]], output="label")
    assert rows["outputs"] == [["label"], [""]]
    refused = await served.execute({"value": 1}, requested_output="totl", expect=400)
    assert "Did you mean 'total'?" in refused["detail"]


async def test_inputs_are_given_back_where_that_is_asked_for(served: Services) -> None:
    answer = await served.execute({"value": 1.50}, response_data_inputs=True)
    assert answer["response_data"]["inputs"] == {"value": 1.5}
    refused = await served.execute({"value": 1}, expect=400, excel_file=True)
    assert "`excel_file` is not possible here" in refused["detail"]
    refused = await served.execute({"value": 1}, expect=400, requested_output_regex="t.*")
    assert "`requested_output_regex` is not possible here" in refused["detail"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_bodies_may_be_compressed_both_ways(served: Services, encoding: str) -> None:
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    headers = {"Content-Encoding": encoding, "Accept-Encoding": encoding}
    inputs = [{"value": number} for number in range(500)]
    body = pack(json.dumps({"service": NAME, "inputs": inputs}).encode())
    path = f"/{served.tenant}/api/v4/execute"
    answer = await served.client.post(path, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-encoding"] == encoding
    assert answer.json()["outputs"][499] == {"total": 998, "label": ""}


async def test_a_body_that_inflates_to_too_much_is_refused(rig: Services) -> None:
    rig.offer("1")
    packer = zlib.compressobj()
    body = b"".join(packer.compress(b" " * limits.MIB) for _ in range(33)) + packer.flush()
    headers = {"Content-Encoding": "deflate"}
    path = f"/{rig.tenant}/api/v4/execute"
    answer = await rig.client.post(path, content=body, headers=headers)
    # The published client knows no 413.
    assert answer.status_code == 422, answer.text


async def test_no_rows_are_left_of_what_was_answered_or_refused(served: Services) -> None:
    await served.execute({"value": 1})
    await served.execute_many([{"value": 1}, {}])
    await served.execute({"value": 1}, service="my-folder/my-servise", expect=404)
    assert served.leftovers() == 0


async def test_without_a_live_worker_the_refusal_comes_at_once(rig: Services) -> None:
    rig.offer("1.0.0")
    for refused in (
        await rig.execute({"value": 1}, expect=503),
        await rig.execute_many([{"value": 1}], expect=503),
    ):
        assert "No worker that is alive serves my-folder/my-service[1.0.0]" in refused["detail"]
    assert rig.leftovers() == 0


async def test_an_execution_that_takes_too_long_is_given_up(
    rig: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EXECUTION_S", 0.05)
    rig.offer("1.0.0")
    rig.register()
    refused = await rig.execute({"value": 1}, expect=504)
    assert "was not done within" in refused["detail"]
    assert rig.leftovers() == 0


async def test_an_execution_whose_client_has_gone_is_given_up(rig: Services) -> None:
    rig.offer("1.0.0")
    rig.register()
    asked = asyncio.create_task(rig.execute({"value": 1}))
    (lease,) = await rig.claimed()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert rig.leftovers() == 0
    ending = Ending(lease.id, lease.attempt, Outcome.SUCCESS)
    (lost,) = await rig.database.write(works.finish, [ending], holder=rig.worker_id)
    assert lost.work_id == lease.id


async def test_many_executions_at_once_each_get_their_own_outputs(served: Services) -> None:
    asked = [served.execute({"value": value}) for value in range(50)]
    answers = await asyncio.gather(*asked)
    assert [answer["response_data"]["outputs"]["total"] for answer in answers] == [
        2 * value for value in range(50)
    ]
    assert served.leftovers() == 0


async def test_an_execution_goes_before_what_waits_for_the_version(rig: Services) -> None:
    rig.offer("1.0.0")
    rig.register()
    queue_id = rig.queue_ids[0]
    earlier = [works.NewWork(queue_id, b"{}") for _ in range(3)]
    await rig.database.write(works.submit, earlier, actor="test")
    asked = asyncio.create_task(rig.execute({"value": 1}))
    await rig.queued()
    first, *_ = await rig.claimed()
    assert (await rig.database.read(works.get, first.id)).priority == executing.PRIORITY
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_attempts_that_run_out_are_told(
    rig: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longshore.surfaces.pipelines.routes.executions.LOOK_AGAIN_S", 0.02)
    rig.offer("1.0.0")
    rig.register()
    asked = asyncio.create_task(rig.execute({"value": 1}, expect=500))
    (lease,) = await rig.claimed()
    error = b'{"type": "ImportError", "message": "no module x", "traceback": ""}'
    ending = Ending(lease.id, lease.attempt, Outcome.REJECTED, error=error)
    await rig.database.write(works.finish, [ending], holder=rig.worker_id)
    refused = await asked
    assert "ImportError: no module x" in refused["detail"]
    assert rig.leftovers() == 0


async def test_executions_of_a_server_that_died_are_swept_away(
    rig: Services, clock: ManualClock
) -> None:
    rig.offer("1.0.0")
    rig.register()
    asked = asyncio.create_task(rig.execute({"value": 1}, expect=404))
    await rig.claimed()
    assert await rig.database.write(executing.sweep) == {"executions": 0}
    clock.advance(executing.ABANDONED_S + 1)
    assert await rig.database.write(executing.sweep) == {"executions": 1}
    assert rig.leftovers() == 0
    refused = await asked
    assert "was deleted" in refused["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"service": "my-folder/my-service"}', 400),
        (b'{"service": "my-folder/my-service", "inputs": null}', 400),
        (b'{"service": "my-folder/my-service", "inputs": {"value": 1}}', 400),
        (b'{"service": "my-folder/my-service", "inputs": [NaN]}', 400),
        (b'{"service": "my-folder/my-service", "inputs": [{"value": "\xff"}]}', 400),
        (b'{"service": "my-folder/my-service", "inputs": [[1, 2], [3, 4]]}', 400),
        (b'{"service": ["my-folder"], "inputs": []}', 400),
        (b'{"service": "proxy/x/y", "inputs": []}', 400),
        (b'{"inputs": [{"value": 1}]}', 400),
        (b'{"service": ' + b"[" * 40 + b"]" * 40 + b', "inputs": []}', 422),
        (b'{"version_id": "sv_none", "inputs": []}', 404),
        (b'{"service": "my-folder/my-servise", "inputs": []}', 404),
    ],
)
async def test_what_cannot_be_used_is_refused(rig: Services, body: bytes, status: int) -> None:
    rig.offer("1.0.0")
    rig.register()
    answer = await rig.client.post(f"/{rig.tenant}/api/v4/execute", content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]
    assert rig.leftovers() == 0


async def test_a_tenant_is_the_keys_own_organisation_in_any_case(served: Services) -> None:
    body = {"service": NAME, "inputs": [{"value": 1}]}
    for tenant in (served.tenant.upper(), served.organisation_id, served.organisation_id.upper()):
        await served.post(f"/{tenant}/api/v4/execute", body)
    other, token = served.served.other_organisation()
    for tenant in (other.name, "nobody"):
        refused = await served.post(f"/{tenant}/api/v4/execute", body, expect=404)
        assert "no tenant" in refused["detail"]
    theirs = await served.client.post(
        f"/{other.name}/api/v4/execute", json=body, headers=bearer(token)
    )
    assert theirs.status_code == 404
    assert "No worker has offered" in theirs.json()["detail"]


async def test_a_key_that_may_only_read_cannot_execute(served: Services) -> None:
    headers = bearer(served.served.token(Role.VIEWER))
    answer = await served.client.post(
        f"/{served.tenant}/api/v4/execute", json={"service": NAME, "inputs": []}, headers=headers
    )
    assert answer.status_code == 403
