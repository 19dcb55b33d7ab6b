# Generated from _async/works.py by tools/unasync.py; edit that file instead.
"""Works: what the engine runs, why they are where they are, and what they printed."""

from __future__ import annotations

import builtins
from collections.abc import Iterator

from longshore.limits import PAGE_ROWS
from longshore.sdk._calls import NATIVE, Call, creating, segment, without_none
from longshore.sdk._explaining import group_why, is_work, to_explain
from longshore.sdk._pages import EventPage, FoundPage, LogPage, WorkPage
from longshore.sdk._sync.transport import Transport
from longshore.sdk._waiting import pauses_s, sleep
from longshore.sdk.operations import (
    Cancelled,
    Counts,
    Event,
    FoundWork,
    LogLine,
    Why,
    WorkCount,
    WorkInfo,
    WorksAction,
)


class Works:
    """`client.works`."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connection."""
        self._transport = transport

    def get(self, id: str) -> WorkInfo:  # noqa: A002
        """Return a work as it is now.

        Raises:
            NotFound: there is no such work (any more).
        """
        return self._transport.fetch(Call("GET", _of_work(id)), WorkInfo)

    def events(self, id: str) -> builtins.list[Event]:  # noqa: A002
        """Return every change of a work, the oldest first.

        Raises:
            NotFound: there is no such work (any more).
        """
        call = Call("GET", f"{_of_work(id)}/events")
        return builtins.list((self._transport.fetch(call, EventPage)).events)

    def cancel(self, id: str, why: str | None = None) -> Cancelled:  # noqa: A002
        """Cancel a work, or all works of a run or group.

        Args:
            id: the work, run or group.
            why: a reason, kept in the works' history.

        Raises:
            NotFound: there is no such work or group (any more).
        """
        path = _of_work(id) if is_work(id) else _of_group(id)
        call = creating(f"{path}/cancel", without_none(why=why))
        return self._transport.fetch(call, Cancelled)

    def list(self, group_id: str) -> builtins.list[WorkInfo]:
        """Return the works of a run or group.

        Raises:
            NotFound: there is no such run or group (any more).
        """
        works, _ = self._group(group_id)
        return works

    def find(self, filter: str = "") -> Iterator[FoundWork]:  # noqa: A002
        """Go through the works that fit a filter, the newest first.

        Args:
            filter: such as "state:failure queue:acme/* since:2h"; nothing finds all works. It is
                the same text as on the page of works and in `longshore works list`.

        Raises:
            InvalidRequest: the filter cannot be used; the message names every fault.
        """
        before: str | None = None
        while True:
            query = {"q": filter, "before": before, "limit": PAGE_ROWS}
            call = Call("GET", f"{NATIVE}/works", query=query)
            page = self._transport.fetch(call, FoundPage)
            yield from page.works
            if page.next is None:
                return
            before = page.next

    def count(self, filter: str = "") -> WorkCount:  # noqa: A002
        """Count the works that fit a filter: exactly up to ten thousand.

        Raises:
            InvalidRequest: the filter cannot be used.
        """
        call = Call("GET", f"{NATIVE}/works/count", query={"q": filter})
        return self._transport.fetch(call, WorkCount)

    def act(
        self,
        action: str,
        filter: str,  # noqa: A002
        *,
        reason: str,
        expected: int | None = None,
        timeout_s: float | None = None,
    ) -> WorksAction:
        """Do something to all works that fit a filter, and wait until it is done.

        What is submitted after the call is left alone, and so is what its surface does not let go
        of: `skipped` of the answer says why.

        Args:
            action: retry, cancel, hold, release or delete.
            filter: which works; it may not be empty.
            reason: why, kept in the audit log and with each work.
            expected: how many works were counted; where more fit, nothing is done.
            timeout_s: most seconds to wait; 0 returns at once, None waits for the end.

        Raises:
            InvalidRequest: a value cannot be used.
            Conflict: more works fit than were expected.
            WaitTimeout: it takes longer than `timeout_s`; it goes on, see `action`.
        """
        body = without_none(action=action, q=filter, reason=reason, expected=expected)
        call = creating(f"{NATIVE}/works/actions", body)
        started = self._transport.fetch(call, WorksAction)
        if timeout_s == 0:
            return started
        for pause_s in pauses_s(timeout_s, f"The action {started.id}"):
            started = self.action(started.id)
            if started.final:
                return started
            sleep(pause_s)
        return started

    def action(self, id: str) -> WorksAction:  # noqa: A002
        """Return where an action stands, and what it has done so far.

        Raises:
            NotFound: there is no such action (any more).
        """
        call = Call("GET", f"{NATIVE}/works/actions/{segment(id)}")
        return self._transport.fetch(call, WorksAction)

    def hold(self, id: str, why: str) -> WorkInfo:  # noqa: A002
        """Let nobody claim a work that is queued or waits, until it is released.

        Raises:
            NotFound: there is no such work (any more).
            Conflict: it runs or is over, or its surface does not allow it.
        """
        return self._transport.fetch(creating(f"{_of_work(id)}/hold", {"why": why}), WorkInfo)

    def release(self, id: str, why: str) -> WorkInfo:  # noqa: A002
        """Let a held work go.

        Raises:
            NotFound: there is no such work (any more).
            Conflict: nobody holds it.
        """
        call = creating(f"{_of_work(id)}/release", {"why": why})
        return self._transport.fetch(call, WorkInfo)

    def retry(self, id: str, why: str) -> WorkInfo:  # noqa: A002
        """Let a work that failed or was cancelled run again, now.

        Raises:
            NotFound: there is no such work (any more).
            Conflict: it is not over, it succeeded, or its surface does not allow it.
        """
        call = creating(f"{_of_work(id)}/retry", {"why": why})
        return self._transport.fetch(call, WorkInfo)

    def why(self, id: str) -> Why:  # noqa: A002
        """Say why a work or a run is where it is, and what to do about it.

        Of a run, one work of each kind that is not done is explained.

        Raises:
            NotFound: there is no such work or run (any more).
        """
        if is_work(id):
            return self._transport.fetch(Call("GET", f"{_of_work(id)}/why"), Why)
        works, counts = self._group(id)
        explained = {work.id: self.why(work.id) for work in to_explain(works)}
        return group_why(id, works, counts, explained)

    def logs(
        self,
        id: str,  # noqa: A002
        *,
        follow: bool = False,
    ) -> Iterator[LogLine]:
        """Go through what a work, or the works of a run, printed.

        Args:
            id: the work, run or group.
            follow: wait for further lines until it has ended; of a run, the lines of its works
                come mixed, as they are written.

        Raises:
            NotFound: there is no such work or run (any more).
        """
        behind: dict[str, int] = {}
        ended: set[str] = set()
        for pause_s in pauses_s(None, f"The log of {id}"):
            # The states come first: a work's last lines are stored before it is final.
            works = [self.get(id)] if is_work(id) else self.list(id)
            for work in works:
                while work.id not in ended and work.attempt > 0:
                    page = self._lines(work.id, behind.get(work.id, 0))
                    yield from page.of_work(work.id)
                    behind[work.id] = page.next
                    if page.ended:
                        ended.add(work.id)
                    if not page.lines:
                        break
            if not follow or all(work.final for work in works):
                return
            sleep(pause_s)

    def _lines(self, work_id: str, after: int) -> LogPage:
        query = {"after": after, "limit": PAGE_ROWS}
        call = Call("GET", f"{_of_work(work_id)}/logs", query=query)
        return self._transport.fetch(call, LogPage)

    def _group(self, group_id: str) -> tuple[builtins.list[WorkInfo], Counts]:
        works: builtins.list[WorkInfo] = []
        while True:
            query = {"limit": PAGE_ROWS, "offset": len(works)}
            call = Call("GET", f"{_of_group(group_id)}/works", query=query)
            page = self._transport.fetch(call, WorkPage)
            works.extend(page.works)
            if len(page.works) < PAGE_ROWS:
                return works, page.counts


def _of_work(id: str) -> str:  # noqa: A002
    return f"{NATIVE}/works/{segment(id)}"


def _of_group(id: str) -> str:  # noqa: A002
    return f"{NATIVE}/groups/{segment(id)}"
