"""What changes from one definition to another, key by key, and as text."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from longshore.surfaces.scripts.definition.model import Workflow
from longshore.surfaces.scripts.definition.problems import Path, dotted

_MISSING: Final = object()
_LINES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs.

    Attributes:
        path: such as steps.load.retries.attempts.
        change: added, removed or changed.
        before, after: JSON-ready; None where there is nothing.
    """

    path: str
    change: str
    before: Any
    after: Any


def changes(before: Workflow, after: Workflow) -> list[Change]:
    """Return what differs, defaults filled in on both sides; a step that is new is one change."""
    return list(_compared(msgspec.to_builtins(before), msgspec.to_builtins(after), ()))


def text(before: str, after: str, *, names: tuple[str, str]) -> str:
    """Return the difference of two files in unified form; empty where there is none.

    Of long files it is only said that they are too long: to compare them takes minutes.
    """
    if before == after:
        return ""
    if max(before.count("\n"), after.count("\n")) > _LINES:
        return f"The files have more than {_LINES} lines. Compare what they say instead.\n"
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), names[0], names[1], lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


def _compared(before: Any, after: Any, path: Path) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _compared(before.get(key, _MISSING), after.get(key, _MISSING), (*path, key))
    elif before is _MISSING:
        yield Change(dotted(path), "added", None, after)
    elif after is _MISSING:
        yield Change(dotted(path), "removed", before, None)
    elif before != after:
        yield Change(dotted(path), "changed", before, after)
