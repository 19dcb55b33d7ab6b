"""One process of the soak: a depositor, a worker or the auditor of a bucket, over plain HTTP.

It speaks the published protocol as the published client does: what gets no answer is sent again,
byte for byte, until it is answered. It never stops by itself; the test kills it. What the server
acknowledged is appended to a file, each line in one write, which survives the process.

It needs nothing but the standard library, so that it starts in an instant.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import sys
import threading
from dataclasses import dataclass
from typing import Any

BUCKET = "soak"
DEPOSIT_WORKS = 5
FAILING = 0.02
_pause = threading.Event()


class Server:
    """The server, asked until it answers; it may be killed at any moment."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._headers = {"x-access-token": key, "content-type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: Any = None, *, repeat: bool = True) -> Any:
        """Return the answer, or None if there is none and the request is not to be repeated."""
        data = None if body is None else json.dumps(body).encode()
        while True:
            try:
                return self._once(method, path, data)
            except (OSError, http.client.HTTPException):
                self._connection = None
                if not repeat:
                    return None
                _pause.wait(random.uniform(0.1, 0.5))

    def _once(self, method: str, path: str, data: bytes | None) -> Any:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
        self._connection.request(method, path, data, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status in (502, 503, 504):
            raise http.client.HTTPException(f"{answer.status}")
        if answer.status != 200:
            print(f"{method} {path} -> {answer.status} {content!r}", file=sys.stderr, flush=True)
            raise SystemExit(f"the server refused what it should take: {answer.status}")
        return json.loads(content)


class Record:
    """The file of what this process saw acknowledged."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, **line: Any) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")


@dataclass(frozen=True)
class Plan:
    """The time limit of each work, and the share of works that are held for longer than that."""

    timeout_s: int
    held_share: float


def deposit(server: Server, record: Record, plan: Plan) -> None:
    incarnation = f"{os.getpid()}-{random.getrandbits(64):x}"
    number = 0
    while True:
        works = []
        for _ in range(random.randint(1, DEPOSIT_WORKS)):
            number += 1
            works.append(
                {
                    "pipeline": BUCKET,
                    "site": "local",
                    "user": "soak",
                    "parameters": {"key": f"{incarnation}-{number}"},
                    "timeout": plan.timeout_s,
                    "retries": 5,
                    "priority": random.randint(1, 5),
                }
            )
        # A list that is sent again is the same one: its times of creation too.
        ids = server.ask("POST", "/buckets/work?return_ids=True&return_ids=True", works)
        record.add(deposited=ids)
        _pause.wait(random.uniform(0.05, 0.2))


def work(server: Server, record: Record, plan: Plan) -> None:
    while True:
        # A withdrawal without an answer is not repeated: whatever it took expires.
        taken = server.ask(
            "POST", "/buckets/work/withdraw", {"pipeline": {"$in": [BUCKET]}}, repeat=False
        )
        if not taken:
            _pause.wait(0.1)
            continue
        too_long = random.random() < plan.held_share
        if too_long:
            record.add(held=taken["id"])
        held_s = plan.timeout_s + random.uniform(0.5, 2.5) if too_long else random.uniform(0, 0.02)
        _pause.wait(held_s)
        by = f"{os.getpid()}-{taken['start']}"
        success = random.random() >= FAILING
        taken["status"] = "success" if success else "failure"
        taken["results"] = {"by": by} if success else None
        answer = server.ask("PUT", "/buckets/work", [taken])
        if answer is not True:
            record.add(refused=taken["id"])
        elif success:
            record.add(done=taken["id"], by=by)


def audit(server: Server, record: Record, plan: Plan) -> None:
    while True:
        for what in ("failed", "expired", "stale/7.0"):
            server.ask("GET", f"/buckets/audit/{what}")
        _pause.wait(plan.timeout_s / 4)


if __name__ == "__main__":
    role, port, key, path, timeout, share = sys.argv[1:]
    roles = {"depositor": deposit, "worker": work, "auditor": audit}
    roles[role](Server(int(port), key), Record(path), Plan(int(timeout), float(share)))
