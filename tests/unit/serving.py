"""A server over a test database: in this process, or as a real one with sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from longshore.access import Role, keys
from longshore.access.first import FirstKeys, first_start
from longshore.access.organisations import Organisation, ensure
from longshore.edge.context import Context
from longshore.server.app import create_app
from longshore.settings import Settings
from longshore.storage import Database
from longshore.storage.blobs import open_blobs


@dataclass
class Served:
    """An application, and how to reach it as the admin of organisation `local`."""

    app: FastAPI
    context: Context
    database: Database
    first: FirstKeys
    client: httpx.AsyncClient

    @property
    def organisation(self) -> Organisation:
        return self.first.organisation

    def token(self, role: Role, *, organisation_id: str | None = None, **more: Any) -> str:
        """Make a key and return its token."""
        return self.database.write_blocking(
            keys.create,
            organisation_id or self.organisation.id,
            name=f"a {role}",
            role=role,
            **more,
        )[1]

    def other_organisation(self) -> tuple[Organisation, str]:
        """Make a second organisation and an admin key for it."""
        other = self.database.write_blocking(ensure, "other")
        return other, self.token(Role.ADMIN, organisation_id=other.id)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def make_context(database: Database, directory: Path) -> Context:
    settings = Settings(data=directory, janitor_interval_s=0.05)
    return Context(database, open_blobs(str(directory / "blobs")), settings)


@asynccontextmanager
async def serving(
    database: Database, directory: Path, *, background: bool = False
) -> AsyncIterator[Served]:
    """Serve a database inside this process; with its background passes where asked for."""
    context = make_context(database, directory)
    first = database.write_blocking(first_start)
    app = create_app(context)
    transport = httpx.ASGITransport(app)
    headers = bearer(first.token)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=headers
    ) as client:
        if background:
            async with app.router.lifespan_context(app):
                yield Served(app, context, database, first, client)
        else:
            yield Served(app, context, database, first, client)
    context.close()


class _Announced(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()


@contextmanager
def listening(app: FastAPI) -> Iterator[int]:
    """Serve an application on a real socket; give its port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off", log_config=None, timeout_keep_alive=30
    )
    server = _Announced(config)
    thread = threading.Thread(target=asyncio.run, args=(server.serve([listener]),))
    thread.start()
    assert server.answering.wait(10)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
