"""What is wrong with a workflow's file: every problem has its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from longshore.errors import InvalidRequest

SHOWN: Final = 10

Path = tuple[str | int, ...]


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        line: from 1; 0 for what has no place in the file.
        path: such as steps.load.when[0].step.
        message: what is wrong and what to do about it.
    """

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        """Return the message with its line in front."""
        return f"line {self.line}: {self.message}" if self.line else self.message


def dotted(path: Path) -> str:
    """Return a path as people write it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def place(path: Path) -> str:
    """Return where a path is, in words: step load, step load (retries), triggers.events[0]."""
    if len(path) >= 2 and path[0] == "steps":
        return f"step {path[1]}" + (f" ({dotted(path[2:])})" if len(path) > 2 else "")
    return dotted(path) or "the workflow"


def refuse(problems: Sequence[Problem]) -> InvalidRequest:
    """Return the error for a definition with these problems; its details hold them all."""
    shown = " ".join(_sentence(str(each)) for each in problems[:SHOWN])
    more = len(problems) - SHOWN
    return InvalidRequest(
        f"The definition cannot be used, and nothing was changed: {shown}"
        + (f" And {more} more." if more > 0 else ""),
        details={"problems": as_json(problems)},
    )


def as_json(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Return problems as JSON-ready values."""
    return [asdict(each) for each in problems]


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."
