"""Stopping: `longshore up` with its own worker, by SIGTERM and by kill -9."""

from __future__ import annotations

import signal

from longshore.engine.states import Reason
from longshore.storage import faults
from tests.acceptance import invariants
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour, wait_for_apps
from tests.acceptance.harness import APPS, Server, eventually, marked
from tests.acceptance.voyage import Lookout

DRAIN_S = 1.0


def _server(harbour: Harbour) -> Server:
    return harbour.server(apps=[APPS], worker=True, settings={"LONGSHORE_DRAIN_S": str(DRAIN_S)})


def _held(harbour: Harbour, user: User) -> str:
    """Start a run of one good file and one that takes until the marker appears; both began."""
    marker = harbour.directory / "marker"
    files = {"long.txt": f"until {marker}".encode(), "short.txt": b"fine"}
    run_id = user.run_files("Patient", files)
    eventually(
        lambda: sorted(work["state"] for work in user.works(run_id)) == ["running", "success"],
        30.0,
        "one file is done and one is held",
    )
    return run_id


def test_a_stopped_server_hands_work_back_and_finishes_it_after_the_next_start(
    harbour: Harbour,
) -> None:
    server = _server(harbour)
    server.start()
    user = harbour.user(server)
    wait_for_apps(user, ["Patient"])
    run_id = _held(harbour, user)
    assert server.stop() == 0, server.tail()
    eventually(lambda: not marked(harbour.mark), 5.0, "the worker stopped with the server")

    server.start()
    work = next(work for work in user.works(run_id) if work["state"] != "success")
    told = [event["reason"] for event in user.events(work["id"])]
    assert told[:3] == ["submitted", "claimed", "handed_back"], told
    assert work["attempts_max"] - work["attempt"] >= 2, "the attempt was not charged"
    (harbour.directory / "marker").touch()
    assert user.finished(run_id, within_s=30.0)["status"] == "COMPLETE"
    invariants.check_all(user)
    assert server.stop() == 0
    assert "Traceback" not in server.log, server.tail()


def test_a_killed_server_starts_again_and_its_orphaned_worker_does_no_harm(
    harbour: Harbour,
) -> None:
    server = _server(harbour)
    server.start()
    user = harbour.user(server)
    wait_for_apps(user, ["Patient"])
    run_id = _held(harbour, user)
    orphans = {process.pid for process in server.descendants()}
    assert orphans, "the worker runs beside the server"
    server.kill()
    server.start()
    (harbour.directory / "marker").touch()
    assert user.finished(run_id, within_s=40.0)["status"] == "COMPLETE"
    invariants.check_all(user)
    eventually(
        lambda: not orphans & {process.pid for process in marked(harbour.mark)},
        30.0,
        "the worker of the killed server is gone",
    )


def test_a_server_killed_while_it_hands_on_the_work_of_its_dead_worker_loses_nothing(
    harbour: Harbour,
) -> None:
    for where in (faults.BEFORE_COMMIT, faults.AFTER_COMMIT):
        server = _server(harbour)
        server.start(fault=f"{where}:{Reason.WORKER_LOST}")
        with Lookout(server) as lookout:
            user = harbour.user(server)
            wait_for_apps(user, ["Patient"])
            (harbour.directory / "marker").unlink(missing_ok=True)
            run_id = _held(harbour, user)
            worker = next(
                process for process in server.descendants() if process.ppid() == server.pid
            )
            worker.kill()
            eventually(lambda: lookout.deaths, 20.0, "the server dies at the fault point")
            (harbour.directory / "marker").touch()
            assert user.finished(run_id, within_s=40.0)["status"] == "COMPLETE"
        assert lookout.error is None, lookout.error
        assert lookout.deaths == [-signal.SIGKILL], server.tail()
        invariants.check_all(user)
        assert server.stop() == 0


def test_a_second_server_on_the_same_data_is_refused_and_the_first_goes_on(
    harbour: Harbour,
) -> None:
    server = harbour.server()
    server.start()
    user = harbour.user(server)
    second = Server(server.data, harbour.mark)
    harbour.commands.append(second)
    second.launch(["up", "--data", str(server.data), "--port", str(second.port), "--no-worker"], {})
    assert second.wait(20.0) != 0
    assert str(server.pid) in second.log, "the message names the process that holds the data"
    user.batch_of({"a.txt": b"text"})
    invariants.check_nothing_lost(user)
