"""The worker's end of a child process: start it, talk to it, hear that it ended, kill it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from longshore.worker.channel import Decoder, encode
from longshore.worker.supervision import Exit, OnOutput, OwnedProcess, Pump

__all__ = ["Exit", "SupervisedProcess"]

# A pipe is asked to hold this much, so that chunks of records go through without waiting.
_PIPE_BYTES = 1 << 20
# A pipe of any size takes this much without blocking while its reader is idle.
_SMALL_FRAME_BYTES = 1 << 15


class SupervisedProcess(OwnedProcess):
    """A Python module of the worker's own, with message pipes in both directions."""

    def __init__(
        self,
        module: str,
        *,
        receives: Any,
        on_message: Callable[[Any], None],
        on_output: OnOutput | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        """Start `python -m module READ WRITE PARENT`.

        Args:
            module: what to run; it gets the descriptors of its pipes and this process's id.
            receives: the union of messages that it sends.
            on_message: called with each of them.
            on_output: called with the stream's name and bytes; None lets it write to ours.
            descriptors: what it inherits beside its pipes, under the same numbers.
        """
        command_read, self._command = os.pipe()
        event_read, event_write = os.pipe()
        # While the reader is idle a pipe takes half of what it holds, whatever the pages look like.
        self._small_bytes = max(_widened(self._command) // 2, _SMALL_FRAME_BYTES)
        _widened(event_write)
        self._decoder: Decoder[Any] = Decoder(receives)
        self._on_message = on_message
        self._sending = asyncio.Lock()
        try:
            super().__init__(
                [sys.executable, "-P", "-m", module]
                + [str(number) for number in (command_read, event_write, os.getpid())],
                on_output=on_output,
                descriptors=(command_read, event_write, *descriptors),
            )
        except OSError:
            os.close(self._command)
            os.close(event_read)
            raise
        finally:
            os.close(command_read)
            os.close(event_write)
        self._events = Pump(event_read, self._take, self._fall_silent)

    def send_now(self, message: msgspec.Struct) -> bool:
        """Send a small message to a process that reads; False when it has to be sent by `send`."""
        frame = encode(message)
        if len(frame) > self._small_bytes or self._sending.locked():
            return False
        self._write(frame)
        return True

    async def send(self, message: msgspec.Struct) -> None:
        """Send a message; one to a process that has ended is dropped, `exited` tells."""
        frame = encode(message)
        async with self._sending:
            if len(frame) <= self._small_bytes:
                self._write(frame)
            else:
                await asyncio.to_thread(self._write, frame)

    def on_end(self) -> None:
        """Take the last messages, and close the pipes."""
        self._events.drain()
        self._events.close()
        self._closing = asyncio.ensure_future(self._close_command())

    def _write(self, frame: bytes) -> None:
        # The number of a closed descriptor may belong to another file by now.
        if self.exited.done():
            return
        left = memoryview(frame)
        with contextlib.suppress(BrokenPipeError):
            while left:
                left = left[os.write(self._command, left) :]

    def _take(self, data: bytes) -> None:
        try:
            messages = self._decoder.feed(data)
        except msgspec.MsgspecError:
            self._fall_silent()
            return
        for message in messages:
            self._on_message(message)

    def _fall_silent(self) -> None:
        """Kill a process that can no longer be understood: its code wrote to or closed the pipe."""
        self.signal_group(signal.SIGKILL)

    async def _close_command(self) -> None:
        async with self._sending:
            os.close(self._command)


def _widened(descriptor: int) -> int:
    """Let a pipe hold more, where the system can and allows it; return what it holds, or 0."""
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        return 0
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
