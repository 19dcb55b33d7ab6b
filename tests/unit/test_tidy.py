"""Style that can be a test is a test: one pass over all files, errors collected, one assertion.

The limits are a ratchet: they may be lowered, never raised. A file that cannot keep to them wants
to be two files.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60

CODE_FOLDERS = ("src", "tests", "tools", "examples", "benchmarks")
TEXT_FOLDERS = (*CODE_FOLDERS, "docs", ".ci")
TEXT_SUFFIXES = {".py", ".md", ".yml", ".toml", ".sh", ".txt", ".css", ".mako", ".ini", ""}
REQUIRED_FILES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "constraints.txt",
    "mkdocs.yml",
    ".ci/run",
    "src/longshore/py.typed",
)
SPEAKING_PACKAGES = (
    "",
    "access",
    "cli",
    "edge",
    "engine",
    "sdk",
    "server",
    "storage",
    "surfaces",
    "surfaces/apps",
    "wire",
    "worker",
)
"""Packages whose docstring is where a reader starts."""

# What is forbidden, where, and what to do instead. The patterns are put together from pieces, so
# that this file does not contain what it forbids.
BANNED: tuple[tuple[str, str, str], ...] = (
    (r"\bFIX" + r"ME\b", "", "mend it now, or open an issue"),
    (r"\bTO" + r"DO\b", "", "do it now, or open an issue"),
    (r"\bXX" + r"X\b", "", "say in a sentence what is wrong"),
    (r"^<{7} |^>{7} |^={7}$", "", "resolve the merge conflict"),
    (
        r"time\." + r"sleep\(",
        "tests",
        "poll with a deadline, wait for an event, or use ManualClock",
    ),
    (r"\bas" + r"yncio\.sleep\((?!0\))\d{2,}", "tests", "wait for an event instead"),
    # The buckets protocol has paths below /work, which end in a verb.
    (r"(?<![\w./-])/(?:work|root|home)/(?!withdraw|renew)", "", "name no path of one machine"),
    (r"(?<![\w./-])/tm" + r"p\b", "src", "ask tempfile for a directory"),
    (r"index-" + r"url|/simp" + r"le/|fi" + r"le:///", "", "name no package index"),
    (r"\bimport pick" + r"le\b|\bpick" + r"le\.loads?\b", "", "use JSON or msgspec"),
    (r"^\s*pri" + r"nt\(", "src/longshore", "log it, or return it; only the command line writes"),
)
MAY_PRINT = "src/longshore/cli/"
FOREIGN_PROGRAMS = "tests/clients/programs/"
"""Written by others for the published clients; they run as they are."""
MIGRATIONS = "src/longshore/storage/migrations/versions/"
"""A migration is one list of statements, in order; cutting it up would hide the order."""


def _text_files() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if _is_text(path))
    for folder in TEXT_FOLDERS:
        yield from (path for path in (ROOT / folder).rglob("*") if _is_text(path))


def _is_text(path: Path) -> bool:
    hidden = any(part in {"__pycache__", "site", "data", "vendor"} for part in path.parts)
    return path.is_file() and path.suffix in TEXT_SUFFIXES and not hidden and path.name != "LICENSE"


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _banned_words(path: Path, text: str) -> Iterator[str]:
    name = _name(path)
    if name.startswith(FOREIGN_PROGRAMS):
        return
    for pattern, folder, instead in BANNED:
        if not name.startswith(folder) or (name.startswith(MAY_PRINT) and "nt\\(" in pattern):
            continue
        for match in re.finditer(pattern, text, re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{name}:{line}: {match.group().strip()!r} is banned: {instead}"


def _shape(path: Path, text: str) -> Iterator[str]:
    if text and not text.endswith("\n"):
        yield f"{_name(path)}: the last line does not end"
    if path.suffix != ".py":
        return
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{_name(path)}: {lines} lines, {FILE_LINES_MAX} are allowed: make it two modules"
    if _name(path).startswith(MIGRATIONS):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield (
                    f"{_name(path)}:{node.lineno}: {node.name} has {length} lines, "
                    f"{FUNCTION_LINES_MAX} are allowed: move a step into a function of its own"
                )


def _missing_files() -> Iterator[str]:
    yield from (f"{name}: is missing" for name in REQUIRED_FILES if not (ROOT / name).is_file())


def _silent_packages() -> Iterator[str]:
    for package in SPEAKING_PACKAGES:
        path = ROOT / "src/longshore" / package / "__init__.py"
        if not path.is_file() or not ast.get_docstring(ast.parse(path.read_text("utf-8"))):
            yield f"{_name(path)}: a package says in its docstring what it is for"


def test_the_tree_is_tidy() -> None:
    errors = [*_missing_files(), *_silent_packages()]
    seen = 0
    for path in _text_files():
        text = path.read_text("utf-8")
        errors += [*_banned_words(path, text), *_shape(path, text)]
        seen += 1
    assert not errors, "\n".join(["", *sorted(errors)])
    assert seen > len(REQUIRED_FILES), "the pass has seen the tree"


def test_the_pass_finds_what_it_forbids() -> None:
    path = ROOT / "src/longshore/made_up.py"
    long_function = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX
    assert list(_banned_words(path, "# FIX" + "ME later\n"))
    assert list(_banned_words(path, "pri" + "nt(1)\n"))
    assert list(_banned_words(ROOT / "tests/unit/test_x.py", "time.sl" + "eep(1)\n"))
    assert not list(_banned_words(ROOT / "src/longshore/cli/x.py", "pri" + "nt(1)\n"))
    assert list(_shape(path, long_function))
    assert list(_shape(path, "x = 1\n" * (FILE_LINES_MAX + 1)))
    assert not list(_shape(path, "x = 1\n"))
