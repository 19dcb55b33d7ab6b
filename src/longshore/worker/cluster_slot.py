"""Slots whose works run on a Dask or Ray cluster (`--executor dask` and `--executor ray`).

The engine computes, the server's ledger decides: a work counts when its report is accepted. So a
work whose process was killed, or which the cluster has lost, can simply run again.

A process that dies takes every work along that it runs, and which of them killed it the engine
does not know. A work that was in one runs once more *apart*: in a child process of the engine's,
where it can do no harm, and where the record that kills can be found.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from longshore.limits import RECORD_ATTEMPTS
from longshore.wire.worker import AttemptError, Outcome
from longshore.worker.backoff import Backoff
from longshore.worker.channel import Broken, Finished, Loaded, Quit, Run
from longshore.worker.child_process import SupervisedProcess
from longshore.worker.cluster_messages import (
    Answered,
    Away,
    Connect,
    Connected,
    Failed,
    FromDriver,
    Submit,
    Withdraw,
)
from longshore.worker.executors import EngineName, Fate
from longshore.worker.slots import Attempt, OnLoaded, SetUpFailed, Stop, first_of, stopped

_QUIT_S = 5.0
_LONGEST_PAUSE_S = 5.0


class Cluster:
    """The connection of a worker to its cluster, made again when it is lost."""

    def __init__(
        self,
        engine: EngineName,
        address: str,
        modules: Sequence[str],
        *,
        on_loaded: OnLoaded,
        on_group: Callable[[int, bool], None],
        log: Any,
    ) -> None:
        """Connect to nothing yet.

        Args:
            engine: what kind of cluster.
            address: where it is.
            modules: what its processes load; paths are made absolute, for they run elsewhere.
            on_loaded: called with what the modules offer, each time it is connected.
            on_group: called with the driver's process group and whether it begins or is gone.
            log: takes notice of a cluster that is away.
        """
        self._connect = Connect(engine, address, [_portable(name) for name in modules])
        self._on_loaded = on_loaded
        self._on_group = on_group
        self._log = log
        self._connecting = asyncio.Lock()
        self._driver: SupervisedProcess | None = None
        self._ready: asyncio.Future[None] | None = None
        self._away = ""
        self._closing = False
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Finished | Failed]] = {}

    @property
    def connected(self) -> bool:
        """Whether works can be submitted."""
        driver, ready = self._driver, self._ready
        return (
            driver is not None
            and not driver.exited.done()
            and ready is not None
            and ready.done()
            and ready.exception() is None
        )

    async def connect(self) -> None:
        """Wait until the cluster is there and has loaded the modules.

        Raises:
            SetUpFailed: the modules do not load there, or offer no services.
        """
        async with self._connecting:
            if self.connected:
                return
            backoff, told = Backoff(_LONGEST_PAUSE_S), ""
            while not await self._try():
                if self._away != told:
                    told = self._away
                    self._log.warning("waiting for the cluster", why=told)
                await backoff.wait()

    def gone(self) -> asyncio.Future[Any]:
        """Return what is done when the connection is lost."""
        assert self._driver is not None
        return self._driver.exited

    async def submit(self, run: Run, *, apart: bool) -> tuple[int, asyncio.Future[Any]]:
        """Submit a work; the future gets a `Finished`, or a `Failed` of the engine."""
        assert self._driver is not None
        number = next(self._numbers)
        done = self._waiting[number] = asyncio.get_running_loop().create_future()
        order = Submit(number, msgspec.Raw(msgspec.json.encode(run)), apart)
        if not self._driver.send_now(order):
            await self._driver.send(order)
        return number, done

    async def withdraw(self, number: int) -> None:
        """Forget a work; if it runs, what it returns is dropped."""
        if self._waiting.pop(number, None) is not None and self.connected:
            assert self._driver is not None
            await self._driver.send(Withdraw(number))

    async def close(self) -> None:
        """Disconnect; what still runs is withdrawn. May be called by each of many slots."""
        async with self._connecting:
            driver = self._driver
            if driver is None or driver.exited.done():
                return
            if self.connected:
                self._closing = True
                await driver.send(Quit())
                await asyncio.wait([driver.exited], timeout=_QUIT_S)
            await driver.stop(0)

    async def _try(self) -> bool:
        """Start a driver; False, and `_away` says why, when there is no cluster now."""
        ready = self._ready = asyncio.get_running_loop().create_future()
        self._away = ""
        try:
            driver = SupervisedProcess(
                "longshore.worker.cluster_driver", receives=FromDriver, on_message=self._hear
            )
        except OSError as error:
            raise SetUpFailed(f"No process could be started: {error}.") from error
        self._driver = driver
        self._on_group(driver.pid, True)
        driver.exited.add_done_callback(lambda _: self._ended(driver))
        try:
            await driver.send(self._connect)
            await first_of(ready, driver.exited)
        finally:
            if not self.connected:
                await driver.stop(0)
        if ready.done():
            ready.result()
            return True
        self._away = self._away or f"the process that connects to it {driver.exited.result()}"
        return False

    def _ended(self, driver: SupervisedProcess) -> None:
        self._on_group(driver.pid, False)
        lost = list(self._waiting.items())
        self._waiting.clear()
        for number, done in lost:
            if not done.done():
                done.set_result(Failed(number, Fate.LOST, self._away))
        ready = self._ready
        was_ready = ready is not None and ready.done() and ready.exception() is None
        if was_ready and not self._closing:
            why = self._away or f"the process that connects to it {driver.exited.result()}"
            self._log.warning("the cluster is lost", why=why, works=len(lost))

    def _hear(self, message: FromDriver) -> None:
        match message:
            case Connected(processors=processors):
                connect = self._connect
                self._log.info(
                    f"connected to {connect.engine}", at=connect.address, processors=processors
                )
            case Loaded(services=services, workers=workers):
                assert self._ready is not None
                self._tell_left_out(message)
                self._on_loaded(Loaded(services=services, workers=workers))
                self._ready.set_result(None)
            case Broken(message=text, traceback=trace):
                assert self._ready is not None
                self._ready.set_exception(SetUpFailed(f"{text}\n{trace}".rstrip()))
            case Answered(number=number, finished=finished):
                self._settle(number, msgspec.json.decode(finished, type=Finished))
            case Failed(number=number):
                self._settle(number, message)
            case Away(message=text):
                self._away = text

    def _tell_left_out(self, offers: Loaded) -> None:
        left_out = [f"app {app.name}" for app in offers.apps]
        left_out += [f"bucket {bucket.name}" for bucket in offers.buckets]
        if left_out:
            self._log.warning(
                "only services run on a cluster; serve the rest with another worker",
                left_out=", ".join(left_out),
            )

    def _settle(self, number: int, end: Finished | Failed) -> None:
        done = self._waiting.pop(number, None)
        if done is not None and not done.done():
            done.set_result(end)


class ClusterSlot:
    """One place for a work on the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        """Share `cluster` with the other slots."""
        self._cluster = cluster

    @property
    def ready(self) -> bool:
        """Whether the cluster is connected."""
        return self._cluster.connected

    async def start(self) -> None:
        """Wait for the cluster."""
        await self._cluster.connect()

    def ended(self) -> asyncio.Future[Any]:
        """Return what is done when the cluster is lost."""
        return self._cluster.gone()

    async def run(self, run: Run, attempt: Attempt) -> Finished:
        """Run one work; again, and apart, if the process that runs it dies."""
        deaths: list[str] = []
        while len(deaths) < RECORD_ATTEMPTS:
            end = await self._run_once(run, attempt, apart=bool(deaths))
            if isinstance(end, Finished):
                return end
            match end.fate:
                case Fate.KILLED:
                    deaths.append(end.message)
                    note = f"A process of the cluster died while it ran this: {end.message}"
                    attempt.output.line("worker", note)
                case Fate.BROKEN:
                    error = AttemptError(type="ClusterFailed", message=end.message)
                    return Finished(run.work_id, run.attempt, Outcome.FAILURE, error=error)
                case Fate.LOST | Fate.WITHDRAWN:
                    # Nobody knows whether it ran, and it does not matter: nothing was reported.
                    return Finished(run.work_id, run.attempt, Outcome.HANDED_BACK)
        error = AttemptError(
            type="ProcessEnded",
            message=f"{len(deaths)} processes of the cluster died while they ran it, the last one: "
            f"{deaths[-1]}",
        )
        return Finished(run.work_id, run.attempt, Outcome.FAILURE, error=error)

    async def close(self) -> None:
        """Disconnect, for all slots."""
        await self._cluster.close()

    def limit_grace(self, grace_s: float) -> None:
        """Do nothing: what is stopped is left behind at once."""

    async def _run_once(self, run: Run, attempt: Attempt, *, apart: bool) -> Finished | Failed:
        cluster = self._cluster
        if not cluster.connected:
            return Failed(0, Fate.LOST, "the cluster is gone")
        number, done = await cluster.submit(run, apart=apart)
        timeout_s = attempt.work.timeout_s
        try:
            await first_of(done, attempt.stopped, timeout_s=timeout_s)
            if done.done():
                end: Finished | Failed = done.result()
                return end
        finally:
            await cluster.withdraw(number)
        why = attempt.stopped.result() if attempt.stopped.done() else Stop.TIME_LIMIT
        return stopped(run, why, timeout_s, attempt.output.tail())


def _portable(module: str) -> str:
    """Return a path as an absolute one; a dotted name is what it is anywhere."""
    if module.endswith(".py") or os.sep in module or Path(module).is_dir():
        return str(Path(module).resolve())
    return module
