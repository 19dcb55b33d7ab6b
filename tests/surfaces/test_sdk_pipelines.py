"""The SDK's pipelines on a real server, with a worker that speaks the worker's protocol.

Each test runs on both databases and so in both colours.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.errors import BufferFull, Conflict, NotFound
from longshore.sdk import RecordFailed, create_chunks
from longshore.storage import Database
from tests.surfaces.pipelines_rig import NAME, OFFER, computed
from tests.surfaces.sdk_server import Served, running
from tests.unit.pipelines_support import lines_of, names_in
from tests.unit.sdk_support import COLOURS, close, gather, settle

PAUSE_S = 0.02


class Worker:
    """Computes whatever is there, in a thread, until it is told to rest or to stop."""

    def __init__(self, served: Served) -> None:
        headers = {"Authorization": f"Bearer {served.first.token}"}
        self._http = httpx.Client(base_url=served.url, headers=headers, timeout=30.0)
        body = {
            "name": "worker",
            "slots": 2,
            "incarnation": secrets.token_hex(8),
            "services": [OFFER],
        }
        answer = self._ask("register", body)
        self._about = {"worker_id": answer["worker_id"], "queues": answer["queues"]}
        self.awake = threading.Event()
        self.awake.set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self.awake.set()
        self._thread.join()
        self._http.close()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self.awake.wait()
            found = self._ask("claim", {**self._about, "limit": 16})["works"]
            reports = [
                {
                    "work_id": each["work_id"],
                    "attempt": each["attempt"],
                    "outcome": "success",
                    "result": computed(each),
                }
                for each in found
            ]
            if reports:
                body = {"worker_id": self._about["worker_id"], "reports": reports}
                self._ask("report", body)
            else:
                self._stopping.wait(PAUSE_S)

    def _ask(self, verb: str, body: dict[str, Any]) -> Any:
        answer = self._http.post(f"/longshore/v1/worker/{verb}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


@pytest.fixture
def worker(served: Served) -> Iterator[Worker]:
    made = Worker(served)
    yield made
    made.close()


@pytest.fixture
async def client(served: Served, worker: Worker) -> AsyncIterator[Any]:
    # The colours are made from one another, so that each needs only one of the databases here.
    colour = COLOURS[served.database.dialect == "postgresql"]
    used = colour(served.url, served.first.token)
    yield used
    await close(used)


def values(count: int) -> list[dict[str, Any]]:
    return [{"value": value} for value in range(count)]


async def pulled(pipeline: Any, chunks: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < chunks:
        found += await settle(pipeline.pull(wait_s=5))
    return found


async def test_chunks_are_pushed_and_pulled(client: Any) -> None:
    pipeline = await settle(
        client.pipelines.create(NAME, correlation_id="mine", subservices=["figures"], accuracy=0.9)
    )
    assert pipeline.info.service_uri == f"{NAME}[1.0.0]"
    chunks = create_chunks(values(25), chunk_size=10)
    status = await settle(pipeline.push(chunks=chunks))
    assert (status.records_submitted, status.chunks_submitted) == (25, 3)
    rows = await settle(pipeline.push(inputs=[["value"], [100], [-1]]))
    assert rows.records_submitted == 27
    results = {result.id: result for result in await pulled(pipeline, 4)}
    outputs = [output for chunk in chunks for output in results.pop(chunk.id or "").outputs]
    assert outputs == [{"doubled": value * 2} for value in range(25)]
    (columnar,) = results.values()
    assert columnar.outputs[:2] == [["doubled"], [200]]
    assert columnar.errors[1][0]["message"] == "negative"
    info = await settle(pipeline.get_info())
    assert (info.correlation_id, info.summary.records_failed) == ("mine", 1)
    assert info.configuration["acceptable_error_percentage"] == 10
    described = await settle(client.pipelines.describe())
    assert [one.id for one in described.in_progress] == [pipeline.id]
    await settle(pipeline.dispose())
    with pytest.raises(Conflict):
        await settle(client.pipelines.of(pipeline.id).push(inputs=values(1)))
    described = await settle(client.pipelines.describe())
    assert [one.id for one in described.recent] == [pipeline.id]


async def test_what_was_pulled_can_be_had_again_until_it_is_confirmed(client: Any) -> None:
    pipeline = await settle(client.pipelines.create(NAME))
    await settle(pipeline.push(inputs=values(3)))
    (first,) = await pulled(pipeline, 1)
    other = client.pipelines.of(pipeline.id)
    (again,) = await settle(other.pull(again=True))
    assert again == first
    await settle(other.confirm())
    assert await settle(client.pipelines.of(pipeline.id).pull(again=True)) == []
    await settle(pipeline.cancel())
    assert (await settle(pipeline.get_status())).batch_status == "cancelled"
    await settle(pipeline.delete())


async def test_near_names_are_told(client: Any) -> None:
    with pytest.raises(NotFound, match="my-folder/my-service"):
        await settle(client.pipelines.create("my-folder/my-servise"))
    with pytest.raises(NotFound):
        await gather(client.pipeline("my-folder/my-servise").map(values(3)))
    with pytest.raises(NotFound):
        await settle(client.pipelines.of("bp_none").get_status())


async def test_a_full_input_buffer_is_told_and_waited_out(
    client: Any, served: Served, worker: Worker
) -> None:
    worker.awake.clear()
    impatient = type(client)(served.url, served.first.token, retries=0)
    pipeline = await settle(impatient.pipelines.create(NAME, max_input_size=0.001))
    with pytest.raises(BufferFull) as told:  # noqa: PT012 - which push is too much is open
        for _ in range(20):
            await settle(pipeline.push(inputs=values(15)))
    assert told.value.details["pushed_bytes"] > told.value.details["input_buffer_remaining_bytes"]
    await close(impatient)
    worker.awake.set()
    mapper = client.pipeline(NAME, max_input_size=0.001)
    assert len(await gather(mapper.map(values(500), chunk_size=10))) == 500


@pytest.mark.parametrize("ordered", [True, False])
async def test_records_are_mapped(client: Any, ordered: bool) -> None:
    mapper = client.pipeline(NAME)
    found = await gather(mapper.map(iter(values(5_000)), ordered=ordered, indexed=True))
    assert (found if ordered else sorted(found)) == [
        (value, {"doubled": value * 2}) for value in range(5_000)
    ]
    status = await settle(client.pipelines.of(mapper.summary.pipeline_id).get_status())
    assert (status.batch_status, status.records_submitted) == ("completed", 5_000)
    assert (status.records_available, status.output_buffer_used_bytes) == (0, 0)


async def test_failed_records_are_in_their_place(client: Any) -> None:
    records = values(40)
    records[7]["value"] = -7
    mapper = client.pipeline(NAME)
    found = await gather(mapper.map(records, on_error="yield", chunk_size=10))
    assert isinstance(found[7], RecordFailed)
    assert (found[7].index, found[7].input) == (7, {"value": -7})
    rows = [["value"], *([record["value"]] for record in records)]
    assert len(await gather(mapper.map(rows, on_error="skip", chunk_size=10))) == 39
    with pytest.raises(RecordFailed, match="Record 7 has an error: negative"):
        await gather(mapper.map(records, chunk_size=10))


async def test_an_interrupted_run_goes_on_where_it_was(client: Any, tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out" / "out.jsonl"
    errors = tmp_path / "out" / "errors.jsonl"
    out.parent.mkdir()
    lines = [str(-value if value == 1_234 else value) for value in range(2_000)]
    source.write_text("\n".join(["value", *lines]))
    mapper = client.pipeline(NAME)
    with pytest.raises(RecordFailed, match="Record 1234"):
        await settle(mapper.map(source, to=out, chunk_size=20))
    assert names_in(out.parent) == ["out.jsonl", "out.jsonl.journal"]
    assert len(lines_of(out)) == 1_220
    summary = await settle(
        mapper.map(source, to=out, chunk_size=20, resume=True, on_error="skip", errors=errors)
    )
    expected = [{"doubled": value * 2} for value in range(2_000) if value != 1_234]
    assert lines_of(out) == expected
    assert (summary.records, summary.failed, summary.resumed) == (2_000, 1, 1_220)
    assert [line["input"] for line in lines_of(errors)] == [{"value": -1_234}]
    assert names_in(out.parent) == ["errors.jsonl", "out.jsonl"]
    found = await settle(client.pipelines.describe())
    assert [one.summary.records_submitted for one in found.recent] == [2_000], "nothing twice"
