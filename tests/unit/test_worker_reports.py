"""When reports go out: at once where nothing else is to come, and by the dozen where much is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import structlog

from longshore.wire.worker import Outcome, Report, ReportAnswer, ReportRequest
from longshore.worker.reports import Reporter


class Server:
    """Notes how many reports each request has."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    async def post(self, _path: str, request: ReportRequest, *_: Any, **__: Any) -> ReportAnswer:
        self.batches.append(len(request.reports))
        return ReportAnswer(lost=[])

    async def flush(self, _timeout_s: float) -> None:
        """Take the lines of logs, of which there are none."""


@asynccontextmanager
async def reporting(server: Server, *, more_to_come: bool) -> AsyncIterator[Reporter]:
    async def unknown(_worker_id: str) -> None:
        raise AssertionError("the server knows the worker")

    reporter = Reporter(
        cast(Any, server),
        cast(Any, server),
        worker_id=lambda: "wr_test",
        on_answered=lambda _: None,
        on_unknown=unknown,
        more_to_come=lambda: more_to_come,
        log=structlog.get_logger(),
    )
    running = asyncio.create_task(reporter.run())
    yield reporter
    running.cancel()


def report(number: int) -> Report:
    return Report(work_id=f"wk_{number}", attempt=1, outcome=Outcome.SUCCESS)


async def add_in_turns(reporter: Reporter, count: int) -> None:
    """Add reports, with time for the reporter to act on each."""
    for number in range(count):
        reporter.add(report(number))
        for _ in range(5):
            await asyncio.sleep(0)
    assert await reporter.flushed(5.0) == 0


async def test_a_report_goes_at_once_where_no_other_work_waits() -> None:
    server = Server()
    async with reporting(server, more_to_come=False) as reporter:
        await add_in_turns(reporter, 3)
    assert server.batches == [1, 1, 1]


async def test_reports_wait_for_company_while_works_wait_for_a_slot() -> None:
    server = Server()
    async with reporting(server, more_to_come=True) as reporter:
        await add_in_turns(reporter, 3)
    assert server.batches == [3]
