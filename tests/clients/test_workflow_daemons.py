"""The published daemons, `workflow audit` and `workflow transfer`."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import eventually
from tests.clients.workflow_client import Console, Workspace, run_command, running

WEEK_S = 7 * 86_400.0
SEEN_WITHIN_S = 20.0


def ended(console: Console, pipeline: str, status: str = "success", **fields: Any) -> str:
    """Deposit a work, withdraw it and report its end; return its id."""
    work_id = console.deposit(pipeline, **fields)
    work = console.withdraw(pipeline)
    assert work is not None
    assert work["id"] == work_id
    work.set(status=status, results={"snr": 1.0} if status == "success" else None)
    assert work.update() is True
    return work_id


def transfer(workspace: Workspace, *options: str) -> subprocess.CompletedProcess[str]:
    """Let the transfer daemon go round once."""
    done = run_command(workspace, "transfer", "--test-mode", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[int, int]:
    """Return how many works moved to the results, and how many were deleted."""
    (line,) = [line for line in done.stdout.splitlines() if "Transfer Outcome" in line]
    moved, deleted = re.findall(r": (\d+)", line[line.index("{") :])
    return int(moved), int(deleted)


def buckets_and_results(console: Console, pipeline: str) -> tuple[int, int]:
    status = console.results.status()
    return console.buckets.status(pipeline)["total"], status.get(pipeline, 0)


def _equal(look: Callable[[], object], expected: object) -> bool:
    return look() == expected


class TestAudit:
    def test_one_round_counts_what_it_did(self, console: Console, workspace: Workspace) -> None:
        again = ended(console, "p", "failure")
        ended(console, "p", "failure", retries=1)
        console.deposit("p", creation=time.time() - 8 * 86_400.0)
        done = run_command(workspace, "audit", "--test-mode")
        assert done.returncode == 0, done.stdout + done.stderr
        assert console.look(again)["status"] == "queued"

    def test_the_daemon_brings_failed_and_expired_works_back(
        self, console: Console, workspace: Workspace, tmp_path: Path
    ) -> None:
        ids = [ended(console, "p", "failure"), console.deposit("q", timeout=1)]
        assert console.withdraw("q") is not None
        log = tmp_path / "audit.log"
        with running(workspace, ["audit", "--sleep", "1"], log):
            eventually(
                lambda: all(console.look(work_id)["status"] == "queued" for work_id in ids),
                SEEN_WITHIN_S,
                "both works are queued again",
            )
        assert "'expired': 1" in log.read_text("utf-8")


class TestTransfer:
    def test_nothing_to_transfer_is_no_error(self, workspace: Workspace) -> None:
        assert outcome(transfer(workspace)) == (0, 0)

    def test_successes_move_to_the_results(self, console: Console, workspace: Workspace) -> None:
        work_id = ended(console, "p")
        before = console.look(work_id)
        assert outcome(transfer(workspace)) == (1, 1)
        assert buckets_and_results(console, "p") == (0, 1)
        assert console.results.get_by_id("p", [work_id]) == [before]

    def test_a_work_that_wants_no_archive_is_only_deleted(
        self, console: Console, workspace: Workspace
    ) -> None:
        ended(console, "p", config={"archive": {"results": False}})
        assert outcome(transfer(workspace)) == (0, 1)
        assert buckets_and_results(console, "p") == (0, 0)

    def test_a_workspace_without_archive_deletes_all(
        self, console: Console, workspace: Workspace
    ) -> None:
        ended(console, "p")
        settings = json.loads(workspace.path.read_text("utf-8"))
        settings["config"]["archive"]["results"] = False
        workspace.path.write_text(json.dumps(settings), "utf-8")
        assert outcome(transfer(workspace)) == (0, 1)
        assert buckets_and_results(console, "p") == (0, 0)

    @pytest.mark.parametrize("archive", [True, False])
    def test_failures_follow_when_their_tries_are_used_up(
        self, console: Console, workspace: Workspace, archive: bool
    ) -> None:
        config = {"archive": {"results": archive}}
        used_up = ended(console, "p", "failure", retries=1, config=config)
        left = ended(console, "p", "failure", retries=2, config=config)
        assert outcome(transfer(workspace)) == (int(archive), 1)
        assert [work["id"] for work in console.buckets.view({}, {})] == [left]
        kept = [work["id"] for work in console.results.get_by_count("p")]
        assert kept == ([used_up] if archive else [])

    def test_stale_works_are_deleted_whatever_their_state(
        self, console: Console, workspace: Workspace
    ) -> None:
        old = time.time() - WEEK_S - 60
        console.deposit("p", creation=old)
        assert console.withdraw("p") is not None
        console.deposit("p", creation=old)
        fresh = console.deposit("p")
        assert outcome(transfer(workspace)) == (0, 2)
        assert [work["id"] for work in console.buckets.view({}, {})] == [fresh]

    def test_the_cutoff_can_be_set(self, console: Console, workspace: Workspace) -> None:
        console.deposit("p", creation=time.time() - 120)
        assert outcome(transfer(workspace, "--cutoff=3600")) == (0, 0)
        assert outcome(transfer(workspace, "--cutoff=60")) == (0, 1)

    def test_a_round_takes_as_many_as_its_limit(
        self, console: Console, workspace: Workspace
    ) -> None:
        for _ in range(3):
            ended(console, "p")
        assert outcome(transfer(workspace, "--limit=2")) == (2, 2)
        assert buckets_and_results(console, "p") == (1, 2)

    def test_a_round_of_more_than_a_hundred_deletes_in_parts(
        self, console: Console, workspace: Workspace
    ) -> None:
        given = console.work(pipeline="p", creation=time.time() - WEEK_S - 60).payload
        console.buckets.deposit([given] * 230)
        assert outcome(transfer(workspace, "--limit=300")) == (0, 230)
        assert buckets_and_results(console, "p") == (0, 0)

    def test_a_round_that_broke_off_after_its_deposit_is_made_good(
        self, console: Console, workspace: Workspace
    ) -> None:
        first, second = ended(console, "p"), ended(console, "p")
        console.results.deposit([console.look(first)])
        assert outcome(transfer(workspace)) == (1, 2)
        assert buckets_and_results(console, "p") == (0, 2)
        kept = {work["id"] for work in console.results.get_by_count("p")}
        assert kept == {first, second}

    def test_the_daemon_goes_round_again_and_again(
        self, console: Console, workspace: Workspace, tmp_path: Path
    ) -> None:
        with running(workspace, ["transfer", "--sleep=1"], tmp_path / "transfer.log"):
            for expected in ((0, 1), (0, 2)):
                ended(console, "p")
                seen = partial(buckets_and_results, console, "p")
                eventually(partial(_equal, seen, expected), SEEN_WITHIN_S, "the success has moved")
