"""Requests: what is sent, what is sent again and what never is, and which error comes of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stamina

from longshore import errors
from longshore.sdk import AsyncClient, Client, _faults
from longshore.sdk._calls import Call, creating
from longshore.sdk._retries import NoAnswer, pause_s, retry_after_s
from longshore.server import problems
from tests.unit.sdk_support import COLOURS, KEY, Script, client, close, json, settle

GOOD = {"id": 7}


@pytest.fixture(autouse=True)
def _without_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_an_answer_that_asks_for_patience_is_retried(colour: Any, status: int) -> None:
    script = Script(json({}, status), json({}, status), json({"state": "COMPLETE"}))
    used = client(colour, script)
    job = await settle(used.jobs.get("wk_1"))
    await close(used)
    assert job.state == "COMPLETE"
    assert script.paths == ["GET /api/v2/jobs/wk_1"] * 3


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 412, 413, 422, 500, 507])
async def test_any_other_answer_is_never_retried(colour: Any, status: int) -> None:
    script = Script(json({"message": "no"}, status))
    used = client(colour, script)
    with pytest.raises(errors.LongshoreError, match="no"):
        await settle(used.jobs.get("wk_1"))
    await close(used)
    assert len(script.requests) == 1


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_broken_connection_is_retried_with_the_same_idempotency_key(colour: Any) -> None:
    script = Script(httpx.ConnectError("refused"), httpx.ReadError("reset"), json(GOOD))
    used = client(colour, script)
    batch = await settle(used.batches.create("a batch"))
    await close(used)
    keys = {request.headers["Idempotency-Key"] for request in script.requests}
    assert batch.id == 7
    assert len(script.requests) == 3
    assert len(keys) == 1


@pytest.mark.parametrize("colour", COLOURS)
async def test_two_creations_have_different_idempotency_keys(colour: Any) -> None:
    script = Script(json(GOOD), json(GOOD))
    used = client(colour, script)
    await settle(used.batches.create("same"))
    await settle(used.batches.create("same"))
    await close(used)
    first, second = (request.headers["Idempotency-Key"] for request in script.requests)
    assert first != second


@pytest.mark.parametrize("failure", [httpx.ReadError("reset"), json({"message": "later"}, 503)])
async def test_a_post_without_idempotency_key_is_not_retried(failure: Any) -> None:
    script = Script(failure)
    with client(Client, script) as used, pytest.raises(errors.LongshoreError):
        used.keys.create("ci", "viewer")
    assert len(script.requests) == 1
    assert "Idempotency-Key" not in script.requests[0].headers


@pytest.mark.parametrize("colour", COLOURS)
async def test_an_upload_is_sent_whole_again(colour: Any, tmp_path: Path) -> None:
    path = tmp_path / "scan.jpg"
    path.write_bytes(b"x" * 700_000)
    bodies: list[bytes] = []

    def server(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return httpx.Response(503 if len(bodies) == 1 else 204)

    used = client(colour, server)
    await settle(used.batches.of(1).add_file(path))
    await close(used)
    assert bodies == [path.read_bytes()] * 2


async def test_attempts_end_and_the_last_answer_is_raised() -> None:
    script = Script(*(json({"message": "full"}, 503) for _ in range(3)))
    with (
        client(Client, script, retries=2) as used,
        pytest.raises(errors.Unavailable, match="full"),
    ):
        used.whoami()
    assert len(script.requests) == 3


async def test_retries_can_be_switched_off() -> None:
    script = Script(httpx.ConnectError("refused"))
    with client(Client, script, retries=0) as used, pytest.raises(errors.ServerUnreachable):
        used.whoami()
    assert len(script.requests) == 1


async def test_no_answer_names_the_address_and_the_next_step() -> None:
    script = Script(httpx.ConnectError("Connection refused"))
    with (
        client(Client, script, retries=0) as used,
        pytest.raises(errors.ServerUnreachable) as caught,
    ):
        used.whoami()
    assert "http://127.0.0.1:8400" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "`longshore up`" in str(caught.value)
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


async def test_a_timeout_says_how_long_was_waited() -> None:
    script = Script(httpx.ReadTimeout(""))
    with (
        client(Client, script, retries=0, timeout_s=2.5) as used,
        pytest.raises(errors.ServerUnreachable, match=r"nothing within 2\.5 s"),
    ):
        used.whoami()


@pytest.mark.parametrize(
    ("call", "wanted_s", "expected"),
    [
        (Call("GET", "/x"), None, True),
        (Call("GET", "/x"), 7.0, 7.0),
        (Call("GET", "/x"), 3_600.0, False),
        (Call("PUT", "/x"), None, True),
        (Call("DELETE", "/x"), None, True),
        (Call("POST", "/x"), None, False),
        (Call("PATCH", "/x"), None, False),
        (creating("/x"), None, True),
        (creating("/x"), 2.0, 2.0),
    ],
)
def test_pauses_follow_the_server(call: Call, wanted_s: float | None, expected: object) -> None:
    failure = NoAnswer(call, errors.Unavailable("busy"), wanted_s)
    assert pause_s(failure) == expected
    assert type(pause_s(failure)) is type(expected)


def test_other_errors_are_not_retried() -> None:
    assert pause_s(ValueError("a bug")) is False


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [("3", 3.0), ("", None), ("soon", None), ("Sat, 01 Jan 2000 00:00:00 GMT", 0.0)],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str, expected_s: float | None) -> None:
    assert retry_after_s(httpx.Response(503, headers={"Retry-After": header})) == expected_s


async def test_a_retry_is_logged_and_prints_nothing(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="longshore.sdk")
    script = Script(json({"message": "busy"}, 503), json({"state": "PENDING"}))
    with client(Client, script) as used:
        used.jobs.get("wk_1")
    assert capsys.readouterr() == ("", "")
    assert "attempt 2 follows" in caplog.text
    assert "busy" in caplog.text


@pytest.mark.parametrize("kind", _faults.BY_CODE.values())
@pytest.mark.parametrize("form", ["message", "problem"])
def test_every_error_of_the_server_arrives_as_itself(
    kind: type[errors.LongshoreError], form: str
) -> None:
    status, title = problems.TABLE[kind]
    body: dict[str, Any] = {"code": kind.code, "request_id": "rq_1", "details": {"near": ["a"]}}
    if form == "message":
        body["message"] = "what, why, next"
    else:
        body |= {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": "what, why, next",
        }
    request = httpx.Request("GET", "http://host/x")
    error = _faults.from_response(httpx.Response(status, json=body, request=request))
    assert type(error) is kind
    assert error.message == "what, why, next"
    assert error.request_id == "rq_1"
    assert error.details == {"near": ["a"], "status": status}


@pytest.mark.parametrize(
    "kind", [kind for kind in problems.TABLE if kind is not errors.LongshoreError]
)
def test_every_status_alone_gives_an_error_that_is_an_ancestor_or_the_same(
    kind: type[errors.LongshoreError],
) -> None:
    status = problems.TABLE[kind][0]
    request = httpx.Request("GET", "http://host/x")
    error = _faults.from_response(httpx.Response(status, text="<html>", request=request))
    # Whatever else is too busy for a moment says so with 429 too, such as a proxy.
    assert problems.TABLE[type(error)][0] == status or status in (429, *range(500, 600))
    assert "<html>" in error.message


def test_the_request_id_of_the_header_wins() -> None:
    request = httpx.Request("GET", "http://host/x")
    response = httpx.Response(
        404, json={"message": "gone"}, headers={"X-Request-Id": "rq_9"}, request=request
    )
    error = _faults.from_response(response)
    assert isinstance(error, errors.NotFound)
    assert error.request_id == "rq_9"
    assert str(error) == "gone (request rq_9)"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>a login page</html>"),
        json([]),
        json({"state": "EXPLODED"}),
        json({}),
    ],
)
async def test_an_answer_of_another_program_is_a_server_fault(answer: httpx.Response) -> None:
    with (
        client(Client, Script(answer)) as used,
        pytest.raises(errors.ServerFault, match="Check that the address is a Longshore server"),
    ):
        used.jobs.get("wk_1")


async def test_a_redirect_is_an_error_and_is_not_followed() -> None:
    script = Script(httpx.Response(302, headers={"Location": "http://stranger/"}))
    with client(Client, script) as used, pytest.raises(errors.ServerFault):
        used.whoami()
    assert len(script.requests) == 1


@pytest.mark.parametrize("colour", COLOURS)
async def test_every_request_carries_key_context_and_version(colour: Any) -> None:
    script = Script(json({"state": "RUNNING"}))
    used = client(colour, script, context="acme")
    await settle(used.jobs.get("wk_1"))
    await close(used)
    headers = script.requests[0].headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["IB-Context"] == "acme"
    assert headers["User-Agent"].startswith("longshore/")


async def test_both_colours_are_context_managers() -> None:
    with client(Client, Script()) as blocking:
        assert isinstance(blocking, Client)
    async with client(AsyncClient, Script()) as used:
        assert isinstance(used, AsyncClient)
    with pytest.raises(RuntimeError, match="closed"):
        blocking.whoami()
