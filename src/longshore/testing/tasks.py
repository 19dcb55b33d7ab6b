"""Tasks of elements workers, run in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from longshore.errors import ConfigurationError
from longshore.testing.printing import Printed
from longshore.testing.surroundings import exit_status, surroundings
from longshore.wire.tasks import TaskPayload, TaskResult
from longshore.wire.worker import AttemptError, Claimed, Outcome
from longshore.worker import tasks_files
from longshore.worker.channel import Finished
from longshore.worker.registry import REGISTRY
from longshore.worker.tasks_directory import TaskDirectory

_DECODER: Final = msgspec.json.Decoder(TaskPayload)


class _Still:
    """In place of the heartbeat, which is a process: the clock of a test ends leases."""

    def hold(self, held: Iterable[Any]) -> None:
        """Renew nothing."""

    def release(self, held: Iterable[Any]) -> None:
        """Renew nothing."""

    def close(self) -> None:
        """End nothing."""


def run(call: Callable[..., Any], url: str, work: Claimed, printed: Printed) -> Finished:
    """Run a task and return how it ended.

    Args:
        call: lets a function have the worker's transport, and returns what it gives.
        url: address of the server.
        work: the task.
        printed: takes what is noted about it.

    Raises:
        ConfigurationError: its worker is not registered here.
        LongshoreError, OSError: its files cannot be fetched or stored.
        msgspec.MsgspecError: the payload is not that of a task.
    """
    task = _DECODER.decode(work.payload)
    registered = REGISTRY.workers.get((task.worker, task.version))
    if registered is None:
        raise ConfigurationError(f"Worker {task.worker} {task.version} is not registered here.")
    with tempfile.TemporaryDirectory(prefix="longshore-testing-") as name:
        place = TaskDirectory(Path(name), task)
        call(lambda transport: place.fill(transport, printed.note))
        with surroundings(place.environment(url), [task.worker], Path.cwd()):
            code = exit_status(lambda: _work(registered.program))
        files = call(lambda transport: tasks_files.store(transport, place.path, printed.note))
    result = msgspec.Raw(msgspec.json.encode(TaskResult(exit_code=code, files=files)))
    if code == 0:
        return Finished(work.work_id, work.attempt, Outcome.SUCCESS, result=result)
    message = f"Worker {task.worker} {task.version} exited with code {code}. Last output:\n"
    error = AttemptError(type="ProgramFailed", message=message + printed.tail())
    return Finished(work.work_id, work.attempt, Outcome.REJECTED, error=error, result=result)


def _work(program: type) -> None:
    worker = program()
    if hasattr(worker, "_started_heartbeat"):
        worker._started_heartbeat = _Still  # noqa: SLF001 - ours, and only for the test
    try:
        worker.run()
    finally:
        # The end of a process would close them.
        close = getattr(worker.api_client, "close", None)
        if close is not None:
            close()
