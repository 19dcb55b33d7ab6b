from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from longshore.corpus.progress import Progress, duration
from tests.unit.corpus_server import RUN
from tests.unit.corpus_worker_rig import Program, program, server

__all__ = ["program", "server"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7_500, "2 h 5 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_where_there_is_no_terminal_the_log_says_how_far_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO), Progress(400, every_s=0) as progress:
        progress.update(100, 2, 400)
        progress.update(400, 2, 400)
    first, last = [record.message for record in caplog.records]
    assert first.startswith("Done 100 of 400 elements, ")
    assert "left, 2 failed" in first
    assert "left" not in last


def test_the_log_does_not_say_it_all_the_time(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), Progress(None) as progress:
        for done in range(100):
            progress.update(done, 0, None)
    assert caplog.records == []


@pytest.mark.parametrize("slots", ["1", "2"])
def test_on_a_terminal_there_is_a_bar_below_the_log(
    program: Program, tmp_path: Path, slots: str
) -> None:
    ids = program.server.add(3)
    path = tmp_path / "toy.py"
    path.write_text(
        "from longshore import ElementsWorker\n"
        "class Toy(ElementsWorker):\n"
        "    def process_element(self, element):\n"
        "        pass\n"
        "Toy().run()\n"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, str(path), "--slots", slots, "--element", *ids],
        env={
            **os.environ,
            "ARKINDEX_API_URL": program.server.url,
            "ARKINDEX_WORKER_RUN_ID": RUN,
            "XDG_DATA_HOME": str(tmp_path),
            "TERM": "xterm",
            "COLUMNS": "120",
        },
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = _all(ours)
    assert process.returncode == 0, shown
    assert "Elements" in shown
    assert "3/3" in shown
    assert "/s" in shown
    for index, element_id in enumerate(ids, start=1):
        line = (
            f"INFO/longshore.corpus: Processing page {element_id[-4:]} ({element_id}) ({index}/3)"
        )
        assert line in shown.replace("\r\n", "")


def _all(descriptor: int) -> str:
    """Read what a terminal shows until its program ends."""
    read = b""
    try:
        while piece := os.read(descriptor, 1 << 16):
            read += piece
    except OSError:
        pass  # the way of Linux to say that nobody is there any more
    os.close(descriptor)
    return read.decode()
