"""Errors over HTTP: a total table, a form for each protocol, nothing leaked."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from longshore import errors
from longshore.errors import LongshoreError
from longshore.server import problems
from longshore.storage import Database
from tests.unit.serving import Served, bearer, serving

ALL = [
    error
    for error in vars(errors).values()
    if inspect.isclass(error) and issubclass(error, LongshoreError)
]


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as made:
        yield made


def example(error: type[LongshoreError]) -> LongshoreError:
    return error("no", delay_s=1.0) if error is errors.RetryLater else error("no")


def test_every_error_has_a_row() -> None:
    assert set(problems.TABLE) == set(ALL)


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/api/v2/batches", "application/json"),
        ("/v2/batches", "application/json"),
        ("/v2", "application/json"),
        ("/longshore/v1/works/x", "application/problem+json"),
        ("/v20/batches", "application/problem+json"),
        ("/healthz", "application/problem+json"),
    ],
)
def test_every_error_has_the_form_of_its_protocol(
    error: type[LongshoreError], path: str, media_type: str
) -> None:
    scope = {"type": "http", "method": "GET", "path": path, "longshore.request_id": "rq_1"}
    answer = problems.respond(scope, example(error))
    body: dict[str, Any] = __import__("json").loads(bytes(answer.body))
    assert answer.media_type == media_type
    assert answer.status_code == problems.status_of(example(error))
    assert body["code"] == error.code
    assert body["request_id"] == "rq_1"
    assert body["message" if media_type == "application/json" else "detail"] == "no"
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))


async def test_what_nobody_foresaw_tells_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    @served.app.get("/v2/broken")
    async def broken() -> Response:
        raise RuntimeError("password is hunter2")

    answer = await served.client.get("/v2/broken")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert answer.json()["code"] == "server_fault"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "request failed" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/longshore/v1/nothing", 404, "not_found"),
        ("GET", "/api/v2/nothing", 404, "not_found"),
        ("PATCH", "/longshore/v1/keys", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("POST", "/longshore/v1/queues/abc/release", 404, "not_found"),
        ("POST", "/longshore/v1/queues/1e5/release", 404, "not_found"),
        ("GET", "/longshore/v1/works/x/logs?after=abc", 400, "invalid_request"),
        ("GET", "/longshore/v1/works/x/logs?after=-1", 400, "invalid_request"),
        ("GET", "/longshore/v1/works/%00", 400, "invalid_request"),
        ("GET", "/longshore/v1/audit?action=%00", 400, "invalid_request"),
        ("GET", "/longshore/v1/audit?before=99999999999999999999", 400, "invalid_request"),
        ("POST", "/longshore/v1/queues/99999999999999999999/release", 404, "not_found"),
    ],
)
async def test_the_framework_speaks_our_forms(
    served: Served, method: str, path: str, status: int, code: str
) -> None:
    answer = await served.client.request(method, path)
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code)
    assert body["request_id"] == answer.headers["x-request-id"]
    assert ("message" in body) == path.startswith(("/api/v2", "/v2"))
    assert (answer.status_code == 405) == ("allow" in answer.headers)


async def test_an_error_to_head_has_no_body(served: Served) -> None:
    answer = await served.client.head("/nothing")
    assert answer.status_code == 404
    assert answer.content == b""


async def test_the_key_is_asked_for_before_anything_else_is_looked_at(served: Served) -> None:
    for method, path in (
        ("POST", "/longshore/v1/queues/abc/hold"),
        ("POST", "/longshore/v1/keys"),
        ("GET", "/longshore/v1/works/x/logs?after=abc"),
    ):
        answer = await served.client.request(
            method, path, content=b"{nonsense", headers=bearer("wrong")
        )
        assert answer.status_code == 401
