"""Which leases a client keeps alive, and what became of them; safe to use from several threads.

Renewing and finishing a work happen at the same time. While an update that ends a work is under
way, the answer of the update decides, and a renewal that finds the lease gone says nothing new.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from longshore.errors import InvalidRequest, LeaseLost
from longshore.sdk._work import WorkModel

Attempt = tuple[str, int]
"""A work's id, and the number of the attempt that is held."""

_ENDED = frozenset({"success", "failure"})


class LeaseBook:
    """The leases that the heartbeats of one client renew."""

    def __init__(self) -> None:
        """Hold none."""
        self._lock = threading.Lock()
        self._held: set[Attempt] = set()
        self._ending: set[Attempt] = set()

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Keep these from now on."""
        with self._lock:
            self._held.update(attempts)

    def drop(self, attempts: Sequence[Attempt]) -> None:
        """Keep these no more."""
        with self._lock:
            self._held.difference_update(attempts)

    def held(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Return those of `attempts` that are to be renewed."""
        with self._lock:
            return [attempt for attempt in attempts if attempt in self._held]

    def lose(self, attempt: Attempt) -> bool:
        """Note that a lease is gone; say whether that is news to whoever holds it."""
        with self._lock:
            if attempt in self._ending or attempt not in self._held:
                return False
            self._held.discard(attempt)
            return True

    @contextmanager
    def ending(self, works: Sequence[Mapping[str, Any]]) -> Iterator[set[str]]:
        """Let an update of these works decide what becomes of their leases.

        The block adds the ids of works that stay held to the set that it is given. When it fails
        without an answer, all leases are renewed as before.
        """
        attempts = {
            (str(work.get("id")), int(work.get("attempt") or 0))
            for work in works
            if work.get("status") in _ENDED
        }
        kept: set[str] = set()
        with self._lock:
            attempts &= self._held
            self._ending |= attempts
        try:
            yield kept
            with self._lock:
                self._held -= {attempt for attempt in attempts if attempt[0] not in kept}
        finally:
            with self._lock:
                self._ending -= attempts


def attempts_of(works: Any) -> list[Attempt]:
    """Return what a heartbeat is to keep: one withdrawn work or several, documents or Works.

    Raises:
        InvalidRequest: one of them was not withdrawn, so that it has no lease.
    """
    several = [works] if isinstance(works, Mapping | WorkModel) else list(works)
    found = []
    for work in several:
        document = {"id": work.id, "attempt": work.attempt} if isinstance(work, WorkModel) else work
        work_id, attempt = document.get("id"), document.get("attempt")
        if not isinstance(work_id, str) or not isinstance(attempt, int) or attempt < 1:
            raise InvalidRequest(
                f"Work {work_id!r} has no lease to keep alive: it was not withdrawn. Give what "
                "withdraw() returned."
            )
        found.append((work_id, attempt))
    return found


def lost_lease(entry: Mapping[str, Any]) -> LeaseLost:
    """Return the error for a lease that the server did not renew."""
    cancelled = bool(entry.get("cancelled"))
    what = "was cancelled" if cancelled else f"is not held any more: {entry.get('reason')}"
    return LeaseLost(
        f"Work {entry.get('id')}, attempt {entry.get('attempt')}, {what}. Stop working on it; its "
        "results would be refused.",
        details=dict(entry),
    )
