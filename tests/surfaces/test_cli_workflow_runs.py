"""`longshore workflow run|runs|status|...`, `why` and `logs` of runs, against a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.storage import Database
from tests.surfaces.sdk_server import Served, running
from tests.unit.serving import bearer

Command = Callable[..., tuple[int, str, str]]
FILE = """
workflow: nightly
steps:
  extract: {command: [extract], host: host1, area: feed}
  load: {command: [load], host: host1, depends_on: [extract]}
"""


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


@pytest.fixture
def api(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=served.url, headers=bearer(served.first.token), timeout=60
    ) as client:
        yield client


@pytest.fixture
def longshore(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("LONGSHORE_URL", served.url)
    monkeypatch.setenv("LONGSHORE_KEY", served.first.token)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["longshore", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def _worker(api: httpx.Client) -> tuple[str, list[int]]:
    body = {"name": "w", "slots": 2, "incarnation": "one", "host": {"name": "host1"}}
    told = api.post("/longshore/v1/worker/register", json=body).json()
    return told["worker_id"], told["queues"]


def _run_step(api: httpx.Client, worker: tuple[str, list[int]], outcome: str = "success") -> str:
    """Claim the one step that is ready, print a line, and report its end; return its name."""
    body: dict[str, Any] = {"worker_id": worker[0], "queues": worker[1], "limit": 5}
    (work,) = api.post("/longshore/v1/worker/claim", json=body).json()["works"]
    place = {"work_id": work["work_id"], "attempt": work["attempt"]}
    name = str(work["payload"]["step"])
    line = {**place, "at_us": 0, "stream": "stdout", "text": f"this is {name}"}
    api.post("/longshore/v1/worker/logs", json={"worker_id": worker[0], "lines": [line]})
    report = {
        **place,
        "outcome": outcome,
        "result": {"exit_code": 0 if outcome == "success" else 1},
    }
    answer = api.post(
        "/longshore/v1/worker/report", json={"worker_id": worker[0], "reports": [report]}
    )
    assert answer.json()["lost"] == []
    return name


def test_an_operator_starts_watches_and_repairs_a_run(
    longshore: Command, api: httpx.Client, tmp_path: Path
) -> None:
    worker = _worker(api)
    (tmp_path / "nightly.yaml").write_text(FILE)
    assert longshore("workflow", "apply", str(tmp_path / "nightly.yaml"))[0] == ExitCode.OK
    code, printed, _ = longshore(
        "workflow", "run", "nightly", "--payload", '{"n": 1}', "--date", "2026-03-04", "--json"
    )
    assert code == ExitCode.OK
    run_id = str(json.loads(printed)["id"])
    code, printed, _ = longshore("workflow", "status", run_id)
    assert "2026-03-04: running" in printed
    assert "waits for extract" in printed
    assert longshore("workflow", "show", run_id)[1] == printed
    code, printed, _ = longshore("why", f"{run_id}/load")
    assert printed.strip() == f"load of run {run_id}, waiting: waits for extract"
    assert "1 worker online" in longshore("why", run_id)[1]

    code, printed, _ = longshore("workflow", "hold", run_id, "--area", "feed", "--reason", "wait")
    assert printed.strip() == "on hold: extract"
    longshore("workflow", "resume", run_id, "--area", "feed")
    assert _run_step(api, worker, "rejected") == "extract"
    code, printed, _ = longshore("workflow", "run", "nowhere")
    assert code == ExitCode.NOT_FOUND
    code, printed, problem = longshore("workflow", "status", run_id, "--follow")
    assert code == ExitCode.FAILED
    assert "extract did not succeed" in problem
    code, printed, _ = longshore("workflow", "runs", "--state", "failed")
    assert printed.splitlines()[1].split()[:4] == [run_id, "nightly", "failed", "2026-03-04"]

    code, printed, _ = longshore("workflow", "rerun", run_id)
    assert printed.strip() == f"run {run_id}: extract, load to run again"
    assert _run_step(api, worker) == "extract"
    code, printed, _ = longshore("workflow", "skip", run_id, "LOAD", "--reason", "not today")
    assert printed.strip() == "skipped: load"
    assert longshore("workflow", "status", run_id, "--follow", "--json")[0] == ExitCode.OK
    code, printed, _ = longshore("workflow", "step", run_id, "extract")
    assert [line.split()[1] for line in printed.splitlines()[2:]] == ["rejected", "success"]
    code, printed, _ = longshore("workflow", "tree", run_id, "load")
    assert [line.split()[-1] for line in printed.splitlines()[1:]] == ["finished", "skipped"]
    code, printed, _ = longshore("logs", "--follow", f"{run_id}/extract")
    assert [line.split("stdout")[1].strip() for line in printed.splitlines()] == [
        "this is extract"
    ] * 2
    assert "#2" in printed.splitlines()[1]

    code, printed, _ = longshore("workflow", "delete", run_id)
    assert printed.strip() == f"run {run_id}: deleted"
    assert longshore("workflow", "status", run_id)[0] == ExitCode.NOT_FOUND


def test_a_run_is_rerun_as_a_whole_forced_and_cancelled(
    longshore: Command, api: httpx.Client, tmp_path: Path
) -> None:
    _worker(api)
    (tmp_path / "nightly.yaml").write_text(FILE)
    longshore("workflow", "apply", str(tmp_path / "nightly.yaml"))
    first = str(json.loads(longshore("workflow", "run", "nightly", "--json")[1])["id"])
    assert longshore("workflow", "force-ok", first, "extract", "--reason", "by hand")[1] == (
        "taken for finished: extract\n"
    )
    second = longshore("workflow", "rerun", first, "--whole")[1].split()[1]
    assert longshore("workflow", "cancel", second, "--reason", "twice")[1] == (
        "cancelled: extract, load\n"
    )
    printed = longshore("workflow", "hold", "--workflow", "nightly")[1]
    assert printed.strip() == f"runs under way: {first}"
    assert "hold: workflow nightly is on hold" in longshore("why", f"{first}/load")[1]
    assert longshore("workflow", "resume", "--workflow", "nightly")[0] == ExitCode.OK
    assert longshore("workflow", "cancel", first)[0] == ExitCode.USAGE
    assert longshore("workflow", "hold")[0] == ExitCode.USAGE
    assert longshore("logs", first)[2].strip() == "Nothing was printed so far."
