"""A user of pipelines who asks until there is an answer, and an account of what came out."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.api import Patient
from tests.acceptance.harness import Server, eventually

SERVICES = Path(__file__).with_name("record_services.py")
SQUARE = "acceptance/square"
GATE = "acceptance/gate"
BEHAVE = "acceptance/behave"
FINISH_S = 60.0
DELIVERY = "X-Longshore-Delivery"


def chunk(number: int, values: Iterable[int], **parameters: Any) -> dict[str, Any]:
    """Return a chunk of records {"value": ...} with a name that follows from its number."""
    data = {"inputs": [{"value": value} for value in values], "parameters": parameters}
    return {"id": f"chunk-{number:05}", "data": data}


def chunks_of(records: int, size: int, **parameters: Any) -> list[dict[str, Any]]:
    """Split the values from 0 on into chunks."""
    return [
        chunk(number, range(start, min(start + size, records)), **parameters)
        for number, start in enumerate(range(0, records, size))
    ]


class Shipper(Patient):
    """A user of the pipelines of one server."""

    def __init__(self, server: Server, *, url: str | None = None, key: str | None = None) -> None:
        super().__init__(url or server.url, key or server.key)
        self.root = f"/{server.credentials['organisation_id']}/api/v4/batch"

    def pipeline(self, service: str, **settings: Any) -> Pipeline:
        headers = {"x-request-id": secrets.token_hex(16)}
        body = {"service": service, **settings}
        made = self.ask("POST", self.root, json=body, headers=headers, expect=(200, 201)).json()
        return Pipeline(self, made["id"])

    def wait_for(self, *services: str, within_s: float = 30.0) -> None:
        """Wait until a worker that is online offers these services."""

        def offered() -> bool:
            listed = self.ask("GET", "/longshore/v1/services").text
            return all(service in listed for service in services)

        eventually(offered, within_s, f"{services} are offered")


@dataclass
class Pipeline:
    """One pipeline, what was pushed to it and what came out."""

    user: Shipper
    id: str
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    doubles: int = 0
    """Chunks that came again, as they may after a broken connection only."""
    _delivery: str = ""

    @property
    def path(self) -> str:
        return f"{self.user.root}/{self.id}"

    def push(
        self, *chunks: dict[str, Any], expect: tuple[int, ...] = (200, 201, 202)
    ) -> httpx.Response:
        """Push chunks with one request, which is repeated until it is answered."""
        headers = {"x-request-id": secrets.token_hex(16), "content-type": "application/json"}
        body = json.dumps({"chunks": list(chunks)}).encode()
        return self.user.ask(
            "POST", f"{self.path}/chunks", content=body, headers=headers, expect=expect
        )

    def pull(self, *, maximum: int = 100, wait_s: float = 0.0, again: bool = False) -> int:
        """Pull once and keep what came; what came before is confirmed. Return how many came."""
        asked: dict[str, Any] = {"max": maximum, "wait_s": wait_s}
        if again:
            asked["again"] = "true"
        elif self._delivery:
            asked["confirm"] = self._delivery
        answer = self.user.http.get(f"{self.path}/chunkresults", params=asked)
        if answer.status_code == 503:
            raise httpx.ReadError("the server is stopping or starting")
        assert answer.status_code == 200, answer.text
        self._delivery = answer.headers.get(DELIVERY, "")
        data = answer.json()["data"]
        for result in data:
            known = self.results.setdefault(result["id"], result)
            if known is not result:
                self.doubles += 1
                assert known["outputs"] == result["outputs"], "a chunk came again, and changed"
        return len(data)

    def drain(self, chunks: int, within_s: float = FINISH_S, maximum: int = 100) -> None:
        """Pull until there are so many chunks, whatever happens to the server meanwhile."""

        unsure = False

        def drained() -> bool:
            nonlocal unsure
            try:
                self.pull(maximum=maximum, wait_s=0.5, again=unsure)
                unsure = False
            except httpx.TransportError:
                # Whether the answer was on its way nobody knows, so it is asked for once more.
                unsure = True
            return len(self.results) >= chunks

        try:
            eventually(drained, within_s, f"{chunks} chunks come out")
        except AssertionError as error:
            raise AssertionError(
                f"{error}: {len(self.results)} came; {self.status()}; {self.info()['summary']}"
            ) from error

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.user.ask("GET", f"{self.path}/status").json()
        return found

    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = self.user.ask("GET", self.path).json()["data"]
        return found

    def end(self, word: str) -> dict[str, Any]:
        body = {"batch_status": word}
        found: dict[str, Any] = self.user.ask("PATCH", self.path, json=body).json()["data"]
        return found

    def squares(self) -> list[tuple[int, int]]:
        """Return value and square of each record that came out, in order of the values."""
        outputs = [each for result in self.results.values() for each in result["outputs"] if each]
        return sorted((each["value"], each["square"]) for each in outputs)

    def check_squares(self, records: int) -> None:
        """Check that each record came out, and came out once."""
        assert self.squares() == [(value, value * value) for value in range(records)]
        status = self.status()
        assert status["record_submitted"] == status["records_completed"] == records
        assert status["chunks_submitted"] == status["chunks_completed"] == len(self.results)
        assert status["records_available"] == status["chunks_available"] == 0
