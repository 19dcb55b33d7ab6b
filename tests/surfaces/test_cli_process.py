"""`longshore process` against a real server, on both databases."""

from __future__ import annotations

import json
import secrets
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
        monkeypatch.setattr("sys.argv", ["longshore", "process", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def _archive(api: httpx.Client) -> list[str]:
    """Make a corpus "archive" with two pages, and offer the worker "reader"."""
    corpus = api.post("/api/v1/corpus/", json={"name": "archive"}).json()["id"]
    kind = {"slug": "leaf", "display_name": "Leaf", "folder": False, "corpus": corpus}
    api.post("/api/v1/elements/type/", json=kind)
    register = {
        "name": "worker",
        "slots": 1,
        "incarnation": secrets.token_hex(8),
        "workers": [{"slug": "reader", "version": "1"}],
    }
    assert api.post("/longshore/v1/worker/register", json=register).status_code == 200
    made = []
    for name in ("p1", "p2"):
        body = {"type": "leaf", "name": name, "corpus": corpus}
        answer = api.post("/api/v1/elements/create/", json=body)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
    return made


def _say(api: httpx.Client, process: Any, element: str, state: str) -> None:
    run = process["workers"][0]["id"]
    body = {"element_id": element, "process_id": process["id"], "state": state}
    answer = api.put(f"/api/v1/workers/versions/{run}/activity/", json=body)
    assert answer.status_code == 200, answer.text


def test_a_process_is_made_followed_and_tried_again(longshore: Command, api: httpx.Client) -> None:
    first, second = _archive(api)
    code, out, _ = longshore(
        "create", "archive", "--worker", "reader", "--type", "leaf", "--local", "--json"
    )
    assert code == ExitCode.OK
    process = json.loads(out)
    assert process["state"] == "pending"
    _say(api, process, first, "started")
    _say(api, process, first, "processed")
    _say(api, process, second, "started")
    code, out, _ = longshore("show", process["id"])
    assert code == ExitCode.OK
    assert "2 elements: 1 started, 1 processed" in out
    assert "1 of 2 (50%)" in out
    _say(api, process, second, "error")
    code, out, err = longshore("show", process["id"], "--follow")
    assert code == ExitCode.FAILED
    assert "failed: 2 of 2 (100%), 1 with errors" in err
    code, out, _ = longshore("activities", process["id"], "--state", "error")
    assert code == ExitCode.OK
    assert "p2" in out
    assert "p1" not in out
    code, out, _ = longshore("retry", process["id"])
    assert code == ExitCode.OK
    _say(api, process, second, "started")
    _say(api, process, second, "processed")
    code, out, _ = longshore("show", process["id"], "--follow")
    assert code == ExitCode.OK
    assert "completed" in out


def test_a_process_is_listed_stopped_and_deleted(longshore: Command, api: httpx.Client) -> None:
    _archive(api)
    code, out, _ = longshore(
        "create", "archive", "--worker", "reader:1", "--type", "leaf", "--no-start",
        "--config", "scale=2", "--config", "title=a b", "--name", "first reading", "--json",
    )  # fmt: skip
    assert code == ExitCode.OK
    process = json.loads(out)
    assert process["state"] == "unscheduled"
    assert process["workers"][0]["configuration"]["configuration"] == {"scale": 2, "title": "a b"}
    code, out, _ = longshore("list", "--corpus", "archive")
    assert "first reading" in out
    assert longshore("start", process["id"])[0] == ExitCode.OK
    assert longshore("delete", process["id"])[0] == ExitCode.CONFLICT
    code, out, _ = longshore("stop", process["id"])
    assert code == ExitCode.OK
    assert "2 cancelled" in out
    assert longshore("delete", process["id"])[0] == ExitCode.OK
    assert longshore("show", process["id"])[0] == ExitCode.NOT_FOUND
    code, _, err = longshore("list")
    assert "no processes yet" in err


def test_what_cannot_be_is_refused_in_one_line(longshore: Command, api: httpx.Client) -> None:
    _archive(api)
    code, _, err = longshore("create", "archive", "--worker", "nobody", "--type", "leaf")
    assert code == ExitCode.USAGE
    assert "Known are reader" in err
    code, _, err = longshore("create", "nowhere", "--worker", "reader", "--type", "leaf")
    assert code == ExitCode.NOT_FOUND
    code, _, err = longshore("create", "archive", "--worker", "reader", "--set", "train")
    assert code == ExitCode.USAGE
    assert "DATASET:SET" in err
    code, _, err = longshore(
        "create", "archive", "--worker", "reader", "--type", "leaf", "--config", "scale"
    )
    assert code == ExitCode.USAGE
    assert "KEY=VALUE" in err


def test_the_error_of_a_task_that_failed_is_shown(longshore: Command, api: httpx.Client) -> None:
    _archive(api)
    code, out, _ = longshore("create", "archive", "--worker", "reader", "--type", "leaf", "--json")
    assert code == ExitCode.OK
    process = json.loads(out)
    registration = {
        "name": "hands",
        "slots": 1,
        "incarnation": secrets.token_hex(8),
        "workers": [{"slug": "reader", "version": "1"}],
    }
    worker = api.post("/longshore/v1/worker/register", json=registration).json()
    wanted = {"worker_id": worker["worker_id"], "queues": worker["queues"], "limit": 1}
    (work,) = api.post("/longshore/v1/worker/claim", json=wanted).json()["works"]
    report = {
        "work_id": work["work_id"],
        "attempt": work["attempt"],
        "outcome": "rejected",
        "result": {"exit_code": 3, "files": []},
        "error": {"type": "ProgramFailed", "message": "it found no model", "traceback": ""},
    }
    api.post(
        "/longshore/v1/worker/report",
        json={"worker_id": worker["worker_id"], "reports": [report]},
    ).raise_for_status()
    code, out, _ = longshore("show", process["id"])
    assert code == ExitCode.OK
    assert "ProgramFailed: it found no model" in out
