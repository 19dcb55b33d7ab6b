"""A slot's process: `python -m longshore.worker.child COMMANDS EVENTS PARENT`.

COMMANDS and EVENTS are inherited descriptors of pipes, PARENT is the worker's process id. The
process lives for many works. It leads a process group of its own, and takes the whole group
with it when the worker goes away.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import io
import os
import resource
import select
import signal
import sys
import threading
import traceback
from typing import NoReturn

from longshore import tracing
from longshore.errors import ConfigurationError
from longshore.wire.preparing import prepare
from longshore.worker import apps, buckets, memory, services, tasks_registry
from longshore.worker.channel import (
    Begin,
    Broken,
    Finished,
    Loaded,
    Note,
    Quit,
    Ready,
    Receiver,
    Run,
    Sender,
    ToChild,
)
from longshore.worker.execution import execute
from longshore.worker.loading import load, setups
from longshore.worker.poison import cells_in
from longshore.worker.progress import Position
from longshore.worker.registry import Registry
from longshore.worker.texts import clean_line, clean_tail

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Serve one slot until told to quit; return the exit status."""
    commands, events, parent = (int(argument) for argument in arguments)
    for descriptor in (commands, events):
        os.set_inheritable(descriptor, False)
    _end_with(parent)
    _prepare_streams()
    receiver: Receiver[ToChild] = Receiver(commands, ToChild)
    sender = Sender(events)
    begin = receiver.receive()
    assert isinstance(begin, Begin)
    prepare()
    threading.Thread(target=_watch, args=(commands,), name="control", daemon=True).start()
    memory.set_limit(begin.memory_limit_bytes)
    position = None
    if begin.progress is not None:
        position = Position(cells_in(begin.progress), shared=True)
    registry = _set_up(begin, sender)
    if registry is None:
        return 1
    if begin.tracing:
        # After the user's modules, which may have said by themselves where spans go.
        tracing.start("longshore-worker", wanted=True)
    # What the imports have made stays; the collector need not look at it again and again.
    gc.freeze()
    _serve(registry, begin.memory_limit_bytes, receiver, sender, position)
    return 0


def _end_with(parent: int) -> None:
    """Be killed by the kernel when the worker dies, where the kernel can do that."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # The worker may have died before the request was in place.
    if os.getppid() != parent:
        sys.exit(1)


def _prepare_streams() -> None:
    """Make what user code prints leave at the end of each line, whatever it contains."""
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    # A segmentation fault then leaves a Python traceback in the log of the work.
    faulthandler.enable(all_threads=False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _watch(commands: int) -> None:
    """When the worker is gone, end this process and all that it started.

    The thread sleeps until then; commands are read by the main thread, without a switch of threads.
    """
    poll = select.poll()
    poll.register(commands, 0)
    poll.poll()
    _end_group()


def _end_group() -> NoReturn:
    os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def _set_up(begin: Begin, sender: Sender) -> Registry | None:
    try:
        registry = load(begin.modules, buckets=begin.buckets)
        sender.send(
            Loaded(
                apps.offers(registry),
                buckets.offers(registry),
                services.offers(registry),
                tasks_registry.offers(registry),
            )
        )
        for function in setups(registry, begin.buckets):
            function()
    except ConfigurationError as error:
        cause = error.__cause__
        trace = "" if cause is None else "".join(traceback.format_exception(cause))
        sender.send(Broken(error.message, clean_tail(trace)))
        return None
    # Set-up is user code too: whatever it raises is told to the worker.
    except BaseException as error:  # noqa: BLE001
        message = f"Set-up failed: {type(error).__name__}: {clean_line(str(error))}"
        sender.send(Broken(message, clean_tail(traceback.format_exc())))
        return None
    sender.send(Ready())
    return registry


def _serve(
    registry: Registry,
    limit_bytes: int,
    receiver: Receiver[ToChild],
    sender: Sender,
    position: Position | None,
) -> None:
    def note(text: str) -> None:
        sender.send(Note(clean_line(text)))

    while not isinstance(command := _next(receiver), Quit):
        assert isinstance(command, Run)
        finished = execute(
            registry, command, note, memory_limit_bytes=limit_bytes, position=position
        )
        _flush_streams()
        _send_finished(sender, finished)


def _next(receiver: Receiver[ToChild]) -> ToChild:
    try:
        return receiver.receive()
    except EOFError:
        _end_group()


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        # User code may have closed or replaced them; the result matters more.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _send_finished(sender: Sender, finished: Finished) -> None:
    with contextlib.suppress(BrokenPipeError):
        sender.send(finished)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
