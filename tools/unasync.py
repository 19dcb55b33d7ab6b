"""Make the blocking client from the async one: longshore.sdk._async -> longshore.sdk._sync.

    python tools/unasync.py            write the files
    python tools/unasync.py --check    compare only; exit 1 when they differ

Each rule replaces whole words. A rule that nothing uses is an error, so that the list stays the
true difference between the two colours.
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

RULES: Sequence[tuple[str, str]] = (
    (r"\basync def\b", "def"),
    (r"\basync with\b", "with"),
    (r"\basync for\b", "for"),
    (r"\bawait ", ""),
    (r"\bAsync([A-Z]\w*)", r"\1"),
    (r"\basync_([a-z]\w*)", r"\1"),
    (r"\b_async\b", "_sync"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\baclose\b", "close"),
    (r"\baread\b", "read"),
    (r"\baiter_bytes\b", "iter_bytes"),
    (r"\b__aenter__\b", "__enter__"),
    (r"\b__aexit__\b", "__exit__"),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
)

SDK = Path(__file__).resolve().parent.parent / "src" / "longshore" / "sdk"


class Unasync:
    """The rules, and which of them were used."""

    def __init__(self) -> None:
        self.used: set[int] = set()

    def convert(self, text: str, source_name: str) -> str:
        """Return the blocking form of an async module, formatted."""
        for index, (pattern, replacement) in enumerate(RULES):
            text, count = re.subn(pattern, replacement, text)
            if count:
                self.used.add(index)
        notice = f"# Generated from {source_name} by tools/unasync.py; edit that file instead.\n"
        return _tidy(notice + text, source_name)

    def unused(self) -> list[str]:
        """Return the rules that nothing needed."""
        return [rule for index, (rule, _) in enumerate(RULES) if index not in self.used]


def _tidy(text: str, name: str) -> str:
    """Sort the imports and format, since names got shorter."""
    for command in (
        ["check", "--quiet", "--select=I,F401,UP028", "--fix", "--unsafe-fixes"],
        ["format", "--quiet"],
    ):
        result = subprocess.run(  # noqa: S603 - our own arguments, no shell
            [sys.executable, "-m", "ruff", *command, f"--stdin-filename={SDK / name}", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            sys.exit(f"ruff {command[0]} failed on the blocking form of {name}:\n{result.stderr}")
        text = result.stdout
    return text


def generate() -> dict[Path, str]:
    """Return the path and text of every blocking module."""
    unasync = Unasync()
    texts = {
        SDK / "_sync" / source.name: unasync.convert(
            source.read_text(encoding="utf-8"), f"_async/{source.name}"
        )
        for source in sorted((SDK / "_async").glob("*.py"))
    }
    if unused := unasync.unused():
        sys.exit(f"tools/unasync.py: nothing uses these rules, remove them: {unused}")
    return texts


def check(texts: dict[Path, str]) -> int:
    """Print how the files differ from what they should be; return the exit code."""
    present = set((SDK / "_sync").glob("*.py"))
    stale = present - texts.keys()
    different = [
        path
        for path, text in texts.items()
        if path not in present or path.read_text(encoding="utf-8") != text
    ]
    for path in sorted(stale):
        print(f"{path.relative_to(SDK)}: has no async source any more")
    for path in different:
        old = path.read_text(encoding="utf-8") if path in present else ""
        diff = difflib.unified_diff(
            old.splitlines(),
            texts[path].splitlines(),
            f"{path} (present)",
            "(generated)",
            lineterm="",
        )
        print("\n".join(diff))
    if stale or different:
        print("The blocking client is out of date: run `python tools/unasync.py`.")
        return 1
    return 0


def write(texts: dict[Path, str]) -> int:
    """Write the files and remove those without a source; return the exit code."""
    for path in set((SDK / "_sync").glob("*.py")) - texts.keys():
        path.unlink()
    for path, text in texts.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    arguments = parser.parse_args()
    return (check if arguments.check else write)(generate())


if __name__ == "__main__":
    sys.exit(main())
