"""Workers of corpora for the tests: plain classes with the methods that the worker looks for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import longshore
from longshore.settings import child_environment


class Base:
    """What both kinds of worker have in common with these."""

    def __init__(self, description: str = "a test") -> None:
        self.environment = child_environment()
        self.directory = Path(self.environment["PONOS_DATA"]) / "current"

    def process_element(self, element: Any) -> None:
        """Be an elements worker."""


@longshore.elements_worker(
    "describe",
    version="2.1",
    name="Describer",
    configuration={
        "configuration": {"threshold": 0.5},
        "user_configuration": {
            "language": {"title": "Language", "type": "string", "default": "fr"}
        },
        "secrets": ["models/token"],
    },
)
class Describe(Base):
    """Write down what it is given.

    And more about that.
    """

    def run(self) -> None:
        root = Path(self.environment["PONOS_DATA"])
        names = ("ARKINDEX_", "PONOS_", "TASK_", "SKIP_", "LONGSHORE_")
        listed = self.environment.get("TASK_ELEMENTS")
        described = {
            "environment": {k: v for k, v in self.environment.items() if k.startswith(names)},
            "arguments": sys.argv,
            "current": str((root / "current").readlink()),
            "tree": sorted(
                f"{path.relative_to(root)}{'@' if path.is_symlink() else ''}"
                for path in root.rglob("*")
                if not path.is_dir() or path.is_symlink()
            ),
            "texts": {
                str(path.relative_to(root)): path.read_text()
                for path in root.rglob("*.txt")
                if not path.is_symlink()
            },
            "elements": None if listed is None else json.loads(Path(listed).read_text()),
        }
        (self.directory / "described.json").write_text(json.dumps(described))
        (self.directory / "parts").mkdir()
        (self.directory / "parts" / "page 1.txt").write_text("first page")
        print("described")
        print("to stderr", file=sys.stderr)


@longshore.elements_worker("strange-files")
class StrangeFiles(Base):
    def run(self) -> None:
        (self.directory / "kept.txt").write_text("kept")
        (self.directory / "secret").symlink_to("/etc/hostname")
        (self.directory / "etc").symlink_to("/etc")
        os.mkfifo(self.directory / "pipe")
        (self.directory / "a\\b.txt").write_text("never")
        Path(os.fsdecode(os.fsencode(self.directory) + b"/\xff.txt")).write_text("never")
        closed = self.directory / "closed"
        closed.mkdir()
        (closed / "inside.txt").write_text("closed")
        closed.chmod(0o500)


@longshore.elements_worker("exit")
class Exit(Base):
    def run(self) -> None:
        print("about to exit")
        (self.directory / "left.txt").write_text("left")
        sys.exit(int((Path(self.environment["PONOS_DATA"]) / "before" / "code.txt").read_text()))


@longshore.elements_worker("raise")
class Raise(Base):
    def run(self) -> None:
        raise ValueError("no such element")


@longshore.elements_worker("killed")
class Killed(Base):
    def run(self) -> None:
        print("going down", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


@longshore.elements_worker("family")
class Family(Base):
    """Has a child, and ends by force only."""

    def run(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        print("directory", self.environment["PONOS_DATA"], flush=True)
        print("child", child.pid, flush=True)
        threading.Event().wait(600)


@longshore.elements_worker("sets")
class Sets:
    """A dataset worker."""

    def process_set(self, dataset_set: Any) -> None:
        """Be a dataset worker."""

    def run(self) -> None:
        print("no sets today")
