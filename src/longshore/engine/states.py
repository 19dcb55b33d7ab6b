"""The states of a work and every legal change between them.

The table of transitions here is the only source: the one write path in `transitions` follows
it, the CHECK constraints in `tables` name its states, and docs/reference/states is made from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a work is. Why it is there is its `Reason`, kept apart."""

    WAITING = "waiting"
    """For other works to finish, or for its time to come; the janitor releases it."""
    QUEUED = "queued"
    """May be claimed now."""
    RUNNING = "running"
    """Leased to a holder; ends by a report, or when the lease is over."""
    SUCCESS = "success"
    """Finished and its result stored. Final."""
    FAILURE = "failure"
    """An attempt failed. Final unless a time for the next attempt is set (`retry_us`)."""
    CANCELLED = "cancelled"
    """Stopped on request, or because a work that it needed did not succeed. Final."""


class Reason(StrEnum):
    """Why a work last changed; each has its row in TRANSITIONS."""

    SUBMITTED = "submitted"
    BLOCKED = "blocked"
    DELAYED = "delayed"
    HELD = "held"
    RELEASED = "released"
    DEPENDENCY_FAILED = "dependency_failed"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"
    LEASE_EXPIRED = "lease_expired"
    WORKER_LOST = "worker_lost"
    HANDED_BACK = "handed_back"
    RETRIED = "retried"
    CANCEL_REQUESTED = "cancel_requested"
    CANCEL_CONFIRMED = "cancel_confirmed"
    CANCELLED = "cancelled"
    REOPENED = "reopened"


class Outcome(StrEnum):
    """How the holder of an attempt says that it ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    HANDED_BACK = "handed_back"


@dataclass(frozen=True, slots=True)
class Change:
    """One legal change: from which states, to which one, and what it means.

    Attributes:
        sources: the states it may leave; empty for a work that is being submitted.
        target: the state it leads to.
        meaning: one sentence for docs and `why`.
        retryable: whether a next attempt follows while attempts are left.
    """

    sources: frozenset[State]
    target: State
    meaning: str
    retryable: bool = False


def _change(sources: set[State], target: State, meaning: str, *, retryable: bool = False) -> Change:
    return Change(frozenset(sources), target, meaning, retryable)


_S = State
TRANSITIONS: Final[dict[Reason, Change]] = {
    Reason.SUBMITTED: _change(set(), _S.QUEUED, "It was submitted and may be claimed."),
    Reason.BLOCKED: _change({_S.WAITING}, _S.WAITING, "It waits for other works to finish."),
    Reason.DELAYED: _change({_S.WAITING}, _S.WAITING, "It waits for its time to come."),
    Reason.HELD: _change(
        {_S.WAITING, _S.QUEUED}, _S.WAITING, "A person holds it back until it is let go."
    ),
    Reason.RELEASED: _change({_S.WAITING}, _S.QUEUED, "What it waited for has happened."),
    Reason.DEPENDENCY_FAILED: _change(
        {_S.WAITING}, _S.CANCELLED, "A work whose success it needed did not succeed."
    ),
    Reason.CLAIMED: _change(
        {_S.QUEUED}, _S.RUNNING, "A holder leased it; `attempt` went up by one."
    ),
    Reason.DONE: _change({_S.RUNNING}, _S.SUCCESS, "Its holder reported success."),
    Reason.FAILED: _change(
        {_S.RUNNING}, _S.FAILURE, "Its holder reported that the attempt failed.", retryable=True
    ),
    Reason.TIMED_OUT: _change(
        {_S.RUNNING},
        _S.FAILURE,
        "The attempt passed its time limit and was stopped.",
        retryable=True,
    ),
    Reason.REJECTED: _change(
        {_S.RUNNING}, _S.FAILURE, "Its holder reported that no further attempt can help."
    ),
    Reason.LEASE_EXPIRED: _change(
        {_S.RUNNING}, _S.FAILURE, "The lease ended without a word from its holder.", retryable=True
    ),
    Reason.WORKER_LOST: _change(
        {_S.RUNNING}, _S.FAILURE, "Its holder was seen to die.", retryable=True
    ),
    Reason.HANDED_BACK: _change(
        {_S.RUNNING}, _S.QUEUED, "Its holder gave it back unfinished; the attempt is not charged."
    ),
    Reason.RETRIED: _change({_S.FAILURE}, _S.QUEUED, "The next attempt is due."),
    Reason.CANCEL_REQUESTED: _change(
        {_S.RUNNING}, _S.RUNNING, "It is to be stopped; its holder learns so at the next renewal."
    ),
    Reason.CANCEL_CONFIRMED: _change(
        {_S.RUNNING}, _S.CANCELLED, "It was to be stopped, and its holder has let go of it."
    ),
    Reason.CANCELLED: _change(
        {_S.WAITING, _S.QUEUED, _S.FAILURE}, _S.CANCELLED, "It was cancelled while nothing held it."
    ),
    Reason.REOPENED: _change(
        {_S.SUCCESS, _S.FAILURE, _S.CANCELLED}, _S.QUEUED, "A person asked for it to run again."
    ),
}
assert set(TRANSITIONS) == set(Reason), "every Reason has its row in TRANSITIONS"

HELD_UNTIL_US: Final = 253_402_214_400 * 1_000_000
"""When a held work is due: on the last day of the year 9999, which is to say that time does not
release it. Its own time comes back when a person does."""

ENDED: Final = frozenset({State.SUCCESS, State.FAILURE, State.CANCELLED})
"""States in which nothing holds the work and its last attempt is over."""

OUTCOME_REASONS: Final[dict[Outcome, Reason]] = {
    Outcome.SUCCESS: Reason.DONE,
    Outcome.FAILURE: Reason.FAILED,
    Outcome.TIMED_OUT: Reason.TIMED_OUT,
    Outcome.REJECTED: Reason.REJECTED,
    Outcome.CANCELLED: Reason.CANCEL_CONFIRMED,
    Outcome.HANDED_BACK: Reason.HANDED_BACK,
}
assert set(OUTCOME_REASONS) == set(Outcome), "every Outcome has its Reason"
