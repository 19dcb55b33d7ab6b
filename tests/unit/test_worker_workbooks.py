"""Workbooks in a worker: fetched once, opened once."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from longshore import workbooks
from longshore.errors import ConfigurationError, NotFound, Reject, ServerUnreachable
from longshore.wire.payloads import ChunkPayload, ChunkResult, WorkbookFile
from longshore.worker.chunks import run_chunk
from longshore.worker.registry import Registry
from longshore.worker.transport import Transport
from longshore.worker.workbooks import Compute, WorkbookFiles, record_function
from tests.unit.workbook_files import quote


class Store:
    """A server's blobs, for a worker; the given errors come first."""

    def __init__(self, content: bytes, *errors: Exception) -> None:
        self.content = content
        self.errors = list(errors)
        self.downloads = 0

    async def download(self, _blob_id: str, target: Path, **_how: Any) -> None:
        self.downloads += 1
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        self._write(target)

    def _write(self, target: Path) -> None:
        target.write_bytes(self.content)

    @property
    def transport(self) -> Transport:
        return cast("Transport", self)


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return quote(tmp_path / "quote.xlsx").read_bytes()


def file_of(content: bytes, **more: Any) -> WorkbookFile:
    names: dict[str, Any] = {"inputs": ["age", "level"], "outputs": ["premium", "note"], **more}
    digest = hashlib.sha256(content).hexdigest()
    return WorkbookFile(blob_id="bl_1", size_bytes=len(content), sha256=digest, **names)


async def test_a_file_is_fetched_once_however_many_want_it(tmp_path: Path, content: bytes) -> None:
    store, files = Store(content), WorkbookFiles(tmp_path / "books")
    wanted = [files.fetch(store.transport, file_of(content)) for _ in range(5)]
    paths = await asyncio.gather(*wanted)
    assert len(set(paths)) == 1
    assert paths[0].read_bytes() == content
    assert store.downloads == 1
    assert [path.name for path in (tmp_path / "books").iterdir()] == [paths[0].name]


async def test_a_server_that_is_away_is_waited_for(tmp_path: Path, content: bytes) -> None:
    store = Store(content, ServerUnreachable("away"))
    path = await WorkbookFiles(tmp_path / "books").fetch(store.transport, file_of(content))
    assert path.read_bytes() == content
    assert store.downloads == 2


async def test_a_file_that_is_gone_leaves_nothing_and_can_be_asked_for_again(
    tmp_path: Path, content: bytes
) -> None:
    store, files = Store(content, NotFound("gone")), WorkbookFiles(tmp_path / "books")
    with pytest.raises(NotFound):
        await files.fetch(store.transport, file_of(content))
    assert list((tmp_path / "books").iterdir()) == []
    assert (await files.fetch(store.transport, file_of(content))).exists()


def test_records_are_computed_with_the_workbook(tmp_path: Path, content: bytes) -> None:
    compute = record_function(tmp_path / "quote.xlsx", file_of(content), None)
    assert compute({"age": 20, "level": "basic"}) == {"premium": 120, "note": "high"}
    with pytest.raises(Reject, match=r"premium \(Calc!B7\) is #N/A"):
        compute({"level": "none"})


def test_a_workbook_is_opened_once_and_others_do_not_mix_with_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "quote.xlsx"
    first = record_function(path, file_of(content), None)
    again = record_function(path, file_of(content), None)
    assert first.func.__self__ is again.func.__self__  # type: ignore[attr-defined]
    other = quote(tmp_path / "other.xlsx", factor=3).read_bytes()
    tripled = record_function(tmp_path / "other.xlsx", file_of(other), None)
    assert tripled({"age": 20})["premium"] == 600
    assert first({"age": 20})["premium"] == 240


def test_a_worker_without_the_libraries_says_what_to_install(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "installed", lambda: False)
    with pytest.raises(ConfigurationError, match=r"longshore\[workbooks\]"):
        record_function(tmp_path / "quote.xlsx", file_of(content), None)


def chunk(content: bytes, inputs: list[Any], **more: Any) -> bytes:
    columnar = isinstance(inputs[0], list)
    data = {"inputs": inputs, "parameters": None, "summary": None, **more.pop("data", {})}
    payload = ChunkPayload(
        service="tariffs/quote",
        version="1.0.0",
        version_id="sv_1",
        kind="workbook",
        workbook=file_of(content),
        records=len(inputs) - columnar,
        columnar=columnar,
        data=msgspec.Raw(msgspec.json.encode(data)),
        **more,
    )
    return msgspec.json.encode(payload)


def run(tmp_path: Path, payload: bytes) -> ChunkResult:
    def compute(job: ChunkPayload) -> Compute:
        assert job.workbook is not None
        return record_function(tmp_path / "quote.xlsx", job.workbook, job.outputs)

    result = run_chunk(Registry(), payload, compute=compute)
    return msgspec.json.decode(result, type=ChunkResult)


def test_a_chunk_of_objects_is_computed_and_errors_stay_with_their_records(
    tmp_path: Path, content: bytes
) -> None:
    records = [{"age": 20}, {"level": "none"}, {"age": "old"}, {"age": 30, "id": 7}]
    result = run(tmp_path, chunk(content, records))
    assert msgspec.json.decode(result.outputs) == [
        {"premium": 240, "note": "high"}, None, None, {"premium": 200, "note": "high"},
    ]  # fmt: skip
    assert result.failed == 2
    first, second = (each[0] for each in msgspec.json.decode(result.errors)[1:3])
    assert first["message"] == "premium (Calc!B7) is #N/A; note (Calc!B8) is #N/A."
    assert second["message"].startswith("age must be a number")
    assert {first["error_category"], second["error_category"]} == {"input"}


def test_a_chunk_of_rows_is_computed_with_parameters_and_chosen_outputs(
    tmp_path: Path, content: bytes
) -> None:
    payload = chunk(
        content,
        [["id", "age"], [1, 20], [2, 40]],
        outputs=["note"],
        data={
            "parameters": {"level": "basic"},
            "summary": {"aggregation": [{"output_name": "premium", "operator": "SUM"}]},
        },
    )
    result = run(tmp_path, payload)
    assert msgspec.json.decode(result.outputs) == [["note"], ["high"], ["low"]]
    assert "220" in bytes(result.summary).decode()
