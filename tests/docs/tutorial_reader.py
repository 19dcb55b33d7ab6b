"""Somebody who does what a tutorial says, in a directory, with a real server and its worker."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.harness import Server

ROOT = Path(__file__).resolve().parents[2]


class Reader:
    """A page, and the directory in which it is followed."""

    def __init__(self, page: str, server: Server, directory: Path) -> None:
        self.text = (ROOT / "docs/tutorials" / page).read_text("utf-8")
        self.server = server
        self.directory = directory

    def block(self, words: str, language: str = "python") -> str:
        """Return the block that has these words."""
        blocks = re.findall(rf"^```{language}\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL)
        (found,) = (block for block in blocks if words in block)
        return str(found)

    def write(self, path: str, words: str) -> Path:
        """Put the block that has these words into a file."""
        place = self.directory / path
        place.write_text(self.block(words), "utf-8")
        return place

    def python(self, path: str) -> str:
        """Run a program and return what it printed."""
        return self.run(sys.executable, path).stdout

    def type(
        self, heading: str, change: Callable[[str], str] = str
    ) -> list[subprocess.CompletedProcess[str]]:
        """Type the commands below a heading, one after the other, but those that start something.

        `change` is asked about each line when its turn has come: ids on the page are not ours.
        """
        section = self.text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        assert section, f"there is no heading {heading!r}"
        lines = re.findall(r"^\$ (.*)$", section, re.MULTILINE)
        return [
            self.run(*self._words(change(line)))
            for line in lines
            if not line.startswith(("longshore up", "longshore worker"))
        ]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of the command line beside the others."""
        return subprocess.Popen(
            [sys.executable, "-m", "longshore", *arguments],
            cwd=self.directory, env=self._environment(), text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _words(self, line: str) -> list[str]:
        words = shlex.split(line)
        return [sys.executable, "-m", *words] if words[0] == "longshore" else words

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command, and return what came of it."""
        return subprocess.run(
            words,
            cwd=self.directory, env=self._environment(), capture_output=True, text=True,
            timeout=90, check=False,
        )  # fmt: skip

    def longshore(self, *arguments: str) -> str:
        """Run a command of the command line that is not on the page; return its output."""
        return self.run(sys.executable, "-m", "longshore", *arguments).stdout

    def _environment(self) -> dict[str, str]:
        inherited = {name: text for name, text in os.environ.items() if "LONGSHORE" not in name}
        known = {"LONGSHORE_URL": self.server.url, "LONGSHORE_KEY": self.server.key}
        return {**inherited, **known, "COLUMNS": "200"}
