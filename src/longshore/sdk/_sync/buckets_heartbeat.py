# Generated from _async/buckets_heartbeat.py by tools/unasync.py; edit that file instead.
"""Keeping the leases of withdrawn works alive while the user's code works on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from longshore.errors import (
    InvalidRequest,
    LeaseLost,
    LongshoreError,
    ServerFault,
    ServerUnreachable,
)
from longshore.limits import PAGE_ROWS
from longshore.sdk._background import Background
from longshore.sdk._calls import BUCKET_WORK, Call
from longshore.sdk._leases import Attempt, LeaseBook, lost_lease
from longshore.sdk._pages import RenewalAnswer
from longshore.sdk._sync.transport import Transport

OnLost = Callable[[LeaseLost], None]

_PAUSE_AFTER_FAILURE_S: Final = 1.0


class Heartbeat:
    """Renews leases in the background for as long as its block lasts.

    A lease is renewed at a third of its length. A server that does not answer is asked again
    every second; what it says then decides. A work that is updated to success or failure through
    the same client is let go of.

    Attributes:
        lost: what was lost so far, one LeaseLost for each work.
    """

    def __init__(
        self,
        transport: Transport,
        book: LeaseBook,
        attempts: Sequence[Attempt],
        *,
        lease_s: float,
        on_lost: OnLost | None,
    ) -> None:
        """Prepare; nothing is sent before the block is entered.

        Raises:
            InvalidRequest: `lease_s` is not above 0.
        """
        if lease_s <= 0:
            raise InvalidRequest(f"lease_s is {lease_s:g}; give seconds above 0, such as 60.")
        self._transport = transport
        self._book = book
        self._attempts = list(attempts)
        self._lease_s = lease_s
        self._on_lost = on_lost
        self._error: LongshoreError | None = None
        self._background = Background(self._beat, "longshore-heartbeat")
        self.lost: Final[list[LeaseLost]] = []

    def __repr__(self) -> str:
        """Show how many leases are kept."""
        return f"<{type(self).__name__} of {len(self._book.held(self._attempts))} works>"

    def check(self) -> None:
        """Return if all leases are alive as far as is known; for the loops of long work.

        Raises:
            LeaseLost: one is lost; the first one is raised.
            LongshoreError: renewing does not work at all, as with a revoked key.
        """
        if self._error is not None:
            raise self._error
        if self.lost:
            raise self.lost[0]

    def __enter__(self) -> Self:
        """Renew for the first time, and go on in the background.

        Raises:
            LeaseLost: a lease is lost already, and there is no `on_lost`.
        """
        self._book.add(self._attempts)
        try:
            pause_s = self._beat()
            self._raise_unless_told()
        except BaseException:
            self._book.drop(self._attempts)
            raise
        self._background.start(pause_s)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop renewing; the leases run out by themselves.

        Raises:
            LeaseLost: a lease was lost, there is no `on_lost`, and the block raised nothing.
        """
        failure = self._background.stop()
        self._book.drop(self._attempts)
        if kind is not None:
            return
        if failure is not None:
            raise failure
        self._raise_unless_told()

    def _raise_unless_told(self) -> None:
        """Raise what is wrong, but for lost leases that `on_lost` was told of."""
        if self._error is not None or self._on_lost is None:
            self.check()

    def _beat(self) -> float:
        """Renew all leases that are still held; return the pause until the next time."""
        held = self._book.held(self._attempts)
        try:
            for start in range(0, len(held), PAGE_ROWS):
                self._renew(held[start : start + PAGE_ROWS])
        except (ServerUnreachable, ServerFault):
            # It may be back before the lease runs out, and only the server knows when that is.
            return min(_PAUSE_AFTER_FAILURE_S, self._lease_s / 3)
        except LongshoreError as error:
            self._error = error
        return self._lease_s / 3

    def _renew(self, held: Sequence[Attempt]) -> None:
        works = [{"id": work_id, "attempt": attempt} for work_id, attempt in held]
        body = {"works": works, "lease_s": self._lease_s}
        answer = self._transport.fetch(
            Call("POST", f"{BUCKET_WORK}/renew", json=body), RenewalAnswer
        )
        for entry in answer.lost:
            if self._book.lose((entry.id, entry.attempt)):
                lost = lost_lease(entry.model_dump())
                self.lost.append(lost)
                if self._on_lost is not None:
                    self._on_lost(lost)
