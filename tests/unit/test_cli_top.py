"""`longshore top`, driven by textual's pilot against a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

import longshore
from longshore.cli import top, top_data
from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.cli.top_screen import Asked, Told, Top
from longshore.sdk.operations import WorkState
from longshore.testing import RunningServer, running_server
from longshore.worker.registry import REGISTRY

WAIT_S = 10.0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    for kind in ("apps", "functions", "services", "workers"):
        monkeypatch.setattr(REGISTRY, kind, {})
    longshore.function("seen")(_fail)
    with running_server() as made:
        yield made


def _fail(x: int) -> None:
    raise ValueError(f"\x1b[31mno {x}")


async def _until(pilot: Pilot[None], look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := look()):
        assert time.monotonic() < deadline, "not so in time"
        await pilot.pause(0.02)
    return found


def _rows(app: Top, name: str) -> list[list[str]]:
    table = app.query_one(f"#{name}", DataTable)
    return [table.get_row_at(row) for row in range(table.row_count)]


async def test_it_shows_queues_workers_works_and_what_needs_a_person(server: RunningServer) -> None:
    server.deposit("seen", {"x": 1}, {"x": 2}, retries=1)
    server.deposit("unseen", {})
    worker = server.worker()
    await asyncio.to_thread(worker.work_once)
    taken = await asyncio.to_thread(worker.take)
    assert taken is not None
    app = Top(server.client, interval_s=0.2)
    async with app.run_test(size=(200, 50)) as pilot:
        await _until(pilot, lambda: app.latest)
        queues = {row[0]: row[1:] for row in _rows(app, "queues")}
        assert queues["seen"][:4] == ["0", "1", "1", "0"]
        assert queues["unseen"][:4] == ["1", "0", "0", "0"]
        assert _rows(app, "workers")[0][:3] == ["in-process", "1", "1"]
        assert [row[:3] for row in _rows(app, "works")] == [[taken.work_id, "seen", "1 of 1"]]
        needs = _rows(app, "needs")
        assert [row[:2] for row in needs if row[0] == "no worker"] == [["no worker", "unseen"]]
        (failed,) = [row for row in needs if row[0] == "failed"]
        assert failed[2] == "ValueError: \\x1b[31mno 1"
        assert "running 1" in str(app.query_one("#totals", Static).content)
        server.deposit("unseen", {})
        await _until(pilot, lambda: ["unseen", "2"] in [row[:2] for row in _rows(app, "queues")])


def test_the_works_of_a_full_server_are_those_of_its_census_and_not_counted_for_each_look(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    fetch = server.client._transport.fetch

    def seen(call: Any, *more: Any) -> Any:
        if call.path.endswith("/queues"):
            asked.append(call.query["counts"])
        return fetch(call, *more)

    monkeypatch.setattr(server.client._transport, "fetch", seen)
    server.deposit("seen", {"x": 1}, {"x": 2}, {"x": 3})
    looker = top_data.Looker(server.client)
    assert looker.look().totals == looker.look().totals == {"queued": 3}
    assert asked == ["census", "exact", "exact"]
    asked.clear()
    monkeypatch.setattr(top_data, "EXACT", 2)
    looker.look()
    assert asked == ["census"]


def test_rates_are_those_between_two_counts_and_stay_until_the_next(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.deposit("seen", {"x": 1}, retries=1)
    looker = top_data.Looker(server.client)
    looker.look()
    server.worker().work_once()
    server.advance(2)
    found = looker.look()
    assert list(found.rates.values()) == [0.5]
    counted = found.at_s
    same = [queue for queue in server.client.queues.list() if queue.name == "seen"]
    monkeypatch.setattr(looker, "_queues", lambda: (same, counted))
    assert looker.look().rates == found.rates


async def test_enter_says_why_and_h_holds_a_queue_after_asking(server: RunningServer) -> None:
    (work,) = server.deposit("unseen", {})
    app = Top(server.client, interval_s=60)
    async with app.run_test(size=(200, 50)) as pilot:
        await _until(pilot, lambda: app.latest)
        await pilot.press("enter")
        told = await _until(pilot, lambda: isinstance(app.screen, Told) and app.screen)
        assert "1 queued, 0 workers online" in str(told.query_one("#text", Static).content)
        await pilot.press("escape")
        await pilot.press("h")
        await _until(pilot, lambda: isinstance(app.screen, Asked))
        await pilot.press("n")
        assert server.client.queues.list()[0].held is None
        await pilot.press("h", "y")
        await _until(pilot, lambda: any(row[7] for row in _rows(app, "queues")))
        (queue,) = [each for each in server.client.queues.list() if each.name == "unseen"]
        assert queue.held is not None
        await pilot.press("h", "y")
        await _until(pilot, lambda: not any(row[7] for row in _rows(app, "queues")))
    assert server.client.works.get(work).state is WorkState.QUEUED


async def test_c_cancels_a_work_after_asking(server: RunningServer) -> None:
    server.deposit("seen", {"x": 1}, retries=1)
    taken = await asyncio.to_thread(server.worker().take)
    assert taken is not None
    app = Top(server.client, interval_s=60)
    async with app.run_test(size=(200, 50)) as pilot:
        await _until(pilot, lambda: app.latest)
        await pilot.press("c")
        assert not isinstance(app.screen, Asked)
        app.query_one("#works", DataTable).focus()
        await pilot.press("c")
        await _until(pilot, lambda: isinstance(app.screen, Asked))
        await pilot.press("y")
        await _until(pilot, lambda: "cancel" in server.client.why(taken.work_id).text)
        app.query_one("#works", DataTable).focus()
        await pilot.press("enter")
        told = await _until(pilot, lambda: isinstance(app.screen, Told) and app.screen)
        assert "cancel" in str(told.query_one("#text", Static).content)


async def test_a_server_that_is_gone_is_told_of_and_found_again(server: RunningServer) -> None:
    app = Top(longshore.Client("http://127.0.0.1:9", "ls_no_key", retries=0), interval_s=60)
    async with app.run_test(size=(120, 40)) as pilot:
        trouble = app.query_one("#trouble", Static)
        await _until(pilot, lambda: trouble.styles.display == "block")
        assert "127.0.0.1:9" in str(trouble.content)


def test_without_textual_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(top.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr("sys.argv", ["longshore", "top"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == ExitCode.USAGE
    assert "pip install 'longshore[tui]'" in capsys.readouterr().err
