"""Dask and Ray behind `concurrent.futures.Executor`.

An engine is a cluster that runs functions. What this one submits to it are functions of
`longshore.worker.cluster` with names of modules and JSON text, and what comes back is JSON text:
both engines pickle functions by the name of their module, so no object of a user is ever pickled.

Dask and Ray are imported when they are connected to; they are extras of the package.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, wait
from enum import StrEnum
from functools import partial
from typing import Any, Final, Literal, ParamSpec, Protocol, TypeVar
from urllib.parse import urlsplit

from longshore.errors import ConfigurationError

EngineName = Literal["dask", "ray"]

P = ParamSpec("P")
T = TypeVar("T")

_CONNECT_S: Final = 10.0
_PROBE_S: Final = 2.0
_DASK_SCHEMES: Final = ("tcp", "tls", "ws", "wss", "ucx")


class Fate(StrEnum):
    """What became of a function that did not return."""

    KILLED = "killed"
    """The engine's process died, or was killed, while it ran."""
    LOST = "lost"
    """The cluster is gone or has forgotten it; whether it ran is unknown."""
    WITHDRAWN = "withdrawn"
    """Somebody cancelled it."""
    BROKEN = "broken"
    """It could not run there, such as where Longshore is not installed."""


class Unreachable(Exception):
    """There is no cluster at the address now; it may come."""


class Engine(Protocol):
    """A cluster that is connected."""

    executor: Executor

    def processors(self) -> int:
        """Return how many functions it runs at once, as of now."""
        ...

    def fate(self, error: BaseException) -> Fate:
        """Return what an exception of a future means."""
        ...

    def alive(self) -> bool:
        """Whether the cluster still answers; takes a few seconds at most."""
        ...

    def close(self) -> None:
        """Disconnect; what was submitted is withdrawn."""
        ...


def check_address(engine: EngineName, address: str | None) -> None:
    """Refuse an address that names no cluster.

    Raises:
        ConfigurationError: none is given, or it has another form than the engine's.
    """
    if not address:
        example = "tcp://host:8786" if engine == "dask" else "host:6379, or auto on its own machine"
        raise ConfigurationError(
            f"--executor {engine} needs --address: where the cluster is, such as {example}."
        )
    scheme, _, rest = address.rpartition("://")
    if engine == "dask" and (scheme not in _DASK_SCHEMES or not _has_port(rest)):
        raise ConfigurationError(
            f"{address!r} is no address of a Dask scheduler; give one such as tcp://host:8786."
        )
    if engine == "ray" and address != "auto" and (scheme not in ("", "ray") or not _has_port(rest)):
        raise ConfigurationError(
            f"{address!r} is no address of a Ray cluster; give host:6379, ray://host:10001, or "
            "auto on a machine of the cluster."
        )


def _has_port(rest: str) -> bool:
    parts = urlsplit(f"//{rest}")
    try:
        return bool(parts.hostname) and parts.port is not None
    except ValueError:
        return False


def connect(engine: EngineName, address: str) -> Engine:
    """Connect to a cluster.

    Raises:
        ConfigurationError: the engine's package is not installed, or refuses the address.
        Unreachable: nothing answers there now.
    """
    try:
        return DaskEngine(address) if engine == "dask" else RayEngine(address)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"--executor {engine} needs {error.name}, which is not installed here: "
            f"pip install 'longshore[{engine}]'."
        ) from error


class ClusterExecutor(Executor):
    """An executor whose functions run on a cluster; each engine says how one is started."""

    def __init__(self) -> None:
        """Run nothing yet."""
        self._pending: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit a function; cancelling its future stops it where the engine can.

        Raises:
            RuntimeError: the executor is shut down, or the connection to the cluster is lost.
        """
        outer: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("The executor is shut down; nothing can be submitted.")
            self._pending.add(outer)
        try:
            inner, stop = self._start(fn, args, kwargs)
        except BaseException:
            self._forget(outer)
            raise
        outer.add_done_callback(lambda future: self._end(future, stop))
        inner.add_done_callback(lambda future: _pass_on(future, outer))
        return outer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; wait for what runs, or cancel it, as for any executor."""
        with self._lock:
            self._closed = True
            pending = list(self._pending)
        if cancel_futures:
            for future in pending:
                future.cancel()
        if wait:
            _wait(pending)

    def _start(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Future[T], Callable[[], object]]:
        """Have the engine run a function; return the engine's future, and what stops it."""
        raise NotImplementedError

    def _end(self, outer: Future[Any], stop: Callable[[], object]) -> None:
        self._forget(outer)
        if outer.cancelled():
            stop()

    def _forget(self, outer: Future[Any]) -> None:
        with self._lock:
            self._pending.discard(outer)


_wait = wait  # `shutdown` has an argument of that name


def _pass_on(inner: Future[Any], outer: Future[Any]) -> None:
    if not outer.set_running_or_notify_cancel():
        return
    if inner.cancelled():
        outer.set_exception(CancelledError())
        return
    error = inner.exception()
    if error is None:
        outer.set_result(inner.result())
    else:
        outer.set_exception(error)


class DaskExecutor(ClusterExecutor):
    """An executor whose functions are tasks of a Dask client.

    Dask's own executor looks at the state of a task after it has fetched its result. A process
    that dies in between changes the state, and the result is then taken for an error.
    """

    def __init__(self, client: Any) -> None:
        """Run nothing yet; `client` is a `distributed.Client`."""
        super().__init__()
        self._client = client

    def _start(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Future[T], Callable[[], object]]:
        # Two equal chunks are two works: nothing of one may stand in for the other.
        task = self._client.submit(fn, *args, pure=False, **kwargs)
        inner: Future[T] = asyncio.run_coroutine_threadsafe(
            _result_of(task), self._client.loop.asyncio_loop
        )
        return inner, task.cancel


async def _result_of(task: Any) -> Any:
    return await task


class RayExecutor(ClusterExecutor):
    """An executor whose functions are tasks of the Ray cluster that this process is connected to.

    A task is never run again by Ray itself: the one who submits it hears that it was killed.
    """

    def __init__(self) -> None:
        """Run nothing yet."""
        super().__init__()
        self._ray = _library("ray")
        self._remotes: dict[Callable[..., Any], Any] = {}

    def _start(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Future[T], Callable[[], object]]:
        # Ray would start a cluster of its own here for a task that has none.
        if not self._ray.is_initialized():
            raise RuntimeError("The connection to Ray is lost.")
        if fn not in self._remotes:
            self._remotes[fn] = self._ray.remote(fn).options(max_retries=0, name=fn.__qualname__)
        reference = self._remotes[fn].remote(*args, **kwargs)
        # Nothing else stops a task that does not return; Ray starts another process.
        return reference.future(), partial(self._ray.cancel, reference, force=True)


class DaskEngine:
    """A Dask cluster, by way of its scheduler."""

    def __init__(self, address: str) -> None:
        """Connect to the scheduler. Errors as for `connect`."""
        dask = _library("dask")
        self._distributed = distributed = _library("distributed")
        # A chunk of records is larger than what Dask takes for an oversight.
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
        if not _answers(address):
            raise Unreachable(f"no Dask scheduler answers at {address}")
        try:
            self.client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise Unreachable(f"no Dask scheduler at {address}: {_brief(error)}") from error
        self.executor: Executor = DaskExecutor(self.client)

    def processors(self) -> int:
        """Return the threads of all its workers."""
        return sum(self.client.ncores().values())

    def fate(self, error: BaseException) -> Fate:
        """Return what an exception of a future means."""
        if isinstance(error, self._distributed.KilledWorker):
            return Fate.KILLED
        # Dask cancels what it has lost: with its scheduler, or when somebody restarts the cluster.
        if isinstance(error, (CancelledError, OSError)):
            return Fate.LOST
        return Fate.BROKEN

    def alive(self) -> bool:
        """Whether the connection to the scheduler stands."""
        return bool(self.client.status == "running")

    def close(self) -> None:
        """Disconnect; the scheduler then drops what it has of ours."""
        with contextlib.suppress(TimeoutError, OSError):
            self.client.close(timeout=_PROBE_S)


class RayEngine:
    """A Ray cluster, as the driver of a job."""

    def __init__(self, address: str) -> None:
        """Connect as a driver. Errors as for `connect`."""
        self._ray = ray = _library("ray")
        self._exceptions = ray.exceptions
        self._local = not address.startswith("ray://")
        if address != "auto" and not _answers(address):
            raise Unreachable(f"no Ray cluster answers at {address}")
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, TimeoutError) as error:
            raise Unreachable(f"no Ray cluster at {address}: {_brief(error)}") from error
        except ValueError as error:
            # For ray:// it needs parts of its own that may not be installed.
            raise ConfigurationError(f"Ray does not connect to {address}: {error}") from error
        context = ray.get_runtime_context()
        self._address = context.gcs_address if self._local else address
        self._node = context.get_node_id() if self._local else None
        self.executor: Executor = RayExecutor()

    def processors(self) -> int:
        """Return the processors of all its nodes."""
        return int(self._ray.cluster_resources().get("CPU", 0))

    def fate(self, error: BaseException) -> Fate:
        """Return what an exception of a future means."""
        raised = self._exceptions
        if isinstance(error, (raised.WorkerCrashedError, raised.OutOfMemoryError)):
            return Fate.KILLED
        if isinstance(error, raised.NodeDiedError):
            # Other nodes of the cluster go on.
            return Fate.KILLED if self.alive() else Fate.LOST
        if isinstance(error, (CancelledError, raised.TaskCancelledError)):
            return Fate.WITHDRAWN
        if isinstance(error, (ConnectionError, raised.LocalRayletDiedError, raised.RaySystemError)):
            return Fate.LOST
        return Fate.BROKEN

    def alive(self) -> bool:
        """Whether the head answers, and the node by which this process is connected is there."""
        # Ray itself waits for a lost head for a minute and then ends the process, so ask it last.
        if not _answers(self._address):
            return False
        if self._node is None:
            return True
        return any(node["Alive"] for node in self._ray.nodes() if node["NodeID"] == self._node)

    def close(self) -> None:
        """End the job; Ray kills the processes that run it."""
        self._ray.shutdown()


def _library(name: str) -> Any:
    # Neither library has types for all of it, and neither need be installed.
    return importlib.import_module(name)


def _answers(address: str) -> bool:
    parts = urlsplit(f"//{address.rpartition('://')[2]}")
    assert parts.hostname is not None
    assert parts.port is not None
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=_PROBE_S).close()
    except OSError:
        return False
    return True


def _brief(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
