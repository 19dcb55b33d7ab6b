"""A map into a file while client, worker and server are killed: each record is in it once."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Command, Server, WorkerProcess
from tests.acceptance.pipelines import SERVICES, SQUARE, Shipper

PROGRAM = Path(__file__).with_name("map_records.py")


@dataclass(frozen=True, slots=True)
class Size:
    records: int
    chunk: int
    nap_s: float
    kills: int
    within_s: float


SHORT = Size(records=4_000, chunk=20, nap_s=0.002, kills=6, within_s=90.0)
LONG = Size(records=1_000_000, chunk=500, nap_s=0.0, kills=30, within_s=7_000.0)


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    return LONG if request.config.getoption("--long", default=False) else SHORT


class MapProgram(Command):
    """The program of the user, which is started again whenever it was killed."""

    program = (str(PROGRAM),)

    def __init__(self, harbour: Harbour, arguments: Sequence[str]) -> None:
        super().__init__(harbour.directory, "map", harbour.mark)
        self._arguments = arguments
        harbour.commands.append(self)

    def start(self) -> None:
        self.launch(self._arguments, {})


def _lines(target: Path) -> int:
    """Return how far the file has come, wherever it is written until it is complete."""
    found = [path for path in target.parent.glob(f"{target.name}*") if path.is_file()]
    return max((path.read_bytes().count(b"\n") for path in found), default=0)


def _strike(victim: Command) -> None:
    """Kill a process and start it again."""
    assert isinstance(victim, MapProgram | Server | WorkerProcess)
    victim.kill()
    victim.start()


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_a_map_survives_the_death_of_everything(harbour: Harbour, size: Size) -> None:
    server = harbour.server()
    server.start()
    user = Shipper(server)
    harbour.clients.append(user)
    worker = harbour.worker(server, slots=2, apps=SERVICES)
    worker.start()
    user.wait_for(SQUARE)
    source, target = harbour.directory / "in.jsonl", harbour.directory / "out.jsonl"
    source.write_text("".join(f'{{"value": {value}}}\n' for value in range(size.records)))
    program = MapProgram(
        harbour,
        [server.url, server.key, str(source), str(target), str(size.chunk), str(size.nap_s)],
    )
    program.start()

    # One after the other, so that each of them is among the victims; when is left to chance.
    victims = [program, server, worker]
    chance, pause = random.Random(20_265), threading.Event()
    deadline = time.monotonic() + size.within_s
    kills = 0
    while program.running:
        assert time.monotonic() < deadline, f"{_lines(target)} lines, {kills} kills:\n{program.log}"
        pause.wait(chance.uniform(0.0, 0.1))
        if kills < size.kills and _lines(target) > kills * size.records // (size.kills + 1):
            _strike(victims[kills % len(victims)])
            kills += 1
    assert program.process.returncode == 0, program.log
    print(f"{kills} kills of client, server and worker in turn")
    assert kills >= size.kills - 1
    outputs = [json.loads(line) for line in target.read_text().splitlines()]
    expected = [(value, value * value) for value in range(size.records)]
    assert [(each["value"], each["square"]) for each in outputs] == expected
    assert [path.name for path in target.parent.glob("out.jsonl*")] == ["out.jsonl"]
