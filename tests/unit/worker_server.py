"""A server of the worker's protocol that lives in the test, and a worker process to talk to it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from longshore import ids
from longshore.settings import child_environment
from longshore.wire.payloads import AppFile, AppPayload, ChunkPayload
from longshore.wire.scripts import CodeAnswer, CodeRequest
from longshore.wire.worker import (
    ClaimAnswer,
    Claimed,
    ClaimRequest,
    Goodbye,
    Held,
    LogLine,
    LogRequest,
    Lost,
    Outcome,
    Registered,
    Registration,
    RenewAnswer,
    RenewRequest,
    Report,
    ReportAnswer,
    ReportRequest,
)

KEY = "ls_test_secret-of-the-worker"
APPS_QUEUE = 7
BUCKET_QUEUE = 8
SERVICES_QUEUE = 9
DEADLINE_S = 20.0


@dataclass
class Ledger:
    """What the server knows; guarded by `changed`, which is notified of every request."""

    lease_s: float = 0.9
    workers: list[str] = field(default_factory=list)
    registrations: list[Registration] = field(default_factory=list)
    queued: deque[Claimed] = field(default_factory=deque)
    claimed: dict[str, Claimed] = field(default_factory=dict)
    held: dict[tuple[str, int], str] = field(default_factory=dict)
    renewals: dict[tuple[str, int], int] = field(default_factory=dict)
    cancelling: set[str] = field(default_factory=set)
    reports: dict[str, list[Report]] = field(default_factory=dict)
    report_requests: int = 0
    lines: list[LogLine] = field(default_factory=list)
    claims: int = 0
    claim_limits: list[int] = field(default_factory=list)
    refuse_results: bool = False
    left: list[str] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)
    codes: list[CodeRequest] = field(default_factory=list)
    refuse_logs: bool = False
    down: bool = False
    waiting: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)


class WorkerServer:
    """The protocol over real sockets; `port` stays the same across `stop` and `start`."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.port = 0
        self._http: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"ledger": self.ledger})
        self._http = _Server(("127.0.0.1", self.port), handler)
        self.port = self._http.server_address[1]
        self.ledger.down = False
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Go away like a killed process: no answers, and connections are cut."""
        assert self._http is not None
        with self.ledger.changed:
            self.ledger.down = True
            self.ledger.changed.notify_all()
            # Who waits for work must have left before another server begins.
            assert self.ledger.changed.wait_for(lambda: not self.ledger.waiting, DEADLINE_S)
        self._http.shutdown()
        self._http.server_close()

    def submit(
        self, app: str = "Good", *, data: bytes = b"data", name: str = "a.txt", **extra: Any
    ) -> str:
        """Queue a work and return its id; `timeout_s` and what AppPayload takes may be given."""
        timeout_s = extra.pop("timeout_s", None)
        blob_id = ids.new(ids.BLOB)
        sha256 = extra.pop("sha256", hashlib.sha256(data).hexdigest())
        payload = AppPayload(
            run_id="rn_1",
            owner="local",
            app=app,
            version="1.0.0",
            position=0,
            file=AppFile(blob_id=blob_id, name=name, size_bytes=len(data), sha256=sha256),
            **extra,
        )
        work_id = ids.new(ids.WORK)
        claimed = Claimed(
            work_id=work_id,
            attempt=1,
            queue=APPS_QUEUE,
            surface="apps",
            payload=msgspec.Raw(msgspec.json.encode(payload)),
            lease_until_us=0,
            timeout_s=timeout_s,
        )
        with self.ledger.changed:
            self.ledger.blobs[blob_id] = data
            self.ledger.queued.append(claimed)
            self.ledger.changed.notify_all()
        return work_id

    def submit_work(self, pipeline: str = "any", **fields: Any) -> str:
        """Queue a work of a bucket and return its id; `fields` are those of its document."""
        work_id = ids.new(ids.WORK)
        document = {
            "pipeline": pipeline,
            "site": "local",
            "user": "me",
            "function": None,
            "parameters": None,
            "command": None,
            "results": None,
            "products": None,
            "plots": None,
            "id": work_id,
            "attempt": 1,
            "status": "running",
            "timeout": 3600,
            "config": {"archive": {"products": "copy", "plots": "copy"}},
        } | fields
        claimed = Claimed(
            work_id=work_id,
            attempt=1,
            queue=BUCKET_QUEUE,
            surface="buckets",
            payload=msgspec.Raw(msgspec.json.encode(document)),
            lease_until_us=0,
            timeout_s=float(document["timeout"]),
        )
        with self.ledger.changed:
            self.ledger.queued.append(claimed)
            self.ledger.changed.notify_all()
        return work_id

    def submit_chunk(
        self,
        service: str,
        inputs: list[Any],
        *,
        timeout_s: float | None = None,
        record_timeout_s: float | None = None,
        **extra: Any,
    ) -> str:
        """Queue a chunk of records for a service and return its id.

        `timeout_s` is that of the whole attempt; `extra` are other fields of ChunkPayload.
        """
        payload = ChunkPayload(
            service=service,
            version="1.0.0",
            version_id="sv_1",
            records=len(inputs),
            columnar=False,
            timeout_s=record_timeout_s,
            data=msgspec.Raw(msgspec.json.encode({"inputs": inputs})),
            **extra,
        )
        claimed = Claimed(
            work_id=ids.new(ids.WORK),
            attempt=1,
            queue=SERVICES_QUEUE,
            surface="pipelines",
            payload=msgspec.Raw(msgspec.json.encode(payload)),
            lease_until_us=0,
            timeout_s=timeout_s,
        )
        with self.ledger.changed:
            self.ledger.queued.append(claimed)
            self.ledger.changed.notify_all()
        return claimed.work_id

    def wait(self, condition: Callable[[Ledger], Any], what: str) -> Any:
        """Return the first true value of `condition(ledger)`, or fail at the deadline."""
        with self.ledger.changed:
            value = self.ledger.changed.wait_for(lambda: condition(self.ledger), DEADLINE_S)
            assert value, f"not within {DEADLINE_S} s: {what}; {self.ledger.reports}"
            return value

    def report(self, work_id: str) -> Report:
        """Wait for the report of a work."""
        reports = self.wait(lambda ledger: ledger.reports.get(work_id), f"report of {work_id}")
        assert isinstance(reports[0], Report)
        return reports[0]

    def lines(self, work_id: str) -> list[tuple[str, str]]:
        with self.ledger.changed:
            return [(x.stream, x.text) for x in self.ledger.lines if x.work_id == work_id]

    def wait_for_line(self, work_id: str, start: str) -> str:
        """Wait for a log line that starts so, and return the rest of it."""

        def rest(ledger: Ledger) -> str | None:
            for line in ledger.lines:
                if line.work_id == work_id and line.text.startswith(start):
                    return line.text.removeprefix(start) or " "
            return None

        found = self.wait(rest, f"line {start!r} of {work_id}")
        assert isinstance(found, str)
        return found

    def cancel(self, work_id: str) -> None:
        with self.ledger.changed:
            self.ledger.cancelling.add(work_id)

    def take_away(self, work_id: str) -> None:
        """Let the lease of a work be somebody else's."""
        with self.ledger.changed:
            self.ledger.held[work_id, 1] = "somebody else"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: workers are killed in the middle of requests."""


class _Handler(BaseHTTPRequestHandler):
    ledger: Ledger
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        self._check_key()
        data = self.ledger.blobs.get(self.path.rpartition("/")[2])
        if data is None:
            self._problem(404, "not_found", "There is no such blob.")
        else:
            self._send(200, data)

    def do_POST(self) -> None:
        self._check_key()
        body = self.rfile.read(int(self.headers["content-length"]))
        verb = self.path.rpartition("/")[2]
        with self.ledger.changed:
            if self.ledger.down:
                self.close_connection = True
                return
            answer = getattr(self, f"_{verb}")(body)
            self.ledger.changed.notify_all()
        if answer is not None:
            self._send(200, msgspec.json.encode(answer))

    def _check_key(self) -> None:
        assert self.headers["authorization"] == f"Bearer {KEY}"

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _problem(self, status: int, code: str, detail: str) -> None:
        problem = {"code": code, "detail": detail, "request_id": "rq_1"}
        self._send(status, json.dumps(problem).encode())

    def _known(self, worker_id: str) -> bool:
        if worker_id in self.ledger.workers:
            return True
        self._problem(404, "not_found", "There is no such worker. Register again.")
        return False

    def _register(self, body: bytes) -> Any:
        registration = msgspec.json.decode(body, type=Registration)
        if any(app.name == "Refuse Me" for app in registration.apps):
            return self._problem(422, "invalid_request", "Such an app is refused.")
        self.ledger.registrations.append(registration)
        self.ledger.workers.append(ids.new(ids.WORKER))
        return Registered(
            worker_id=self.ledger.workers[-1],
            queues=[APPS_QUEUE, BUCKET_QUEUE, SERVICES_QUEUE],
            lease_s=self.ledger.lease_s,
        )

    def _claim(self, body: bytes) -> Any:
        request = msgspec.json.decode(body, type=ClaimRequest)
        if not self._known(request.worker_id):
            return None
        self.ledger.claims += 1
        self.ledger.claim_limits.append(request.limit)
        self.ledger.changed.notify_all()
        self.ledger.waiting += 1
        self.ledger.changed.wait_for(
            lambda: self.ledger.queued or self.ledger.down, min(request.wait_s, 1.0)
        )
        self.ledger.waiting -= 1
        self.ledger.changed.notify_all()
        if self.ledger.down:
            self.close_connection = True
            return None
        works = []
        while self.ledger.queued and len(works) < request.limit:
            work = self.ledger.queued.popleft()
            self.ledger.held[work.work_id, work.attempt] = request.worker_id
            self.ledger.claimed[work.work_id] = work
            works.append(work)
        return ClaimAnswer(works=works)

    def _renew(self, body: bytes) -> Any:
        request = msgspec.json.decode(body, type=RenewRequest)
        if not self._known(request.worker_id):
            return None
        lost = []
        for lease in request.leases:
            key = (lease.work_id, lease.attempt)
            self.ledger.renewals[key] = self.ledger.renewals.get(key, 0) + 1
            if self.ledger.held.get(key) != request.worker_id:
                lost.append(self._lost(lease, "held by somebody else", cancelled=False))
            elif lease.work_id in self.ledger.cancelling:
                lost.append(self._lost(lease, "cancel_requested", cancelled=True))
        return RenewAnswer(lost=lost)

    def _report(self, body: bytes) -> Any:
        request = msgspec.json.decode(body, type=ReportRequest)
        if not self._known(request.worker_id):
            return None
        self.ledger.report_requests += 1
        results = [bytes(report.result) for report in request.reports]
        if self.ledger.refuse_results and any(result != b"null" for result in results):
            return self._problem(422, "invalid_request", "Such a result is refused.")
        lost = []
        for report in request.reports:
            key = (report.work_id, report.attempt)
            if self.ledger.held.get(key) != request.worker_id:
                lost.append(self._lost(Held(*key), "held by somebody else", cancelled=False))
                continue
            copy = msgspec.json.decode(msgspec.json.encode(report), type=Report)
            self.ledger.reports.setdefault(report.work_id, []).append(copy)
            if report.outcome is Outcome.HANDED_BACK:
                work = self.ledger.claimed[report.work_id]
                again = msgspec.structs.replace(work, attempt=work.attempt + 1)
                self.ledger.queued.append(again)
        return ReportAnswer(lost=lost)

    @staticmethod
    def _lost(lease: Held, reason: str, *, cancelled: bool) -> Lost:
        return Lost(
            work_id=lease.work_id, attempt=lease.attempt, reason=reason, cancelled=cancelled
        )

    def _logs(self, body: bytes) -> Any:
        if self.ledger.refuse_logs:
            return self._problem(500, "server_fault", "Logs are broken today.")
        self.ledger.lines += msgspec.json.decode(body, type=LogRequest).lines
        return {}

    def _code(self, body: bytes) -> Any:
        self.ledger.codes.append(msgspec.json.decode(body, type=CodeRequest))
        return CodeAnswer(code=f"ac_fresh-{len(self.ledger.codes)}", expires_s=60.0)

    def _leave(self, body: bytes) -> Any:
        self.ledger.left.append(msgspec.json.decode(body, type=Goodbye).worker_id)
        return {}

    def _blobs(self, body: bytes) -> Any:
        blob_id = ids.new(ids.BLOB)
        self.ledger.blobs[blob_id] = body
        self.ledger.uploads.append(blob_id)
        sha256 = hashlib.sha256(body).hexdigest()
        return {"blob_id": blob_id, "size_bytes": len(body), "sha256": sha256}


_MAIN = """
import json, sys
from longshore.errors import LongshoreError
from longshore.worker.runtime import WorkerOptions, run
try:
    sys.exit(run(WorkerOptions(**json.loads(sys.argv[1]))))
except LongshoreError as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(2)
"""


class WorkerProcess:
    """A real worker in a process of its own."""

    def __init__(self, url: str, modules: list[str], log: Path, **options: Any) -> None:
        settings: dict[str, Any] = {
            "url": url,
            "key": KEY,
            "modules": modules,
            "slots": 1,
            "grace_s": 0.5,
        }
        self.log = log
        self.scratch = log.with_suffix(".scratch")
        self.scratch.mkdir()
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, json.dumps(settings | {"drain_s": 10.0} | options)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=child_environment(LONGSHORE_KEY=KEY, TMPDIR=str(self.scratch)),
            )

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)

    def text(self) -> str:
        return self.log.read_text()

    def close(self) -> None:
        """Drain at once, and kill what does not end."""
        for _ in range(2):
            if self.process.poll() is None:
                self.process.terminate()
                poll(
                    lambda: b"stopping" in self.log.read_bytes() or self.process.poll() is not None
                )
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def poll(condition: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """Return the first true value of `condition()`, or fail at the deadline."""
    until_s = time.monotonic() + deadline_s
    pause = threading.Event()
    while not (value := condition()):
        assert time.monotonic() < until_s, f"not within {deadline_s} s"
        pause.wait(0.02)
    return value


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet reaped does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def children(pid: int) -> list[int]:
    """Return the process ids of all descendants."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *children(child)]
    return found
