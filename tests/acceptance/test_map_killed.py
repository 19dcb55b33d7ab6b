"""`longshore map` is killed again and again, and so are server and worker: each record comes once."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Command, Server, eventually
from tests.acceptance.pipelines import SERVICES, SQUARE, Shipper

RECORDS = 4_000
NAP_S = 0.001
KILLS = 5
RUN_S = 60.0


class Map(Command):
    """`longshore map` over one file into another, resumed by each further start."""

    def __init__(self, harbour: Harbour, server: Server, source: Path, out: Path) -> None:
        super().__init__(harbour.directory, "map", harbour.mark)
        self.out = out
        self._server = server
        self._arguments = ["map", SQUARE, str(source), "-o", str(out), "--resume"]
        self._arguments += ["--chunk-size", "25", "--parameter", f"nap_s={NAP_S}"]
        harbour.commands.append(self)

    def start(self, *more: str) -> None:
        found = {"LONGSHORE_URL": self._server.url, "LONGSHORE_KEY": self._server.key}
        self.launch([*self._arguments, *more], found)

    @property
    def written(self) -> int:
        """How many lines are in the output, whole or not."""
        return self.out.read_bytes().count(b"\n") if self.out.exists() else 0

    def await_lines(self, count: int, what: str) -> None:
        eventually(lambda: self.written >= count or not self.running, RUN_S, what)


def values_in(out: Path) -> list[int]:
    lines = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert all(line["square"] == line["value"] ** 2 for line in lines)
    return [line["value"] for line in lines]


def ready(harbour: Harbour, database_url: str) -> tuple[Server, Map]:
    server = harbour.server(database=database_url)
    server.start()
    source = harbour.directory / "in.csv"
    source.write_text("value\n" + "".join(f"{value}\n" for value in range(RECORDS)))
    return server, Map(harbour, server, source, harbour.directory / "out.jsonl")


@pytest.mark.parametrize("order", ["--ordered", "--unordered"])
def test_a_map_killed_at_any_moment_goes_on_with_every_record_once(
    harbour: Harbour, database_url: str, order: str
) -> None:
    server, mapping = ready(harbour, database_url)
    harbour.worker(server, slots=2, apps=SERVICES).start()
    user = Shipper(server)
    harbour.clients.append(user)
    user.wait_for(SQUARE)
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for kill in range(1, KILLS + 1):
        goal = min(mapping.written + chance.randint(0, 2 * RECORDS // KILLS), RECORDS - 200)
        mapping.start(order)
        mapping.await_lines(goal, f"kill {kill} of seed {seed}")
        mapping.kill()
    mapping.start(order)
    assert mapping.wait(RUN_S) == 0, mapping.tail()
    found = values_in(mapping.out)
    assert (found if order == "--ordered" else sorted(found)) == list(range(RECORDS)), seed
    assert not list(harbour.directory.glob("*.journal*"))
    mapping.start(order)
    assert mapping.wait(RUN_S) == 0
    assert mapping.log.rstrip().endswith("is complete")


def test_server_and_worker_killed_in_the_middle_cost_time_only(
    harbour: Harbour, database_url: str
) -> None:
    server, mapping = ready(harbour, database_url)
    worker = harbour.worker(server, slots=2, apps=SERVICES)
    worker.start()
    user = Shipper(server)
    harbour.clients.append(user)
    user.wait_for(SQUARE)
    mapping.start()
    for part in (1, 2, 3):
        mapping.await_lines(part * RECORDS // 5, f"part {part}")
        worker.kill()
        server.restart()
        worker.start()
    assert mapping.wait(RUN_S) == 0, mapping.tail()
    assert values_in(mapping.out) == list(range(RECORDS))
    assert f"{RECORDS:,} records, 0 failed" in mapping.log


def test_ctrl_c_leaves_what_can_be_resumed(harbour: Harbour, database_url: str) -> None:
    server, mapping = ready(harbour, database_url)
    harbour.worker(server, slots=2, apps=SERVICES).start()
    user = Shipper(server)
    harbour.clients.append(user)
    user.wait_for(SQUARE)
    mapping.start()
    mapping.await_lines(1, "something is written")
    mapping.process.send_signal(signal.SIGINT)
    assert mapping.wait(RUN_S) == 130, mapping.tail()
    assert "go on with --resume" in mapping.log
    assert 0 < len(values_in(mapping.out)) < RECORDS
    mapping.start()
    assert mapping.wait(RUN_S) == 0, mapping.tail()
    assert values_in(mapping.out) == list(range(RECORDS))
