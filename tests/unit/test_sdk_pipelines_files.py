"""Maps from files and into files, and how they are resumed, on a server in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.errors import ConfigurationError, Conflict, InvalidRequest
from longshore.sdk import MapSummary
from tests.unit.pipelines_server import FakePipelines
from tests.unit.pipelines_support import lines_of, mapper, names_in, values, with_a_bad_one
from tests.unit.sdk_support import COLOURS, gather, settle

LOCKING = """
import sys
from longshore.errors import Conflict
from longshore.sdk._journal import Journal
from longshore.sdk._targets import Target
journal = Journal(service="x", parameters="", source=None, layout="jsonl")
try:
    Target(sys.argv[1], journal, errors=None, resume=False, overwrite=True)
except Conflict:
    sys.exit(7)
"""
pytestmark = pytest.mark.parametrize("colour", COLOURS)


async def test_jsonl_csv_and_tsv_files_are_read(colour: Any, tmp_path: Path) -> None:
    lines = tmp_path / "in.jsonl"
    lines.write_bytes(b'\xef\xbb\xbf{"value": 1}\r\n\n  {"value": 2}\n{"value": 3}')
    commas = tmp_path / "in.csv"
    commas.write_text('value,verb\n1,\n2,"a ""b"""\n\n3,007\n', encoding="utf-8-sig")
    tabs = tmp_path / "in.TSV"
    tabs.write_text("value\tverb\n1.5\ttrue\n")
    seen: list[Any] = []

    def keep(record: dict[str, Any]) -> dict[str, Any]:
        seen.append(record)
        return {}

    async with mapper(colour, FakePipelines(keep)) as pipeline:
        for path in (lines, str(commas), tabs):
            await gather(pipeline.map(path))
    assert seen == [
        *({"value": 1}, {"value": 2}, {"value": 3}),
        *({"value": 1, "verb": None}, {"value": 2, "verb": 'a "b"'}, {"value": 3, "verb": "007"}),
        {"value": 1.5, "verb": True},
    ]


async def test_lines_that_are_no_json_are_named(colour: Any, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"value": 1}\n{"value": }\n')
    async with mapper(colour, FakePipelines()) as pipeline:
        with pytest.raises(InvalidRequest, match=r"no JSON.*begins with '{\"value\": }'"):
            await gather(pipeline.map(path))
        with pytest.raises(InvalidRequest, match="no ending"):
            await gather(pipeline.map(tmp_path / "in"))
        with pytest.raises(FileNotFoundError):
            await gather(pipeline.map(tmp_path / "none.csv"))


async def test_outputs_are_written_to_a_file_in_order(colour: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    async with mapper(colour, FakePipelines()) as pipeline:
        summary = await settle(pipeline.map(values(1_000), to=out, chunk_size=10))
    assert isinstance(summary, MapSummary)
    assert (summary.records, summary.failed, summary.resumed) == (1_000, 0, 0)
    assert lines_of(out) == [{"double": value * 2} for value in range(1_000)]
    assert names_in(tmp_path) == ["out.jsonl"]


async def test_csv_is_written_with_an_index(colour: Any, tmp_path: Path) -> None:
    out, errors = tmp_path / "out.csv", tmp_path / "errors.jsonl"
    async with mapper(colour, FakePipelines()) as pipeline:
        await settle(
            pipeline.map(
                with_a_bad_one(20, 3), to=out, errors=errors, on_error="skip", indexed=True
            )
        )
    assert out.read_text().splitlines()[:5] == ["index,double", "0,0", "1,2", "2,4", "4,8"]
    (failed,) = lines_of(errors)
    assert (failed["index"], failed["input"]) == (3, {"value": 3, "verb": "fail"})


async def test_a_file_that_is_there_is_not_overwritten_by_chance(
    colour: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("mine\n")
    server = FakePipelines()
    async with mapper(colour, server) as pipeline:
        with pytest.raises(Conflict, match="is there already"):
            await settle(pipeline.map(values(5), to=out))
        assert server.created == 0
        summary = await settle(pipeline.map(values(5), to=out, resume=True))
        assert (summary.records, server.created) == (0, 0), "without a journal it is complete"
        assert out.read_text() == "mine\n"
        await settle(pipeline.map(values(5), to=out, overwrite=True))
    assert len(lines_of(out)) == 5


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("forgotten", [False, True])
async def test_an_interrupted_run_is_resumed(
    colour: Any, tmp_path: Path, ordered: bool, forgotten: bool
) -> None:
    """The server goes away in the middle; it may also have forgotten the pipeline after that."""
    out = tmp_path / "out.jsonl"
    server = FakePipelines()
    server.pull_most = 3
    pulls = 0

    def away(request: httpx.Request) -> httpx.Response | None:
        nonlocal pulls
        pulls += request.url.path.endswith("/chunkresults")
        return httpx.Response(400, json={"message": "gone"}) if pulls > 12 else None

    server.mishap = away
    options: dict[str, Any] = {"chunk_size": 10, "ordered": ordered, "to": out}
    async with mapper(colour, server, retries=0) as pipeline:
        with pytest.raises(InvalidRequest, match="gone"):
            await settle(pipeline.map(values(1_000), **options))
    assert (tmp_path / "out.jsonl.journal").exists()
    assert server.status == "in_progress"
    computed = len(server.sizes)
    server.mishap = lambda _: None
    if forgotten:
        server.chunks, server.ready, server.delivered = {}, [], {}
        server.status = "closed_by_timeout"
        server.held = 0
    with out.open("a") as file:
        file.write('{"half a li')
    async with mapper(colour, server) as pipeline:
        with pytest.raises(Conflict, match="the parameters are"):
            await settle(pipeline.map(values(1_000), **options, resume=True, parameters={"a": 1}))
        summary = await settle(pipeline.map(values(1_000), **options, resume=True))
    found = lines_of(out)
    assert (found if ordered else sorted(found, key=lambda one: one["double"])) == [
        {"double": value * 2} for value in range(1_000)
    ]
    assert (summary.records, server.created) == (1_000, 2 if forgotten else 1)
    if not forgotten:
        assert len(server.sizes) == 100 >= computed, "no chunk was computed twice"
    assert names_in(tmp_path) == ["out.jsonl"]


async def test_another_input_is_not_taken_for_the_one_before(colour: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    server = FakePipelines()

    def away(request: httpx.Request) -> httpx.Response | None:
        gone = request.url.path.endswith("/chunkresults")
        return httpx.Response(400, json={"message": "gone"}) if gone else None

    server.mishap = away
    async with mapper(colour, server, retries=0) as pipeline:
        with pytest.raises(InvalidRequest, match="gone"):
            await settle(pipeline.map(values(100), to=out, chunk_size=10))
        server.mishap = lambda _: None
        others = [{"value": value + 1} for value in range(100)]
        with pytest.raises(InvalidRequest, match="not those that were pushed before"):
            await settle(pipeline.map(others, to=out, resume=True, chunk_size=10))
        with pytest.raises(InvalidRequest, match="The input ends at record 5"):
            await settle(pipeline.map(values(5), to=out, resume=True, chunk_size=10))


async def test_an_output_that_another_program_writes_is_left_alone(
    colour: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    server = FakePipelines()

    def meanwhile(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/chunkresults"):
            entered.append(subprocess.run([sys.executable, "-c", LOCKING, str(out)], check=False))
        return None

    entered: list[Any] = []
    server.mishap = meanwhile
    async with mapper(colour, server) as pipeline:
        await settle(pipeline.map(values(5), to=out))
    assert {one.returncode for one in entered} == {7}
    assert len(lines_of(out)) == 5


async def test_parquet_needs_its_package(
    colour: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    async with mapper(colour, FakePipelines()) as pipeline:
        with pytest.raises(ConfigurationError, match="pip install pyarrow"):
            await gather(pipeline.map(path))


async def test_parquet_files_are_read(colour: Any, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "in.parquet"
    parquet.write_table(pyarrow.table({"value": list(range(50))}), path)
    async with mapper(colour, FakePipelines()) as pipeline:
        outputs = await gather(pipeline.map(path))
    assert outputs == [{"double": value * 2} for value in range(50)]
