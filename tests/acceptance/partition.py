"""A proxy between two processes whose two directions can be stopped, as when a network fails.

What is stopped is kept and goes on its way when the network is whole again, as TCP would have it.
"""

from __future__ import annotations

import select
import socket
import threading
from types import TracebackType
from typing import Self

_PIECE = 65_536
_LOOK_S = 0.05


class Partition:
    """Passes connections on to a server on this machine, as long as nobody cuts them."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._requests, self._answers = threading.Event(), threading.Event()
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.heal()

    def cut(self, *, requests: bool = True, answers: bool = True) -> None:
        """Stop what goes to the server, what comes from it, or both."""
        if requests:
            self._requests.clear()
        if answers:
            self._answers.clear()

    def heal(self) -> None:
        """Let everything through again."""
        self._requests.set()
        self._answers.set()

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
        for each in (self._listener, *self._sockets):
            each.close()

    def _begin(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="partition")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            if select.select([self._listener], [], [], _LOOK_S)[0]:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except ConnectionRefusedError:
                    client.close()
                    continue
                self._sockets += [client, server]
                over = threading.Event()
                self._begin(self._pass_on, client, server, self._requests, over)
                self._begin(self._pass_on, server, client, self._answers, over)

    def _pass_on(
        self,
        source: socket.socket,
        target: socket.socket,
        whole: threading.Event,
        over: threading.Event,
    ) -> None:
        """Carry one direction; the second of the two to end closes both sockets."""
        try:
            while not self._closed.is_set():
                if not select.select([source], [], [], _LOOK_S)[0]:
                    if over.is_set():
                        return
                    continue
                data = source.recv(_PIECE)
                # What has arrived by the time of the cut does not get through any more.
                while not whole.wait(_LOOK_S):
                    if self._closed.is_set():
                        return
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
        except OSError:
            return
        finally:
            if over.is_set():
                source.close()
                target.close()
            over.set()
