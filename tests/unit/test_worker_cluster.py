"""Chunks of services on real clusters: what is sent there, and what follows when something dies."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from longshore.wire.payloads import ChunkPayload, ChunkResult
from longshore.wire.worker import Claimed, Outcome
from longshore.worker import cluster as cluster_code
from longshore.worker.channel import Finished, Loaded, Receiver, Run, Sender
from longshore.worker.cluster_driver import Driver
from longshore.worker.cluster_messages import Answered, FromDriver, Submit
from longshore.worker.cluster_slot import Cluster, ClusterSlot
from longshore.worker.console import make_log
from longshore.worker.executors import Fate
from longshore.worker.output import AttemptOutput
from longshore.worker.slots import Attempt, SetUpFailed, Stop
from tests.unit.clusters import (
    ClusterProcess,
    DaskProcess,
    RayProcess,
    environment,
    free_port,
    kill,
)
from tests.unit.worker_server import alive

SERVICES = str(Path(__file__).with_name("cluster_services.py"))
APPS = str(Path(__file__).with_name("worker_apps.py"))
DEADLINE_S = 60.0


@pytest.fixture(scope="module", params=[DaskProcess, RayProcess], ids=["dask", "ray"])
def started(request: pytest.FixtureRequest) -> Iterator[ClusterProcess]:
    # Ray keeps sockets there, whose paths must be short.
    directory = Path(tempfile.mkdtemp(prefix="ls-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(directory).items():
            patch.setenv(name, value)
        patch.delenv("TMPDIR")
        process: ClusterProcess = request.param(directory, free_port())
        try:
            process.start()
            yield process
        finally:
            process.close()


class Rig:
    """A connection to a cluster, and slots on it."""

    def __init__(
        self, process: ClusterProcess, modules: list[str], log_level: str = "error"
    ) -> None:
        self.loaded: list[Loaded] = []
        self.groups: set[int] = set()
        self.lines: list[str] = []
        self.cluster = Cluster(
            process.engine,
            process.address,
            modules,
            on_loaded=self.loaded.append,
            on_group=self._note_group,
            log=make_log(log_level),
        )
        self.slot = ClusterSlot(self.cluster)

    def _note_group(self, group: int, present: bool) -> None:
        (self.groups.add if present else self.groups.discard)(group)

    def begin(
        self, service: str, inputs: list[dict[str, Any]], **extra: Any
    ) -> tuple[Attempt, asyncio.Task[Finished]]:
        payload = ChunkPayload(
            service=f"tests/{service}",
            version="1.0.0",
            version_id="sv_1",
            records=len(inputs),
            columnar=False,
            data=msgspec.Raw(msgspec.json.encode({"inputs": inputs})),
            **extra,
        )
        raw = msgspec.Raw(msgspec.json.encode(payload))
        work = Claimed(
            work_id="wk_1",
            attempt=1,
            queue=1,
            surface="pipelines",
            payload=raw,
            lease_until_us=0,
            timeout_s=None,
        )
        attempt = Attempt(work, AttemptOutput(lambda _, text: self.lines.append(text)))
        run = Run(work.work_id, 1, work.surface, raw, "", "", record_timeout_s=payload.timeout_s)
        return attempt, asyncio.create_task(self.slot.run(run, attempt))

    async def compute(
        self, service: str, inputs: list[dict[str, Any]], **extra: Any
    ) -> tuple[ChunkResult, list[Any], list[Any]]:
        """Return the result of a chunk, its outputs, and its errors."""
        _, running = self.begin(service, inputs, **extra)
        finished = await asyncio.wait_for(running, DEADLINE_S)
        assert finished.outcome is Outcome.SUCCESS, finished.error
        result = msgspec.json.decode(finished.result, type=ChunkResult)
        outputs = msgspec.json.decode(result.outputs)
        errors = msgspec.json.decode(result.errors) or [None] * result.records
        return result, outputs, errors


@pytest.fixture
async def rig(started: ClusterProcess) -> AsyncIterator[Rig]:
    made = Rig(started, [SERVICES])
    await asyncio.wait_for(made.slot.start(), DEADLINE_S)
    yield made
    await made.slot.close()
    assert not made.groups


async def eventually(condition: Any) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        while not (value := condition()):  # noqa: ASYNC110 - other processes tell nobody
            await asyncio.sleep(0.02)
    return value


def gate_pids(directory: Path) -> set[int]:
    return {int(path.name.partition("-")[2]) for path in directory.glob("begun-*")}


async def test_a_chunk_is_computed_by_a_process_of_the_cluster(
    rig: Rig, started: ClusterProcess
) -> None:
    assert {offer.name for offer in rig.loaded[0].services} >= {"tests/double", "tests/poison"}
    chunks = [rig.compute("double", [{"value": n}, {"value": n + 1}]) for n in range(20)]
    pids = set()
    for number, (result, outputs, _) in enumerate(await asyncio.gather(*chunks)):
        assert [output["doubled"] for output in outputs] == [2 * number, 2 * number + 2]
        assert result.failed == 0
        pids |= {output["pid"] for output in outputs}
    assert pids <= {process.pid for process in started.descendants()}


async def test_a_process_that_is_killed_costs_a_run_and_nothing_else(
    rig: Rig, started: ClusterProcess, tmp_path: Path
) -> None:
    _, running = rig.begin("gate", [{"directory": str(tmp_path)}])
    [first] = await eventually(lambda: gate_pids(tmp_path))
    kill(psutil.Process(first))
    await eventually(lambda: len(gate_pids(tmp_path)) > 1)
    (tmp_path / "open").touch()
    finished = await asyncio.wait_for(running, DEADLINE_S)
    assert finished.outcome is Outcome.SUCCESS, finished.error
    [output] = msgspec.json.decode(msgspec.json.decode(finished.result, type=ChunkResult).outputs)
    assert output["pid"] in gate_pids(tmp_path) - {first}


async def test_a_record_that_kills_its_process_is_that_records_error(rig: Rig) -> None:
    poisoned = rig.compute("poison", [{"value": n} for n in range(20)])
    innocent = [rig.compute("double", [{"value": n}] * 20) for n in range(4)]
    (result, outputs, errors), *others = await asyncio.gather(poisoned, *innocent)
    assert result.failed == 1
    assert [output and output["value"] for output in outputs] == [
        None if n == 7 else n for n in range(20)
    ]
    [error] = errors[7]
    assert "SIGKILL" in error["message"]
    assert not any(errors[:7] + errors[8:])
    assert all(other.failed == 0 for other, _, _ in others)


async def test_a_record_that_takes_too_long_is_that_records_error(rig: Rig) -> None:
    result, outputs, errors = await rig.compute(
        "limited", [{"value": n} for n in range(5)], timeout_s=0.5
    )
    assert result.failed == 1
    assert [output and output["value"] for output in outputs] == [0, 1, 2, None, 4]
    assert "0.5 s" in errors[3][0]["message"]


async def test_a_chunk_that_is_cancelled_frees_its_slot_and_its_late_result_is_dropped(
    rig: Rig, started: ClusterProcess, tmp_path: Path
) -> None:
    attempt, running = rig.begin("gate", [{"directory": str(tmp_path)}])
    [pid] = await eventually(lambda: gate_pids(tmp_path))
    attempt.stop(Stop.CANCELLED)
    finished = await asyncio.wait_for(running, DEADLINE_S)
    assert finished.outcome is Outcome.CANCELLED
    (tmp_path / "open").touch()
    _, outputs, _ = await rig.compute("double", [{"value": 4}])
    assert outputs[0]["doubled"] == 8
    if isinstance(started, RayProcess):
        await eventually(lambda: not alive(pid))


async def test_a_chunk_for_code_that_is_not_there_says_so(rig: Rig) -> None:
    _, running = rig.begin("unheard-of", [{"value": 1}])
    finished = await asyncio.wait_for(running, DEADLINE_S)
    assert finished.outcome is Outcome.FAILURE
    assert finished.error is not None
    assert "unheard-of" in finished.error.message


async def test_what_a_cluster_does_not_run_is_left_to_other_workers(
    started: ClusterProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    both = Rig(started, [SERVICES, APPS], log_level="warning")
    await asyncio.wait_for(both.slot.start(), DEADLINE_S)
    await both.slot.close()
    assert "only services run on a cluster" in capsys.readouterr().err
    assert both.loaded[0].services
    assert not both.loaded[0].apps


@pytest.mark.parametrize(
    ("module", "says"),
    [("/nowhere/at/all.py", "There is no file"), (APPS, "only services run on a cluster")],
)
async def test_modules_that_a_cluster_cannot_serve_are_refused(
    started: ClusterProcess, module: str, says: str
) -> None:
    refused = Rig(started, [module])
    with pytest.raises(SetUpFailed, match=says):
        await asyncio.wait_for(refused.slot.start(), DEADLINE_S)
    await refused.slot.close()
    assert not refused.groups


async def test_a_cluster_that_goes_away_has_its_works_handed_back_and_is_connected_again(
    started: ClusterProcess, tmp_path: Path
) -> None:
    rig = Rig(started, [SERVICES])
    await rig.slot.start()
    _, running = rig.begin("gate", [{"directory": str(tmp_path)}])
    await eventually(lambda: gate_pids(tmp_path))
    started.kill()
    finished = await asyncio.wait_for(running, DEADLINE_S)
    assert finished.outcome is Outcome.HANDED_BACK
    await asyncio.wait_for(rig.slot.ended(), DEADLINE_S)
    assert not rig.slot.ready
    again = asyncio.create_task(rig.slot.start())
    await asyncio.to_thread(started.start)
    await asyncio.wait_for(again, DEADLINE_S)
    _, outputs, _ = await rig.compute("double", [{"value": 4}])
    assert outputs[0]["doubled"] == 8
    await rig.slot.close()
    assert not rig.groups


class RecordingExecutor(ProcessPoolExecutor):
    """Keeps what is submitted to a process of its own, and what comes back."""

    def __init__(self) -> None:
        super().__init__(1, multiprocessing.get_context("spawn"))
        self.calls: list[tuple[Any, tuple[Any, ...]]] = []
        self.results: list[Any] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        assert not kwargs
        self.calls.append((fn, args))
        future = super().submit(fn, *args)
        self.results.append(future.result(DEADLINE_S))
        return future


class RecordingEngine:
    def __init__(self) -> None:
        self.executor: Executor = RecordingExecutor()

    def processors(self) -> int:
        return 1

    def fate(self, error: BaseException) -> Fate:
        raise AssertionError(error)

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        self.executor.shutdown()


def test_names_of_modules_and_json_are_all_that_goes_to_an_engine_and_comes_back() -> None:
    read, write = os.pipe()
    engine = RecordingEngine()
    driver = Driver(engine, [SERVICES], Sender(write))
    payload = ChunkPayload(
        service="tests/double",
        version="1.0.0",
        version_id="sv_1",
        records=1,
        columnar=False,
        data=msgspec.Raw(b'{"inputs": [{"value": 21}]}'),
    )
    run = Run("wk_1", 1, "pipelines", msgspec.Raw(msgspec.json.encode(payload)), "", "")
    driver.prepare()
    driver.submit(Submit(1, msgspec.Raw(msgspec.json.encode(run)), False))
    executor = engine.executor
    assert isinstance(executor, RecordingExecutor)
    assert [fn for fn, _ in executor.calls] == [cluster_code.offers, cluster_code.compute]
    assert executor.calls[0][1] == ([SERVICES],)
    modules, sent, apart = executor.calls[1][1]
    assert modules == [SERVICES]
    assert type(sent) is bytes
    assert msgspec.json.decode(sent, type=Run) == run
    assert apart is False
    assert [type(result) for result in executor.results] == [bytes, bytes]
    receiver: Receiver[FromDriver] = Receiver(read, FromDriver)
    said = [receiver.receive() for _ in range(3)]
    assert isinstance(said[2], Answered)
    finished = msgspec.json.decode(said[2].finished, type=Finished)
    assert finished.outcome is Outcome.SUCCESS, finished.error
    result = msgspec.json.decode(finished.result, type=ChunkResult)
    assert msgspec.json.decode(result.outputs)[0]["doubled"] == 42
    engine.close()
    os.close(read)
    os.close(write)
