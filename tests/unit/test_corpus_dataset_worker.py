from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.corpus_server import CORPUS, TASK, ProtocolServer, Reply, uuid
from tests.unit.corpus_worker_rig import Program, program, server

__all__ = ["program", "server"]

LETTERS, MAPS = uuid(50), uuid(60)

ARCHIVES = """
class Toy(DatasetWorker):
    def process_set(self, set):
        archive = self.downloaded_dataset_artifact
        print("set", set.name, set.dataset.id, archive and archive.read_bytes())
        if set.name in os.environ.get("FAIL", "").split():
            raise ValueError("no text")
"""

EXPORTS = """
class Toy(DatasetWorker):
    uses_exports = True

    def process_set(self, dataset_set):
        path = dataset_set.dataset.downloaded_export
        print(dataset_set.name, path.read_bytes(), path)
"""


def _dataset(dataset_id: str, **changes: Any) -> dict[str, Any]:
    made = {"id": dataset_id, "name": "Letters", "state": "complete"}
    return {**made, "task_id": TASK, "corpus_id": CORPUS, **changes}


@pytest.fixture(autouse=True)
def archives(server: ProtocolServer, program: Program, tmp_path: Path) -> None:
    """Let the process have two sets of one dataset and one of another, with archives."""
    server.process["mode"] = "dataset"
    program.write(ARCHIVES)
    (tmp_path / "extras").mkdir()
    sets(server, ("train", _dataset(LETTERS)), ("test", _dataset(LETTERS)), ("all", _dataset(MAPS)))
    server.answers["ListArtifacts"] = lambda *_: [
        {"id": uuid(80), "path": "other.tar.zst"},
        {"id": uuid(81), "path": f"{LETTERS}.tar.zst"},
        {"id": uuid(82), "path": f"{MAPS}.tar.zst"},
    ]
    server.answers["DownloadArtifact"] = lambda arguments, _: Reply(200, arguments["path"].encode())


def sets(server: ProtocolServer, *found: tuple[str, dict[str, Any]]) -> None:
    results = [{"set_name": name, "dataset": dataset} for name, dataset in found]
    page = {"count": len(results), "number": 1, "next": None, "results": results}
    server.answers["ListProcessSets"] = lambda *_: page


def test_the_archive_of_a_dataset_is_downloaded_once_for_its_sets(
    program: Program, tmp_path: Path
) -> None:
    ended = program.run("--extras-dir", str(tmp_path / "extras"))
    assert ended.code == 0, ended
    assert ended.output.splitlines() == [
        f"set train {LETTERS} b'{LETTERS}.tar.zst'",
        f"set test {LETTERS} b'{LETTERS}.tar.zst'",
        f"set all {MAPS} b'{MAPS}.tar.zst'",
    ]
    assert program.server.names().count("DownloadArtifact") == 2
    assert list((tmp_path / "extras").iterdir()) == []
    assert "Processing Set (train) from Dataset" in ended.errors
    assert "Ran on 3 sets: 3 completed, 0 failed" in ended.errors


def test_an_archive_that_is_there_is_used_and_kept(program: Program, tmp_path: Path) -> None:
    sets(program.server, ("train", _dataset(LETTERS)))
    archive = tmp_path / "extras" / f"{LETTERS}.tar.zst"
    archive.write_text("mine")
    ended = program.run("--extras-dir", str(tmp_path / "extras"))
    assert ended.code == 0, ended
    assert archive.read_text() == "mine"
    assert "DownloadArtifact" not in program.server.names()


def test_a_set_that_fails_does_not_stop_the_others(program: Program, tmp_path: Path) -> None:
    ended = program.run("--extras-dir", str(tmp_path / "extras"), FAIL="train test")
    assert ended.code == 0, ended
    assert "Failed running worker on Set (train) from" in ended.errors
    assert "Ran on 3 sets: 1 completed, 2 failed" in ended.errors
    ended = program.run("--extras-dir", str(tmp_path / "extras"), FAIL="train test all")
    assert (ended.code, list((tmp_path / "extras").iterdir())) == (1, [])


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (_dataset(LETTERS, state="building"), "its dataset state should be Complete"),
        (_dataset(uuid(99)), "The dataset compressed archive artifact was not found."),
        (_dataset(LETTERS, task_id=None), "ValueError"),
    ],
)
def test_a_dataset_that_cannot_be_had_fails_its_set(
    program: Program, tmp_path: Path, dataset: dict[str, Any], message: str
) -> None:
    sets(program.server, ("train", dataset))
    ended = program.run("--extras-dir", str(tmp_path / "extras"))
    assert (ended.code, ended.output) == (1, ""), ended
    assert message in ended.errors


def test_without_sets_there_is_nothing_to_do(program: Program) -> None:
    sets(program.server)
    ended = program.run()
    assert (ended.code, "No sets to process, stopping." in ended.errors) == (1, True)


def test_a_download_that_breaks_off_leaves_nothing(program: Program, tmp_path: Path) -> None:
    sets(program.server, ("train", _dataset(LETTERS)))
    program.server.answers["DownloadArtifact"] = lambda *_: Reply(404, {"detail": "gone"})
    ended = program.run("--extras-dir", str(tmp_path / "extras"))
    assert ended.code == 1
    assert "An API error occurred while processing Set (train)" in ended.errors
    assert list((tmp_path / "extras").iterdir()) == []


def test_exports_are_started_once_for_each_dataset(program: Program) -> None:
    server = program.server
    sets(
        server,
        ("train", _dataset(LETTERS, state="open")),
        ("test", _dataset(LETTERS, state="open")),
    )
    export = {"id": uuid(90), "state": "done", "created": "2026-01-01T00:00:00Z"}
    page = {"count": 1, "number": 1, "next": None, "results": [export]}
    server.answers["StartExport"] = lambda *_: Reply(201, export)
    server.answers["ListExports"] = lambda *_: page
    server.answers["DownloadExport"] = lambda *_: Reply(200, b"SQLite")
    program.write(EXPORTS)
    ended = program.run()
    assert ended.code == 0, ended
    train, test = (line.split() for line in ended.output.splitlines())
    assert (train[:2], test[:2]) == (["train", "b'SQLite'"], ["test", "b'SQLite'"])
    assert train[2] == test[2]
    assert not Path(train[2]).exists()
    assert server.bodies("StartExport") == [{"dataset_id": LETTERS}]
    assert server.names().count("DownloadExport") == 1


def test_a_signal_ends_the_run_after_the_set(program: Program, tmp_path: Path) -> None:
    program.write(
        ARCHIVES
        + """
        sys.stdout.flush()
        while not pathlib.Path("go").exists():
            threading.Event().wait(0.02)
"""
    )
    process = program.start("--extras-dir", str(tmp_path / "extras"))
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith("set train")
    process.send_signal(signal.SIGTERM)
    # Only a process that ends without having stopped ends the lines.
    assert any("stopping after the current element" in line for line in process.stderr)
    (tmp_path / "go").touch()
    ended = program.end(process)
    assert ended.code == -signal.SIGTERM
    assert "Ran on 1 set: 1 completed, 0 failed" in ended.errors
    assert list((tmp_path / "extras").iterdir()) == []
