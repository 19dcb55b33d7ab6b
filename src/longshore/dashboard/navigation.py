"""What the menu leads to, for each role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from longshore.access import Permission, Principal


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the menu."""

    label: str
    path: str
    permission: Permission = Permission.READ


@dataclass(frozen=True, slots=True)
class Section:
    """A group of pages in the menu."""

    label: str
    entries: tuple[Entry, ...]


_SECTIONS: Final = (
    Section("", (Entry("Overview", "/"), Entry("Works", "/ui/works"))),
    Section(
        "Surfaces",
        (
            Entry("Buckets", "/ui/buckets"),
            Entry("Pipelines", "/ui/pipelines"),
            Entry("Runs", "/ui/runs"),
            Entry("Reviews", "/ui/reviews"),
            Entry("Corpora", "/ui/corpora"),
            Entry("Processes", "/ui/processes"),
            Entry("Workflows", "/ui/workflows"),
            Entry("Schedules", "/ui/schedules"),
        ),
    ),
    Section(
        "Machines",
        (
            Entry("Workers", "/ui/workers"),
            Entry("Queues", "/ui/queues"),
            Entry("Hosts", "/ui/hosts"),
            Entry("Storage", "/ui/storage"),
        ),
    ),
    Section(
        "Access",
        (
            Entry("Keystore", "/ui/keystore", Permission.DEVELOP),
            Entry("Keys", "/ui/keys", Permission.ADMIN),
            Entry("Audit log", "/ui/audit", Permission.ADMIN),
        ),
    ),
)


def sections(principal: Principal) -> list[Section]:
    """Return the menu with what the principal may see."""
    found = [
        Section(
            section.label,
            tuple(entry for entry in section.entries if principal.allows(entry.permission)),
        )
        for section in _SECTIONS
    ]
    return [section for section in found if section.entries]
