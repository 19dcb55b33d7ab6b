"""The HTTP clients of the acceptance tests: a user's, and a worker's that is told what to do.

Both are patient: while the server is away, or says that it cannot just now, they try again until
their patience is over, as real clients do. Every POST of a user carries an Idempotency-Key, so
that trying again is safe. What the server acknowledged is kept, to be asked for later.
"""

from __future__ import annotations

import copy
import secrets
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote

import httpx

from tests.acceptance.harness import Server, eventually

PATIENCE_S = 30.0
"""Nothing may keep a client waiting for longer than this (R3)."""
OWNER = "acceptance"
_PAUSE_S = 0.05
_TRY_AGAIN = (502, 503, 504)


@dataclass
class Acknowledged:
    """What the server said yes to; none of it may ever be lost."""

    batches: dict[int, set[str]] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    """Files of each run."""
    deleted_runs: set[str] = field(default_factory=set)
    deleted_batches: set[int] = field(default_factory=set)


class Patient:
    """One client of one server with one key."""

    def __init__(self, url: str, key: str | None, *, patience_s: float = PATIENCE_S) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # An answer takes longer than a claim may wait only if something hangs.
        self.http = httpx.Client(base_url=url, headers=headers, timeout=patience_s, trust_env=False)
        self.patience_s = patience_s
        self.statuses: Counter[int] = Counter()
        self.longest_s = 0.0
        self.retries = 0

    def ask(
        self,
        method: str,
        path: str,
        *,
        expect: tuple[int, ...] = (200,),
        headers: dict[str, str] | None = None,
        **arguments: Any,
    ) -> httpx.Response:
        """Send a request until it is answered, and check the answer's status."""
        deadline = time.monotonic() + self.patience_s
        pause = threading.Event()
        while True:
            trouble: object
            begun = time.monotonic()
            try:
                answer = self.http.request(method, path, headers=headers, **arguments)
            except httpx.TransportError as error:
                trouble = repr(error)
            else:
                self.statuses[answer.status_code] += 1
                if answer.status_code not in _TRY_AGAIN or answer.status_code in expect:
                    assert answer.status_code in expect, (
                        f"{method} {path} -> {answer.status_code} {answer.text[:500]}"
                    )
                    return answer
                trouble = f"{answer.status_code} {answer.text[:200]}"
            finally:
                self.longest_s = max(self.longest_s, time.monotonic() - begun)
            assert time.monotonic() < deadline, f"{method} {path} is never answered: {trouble}"
            self.retries += 1
            pause.wait(_PAUSE_S)

    def at(self, server: Server) -> Self:
        """Return the same client, of the same name and key, of another server."""
        made = copy.copy(self)
        made.http = httpx.Client(
            base_url=server.url,
            headers=self.http.headers,
            timeout=self.patience_s,
            trust_env=False,
        )
        made.statuses = Counter()
        return made

    def close(self) -> None:
        self.http.close()


class User(Patient):
    """What a user of the apps surface does, in the words of the tests."""

    def __init__(self, url: str, key: str | None, *, patience_s: float = PATIENCE_S) -> None:
        super().__init__(url, key, patience_s=patience_s)
        self.acknowledged = Acknowledged()

    def post(self, path: str, body: Any = None, *, expect: tuple[int, ...] = (200,)) -> Any:
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        return self.ask("POST", path, json=body, headers=headers, expect=expect).json()

    def get(self, path: str, **params: Any) -> Any:
        return self.ask("GET", path, params=params).json()

    def create_batch(self, name: str = "acceptance") -> int:
        batch_id = int(self.post("/api/v2/batches", {"name": name})["id"])
        self.acknowledged.batches[batch_id] = set()
        return batch_id

    def add_file(self, batch_id: int, name: str, content: bytes) -> None:
        path = f"/api/v2/batches/{batch_id}/files/{quote(name, safe='')}"
        self.ask("PUT", path, content=content, expect=(204,))
        self.acknowledged.batches[batch_id].add(name)

    def batch_of(self, files: dict[str, bytes]) -> int:
        batch_id = self.create_batch()
        for name, content in files.items():
            self.add_file(batch_id, name, content)
        return batch_id

    def start_run(self, app: str, batch_id: int, **more: Any) -> str:
        body = {"app_name": app, "owner": OWNER, "batch_id": batch_id, **more}
        run_id = str(self.post("/api/v2/apps/runs", body)["id"])
        self.acknowledged.runs[run_id] = len(self.acknowledged.batches.get(batch_id, ()))
        return run_id

    def run_files(self, app: str, files: dict[str, bytes]) -> str:
        """Start a run over new files and return its id."""
        return self.start_run(app, self.batch_of(files))

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/api/v2/apps/runs/{run_id}")
        return found

    def finished(self, run_id: str, within_s: float) -> dict[str, Any]:
        """Return the run once it has left RUNNING."""

        def look() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["status"] != "RUNNING" else None

        try:
            return eventually(look, within_s, f"run {run_id} is finished") or {}
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.describe(run_id)}") from error

    def results(self, run_id: str) -> list[dict[str, Any]]:
        """Return the results of all files of a run."""
        files: list[dict[str, Any]] = []
        while True:
            page = self.get(f"/api/v2/apps/runs/{run_id}/results", file_offset=len(files))
            files += page["files"]
            if not page["has_more"]:
                return files
            assert page["files"], "a page that says there is more holds something"

    def values(self, run_id: str) -> dict[str, dict[str, str | None]]:
        """Return what was read, by file and field; files that failed are left out."""
        return {
            file["original_file_name"]: found
            for file in self.results(run_id)
            if (
                found := {
                    field["field_name"]: field["value"]
                    for document in file["documents"]
                    for field in document["fields"]
                    if field["error_msg"] is None
                }
            )
        }

    def errors(self, run_id: str) -> dict[str, str]:
        """Return why each file without results failed, as its user reads it."""
        return {
            file["original_file_name"]: field["error_msg"]
            for file in self.results(run_id)
            for document in file["documents"]
            for field in document["fields"]
            if field["error_msg"] is not None
        }

    def cancel(self, run_id: str) -> Any:
        return self.post(f"/api/v2/apps/runs/{run_id}/cancel")

    def delete_run(self, run_id: str, **flags: str) -> dict[str, Any]:
        answer = self.ask("DELETE", f"/api/v2/apps/runs/{run_id}", params=flags, expect=(202,))
        self.acknowledged.runs.pop(run_id, None)
        self.acknowledged.deleted_runs.add(run_id)
        found: dict[str, Any] = answer.json()
        return found

    def job_done(self, job_id: str, within_s: float = 20.0) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            job: dict[str, Any] = self.get(f"/api/v2/jobs/{job_id}")
            return job if job["state"] not in ("PENDING", "RUNNING") else None

        return eventually(look, within_s, f"job {job_id} is done") or {}

    def group(self, run_id: str) -> dict[str, Any]:
        """Return `counts` and all `works` of a run's files."""
        path = f"/longshore/v1/groups/{run_id}/works"
        page: dict[str, Any] = self.get(path, limit=1000)
        return page

    def works(self, run_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.group(run_id)["works"]
        return found

    def work(self, work_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/longshore/v1/works/{work_id}")
        return found

    def events(self, work_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/longshore/v1/works/{work_id}/events")["events"]
        return found

    def describe(self, run_id: str) -> str:
        """Say for a failed test where the works of a run are and how they came there."""
        lines = [str(self.run(run_id))]
        for work in self.works(run_id)[:20]:
            lines.append(f"{work['id']} {work['state']} {work['reason']} attempt {work['attempt']}")
            lines += [
                f"    {event['at']} {event['reason']} by {event['actor']} {event['detail']}"
                for event in self.events(work["id"])[-12:]
            ]
        return "\n".join(lines)


class Holder(Patient):
    """A worker that speaks the worker's protocol from the test, one message at a time."""

    def __init__(
        self,
        server: Server,
        *apps: str,
        buckets: Sequence[str] = (),
        services: Sequence[dict[str, Any]] = (),
        workbooks: bool = False,
        elements_workers: Sequence[dict[str, Any]] = (),
        host: str | None = None,
        name: str = "holder",
        key: str | None = None,
    ) -> None:
        super().__init__(server.url, key or server.worker_key)
        self.name = name
        others = buckets or services or workbooks or elements_workers or host
        self.apps = apps if apps or others else ("Echo",)
        self.buckets = buckets
        self.services = services
        self.workbooks = workbooks
        self.elements_workers = elements_workers
        self.host = host
        self.worker_id = ""
        self.queues: list[int] = []
        self.lease_s = 0.0
        self._incarnation = secrets.token_hex(8)

    def post(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.ask("POST", f"/longshore/v1/worker/{verb}", json=body)
        return dict(answer.json()) if answer.content else {}

    def register(self) -> None:
        offers = [
            {"name": app, "owner": OWNER, "version": "1.0.0", "attempts_max": 5}
            for app in self.apps
        ]
        answer = self.post(
            "register",
            {
                "name": self.name,
                "slots": 8,
                "apps": offers,
                "buckets": [{"name": bucket} for bucket in self.buckets],
                "services": list(self.services),
                "workbooks": self.workbooks,
                "workers": list(self.elements_workers),
                "incarnation": self._incarnation,
                "host": None if self.host is None else {"name": self.host},
            },
        )
        self.worker_id, self.queues = answer["worker_id"], answer["queues"]
        self.lease_s = answer["lease_s"]

    def claim(self, *, limit: int = 10, wait_s: float = 0.0) -> list[dict[str, Any]]:
        body = {"worker_id": self.worker_id, "queues": self.queues, "limit": limit}
        works: list[dict[str, Any]] = self.post("claim", {**body, "wait_s": wait_s})["works"]
        return works

    def renew(self, *held: dict[str, Any]) -> list[dict[str, Any]]:
        leases = [[work["work_id"], work["attempt"]] for work in held]
        lost: list[dict[str, Any]] = self.post(
            "renew", {"worker_id": self.worker_id, "leases": leases}
        )["lost"]
        return lost

    def report(self, work: dict[str, Any], outcome: str, **more: Any) -> list[dict[str, Any]]:
        """Report an attempt; return the leases that the server calls lost."""
        report = {"work_id": work["work_id"], "attempt": work["attempt"], "outcome": outcome}
        if outcome == "success":
            name = work["payload"].get("file", {}).get("name", "")
            report["result"] = {"documents": [{"fields": [{"name": "text", "value": name}]}]}
        elif outcome in ("failure", "timed_out", "rejected"):
            report["error"] = {"type": "TestError", "message": f"told to end as {outcome}"}
        body = {"worker_id": self.worker_id, "reports": [{**report, **more}]}
        lost: list[dict[str, Any]] = self.post("report", body)["lost"]
        return lost

    def leave(self) -> None:
        self.post("leave", {"worker_id": self.worker_id})
