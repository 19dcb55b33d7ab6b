"""What scripts of users meet: a server, workers of hosts, databases, and services that they call."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg

from tests.acceptance.harness import STOP_S, Server, eventually
from tests.acceptance.scripts import API, Dispatcher, HostWorker
from tests.conftest import PostgreSQLServer

PROGRAMS = Path(__file__).with_name("programs") / "scripts"
DATA_ADDRESS = "https://api.example.com/data"
"""Where extract.py, as it was written, gets its data."""
START_S = 60.0


def python() -> str:
    """Return the interpreter that has what the scripts import, and nothing of Longshore."""
    path = Path(sys.prefix, "clients", "scripts", "bin", "python")
    assert path.exists(), "the scripts' environment is missing: run `make venv`"
    return str(path)


@dataclass
class Services:
    """An API with data, and one like OpenAI's; what they were asked is kept."""

    data: dict[str, Any] = field(default_factory=dict)
    fails: bool = False
    uploads: list[bytes] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if self.fails:
            return 400, {"error": {"message": "not today", "type": "invalid_request_error"}}
        if (method, path) == ("GET", "/data"):
            return 200, self.data
        if (method, path) == ("POST", "/v1/files"):
            self.uploads.append(body)
            return 200, {
                "id": "file-1", "object": "file", "bytes": len(body), "created_at": 1,
                "filename": "image.jpg", "purpose": "vision", "status": "processed",
            }  # fmt: skip
        if (method, path) == ("POST", "/v1/chat/completions"):
            self.questions.append(json.loads(body))
            message = {"role": "assistant", "content": "harbour, crane, dusk"}
            return 200, {
                "id": "chat-1", "object": "chat.completion", "created": 1, "model": "local",
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            }  # fmt: skip
        return 404, {"error": {"message": f"nothing at {path}"}}


@contextmanager
def services() -> Iterator[Services]:
    """Serve on loopback until the block ends."""
    made = Services()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = made.answer(self.command, self.path, body)
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@dataclass
class Store:
    """A database of the user's, which scripts write to."""

    url: str

    @classmethod
    def make(cls, postgresql: PostgreSQLServer, *statements: str) -> Store:
        made = cls(postgresql.empty_database())
        for statement in statements:
            made.run(statement)
        return made

    def run(self, statement: str, *values: Any) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode(), values)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement.encode()).fetchall()

    def secrets(self) -> dict[str, str]:
        """Return what the keystore is to know of it, under the names that the scripts use."""
        parts = urlsplit(self.url)
        return {
            "db_host": parse_qs(parts.query)["host"][0],
            "db_name": parts.path.strip("/"),
            "db_user": parts.username or "postgres",
            "db_password": "a password that the socket does not ask for",
        }


@dataclass
class Site:
    """A server, a worker for each of three hosts, and who sends events to it."""

    server: Server
    directory: Path
    mark: str
    services: Services
    workers: list[HostWorker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.user = Dispatcher(self.server)

    def start(self) -> None:
        """Start a worker on each host; the scripts of each lie in a directory of its own."""
        for host in ("host1", "host2", "host3"):
            scripts = self.directory / host
            shutil.copytree(PROGRAMS, scripts)
            extract = scripts / "extract.py"
            text = extract.read_text("utf-8")
            assert DATA_ADDRESS in text
            address = f"{self.services.url}/data"
            extract.write_text(text.replace(DATA_ADDRESS, address), "utf-8")
            worker = HostWorker(
                self.directory, host, self.mark, self.server, slots=1, scripts=scripts
            )
            worker.start()
            self.workers.append(worker)
        eventually(self._hosts, START_S, "three hosts have workers")

    def _hosts(self) -> bool:
        found = self.user.get(f"{API}/hosts")
        return len([host for host in found if host["workers"]]) == len(self.workers)

    def printed(self, *run_ids: int) -> str:
        """Return what the steps of runs have printed, for whoever reads that a test failed."""
        logs = [self.user.http.get(f"{API}/runs/{run_id}/logs").text for run_id in run_ids]
        return "\n".join(logs)

    def close(self) -> None:
        self.user.close()
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.wait(STOP_S)
            worker.close()
        self.server.stop()
        self.server.close()
