"""Doing something to every work that a filter finds: what it changes, skips, refuses and survives."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from longshore.access import Role, keys
from longshore.edge.jobs import JobContext
from longshore.engine import queues, works
from longshore.engine.works import Ending, NewWork, Outcome
from longshore.errors import Conflict, LongshoreError
from longshore.storage import Database
from longshore.surfaces.works import acting, bodies, editing, possible
from longshore.surfaces.works.possible import Action
from tests.unit.serving import Served, bearer, serving

ACTIONS = "/longshore/v1/works/actions"


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as one:
        yield one


def deposit(served: Served, bucket: str, count: int, *, surface: str = "") -> list[str]:
    """Submit works; those of buckets with documents, others bare."""

    def bare(connection: Any) -> list[str]:
        queue_id = queues.ensure(
            connection,
            organisation_id=served.organisation.id,
            surface=surface,
            name=bucket,
            attempts_max=1,
        )
        new = [NewWork(queue_id, b"{}") for _ in range(count)]
        return [each.id for each in works.submit(connection, new, actor="test")]

    return served.database.write_blocking(bare)


async def deposited(served: Served, bucket: str, count: int) -> list[str]:
    body = [
        {"pipeline": bucket, "site": "local", "user": "ann", "parameters": {"n": n}, "retries": 1}
        for n in range(count)
    ]
    answer = await served.client.post("/buckets/work?return_ids=True", json=body)
    assert answer.status_code == 200
    return list(answer.json())


def fail(served: Served, work_ids: list[str]) -> None:
    def end(connection: Any) -> None:
        queue_ids = {work.queue_id for work in works.get_many(connection, work_ids).values()}
        leases = works.claim(
            connection, sorted(queue_ids), limit=1000, holder="w", lease_s=60, among=work_ids
        )
        error = b'{"type": "OSError", "message": "no"}'
        endings = [Ending(each.id, each.attempt, Outcome.REJECTED, error=error) for each in leases]
        works.finish(connection, endings, holder="w")

    served.database.write_blocking(end)


async def act(served: Served, **wish: Any) -> dict[str, Any]:
    """Ask for an action and do its job here; return its status."""
    answer = await served.client.post(ACTIONS, json={"reason": "because", **wish})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"{ACTIONS}/{answer.json()['id']}"
    await run(served, answer.json()["id"])
    return (await served.client.get(f"{ACTIONS}/{answer.json()['id']}")).json()  # type: ignore[no-any-return]


async def run(served: Served, job_id: str) -> None:
    payload = json.loads(served.database.read_blocking(works.payload, job_id))
    context = served.context
    job = JobContext(
        database=served.database,
        blobs=context.blobs,
        clock=context.clock,
        outbound=context.outbound,
        organisation_id=served.organisation.id,
        work_id=job_id,
        attempt=1,
    )
    await acting.act(job, payload)


def states(served: Served, work_ids: list[str]) -> list[str]:
    found = served.database.read_blocking(works.get_many, work_ids)
    return [str(found[one].state) if one in found else "gone" for one in work_ids]


async def test_everything_that_matches_is_retried_and_what_does_not_is_left(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acting, "STEP_WORKS", 3)
    failed = await deposited(served, "scans", 8)
    other = await deposited(served, "others", 2)
    fail(served, [*failed, *other])
    status = await act(served, action="retry", q="state:failure queue:scans", expected=8)
    assert (status["done"], status["skipped"], status["failed"]) == (8, {}, {})
    assert states(served, [*failed, *other]) == ["queued"] * 8 + ["failure"] * 2
    audit = (await served.client.get("/longshore/v1/audit")).json()["entries"]
    entry = next(each for each in audit if each["action"] == "works.retry_matching")
    assert entry["detail"] == {
        "filter": "state:failure queue:scans",
        "reason": "because",
        "expected": 8,
    }


async def test_works_are_held_released_cancelled_and_deleted(served: Served) -> None:
    made = await deposited(served, "scans", 3)
    assert (await act(served, action="hold", q="queue:scans"))["done"] == 3
    assert states(served, made) == ["waiting"] * 3
    again = await act(served, action="hold", q="queue:scans")
    assert again["skipped"] == {"it is held already": 3}
    assert (await act(served, action="release", q="held:yes"))["done"] == 3
    assert states(served, made) == ["queued"] * 3
    assert (await act(served, action="cancel", q=f"id:{made[0]}"))["done"] == 1
    assert (await act(served, action="delete", q="queue:scans"))["done"] == 3
    assert states(served, made) == ["gone"] * 3


async def test_what_a_surface_keeps_books_of_is_skipped_with_the_reason(served: Served) -> None:
    for surface in ("apps", "pipelines", "corpus", "activities", "scripts", "system"):
        fail(served, deposit(served, f"{surface}-queue", 1, surface=surface))
    status = await act(served, action="retry", q="state:failure")
    told = " ".join(status["skipped"])
    assert status["done"] == 1, "a job of the server can be tried again"
    for part in ("its run is over", "push them again", "process retry", "operated by its workflow"):
        assert part in told
    status = await act(served, action="delete", q="state:failure")
    assert status["done"] == 0
    assert sum(status["skipped"].values()) == 5


def test_each_refusal_says_what_to_do_instead() -> None:
    for (surface, action), why in possible.REFUSED.items():
        assert surface
        assert action in Action
        assert len(why) > 30


async def test_more_works_than_were_expected_are_refused(served: Served) -> None:
    await deposited(served, "scans", 3)
    wish = {"action": "cancel", "q": "queue:scans", "reason": "x", "expected": 2}
    answer = await served.client.post(ACTIONS, json=wish)
    assert answer.status_code == 409
    assert "More works fit now" in answer.json()["detail"]
    assert (await act(served, **{**wish, "expected": 5}))["done"] == 3


@pytest.mark.parametrize(
    "change",
    [
        {"action": "burn"},
        {"q": " "},
        {"q": "state:nothing"},
        {"reason": ""},
        {"reason": "x" * 300},
        {"reason": "\0"},
        {"expected": "2"},
        {"expected": True},
        {"expected": -1},
        {"expected": 10**30},
        {"more": 1},
    ],
)
async def test_a_wish_that_cannot_be_used_is_refused(
    served: Served, change: dict[str, Any]
) -> None:
    wish = {"action": "cancel", "q": "queue:scans", "reason": "x", **change}
    assert (await served.client.post(ACTIONS, json=wish)).status_code == 400


async def test_an_action_that_is_killed_in_the_middle_goes_on_and_counts_nothing_twice(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acting, "STEP_WORKS", 2)
    made = await deposited(served, "scans", 7)
    answer = await served.client.post(
        ACTIONS, json={"action": "hold", "q": "queue:scans", "reason": "x"}
    )
    job_id = answer.json()["id"]
    steps = 0

    class Killed(Exception):
        pass

    real = acting._step

    def step(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        done = real(*arguments)
        if steps == 2:
            # Before the transaction ends: nothing of this step may stay.
            raise Killed
        return done

    monkeypatch.setattr(acting, "_step", step)
    with pytest.raises(Killed):
        await run(served, job_id)
    assert states(served, made).count("waiting") == 2
    await run(served, job_id)
    status = (await served.client.get(f"{ACTIONS}/{job_id}")).json()
    assert (status["done"], status["skipped"]) == (7, {})
    assert states(served, made) == ["waiting"] * 7


async def test_single_works_are_held_released_and_retried(served: Served) -> None:
    (work_id,) = await deposited(served, "scans", 1)
    base = f"/longshore/v1/works/{work_id}"
    because = {"why": "the scanner is broken"}
    held = await served.client.post(f"{base}/hold", json=because)
    assert (held.status_code, held.json()["reason"]) == (200, "held")
    why = (await served.client.get(f"{base}/why")).json()["text"]
    assert "by key 'admin key of the data directory' (" in why
    assert why.endswith("the scanner is broken")
    assert (await served.client.post(f"{base}/hold", json=because)).status_code == 409
    assert (await served.client.post(f"{base}/release", json=because)).json()["state"] == "queued"
    assert (await served.client.post(f"{base}/retry", json=because)).status_code == 409
    fail(served, [work_id])
    assert (await served.client.post(f"{base}/retry", json=because)).json()["state"] == "queued"
    assert (await served.client.post(f"{base}/hold", json={})).status_code == 400


async def test_nobody_reaches_the_works_or_actions_of_others(served: Served) -> None:
    (work_id,) = await deposited(served, "scans", 1)
    status = await act(served, action="hold", q="queue:scans")
    _, token = served.other_organisation()
    served.client.headers.update(bearer(token))
    assert (await served.client.get(f"{ACTIONS}/{status['id']}")).status_code == 404
    assert (
        await served.client.post(f"/longshore/v1/works/{work_id}/release", json={"why": "x"})
    ).status_code == 404
    assert (await served.client.get("/longshore/v1/works", params={"q": work_id})).json()[
        "works"
    ] == []
    assert (await act_as_other(served, work_id))["done"] == 0


async def act_as_other(served: Served, work_id: str) -> dict[str, Any]:
    answer = await served.client.post(
        ACTIONS, json={"action": "cancel", "q": f"id:{work_id}", "reason": "x"}
    )
    return answer.json()  # type: ignore[no-any-return]


async def test_a_viewer_finds_works_and_acts_on_none(served: Served) -> None:
    (work_id,) = await deposited(served, "scans", 1)
    served.client.headers.update(bearer(served.token(Role.VIEWER)))
    found = await served.client.get("/longshore/v1/works", params={"q": "queue:scans"})
    assert [each["id"] for each in found.json()["works"]] == [work_id]
    assert (await served.client.get("/longshore/v1/works/count")).json()["exact"] is True
    wish = {"action": "cancel", "q": "queue:scans", "reason": "x"}
    assert (await served.client.post(ACTIONS, json=wish)).status_code == 403


async def test_texts_and_what_a_work_is_a_part_of_are_read_for_every_surface(
    served: Served,
) -> None:
    (document,) = await deposited(served, "scans", 1)
    others = ("apps", "pipelines", "corpus", "activities", "scripts", "system")
    made = {"buckets": document} | {
        surface: deposit(served, f"{surface}-queue", 1, surface=surface)[0] for surface in others
    }
    for surface, work_id in made.items():
        work = served.database.read_blocking(works.get, work_id)
        found = served.database.read_blocking(bodies.of, work)
        parts = served.database.read_blocking(bodies.parts, work)
        assert parts[0].kind == "queue"
        if surface == "buckets":
            assert '"parameters":{"n":0}' in (found.payload or "")
            assert bodies.Part("bucket", "scans") in parts
        elif surface == "system":
            # What a job was given may hold secrets: it is told only which job it is.
            assert found.payload == '{"job": null}'
        elif surface != "pipelines":
            assert found.payload == "{}"
        refused = served.database.read_blocking(editing.refusal, work)
        assert (refused is None) == (surface == "buckets")


async def test_an_edit_is_refused_when_the_work_has_changed_since_it_was_seen(
    served: Served,
) -> None:
    (work_id,) = await deposited(served, "scans", 1)
    fail(served, [work_id])
    me = served.database.read_blocking(keys.authenticate, served.first.token)

    def edit(text: str, seen: str) -> None:
        served.database.write_blocking(editing.edit, me, work_id, text, seen=seen, actor="ann")

    def stored() -> str:
        work = served.database.read_blocking(works.get, work_id)
        return served.database.read_blocking(bodies.of, work).payload or ""

    before = stored()
    seen = editing.checksum(before)
    changed = before.replace('"n":0', '"n":7')
    for text in ("[]", "{", '{"pipeline": "scans"}', before.replace('"scans"', '"other"')):
        with pytest.raises(LongshoreError):
            edit(text, seen)
    assert (stored(), states(served, [work_id])) == (before, ["failure"])
    edit(changed, seen)
    assert '"n":7' in stored()
    assert states(served, [work_id]) == ["queued"]
    with pytest.raises(Conflict, match="has changed since you saw it"):
        edit(before, seen)
