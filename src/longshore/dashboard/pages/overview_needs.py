"""What needs a person: one list, the newest first, each with its reason and a way to act."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from longshore.access import Permission, Principal, expiring
from longshore.clock import SECOND_US, to_us
from longshore.dashboard.addresses import addressed
from longshore.dashboard.formats import count, length, size
from longshore.engine import activity_attention
from longshore.engine.activity import QueueActivity, Totals
from longshore.engine.activity_attention import Attention
from longshore.engine.filtering import quote
from longshore.limits import MIB
from longshore.surfaces.apps import reviews
from longshore.surfaces.scripts import HELD
from longshore.surfaces.scripts import attention as workflows

LISTED: Final = 40
OF_A_KIND: Final = 15
EXPIRING_S: Final = 7 * 86_400.0
LOW_DISK_BYTES: Final = 1024 * MIB
REVIEWS_COUNTED: Final = 1_000
LATE_S: Final = 120.0
LATE_TIMES: Final = 60
"""A count older than this, and than so many times what it took, says that nobody counts."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that needs a person.

    Attributes:
        id: unique on the page, and the same as long as it is the same trouble.
        kind: what it is, in one or two words.
        tone: how bad it is: "bad", "warn" or "wait".
        at_us: since when, or None for what is so now.
        title: what it is about; users may have stored it.
        text: why it needs a person, in a sentence.
        link: where to look.
        link_label: what one does there.
        releases: the queue that a button releases, or None.
    """

    id: str
    kind: str
    tone: str
    at_us: int | None
    title: str
    text: str
    link: str
    link_label: str
    releases: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a transaction found that needs a person."""

    engine: Attention
    key_names: Mapping[str, str]
    runs: list[workflows.FailedRun]
    missed: list[workflows.Missed]
    keys: list[expiring.ExpiringKey]
    reviews: int


def find(connection: Connection, principal: Principal) -> Found:
    """Look at all that may need a person."""
    organisation_id = principal.organisation_id
    engine = activity_attention.find(connection, organisation_id, aside=(HELD,))
    holders = {one.queue.held_by for one in engine.held if one.queue.held_by}
    keys: list[expiring.ExpiringKey] = []
    if principal.allows(Permission.ADMIN):
        keys = expiring.expiring(connection, organisation_id, within_s=EXPIRING_S, limit=OF_A_KIND)
    return Found(
        engine,
        expiring.names(connection, organisation_id, holders),
        workflows.failed_runs(connection, organisation_id, limit=OF_A_KIND),
        workflows.missed(connection, organisation_id, limit=OF_A_KIND),
        keys,
        reviews.waiting(connection, principal, most=REVIEWS_COUNTED + 1),
    )


def listed(
    found: Found,
    principal: Principal,
    *,
    now_us: int,
    data: Path,
    failing: Mapping[str, tuple[int, str]],
    totals: Totals,
) -> tuple[list[Need], bool]:
    """Return the list, and whether there is more than it shows.

    Args:
        found: what the database says.
        principal: who looks; the state of the server is for admins.
        now_us: the time.
        data: the data directory of this server.
        failing: background passes that fail: since when, and why.
        totals: how many works there are, as of when.
    """
    needs = [
        *(_server(now_us, data, failing, totals) if principal.allows(Permission.ADMIN) else ()),
        *(_overdue(one) for one in found.engine.overdue),
        *(_dead(one) for one in found.engine.dead),
        *(_held(one, found.key_names) for one in found.engine.held),
        *(_unserved(one, now_us) for one in found.engine.unserved),
        *(_aside(one) for one in found.engine.aside),
        *_of_workflows(found),
        *_of_people(found),
    ]
    # What is so now stands before what happened at some time.
    needs.sort(key=lambda need: (need.at_us is not None, -(need.at_us or 0)))
    return needs[:LISTED], len(needs) > LISTED


def works_of(one: QueueActivity, state: str) -> str:
    """Return the address of the works of a queue in a state."""
    text = f"state:{state} surface:{one.queue.surface} queue:{quote(one.queue.name)}"
    return addressed("/ui/works", q=text)


def _server(
    now_us: int, data: Path, failing: Mapping[str, tuple[int, str]], totals: Totals
) -> Iterator[Need]:
    disk = shutil.disk_usage(data)
    if disk.free < LOW_DISK_BYTES:
        yield Need(
            "disk", "low disk", "bad", None, str(data),
            f"Only {size(disk.free)} of {size(disk.total)} are free. On a full disk every write is "
            "refused. Delete runs, give queues a retention, or make the disk larger.",
            "/ui/storage", "Look what takes room",
        )  # fmt: skip
    for name, (since_us, why) in failing.items():
        yield Need(
            f"pass-{name}", "background", "bad", since_us, f"Background pass: {name}",
            f"It fails since then: {why} The server's log says more.",
            "/readyz", "Look at the server's state",
        )  # fmt: skip
    late_us = max(to_us(LATE_S), LATE_TIMES * totals.took_us)
    counted_us = totals.at_us
    if counted_us is not None and now_us - counted_us > late_us:
        yield Need(
            "counting", "background", "warn", counted_us, "Works are not being counted",
            f"The figures on this page are {length((now_us - counted_us) / SECOND_US)} old. The "
            "leading server counts in the background; see whether it runs, and its log.",
            "/readyz", "Look at the server's state",
        )  # fmt: skip


def _overdue(one: activity_attention.Overdue) -> Need:
    return Need(
        f"overdue-{one.work_id}", "stuck lease", "bad", one.lease_until_us, one.work_id,
        f"Its lease in {one.queue!r} is over and was not taken back, so that it would be tried "
        "again. The janitor does that; see whether it runs.",
        f"/ui/works/{one.work_id}", "Look at it",
    )  # fmt: skip


def _dead(one: QueueActivity) -> Need:
    many = one.counts.by_state["failure"]
    works = "work has" if many == 1 else "works have"
    return Need(
        f"dead-{one.queue.id}", "failed", "bad", one.counts.failed_us, one.queue.name,
        f"{count(many)} {works} failed and will not be tried again. See why, then retry or delete "
        "them.",
        works_of(one, "failure"), "Look at them",
    )  # fmt: skip


def _held(one: QueueActivity, names: Mapping[str, str]) -> Need:
    queue = one.queue
    by = names.get(queue.held_by or "", queue.held_by or "somebody")
    waiting = one.counts.by_state["queued"]
    wait = f" {count(waiting)} works wait." if waiting > 1 else ""
    return Need(
        f"held-{queue.id}", "held", "warn", queue.held_us, queue.name,
        f"Held by {by}: {_sentence(queue.held_why or '')} Nothing is claimed from it until it is released.{wait}",
        works_of(one, "queued"), "Look at what waits", queue.id,
    )  # fmt: skip


def _aside(one: QueueActivity) -> Need:
    many = one.counts.by_state["queued"]
    steps = "1 step of a workflow is" if many == 1 else f"{count(many)} steps of workflows are"
    return Need(
        f"aside-{one.queue.id}", "on hold", "warn", one.counts.oldest_us, f"Host {one.queue.name}",
        f"{steps} ready and on hold. Release them in their runs, or rerun without the hold.",
        "/ui/workflow-runs?state=running", "Look at the runs",
    )  # fmt: skip


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _unserved(one: QueueActivity, now_us: int) -> Need:
    since_us = one.counts.oldest_us or now_us
    waiting = one.counts.by_state["queued"]
    works = "1 work waits" if waiting == 1 else f"{count(waiting)} works wait"
    return Need(
        f"unserved-{one.queue.id}", "no worker", "warn", since_us, one.queue.name,
        f"{works}, the first for {length(max(now_us - since_us, 0) / SECOND_US)}, and no worker "
        f"that serves this queue is online. Start one: longshore worker",
        works_of(one, "queued"), "Look at what waits",
    )  # fmt: skip


def _of_workflows(found: Found) -> Iterator[Need]:
    for run in found.runs:
        yield Need(
            f"run-{run.run_id}", "failed run", "bad", run.finished_us,
            f"{run.workflow}, run {run.run_id}",
            f"The run for {run.business_date} (started by: {run.trigger}) failed. Look at the step "
            "that failed, then rerun from there.",
            f"/ui/workflow-runs/{run.run_id}", "Look at the run",
        )  # fmt: skip
    for missed in found.missed:
        times = "once" if missed.count == 1 else f"{count(missed.count)} times"
        yield Need(
            f"missed-{missed.workflow_id}", "missed", "warn", missed.last_us, missed.workflow,
            f"Its schedules were due {times} in the last day without a run. Backfill what is still "
            "wanted.",
            "/ui/schedules", "Look at the schedules",
        )  # fmt: skip


def _of_people(found: Found) -> Iterator[Need]:
    if found.reviews:
        many = found.reviews
        told = f"over {count(REVIEWS_COUNTED)}" if many > REVIEWS_COUNTED else count(many)
        waits = "document waits" if many == 1 else "documents wait"
        yield Need(
            "reviews", "review", "wait", None, "Documents to review",
            f"{told} {waits} for a person to look at what was read.",
            "/ui/reviews", "Review them",
        )  # fmt: skip
    for key in found.keys:
        yield Need(
            f"key-{key.id}", "key", "warn", key.expires_us, key.name,
            f"This key ({key.role}) expires soon; what uses it is refused then. Make a new one and "
            "hand it out before.",
            "/ui/keys", "Look at the keys",
        )  # fmt: skip
