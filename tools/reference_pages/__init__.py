"""What writes the pages of docs/reference, one module for each kind of source."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = ROOT / "docs" / "reference"
HEADER: Final = (
    "<!-- Written by tools/reference.py from {source}. Change that and run `make docs`. -->\n\n"
)


def page(source: str, lines: Iterable[str]) -> str:
    """Return the text of a page, below the note that says what it was made from."""
    text = "\n".join(line.rstrip() for line in lines)
    return HEADER.format(source=source) + re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


def cell(text: str | None) -> str:
    """Return a text as it can stand in a cell of a table."""
    return " ".join((text or "").split()).replace("|", "\\|")


def documented_members(path: Path, class_name: str) -> dict[str, str]:
    """Return the strings below the members of a class, by the member's name."""
    found: dict[str, str] = {}
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for member, follower in itertools.pairwise(node.body):
                if isinstance(member, ast.Assign) and isinstance(follower, ast.Expr):
                    target, text = member.targets[0], follower.value
                    if isinstance(target, ast.Name) and isinstance(text, ast.Constant):
                        found[target.id] = str(text.value)
    return found


def documented_constants(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the constants of a module that have a string right below them, with that string."""
    body = ast.parse(path.read_text("utf-8")).body
    for node, follower in itertools.pairwise(body):
        if isinstance(node, ast.AnnAssign):
            target: ast.expr = node.target
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
        else:
            continue
        if (
            isinstance(target, ast.Name)
            and isinstance(follower, ast.Expr)
            and isinstance(follower.value, ast.Constant)
            and isinstance(follower.value.value, str)
        ):
            yield target.id, follower.value.value
