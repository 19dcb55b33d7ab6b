"""R13: a process over elements is stopped while a task of it runs, and while all of it waits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.corpora import API, WORKERS, Archivist
from tests.acceptance.harness import eventually, marked, stays

STOPPED_WITHIN_S = 10.0
ELEMENTS = 20


class Berth:
    """A server and a worker with one slot, which all tests here share."""

    def __init__(self, harbour: Harbour) -> None:
        self.harbour = harbour
        server = harbour.server()
        server.start()
        self.user = Archivist(server)
        harbour.clients.append(self.user)
        harbour.worker(server, slots=1, apps=WORKERS).start()
        self.user.wait_for("gate")
        self.corpus_id, self.page_ids = self.user.corpus_of(ELEMENTS)

    def start_gate(self, directory: Path) -> str:
        """Start a process whose first element waits for `marker`, and wait for that."""
        log = directory / "log"
        configuration = {"marker": str(directory / "marker"), "log": str(log)}
        process_id = self.user.start(self.corpus_id, "gate", configuration=configuration, chunks=2)
        eventually(log.exists, 30.0, "the first element is begun")
        return process_id

    def stop(self, process_id: str) -> dict[str, object]:
        """Stop a process and return what is told of it when it is over."""
        self.user.post(f"{API}/process/{process_id}/stop/")
        return self.user.finish(process_id, STOPPED_WITHIN_S)

    def states(self, process_id: str) -> Counter[str]:
        """Count the activities of a process by their states."""
        return Counter(row["state"] for row in self.user.activities(process_id))


@pytest.fixture(scope="module")
def berth(module_harbour: Harbour) -> Berth:
    return Berth(module_harbour)


def test_a_running_process_that_is_stopped_leaves_nothing(berth: Berth, tmp_path: Path) -> None:
    before = {process.pid for process in marked(berth.harbour.mark)}
    process_id = berth.start_gate(tmp_path)
    (line,) = (tmp_path / "log").read_text().splitlines()
    program = int(line.split()[1])

    process = berth.stop(process_id)
    assert process["state"] == "stopped"
    assert berth.states(process_id) == {"cancelled": ELEMENTS}
    eventually(lambda: not psutil.pid_exists(program), STOPPED_WITHIN_S, "the program has ended")
    # What it had started is gone with it.
    eventually(
        lambda: {each.pid for each in marked(berth.harbour.mark)} <= before,
        STOPPED_WITHIN_S,
        "no process of it is left",
    )
    (tmp_path / "marker").touch()
    stays(lambda: berth.states(process_id) == {"cancelled": ELEMENTS}, 0.5, "it stays so")
    assert len((tmp_path / "log").read_text().splitlines()) == 1

    # The slot is free for others, and the elements too.
    following = berth.user.start(berth.corpus_id, "namer", configuration={"nap_s": 0.0})
    assert berth.user.finish(following)["state"] == "completed"
    berth.user.check_all_once(following, berth.page_ids)


def test_a_waiting_process_that_is_stopped_is_over_at_once(berth: Berth, tmp_path: Path) -> None:
    blocker = berth.start_gate(tmp_path)
    waiting = berth.user.start(berth.corpus_id, "namer", configuration={"nap_s": 0.01})
    assert berth.user.process(waiting)["state"] == "pending"
    process = berth.stop(waiting)
    assert process["state"] in ("stopped", "cancelled")
    assert berth.states(waiting) == {"cancelled": ELEMENTS}
    (tmp_path / "marker").touch()
    assert berth.user.finish(blocker)["state"] == "completed"
    assert berth.states(blocker) == {"processed": ELEMENTS}
    assert berth.states(waiting) == {"cancelled": ELEMENTS}
