"""`longshore workflow simulate`, `forecast` and `order` against a real server, on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.cli.workflow_planning import length_text, order_of, throttles_of
from longshore.errors import InvalidRequest
from longshore.storage import Database
from tests.surfaces.sdk_server import Served, running
from tests.unit.serving import bearer

Command = Callable[..., tuple[int, str, str]]

NIGHT = """
workflow: nightly
steps:
  load:   {host: loading, command: ["true"], expected_s: 300}
  clean:  {host: loading, command: ["true"], expected_s: 60}
  count:  {host: loading, command: ["true"], expected_s: 60}
  report: {host: office, command: ["true"], expected_s: 30, depends_on: [clean, count]}
"""


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


@pytest.fixture
def run_id(served: Served) -> str:
    """Apply the workflow and start it; nobody serves its hosts."""
    with httpx.Client(
        base_url=f"{served.url}/coreauto/v1", headers=bearer(served.first.token), timeout=60
    ) as client:
        for host in ("loading", "office"):
            assert client.put(f"/hosts/{host}", json={}).is_success
        assert client.post("/workflows", json={"text": NIGHT}).is_success
        return str(client.post("/workflows/nightly/runs", json={}).json()["id"])


@pytest.fixture
def longshore(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("LONGSHORE_URL", served.url)
    monkeypatch.setenv("LONGSHORE_KEY", served.first.token)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["longshore", "workflow", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_throttles_are_tried_and_the_knee_is_marked(longshore: Command, run_id: str) -> None:
    code, out, err = longshore("simulate", "nightly", "--throttles", "1..3", "--host", "office=1")
    assert code == ExitCode.OK, err
    rows = [line.split() for line in out.splitlines()[2:5]]
    assert [row[:3] for row in rows] == [
        ["1", "7:30", "min"],
        ["2", "5:00", "min"],
        ["3", "5:00", "min"],
    ]
    assert rows[1][-1] == "knee"
    assert "Knee: 2, the lowest throttle whose makespan is within 5 %" in out
    assert "4 steps have no history yet: a guess." in err
    assert "Assumed: holds are ignored" in err
    assert "longest chain 5:00 min" in out
    code, out, _ = longshore("simulate", "--run", run_id, "--throttles", "2", "--json")
    assert code == ExitCode.OK
    told = json.loads(out)
    assert (told["run_id"], told["trials"][0]["makespan_s"]) == (int(run_id), 300.0)


def test_a_run_whose_hosts_nobody_serves_has_no_end_in_sight(
    longshore: Command, run_id: str
) -> None:
    code, out, err = longshore("forecast", run_id)
    assert code == ExitCode.OK, err
    assert "no end in sight as it stands" in out.splitlines()[0]
    assert "Nothing runs on host loading: no worker serves it." in err
    assert [line.split()[0] for line in out.splitlines()[2:]] == [
        "load",
        "clean",
        "count",
        "report",
    ]
    code, out, _ = longshore("forecast", run_id, "--json")
    assert json.loads(out)["critical_path"] == ["load"]


def test_the_order_is_switched_and_what_it_was_is_said(longshore: Command, run_id: str) -> None:
    code, out, err = longshore("order", run_id, "local:Report", "--reason", "needed at noon")
    assert (code, err) == (ExitCode.OK, "")
    assert out == f"Run {run_id}: order local to report (before: order global)\n"
    code, out, _ = longshore("forecast", run_id, "--json")
    assert json.loads(out)["critical_path"] == ["clean", "count", "report"]
    assert longshore("order", run_id, "global")[0] == ExitCode.OK
    code, _, err = longshore("order", run_id, "local:raport")
    assert (code, "did you mean report?" in err) == (ExitCode.USAGE, True)


def test_what_cannot_be_meant_is_refused_before_a_server_is_asked(
    longshore: Command, run_id: str
) -> None:
    for arguments in (
        ("simulate",),
        ("simulate", "nightly", "--run", run_id),
        ("simulate", "nightly", "--throttles", "8..1"),
        ("simulate", "nightly", "--throttles", "0..4"),
        ("simulate", "nightly", "--throttles", "many"),
        ("simulate", "nightly", "--throttles", "1..90000"),
        ("simulate", "nightly", "--host", "office"),
        ("simulate", "nightly", "--order", "local"),
        ("order", run_id, "first"),
    ):
        code, out, err = longshore(*arguments)
        assert (code, out) == (ExitCode.USAGE, ""), arguments
        assert err.startswith("longshore: ")
    assert longshore("simulate", "daily")[0] == ExitCode.NOT_FOUND
    assert longshore("forecast", "99999")[0] == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    ("text", "throttles"), [("1..3", [1, 2, 3]), ("8,2", [2, 8]), ("4", [4]), ("1..2,2", [1, 2])]
)
def test_throttles_are_ranges_or_lists(text: str, throttles: list[int]) -> None:
    assert throttles_of(text) == throttles


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.0, "0.0 s"), (59.94, "59.9 s"), (60.0, "1:00 min"), (3_723.4, "1:02:03 h")],
)
def test_lengths_are_written_for_people(seconds: float | None, text: str) -> None:
    assert length_text(seconds) == text


def test_an_order_is_global_or_local_to_a_step() -> None:
    assert order_of("global") == {"path": "global"}
    found: dict[str, Any] = order_of("local:a:b")
    assert found == {"path": "local", "step": "a:b"}
    with pytest.raises(InvalidRequest, match="no order"):
        order_of("global:step")
