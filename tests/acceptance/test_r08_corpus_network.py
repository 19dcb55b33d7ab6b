"""R8: the network between a worker of elements and the server is cut, for a moment and for long."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.corpora import WORKERS, Archivist
from tests.acceptance.harness import Server, eventually, stays
from tests.acceptance.partition import Partition

LEASE_S = 3.0
MOMENT_S = 1.0
WITHIN_S = 30.0


class Strait:
    """A worker that reaches the server through a network that can be cut, at its first element."""

    def __init__(
        self, harbour: Harbour, server: Server, partition: Partition, user: Archivist
    ) -> None:
        self.harbour = harbour
        self.server = server
        self.partition = partition
        self.user = user
        self.marker = harbour.directory / "marker"
        self.log = harbour.directory / "begun"
        corpus_id, self.page_ids = user.corpus_of(3)
        configuration = {"marker": str(self.marker), "log": str(self.log)}
        self.process_id = user.start(corpus_id, "gate", configuration=configuration)
        eventually(self.begun, WITHIN_S, "the first element is begun")

    def begun(self) -> list[int]:
        """Return the process of each element that was begun."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [int(line.split()[1]) for line in lines]

    def finish(self) -> dict[str, object]:
        """Let all elements go on, and check that each is processed once; return their process."""
        self.marker.touch()
        process = self.user.finish(self.process_id, WITHIN_S)
        assert process["state"] == "completed", process["tasks"]
        self.user.check_all_once(self.process_id, self.page_ids)
        return process


@pytest.fixture
def strait(harbour: Harbour) -> Iterator[Strait]:
    server = harbour.server(settings={"LONGSHORE_LEASE_S": str(LEASE_S)})
    server.start()
    user = Archivist(server)
    harbour.clients.append(user)
    with Partition(server.port) as partition:
        far = ("--server", partition.url)
        harbour.worker(server, "far", slots=1, apps=WORKERS, options=far).start()
        user.wait_for("gate")
        yield Strait(harbour, server, partition, user)
        harbour.close()


def test_a_short_cut_changes_nothing(strait: Strait) -> None:
    strait.partition.cut()
    stays(lambda: len(strait.begun()) == 1, MOMENT_S, "it runs where it is")
    strait.partition.heal()
    stays(lambda: len(strait.begun()) == 1, LEASE_S, "it runs where it is")
    process = strait.finish()
    assert len(strait.begun()) == 1
    assert [task["attempt"] for task in process["tasks"]] == [1]
    assert {row["attempt"] for row in strait.user.activities(strait.process_id)} == {1}


def test_a_long_cut_gives_the_task_and_its_elements_to_another_worker(strait: Strait) -> None:
    (first,) = strait.begun()
    strait.harbour.worker(strait.server, "near", slots=1, apps=WORKERS).start()
    strait.partition.cut()
    eventually(lambda: len(strait.begun()) == 2, WITHIN_S, "another worker has begun it")
    assert psutil.pid_exists(first), "nobody has told it yet"
    strait.partition.heal()
    eventually(lambda: not psutil.pid_exists(first), WITHIN_S, "the first program is stopped")
    process = strait.finish()
    assert len(strait.begun()) == 2
    assert [task["attempt"] for task in process["tasks"]] == [2]
