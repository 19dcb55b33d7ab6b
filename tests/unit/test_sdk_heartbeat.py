"""Heartbeats: leases are renewed beside the user's code, and a lost one is told exactly once."""

from __future__ import annotations

import asyncio
import json as json_module
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from longshore.errors import InvalidRequest, LeaseLost, PermissionDenied
from longshore.sdk import Work
from tests.unit.sdk_support import COLOURS, client, close, json, settle

LEASE_S = 0.03


def work(number: int = 1, **fields: Any) -> dict[str, Any]:
    base = {"pipeline": "p-1", "site": "local", "user": "me", "start": 5.5, "status": "running"}
    return {**base, "id": f"wk_{number}", "attempt": 1, **fields}


class Server:
    """Renews leases, takes updates, and does what the test says about both."""

    def __init__(self) -> None:
        self.lost: dict[str, dict[str, Any]] = {}
        self.renewals: list[list[dict[str, Any]]] = []
        self.answers: list[httpx.Response | Exception] = []
        self.update: Callable[[], httpx.Response] = lambda: json(True)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            return self.update()
        body = json_module.loads(request.content)
        assert (request.url.path, body["lease_s"]) == ("/buckets/work/renew", LEASE_S)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.renewals.append(body["works"])
        return json(
            {"lost": [self.lost[one["id"]] for one in body["works"] if one["id"] in self.lost]}
        )

    async def renewed(self, times: int) -> None:
        """Wait until leases were renewed so many times from now on."""
        target = len(self.renewals) + times
        await eventually(lambda: len(self.renewals) >= target)

    def lose(self, number: int, *, cancelled: bool = False) -> None:
        reason = "it is held by wr_7, attempt 2"
        self.lost[f"wk_{number}"] = {
            "id": f"wk_{number}",
            "attempt": 1,
            "reason": reason,
            "cancelled": cancelled,
        }


async def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in 20 seconds"
        await asyncio.sleep(0.002)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture(params=COLOURS)
async def used(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Any]:
    made = client(request.param, server, retries=0)
    yield made
    await close(made)


@asynccontextmanager
async def beating(used: Any, works: Any, **options: Any) -> AsyncIterator[Any]:
    """Enter a heartbeat of either colour."""
    heartbeat = used.buckets.heartbeat(works, lease_s=LEASE_S, **options)
    async with AsyncExitStack() as stack:
        if hasattr(heartbeat, "__aenter__"):
            yield await stack.enter_async_context(heartbeat)
        else:
            yield stack.enter_context(heartbeat)


async def test_leases_are_renewed_until_the_block_ends(server: Server, used: Any) -> None:
    async with beating(used, [work(1), Work.from_dict(work(2))]) as heartbeat:
        assert len(server.renewals) == 1, "the first renewal comes before the block"
        await server.renewed(3)
        heartbeat.check()
    expected = [{"id": "wk_1", "attempt": 1}, {"id": "wk_2", "attempt": 1}]
    assert all(renewal == expected for renewal in server.renewals)
    seen = len(server.renewals)
    await asyncio.sleep(LEASE_S * 2)
    assert len(server.renewals) == seen
    assert not [thread for thread in threading.enumerate() if "heartbeat" in thread.name]


async def test_a_lost_lease_is_raised_by_check_and_at_the_end(server: Server, used: Any) -> None:
    async def block() -> None:
        async with beating(used, [work(1), work(2)]) as heartbeat:
            server.lose(2)
            await eventually(lambda: bool(heartbeat.lost))
            with pytest.raises(LeaseLost):
                heartbeat.check()
            await server.renewed(2)
            assert server.renewals[-1] == [{"id": "wk_1", "attempt": 1}]
            assert len(heartbeat.lost) == 1

    with pytest.raises(LeaseLost, match="wk_2, attempt 1, is not held any more"):
        await block()


async def test_a_cancelled_work_says_so(server: Server, used: Any) -> None:
    told: list[LeaseLost] = []
    async with beating(used, work(), on_lost=told.append) as heartbeat:
        server.lose(1, cancelled=True)
        await eventually(lambda: bool(told))
    assert heartbeat.lost == told
    assert "was cancelled" in told[0].message
    assert told[0].details["cancelled"] is True


async def test_a_lease_that_is_lost_from_the_start_lets_no_block_begin(
    server: Server, used: Any
) -> None:
    server.lose(1)
    with pytest.raises(LeaseLost):
        async with beating(used, work()):
            raise AssertionError("the block began")
    seen = len(server.renewals)
    await asyncio.sleep(LEASE_S * 2)
    assert len(server.renewals) == seen


async def test_the_error_of_the_block_comes_before_the_lost_lease(
    server: Server, used: Any
) -> None:
    async def block() -> None:
        async with beating(used, work()) as heartbeat:
            server.lose(1)
            await eventually(lambda: bool(heartbeat.lost))
            raise KeyError("of the user's code")

    with pytest.raises(KeyError):
        await block()


async def test_a_server_that_is_away_for_a_moment_is_asked_again(server: Server, used: Any) -> None:
    server.answers = [
        httpx.ConnectError("refused"),
        json({"detail": "starting"}, 503),
        json({"detail": "oops"}, 500),
    ]
    async with beating(used, work()) as heartbeat:
        await server.renewed(2)
        heartbeat.check()
    assert server.answers == []


async def test_a_key_that_was_revoked_is_told(server: Server, used: Any) -> None:
    async def block() -> None:
        async with beating(used, work(), on_lost=lambda lost: None) as heartbeat:
            server.answers = [json({"detail": "no more"}, 403)]
            await eventually(lambda: server.answers == [])
            await server.renewed(1)
            with pytest.raises(PermissionDenied):
                heartbeat.check()

    with pytest.raises(PermissionDenied, match="no more"):
        await block()


async def test_what_on_lost_raises_is_raised_at_the_end(server: Server, used: Any) -> None:
    def stop(lost: LeaseLost) -> None:
        raise RuntimeError("stopped by on_lost")

    async def block() -> None:
        async with beating(used, work(), on_lost=stop) as heartbeat:
            server.lose(1)
            await eventually(lambda: bool(heartbeat.lost))

    with pytest.raises(RuntimeError, match="stopped by on_lost"):
        await block()


async def test_a_work_that_is_reported_is_not_renewed_and_not_lost(
    server: Server, used: Any
) -> None:
    async with beating(used, [work(1), work(2)]) as heartbeat:
        await settle(used.buckets.update([work(1, status="success")]))
        server.lose(1)
        await server.renewed(2)
        assert server.renewals[-1] == [{"id": "wk_2", "attempt": 1}]
    assert heartbeat.lost == []


async def test_a_progress_report_does_not_end_the_lease(server: Server, used: Any) -> None:
    async with beating(used, work()):
        await settle(used.buckets.update([work(results={"half": True})]))
        await server.renewed(2)
        assert server.renewals[-1] == [{"id": "wk_1", "attempt": 1}]


async def test_while_a_report_is_under_way_its_answer_decides(server: Server, used: Any) -> None:
    """The server has taken the report; the renewal hears of it before the answer arrives."""
    renewals_during: list[int] = []

    def update() -> httpx.Response:
        server.lose(1)
        return json(True)

    server.update = update
    async with beating(used, work()) as heartbeat:
        with used.buckets._leases.ending([work(status="success")]):
            server.lose(1)
            before = len(server.renewals)
            await server.renewed(2)
            renewals_during.append(len(server.renewals) - before)
        await settle(used.buckets.update([work(status="success")]))
        heartbeat.check()
    assert renewals_during[0] >= 2
    assert heartbeat.lost == []


async def test_a_report_without_an_answer_leaves_the_lease_alive(server: Server, used: Any) -> None:
    def away() -> httpx.Response:
        raise httpx.ReadError("reset")

    server.update = away
    async with beating(used, work()):
        with pytest.raises(Exception, match="No answer"):
            await settle(used.buckets.update([work(status="success")]))
        await server.renewed(2)
        assert server.renewals[-1] == [{"id": "wk_1", "attempt": 1}]


async def test_a_report_that_is_refused_for_its_content_leaves_the_lease_alive(
    server: Server, used: Any
) -> None:
    refused = {"id": "wk_1", "code": "invalid_request", "message": "no such bucket"}
    server.update = lambda: json({"updated": 0, "refused": [refused]})
    async with beating(used, work()):
        with pytest.raises(InvalidRequest):
            await settle(used.buckets.update([work(status="success")]))
        await server.renewed(2)
        assert server.renewals[-1] == [{"id": "wk_1", "attempt": 1}]


@pytest.mark.parametrize(
    "bad", [work(attempt=0), work(id=None), {"pipeline": "p-1"}, [work(), work(attempt="1")]]
)
async def test_a_work_that_was_not_withdrawn_has_no_lease(used: Any, bad: Any) -> None:
    with pytest.raises(InvalidRequest, match="not withdrawn"):
        used.buckets.heartbeat(bad)


async def test_a_lease_has_a_length(used: Any) -> None:
    with pytest.raises(InvalidRequest, match="above 0"):
        used.buckets.heartbeat(work(), lease_s=0)
