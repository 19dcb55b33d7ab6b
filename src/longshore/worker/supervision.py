"""Processes that this one starts: read what they write, hear that they ended, kill their group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from longshore.settings import child_environment
from longshore.worker import memory

_CHUNK_BYTES = 1 << 18
_DRAIN_BYTES = 1 << 20

OnBytes = Callable[[bytes], None]
OnOutput = Callable[[str, bytes], None]
"""Takes the name of a stream (`stdout` or `stderr`) and what was read from it."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended."""

    code: int
    """Exit status, or the negative number of the signal."""
    peak_rss_bytes: int

    def __str__(self) -> str:
        """Say it as a person would."""
        if self.code >= 0:
            return f"exited with code {self.code}"
        try:
            return f"was killed by signal {-self.code} ({signal.Signals(-self.code).name})"
        except ValueError:
            return f"was killed by signal {-self.code}"


class Pump:
    """Reads a pipe without ever blocking the event loop."""

    def __init__(
        self, descriptor: int, on_bytes: OnBytes, on_end: Callable[[], None] | None = None
    ) -> None:
        """Own `descriptor`, give what arrives to `on_bytes`, and call `on_end` at its end."""
        os.set_blocking(descriptor, False)
        self._descriptor: int | None = descriptor
        self._on_bytes = on_bytes
        self._on_end = on_end
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> int:
        if self._descriptor is None:
            return 0
        try:
            data = os.read(self._descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return 0
        if not data:
            self.close()
            if self._on_end is not None:
                self._on_end()
            return 0
        self._on_bytes(data)
        return len(data)

    def drain(self) -> None:
        """Read what has arrived by now; bounded, for somebody may go on writing."""
        read = 0
        while read < _DRAIN_BYTES and (count := self._read()):
            read += count

    def close(self) -> None:
        """Close the pipe."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None


class OwnedProcess:
    """A process of the worker in a session of its own.

    When it ends, however it ends, the rest of its process group is killed, everything that it
    wrote is delivered, and then `exited` is done.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        on_output: OnOutput | None = None,
        descriptors: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        """Start a program; it has no input.

        Args:
            arguments: the program and its arguments.
            on_output: called with the stream's name and bytes; None lets it write to ours.
            descriptors: what it inherits beside its outputs.
            environment: its variables; ours without the key unless given.
            directory: where it starts; in our own working directory unless given.

        Raises:
            OSError: the program cannot be started.
        """
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[Exit] = loop.create_future()
        output = None if on_output is None else subprocess.PIPE
        if environment is None:
            environment = user_environment()
        self._process = subprocess.Popen(  # noqa: S603
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=descriptors,
            start_new_session=True,
            env=environment,
            cwd=directory,
        )
        self.pid = self._process.pid
        self._pumps = []
        for name, pipe in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
            if pipe is not None and on_output is not None:
                self._pumps.append(Pump(os.dup(pipe.fileno()), _named(on_output, name)))
                pipe.close()
        self._watch(loop)

    def drain_output(self) -> None:
        """Deliver what the process has written to stdout and stderr so far."""
        for pump in self._pumps:
            pump.drain()

    def signal_group(self, number: int) -> None:
        """Send a signal to the process and all that it started in its group."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def stop(self, grace_s: float) -> Exit:
        """Ask the whole group to end, and kill it after `grace_s`."""
        if grace_s > 0:
            self.signal_group(signal.SIGTERM)
            await asyncio.wait([self.exited], timeout=grace_s)
        self.signal_group(signal.SIGKILL)
        return await asyncio.shield(self.exited)

    def on_end(self) -> None:
        """Do what belongs to the end, just before `exited` is done; for subclasses."""

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            # Not Linux, or an old kernel: a thread waits, and the process is reaped at once.
            threading.Thread(target=self._wait_in_thread, args=(loop,), daemon=True).start()
            return

        def on_exit() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            # The dead leader still reserves its group's id: it is not reaped yet.
            self._kill_group()
            _, status, usage = os.wait4(self.pid, 0)
            self._finish(status, usage)

        loop.add_reader(descriptor, on_exit)

    def _wait_in_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        _, status, usage = os.wait4(self.pid, 0)
        self._kill_group()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._finish, status, usage)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _finish(self, status: int, usage: resource.struct_rusage) -> None:
        code = os.waitstatus_to_exitcode(status)
        # Popen did not reap it and would complain that it still runs.
        self._process.returncode = code
        for pump in self._pumps:
            pump.drain()
            pump.close()
        self.on_end()
        self.exited.set_result(Exit(code, memory.peak_rss_bytes(usage)))


def user_environment() -> dict[str, str]:
    """Return the variables for a process of user code: ours but for the key, which is the worker's."""
    environment = child_environment()
    environment.pop("LONGSHORE_KEY", None)
    return environment


def _named(on_output: OnOutput, name: str) -> OnBytes:
    return lambda data: on_output(name, data)
