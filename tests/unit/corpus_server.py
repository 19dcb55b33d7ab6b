"""A small server of the worker protocol, for tests: it remembers what it is asked."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

RUN = "22222222-2222-4222-8222-222222222222"
PROCESS = "33333333-3333-4333-8333-333333333333"
CORPUS = "11111111-1111-4111-8111-111111111111"
TASK = "66666666-6666-4666-8666-666666666666"

OPERATIONS = {
    "RetrieveWorkerRun": ("get", "/api/v1/process/workers/{id}/"),
    "RetrieveElement": ("get", "/api/v1/element/{id}/"),
    "UpdateWorkerActivity": ("put", "/api/v1/workers/versions/{id}/activity/"),
    "StartWorkerActivity": ("post", "/api/v1/process/start-activity/"),
    "ListProcessElements": ("get", "/api/v1/process/{id}/elements/"),
    "ListProcessSets": ("get", "/api/v1/process/{id}/sets/"),
    "ListDatasetElements": ("get", "/api/v1/datasets/{id}/elements/"),
    "RetrieveDataset": ("get", "/api/v1/datasets/{id}/"),
    "RetrieveTask": ("get", "/api/v1/task/{id}/"),
    "RetrieveSecret": ("get", "/api/v1/secret/{name}"),
    "ListArtifacts": ("get", "/api/v1/task/{id}/artifacts/"),
    "DownloadArtifact": ("get", "/api/v1/task/{id}/artifact/{path}"),
    "StartExport": ("post", "/api/v1/corpus/{id}/export/"),
    "ListExports": ("get", "/api/v1/corpus/{id}/export/"),
    "DownloadExport": ("get", "/api/v1/export/{id}/"),
    "RetrieveModelVersion": ("get", "/api/v1/modelversion/{id}/"),
    "CreateMetaData": ("post", "/api/v1/element/{id}/metadata/"),
}
SERVER_CONFIGURATION = {
    "RetrieveWorkerRunConfiguration": ("get", "/api/v1/workers/runs/{id}/configuration/"),
}
NATIVE = {
    "ClaimActivities": ("post", "/longshore/v1/corpus/activities/claim"),
    "RenewActivities": ("post", "/longshore/v1/corpus/activities/renew"),
    "ReportActivities": ("post", "/longshore/v1/corpus/activities/report"),
}
QUERY = {
    "ListProcessElements": ("cursor", "with_count", "page_size", "with_image"),
    "ListDatasetElements": ("cursor", "with_count", "page_size", "set"),
    "ListProcessSets": ("page", "page_size"),
    "ListExports": ("page", "page_size", "dataset_id"),
}
WITH_BODY = {"UpdateWorkerActivity", "StartExport", "CreateMetaData", *NATIVE}
WITH_BODY -= set(NATIVE)
UNPAGED = {"ListArtifacts"}


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


@dataclass
class Reply:
    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[..., Any]


class ProtocolServer:
    """Answers by operation; a test may put its own function or list of replies in `answers`."""

    def __init__(self, *, native: bool = False, server_configuration: bool = False) -> None:
        self.operations = {
            **OPERATIONS,
            **(SERVER_CONFIGURATION if server_configuration else {}),
            **(NATIVE if native else {}),
        }
        self.calls: list[tuple[str, dict[str, Any], Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.elements: dict[str, dict[str, Any]] = {}
        self.states: dict[str, str] = {}
        self.attempts: dict[str, int] = {}
        self.renewed: list[list[Any]] = []
        self.process: dict[str, Any] = {
            "id": PROCESS,
            "corpus": CORPUS,
            "mode": "workers",
            "activity_state": "ready",
            "skip_elements_json": False,
        }
        self.run: dict[str, Any] = {"worker_version": {"worker": {}, "configuration": {}}}
        self.answers: dict[str, Handler | list[Any]] = {}
        self.url = ""

    def add(self, count: int, start: int = 1) -> list[str]:
        """Make elements and return their ids."""
        made = [uuid(number) for number in range(start, start + count)]
        for element_id in made:
            self.elements[element_id] = {"id": element_id, "type": "page", "name": element_id[-4:]}
            self.states[element_id] = "queued"
        return made

    def document(self) -> dict[str, Any]:
        paths: dict[str, dict[str, Any]] = {}
        for name, (method, path) in self.operations.items():
            operation: dict[str, Any] = {"operationId": name, "x-paginated": name not in UNPAGED}
            operation["parameters"] = [
                {"name": one, "in": "query", "schema": {}} for one in QUERY.get(name, ())
            ]
            if name in WITH_BODY:
                content = {"application/json": {"schema": {"type": "object"}}}
                operation["requestBody"] = {"x-name": "body", "content": content}
            paths.setdefault(path, {})[method] = operation
        info = {"title": "Test", "version": "1"}
        return {"openapi": "3.0.3", "info": info, "paths": paths}

    def names(self) -> list[str]:
        with self.lock:
            return [name for name, _, _ in self.calls]

    def bodies(self, operation_id: str) -> list[Any]:
        with self.lock:
            return [body for name, _, body in self.calls if name == operation_id]

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Wait until something holds after a call.

        Raises:
            AssertionError: it does not hold in time.
        """
        with self.changed:
            assert self.changed.wait_for(condition, timeout_s), self.names()[-20:]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        if path == "/api/v1/openapi/":
            return Reply(200, self.document())
        for name, (its_method, template) in self.operations.items():
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
            found = re.fullmatch(pattern, path)
            if found and its_method == method.lower():
                arguments = {key: unquote(value) for key, value in found.groupdict().items()}
                with self.changed:
                    self.calls.append((name, {**arguments, **query}, body))
                    reply = self._prepared(name, {**arguments, **query}, body)
                    self.changed.notify_all()
                return reply if isinstance(reply, Reply) else Reply(200, reply)
        return Reply(404, {"detail": f"no operation {method} {path}"})

    def _prepared(self, name: str, arguments: dict[str, Any], body: Any) -> Any:
        own = self.answers.get(name)
        if isinstance(own, list) and own:
            made = own.pop(0)
            return made if made is not None else getattr(self, name)(arguments, body)
        if callable(own):
            return own(arguments, body)
        return getattr(self, name)(arguments, body)

    def RetrieveWorkerRun(self, arguments: dict[str, Any], body: Any) -> Any:  # noqa: N802
        return {"summary": "Worker", "process": self.process, **self.run}

    def RetrieveElement(self, arguments: dict[str, Any], body: Any) -> Any:  # noqa: N802
        found = self.elements.get(arguments["id"])
        return found or Reply(404, {"detail": "Not found."})

    def UpdateWorkerActivity(self, arguments: dict[str, Any], body: Any) -> Any:  # noqa: N802
        element_id, state = body["element_id"], body["state"]
        if state == "started" and self.states.get(element_id) not in {"queued", "error"}:
            return Reply(409, {"detail": "This activity is started or processed."})
        self.states[element_id] = state
        if "ClaimActivities" not in self.operations:
            return Reply(204)
        if state == "started":
            self.attempts[element_id] = self.attempts.get(element_id, 0) + 1
        return {"element_id": element_id, "state": state, "attempt": self.attempts[element_id]}

    def StartWorkerActivity(self, arguments: dict[str, Any], body: Any) -> Any:  # noqa: N802
        for element_id, state in self.states.items():
            if state == "queued":
                self.states[element_id] = "started"
                return self.elements.get(element_id, {"id": element_id})
        return Reply(404, {"detail": "none left"})

    def ClaimActivities(self, arguments: dict[str, Any], body: Any) -> Any:  # noqa: N802
        queued = [one for one, state in self.states.items() if state == "queued"]
        listed = body.get("elements")
        fitting = {"queued", "error"}
        if listed is not None:
            claimed = [one for one in listed if self.states.get(one) in fitting]
        else:
            claimed = queued[: body["limit"]]
        for element_id in claimed:
            self.states[element_id] = "started"
            self.attempts[element_id] = self.attempts.get(element_id, 0) + 1
        return {
            "activities": [
                {"element": self.elements[one], "attempt": self.attempts[one]} for one in claimed
            ],
            "lease_s": 60.0,
            "queued": len(set(queued) - set(claimed)),
            "unknown": [one for one in listed or () if one not in self.states],
        }

    def RenewActivities(self, arguments: dict[str, Any], body: Any) -> Any:  # noqa: N802
        self.renewed += body["held"]
        return {"lost": [], "lease_s": 60.0}

    def ReportActivities(self, arguments: dict[str, Any], body: Any) -> Any:  # noqa: N802
        lost = []
        for report in body["reports"]:
            if self.attempts[report["element_id"]] != report["attempt"]:
                lost.append([report["element_id"], report["attempt"], "lease_lost"])
            else:
                self.states[report["element_id"]] = report["state"]
        return {"lost": lost}

    def ListProcessSets(self, arguments: dict[str, Any], body: Any) -> Any:  # noqa: N802
        return {"count": 0, "number": 1, "next": None, "previous": None, "results": []}

    def CreateMetaData(self, arguments: dict[str, Any], body: Any) -> Any:  # noqa: N802
        return Reply(201, {"id": uuid(999), **body})


@contextmanager
def serving(server: ProtocolServer) -> Iterator[ProtocolServer]:
    """Let a server answer on a port of this machine."""

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            with server.lock:
                server.headers.append(dict(self.headers))
            query = dict(parse_qsl(parts.query))
            reply = server.answer(
                self.command, parts.path, query, json.loads(body) if body else None
            )
            if reply.status == 0:
                self.connection.close()
                self.close_connection = True
                return
            content = reply.content
            kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            data = b"" if content is None else data
            self.send_response(reply.status)
            for name, value in {"Content-Type": kind, **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}/"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
