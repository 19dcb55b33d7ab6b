"""A real server in a thread, on a temporary store, with a clock that moves only when told to."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import uvicorn
from sqlalchemy import Connection, func, select

from longshore.access.first import FirstKeys, first_start
from longshore.clock import SECOND_US, ManualClock
from longshore.edge import webhooks
from longshore.edge.context import Context
from longshore.edge.jobs import SYSTEM
from longshore.engine import janitor
from longshore.engine.tables import queues, works
from longshore.errors import WaitTimeout
from longshore.sdk import Client
from longshore.server.app import create_app
from longshore.server.jobs import JobRunner
from longshore.server.lifespan import HANDLERS, Passes
from longshore.settings import Settings
from longshore.storage import open_database
from longshore.storage.blobs import open_blobs
from longshore.testing.registering import registering
from longshore.testing.worker import InProcessWorker
from longshore.worker.steps_host import read_host

START: Final = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""A Monday morning, at which the clock stands unless told otherwise."""
LEASE_S: Final = 60.0
_BEGIN_S: Final = 20.0
_QUIET_S: Final = 30.0
_LOOK_S: Final = 0.01
_ROUNDS: Final = 500
T = TypeVar("T")


class RunningServer:
    """A server that listens, the stores behind it, and its clock.

    Attributes:
        url: its address, for programs that are under test.
        key: an admin's key for it.
        worker_key: a key of the role worker.
        client: the SDK's client, with the admin's key.
        clock: what time it is there; `advance` it.
    """

    def __init__(self, thread: _Thread, keys: FirstKeys, url: str, clock: ManualClock) -> None:
        """Use a server that runs; `running_server` makes one."""
        self._thread = thread
        self._database = thread.context.database
        self.url: Final = url
        self.key: Final = keys.token
        self.worker_key: Final = keys.worker_token
        self.clock: Final = clock
        self.client: Final = Client(url, keys.token, retries=0)
        self._workers: list[InProcessWorker] = []

    def worker(
        self,
        *modules: str | Path,
        buckets: Sequence[str] = (),
        host: str | None = None,
        scripts: str | Path | None = None,
        name: str = "in-process",
    ) -> InProcessWorker:
        """Return a worker that runs in this thread, when it is told to.

        It serves what the modules register, and what the modules that the test has imported have
        registered already; and the buckets and the host that are named.

        Args:
            modules: dotted names, or paths of files.
            buckets: buckets whose works name their own functions.
            host: the host whose steps of workflows it runs.
            scripts: where the scripts of that host lie.
            name: what it is called in listings.

        Raises:
            ConfigurationError: a module does not load, or there is nothing to serve.
        """
        made = InProcessWorker(
            self.url,
            self.worker_key,
            modules=[str(module) for module in modules],
            buckets=buckets,
            host=read_host(host, None if scripts is None else str(scripts), option="host="),
            name=name,
            settle=self.settle,
        )
        self._workers.append(made)
        return made

    def deposit(self, bucket: str, *parameters: dict[str, Any], **more: Any) -> list[str]:
        """Put a work for each set of parameters into a bucket and return their ids."""
        about = {"pipeline": bucket, "site": "test", "user": "test", **more}
        given = [{**about, "parameters": each} for each in parameters]
        return self.client.buckets.deposit(given, return_ids=True)

    def result(self, work_id: str) -> Any:
        """Return the results of a work of a bucket; None while there are none.

        Raises:
            LookupError: there is no such work in any bucket.
        """
        found = self.client.buckets.view({"id": work_id})
        if not found:
            raise LookupError(f"There is no work {work_id} in any bucket.")
        return found[0].get("results")

    def advance(self, seconds: float) -> None:
        """Let time pass, and let happen what is due then; settle before, too."""
        self.settle()
        self.clock.advance(seconds)
        self.settle()

    def settle(self) -> None:
        """Let the server do all that it has to do at this time, and return when it is quiet.

        Leases that are over end, retries and schedules that are due come, workflows go on, jobs
        such as deletions run.

        Raises:
            WaitTimeout: it does not become quiet.
        """
        for _ in range(_ROUNDS):
            self._wait_for_jobs()
            if not self._round():
                return
        raise WaitTimeout(f"The server still finds something to do after {_ROUNDS} rounds.")

    def close(self) -> None:
        """Close the connections of the client and of the workers; `running_server` does so."""
        for worker in self._workers:
            worker.close()
        self.client.close()

    def _round(self) -> bool:
        tidied = self._database.write_blocking(janitor.tidy)
        moved = bool(tidied.released or tidied.expired or tidied.retried)
        for one_pass in (
            self._thread.passes.notify,
            self._thread.passes.look_after_workflows,
            self._thread.passes.retain,
            self._thread.passes.sweep,
        ):
            moved = self._thread.call(one_pass()) or moved
        return moved or bool(self._database.read_blocking(_jobs))

    def _wait_for_jobs(self) -> None:
        """Wait until the server's own jobs that are due have run, which they do in its thread."""
        deadline = time.monotonic() + _QUIET_S
        pause = threading.Event()
        while self._database.read_blocking(_jobs):
            if time.monotonic() > deadline:
                raise WaitTimeout(f"A job of the server did not end within {_QUIET_S:.0f} s.")
            # Nothing tells of the end of a job.
            pause.wait(_LOOK_S)


@contextmanager
def running_server(
    *, start: datetime = START, lease_s: float = LEASE_S, directory: Path | None = None
) -> Iterator[RunningServer]:
    """Run a server on an empty SQLite store while the block runs.

    Args:
        start: what time it is there at first; a time with a zone.
        lease_s: length of leases of workers, in seconds of its clock.
        directory: where its stores lie; one that is removed afterwards unless given.

    Raises:
        WaitTimeout: it does not answer in time.
    """
    clock = ManualClock(round(start.timestamp() * SECOND_US))
    with ExitStack() as stack:
        if directory is None:
            made = tempfile.TemporaryDirectory(prefix="longshore-testing-")
            directory = Path(stack.enter_context(made))
        database = open_database(f"sqlite:///{directory / 'longshore.db'}", clock=clock)
        stack.callback(database.close)
        settings = Settings(data=directory, lease_s=lease_s)
        keys = database.write_blocking(first_start)
        context = Context(database, open_blobs(str(directory / "blobs")), settings)
        stack.callback(context.close)
        thread = _Thread(context)
        url = stack.enter_context(thread.running())
        server = RunningServer(thread, keys, url, clock)
        stack.callback(server.close)
        stack.enter_context(registering())
        yield server


class _Thread:
    """The thread of the server's event loop.

    The passes that the time drives do not run by themselves here; `RunningServer.settle` calls
    them. Jobs and requests do.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        app = create_app(context)
        self.passes = Passes(app)
        metrics = app.state.metrics
        self._runners = [
            JobRunner(context, HANDLERS, metrics, serves=lambda name: name != webhooks.QUEUE),
            JobRunner(context, HANDLERS, metrics, serves=lambda name: name == webhooks.QUEUE),
        ]
        config = uvicorn.Config(
            app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
        )
        self._server = uvicorn.Server(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()

    @contextmanager
    def running(self) -> Iterator[str]:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        # It takes connections from here on; they wait until the loop runs.
        listener.listen(128)
        thread = threading.Thread(
            target=asyncio.run, args=(self._main(listener),), name="longshore server"
        )
        thread.start()
        try:
            if not self._ready.wait(_BEGIN_S):
                raise WaitTimeout(f"The server did not start within {_BEGIN_S:.0f} s.")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            self._server.should_exit = True
            thread.join(_BEGIN_S)
            listener.close()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's loop and return what it gives."""
        assert self._loop is not None, "called while it runs"
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_QUIET_S)

    async def _main(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(runner.run()) for runner in self._runners]
        serving = asyncio.create_task(self._server.serve([listener]))
        self._ready.set()
        await serving
        self.context.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _jobs(connection: Connection) -> int:
    """Return how many of the server's own jobs are due or run."""
    query = (
        select(func.count())
        .select_from(works.join(queues, queues.c.id == works.c.queue_id))
        .where(queues.c.surface == SYSTEM, works.c.state.in_(("queued", "running")))
    )
    return int(connection.execute(query).scalar_one())
