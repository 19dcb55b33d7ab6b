"""R14: two servers on one PostgreSQL; the one that leads is killed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from longshore.clock import SECOND_US
from longshore.engine.states import Reason
from longshore.storage import Database, faults, open_database
from longshore.surfaces.scripts.tables import scripts_firings, scripts_runs, scripts_schedules
from tests.acceptance.api import Holder
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, eventually, stays
from tests.acceptance.scripts import (
    AGAIN,
    API,
    Dispatcher,
    HostWorker,
    Log,
    check_run,
    step,
    swap,
    workflow,
)
from tests.conftest import PostgreSQLServer

MINUTE_US = 60 * SECOND_US
INSTANTS = 60
WITHIN_S = 60.0


@dataclass
class Pair:
    """Two servers, and a look into their database."""

    harbour: Harbour
    database: Database
    first: Server
    second: Server
    users: list[Dispatcher] = field(default_factory=list)

    def start(self, fault: str | None = None) -> None:
        """Start both; the first one leads, and can be told where to die."""
        self.first.start(fault=fault)
        self.second.start()
        for server in (self.first, self.second):
            self.users.append(Dispatcher(server))
        self.harbour.clients += self.users

    def write(self, change: Any) -> Any:
        return self.database.write_blocking(change)

    def read(self, query: Any) -> list[Any]:
        return self.database.read_blocking(lambda connection: list(connection.execute(query)))


@pytest.fixture
def pair(harbour: Harbour, postgresql_server: PostgreSQLServer) -> Iterator[Pair]:
    url = postgresql_server.new_database()
    # Both open what either has sealed, as servers of one database must.
    settings = {"LONGSHORE_SECRET_KEY": "A" * 43 + "="}
    servers = [harbour.server(database=url, settings=settings) for _ in range(2)]
    opened = open_database(url)
    yield Pair(harbour, opened, servers[0], servers[1])
    opened.close()
    harbour.close()
    postgresql_server.drop(url)


@pytest.mark.parametrize("where", [faults.BEFORE_COMMIT, faults.AFTER_COMMIT])
def test_each_instant_of_a_schedule_is_one_run_when_the_leader_is_killed(
    pair: Pair, where: str
) -> None:
    pair.start(fault=f"{where}:{Reason.SUBMITTED}")
    user = pair.users[1]
    user.host("nobody")
    schedule = {"cron": "* * * * *", "missed": "all"}
    steps = {"tick": {"command": ["true"], "host": "nobody"}}
    user.apply({"workflow": "ticks", "triggers": {"schedules": [schedule]}, "steps": steps})
    due_us = _set_back(pair, INSTANTS)
    assert pair.first.wait(WITHIN_S) == -signal.SIGKILL
    eventually(lambda: len(_fired(pair)) >= INSTANTS, WITHIN_S, "the second server fires the rest")
    # Although it is told that it was never looked at, and the leader changes once more.
    pair.first.start()
    pair.second.kill()
    assert _set_back(pair, INSTANTS, due_us) == due_us
    eventually(lambda: _next(pair) >= due_us + INSTANTS * MINUTE_US, WITHIN_S, "it is looked at")
    firings = _fired(pair)
    told = sorted(row.instant_us for row in firings)
    assert told[:INSTANTS] == [due_us + number * MINUTE_US for number in range(INSTANTS)]
    assert {row.state for row in firings} == {"fired"}
    runs = [row.id for row in pair.read(select(scripts_runs.c.id))]
    assert sorted(row.run_id for row in firings) == sorted(runs), "one run for each instant"


def _set_back(pair: Pair, minutes: int, due_us: int | None = None) -> int:
    """Let the schedule be due since so many minutes ago, or since a moment; return since when."""
    wanted_us = due_us or _next(pair) - minutes * MINUTE_US

    def change(connection: Connection) -> None:
        connection.execute(update(scripts_schedules).values(next_us=wanted_us))

    pair.write(change)
    return wanted_us


def _next(pair: Pair) -> int:
    (row,) = pair.read(select(scripts_schedules.c.next_us))
    return int(row.next_us)


def _fired(pair: Pair) -> list[Any]:
    return pair.read(select(scripts_firings))


def test_an_event_sent_to_both_servers_at_once_is_one_run(pair: Pair) -> None:
    pair.start()
    pair.users[0].host("nobody")
    steps = {"only": {"command": ["true"], "host": "nobody"}}
    pair.users[0].apply(workflow("twice", steps))
    barrier = threading.Barrier(8)

    def send(number: int) -> list[int]:
        user = Dispatcher((pair.first, pair.second)[number % 2])
        barrier.wait(30.0)
        sent = [user.event("twice", {"n": key}, key=f"key {key}") for key in range(10)]
        user.close()
        return sent

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0])) == 10
    assert len(pair.read(select(scripts_runs.c.id))) == 10


def test_a_code_used_at_both_servers_at_once_gives_one_token(pair: Pair) -> None:
    pair.start()
    hands = Holder(pair.first, host="alpha", name="hands")
    pair.harbour.clients.append(hands)
    hands.register()
    steps = {"only": {"command": ["true"], "host": "alpha"}}
    pair.users[0].apply(workflow("coded", steps))
    pair.users[1].event("coded")
    (held,) = hands.claim(wait_s=5.0)
    barrier = threading.Barrier(40)

    def use(number: int) -> int:
        barrier.wait(30.0)
        return swap((pair.first, pair.second)[number % 2], held["payload"]["code"]).status

    with ThreadPoolExecutor(40) as pool:
        statuses = list(pool.map(use, range(40)))
    assert sorted(statuses) == [200] + [401] * 39


def test_runs_of_an_event_go_on_past_the_death_of_a_server_and_keep_its_limit(pair: Pair) -> None:
    pair.start()
    directory, mark = pair.harbour.directory, pair.harbour.mark
    log = Log(directory / "steps.log")
    for number, server in enumerate((pair.first, pair.second)):
        worker = HostWorker(directory, "alpha", mark, server, name=f"worker{number}")
        pair.harbour.commands.append(worker)
        worker.start()
    pair.users[0].host("alpha")
    steps = {
        "one": step(log.path, retries=AGAIN, then="nap 0.2"),
        "two": step(log.path, "alpha", "one", retries=AGAIN),
    }
    pair.users[0].apply(workflow("limited", steps, parallel=2))
    runs = [pair.users[number % 2].event("limited") for number in range(8)]
    log.wait("let in", count=3)
    pair.first.kill()
    user = pair.users[1]
    for run_id in runs:
        user.finish(run_id, WITHIN_S)
        check_run(user, log, run_id)
    lines = {run_id: log.lines(run=run_id) for run_id in runs}
    spans = [(found[0]["at"], found[-1]["at"]) for found in lines.values()]
    for begun, _ in spans:
        at_once = sum(first <= begun < last for first, last in spans)
        assert at_once <= 2, f"{at_once} runs at once: {spans}"
    stays(lambda: len(user.get(f"{API}/runs", workflow="limited")["runs"]) == 8, 0.2, "no other")
