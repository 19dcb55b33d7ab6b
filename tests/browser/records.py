"""What the tests of buckets, pipelines, corpora and processes need of a server, over HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import httpx
from playwright.sync_api import expect

from longshore import Client
from tests.acceptance.harness import Server
from tests.browser.rig import WITHIN_MS, Visitor
from tests.surfaces.pipelines_rig import computed

HOSTILE = '<img src=x onerror="alert(1)">"><script>alert(2)</script>{{7*7}}'
LINK = "javascript:alert(3)"
# What a busy machine shows, it shows late; five seconds are too few.
expect.set_options(timeout=WITHIN_MS)


class Api:
    """A server as its APIs see it."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def call(self, method: str, path: str, body: Any = None, *, key: str = "", **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {key or self._server.key}"}
        address = f"{self._server.url}{path}"
        answer = httpx.request(method, address, json=body, headers=headers, timeout=60, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def audited(self, action: str, target: str) -> list[dict[str, Any]]:
        """Return the entries of the audit log about an action on something."""
        found = self.call("GET", "/longshore/v1/audit", params={"limit": 1_000})["entries"]
        return [each for each in found if (each["action"], each["target"]) == (action, target)]


class Worker:
    """A worker that does what a test tells it to, in the worker's protocol."""

    def __init__(self, api: Api, server: Server, **offers: Any) -> None:
        self._api = api
        self._key = server.worker_key
        body = {"name": "worker", "slots": 2, "incarnation": secrets.token_hex(8), **offers}
        answer = self._ask("register", body)
        self.id, self.queues = answer["worker_id"], answer["queues"]

    def claim(self, limit: int = 100) -> list[dict[str, Any]]:
        body = {"worker_id": self.id, "queues": self.queues, "limit": limit}
        return list(self._ask("claim", body)["works"])

    def report(self, claimed: dict[str, Any], **fields: Any) -> None:
        about = {"work_id": claimed["work_id"], "attempt": claimed["attempt"], **fields}
        if "outcome" not in fields:
            about |= {"outcome": "success", "result": computed(claimed)}
        assert self._ask("report", {"worker_id": self.id, "reports": [about]})["lost"] == []

    def _ask(self, verb: str, body: Any) -> Any:
        return self._api.call("POST", f"/longshore/v1/worker/{verb}", body, key=self._key)


def viewer(visit: Callable[..., Visitor], server: Server) -> Visitor:
    """Return a visitor who may look and change nothing."""
    with Client(url=server.url, key=server.key) as client:
        made = client.keys.create(f"viewer {secrets.token_hex(4)}", "viewer")
    visitor = visit(server)
    visitor.sign_in(made.key).close()
    return visitor


def refused(visitor: Visitor, path: str, **form: str) -> int:
    """Send a form as a page of the visitor would, and return the status of the answer."""
    page = visitor.open("/ui/buckets")
    token = page.locator("body").get_attribute("hx-headers") or ""
    return int(
        page.evaluate(
            """async ([path, headers, form]) => (await fetch(path, {method: "POST",
               headers: {...JSON.parse(headers)}, body: new URLSearchParams(form)})).status""",
            [path, token, form],
        )
    )
