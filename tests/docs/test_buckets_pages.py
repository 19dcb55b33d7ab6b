"""The programs of the tutorial on buckets run as they are printed, with a real worker."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.sdk import Client
from longshore.settings import child_environment
from longshore.storage import Database
from tests.surfaces.sdk_server import Served, running

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs/tutorials/work-buckets.md"
MOVE = ROOT / "docs/how-to/move-from-workflow-core.md"


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


def program(page: Path, holding: str) -> str:
    """Return the one Python block of a page that holds a text."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    (found,) = [block for block in blocks if holding in block]
    return str(found)


def python(served: Served, directory: Path, *arguments: str) -> str:
    """Run Python in a directory, with the server in its environment; return what it prints."""
    environment = child_environment(
        LONGSHORE_URL=served.url, LONGSHORE_KEY=served.first.token, PYTHONPATH=""
    )
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_the_tutorial_on_buckets_runs(served: Served, tmp_path: Path) -> None:
    directory = tmp_path / "tutorial"
    directory.mkdir()
    (directory / "pulses.py").write_text(program(TUTORIAL, "@longshore.function"))
    (directory / "deposit.py").write_text(program(TUTORIAL, "random.gauss"))
    (directory / "collect.py").write_text(program(TUTORIAL, "projection="))
    (directory / "by_hand.py").write_text(program(TUTORIAL, "heartbeat"))
    assert "12 works deposited" in python(served, directory, "deposit.py")
    # One of the twelve fails, and the clock of this server does not let its pause end.
    python(served, directory, "-m", "longshore", "worker", "pulses.py", "--lives", "12")
    with Client(served.url, served.first.token) as client:
        assert client.buckets.status("pulses")["success"] == 11
        (failed,) = client.buckets.view({"status": "failure"}, {"event": 1, "longshore": 1})
    assert failed["event"] == [7]
    assert failed["longshore"]["error"]["type"] == "StatisticsError"
    lines = python(served, directory, "collect.py").splitlines()
    assert lines == [f"[{n}] [{n * 50}]" for n in range(4, 12) if n != 7]
    assert "{'square': 4}" in python(served, directory, "by_hand.py")


@pytest.mark.slow
def test_the_example_finds_the_pulses_of_a_night(served: Served, tmp_path: Path) -> None:
    example = ROOT / "examples/pulses"
    environment = child_environment(LONGSHORE_URL=served.url, LONGSHORE_KEY=served.first.token)
    with subprocess.Popen(
        [sys.executable, "-m", "longshore", "worker", str(example / "pulses.py"), "--lives", "30"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as worker:
        try:
            lines = python(served, tmp_path, str(example / "night.py"), "night-1").splitlines()
            worker.wait(60)
        finally:
            worker.kill()
    assert lines[-11].endswith("30 of 30 searched")
    assert [int(line.split(":")[0].removeprefix("recording")) for line in lines[-10:]] == list(
        range(0, 30, 3)
    )


def test_a_program_moves_over_by_its_import(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", program(MOVE, "from longshore import Work")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "created\n", "")
