"""One thing that was looked at, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    NOTE = "note"
    """Worth to know; nothing is wrong."""
    WARNING = "warning"
    """Nothing is lost yet, but somebody should look."""
    FAULT = "FAULT"
    """Something does not work, or is in danger."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding: what is so, and why that matters; `next` is what to do, a command where there is one."""

    name: str
    verdict: Verdict
    text: str
    next: str = ""


def ok(name: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(name, Verdict.OK, text)


def note(name: str, text: str, next_step: str = "") -> Finding:
    """Return a finding to know of."""
    return Finding(name, Verdict.NOTE, text, next_step)


def warning(name: str, text: str, next_step: str) -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(name, Verdict.WARNING, text, next_step)


def fault(name: str, text: str, next_step: str) -> Finding:
    """Return a finding of something that does not work."""
    return Finding(name, Verdict.FAULT, text, next_step)


def size(size_bytes: float) -> str:
    """Return a size as a person reads it."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"
