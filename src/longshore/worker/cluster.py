"""What runs in the processes of a Dask or Ray cluster.

Arguments and results are names of modules and JSON text, nothing else. The cluster needs
Longshore, and whatever else the modules import.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable

import msgspec

from longshore.errors import ConfigurationError
from longshore.wire.payloads import NO_RESULT
from longshore.wire.worker import Claimed, Outcome
from longshore.worker import memory
from longshore.worker.channel import Begin, Broken, Finished, Loaded, Run
from longshore.worker.execution import execute
from longshore.worker.loading import load
from longshore.worker.options import default_slots
from longshore.worker.output import AttemptOutput
from longshore.worker.process_slot import ProcessSlot
from longshore.worker.registry import Registry
from longshore.worker.slots import Attempt, OnLoaded, SetUpFailed
from longshore.worker.texts import attempt_error

_GRACE_S = 1.0


def offers(modules: list[str]) -> bytes:
    """Return the JSON of what the modules offer here (`Loaded`), or of why not (`Broken`).

    A child process finds out: this one may have loaded the modules before they were changed, and
    those of other workers too.
    """
    try:
        offered = asyncio.run(_offered(modules))
    except SetUpFailed as error:
        return msgspec.json.encode(Broken(str(error)))
    if not offered.services:
        message = (
            f"{', '.join(modules)}: only services run on a cluster, and none is registered. Put "
            "@longshore.service(...) above a function; serve apps and buckets with a worker of "
            "their own, with --executor process or thread."
        )
        return msgspec.json.encode(Broken(message))
    return msgspec.json.encode(offered)


async def _offered(modules: list[str]) -> Loaded:
    loaded: list[Loaded] = []
    slot = _child(modules, loaded.append)
    try:
        await slot.start()
        return loaded[0]
    finally:
        await slot.close()


def compute(modules: list[str], run: bytes, apart: bool) -> bytes:
    """Run one work, and return how it ended; user code's exceptions are part of that.

    Args:
        modules: dotted names or absolute paths; loaded at the first call in a process.
        run: JSON of `channel.Run`.
        apart: whether a child process runs it, which may die without harm. A service with a time
            limit has one anyway, for nothing else can be stopped.

    Returns:
        The JSON of `channel.Finished`.
    """
    work = msgspec.json.decode(run, type=Run)
    try:
        if apart or work.record_timeout_s is not None:
            return msgspec.json.encode(_children.run(modules, work))
        registry = _code.get(modules)
    except ConfigurationError as error:
        ended = Finished(work.work_id, work.attempt, Outcome.FAILURE, error=attempt_error(error))
        return msgspec.json.encode(ended)
    return msgspec.json.encode(execute(registry, work, _note))


class _Code:
    """The user's modules and their set-up, once for all threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._registries: dict[tuple[str, ...], Registry] = {}
        self._set_up: list[Callable[[], object]] = []

    def get(self, modules: list[str]) -> Registry:
        """Return the registry, after the set-up.

        Raises:
            ConfigurationError: the modules do not load, or their set-up fails.
        """
        key = tuple(modules)
        with self._lock:
            if key not in self._registries:
                registry = load(modules)
                for function in registry.setups:
                    self._run_set_up(function)
                self._registries[key] = registry
            return self._registries[key]

    def _run_set_up(self, function: Callable[[], object]) -> None:
        if function in self._set_up:
            return
        try:
            function()
        # Set-up is user code: whatever it raises is told to the one who starts the worker.
        except Exception as error:
            raise ConfigurationError(
                f"Set-up failed: {type(error).__name__}: {error}. It ran in a process of the "
                "cluster; see what is missing there."
            ) from error
        self._set_up.append(function)


class _Children(threading.local):
    """A child process of this thread, kept from one work to the next."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None
        self._slot: ProcessSlot | None = None
        self._modules: list[str] = []

    def run(self, modules: list[str], run: Run) -> Finished:
        """Run one work there.

        Raises:
            ConfigurationError: the modules do not load, or their set-up fails.
        """
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._run(modules, run))

    async def _run(self, modules: list[str], run: Run) -> Finished:
        slot = await self._slot_for(modules)
        try:
            await slot.start()
            return await slot.run(run, Attempt(_claimed(run), AttemptOutput(_print)))
        except SetUpFailed as error:
            raise ConfigurationError(str(error)) from error
        except BaseException:
            # It still runs what nobody waits for.
            await self._drop()
            raise

    async def _slot_for(self, modules: list[str]) -> ProcessSlot:
        if self._slot is not None and self._modules != modules:
            await self._drop()
        if self._slot is None:
            self._slot = _child(modules, lambda _: None)
            self._modules = modules
        return self._slot

    async def _drop(self) -> None:
        if self._slot is not None:
            await self._slot.close()
            self._slot = None


def _child(modules: list[str], on_loaded: OnLoaded) -> ProcessSlot:
    # Nothing says how many of an engine's processes share the machine; one for each processor is
    # what both engines start by themselves.
    begin = Begin(modules, memory.default_limit_bytes(default_slots()))
    return ProcessSlot(
        begin, grace_s=_GRACE_S, on_loaded=on_loaded, on_group=lambda _group, _present: None
    )


def _claimed(run: Run) -> Claimed:
    return Claimed(
        work_id=run.work_id,
        attempt=run.attempt,
        queue=0,
        surface=run.surface,
        payload=NO_RESULT,
        lease_until_us=0,
        timeout_s=None,
    )


def _note(text: str) -> None:
    _print("worker", text)


def _print(stream: str, text: str) -> None:
    # The engine keeps what its processes print.
    sys.stderr.write(f"{stream}: {text}\n")


_code = _Code()
_children = _Children()
