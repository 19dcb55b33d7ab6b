"""A proxy that sends each POST to the server several times, and passes on one of the answers."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import httpx

TIMES = 3
_PATIENCE_S = 30.0
_OWN = ("host", "connection", "transfer-encoding", "content-encoding", "content-length")


class RepeatingProxy:
    """Repeats each POST, but for those whose path ends as given; counts them by the path's end."""

    def __init__(self, port: int, *, once: tuple[str, ...] = ()) -> None:
        self.repeated: Counter[str] = Counter()
        self._once = once
        self._target = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(timeout=_PATIENCE_S, trust_env=False)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="repeating")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._client.close()

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        """Send a request as often as it is to be sent, and return the last answer."""
        end = path.partition("?")[0].rpartition("/")[2]
        times = TIMES if method == "POST" and not path.endswith(self._once) else 1
        if times > 1:
            self.repeated[end] += 1
        for _ in range(times):
            answer = self._client.request(
                method, f"{self._target}{path}", content=body, headers=headers
            )
        return answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                sent = {
                    name: text for name, text in self.headers.items() if name.lower() not in _OWN
                }
                try:
                    answer = proxy.send(self.command, self.path, sent, body)
                except httpx.TransportError:
                    # The other end is gone, as when there is no proxy in between.
                    self.close_connection = True
                    return
                self.send_response_only(answer.status_code)
                for name, text in answer.headers.items():
                    if name.lower() not in _OWN:
                        self.send_header(name, text)
                if answer.status_code != 204:
                    self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, format: str, *_arguments: Any) -> None:  # noqa: A002
                """Say nothing of each request."""

        return Handler
