from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.unit.corpus_server import ProtocolServer
from tests.unit.corpus_worker_rig import Program, native_program, native_server, program, server

__all__ = ["native_program", "native_server", "program", "server"]

ALONE = """
class Toy(ElementsWorker):
    def setup(self):
        print("setup", os.getpid())
        pathlib.Path(f"setup-{os.getpid()}").touch()

    def process_element(self, element):
        while len(list(pathlib.Path().glob("setup-*"))) < int(os.environ.get("SETUPS", 0)):
            threading.Event().wait(0.01)
        print("done", os.getpid(), element.name)
        if element.name in os.environ.get("DIE", "").split():
            sys.stdout.flush()
            os._exit(3)
        if element.name in os.environ.get("FAIL", "").split():
            raise ValueError("no text")
"""

WAITING = """
class Toy(ElementsWorker):
    def process_element(self, element):
        print("begun", element.name, flush=True)
        pathlib.Path(f"begun-{element.name}").touch()
        while not pathlib.Path("go").exists():
            threading.Event().wait(0.02)
        print("done", element.name, flush=True)
"""

TOGETHER = """
class Toy(ElementsWorker):
    batch_size = 4

    def process_elements(self, elements):
        names = [element.name for element in elements]
        print("batch", *names)
        sys.stdout.flush()
        if os.environ.get("DIE") in names:
            os._exit(3)
        if os.environ.get("FAIL") in names:
            raise ValueError("no text")
"""


@pytest.mark.parametrize("kind", ["list", "queue", "bulk list", "bulk queue"])
def test_slots_share_the_elements_and_each_is_set_up_once(
    program: Program, native_program: Program, kind: str
) -> None:
    used = native_program if "bulk" in kind else program
    ids = used.server.add(20)
    used.server.process["skip_elements_json"] = "queue" in kind
    used.write(ALONE)
    arguments = [] if "queue" in kind else ["--element", *ids]
    ended = used.run("--slots", "2", *arguments, FAIL="0005", SETUPS="2")
    assert ended.code == 0, ended
    lines = [line.split() for line in ended.output.splitlines()]
    assert sorted(line[2] for line in lines if line[0] == "done") == [
        f"{n:04}" for n in range(1, 21)
    ]
    assert len({line[1] for line in lines if line[0] == "setup"}) == 2
    assert len(lines) == 22
    assert "Ran on 20 elements: 19 completed, 1 failed" in ended.errors
    states = used.server.states
    assert states.pop(ids[4]) == "error"
    assert set(states.values()) == {"processed"}


@pytest.mark.parametrize("kind", ["list", "bulk list"])
def test_a_slot_that_dies_fails_its_element_and_is_replaced(
    program: Program, native_program: Program, kind: str
) -> None:
    used = native_program if "bulk" in kind else program
    ids = used.server.add(5)
    used.write(ALONE)
    ended = used.run("--slots", "2", "--element", *ids, DIE="0002")
    assert ended.code == 0, ended
    assert "its process died (exit code 3)" in ended.errors
    assert "Ran on 5 elements: 4 completed, 1 failed" in ended.errors
    assert [used.server.states[one] for one in ids] == [
        *("processed", "error", "processed", "processed", "processed")
    ]


@pytest.mark.parametrize("slots", ["1", "2"])
def test_each_process_tidies_up_at_its_end(program: Program, slots: str) -> None:
    ids = program.server.add(4)
    program.write(
        """
        import logging

        class Toy(ElementsWorker):
            def cleanup(self):
                logging.getLogger("toy").warning("tidied up")
                print("tidied", os.getpid())
        """
    )
    ended = program.run("--slots", slots, "--element", *ids)
    assert ended.code == 0, ended
    assert len(set(ended.output.splitlines())) == int(slots)
    assert ended.errors.count("WARNING/toy: tidied up") == int(slots)


def test_a_slot_that_cannot_be_set_up_ends_the_run(program: Program) -> None:
    ids = program.server.add(2)
    program.write(
        """
        class Toy(ElementsWorker):
            def setup(self):
                raise RuntimeError("no model")
        """
    )
    ended = program.run("--slots", "2", "--element", *ids)
    assert ended.code == 1
    assert "A slot could not be set up" in ended.errors
    assert "RuntimeError: no model" in ended.errors
    assert set(program.server.states.values()) == {"queued"}


@pytest.mark.parametrize("slots", ["1", "2"])
def test_a_batch_that_fails_is_tried_element_by_element(program: Program, slots: str) -> None:
    ids = program.server.add(6)
    program.write(TOGETHER)
    ended = program.run("--slots", slots, "--element", *ids, FAIL="0002")
    assert ended.code == 0, ended
    assert sorted(ended.output.splitlines()) == [
        *("batch 0001", "batch 0001 0002 0003 0004", "batch 0002", "batch 0003", "batch 0004"),
        "batch 0005 0006",
    ]
    assert [program.server.states[one] for one in ids] == ["processed", "error", *["processed"] * 4]
    # Each is started and ended once, also in the second attempt.
    assert len(program.server.bodies("UpdateWorkerActivity")) == 12


@pytest.mark.parametrize("kind", ["list", "bulk"])
def test_a_batch_whose_process_dies_is_tried_element_by_element(
    program: Program, native_program: Program, kind: str
) -> None:
    used = native_program if kind == "bulk" else program
    ids = used.server.add(4)
    used.write(TOGETHER)
    ended = used.run("--slots", "2", "--element", *ids, DIE="0003")
    assert ended.code == 0, ended
    assert [used.server.states[one] for one in ids] == [
        *("processed", "processed", "error", "processed")
    ]


def test_the_size_of_batches_can_be_chosen(program: Program) -> None:
    ids = program.server.add(5)
    program.write(TOGETHER)
    ended = program.run("--batch-size", "2", "--element", *ids)
    assert ended.output.splitlines() == ["batch 0001 0002", "batch 0003 0004", "batch 0005"]


def _begun(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("begun"), line
    return line.split()


@pytest.mark.parametrize("slots", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_the_current_elements_and_hands_the_others_back(
    native_program: Program, tmp_path: Path, slots: str, number: signal.Signals
) -> None:
    server = native_program.server
    ids = server.add(40)
    server.process["skip_elements_json"] = True
    native_program.write(WAITING)
    process = native_program.start("--slots", slots, "--batch-size", "3")
    for _ in range(int(slots)):
        _begun(process)
    process.send_signal(number)
    assert process.stderr is not None
    # Only a process that ends without having stopped ends the lines.
    assert any("stopping after the current element" in line for line in process.stderr)
    (tmp_path / "go").touch()
    ended = native_program.end(process)
    # Whoever started it sees that it was stopped, not that it has succeeded or failed.
    assert ended.code == -number, ended
    done = int(slots) * 3
    assert f"Ran on {done} elements: {done} completed, 0 failed" in ended.errors
    states = list(server.states.values())
    assert (states.count("processed"), states.count("queued")) == (done, len(ids) - done)


def test_a_second_signal_ends_the_run_at_once(native_program: Program) -> None:
    server = native_program.server
    server.add(4)
    server.process["skip_elements_json"] = True
    native_program.write(WAITING)
    process = native_program.start()
    _begun(process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    # Only a process that ends without having stopped ends the lines.
    assert any("stopping after the current element" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    ended = native_program.end(process)
    assert ended.code != 0
    assert set(server.states.values()) == {"queued"}


@pytest.mark.parametrize("kind", ["queue", "list"])
def test_what_is_held_is_renewed_by_a_process_of_its_own(
    native_program: Program, tmp_path: Path, kind: str
) -> None:
    server = native_program.server
    ids = server.add(3)
    server.process["skip_elements_json"] = kind == "queue"
    native_program.write(WAITING)
    arguments = [] if kind == "queue" else ["--element", *ids]
    process = native_program.start(*arguments)
    _begun(process)
    # It renews although the worker itself stands still.
    process.send_signal(signal.SIGSTOP)
    server.wait_for(lambda: [ids[0], 1] in server.renewed)
    process.send_signal(signal.SIGCONT)
    (tmp_path / "go").touch()
    assert native_program.end(process).code == 0


def test_what_the_protocol_starts_one_by_one_is_renewed_as_well(
    native_program: Program, tmp_path: Path
) -> None:
    server = native_program.server
    ids = server.add(1)
    native_program.write(
        WAITING
        + "\n    def update_activity(self, element_id, state):\n"
        + "        return super().update_activity(element_id, state)\n"
    )
    process = native_program.start("--element", *ids)
    _begun(process)
    server.wait_for(lambda: [ids[0], 1] in server.renewed)
    (tmp_path / "go").touch()
    assert native_program.end(process).code == 0
    assert server.names().count("UpdateWorkerActivity") == 2


def test_slots_and_heartbeat_of_a_killed_worker_end(
    native_program: Program, native_server: ProtocolServer
) -> None:
    ids = native_server.add(4)
    native_program.write(WAITING)
    process = native_program.start("--slots", "2", "--element", *ids)
    _begun(process)
    _begun(process)
    children = psutil.Process(process.pid).children()
    assert len(children) == 3
    os.kill(process.pid, signal.SIGKILL)
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert (len(gone), alive) == (3, [])
