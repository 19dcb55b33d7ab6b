"""X1 and X2 over HTTP: wild queries are answered or refused, and show nothing of another tenant.

The query language has property tests of its own; these go through the whole application, where
the tenant is added, on both databases. LONGSHORE_TEST_EXAMPLES=50000 asks for more, and
LONGSHORE_TEST_SEED repeats a run. Where a gate decides, each run asks the same, so that a change is
judged by what it changed; at a desk and in long runs, each asks something else.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.clock import ManualClock
from longshore.storage import Database
from tests.acceptance.wild_queries import Grammar
from tests.surfaces.buckets_rig import payload
from tests.surfaces.results_rig import Harbour, harbour
from tests.unit.serving import bearer

EXAMPLES = int(os.environ.get("LONGSHORE_TEST_EXAMPLES", "0"))
GATE_SEED = 2_303_748_312
"""It once asked for an array of 1.7e308 elements, which was answered with 500."""
_CHANCE = GATE_SEED if os.environ.get("CI") and not EXAMPLES else secrets.randbelow(2**32)
SEED = int(os.environ.get("LONGSHORE_TEST_SEED", "0")) or _CHANCE
REQUESTS = EXAMPLES or 400
LONGEST_S = 5.0
"""CPU time that one query may take, however it is made."""
CANARY = f"canary{secrets.token_hex(8)}"
NUL_AT = 2
"""The position of the document with a NUL in it."""
OWN, THEIRS = "mine", f"bucket-{CANARY}"
INSIDE = re.compile(
    r"sqlalchemy|sqlite|psycopg|syntax error|SELECT |FROM |no such|Traceback|\.py\b"
)
"""What would tell somebody how the server works inside."""


@dataclass
class Rig:
    """An attacker's application, with a victim's documents beside its own."""

    harbour: Harbour
    victim: httpx.AsyncClient
    grammar: Grammar
    ids: set[str]
    counted: Counter[str] = field(default_factory=Counter)

    async def send(self, method: str, path: str, body: Any) -> Any:
        """Send a request; return the JSON of an answer, or None where it is refused."""
        content = json.dumps(body).encode()
        what = f"seed {SEED}: {method} {path} {content.decode()[:1_500]}"
        begun = time.process_time()
        answer = await self.harbour.client.request(method, path, content=content)
        assert time.process_time() - begun < LONGEST_S, what
        told = answer.text if answer.is_success else _without(answer.json()["detail"], content)
        if answer.is_success:
            self.counted[f"{path} answered"] += 1
        else:
            assert answer.status_code in (400, 413), f"{what} -> {answer.status_code} {told}"
            assert answer.headers["content-type"] == "application/problem+json", what
            assert told, what
            assert not INSIDE.search(told), f"{what} -> {told}"
            self.counted[f"{path} refused"] += 1
            return None
        assert CANARY not in told, f"{what} -> {told[:500]}"
        return answer.json()


def _without(detail: str, sent: bytes) -> str:
    """Return what an error says beside the pieces of the request that it quotes."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "", detail) if CANARY.encode() in sent else detail


def _documents(user: str, pipeline: str) -> list[dict[str, Any]]:
    """Return works with all kinds of values where queries look for them."""
    values: list[Any] = [
        {"a": {"b": user}, "2": [1, [2, {"x": user}]]},
        {"a": [{"b": 1}, {"b": "x"}, {"b": None}], "": 1, "a.b": 2, "$gt": 3},
        {"a": "x" * 20_000, "n": 10**30, "z": "a\0b", "e": "a" * 40 + "!"},
        {"a": 1.7e308, "b": 5e-324, "t": True, "q": "'\"\\"},
    ]
    return [
        {**payload(pipeline), "user": user, "tags": [user, "x"], "parameters": value,
         "results": value, "event": [1, 2**60], "priority": 1 + number % 5}
        for number, value in enumerate([*values, None])
    ]  # fmt: skip


async def _fill(client: httpx.AsyncClient, user: str, pipeline: str) -> set[str]:
    """Deposit works, bring them into several states, and store results; return the works' ids."""
    works = _documents(user, pipeline)
    made = await client.post("/buckets/work?return_ids=True", json=works)
    assert made.status_code == 200, made.text
    held = await client.post("/buckets/work/withdraw?limit=3", json={"pipeline": pipeline})
    first, second, _ = held.json()
    ended = [{**first, "status": "success"}, {**second, "status": "failure"}]
    assert (await client.put("/buckets/work", json=ended)).json() is True
    done = [
        {**work, "id": f"{pipeline}{number}", "status": "success"}
        for number, work in enumerate(works)
        # The results store takes no NUL.
        if number != NUL_AT
    ]
    stored = await client.post("/results/results", json=done)
    assert stored.status_code == 200, stored.text
    return set(made.json())


@pytest.fixture
async def rig(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Rig]:
    async with harbour(database, clock, tmp_path) as made:
        organisation, token = made.served.other_organisation()
        transport = httpx.ASGITransport(made.served.app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test", headers=bearer(token)
        ) as victim:
            victims = (THEIRS, CANARY, organisation.id)
            theirs = await _fill(victim, CANARY, THEIRS)
            ids = await _fill(made.client, OWN, OWN)
            yield Rig(made, victim, Grammar(SEED, victims + tuple(sorted(theirs))), ids)


async def _victims(rig: Rig) -> list[Any]:
    wanted = {"projection": {"longshore": True}, "limit": 100}
    answers = [
        await rig.victim.post("/buckets/view", json=wanted),
        await rig.victim.post("/results/view", json=wanted),
        await rig.victim.get("/buckets/status"),
    ]
    return [answer.json() for answer in answers]


def _view(grammar: Grammar) -> dict[str, Any]:
    """Draw the body of a view; most have one wild part, so that it is looked at."""
    parts = {
        "query": grammar.filter,
        "projection": grammar.projection,
        "sort": grammar.sort,
        "skip": grammar.number,
        "limit": grammar.number,
        "hint": grammar.sort,
    }
    names = grammar.random.choices(list(parts), weights=(8, 4, 4, 1, 1, 0.1), k=2)
    return {name: parts[name]() for name in names}


@pytest.mark.slow
@pytest.mark.timeout(0 if EXAMPLES else 120)
async def test_wild_views_and_counts_are_answered_or_refused(rig: Rig) -> None:
    print(f"to repeat this run: LONGSHORE_TEST_SEED={SEED}")
    before = await _victims(rig)
    for _ in range(REQUESTS // 4):
        for service in ("buckets", "results"):
            found = await rig.send("POST", f"/{service}/view", _view(rig.grammar))
            assert found is None or len(found) <= len(rig.ids)
            count = "/buckets/count" if service == "buckets" else "/results/view/count"
            number = await rig.send("POST", count, {"query": rig.grammar.filter()})
            assert number is None or 0 <= number <= len(rig.ids)
    assert await _victims(rig) == before
    print(dict(rig.counted))
    assert min(rig.counted.values()) > REQUESTS // 200, "both answers and refusals are seen"


@pytest.mark.parametrize("name", ["attempt", "start", "priority", "creation"])
async def test_numbers_that_no_column_holds_are_answered(rig: Rig, name: str) -> None:
    """Found by the wild queries: such a list was an error on PostgreSQL, whose integers are short."""
    numbers = (2**31, 2**63 - 1, -(2**63), 2.5, 1.7e308)
    for number in numbers:
        for test in (
            *({operator: number} for operator in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")),
            *({operator: [number, *numbers]} for operator in ("$in", "$nin", "$all")),
        ):
            where = {"$and": [{"pipeline": OWN}, {name: test}]}
            for path in ("/buckets/count", "/results/view/count"):
                assert await rig.send("POST", path, {"query": where}) in range(len(rig.ids) + 1)
            found = await rig.send("POST", "/buckets/work/withdraw", where)
            assert found is None or found["id"] in rig.ids


@pytest.mark.slow
@pytest.mark.timeout(0 if EXAMPLES else 120)
async def test_wild_withdrawals_and_actions_reach_nothing_of_another_tenant(rig: Rig) -> None:
    print(f"to repeat this run: LONGSHORE_TEST_SEED={SEED}")
    before = await _victims(rig)
    grammar = rig.grammar
    for _ in range(REQUESTS // 4):
        buckets = grammar.random.choice((OWN, THEIRS, {"$in": [OWN, THEIRS]}))
        wanted = grammar.filter(2)
        if grammar.random.random() < 0.8:
            wanted = {"$and": [{"pipeline": buckets}, wanted]}
        found = await rig.send("POST", "/buckets/work/withdraw?limit=2", wanted)
        for each in found or ():
            assert each["id"] in rig.ids, each
            assert (await rig.harbour.client.put("/buckets/work", json=[
                {**each, "status": "queued"}])).json() is True  # fmt: skip
    for _ in range(REQUESTS // 20):
        action = grammar.random.choice(("retry", "cancel"))
        body = {"action": action, "query": grammar.filter()}
        started = await rig.send("POST", "/buckets/actions", body)
        if started is not None:
            # Whatever a job may do wrong is raised here.
            await rig.harbour.jobs()
            stands = await rig.harbour.call("GET", f"/buckets/actions/{started['id']}")
            assert stands["changed"] <= len(rig.ids)
    assert await _victims(rig) == before
    print(dict(rig.counted))
    assert min(rig.counted.values()) > 1, "both answers and refusals are seen"
