"""What the database says: durability, clocks, leases, queues, failures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from longshore.clock import SECOND_US
from longshore.engine import measures
from longshore.engine.measures import OVERDUE_S, Measures
from longshore.server.diagnosis.directory import step
from longshore.server.diagnosis.finding import Finding, fault, note, ok, warning
from longshore.storage import migrating, now_us

SKEW_S: Final = 2.0
"""Clocks that differ by more than this end leases too early or too late."""
OLDEST_POSTGRESQL: Final = 140_000
_FAULTY_POSTGRESQL: Final = (
    # release notes of 14.4 and 17.1 (and the fixes of the same day for older ones)
    (140_000, 140_004, "14.0 to 14.3 can damage indexes that are made concurrently", "14.4"),
)
_TOLD_QUEUES: Final = 5


@dataclass(frozen=True, slots=True)
class Stored:
    """What was read in one transaction."""

    measured: Measures
    overdue: int
    revision: str | None
    clock_skew_s: float | None
    settings: dict[str, str]
    """Settings of PostgreSQL that durability depends on; nothing for SQLite."""


def read(connection: Connection, organisation_id: str) -> Stored:
    """Read it."""
    now = now_us(connection)
    return Stored(
        measured=measures.measure(connection, organisation_id),
        overdue=measures.overdue(connection),
        revision=migrating.revision(connection),
        clock_skew_s=_clock_skew_s(connection, now),
        settings=_settings(connection),
    )


def examine(stored: Stored, *, janitor_age_s: float | None) -> Iterator[Finding]:
    """Judge it; `janitor_age_s` is how long ago a pass of this server's janitor succeeded."""
    # Of SQLite, the look at its file says both.
    if stored.settings:
        yield step(stored.revision)
        yield from _durability(stored.settings)
    yield from _clocks(stored.clock_skew_s)
    yield _leases(stored.overdue, janitor_age_s)
    yield from _queues(stored.measured)
    yield from _failures(stored.measured)
    yield _workers(stored.measured)


def _clock_skew_s(connection: Connection, now: int) -> float | None:
    """Return how far the database's clock is ahead of ours; SQLite has no clock of its own."""
    if connection.dialect.name == "sqlite":
        return None
    theirs = connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())"))
    return None if theirs is None else round(float(theirs) - now / SECOND_US, 3)


def _settings(connection: Connection) -> dict[str, str]:
    if connection.dialect.name == "sqlite":
        return {}
    rows = connection.execute(
        text(
            "SELECT name, setting FROM pg_settings WHERE name IN "
            "('fsync', 'synchronous_commit', 'full_page_writes', 'server_version_num', "
            "'server_version')"
        )
    )
    return dict(rows.all())


def _durability(settings: dict[str, str]) -> Iterator[Finding]:
    number = int(settings["server_version_num"])
    version = settings["server_version"]
    known = [each for each in _FAULTY_POSTGRESQL if each[0] <= number < each[1]]
    if number < OLDEST_POSTGRESQL:
        yield warning(
            "postgresql",
            f"{version} gets no fixes any more",
            "move to a version that PostgreSQL still supports",
        )
    elif known:
        yield warning("postgresql", f"{version}: {known[0][2]}", f"install {known[0][3]} or later")
    else:
        yield ok("postgresql", version)
    why = {
        "fsync": "a crash of the machine can damage the whole database",
        "full_page_writes": "a crash of the machine can damage pages that were being written",
        "synchronous_commit": "what was answered as stored can be lost in a crash",
    }
    off = {name: reason for name, reason in why.items() if settings[name] == "off"}
    for name, reason in off.items():
        yield fault(
            "durability", f"{name} is off: {reason}", f"ALTER SYSTEM SET {name} = on, and reload"
        )
    if not off:
        yield ok("durability", "fsync, full_page_writes and synchronous_commit are on")


def _clocks(skew_s: float | None) -> Iterator[Finding]:
    if skew_s is None:
        return
    if abs(skew_s) <= SKEW_S:
        yield ok("clock of the database", f"{skew_s:+.3f} s against the server's")
        return
    yield fault(
        "clock of the database",
        f"it is {skew_s:+.1f} s against the server's; times of several servers cannot be compared",
        "set both clocks by NTP: timedatectl",
    )


def _leases(overdue: int, janitor_age_s: float | None) -> Finding:
    if not overdue:
        return ok("leases", "none has ended without being taken back")
    if janitor_age_s is None:
        janitor = "no pass of the janitor has succeeded on this server since its start"
    else:
        janitor = f"the janitor's last pass here succeeded {janitor_age_s:.0f} s ago"
    return fault(
        "leases",
        f"{overdue} leases ended over {OVERDUE_S:.0f} s ago and were not taken back, and {janitor}",
        "look for 'a background pass failed' in the server's log; restart the server",
    )


def _queues(measured: Measures) -> Iterator[Finding]:
    unserved = [queue for queue in measured.queues if queue.unserved]
    held = [queue for queue in measured.queues if queue.held and queue.waiting]
    if unserved:
        waiting = sum(queue.by_state.get("queued", 0) for queue in unserved)
        yield warning(
            "queues",
            f"{waiting} works wait in {len(unserved)} queues that no worker online serves: "
            f"{_told(unserved, 'queued')}",
            "start a worker that offers them: longshore worker MODULE",
        )
    else:
        yield ok("queues", f"{len(measured.queues)}, and each in which works wait is served")
    if held:
        yield note(
            "held queues",
            f"{len(held)} are held with works in them: {_told(held, 'queued')}",
            "longshore queue release NAME",
        )


def _failures(measured: Measures) -> Iterator[Finding]:
    failed = sorted(
        (queue for queue in measured.queues if queue.by_state.get("failure")),
        key=lambda queue: -queue.by_state["failure"],
    )
    if failed:
        count = sum(queue.by_state["failure"] for queue in failed)
        yield note(
            "dead letters",
            f"{count} works failed for good and wait for somebody to look: {_told(failed, 'failure')}",
            "longshore why ID says why; retry or delete them on the page of works",
        )


def _workers(measured: Measures) -> Finding:
    seen = measured.workers
    text_of = f"{seen.online} online with {seen.slots} slots, {seen.running} used"
    if not seen.silent:
        return ok("workers", text_of)
    return note(
        "workers",
        f"{text_of}; {seen.silent} fell silent without a goodbye: killed, or cut off",
        "longshore workers",
    )


def _told(queues: list[Any], state: str) -> str:
    told = [
        f"{queue.surface} {queue.name[:60]!r} {queue.by_state.get(state, 0)}"
        for queue in queues[:_TOLD_QUEUES]
    ]
    more = len(queues) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")
