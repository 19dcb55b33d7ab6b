"""Script workflows in this process, over HTTP, as the admin of an organisation, with a worker's hands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from longshore.clock import ManualClock
from longshore.storage import Database
from longshore.wire.scripts import StepPayload
from tests.unit.serving import Served, bearer, serving


@dataclass(frozen=True)
class Held:
    """A step that the rig's worker has claimed."""

    work_id: str
    attempt: int
    payload: StepPayload


@dataclass
class Scripts:
    """A server, its clock, and one worker on each host that a test names."""

    served: Served
    clock: ManualClock
    workers: dict[str, tuple[str, list[int]]] = field(default_factory=dict)

    @property
    def client(self) -> httpx.AsyncClient:
        return self.served.client

    @property
    def database(self) -> Database:
        return self.served.database

    async def call(
        self, method: str, path: str, *, expect: int = 200, body: Any = None, **more: Any
    ) -> Any:
        """Call a path below /coreauto/v1 (or any other that begins with /longshore)."""
        address = path if path.startswith("/longshore") else f"/coreauto/v1{path}"
        answer = await self.client.request(method, address, json=body, **more)
        assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    async def serve(self, *hosts: str) -> None:
        """Register a worker for each host."""
        for host in hosts:
            registered = await self.call(
                "POST",
                "/longshore/v1/worker/register",
                body={
                    "name": f"worker of {host}",
                    "slots": 10,
                    "incarnation": f"first-{host}",
                    "host": {"name": host},
                },
            )
            self.workers[host] = (registered["worker_id"], registered["queues"])

    async def claim(self, host: str, limit: int = 10) -> list[Held]:
        """Claim ready steps of a host, in the order in which the server gives them."""
        worker_id, queues = self.workers[host]
        body = {"worker_id": worker_id, "queues": queues, "limit": limit}
        claimed = await self.call("POST", "/longshore/v1/worker/claim", body=body)
        return [
            Held(
                work["work_id"],
                work["attempt"],
                msgspec.convert(work["payload"], StepPayload),
            )
            for work in claimed["works"]
        ]

    async def report(
        self,
        host: str,
        held: Held,
        *,
        outcome: str = "success",
        exit_code: int | None = 0,
        error: str | None = None,
    ) -> list[Any]:
        """Report how a step ended; return what the server refused."""
        report: dict[str, Any] = {
            "work_id": held.work_id,
            "attempt": held.attempt,
            "outcome": outcome,
            "result": {"exit_code": exit_code, "signal": None, "script_sha256": "0" * 64},
        }
        if error is not None:
            report["error"] = {"type": "StepFailed", "message": error, "traceback": ""}
        body = {"worker_id": self.workers[host][0], "reports": [report]}
        answer = await self.call("POST", "/longshore/v1/worker/report", body=body)
        lost: list[Any] = answer["lost"]
        return lost

    async def token(self, held: Held) -> dict[str, str]:
        """Swap the code of a claimed step for its token; return the headers that carry it."""
        answer = await self.client.post(
            "/coreauto/v1/auth/apicode",
            json={"apiCode": held.payload.code},
            headers={"Authorization": ""},
        )
        assert answer.status_code == 200, answer.text
        return bearer(answer.json()["token"])


@asynccontextmanager
async def scripts_of(
    database: Database, directory: Path, clock: ManualClock, *, background: bool = False
) -> AsyncIterator[Scripts]:
    """Serve workflows over a database inside this process."""
    async with serving(database, directory, background=background) as served:
        yield Scripts(served, clock)
