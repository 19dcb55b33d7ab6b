"""A proxy that loses the answers to some requests, after the server has given them."""

from __future__ import annotations

import select
import socket
import struct
import threading
from types import TracebackType
from typing import Self

_CHUNK = 65_536
_LOOK_S = 0.2


class CuttingProxy:
    """Passes connections on to a server on this machine, and resets those it was told to.

    The answer to such a request has left the server, and lies unread in the proxy's socket: both
    sides see the connection break, as when a machine between them fails.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.left = 0
        """How many answers are still to be lost."""
        self._beginning = b""
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    def cut(self, beginning: str, *, times: int) -> None:
        """Lose the answers to the next requests that begin like this, so many times."""
        self._beginning, self.left = beginning.encode(), times

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _begin(self, target: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments, name="proxy")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            if select.select([self._listener], [], [], _LOOK_S)[0]:
                client, _ = self._listener.accept()
                self._begin(self._pass_on, client)

    def _pass_on(self, client: socket.socket) -> None:
        lose = False
        with client, socket.create_connection(self._target) as server:
            while not self._closed.is_set():
                readable, _, _ = select.select([client, server], [], [], _LOOK_S)
                if server in readable and lose:
                    self._reset(client)
                    self._reset(server)
                    return
                for source, target in ((client, server), (server, client)):
                    if source not in readable:
                        continue
                    data = self._received(source)
                    if not data:
                        return
                    if source is client and self.left and data.startswith(self._beginning):
                        self.left -= 1
                        lose = True
                    target.sendall(data)

    @staticmethod
    def _received(source: socket.socket) -> bytes:
        try:
            return source.recv(_CHUNK)
        except ConnectionResetError:
            return b""

    @staticmethod
    def _reset(end: socket.socket) -> None:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
