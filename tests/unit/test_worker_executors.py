"""Dask and Ray as executors, on real clusters of processes on this machine."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError, Executor, wait
from pathlib import Path
from types import SimpleNamespace

import pytest

from longshore.errors import ConfigurationError
from longshore.worker.executors import (
    DaskEngine,
    DaskExecutor,
    Engine,
    EngineName,
    Fate,
    RayExecutor,
    Unreachable,
    check_address,
    connect,
)
from tests.unit.clusters import ClusterProcess, DaskProcess, RayProcess, environment, free_port
from tests.unit.worker_server import alive, poll

_PID = "echo $PPID"
_DIE = "kill -9 $PPID"
DEADLINE_S = 30.0


@pytest.fixture(scope="module", params=[DaskProcess, RayProcess], ids=["dask", "ray"])
def cluster(request: pytest.FixtureRequest) -> Iterator[ClusterProcess]:
    # Ray keeps sockets there, whose paths must be short.
    directory = Path(tempfile.mkdtemp(prefix="ls-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(directory).items():
            patch.setenv(name, value)
        patch.delenv("TMPDIR")
        started: ClusterProcess = request.param(directory, free_port())
        try:
            started.start()
            yield started
        finally:
            started.close()


@pytest.fixture(scope="module")
def engine(cluster: ClusterProcess) -> Iterator[Engine]:
    connected = connect(cluster.engine, cluster.address)
    yield connected
    connected.close()


def test_functions_run_in_processes_of_the_cluster(engine: Engine, cluster: ClusterProcess) -> None:
    pids = {engine.executor.submit(subprocess.getoutput, _PID).result(DEADLINE_S) for _ in "ab"}
    assert str(os.getpid()) not in pids
    assert {int(pid) for pid in pids} <= {process.pid for process in cluster.descendants()}
    # Under load a worker of Dask may arrive after its scheduler.
    assert poll(lambda: engine.processors() == 2, DEADLINE_S)
    assert engine.alive()


def test_results_come_in_the_order_of_the_arguments(engine: Engine) -> None:
    numbers = [[float(number), float(number + 2)] for number in range(20)]
    assert list(engine.executor.map(statistics.mean, numbers)) == [n + 1.0 for n in range(20)]


def test_an_exception_arrives_and_says_that_the_function_could_not_run(engine: Engine) -> None:
    error = engine.executor.submit(statistics.mean, []).exception(DEADLINE_S)
    assert isinstance(error, statistics.StatisticsError)
    assert engine.fate(error) is Fate.BROKEN


def test_a_process_that_dies_is_told_from_an_exception(engine: Engine) -> None:
    error = engine.executor.submit(subprocess.getoutput, _DIE).exception(DEADLINE_S)
    assert error is not None
    assert engine.fate(error) is Fate.KILLED
    assert engine.executor.submit(subprocess.getoutput, "echo still here").result(DEADLINE_S) == (
        "still here"
    )


def test_a_cancelled_function_is_cancelled_at_once(engine: Engine, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    running = engine.executor.submit(
        subprocess.getoutput, f"echo $PPID > {begun}.new; mv {begun}.new {begun}; exec sleep 2"
    )
    pid = int(poll(lambda: begun.exists() and begun.read_text(), DEADLINE_S))
    assert running.cancel()
    with pytest.raises(CancelledError):
        running.result()
    if isinstance(engine.executor, RayExecutor):
        # Ray can kill what runs; a thread of Dask goes on until the function returns.
        poll(lambda: not alive(pid), DEADLINE_S)
    else:
        assert alive(pid)


def another_executor(engine: Engine) -> Executor:
    """Return an executor that a test may shut down."""
    return DaskExecutor(engine.client) if isinstance(engine, DaskEngine) else RayExecutor()


def test_an_executor_that_is_shut_down_takes_nothing_more(engine: Engine) -> None:
    executor = another_executor(engine)
    running = [executor.submit(subprocess.getoutput, "sleep 0.2; echo done") for _ in range(3)]
    executor.shutdown(wait=True)
    assert [future.result(0) for future in running] == ["done"] * 3
    with pytest.raises(RuntimeError, match="shut"):
        executor.submit(subprocess.getoutput, "true")


def test_what_waits_can_be_cancelled_when_the_executor_is_shut_down(
    engine: Engine, cluster: ClusterProcess
) -> None:
    executor = another_executor(engine)
    # Dask does not stop what runs, so that the rest of these tests would wait for it.
    lasting_s = 30 if cluster.engine == "ray" else 1
    running = [executor.submit(subprocess.getoutput, f"sleep {lasting_s}") for _ in range(4)]
    executor.shutdown(wait=True, cancel_futures=True)
    assert not wait(running, 0).not_done
    assert all(future.cancelled() for future in running)
    assert engine.alive()


def test_a_result_that_its_cluster_has_lost_is_still_the_result() -> None:
    """Dask's own executor looks at the state of a task again after its result has come."""

    class Lost:
        """A task whose process dies as soon as its result has been fetched."""

        status = "finished"

        def __await__(self) -> Generator[None, None, bytes]:
            self.status = "pending"
            return b"result"
            yield

        def cancel(self) -> None:
            raise AssertionError("nobody has cancelled it")

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    client = SimpleNamespace(
        submit=lambda *_, **__: Lost(), loop=SimpleNamespace(asyncio_loop=loop)
    )
    try:
        assert DaskExecutor(client).submit(bytes).result(DEADLINE_S) == b"result"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_nobody_at_the_address_is_unreachable(cluster: ClusterProcess) -> None:
    address = cluster.address.replace(str(cluster.port), str(free_port()))
    with pytest.raises(Unreachable, match="answers at"):
        connect(cluster.engine, address)


@pytest.mark.parametrize(
    ("engine_name", "address", "says"),
    [
        ("dask", None, "needs --address"),
        ("ray", "", "needs --address"),
        ("dask", "127.0.0.1:8786", "no address of a Dask scheduler"),
        ("dask", "tcp://127.0.0.1", "no address of a Dask scheduler"),
        ("dask", "tcp://127.0.0.1:many", "no address of a Dask scheduler"),
        ("ray", "http://127.0.0.1:6379", "no address of a Ray cluster"),
        ("ray", "127.0.0.1", "no address of a Ray cluster"),
    ],
)
def test_an_address_of_another_form_is_refused(
    engine_name: EngineName, address: str | None, says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        check_address(engine_name, address)


@pytest.mark.parametrize(
    ("engine_name", "address"),
    [
        ("dask", "tcp://127.0.0.1:8786"),
        ("dask", "tls://scheduler.example:8786"),
        ("ray", "auto"),
        ("ray", "127.0.0.1:6379"),
        ("ray", "ray://head.example:10001"),
    ],
)
def test_an_address_of_the_engine_is_taken(engine_name: EngineName, address: str) -> None:
    check_address(engine_name, address)
