"""The states of activities, tasks and processes in the words of the protocol, from the engine's.

Nothing of them is stored: an activity and a task are as their works are, and a process is as its
tasks are.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, or_

from longshore.engine.states import Reason, State
from longshore.engine.tables import works


class Mode(StrEnum):
    """What a process is run over, and by whom."""

    WORKERS = "workers"
    DATASET = "dataset"
    EXPORT = "export"
    LOCAL = "local"
    """People start the programs by themselves; there are activities and no tasks."""


class Activity(StrEnum):
    """Where an element is on its way through a worker."""

    QUEUED = "queued"
    STARTED = "started"
    PROCESSED = "processed"
    ERROR = "error"
    CANCELLED = "cancelled"


class Task(StrEnum):
    """Where a task is."""

    UNSCHEDULED = "unscheduled"
    """It waits for tasks before it."""
    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    """Its program said so."""
    ERROR = "error"
    """It was lost too often: killed, or with its machine."""
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    """Stopped before it began, or because a task before it failed."""


class Process(StrEnum):
    """Where a process is."""

    UNSCHEDULED = "unscheduled"
    """It has not been started."""
    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    ERROR = "error"
    STOPPED = "stopped"
    CANCELLED = "cancelled"


ACTIVE = frozenset({Process.PENDING, Process.RUNNING, Process.STOPPING})
"""States in which tasks or activities of a process are still to end."""
_TASKS_LEFT = frozenset({Task.UNSCHEDULED, Task.PENDING, Task.RUNNING, Task.STOPPING})
_LOST = frozenset({Reason.LEASE_EXPIRED, Reason.WORKER_LOST, Reason.TIMED_OUT})


def activity(state: str, retry_us: int | None) -> Activity:
    """Return the state of an activity whose work is in this state."""
    if state == State.RUNNING:
        return Activity.STARTED
    if state == State.SUCCESS:
        return Activity.PROCESSED
    if state == State.CANCELLED:
        return Activity.CANCELLED
    if state == State.FAILURE and retry_us is None:
        return Activity.ERROR
    # A worker that was lost costs an attempt; the next one is due in a moment.
    return Activity.QUEUED


def condition(wanted: Activity) -> ColumnElement[bool]:
    """Return the condition that a row of `works` is that of an activity in a state."""
    failed = works.c.state == State.FAILURE.value
    return {
        Activity.STARTED: works.c.state == State.RUNNING.value,
        Activity.PROCESSED: works.c.state == State.SUCCESS.value,
        Activity.CANCELLED: works.c.state == State.CANCELLED.value,
        Activity.ERROR: and_(failed, works.c.retry_us.is_(None)),
        Activity.QUEUED: or_(
            works.c.state.in_([State.QUEUED.value, State.WAITING.value]),
            and_(failed, works.c.retry_us.is_not(None)),
        ),
    }[wanted]


def task(work: Any) -> Task:
    """Return the state of a task by its work: a `Work` of the engine, or a row of `works`."""
    if work.state == State.WAITING:
        return Task.UNSCHEDULED
    if work.state == State.RUNNING:
        return Task.STOPPING if work.reason == Reason.CANCEL_REQUESTED else Task.RUNNING
    if work.state == State.SUCCESS:
        return Task.COMPLETED
    if work.state == State.CANCELLED:
        return Task.STOPPED if work.reason == Reason.CANCEL_CONFIRMED else Task.CANCELLED
    if work.state == State.QUEUED or work.retry_us is not None:
        return Task.PENDING
    return Task.ERROR if work.reason in _LOST else Task.FAILED


def process(tasks: Collection[Task], *, stopped: bool) -> Process:
    """Return the state of a process that was started and has these tasks."""
    left = _TASKS_LEFT.intersection(tasks)
    if left:
        if stopped:
            return Process.STOPPING
        begun = Task.RUNNING in left or len(left.union(tasks)) > len(left)
        return Process.RUNNING if begun else Process.PENDING
    for ended in (Task.ERROR, Task.FAILED):
        if ended in tasks:
            return Process(ended.value)
    if Task.STOPPED in tasks or Task.CANCELLED in tasks:
        return Process.STOPPED if stopped or Task.STOPPED in tasks else Process.CANCELLED
    return Process.COMPLETED
