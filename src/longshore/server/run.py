"""Running a server: from settings to a process that serves until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
import uvloop
from sqlalchemy import Connection

from longshore.access import keys as api_keys
from longshore.access import sessions
from longshore.access.first import FirstKeys, first_start
from longshore.edge.context import Context
from longshore.errors import ConfigurationError
from longshore.server import credentials, memory
from longshore.server.app import create_app
from longshore.server.companion import Companion, ServedHost
from longshore.server.credentials import Credentials
from longshore.server.logging import configure as configure_logging
from longshore.server.logging import get_logger
from longshore.server.protocol import HttpProtocol
from longshore.settings import Settings
from longshore.storage import faults, open_database
from longshore.storage.blobs import open_blobs

KEEP_ALIVE_S: Final = 75
"""Longer than programs pause between two polls: a connection closed under them looks like a fault."""
JOIN_S: Final = 10
"""How long a start waits for the worker beside the server to offer its apps."""
FINISH_S: Final = 10
"""How long a stop waits for requests that are under way."""
_log = get_logger("longshore.server")


@dataclass(frozen=True, slots=True)
class ReadyInfo:
    """What there is to say once a server answers.

    Attributes:
        url: address of the server, as clients on this machine reach it.
        docs_url: address of the API reference.
        dashboard_url: address of the dashboard with a one-time code in it.
        database: product, version and durability of the database.
        blobs: where blobs lie.
        data: the data directory.
        credentials: path of the file that holds address and keys.
        organisation: name of the organisation that the keys open.
        key: the admin key; to be shown when `key_is_new`.
        apps: the modules that the worker beside the server serves.
        host: name of the host that it serves, if any.
        slots: slots of that worker; 0 when there is none.
        pid: id of the server's process.
        start_s: how long the start took, in seconds.
    """

    url: str
    docs_url: str
    dashboard_url: str = field(repr=False)
    database: str
    blobs: str
    data: Path
    credentials: Path
    organisation: str
    key: str = field(repr=False)
    key_is_new: bool
    apps: tuple[str, ...]
    host: str | None
    slots: int
    pid: int
    start_s: float


def serve(
    settings: Settings,
    *,
    apps: Sequence[str],
    worker: bool,
    on_ready: Callable[[ReadyInfo], None],
    slots: int | None = None,
    host: ServedHost | None = None,
    begun_s: float | None = None,
) -> int:
    """Run a server until SIGTERM or SIGINT; return the exit code of the process.

    A stop hands out no more work, lets the worker beside the server finish or hand back what it
    holds, answers what is under way, and closes the stores. A second signal does not wait.

    Args:
        settings: how to run.
        apps: modules or files that the worker beside the server serves.
        worker: whether to start that worker, where there is something for it to serve.
        on_ready: called once, when the server answers.
        slots: slots of the worker; one for each CPU unless given.
        host: whose steps of workflows that worker runs.
        begun_s: when the start began, by time.monotonic; now unless given.

    Raises:
        ConfigurationError: the data directory, database, blob store or address cannot be used.
    """
    begun_s = time.monotonic() if begun_s is None else begun_s
    memory.limit_arenas()
    configure_logging(settings.log_level)
    faults.arm(settings.fault)
    credentials.make_data_directory(settings.data)
    with ExitStack() as stack:
        stack.enter_context(credentials.exclusive(settings))
        listener = stack.enter_context(_bound(settings.host, settings.port))
        database = open_database(settings.database_url)
        stack.callback(database.close)
        context = Context(database, open_blobs(settings.blobs_url), settings)
        context.keyring.check()
        url = _url(settings.host, listener.getsockname()[1])
        keys = _first_keys(context, url)
        count = slots or os.cpu_count() or 1
        companion = None
        if worker and (apps or host):
            companion = Companion(
                context,
                organisation_id=keys.organisation.id,
                modules=apps,
                url=url,
                key=keys.worker_token,
                slots=count,
                host=host,
            )
        info = _ready_info(context, url, keys, apps, host, count if companion else 0)
        server = _Server(context, companion, info, on_ready, begun_s)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve([listener]))
    return 0


def _ready_info(
    context: Context,
    url: str,
    keys: FirstKeys,
    apps: Sequence[str],
    host: ServedHost | None,
    slots: int,
) -> ReadyInfo:
    return ReadyInfo(
        url=url,
        docs_url=f"{url}/docs",
        dashboard_url=f"{url}/?code={_sign_in_code(context, keys)}",
        database=context.database.describe(),
        blobs=context.blobs.describe(),
        data=context.settings.data,
        credentials=context.settings.data / credentials.CREDENTIALS,
        organisation=keys.organisation.name,
        key=keys.token,
        key_is_new=keys.made,
        apps=tuple(apps),
        host=None if host is None else host.name,
        slots=slots,
        pid=os.getpid(),
        start_s=0.0,
    )


class _Server(uvicorn.Server):
    """uvicorn, with the order of our start and stop around it."""

    def __init__(
        self,
        context: Context,
        companion: Companion | None,
        info: ReadyInfo,
        on_ready: Callable[[ReadyInfo], None],
        begun_s: float,
    ) -> None:
        super().__init__(_config(context))
        self._context = context
        self._companion = companion
        context.starting = companion is not None
        self._companion_task: asyncio.Task[None] | None = None
        self._announcement: asyncio.Task[None] | None = None
        self._info = info
        self._on_ready = on_ready
        self._begun_s = begun_s
        self._stop_task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve, then the worker, then say so."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if not self.started:
            return
        memory.collect_less()
        if self._companion is not None:
            self._companion_task = asyncio.create_task(self._companion.run(), name="companion")
            self._announcement = asyncio.create_task(self._announce(), name="announcement")
        else:
            self._say_ready()

    async def _announce(self) -> None:
        """Say that the server is ready once its worker is, so that the first run finds its app."""
        assert self._companion is not None
        try:
            async with asyncio.timeout(JOIN_S):
                await self._companion.settled.wait()
        except TimeoutError:
            _log.warning("the worker beside the server takes long to start", waited_s=JOIN_S)
        self._context.starting = False
        if not self._context.stopping:
            self._say_ready()

    def _say_ready(self) -> None:
        info = self._info
        start_s = round(time.monotonic() - self._begun_s, 3)
        _log.info("ready", url=info.url, database=info.database, blobs=info.blobs, start_s=start_s)
        self._on_ready(replace(info, start_s=start_s))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in order on the first signal, at once on the second."""
        if self._loop is None or self._stop_task is not None:
            self.force_exit = self.should_exit = True
            if self._companion_task is not None:
                self._companion_task.cancel()
            return
        name = signal.Signals(sig).name
        self._loop.call_soon_threadsafe(self._begin_stop, name)

    def _begin_stop(self, name: str) -> None:
        if self._stop_task is None:
            self._stop_task = asyncio.create_task(self._stop(name), name="stop")

    async def _stop(self, name: str) -> None:
        _log.info("stopping", signal=name)
        self._context.stop()
        # The worker goes first, while there is still a server to report and hand back to.
        if self._companion is not None and self._companion_task is not None:
            self._companion.stop()
            await asyncio.wait({self._companion_task})
        self.should_exit = True


def _config(context: Context) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(context),
        http=HttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(context.settings.trusted_proxies),
        forwarded_allow_ips=[str(network) for network in context.settings.trusted_proxies],
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=FINISH_S,
    )


def _first_keys(context: Context, url: str) -> FirstKeys:
    """Make sure that the data directory has an address and working keys in its file."""
    directory = context.settings.data
    kept = credentials.read(directory)
    keys = context.database.write_blocking(first_start, kept.get("key"), kept.get("worker_key"))
    wanted = Credentials(
        url=url,
        organisation=keys.organisation.name,
        organisation_id=keys.organisation.id,
        key=keys.token,
        worker_key=keys.worker_token,
    )
    credentials.write(directory, wanted)
    return keys


def _sign_in_code(context: Context, keys: FirstKeys) -> str:
    """Return a code that signs in once, as the admin key of the data directory."""

    def make(connection: Connection) -> str:
        principal = api_keys.authenticate(connection, keys.token)
        return sessions.make_code(connection, principal.key_id, principal.organisation_id)

    return context.database.write_blocking(make)


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """Bind the address before anything is opened, so that a taken one changes nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"The address {host} port {port} cannot be used ({error.strerror}). Stop what "
                "uses it, or give another port with --port (0 takes any free one)."
            ) from error
        listener.set_inheritable(False)
        yield listener
    finally:
        listener.close()


def _url(host: str, port: int) -> str:
    """Return the address that clients on this machine use; "all addresses" is not one."""
    try:
        address = ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"
