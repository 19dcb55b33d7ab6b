"""The complete program of the protocol's tutorial, run as its users run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.cli.demo.images import make_receipts
from tests.acceptance.harness import Server

PROGRAM = Path(__file__).parent / "programs" / "automate_with_sdk.py"
RECEIPTS_APP = Path(__file__).parents[2] / "examples" / "receipts" / "receipts.py"


@pytest.fixture
def receipts_server(tmp_path: Path, mark: str) -> Iterator[Server]:
    server = Server(tmp_path / "data", mark, worker=True, apps=[RECEIPTS_APP])
    server.start()
    yield server
    server.stop()
    server.close()
    assert not server.unforeseen()


def run_program(
    server: Server, receipts: list[Path], **change: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "API_ROOT": f"{server.url}/api",
        "API_KEY": server.key,
        "IB_CONTEXT": "local",
        "RECEIPT_1": str(receipts[0]),
        "RECEIPT_2": str(receipts[1]),
        **change,
    }
    return subprocess.run(
        [sys.executable, "-u", str(PROGRAM)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.slow
def test_the_tutorial_runs_to_its_end_and_cleans_up(
    receipts_server: Server, tmp_path: Path
) -> None:
    receipts = make_receipts(tmp_path / "receipts", 2, seed=7)

    done = run_program(receipts_server, [receipt.path for receipt in receipts])

    assert done.returncode == 0, done.stderr + receipts_server.tail()
    lines = done.stdout.splitlines()
    assert lines[:5] == [
        "creating an empty batch",
        "uploading two files to the batch",
        "running the app",
        "checking the app status until it finishes",
        lines[4],
    ]
    assert "status: COMPLETE" in lines
    assert "file name: receipt-a.jpg" in lines
    assert "file name: receipt-b.jpg" in lines
    # Both receipts were read: each printed total is among the values that were printed.
    values = [line.partition(": ")[2] for line in lines]
    for receipt in receipts:
        assert receipt.total in values, done.stdout
    assert "delete batch status: COMPLETE" in lines
    assert "delete output dir status: COMPLETE" in lines
    counts = [line for line in lines if line.startswith("number of app runs: ")]
    assert counts == ["number of app runs: 1", "number of app runs: 0"]


@pytest.mark.parametrize("change", [{"API_KEY": "wrong"}, {"IB_CONTEXT": "wrong"}])
def test_the_tutorial_prints_its_own_message_for_a_wrong_key_or_context(
    longshore_server: Server, change: dict[str, str]
) -> None:
    done = run_program(longshore_server, [PROGRAM, PROGRAM], **change)

    assert done.returncode == 1
    assert "ERROR: SDK not authorized." in done.stderr
