"""The tutorial of script workflows, followed to the letter."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server
from tests.acceptance.scripts import Dispatcher

PAGE = Path(__file__).resolve().parents[2] / "docs/tutorials/script-workflows.md"


class Reader:
    """Somebody who does what the page says, in a directory."""

    def __init__(self, server: Server, directory: Path) -> None:
        self._text = PAGE.read_text("utf-8")
        self._server = server
        self._directory = directory

    def write(self, path: str, language: str, words: str) -> None:
        """Put the block that has these words into a file."""
        blocks = re.findall(rf"^```{language}\n(.*?)^```", self._text, re.M | re.S)
        (block,) = (block for block in blocks if words in block)
        (self._directory / path).write_text(block, "utf-8")

    def type(self, heading: str) -> list[subprocess.CompletedProcess[str]]:
        """Type the commands below a heading, one after the other."""
        section = self._text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        lines = re.findall(r"^\$ (longshore .*)$", section, re.M)
        inherited = {name: text for name, text in os.environ.items() if "LONGSHORE" not in name}
        known = {"LONGSHORE_URL": self._server.url, "LONGSHORE_KEY": self._server.key}
        return [
            subprocess.run(
                [sys.executable, "-m", *shlex.split(line)],
                cwd=self._directory, env={**inherited, **known, "COLUMNS": "200"},
                capture_output=True, text=True, timeout=60, check=False,
            )
            for line in lines
            if not line.startswith(("longshore up", "longshore worker"))
        ]  # fmt: skip


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    with Harbour(tmp_path) as harbour:
        server = harbour.server(worker=True, slots=2)
        server._arguments += ["--worker-host", "quay", "--scripts", str(scripts)]
        made = Reader(server, tmp_path)
        made.write("scripts/collect.py", "python", "harbour")
        made.write("scripts/judge.py", "python", "hihgest")
        made.write("scripts/warn.py", "python", "step.once")
        made.write("tide.yaml", "yaml", "workflow: tide")
        server.start()
        yield made
        server.stop()


@pytest.mark.slow
def test_the_tutorial_of_script_workflows_works(reader: Reader, tmp_path: Path) -> None:
    validated, applied, posted = reader.type("Start it")
    assert (validated.returncode, applied.returncode) == (0, 0), validated.stderr + applied.stderr
    assert posted.returncode == 1
    judge = tmp_path / "scripts/judge.py"
    judge.write_text(judge.read_text("utf-8").replace("hihgest", "highest"), "utf-8")
    status, logs, rerun, _ = reader.type("Mend what failed")
    for words in (r"collect +finished", r"judge +failed", r"warn +skipped"):
        assert re.search(words, status.stdout), status.stdout
    assert "KeyError: 'hihgest'" in logs.stdout, logs.stderr
    assert rerun.returncode == 0, rerun.stderr
    user = Dispatcher(reader._server)
    user.finish(1)
    again, south, low = reader.type("Send it again")
    assert [each.returncode for each in (again, south, low)] == [0, 0, 0], low.stderr
    assert re.search(r"\brun 1\b", again.stdout + again.stderr)
    assert user.steps(2) == {"collect": "finished", "judge": "finished", "warn": "finished"}
    assert user.steps(3) == {"collect": "finished", "judge": "finished", "warn": "skipped"}
    printed = [user.http.get(f"/coreauto/v1/runs/{run}/logs").text for run in (1, 2)]
    user.close()
    assert ["water is coming" in text for text in printed] == [True, False]
    tide = tmp_path / "tide.yaml"
    schedule = re.findall(r"^```yaml\n(  schedules:.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    tide.write_text(
        tide.read_text("utf-8").replace("triggers:\n", f"triggers:\n{schedule[0]}"), "utf-8"
    )
    ended = reader.type("Let the clock start it")
    assert [each.returncode for each in ended] == [0] * 4, [each.stderr for each in ended]
    assert "30 6 * * *" in ended[0].stdout
    assert "Europe/Berlin" in ended[2].stdout
