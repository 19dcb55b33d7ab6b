"""X10 and X7 for buckets: bodies that are too large, too deep or no JSON, and names that are paths."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import pytest

from longshore import limits
from tests.acceptance import raw
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server
from tests.acceptance.raw import RawRequest
from tests.acceptance.test_security_bodies import CHUNK, JSON, TOO_DEEP, Neighbour
from tests.acceptance.test_security_paths import TARGETS

BUCKET = "bodies"
WORK = {"pipeline": BUCKET, "site": "local", "user": "ann"}


@dataclass(frozen=True)
class Route:
    """A route that reads a body.

    Attributes:
        wrap: the body that is fine but for what stands at %s.
        most: bytes that a body may have.
        keeps_odd_text: whether a repeated key and the character NUL are fine, as they are in a
            work's own fields.
    """

    method: str
    path: str
    wrap: str
    most: int = limits.JSON_BODY_BYTES
    keeps_odd_text: bool = False

    def body(self, inner: bytes) -> bytes:
        before, _, after = self.wrap.partition("%s")
        return before.encode() + inner + after.encode()


_WORK = '[{"pipeline": "bodies", "site": "s", "user": "u", "parameters": {"x": %s}}]'
_ENDED = _WORK.replace('"user"', '"id": "one", "status": "success", "user"')
ROUTES = {
    "deposit": Route("POST", "/buckets/work", _WORK, limits.BUCKETS_BODY_BYTES, True),
    "update": Route("PUT", "/buckets/work", _ENDED, limits.BUCKETS_BODY_BYTES, True),
    "withdraw": Route(
        "POST", "/buckets/work/withdraw", '{"pipeline": "bodies", "x": %s}', keeps_odd_text=True
    ),
    "renew": Route("POST", "/buckets/work/renew", '{"works": [], "x": %s}'),
    "view": Route("POST", "/buckets/view", '{"query": {"x": %s}}'),
    "count": Route("POST", "/buckets/count", '{"query": {"x": %s}}'),
    "act": Route("POST", "/buckets/actions", '{"action": "retry", "query": {"x": %s}}'),
    "configure": Route("PUT", "/buckets/settings/bodies", '{"archive_after_s": %s}'),
    "hook": Route("POST", "/buckets/webhooks", '{"url": %s}'),
    "archive": Route("POST", "/results/results", _ENDED, limits.BUCKETS_BODY_BYTES),
    "change": Route("PUT", "/results/results", _ENDED, limits.BUCKETS_BODY_BYTES),
    "results": Route("POST", "/results/view", '{"query": {"x": %s}}'),
    "count results": Route("POST", "/results/view/count", '{"query": {"x": %s}}'),
}
NO_JSON: dict[str, bytes] = {
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "huge number": b"1e999",
    "long integer": b"9" * 10_000,
    "bad utf-8": b'"\xff\xfe"',
    "overlong utf-8": b'"\xc0\xaf"',
    "half a surrogate pair": b'"\\ud800"',
    "half a pair in a key": b'{"\\udc00": 1}',
    "not json": b"name=x",
    "cut": b'{"x": ',
    "comment": b"1 /* */",
    "two values": b"1 2",
    "single quotes": b"{'a': 1}",
}
ODD_TEXT = {
    "nul": b'{"a": "a\\u0000b"}',
    "nul in a key": b'{"a\\u0000b": 1}',
    "same key twice": b'{"a": 1, "a": 2}',
}
WHOLE = {
    "empty": b"",
    "blank": b"  ",
    "text": b'"text"',
    "number": b"1",
    "true": b"true",
    "utf-16": json.dumps([WORK]).encode("utf-16"),
    "list of lists": b"[[]]",
    "list of null": b"[null]",
    "list of numbers": b"[1]",
    "list of texts": b'["a"]',
    "nested list": json.dumps([[WORK]]).encode(),
}


@pytest.fixture(autouse=True)
def nothing_is_made(server: Server, user: User) -> Iterator[None]:
    before = _everything(user)
    yield
    assert _everything(user) == before
    assert server.running


def _everything(user: User) -> list[Any]:
    paths = ("/buckets/status", "/buckets/webhooks", "/results/status")
    return [user.get(path) for path in paths]


def _refused(server: Server, route: Route, body: bytes, *statuses: int) -> None:
    answer = raw.ask(server, route.method, route.path, body, key=server.key, headers=JSON)
    what = f"{route.method} {route.path} {body[:80]!r} -> {answer.status} {answer.body[:300]!r}"
    assert answer.status in statuses, what
    assert answer.json()["detail"], what
    assert len(answer.body) < 4_000, "what was sent is not sent back"


@pytest.mark.parametrize("inner", NO_JSON.values(), ids=NO_JSON)
def test_a_body_that_is_no_json_is_refused_everywhere(server: Server, inner: bytes) -> None:
    with Neighbour(server):
        for route in ROUTES.values():
            _refused(server, route, route.body(inner), 400)


@pytest.mark.parametrize("inner", ODD_TEXT.values(), ids=ODD_TEXT)
def test_text_that_json_allows_and_we_do_not_is_refused_where_it_has_no_place(
    server: Server, inner: bytes
) -> None:
    for route in ROUTES.values():
        if not route.keeps_odd_text:
            _refused(server, route, route.body(inner), 400)


@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE)
def test_a_body_of_another_form_is_refused_everywhere(server: Server, body: bytes) -> None:
    for route in ROUTES.values():
        _refused(server, route, body, 400)


@pytest.mark.parametrize("inner", TOO_DEEP.values(), ids=TOO_DEEP)
def test_a_body_that_is_nested_too_deep_is_refused_everywhere(server: Server, inner: bytes) -> None:
    with Neighbour(server):
        for route in ROUTES.values():
            _refused(server, route, route.body(inner), 400, 413)


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    server: Server, route: Route
) -> None:
    with RawRequest(server, server.key) as request:
        request.head(route.method, route.path, {**JSON, "Content-Length": str(10**12)})
        request.send(CHUNK)
        answer = request.answer()
    assert answer.status == 413, answer.body
    assert str(route.most) in answer.body.decode()


@pytest.mark.parametrize("name", ["deposit", "withdraw", "view", "archive"])
def test_a_body_that_grows_too_large_is_cut_off(server: Server, name: str) -> None:
    route = ROUTES[name]

    def body() -> Iterator[bytes]:
        yield b'[{"pipeline": "'
        for _ in range(4 * route.most // len(CHUNK)):
            yield CHUNK

    with Neighbour(server), RawRequest(server, server.key) as request:
        request.head(route.method, route.path, {**JSON, "Transfer-Encoding": "chunked"})
        all_taken = request.send_chunks(body())
        answer = request.answer()
    assert answer.status == 413, answer.body
    assert not all_taken
    # What lies in socket buffers when the answer is made has been sent as well.
    assert request.sent_bytes < 1.5 * route.most + 4 * limits.JSON_BODY_BYTES


def test_a_key_or_a_text_of_many_megabytes_is_refused(server: Server) -> None:
    size = limits.DOCUMENT_BYTES
    with Neighbour(server):
        for route in ROUTES.values():
            # What is not there is not found, whatever it is to become.
            _refused(server, route, route.body(b'{"' + b"k" * size + b'": 1}'), 400, 404, 413)


def test_more_works_than_a_request_may_have_are_refused(server: Server, user: User) -> None:
    works = [WORK] * (limits.DEPOSIT_WORKS + 1)
    for method, path in (("POST", "/buckets/work"), ("PUT", "/buckets/work")):
        assert user.http.request(method, path, json=works).status_code == 413
    done = [{**WORK, "id": str(n), "status": "success"} for n in range(limits.DEPOSIT_WORKS + 1)]
    for method in ("POST", "PUT"):
        assert user.http.request(method, "/results/results", json=done).status_code == 413
    leases = {"works": [{"id": "x", "attempt": 1}] * (limits.DEPOSIT_WORKS + 1)}
    assert user.http.post("/buckets/work/renew", json=leases).status_code in (400, 413)


def test_form_data_is_not_taken_for_json(server: Server, user: User) -> None:
    for route in ROUTES.values():
        for form in ({"data": {"pipeline": BUCKET}}, {"files": {"pipeline": b"x"}}):
            answer = user.http.request(route.method, route.path, **form)  # type: ignore[arg-type]
            assert answer.status_code in (400, 415), f"{route} -> {answer.status_code}"


def test_a_products_name_is_never_a_path_of_the_server(harbour: Harbour) -> None:
    """X7: what a work names as its products is text, whatever it looks like."""
    server = harbour.server()
    server.start()
    user = harbour.user(server)
    before = {path for path in server.data.parent.rglob("*") if "longshore.db" not in path.name}
    names = [
        "/etc/passwd",
        "file:" + "///etc/passwd",
        *(unquote(each) for each in TARGETS.values()),
    ]
    names = [name.encode("utf-8", "replace").decode() for name in names if "\0" not in name]
    (work_id,) = user.post("/buckets/work?return_ids=True", [WORK])
    held = user.post("/buckets/work/withdraw", {"pipeline": BUCKET})
    ended = {**held, "status": "success", "products": names, "plots": names}
    assert user.ask("PUT", "/buckets/work", json=[ended]).json() is True
    listed = user.get(f"/buckets/artifacts/{work_id}")
    assert [each["path"] for each in listed] == names * 2
    assert {(each["blob_id"], each["size_bytes"]) for each in listed} == {(None, None)}
    assert "root:" not in str(listed)
    user.ask("DELETE", "/buckets/work", params={"ids": work_id})
    after = {path for path in server.data.parent.rglob("*") if "longshore.db" not in path.name}
    assert after == before


def test_a_buckets_name_is_never_a_path_of_the_server(server: Server, user: User) -> None:
    for what, target in TARGETS.items():
        name = unquote(target, errors="replace")
        for body in ([{**WORK, "pipeline": name}], [{**WORK, "pipeline": quote(name)}]):
            if re.fullmatch(r"[A-Z]{1,128}", body[0]["pipeline"]):
                continue
            answer = user.http.post("/buckets/work", json=body)
            assert answer.status_code == 400, f"{what} -> {answer.status_code} {answer.text}"
            assert "pipeline" in answer.json()["detail"]
        for path in ("status/details", "settings", "artifacts", "actions", "audit/stale"):
            answer = raw.ask(server, "GET", f"/buckets/{path}/{target}", key=server.key)
            assert answer.status in (200, 400, 404), f"{path}/{target} -> {answer.status}"
            if answer.status == 200:
                assert not any(json.loads(answer.body).values()), answer.body
        answer = raw.ask(server, "PUT", f"/buckets/settings/{target}", b"{}", key=server.key)
        assert answer.status in (400, 404), f"{target} -> {answer.status}"
