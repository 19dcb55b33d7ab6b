"""X4, X15 and roles: nothing is done without a key, or with one that may not do it."""

from __future__ import annotations

import hmac
import json
import secrets
import statistics
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from longshore.access import keys, organisations
from longshore.access.roles import Role
from longshore.errors import Unauthenticated
from longshore.storage import Database
from tests.acceptance import raw
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server
from tests.acceptance.operations import (
    OPEN,
    OPEN_POSTS,
    TOKEN,
    Operation,
    guarded,
    operations,
)
from tests.acceptance.tenancy import CANARY, OWNERS, STRANGERS, Worlds
from tests.acceptance.tenancy_records import ROOT, outcome_of

SAMPLES = 250
MEASURES = 3
"""So many times in a row a difference in time must be found before it counts as one."""
WORK = {"pipeline": "guarded", "site": "local", "user": "ann"}
RECORDS_ATTEMPTS: dict[str, tuple[str, str, Any]] = {
    "describe": ("GET", f"{ROOT}/status", None),
    "status": ("GET", f"{ROOT}/none/status", None),
    "chunks": ("GET", f"{ROOT}/none/chunks", None),
    "metadata": ("GET", "/local/api/v3/version/none/metadata", None),
    "schema": ("POST", "/local/api/v3/GetEngineDetailByVersionId/versionid/none", {}),
    "services": ("GET", "/longshore/v1/services", None),
    "create": ("POST", ROOT, {"service": "none/none"}),
    "push": ("POST", f"{ROOT}/none/chunks", {"chunks": []}),
    "pull": ("GET", f"{ROOT}/none/chunkresults", None),
    "end": ("PATCH", f"{ROOT}/none", {"batch_status": "closed"}),
    "drop": ("DELETE", f"{ROOT}/none", None),
    "execute": ("POST", "/local/api/v4/execute", {"service": "none/none", "inputs": []}),
    "execute one": ("POST", "/local/api/v3/folders/none/services/none/execute", {}),
    "add workbook": ("POST", "/longshore/v1/services/workbooks?name=a/b&inputs=a&outputs=b", {}),
    "delete version": ("DELETE", "/longshore/v1/services/none", None),
}
"""What each role may do with record pipelines; where nothing is there, 404 comes after the role."""


def _key(user: User, role: str) -> str:
    made = user.http.post("/longshore/v1/keys", json={"name": f"a {role}", "role": role})
    assert made.status_code == 201, made.text
    return str(made.json()["key"])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Bearer ls_{'0' * 26}_{'A' * 43}"},
        {"x-api-key": "ls_"},
    ],
    ids=["none", "empty", "nonsense", "unknown", "cut"],
)
def test_every_operation_but_the_open_ones_asks_for_a_key(
    server: Server, headers: dict[str, str]
) -> None:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=20.0) as client:
        for operation in guarded(server):
            answer = client.request(operation.method, operation.url({}), headers=headers)
            assert answer.status_code == 401, f"{operation} -> {answer.status_code} {answer.text}"
            assert answer.headers["www-authenticate"] == "Bearer"
            if operation.method == "HEAD":
                continue
            told = answer.json()
            if operation.speaks_corpora:
                assert answer.headers["content-type"] == "application/json", operation
                assert (told["type"], len(told["errors"])) == ("client_error", 1), operation
                assert told["detail"] == told["errors"][0]["detail"], operation
            elif operation.speaks_apps:
                assert answer.headers["content-type"] == "application/json", operation
                assert told["message"], operation
            else:
                assert answer.headers["content-type"] == "application/problem+json", operation
                assert (told["status"], bool(told["detail"])) == (401, True), operation


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_no_spelling_of_a_busy_path_is_a_way_around_the_key(
    server: Server, user: User, method: str
) -> None:
    (work_id,) = user.post("/buckets/work?return_ids=True", [WORK])
    before = user.get("/buckets/status")
    spellings = (
        "/buckets/work", "//buckets/work", "/buckets//work", "/buckets/work/", "/buckets/./work",
        "/x/../buckets/work", "/buckets/%77ork", "/Buckets/Work", "/buckets/work;x", "/buckets/work?",
        "/buckets/work/withdraw", "//buckets/work/withdraw", "/buckets/work/withdraw?limit=1",
        "/buckets/work/withdraw?limit=01", "/buckets/work/withdraw?wait_s=x", "/results/results",
        "/buckets%2Fwork", f"/buckets/work?ids={work_id}", "/buckets/version/../work",
    )  # fmt: skip
    bodies = [b"", json.dumps([WORK]).encode(), json.dumps({"pipeline": "guarded"}).encode()]
    for target in spellings:
        for body in bodies:
            answer = raw.ask(server, method, target, body)
            assert answer.status in (401, 404, 405), f"{method} {target} -> {answer.status}"
            assert work_id.encode() not in answer.body
    assert user.get("/buckets/status") == before


def test_the_open_operations_answer_without_a_key_and_tell_nothing_of_the_data(
    server: Server, user: User
) -> None:
    canary = f"canary-{secrets.token_hex(8)}"
    user.batch_of({canary: canary.encode()})
    for path in OPEN - OPEN_POSTS:
        answer = httpx.get(f"{server.url}{path}", trust_env=False)
        assert answer.status_code == 200, path
        assert canary not in answer.text


def test_the_open_operations_are_those_that_are_described_as_open(server: Server) -> None:
    document = httpx.get(f"{server.url}/openapi.json", trust_env=False).json()
    described = {
        (path, method)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation.get("security") == []
    }
    there = {operation.path for operation in operations(server)} & OPEN
    assert described == {(path, "post" if path in OPEN_POSTS else "get") for path in there}
    assert there >= OPEN_POSTS


def test_a_token_is_given_for_a_key_only_and_a_refusal_tells_nothing(server: Server) -> None:
    known = server.key.split("_")[1]
    organisation_id = server.credentials["organisation_id"]
    form = {"grant_type": "client_credentials", "client_id": known}
    path = TOKEN.replace("{tenant}", OWNERS)
    with httpx.Client(base_url=server.url, trust_env=False, timeout=20.0) as client:
        for body in (b"", b"\xff\xfe", b"{}", b"&" * 9, b"a=1&" * 50, b"client_secret=x"):
            answer = client.post(path, content=body)
            assert (answer.status_code, "access_token" in answer.text) == (400, False), body
        refusals = set()
        for tenant in (OWNERS, organisation_id, "nobody"):
            for secret in ("", "x", f"ls_{known}_{'A' * 43}", f"ls_{'0' * 26}_{'A' * 43}"):
                answer = client.post(
                    TOKEN.replace("{tenant}", tenant), data={**form, "client_secret": secret}
                )
                assert answer.status_code == 400, f"{tenant} {secret} -> {answer.text}"
                refusals.add(answer.text)
        assert len(refusals) == 1, f"the answers tell keys or tenants apart: {refusals}"
        right = {**form, "client_secret": server.key}
        answer = client.post(TOKEN.replace("{tenant}", STRANGERS), data=right)
        assert (answer.status_code, "access_token" in answer.text) == (400, False)
        assert OWNERS not in answer.text
        assert client.post(path, data=right).json()["access_token"] == server.key


def test_a_key_in_the_address_does_not_count(server: Server) -> None:
    answer = httpx.get(
        f"{server.url}/api/v2/batches", params={"key": server.key, "token": server.key}
    )
    assert answer.status_code == 401


def test_a_viewer_can_change_nothing(harbour: Harbour, worlds: Worlds) -> None:
    # Ids of real things, so that nothing is refused only because it is not there.
    world = worlds.open(harbour)
    viewer = harbour.user(world.server, _key(world.owner, "viewer"))
    # The viewer's key is one more.
    world.seen = world.look()
    asked = 0
    for operation in guarded(world.server):
        real = {name: world.ids[kind] for name, kind in operation.kinds.items()}
        for tenant in (OWNERS, world.ids["tenant"]) if operation.speaks_records else (OWNERS,):
            url = operation.url({**real, "tenant": tenant})
            body = {"json": {}} if operation.takes_body else {}
            answer = viewer.http.request(operation.method, url, **body)
            if operation.changes:
                assert answer.status_code == 403, f"{operation} -> {answer.status_code}"
                asked += 1
            elif operation.speaks_records:
                assert answer.status_code == 200, f"{operation} -> {answer.text}"
            elif operation.is_of_corpora or (operation.is_of_scripts and not operation.takes_body):
                # So it is known as well that the ids are those that the paths are made for.
                assert answer.status_code == _read_by_a_viewer(operation), f"{operation} {answer}"
    assert asked > 40
    (stored,) = world.owner.post("/buckets/view", {"query": {"id": world.ids["bucket_work"]}})
    assert stored["status"] == "queued"
    assert world.look() == world.seen


def _read_by_a_viewer(operation: Operation) -> int:
    """Return the status with which something of corpora or of scripts is read."""
    if "/secret" in operation.path or "/keystore" in operation.path:
        return 403
    if operation.path.endswith("/activities/") and not operation.parameters:
        return 400
    return 302 if operation.path.endswith("/export/{id}/") else 200


def test_a_viewer_who_reads_a_status_does_not_count_records_as_told(
    harbour: Harbour, worlds: Worlds
) -> None:
    world = worlds.open(harbour)
    viewer = harbour.user(world.server, _key(world.owner, "viewer"))
    holder, held = world.records.holder, world.records.held
    assert holder.report(held, "success", result=outcome_of(held, CANARY)) == []
    path = f"{ROOT}/{world.ids['record_pipeline']}"
    before = world.owner.get(path)["data"]["updated_timestamp"]
    # The published example leaves its loop without the last outputs if all count as completed
    # before it was told that they are there.
    for _ in range(2):
        status = viewer.get(f"{path}/status")
        assert (status["records_available"], status["records_completed"]) == (2, 2)
    assert world.owner.get(path)["data"]["updated_timestamp"] == before
    told = [world.owner.get(f"{path}/status")["records_completed"] for _ in range(2)]
    assert told == [2, 3], "they count from the second status on for who may pull"


def test_each_role_reaches_as_far_as_it_says_and_no_further(server: Server, user: User) -> None:
    attempts: dict[str, tuple[str, str, Any]] = {
        "read": ("GET", "/api/v2/batches", None),
        "operate": ("POST", "/api/v2/batches", {"name": "batch"}),
        "work": (
            "POST",
            "/longshore/v1/worker/register",
            {"name": "w", "slots": 1, "apps": [], "incarnation": "x"},
        ),
        "admin": ("GET", "/longshore/v1/keys", None),
        "view": ("POST", "/buckets/view", {}),
        "deposit": ("POST", "/buckets/work", []),
        "withdraw": ("POST", "/buckets/work/withdraw", {"pipeline": "none"}),
        "update": ("PUT", "/buckets/work", []),
        "audit": ("GET", "/buckets/audit/expired", None),
        "archive": ("POST", "/results/results", []),
        "act": ("POST", "/buckets/actions", {"action": "retry", "ids": []}),
        "remove": ("DELETE", "/results/results", None),
        "configure": ("PUT", "/buckets/settings/none", {}),
        "hooks": ("GET", "/buckets/webhooks", None),
        **RECORDS_ATTEMPTS,
    }
    look = {"read", "view", "describe", "status", "chunks", "metadata", "schema", "services"}
    report = {"deposit", "withdraw", "update", "audit", "archive"}
    pump = {"create", "push", "pull", "end", "drop", "execute", "execute one"}
    operate = look | report | pump | {"operate", "act", "remove"}
    allowed = {
        "viewer": look,
        "operator": operate,
        "developer": operate | {"configure", "add workbook", "delete version"},
        "worker": look | report | {"work"},
        "admin": set(attempts),
    }
    for role, may in allowed.items():
        client = User(server.url, _key(user, role))
        for what, (method, path, body) in attempts.items():
            status = client.http.request(method, path, json=body).status_code
            assert (status == 403) == (what not in may), f"{role} {what} -> {status}"
        client.close()


def test_a_revoked_key_is_refused_at_once(server: Server, user: User) -> None:
    token = _key(user, "operator")
    client = User(server.url, token)
    assert client.http.get("/api/v2/batches").status_code == 200
    key_id = client.get("/longshore/v1/whoami")["key_id"]
    user.ask("DELETE", f"/longshore/v1/keys/{key_id}")
    assert client.http.get("/api/v2/batches").status_code == 401
    client.close()


def _samples_ms(
    client: httpx.Client, tokens: dict[str, Callable[[], str]]
) -> dict[str, list[float]]:
    """Measure refusals with tokens of each kind, in turn, so that noise hits all alike."""
    taken: dict[str, list[float]] = {kind: [] for kind in tokens}
    bodies = set()
    order = list(tokens)
    for _ in range(SAMPLES):
        # Each kind comes first and last alike, as what was before a request may slow it.
        order.reverse()
        for kind in order:
            headers = {"Authorization": f"Bearer {tokens[kind]()}"}
            begun = time.perf_counter()
            answer = client.get("/api/v2/batches", headers=headers)
            taken[kind].append((time.perf_counter() - begun) * 1000)
            assert answer.status_code == 401
            bodies.add(answer.json()["message"])
    assert len(bodies) == 1, f"the answer tells which part of a key is wrong: {bodies}"
    return taken


def _slow_kind(taken: dict[str, list[float]]) -> str | None:
    """Return which kind of token is answered later than noise explains; None where none is."""
    known = statistics.median(taken["known"])
    # What hits two requests in a row, such as a busy machine, is not in their difference.
    pairs = zip(taken["known"], taken["unknown"], strict=True)
    difference = statistics.median(one - other for one, other in pairs)
    # Finding a row and hashing take well under a tenth of a millisecond; 20 % of a request is noise.
    if abs(difference) > max(0.3, 0.2 * known):
        return "known" if difference > 0 else "unknown"
    # What has not the form of a key needs no look-up; that tells nothing of the keys there are.
    pairs = zip(taken["malformed"], taken["known"], strict=True)
    if statistics.median(one - other for one, other in pairs) > 0.5 * known + 0.3:
        return "malformed"
    return None


def test_the_time_of_a_refusal_does_not_tell_which_key_ids_exist(server: Server) -> None:
    real_id = server.key.split("_")[1]

    def secret() -> str:
        return secrets.token_urlsafe(32)[:43].ljust(43, "A")

    def unknown_id() -> str:
        return "".join(secrets.choice("0123456789abcdefghijklmnopqrstuv") for _ in range(26))

    kinds: dict[str, Callable[[], str]] = {
        "known": lambda: f"ls_{real_id}_{secret()}",
        "unknown": lambda: f"ls_{unknown_id()}_{secret()}",
        "malformed": lambda: f"ls_{secret()}",
    }
    with httpx.Client(base_url=server.url, trust_env=False, timeout=20.0) as client:
        # A true effect says the same each time; what a busy machine does, does not.
        slow: list[str | None] = []
        while len(slow) < MEASURES and None not in slow:
            taken = _samples_ms(client, kinds)
            slow.append(_slow_kind(taken))
            medians = {kind: round(statistics.median(taken[kind]), 3) for kind in taken}
            print(f"medians in ms: {medians}; slow beyond noise: {slow[-1]}")
    assert None in slow or len(set(slow)) > 1, f"the time of a refusal tells {slow[0]} keys apart"


def test_secrets_are_compared_in_constant_time_whether_or_not_the_id_is_known(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(connection: Any) -> str:
        local = organisations.ensure_first(connection)
        return keys.create(connection, local.id, name="key", role=Role.VIEWER)[1]

    token = database.write_blocking(make)
    compared: list[tuple[str, str]] = []
    constant_time = hmac.compare_digest

    def counting(left: str, right: str) -> bool:
        compared.append((left, right))
        return constant_time(left, right)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    public = token.split("_")[1]
    for wrong in (f"ls_{public}_{'A' * 43}", f"ls_{'0' * 26}_{'A' * 43}"):
        with pytest.raises(Unauthenticated):
            database.read_blocking(keys.authenticate, wrong)
    assert len(compared) == 2
    assert {len(text) for pair in compared for text in pair} == {64}, "digests, of one length"
    assert database.read_blocking(keys.authenticate, token).key_name == "key"
    assert len(compared) == 3


def test_the_credentials_are_readable_by_their_owner_only(harbour: Harbour) -> None:
    made = harbour.server()
    made.start()
    path = made.data / "credentials.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert made.data.stat().st_mode & 0o077 == 0
    made.restart()
    stored = b"".join(path.read_bytes() for path in made.data.glob("longshore.db*"))
    for token in (made.key, made.worker_key):
        assert token.encode() not in stored, "the database keeps no secret"
        assert token[-43:].encode() not in stored
    assert made.log.count(made.worker_key) == 0
    assert made.log.count(made.key) <= 1, "the key is shown when it is made, and never again"
