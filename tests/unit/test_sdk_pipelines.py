"""Pipelines in the SDK without a server: chunks, requests and what is made of the answers."""

from __future__ import annotations

import copy
import json
from typing import Any

import httpx
import pytest

from longshore.errors import BufferFull, Conflict, InvalidRequest, ServerFault
from longshore.sdk import BatchChunk, ChunkData, create_chunks
from tests.unit import sdk_support
from tests.unit.sdk_support import COLOURS, Script, close, settle

ME = {
    "key_id": "ky_1",
    "key_name": "mine",
    "role": "admin",
    "organisation": "Acme Works",
    "organisation_id": "or_1",
}
ROOT = "/or_1/api/v4/batch"
STATUS = {"batch_status": "in_progress", "record_submitted": 3, "records_available": 1}


def who() -> httpx.Response:
    return sdk_support.json(ME)


def made(id: str = "bp_1") -> httpx.Response:  # noqa: A002
    data = {"service_uri": "shop/price[1.0.0]", "batch_status": "created", "service_id": "sn_1"}
    return sdk_support.json({"object": "batch", "id": id, "data": data})


def statuses(count: int) -> list[httpx.Response]:
    return [sdk_support.json(STATUS) for _ in range(count)]


def body(request: httpx.Request) -> Any:
    return json.loads(request.content)


@pytest.mark.parametrize(
    ("records", "size", "expected"),
    [(10, 4, [3, 3, 4]), (4, 2, [2, 2]), (5, 200, [5]), (401, 200, [133, 134, 134]), (0, 3, [])],
)
def test_records_are_split_evenly(records: int, size: int, expected: list[int]) -> None:
    inputs = [{"value": value} for value in range(records)]
    chunks = create_chunks(inputs=inputs, chunk_size=size, parameters={"rate": 2})
    assert [chunk.size for chunk in chunks] == expected
    assert [record for chunk in chunks for record in chunk.data.inputs] == inputs
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert all(chunk.data.parameters == {"rate": 2} for chunk in chunks)


def test_rows_are_split_evenly_with_their_header_and_without_a_chunk_of_it_alone() -> None:
    rows: list[list[Any]] = [["a", "b"], [1, 2], [3, 4], [5, 6], [7, 8]]
    before = copy.deepcopy(rows)
    chunks = create_chunks(rows, 2)
    assert [list(chunk.data.inputs) for chunk in chunks] == [
        [["a", "b"], [1, 2], [3, 4]],
        [["a", "b"], [5, 6], [7, 8]],
    ]
    assert [chunk.size for chunk in chunks] == [2, 2]
    assert rows == before, "the caller's list was changed"
    names: list[list[Any]] = [["a", "b"]]
    assert create_chunks(names, 2) == []
    (named,) = create_chunks([[1, 2]], headers=["a", "b"])
    assert (named.data.inputs, named.size) == ([["a", "b"], [1, 2]], 1)


def test_a_chunk_size_below_one_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="chunk_size is 0"):
        create_chunks([{}], 0)


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_pipeline_is_created_with_the_words_of_the_protocol(colour: Any) -> None:
    script = Script(who(), made(), made())
    client = sdk_support.client(colour, script)
    pipeline = await settle(
        client.pipelines.create(
            "shop/price[1.0]",
            subservices=["a", "b"],
            selected_outputs="x",
            unique_record_key=["k"],
            max_runners=3,
            max_input_size=1.5,
            accuracy=0.95,
        )
    )
    assert (pipeline.id, pipeline.info.service_uri) == ("bp_1", "shop/price[1.0.0]")
    await settle(client.pipelines.create("version/sv_9"))
    assert script.paths == ["GET /longshore/v1/whoami", f"POST {ROOT}", f"POST {ROOT}"]
    assert body(script.requests[1]) == {
        "service": "shop/price[1.0]",
        "call_purpose": "Pipeline",
        "source_system": "Longshore Python SDK",
        "subservice": "a,b",
        "output": "x",
        "unique_record_key": "k",
        "max_workers": 3,
        "max_input_size_in_mb": 1.5,
        "acceptable_error_percentage": 5,
    }
    assert body(script.requests[2])["version_id"] == "sv_9"
    await close(client)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("uri", "options"),
    [
        ("price", {}),
        ("a/b/c", {}),
        ("shop/price", {"accuracy": 1.5}),
        ("shop/price", {"runners": 2}),
    ],
)
async def test_what_cannot_be_created_is_refused_before_it_is_sent(
    colour: Any, uri: str, options: dict[str, Any]
) -> None:
    client = sdk_support.client(colour, Script(who()))
    with pytest.raises(InvalidRequest):
        await settle(client.pipelines.create(uri, **options))
    await close(client)


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_push_gives_each_chunk_an_id_and_counts_its_records(colour: Any) -> None:
    script = Script(who(), *statuses(3))
    client = sdk_support.client(colour, script)
    pipeline = client.pipelines.of("bp_1")
    status = await settle(pipeline.push(inputs=[["a"], [1], [2]]))
    assert (status.records_submitted, status.records_available) == (3, 1)
    await settle(pipeline.push(data=ChunkData(inputs=[{"a": 1}], parameters={"p": 1})))
    given: Any = [
        BatchChunk(id="mine", data=ChunkData(inputs=[{"a": 1}])),
        {"id": "", "data": {"inputs": [{"a": 1}]}},
        {"id": None, "data": {"inputs": [{"a": 1}]}, "size": 1},
    ]
    await settle(pipeline.push(chunks=given))
    (first,) = body(script.requests[1])["chunks"]
    assert first["data"] == {"inputs": [["a"], [1], [2]], "parameters": {}, "summary": None}
    assert first["size"] == 2
    sent = [chunk for request in script.requests[1:] for chunk in body(request)["chunks"]]
    ids = [chunk["id"] for chunk in sent]
    assert all(ids)
    assert len(set(ids)) == 5
    assert ids[2] == "mine"
    assert pipeline.stats.chunks == {chunk["id"]: chunk["size"] for chunk in sent}
    assert pipeline.stats.records == 6
    await close(client)


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_known_chunk_id_is_replaced_ignored_or_refused(
    colour: Any, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script(who(), *statuses(3))
    client = sdk_support.client(colour, script)
    pipeline = client.pipelines.of("bp_1")
    chunk = BatchChunk(id="one", data=ChunkData(inputs=[{"a": 1}]))
    await settle(pipeline.push(chunks=[chunk]))
    await settle(pipeline.push(chunks=[chunk]))
    (replaced,) = body(script.requests[2])["chunks"]
    assert replaced["id"] not in ("", "one")
    with pytest.raises(Conflict, match="'one' was pushed before"):
        await settle(pipeline.push(chunks=[chunk], if_chunk_id_duplicated="throw"))
    await settle(pipeline.push(chunks=[chunk], if_chunk_id_duplicated="ignore"))
    assert body(script.requests[3]) == {"chunks": []}
    assert "is left out" in caplog.text
    assert set(pipeline.stats.chunks) == {"one", replaced["id"]}
    other = client.pipelines.of("bp_2")
    assert other.stats.chunks == {}, "what one pipeline pushed is no other's business"
    await close(client)


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_pull_confirms_the_one_before(colour: Any) -> None:
    result = {
        "id": "one",
        "outputs": [{"b": 2}, None],
        "errors": [None, [{"message": "bad"}]],
        "warnings": [None, None],
        "process_time": [1, 0],
        "summary_output": [[]],
    }
    full = {"data": [result], "status": STATUS}
    empty = {"data": [], "status": STATUS}
    first = httpx.Response(200, json=full, headers={"X-Longshore-Delivery": "dl_1"})
    script = Script(who(), first, *[sdk_support.json(empty) for _ in range(3)])
    client = sdk_support.client(colour, script)
    pipeline = client.pipelines.of("bp_1")
    (pulled,) = await settle(pipeline.pull(max_chunks=0, wait_s=2))
    assert (pulled.id, pulled.outputs, pulled.errors[1]) == (
        "one",
        [{"b": 2}, None],
        [{"message": "bad"}],
    )
    assert await settle(pipeline.pull()) == []
    await settle(pipeline.confirm())
    await settle(pipeline.pull())
    queries = [dict(request.url.params) for request in script.requests[1:]]
    assert queries == [
        {"max": "1", "wait_s": "2"},
        {"max": "100", "confirm": "dl_1"},
        {"max": "100"},
    ]
    origins = [request.headers["x-request-id"] for request in script.requests[1:]]
    assert len(set(origins)) == 3
    await close(client)


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_pipeline_that_is_over_refuses_what_makes_no_sense(colour: Any) -> None:
    script = Script(who(), made(), sdk_support.json({"data": [], "status": STATUS}), made())
    client = sdk_support.client(colour, script)
    pipeline = client.pipelines.of("bp_1")
    await settle(pipeline.dispose())
    assert pipeline.state == "closed"
    with pytest.raises(Conflict, match="is closed"):
        await settle(pipeline.push(inputs=[{"a": 1}]))
    assert await settle(pipeline.pull()) == []
    await settle(pipeline.cancel())
    with pytest.raises(Conflict, match="is cancelled"):
        await settle(pipeline.pull())
    assert [body(script.requests[n]) for n in (1, 3)] == [
        {"batch_status": "closed"},
        {"batch_status": "cancelled"},
    ]
    await close(client)


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_full_buffer_is_an_error_of_its_own(colour: Any) -> None:
    full = {"code": "buffer_full", "message": "full", "details": {"pushed_bytes": 9}}
    client = sdk_support.client(colour, Script(who(), sdk_support.json(full, 429)), retries=0)
    with pytest.raises(BufferFull) as caught:
        await settle(client.pipelines.of("bp_1").push(inputs=[{"a": 1}]))
    assert caught.value.details["pushed_bytes"] == 9
    await close(client)


@pytest.mark.parametrize("colour", COLOURS)
async def test_an_answer_that_makes_no_sense_is_a_fault_of_the_server(colour: Any) -> None:
    script = Script(who(), *[sdk_support.json([]) for _ in range(3)])
    client = sdk_support.client(colour, script)
    with pytest.raises(ServerFault):
        await settle(client.pipelines.create("a/b"))
    with pytest.raises(ServerFault):
        await settle(client.pipelines.of("bp_1").pull())
    with pytest.raises(ServerFault):
        await settle(client.pipelines.describe())
    await close(client)


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_push_takes_one_form_and_values_that_json_has(colour: Any) -> None:
    client = sdk_support.client(colour, Script(who()))
    pipeline = client.pipelines.of("bp_1")
    with pytest.raises(InvalidRequest, match="exactly one"):
        await settle(pipeline.push(inputs=[], chunks=[]))
    with pytest.raises(InvalidRequest, match="JSON cannot hold"):
        await settle(pipeline.push(inputs=[{"a": object()}]))
    with pytest.raises(InvalidRequest, match="Chunk 0"):
        await settle(pipeline.push(chunks=[{"id": "x"}]))
    with pytest.raises(InvalidRequest, match="blank"):
        client.pipelines.of(" ")
    await close(client)
