"""A server of pipelines in memory, for a client with a transport of its own: no network, no engine."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable
from typing import Any

import httpx

Service = Callable[[dict[str, Any]], dict[str, Any]]
ME = {
    "key_id": "ky_1",
    "key_name": "mine",
    "role": "admin",
    "organisation": "Acme Works",
    "organisation_id": "or_1",
}
ROOT = "/or_1/api/v4/batch"
RECORD_MS = 1


def double(record: dict[str, Any]) -> dict[str, Any]:
    """Double a value; the one that says so cannot be, and another is doubtful."""
    if record.get("verb") == "fail":
        raise ValueError("this record is bad")
    return {"double": record["value"] * 2}


class FakePipelines:
    """Computes what is pushed, and gives it in random order.

    Attributes:
        requests: what was asked for, as method and path.
        pushes: how many chunks each push had.
        sizes: how many records each chunk had, in the order of the pushes.
        most: most records that were inside or delivered, and not confirmed.
        mishap: is asked about each request, and may answer in place of the server or raise.
    """

    def __init__(self, service: Service = double, seed: int = 1) -> None:
        self.service = service
        self.random = random.Random(seed)
        self.chunks: dict[str, dict[str, Any]] = {}
        self.ready: list[str] = []
        self.delivered: dict[str, list[str]] = {}
        self.repeated: dict[str, tuple[list[str], str]] = {}
        self.requests: list[str] = []
        self.pushes: list[int] = []
        self.sizes: list[int] = []
        self.created = 0
        self.status = "created"
        self.most = self.held = 0
        self.record_ms = float(RECORD_MS)
        self.pull_most = 1_000
        self.mishap: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self.records = 0
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            path = request.url.path.removeprefix(ROOT)
            self.requests.append(f"{request.method} {path}")
            return self.mishap(request) or self._answer(request, path)

    def _answer(self, request: httpx.Request, path: str) -> httpx.Response:
        if path.endswith("/whoami"):
            return httpx.Response(200, json=ME)
        if request.method == "POST":
            return self._push(json.loads(request.content)["chunks"]) if path else self._create()
        if request.method == "PATCH":
            self.status = json.loads(request.content)["batch_status"]
            return httpx.Response(200, json={"id": "bp_1", "data": {"batch_status": self.status}})
        if path.endswith("/chunks"):
            listed = [
                {
                    "id": key,
                    "records": one["records"],
                    "digest": one["digest"],
                    "state": one["state"],
                }
                for key, one in self.chunks.items()
            ]
            return httpx.Response(200, json={"chunks": listed, "next": None})
        if path.endswith("/status"):
            return httpx.Response(200, json=self._status())
        return self._pull(request)

    def _create(self) -> httpx.Response:
        self.created += 1
        self.status = "created"
        self.chunks, self.ready, self.delivered, self.held = {}, [], {}, 0
        data = {"service_uri": "shop/double[1.0.0]", "batch_status": "created"}
        return httpx.Response(200, json={"id": f"bp_{self.created}", "data": data})

    def _push(self, chunks: list[dict[str, Any]]) -> httpx.Response:
        self.pushes.append(len(chunks))
        self.status = "in_progress"
        for chunk in chunks:
            digest = hashlib.sha256(_compact(chunk["data"])).hexdigest()
            known = self.chunks.get(chunk["id"])
            if known is not None:
                assert known["digest"] == digest, "a chunk came again with other data"
                continue
            result = self._compute(chunk)
            self.sizes.append(result["records"])
            self.records += result["records"]
            self.held += result["records"]
            self.chunks[chunk["id"]] = {**result, "digest": digest, "state": "available"}
            self.ready.insert(self.random.randint(0, len(self.ready)), chunk["id"])
        self.most = max(self.most, self.held)
        return httpx.Response(200, json=self._status())

    def _compute(self, chunk: dict[str, Any]) -> dict[str, Any]:
        inputs = chunk["data"]["inputs"]
        names = inputs[0] if isinstance(inputs[0], list) else None
        records = (
            inputs if names is None else [dict(zip(names, row, strict=True)) for row in inputs[1:]]
        )
        outputs: list[Any] = []
        errors: list[Any] = []
        warnings: list[Any] = []
        for record in records:
            warned = record.get("verb") == "warn"
            warnings.append([{"message": "odd", "source_path": "a"}] if warned else None)
            try:
                outputs.append(self.service({**(chunk["data"]["parameters"] or {}), **record}))
                errors.append(None)
            except ValueError as error:
                outputs.append(None)
                errors.append([{"error_type": "ValueError", "message": str(error)}])
        if names is not None:
            head = next((list(one) for one in outputs if one), [])
            outputs = [
                head,
                *[list(one.values()) if one else [None] * len(head) for one in outputs],
            ]
        return {
            "records": len(records),
            "result": {
                "id": chunk["id"],
                "outputs": outputs,
                "errors": errors,
                "warnings": warnings,
                "process_time": [RECORD_MS] * len(records),
                "summary_output": [[]],
            },
        }

    def _pull(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params
        for delivery in filter(None, query.get("confirm", "").split(",")):
            for key in self.delivered.pop(delivery, []):
                self.chunks[key]["state"] = "erased"
                self.held -= self.chunks[key]["records"]
        origin = request.headers.get("x-request-id", "")
        if query.get("again"):
            chosen = [key for keys in self.delivered.values() for key in keys][: int(query["max"])]
            for keys in self.delivered.values():
                keys[:] = [key for key in keys if key not in chosen]
        elif origin in self.repeated:
            return self._given(*self.repeated[origin])
        else:
            most = min(int(query["max"]), self.pull_most)
            chosen, self.ready = self.ready[:most], self.ready[most:]
        if not chosen:
            return httpx.Response(200, json={"data": [], "status": self._status()})
        delivery = f"dl_{len(self.requests)}"
        self.delivered[delivery] = chosen
        self.repeated[origin] = (chosen, delivery)
        return self._given(chosen, delivery)

    def _given(self, chosen: list[str], delivery: str) -> httpx.Response:
        for key in chosen:
            self.chunks[key]["state"] = "delivered"
        data = [self.chunks[key]["result"] for key in chosen]
        body = {"data": data, "status": self._status()}
        return httpx.Response(200, json=body, headers={"X-Longshore-Delivery": delivery})

    def _status(self) -> dict[str, Any]:
        return {
            "batch_status": self.status,
            "record_submitted": self.records,
            "records_completed": self.records,
            "records_available": 0,
            "compute_time_ms": self.records * self.record_ms,
            "workers_in_use": 2,
        }


def _compact(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
