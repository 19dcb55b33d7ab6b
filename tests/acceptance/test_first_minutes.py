"""README.md's commands and programs, run as they stand and in order, as a newcomer would.

Each section has a directory and a server of its own. What is installed is this very project, so a
`pip install .` is taken as done; an installation from nothing is timed by
benchmarks/first_minutes.py. What extras bring is hidden until README installs them.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.settings import child_environment

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
NEEDED = ("README.md", "LICENSE", "examples")
INSTALLED = re.compile(r"pip install '?\.(?:\[([a-z,]+)\])?'?$")
BROUGHT = {"corpus": ("PIL", "zstandard"), "ocr": ("PIL", "rapidocr")}
"""What an extra brings that the commands of README can tell."""
STAYS = {
    "longshore up": "ready in",
    "longshore worker": "serving ",
    "longshore demo all": "new work comes each second",
}
"""Commands that go on until Ctrl-C, and what they print when they are ready."""
PATIENCE_S = 180.0
PYTHON_WARNING = re.compile(r"^\S+:\d+: \w*Warning: ", re.M)
"""What Python prints; the quotes of the example have warnings of their own, about records."""
HIDDEN = """
from importlib.machinery import PathFinder
from pathlib import Path

find = PathFinder.find_spec
hidden = Path(__file__).with_name("names").read_text().split()

def without(cls, name, path=None, target=None):
    return None if name in hidden else find(name, path, target)

PathFinder.find_spec = classmethod(without)
"""


class Newcomer:
    """Types what README says, in one directory, and leaves what stays running in the background."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.printed: list[str] = []
        self._staying: list[tuple[str, subprocess.Popen[str]]] = []
        hidden = directory / "hidden"
        self._names = hidden / "names"
        hidden.mkdir()
        (hidden / "sitecustomize.py").write_text(HIDDEN)
        self._hide({name for brought in BROUGHT.values() for name in brought})
        bin_directory = str(Path(sys.executable).parent)
        environment = child_environment(
            # Any free port, so that this can run beside a server of the developer's.
            LONGSHORE_PORT="0",
            PYTHONPATH=f"{hidden}{os.pathsep}{ROOT / 'src'}",
            PYTHONWARNINGS="default",
            # Those of this project's own tests are none that a newcomer has.
            PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
            PYTEST_ADDOPTS="",
            PATH=f"{bin_directory}{os.pathsep}{os.defpath}",
            HOME=str(directory),
        )
        self._environment = {
            name: value
            for name, value in environment.items()
            if not name.startswith("LONGSHORE_") or name == "LONGSHORE_PORT"
        }

    def types(self, line: str) -> str:
        """Run a line and return what it printed; one that stays is waited for until it is ready."""
        installed = INSTALLED.match(line)
        if installed is not None:
            extras = (installed[1] or "").split(",")
            brought = {name for extra in extras if extra for name in BROUGHT[extra]}
            self._hide(set(self._names.read_text().split()) - brought)
            return ""
        mark = next((mark for head, mark in STAYS.items() if line.startswith(head)), None)
        if mark is not None:
            return self._stays(line, mark)
        done = subprocess.run(
            ["bash", "-ec", line],
            cwd=self.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return self._printed(line, done.stdout + done.stderr)

    def _hide(self, names: set[str]) -> None:
        self._names.write_text(" ".join(sorted(names)))

    def leaves(self, head: str = "") -> None:
        """Press Ctrl-C where a command that begins so runs."""
        for line, process in reversed([*self._staying]):
            if line.startswith(head):
                self._staying.remove((line, process))
                os.killpg(process.pid, signal.SIGINT)
                process.wait(30)

    def _stays(self, line: str, mark: str) -> str:
        if line.startswith("longshore up"):
            self.leaves()
        process = subprocess.Popen(
            ["bash", "-ec", f"exec {line}"],
            cwd=self.directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._staying.append((line, process))
        lines: list[str] = []
        ready = threading.Event()

        def read() -> None:
            assert process.stdout is not None
            for each in process.stdout:
                lines.append(each)
                if mark in each:
                    ready.set()
            ready.set()
            process.stdout.close()

        threading.Thread(target=read, daemon=True).start()
        assert ready.wait(PATIENCE_S), f"{line}: not ready\n{''.join(lines)}"
        assert process.poll() is None, f"{line}: ended\n{''.join(lines)}"
        return self._printed(line, "".join(lines))

    def _printed(self, line: str, text: str) -> str:
        assert not PYTHON_WARNING.search(text), f"{line} printed a warning:\n{text}"
        self.printed.append(text)
        return text


pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    made = Newcomer(tmp_path)
    yield made
    made.leaves()


def _section(heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## )", README, re.M | re.S)
    assert found is not None, heading
    return found[1]


def _commands(heading: str) -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```", _section(heading), re.M | re.S)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def _programs(heading: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", _section(heading), re.M | re.S)


def test_five_minutes(newcomer: Newcomer) -> None:
    install, up, receipts, crash = _commands("Five minutes")
    newcomer.types(install)
    banner = newcomer.types(up)
    assert re.search(r"dashboard\s+http://127\.0\.0\.1:\d+/\?code=\S+", banner)
    told = newcomer.types(receipts)
    assert re.search(r"12/12 in .* 4 need review", told)
    assert _next(told) == crash
    told = newcomer.types(_next(told))
    assert "killed 3 times · 2,000 submitted · 2,000 done · 0 lost · 0 recorded twice" in told
    why = _next(told)
    assert why.startswith("longshore why wk_")
    told = newcomer.types(why)
    assert "success" in told
    newcomer.types(_next(told))


def test_a_look_around(newcomer: Newcomer) -> None:
    newcomer.types("longshore up")
    everything, clear = _commands("Look around")
    filled = newcomer.types(everything)
    assert "apps: 2 runs" in filled
    assert "corpus: left out" in filled
    newcomer.leaves(everything)
    assert "works of buckets" in newcomer.types(clear)


def test_your_own_files(newcomer: Newcomer) -> None:
    app, program, test = _programs("Your own files")
    (newcomer.directory / "line_count.py").write_text(app)
    (newcomer.directory / "program.py").write_text(program)
    (newcomer.directory / "test_lines.py").write_text(test)
    for line in _commands("Your own files"):
        newcomer.types(line)
    assert "LICENSE" in newcomer.types("python program.py")
    newcomer.types("python -m pytest -q -p no:cacheprovider test_lines.py")


def test_a_pipeline_a_corpus_and_a_workflow(newcomer: Newcomer) -> None:
    from PIL import Image  # noqa: PLC0415

    (newcomer.directory / "scans").mkdir()
    Image.new("L", (200, 100), 255).save(newcomer.directory / "scans/letter.png")
    for line in _commands("Five APIs, one engine"):
        newcomer.types(line)
    everything = "\n".join(newcomer.printed)
    assert "9990 quoted, 10 refused" in everything
    assert "1 page and 0 lines made" in everything
    assert re.search(r"run \d+ of daily-sales .*: finished", everything)
    assert (newcomer.directory / "examples/scripts/reports.jsonl").is_file()


def _next(told: str) -> str:
    """Return the command that a command ends with."""
    found = re.findall(r"^next:\s+(longshore [^(\n]*\S)", told, re.M)
    assert found, f"no next command in\n{told}"
    return str(found[-1])
