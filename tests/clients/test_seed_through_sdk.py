"""A user's program on the SDK: batch, run, results and clean-up against real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.sdk import Client

PROGRAM = Path(__file__).parent / "programs" / "automate_with_longshore.py"
APP = '''
from __future__ import annotations

import longshore


@longshore.app("Meal Receipt", owner="Instabase", version="1.0.0")
def meal_receipt(file: longshore.InputFile) -> list[longshore.Document]:
    """Read a receipt that is a line of text."""
    merchant, total = file.read_bytes().decode().split(";")
    fields = [longshore.Field("merchant", merchant), longshore.Field("total paid", total)]
    return [longshore.Document(fields)]
'''

EXPECTED = """\
creating an empty batch
uploading two files to the batch
running the app
status: COMPLETE
file name: receipt-a.jpg
merchant: Bakery
total_paid: 12.00
---
file name: receipt-b.jpg
merchant: Café
total_paid: 3.50
---
delete batch status: COMPLETE
number of app runs: 1
delete output dir status: COMPLETE
number of app runs: 0
"""
START_S = 60.0


def _environment(data: Path, **more: str) -> dict[str, str]:
    inherited = {name: text for name, text in os.environ.items() if "LONGSHORE" not in name}
    return {**inherited, "LONGSHORE_DATA": str(data), **more}


@pytest.fixture
def data(tmp_path: Path, database_url: str) -> Iterator[Path]:
    """The data directory of a server that runs in a process of its own, with a worker."""
    directory = tmp_path / "data"
    app = tmp_path / "app.py"
    app.write_text(APP)
    log_path = tmp_path / "up.log"
    arguments = ["up", "--port", "0", "--database", database_url, "--app", str(app), "--json"]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "longshore", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(directory),
        )
        try:
            _wait_until_ready(process, directory, log_path)
            yield directory
        finally:
            process.terminate()
            assert process.wait(30) == 0, log_path.read_text()


def _wait_until_ready(process: subprocess.Popen[bytes], data: Path, log_path: Path) -> None:
    """Wait until the server answers and its worker is online."""
    pause = threading.Event()
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        assert process.poll() is None, log_path.read_text()
        stored = data / "credentials.json"
        if stored.exists() and '"ready"' in log_path.read_text():
            known = json.loads(stored.read_text())
            with Client(known["url"], known["key"]) as client:
                if any(worker.online for worker in client.workers.list()):
                    return
        pause.wait(0.1)
    raise AssertionError(f"not ready within {START_S:.0f} s:\n{log_path.read_text()}")


@pytest.fixture
def receipts(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "receipt-1.jpg", tmp_path / "receipt-2.jpg"]
    for path, text in zip(paths, ["Bakery;12.00", "Café;3.50"], strict=True):
        path.write_text(text, encoding="utf-8")
    return [str(path) for path in paths]


def _run(
    data: Path, receipts: list[str], directory: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAM), *receipts],
        cwd=directory,
        env=_environment(data, PYTHONIOENCODING="utf-8", **environment),
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )


@pytest.mark.slow
def test_a_program_is_refused_with_a_wrong_key_and_runs_to_its_end_with_the_right_one(
    data: Path, receipts: list[str], tmp_path: Path
) -> None:
    url = json.loads((data / "credentials.json").read_text())["url"]
    refused = _run(data, receipts, tmp_path, LONGSHORE_URL=url, LONGSHORE_KEY="ls_wrong_key")
    assert refused.returncode == 1
    assert refused.stderr == "ERROR: SDK not authorized. Is the API key correct?\n"
    done = _run(data, receipts, tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == (EXPECTED, "", 0)
