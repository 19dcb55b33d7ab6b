"""Mapping over records in the SDK, on a server in memory that gives chunks in random order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from longshore.errors import Conflict, InvalidRequest, ServerUnreachable
from longshore.sdk import AsyncClient, RecordFailed, RecordWarning
from tests.unit.pipelines_server import FakePipelines
from tests.unit.pipelines_support import feed, mapper, values, with_a_bad_one
from tests.unit.sdk_support import COLOURS, gather

pytestmark = pytest.mark.parametrize("colour", COLOURS)


async def test_outputs_come_in_the_order_of_the_input(colour: Any) -> None:
    server = FakePipelines()
    async with mapper(colour, server) as pipeline:
        outputs = await gather(pipeline.map(values(2_500), chunk_size=10))
    assert outputs == [{"double": value * 2} for value in range(2_500)]
    assert server.status == "closed"
    assert set(server.sizes) == {10}
    assert not server.delivered, "everything was confirmed"
    assert max(server.pushes) > 10, "a push has many chunks"
    summary = pipeline.summary
    assert (summary.records, summary.failed, summary.pipeline_id) == (2_500, 0, "bp_1")
    assert summary.records_per_s > 0


async def test_outputs_come_as_they_are_computed_and_with_their_index(colour: Any) -> None:
    async with mapper(colour, FakePipelines()) as pipeline:
        found = await gather(pipeline.map(values(500), ordered=False, indexed=True, chunk_size=7))
        assert sorted(found) == [(value, {"double": value * 2}) for value in range(500)]
        assert [index for index, _ in found] != list(range(500))
        plain = await gather(pipeline.map(values(500), ordered=False, chunk_size=7))
    assert sorted(output["double"] for output in plain) == [value * 2 for value in range(500)]


async def test_chunks_grow_by_themselves_towards_the_time_that_suits(colour: Any) -> None:
    server = FakePipelines()
    server.record_ms = 0.5
    async with mapper(colour, server) as pipeline:
        await gather(pipeline.map(values(20_000)))
    assert server.sizes[0] == 20
    assert max(server.sizes) == 700


async def test_slow_records_get_small_chunks(colour: Any) -> None:
    server = FakePipelines()
    server.record_ms = 50.0
    async with mapper(colour, server) as pipeline:
        await gather(pipeline.map(values(3_000)))
    assert server.sizes[-2] == 7


async def test_no_more_records_are_taken_than_may_be_on_their_way(colour: Any) -> None:
    server = FakePipelines()
    taken = 0

    def source() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for record in values(5_000):
            taken += 1
            yield record

    given = 0
    async with mapper(colour, server) as pipeline:
        outputs = pipeline.map(source(), chunk_size=10, in_flight=200)
        if hasattr(outputs, "__aiter__"):
            async for _ in outputs:
                given += 1
                assert taken - given <= 220
        else:
            for _ in outputs:
                given += 1
                assert taken - given <= 220
    assert given == 5_000


async def test_rows_and_their_names_may_be_given(colour: Any) -> None:
    server = FakePipelines()
    rows = [["value", "verb"], *([value, ""] for value in range(95))]
    async with mapper(colour, server) as pipeline:
        outputs = await gather(pipeline.map(rows, chunk_size=10))
    assert outputs == [{"double": value * 2} for value in range(95)]
    assert [len(rows), rows[0]] == [96, ["value", "verb"]]
    assert sum(server.sizes) == 95


async def test_parameters_go_with_every_chunk(colour: Any) -> None:
    server = FakePipelines(lambda record: {"sum": record["value"] + record["rate"]})
    async with mapper(colour, server) as pipeline:
        outputs = await gather(pipeline.map(values(30), parameters={"rate": 5}, chunk_size=10))
    assert outputs == [{"sum": value + 5} for value in range(30)]


async def test_no_records_give_no_outputs(colour: Any) -> None:
    server = FakePipelines()
    async with mapper(colour, server) as pipeline:
        assert await gather(pipeline.map([])) == []
        assert await gather(pipeline.map([["value"]])) == []
    assert server.status == "closed"


async def test_a_failed_record_is_raised_behind_the_outputs_before_it(colour: Any) -> None:
    server = FakePipelines()
    seen: list[Any] = []
    async with mapper(colour, server) as pipeline:
        outputs = pipeline.map(with_a_bad_one(), chunk_size=10)
        with pytest.raises(RecordFailed, match="Record 17 has an error: this record") as told:
            await feed(outputs, seen)
    assert seen == [{"double": value * 2} for value in range(17)]
    assert told.value.index == 17
    assert told.value.input == {"value": 17, "verb": "fail"}
    assert told.value.errors[0]["error_type"] == "ValueError"
    assert server.status == "cancelled"


async def test_failed_records_are_given_or_left_out(colour: Any) -> None:
    async with mapper(colour, FakePipelines()) as pipeline:
        given = await gather(pipeline.map(with_a_bad_one(), chunk_size=10, on_error="yield"))
        assert len(given) == 30
        assert isinstance(given[17], RecordFailed)
        left = await gather(
            pipeline.map(with_a_bad_one(), chunk_size=10, on_error="skip", indexed=True)
        )
    assert [index for index, _ in left] == [index for index in range(30) if index != 17]
    assert (pipeline.summary.records, pipeline.summary.failed) == (30, 1)


async def test_warnings_are_told(colour: Any, caplog: pytest.LogCaptureFixture) -> None:
    records: list[dict[str, Any]] = list(values(30))
    records[4]["verb"] = "warn"
    told: list[RecordWarning] = []
    async with mapper(colour, FakePipelines()) as pipeline:
        await gather(pipeline.map(records, on_warning=told.append))
        await gather(pipeline.map(records))
    assert told == [RecordWarning(4, "odd", "a")]
    assert "record 4: odd" in caplog.text
    assert pipeline.summary.warnings == 1


async def test_what_the_input_raises_comes_behind_what_was_before_it(colour: Any) -> None:
    def source() -> Iterator[dict[str, Any]]:
        yield from values(40)
        raise LookupError("the cable was pulled")

    seen: list[Any] = []
    async with mapper(colour, FakePipelines()) as pipeline:
        outputs = pipeline.map(source(), chunk_size=10)
        with pytest.raises(LookupError, match="the cable"):
            await feed(outputs, seen)
    assert seen == [{"double": value * 2} for value in range(40)]


async def test_values_that_json_cannot_hold_name_the_input(colour: Any) -> None:
    async with mapper(colour, FakePipelines()) as pipeline:
        with pytest.raises(InvalidRequest, match="JSON cannot hold"):
            await gather(pipeline.map([{"value": object()}]))
        with pytest.raises(InvalidRequest, match="Record 10 is a row among mappings"):
            await gather(pipeline.map([*values(10), [1]], chunk_size=10))


async def test_leaving_early_cancels(colour: Any) -> None:
    server = FakePipelines()
    async with mapper(colour, server) as pipeline:
        outputs = pipeline.map(values(10**9), chunk_size=10)
        if hasattr(outputs, "__aiter__"):
            await anext(outputs)
        else:
            next(outputs)
    assert server.status == "cancelled"
    assert not [one for one in threading.enumerate() if one.name.startswith("longshore-")]


async def test_a_full_buffer_is_waited_out(colour: Any) -> None:
    server = FakePipelines()
    refused = 0

    def full(request: httpx.Request) -> httpx.Response | None:
        nonlocal refused
        if request.method == "POST" and request.url.path.endswith("/chunks") and refused < 3:
            refused += 1
            told = {"code": "buffer_full", "message": "x", "details": {"retry_after_s": 0.01}}
            return httpx.Response(429, json=told)
        return None

    server.mishap = full
    async with mapper(colour, server, retries=0) as pipeline:
        assert len(await gather(pipeline.map(values(100), chunk_size=10))) == 100
    assert refused == 3


async def test_lost_answers_cost_nothing(colour: Any) -> None:
    server = FakePipelines()
    lost = 0

    def lose(request: httpx.Request) -> httpx.Response | None:
        nonlocal lost
        if "/bp_1/" in request.url.path and server.random.random() < 0.4:
            lost += 1
            path = request.url.path.removeprefix("/or_1/api/v4/batch")
            server._answer(request, path)
            raise httpx.ReadError("reset", request=request)
        return None

    server.mishap = lose
    async with mapper(colour, server, retries=10) as pipeline:
        outputs = await gather(pipeline.map(values(1_000), chunk_size=10))
    assert outputs == [{"double": value * 2} for value in range(1_000)]
    assert lost > 0


async def test_a_pipeline_that_somebody_cancels_is_told(colour: Any) -> None:
    server = FakePipelines()

    def cancelled(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/chunkresults"):
            server.ready.clear()
            server.status = "cancelled"
        return None

    server.mishap = cancelled
    async with mapper(colour, server) as pipeline:
        with pytest.raises(Conflict, match="was cancelled"):
            await gather(pipeline.map(values(100)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk_size": 0}, "chunk_size is 0"),
        ({"in_flight": 0}, "in_flight is 0"),
        ({"size": 5}, "no option 'size'"),
        ({"on_error": "shrug"}, "on_error is 'shrug'"),
        ({"resume": True}, "give to="),
    ],
)
async def test_options_that_make_no_sense_are_refused(
    colour: Any, options: dict[str, Any], message: str
) -> None:
    server = FakePipelines()
    async with mapper(colour, server) as pipeline:
        with pytest.raises(InvalidRequest, match=message):
            await gather(pipeline.map(values(5), **options))
    assert server.requests == []


async def test_a_server_that_is_away_for_good_is_told(
    colour: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("_async", "_sync"):
        monkeypatch.setattr(f"longshore.sdk.{kind}.pipelines_flow.OUTAGE_S", 0.0)
    server = FakePipelines()

    def away(request: httpx.Request) -> httpx.Response | None:
        if "/bp_1/" in request.url.path:
            raise httpx.ConnectError("refused", request=request)
        return None

    server.mishap = away
    async with mapper(colour, server, retries=0) as pipeline:
        with pytest.raises(ServerUnreachable):
            await gather(pipeline.map(values(10)))


async def test_an_async_iterable_is_for_the_async_client(colour: Any) -> None:
    async def source() -> AsyncIterator[dict[str, Any]]:
        for record in values(200):
            await asyncio.sleep(0)
            yield record

    async with mapper(colour, FakePipelines()) as pipeline:
        if colour is AsyncClient:
            outputs = await gather(pipeline.map(source(), chunk_size=10))
            assert outputs == [{"double": value * 2} for value in range(200)]
        else:
            with pytest.raises(InvalidRequest, match="need AsyncClient"):
                await gather(pipeline.map(source()))


async def test_outputs_come_while_the_input_waits(colour: Any) -> None:
    """The second record is there only once the output of the first was seen."""
    seen = threading.Event()

    def source() -> Iterator[dict[str, Any]]:
        yield {"value": 1}
        assert seen.wait(20)
        yield {"value": 2}

    async def awaited() -> AsyncIterator[dict[str, Any]]:
        yield {"value": 1}
        await asyncio.to_thread(seen.wait, 20)
        yield {"value": 2}

    async with mapper(colour, FakePipelines()) as pipeline:
        found = []
        if colour is AsyncClient:
            async for output in pipeline.map(awaited(), chunk_size=1):
                found.append(output)
                seen.set()
        else:
            for output in pipeline.map(source(), chunk_size=1):
                found.append(output)
                seen.set()
    assert found == [{"double": 2}, {"double": 4}]
