"""The published worker, `workflow run`: what becomes of each kind of work."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import eventually
from tests.clients.workflow_client import Console, Workspace, run_command, running

FUNCTIONS = "workflow_functions"
ENDS_WITHIN_S = 30.0


def run(
    workspace: Workspace, *options: str, lives: int = 1, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a worker of the site `local` for so many lives; the bucket is `p` unless one is named."""
    buckets = [] if any(not option.startswith("-") for option in options) else ["p"]
    fixed = ["--site=local", f"--lives={lives}", "--sleep=1"]
    done = run_command(workspace, "run", *fixed, *options, *buckets, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        pytest.param(
            {"function": f"{FUNCTIONS}.search", "parameters": {"dm": 332.7}},
            {"status": "success", "results": {"dm": 332.7, "snr": 1.0}},
            id="a function that returns a dict",
        ),
        pytest.param(
            {"function": f"{FUNCTIONS}.number", "parameters": {"value": 5}},
            {"status": "success", "results": None},
            id="a function that returns something else",
        ),
        pytest.param(
            {"function": f"{FUNCTIONS}.search", "parameters": {"dm": 1}, "results": {"old": 2}},
            {"status": "success", "results": {"old": 2, "dm": 1, "snr": 1.0}},
            id="a function whose work has results already",
        ),
        pytest.param(
            {
                "function": f"{FUNCTIONS}.command",
                "parameters": {"alpha": 0.5, "name": ["a", "b"], "loud": True},
            },
            {"status": "success", "results": {"alpha": 0.5, "name": ["a", "b"], "loud": True}},
            id="a Click command as function",
        ),
        pytest.param(
            {"function": f"{FUNCTIONS}.fail", "parameters": {"why": "no data"}},
            {"status": "failure", "results": None},
            id="a function that raises",
        ),
        pytest.param(
            {"function": "nowhere.to_be.found"},
            {"status": "failure", "results": None},
            id="a function that cannot be imported",
        ),
        pytest.param(
            {"command": ["printf", "%s\n", "a b", "c"]},
            {
                "status": "success",
                "results": {
                    "args": ["printf", "%s\n", "a b", "c"],
                    "stdout": ["a b", "c"],
                    "stderr": [],
                    "returncode": 0,
                },
            },
            id="a command",
        ),
        pytest.param(
            {"command": ["echo one; echo two >&2"]},
            {
                "status": "success",
                "results": {
                    "args": "echo one; echo two >&2",
                    "stdout": ["one"],
                    "stderr": ["two"],
                    "returncode": 0,
                },
            },
            id="a command line for the shell",
        ),
        pytest.param(
            {"command": ["false", "--now"]},
            {"status": "failure", "results": None},
            id="a command that fails",
        ),
        pytest.param(
            {"command": ["no-such-command", "--now"]},
            {"status": "failure", "results": None},
            id="a command that is not there",
        ),
        pytest.param(
            {"command": ["sleep", "30"], "timeout": 1},
            {"status": "failure", "results": None},
            id="a command that takes too long",
        ),
    ],
)
def test_the_outcome_of_a_work_is_recorded(
    console: Console, workspace: Workspace, fields: dict[str, Any], outcome: dict[str, Any]
) -> None:
    work_id = console.deposit("p", **fields)
    done = run(workspace)
    work = console.look(work_id)
    assert {name: work[name] for name in outcome} == outcome, done.stdout
    assert (work["attempt"], work["products"], work["plots"]) == (1, None, None)
    assert work["stop"] >= work["start"] > 0


def test_a_work_without_function_and_command_says_what_it_lacks(
    console: Console, workspace: Workspace
) -> None:
    work_id = console.deposit("p")
    run(workspace)
    work = console.look(work_id)
    assert work["status"] == "failure"
    assert "neither function or command" in work["results"]["error"]


def test_products_and_plots_are_archived_and_recorded_where_they_lie(
    console: Console, workspace: Workspace
) -> None:
    archive = {"archive": {"products": "copy", "plots": "move"}}
    parameters = {"name": "waterfall"}
    work_id = console.deposit(
        "p", function=f"{FUNCTIONS}.plot", parameters=parameters, config=archive
    )
    run(workspace)
    work = console.look(work_id)
    assert work["status"] == "success"
    assert work["results"] == {"name": "waterfall"}
    ((product,), (picture,)) = (work["products"], work["plots"])
    assert re.search(rf"/workflow/\d{{8}}/p/{work_id}/waterfall.csv$", product)
    assert Path(product).read_text("utf-8") == "dm,snr"
    assert Path(picture).read_text("utf-8") == "a plot"
    assert (workspace.home / "waterfall.csv").exists(), "it was copied"
    assert not (workspace.home / "waterfall.svg").exists(), "it was moved"


def test_a_function_can_be_given_the_whole_work(console: Console, workspace: Workspace) -> None:
    work_id = console.deposit("p", function=f"{FUNCTIONS}.whole", tags=["t"])
    run(workspace, "--argsource=work")
    work = console.look(work_id)
    assert (work["status"], work["results"]) == ("success", {"tags": ["t"], "attempt": 1})


def test_a_static_function_runs_instead_of_what_the_work_names(
    console: Console, workspace: Workspace
) -> None:
    work_id = console.deposit("p", command=["false"], parameters={"dm": 7})
    run(workspace, f"--function={FUNCTIONS}.search")
    work = console.look(work_id)
    assert (work["status"], work["results"]) == ("success", {"dm": 7, "snr": 1.0})


def test_a_static_command_runs_instead_of_what_the_work_names(
    console: Console, workspace: Workspace
) -> None:
    work_id = console.deposit("p", function=f"{FUNCTIONS}.fail", parameters={"why": "x"})
    run(workspace, "--command=echo static")
    work = console.look(work_id)
    assert (work["status"], work["results"]["stdout"]) == ("success", ["static"])


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (["--tag=x", "--tag=y"], {"tags": ["y"]}),
        (["--event=8", "--event=9"], {"event": [7, 9]}),
        (["--parent=P"], {"config": {"parent": "P"}}),
        ([], {"site": "local"}),
    ],
    ids=["tags", "events", "parents", "site"],
)
def test_a_worker_takes_only_what_its_options_name(
    console: Console, workspace: Workspace, options: list[str], fields: dict[str, Any]
) -> None:
    search: dict[str, Any] = {"function": f"{FUNCTIONS}.search", "parameters": {"dm": 1}}
    other_fields = {"site": "chime", "tags": ["z"], "event": [1], "config": {"parent": "Q"}}
    named = fields.keys() & other_fields.keys()
    other = console.deposit("p", **search, **{name: other_fields[name] for name in named})
    wanted = console.deposit("p", **search, **fields, priority=1)
    run(workspace, *options)
    assert console.look(wanted)["status"] == "success"
    run(workspace, *options)
    assert console.look(other)["status"] == "queued"


def test_a_worker_lives_as_often_as_it_is_told_and_serves_several_buckets(
    console: Console, workspace: Workspace
) -> None:
    search = {"function": f"{FUNCTIONS}.search", "parameters": {"dm": 1}}
    ids = [console.deposit(name, **search, priority=5 - n) for n, name in enumerate("pqp")]
    run(workspace, "p", "q", lives=2)
    assert [console.look(work_id)["status"] for work_id in ids] == ["success", "success", "queued"]


def test_a_worker_without_work_ends_after_its_lives(console: Console, workspace: Workspace) -> None:
    done = run(workspace, lives=2)
    assert "error" not in done.stdout.lower()
    assert console.buckets.pipelines() == []


def test_a_failed_work_is_run_again_after_an_audit_until_its_tries_are_used_up(
    console: Console, workspace: Workspace
) -> None:
    work_id = console.deposit("p", function=f"{FUNCTIONS}.fail", parameters={"why": "x"}, retries=2)
    for attempt, failed in ((1, 1), (2, 0)):
        run(workspace)
        work = console.look(work_id)
        assert (work["status"], work["attempt"]) == ("failure", attempt)
        assert console.buckets.audit()["failed"] == failed
    run(workspace)
    assert console.look(work_id)["attempt"] == 2


def test_a_stopped_worker_finishes_the_work_in_hand(
    console: Console, workspace: Workspace, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    fields = {"function": f"{FUNCTIONS}.wait_for", "parameters": {"path": str(gate)}}
    work_id, later = console.deposit("p", **fields), console.deposit("p", **fields)
    log = tmp_path / "worker.log"
    with running(workspace, ["run", "p", "--site=local", "--sleep=1"], log) as process:
        eventually(Path(f"{gate}.begun").exists, ENDS_WITHIN_S, "the function runs")
        process.send_signal(signal.SIGTERM)
        gate.touch()
        assert process.wait(ENDS_WITHIN_S) == 0
    assert console.look(work_id)["results"] == {"waited": True}
    assert console.look(later)["status"] == "queued"


def test_a_function_past_its_time_is_still_taken_while_nobody_else_has_the_work(
    console: Console, workspace: Workspace
) -> None:
    # The published worker stops no function: its success arrives when the time is over.
    fields = {"function": f"{FUNCTIONS}.dawdle", "parameters": {"seconds": 2}, "timeout": 1}
    work_id = console.deposit("p", **fields)
    run(workspace)
    work = console.look(work_id)
    assert (work["status"], work["results"]) == ("success", {"slept": 2})
