"""The client of a Work that was given none: that of the server which `Client()` finds."""

from __future__ import annotations

import atexit
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from longshore.sdk._connection import Connection, find_connection

if TYPE_CHECKING:
    from longshore.sdk._async.client import AsyncClient
    from longshore.sdk._sync.client import Client

_clients: Final[dict[Connection, Client]] = {}
_lock: Final = threading.Lock()


@contextmanager
def client_or_default(client: Client | None) -> Iterator[Client]:
    """Give the client, or one of the server that is found; that is kept for the next time."""
    yield client if client is not None else _default(find_connection())


@asynccontextmanager
async def async_client_or_default(client: AsyncClient | None) -> AsyncIterator[AsyncClient]:
    """Give the client, or one that lives as long as the block.

    It cannot be kept, since its connections belong to the event loop that is running now.
    """
    from longshore.sdk._async.client import AsyncClient  # noqa: PLC0415 - it imports this module

    if client is not None:
        yield client
        return
    async with AsyncClient() as made:
        yield made


def _default(connection: Connection) -> Client:
    from longshore.sdk._sync.client import Client  # noqa: PLC0415 - it imports this module

    with _lock:
        if connection not in _clients:
            _clients[connection] = Client(connection.url, connection.key)
            atexit.register(_clients[connection].close)
        return _clients[connection]
