"""A real server over a test database, and a stand-in for its workers."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvicorn

from longshore.access.first import FirstKeys, first_start
from longshore.edge.context import Context
from longshore.engine import queues, works
from longshore.engine.works import Ending, Outcome
from longshore.server.app import create_app
from longshore.storage import Database
from longshore.surfaces.apps import catalogue
from longshore.wire.payloads import AppDocument, AppField, AppPayload, AppResult
from tests.unit.serving import make_context

APP, OWNER, VERSION = "Meal Receipt", "Instabase", "1.0.0"


@dataclass
class Served:
    """A server that listens, and the stores behind it."""

    url: str
    first: FirstKeys
    database: Database
    data: Path

    @property
    def organisation_id(self) -> str:
        return self.first.organisation.id

    def submit(self, count: int, *, group_id: str | None = None) -> tuple[int, list[str]]:
        """Queue some works of no app in particular; return the queue's id and theirs."""
        queue_id = self.database.write_blocking(
            queues.ensure,
            organisation_id=self.organisation_id,
            surface="apps",
            name="local/reader@1",
        )
        new = [works.NewWork(queue_id, b"{}", group_id=group_id) for _ in range(count)]
        made = self.database.write_blocking(works.submit, new, actor="test")
        return queue_id, [work.id for work in made]

    def offer(self, version: str = VERSION) -> int:
        """Enter the app into the catalogue, as a worker does; return its queue's id."""
        offers = [(APP, OWNER, version, "Reads receipts.", None, 1)]
        return self.database.write_blocking(catalogue.offer, self.organisation_id, offers)[0]

    def work_off(self, queue_id: int, read: Callable[[str], AppResult]) -> int:
        """Do all works of the app as a worker would, by the files' names; return how many.

        `read` gives the result of a file, or raises ValueError to fail it.
        """
        leases = self.database.write_blocking(
            works.claim, [queue_id], limit=1_000, holder="wr_test", lease_s=60.0
        )
        endings = []
        for lease in leases:
            name = msgspec.json.decode(lease.payload, type=AppPayload).file.name
            try:
                result = msgspec.json.encode(read(name))
                ending = Ending(lease.id, lease.attempt, Outcome.SUCCESS, result=result)
            except ValueError as error:
                told = msgspec.json.encode({"type": "ValueError", "message": str(error)})
                ending = Ending(lease.id, lease.attempt, Outcome.REJECTED, error=told)
            endings.append(ending)
        lost = self.database.write_blocking(works.finish, endings, holder="wr_test")
        assert lost == []
        return len(leases)


def total_of(name: str) -> AppResult:
    """Read a receipt: its total is its name."""
    if name.startswith("bad"):
        raise ValueError("not an image")
    field = AppField(name="total", value=name, confidence=0.5, page=0, box=(1.0, 2.0, 3.0, 4.0))
    return AppResult(documents=[AppDocument(fields=[field], class_name="receipt")])


class _Announced(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, context: Context) -> None:
        super().__init__(config)
        self.answering = threading.Event()
        self._context = context

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # As the command does it: claims that wait for work are let go, and not waited for.
        self._context.stop()
        await super().shutdown(sockets)


@contextmanager
def running(database: Database, directory: Path) -> Iterator[Served]:
    """Run a server with its background passes and jobs, on a socket, in a thread."""
    context = make_context(database, directory)
    first = database.write_blocking(first_start)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(context), http="httptools", ws="none", lifespan="on", log_config=None
    )
    server = _Announced(config, context)
    thread = threading.Thread(target=asyncio.run, args=(server.serve([listener]),))
    thread.start()
    try:
        assert server.answering.wait(20)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Served(url, first, database, directory)
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()
