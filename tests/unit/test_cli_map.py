"""`longshore map` on a server in memory: options, messages and exit codes."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from longshore.cli import map as command
from longshore.cli.main import main
from tests.unit import sdk_support
from tests.unit.pipelines_server import FakePipelines
from tests.unit.pipelines_support import lines_of

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server() -> FakePipelines:
    return FakePipelines()


@pytest.fixture
def run(
    server: FakePipelines,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        command, "open_client", lambda _: sdk_support.client(sdk_support.Client, server)
    )

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["longshore", "map", "shop/double", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


def rows(path: Path, *lines: str) -> str:
    path.write_text("\n".join(["value,verb", *lines]))
    return str(path)


def test_a_file_is_mapped_into_a_file(run: Run, tmp_path: Path) -> None:
    source = rows(tmp_path / "in.csv", *(f"{value}," for value in range(100)))
    code, out, err = run(source, "-o", "out.jsonl", "--chunk-size", "10")
    assert (code, out) == (0, "")
    assert err.startswith("100 records, 0 failed, ")
    assert err.rstrip().endswith("records/s")
    assert lines_of(tmp_path / "out.jsonl") == [{"double": value * 2} for value in range(100)]
    code, _, err = run(source, "-o", "out.jsonl")
    assert (code, "is there already" in err) == (6, True)
    code, _, err = run(source, "-o", "out.jsonl", "--resume")
    assert (code, err) == (0, "out.jsonl is complete\n")
    code, _, err = run(source, "-o", "out.jsonl", "--overwrite")
    assert code == 0


def test_failed_records_are_left_out_kept_and_told(run: Run, tmp_path: Path) -> None:
    source = rows(tmp_path / "in.csv", "1,", "2,fail", "3,warn")
    code, _, err = run(source, "-o", "out.jsonl", "--errors", "errors.jsonl", "--index")
    assert code == 1
    assert "record 2: warning: odd" in err
    assert "3 records, 1 failed (see errors.jsonl), 1 warnings" in err
    assert lines_of(tmp_path / "out.jsonl") == [
        {"index": 0, "output": {"double": 2}},
        {"index": 2, "output": {"double": 6}},
    ]
    (failed,) = lines_of(tmp_path / "errors.jsonl")
    assert (failed["index"], failed["input"]["verb"]) == (1, "fail")
    code, _, err = run(source, "-o", "other.jsonl", "--stop-on-error")
    assert code == 1
    assert "Record 1 has an error: this record is bad" in err
    assert "go on with --resume" in err


def test_streams_are_mapped(
    run: Run, server: FakePipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.service = lambda record: {"sum": record["value"] + record["rate"]}
    given = SimpleNamespace(buffer=io.BytesIO(b'{"value": 1}\n{"value": 2}\n'))
    monkeypatch.setattr(sys, "stdin", given)
    code, out, err = run("-", "-p", "rate=2.5")
    assert (code, err.startswith("2 records, 0 failed")) == (0, True)
    assert [json.loads(line)["sum"] for line in out.splitlines()] == [3.5, 4.5]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.csv", "-o", "out.jsonl"], 1, "none.csv: No such file"),
        (["in", "-o", "out.jsonl"], 2, "no ending that says what is in it"),
        (["in.csv", "-o", "out.parquet"], 2, "writes JSONL or CSV"),
        (["in.csv", "-p", "rate", "-o", "out.jsonl"], 2, "is not NAME=VALUE"),
        (["in.csv", "--resume"], 2, "for an output that is a file"),
        (["in.csv", "--chunk-size", "0", "-o", "out.jsonl"], 2, "chunk_size is 0"),
        (["in.csv", "--format", "xml", "-o", "out.jsonl"], 2, "format 'xml'"),
    ],
)
def test_mistakes_are_told_and_change_nothing(
    run: Run, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    for name in ("in.csv", "in"):
        rows(tmp_path / name, "1,")
    found, out, err = run(*arguments)
    assert (found, out) == (code, ""), err
    assert message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "in.csv"]
