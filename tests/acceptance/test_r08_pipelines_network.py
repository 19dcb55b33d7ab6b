"""R8: the network between a worker and the server is cut, for a moment, for long, and one way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, eventually, stays
from tests.acceptance.partition import Partition
from tests.acceptance.pipelines import GATE, SERVICES, Pipeline, Shipper, chunk

LEASE_S = 3.0
MOMENT_S = 1.0
WITHIN_S = 20.0


class Strait:
    """A worker that reaches the server through a network that can be cut, and its first chunk."""

    def __init__(
        self, harbour: Harbour, server: Server, partition: Partition, user: Shipper
    ) -> None:
        self.harbour = harbour
        self.server = server
        self.partition = partition
        self.marker = harbour.directory / "marker"
        self.log = harbour.directory / "executions"
        self.pipeline: Pipeline = user.pipeline(GATE)
        parameters = {"marker": str(self.marker), "log": str(self.log)}
        self.pipeline.push(chunk(0, range(5), **parameters))
        eventually(self.executions, WITHIN_S, "the chunk is begun")

    def start_neighbour(self) -> None:
        """Start another worker, whose network is whole."""
        self.harbour.worker(self.server, "near", slots=1, apps=SERVICES).start()

    def executions(self) -> list[int]:
        """Return the process of each execution that has begun."""
        return [int(line) for line in self.log.read_text().split()] if self.log.exists() else []

    def finish(self) -> None:
        """Let the chunk go on, and check that it comes out once and all of it."""
        self.marker.touch()
        self.pipeline.drain(1, WITHIN_S)
        assert self.pipeline.doubles == 0
        self.pipeline.check_squares(5)
        stays(lambda: self.pipeline.pull() == 0, 0.3, "nothing comes out twice")


@pytest.fixture
def strait(harbour: Harbour) -> Iterator[Strait]:
    server = harbour.server(settings={"LONGSHORE_LEASE_S": str(LEASE_S)})
    server.start()
    user = Shipper(server)
    harbour.clients.append(user)
    with Partition(server.port) as partition:
        far = ("--server", partition.url)
        harbour.worker(server, "far", slots=1, apps=SERVICES, options=far).start()
        user.wait_for(GATE)
        yield Strait(harbour, server, partition, user)
        harbour.close()


def test_a_short_cut_changes_nothing(strait: Strait) -> None:
    strait.partition.cut()
    stays(lambda: len(strait.executions()) == 1, MOMENT_S, "it runs where it is")
    strait.partition.heal()
    stays(lambda: len(strait.executions()) == 1, LEASE_S, "it runs where it is")
    strait.finish()
    assert len(strait.executions()) == 1
    assert strait.pipeline.info()["summary"]["chunks_retried"] == 0


def test_a_long_cut_costs_one_more_execution(strait: Strait) -> None:
    (first,) = strait.executions()
    strait.start_neighbour()
    strait.partition.cut()
    eventually(lambda: len(strait.executions()) == 2, WITHIN_S, "another worker has taken it")
    assert psutil.pid_exists(first), "nobody has told it yet"
    strait.partition.heal()
    eventually(lambda: not psutil.pid_exists(first), WITHIN_S, "the first process is stopped")
    strait.finish()
    assert len(strait.executions()) == 2
    assert strait.pipeline.info()["summary"]["chunks_retried"] == 1


@pytest.mark.parametrize("lost", ["requests", "answers"])
def test_a_cut_of_one_direction_costs_no_record_and_doubles_none(strait: Strait, lost: str) -> None:
    strait.start_neighbour()
    strait.partition.cut(requests=lost == "requests", answers=lost == "answers")
    # The work ends in the cut: the far worker cannot tell, or is never told that it could.
    Path(strait.marker).touch()
    strait.pipeline.drain(1, WITHIN_S)
    strait.partition.heal()
    strait.finish()
    summary = strait.pipeline.info()["summary"]
    assert summary["chunks_retried"] == (1 if lost == "requests" else 0)
