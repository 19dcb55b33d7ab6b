"""The worker beside the server: a child process, started again when it dies."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from longshore.edge.context import Context
from longshore.engine import workers
from longshore.errors import LongshoreError
from longshore.server.logging import get_logger
from longshore.settings import child_environment

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 30.0
"""A worker that lived this long is started again without a longer pause."""
GRACE_S: Final = 5.0
_SERVER_ONLY: Final = ("LONGSHORE_DATABASE", "LONGSHORE_BLOBS", "LONGSHORE_DATA")
_log = get_logger("longshore.companion")


@dataclass(frozen=True, slots=True)
class ServedHost:
    """The host whose steps of workflows the worker runs, and where its scripts lie."""

    name: str
    scripts: Path


class Companion:
    """Keeps one worker process running beside the server.

    The worker runs in a session of its own, so that a Ctrl-C in the terminal reaches the server
    only, which stops the worker first. When the process dies its leases are handed on at once.
    """

    def __init__(
        self,
        context: Context,
        *,
        organisation_id: str,
        modules: Sequence[str],
        url: str,
        key: str,
        slots: int,
        host: ServedHost | None = None,
    ) -> None:
        """Serve `modules` and `host`, with `slots` slots, from the server at `url`, by its `key`."""
        self._context = context
        self._organisation_id = organisation_id
        self._arguments = [sys.executable, "-m", "longshore", "worker", *modules]
        self._arguments += ["--server", url, "--slots", str(slots)]
        self._arguments += ["--drain-s", str(context.settings.drain_s)]
        if host is not None:
            self._arguments += ["--host", host.name, "--scripts", str(host.scripts)]
        # A server that is killed cannot stop it, and the next one starts its own.
        self._arguments += ["--parent-pid", str(os.getpid())]
        self._key = key
        self._name = ""
        self._stopping = asyncio.Event()
        self.settled = asyncio.Event()
        """Set once the worker has offered its apps for the first time, or has failed to."""

    async def run(self) -> None:
        """Run the worker until `stop`; start it again when it ends."""
        loop = asyncio.get_running_loop()

        def heard(topic: str) -> None:
            if topic == f"worker:{self._name}":
                loop.call_soon_threadsafe(self.settled.set)

        unsubscribe = self._context.database.subscribe(heard)
        try:
            await self._keep_running()
        finally:
            unsubscribe()
            self.settled.set()

    async def _keep_running(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            begun_s = time.monotonic()
            try:
                code = await self._run_once()
            except OSError as error:
                code = error.errno or -1
                _log.exception("the worker could not be started")
            self.settled.set()
            if self._stopping.is_set():
                return
            if time.monotonic() - begun_s > STEADY_S:
                pause_s = FIRST_PAUSE_S
            _log.warning("the worker ended and is started again", code=code, pause_s=pause_s)
            await _wait(self._stopping, pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def stop(self) -> None:
        """Let the worker finish or hand back what it holds, and do not start it again."""
        self._stopping.set()

    async def _run_once(self) -> int:
        # The name is new at each start, so that the leases of this very process can be found.
        name = self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        process = await asyncio.create_subprocess_exec(
            *self._arguments,
            "--name",
            name,
            env=_environment(self._key),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        code = await self._watch(process)
        # What it left behind would go on running user code whose results nobody will take.
        _signal_group(process.pid, signal.SIGKILL)
        await self._hand_on(name, code)
        return code

    async def _watch(self, process: asyncio.subprocess.Process) -> int:
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._end(process, ended)
        except asyncio.CancelledError:
            _signal_group(process.pid, signal.SIGKILL)
            raise
        finally:
            stopped.cancel()
        return await ended

    async def _end(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        process.terminate()
        patience_s = self._context.settings.drain_s + GRACE_S
        await asyncio.wait({ended}, timeout=patience_s)
        if not ended.done():
            _log.warning("the worker does not stop and is killed", waited_s=patience_s)
            _signal_group(process.pid, signal.SIGKILL)

    async def _hand_on(self, name: str, code: int) -> None:
        try:
            count = await self._context.database.write(
                _lost, self._organisation_id, name, f"the worker process ended with code {code}"
            )
        except LongshoreError:
            _log.exception("the leases of a dead worker were not handed on; they will expire")
            return
        if count:
            _log.warning("leases of a dead worker were handed on", worker=name, leases=count)


def _environment(key: str) -> dict[str, str]:
    """Return the worker's environment: ours, without where the server keeps its stores."""
    ours = child_environment(LONGSHORE_KEY=key)
    return {name: value for name, value in ours.items() if name not in _SERVER_ONLY}


def _lost(connection: Connection, organisation_id: str, name: str, why: str) -> int:
    gone = [
        worker.id
        for worker in workers.listing(connection, organisation_id)
        if worker.name == name and worker.left_us is None
    ]
    return sum(workers.lost(connection, worker_id, actor="server", why=why) for worker_id in gone)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
