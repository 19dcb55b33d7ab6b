"""The SDK's buckets on a real server: works, leases, actions, settings, results and webhooks.

Each test runs on both databases and so in both colours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from longshore.clock import ManualClock
from longshore.errors import Conflict, InvalidRequest, LeaseLost, NotFound, TooLarge
from longshore.sdk import AsyncWork, Client, Work, WorkConfig
from longshore.storage import Database
from tests.surfaces.sdk_server import Served, running
from tests.unit.sdk_support import COLOURS, close, settle


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


@pytest.fixture
async def client(served: Served) -> AsyncIterator[Any]:
    # The colours are made from one another, so that each needs only one of the databases here.
    colour = COLOURS[served.database.dialect == "postgresql"]
    used = colour(served.url, served.first.token)
    yield used
    await close(used)


def model_of(client: Any) -> Any:
    return Work if isinstance(client, Client) else AsyncWork


def work(**fields: Any) -> dict[str, Any]:
    return {"pipeline": "search", "site": "local", "user": "me", **fields}


def done(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**document, "status": "success", "results": {"snr": 12.5}, **fields}


@asynccontextmanager
async def entered(context: Any) -> AsyncIterator[Any]:
    """Enter a context of either colour."""
    async with AsyncExitStack() as stack:
        if hasattr(context, "__aenter__"):
            yield await stack.enter_async_context(context)
        else:
            yield stack.enter_context(context)


async def test_a_work_goes_through_its_life(client: Any) -> None:
    buckets = client.buckets
    given = work(event=[7], parameters={"dm": 56.7}, beyond={"mine": [1]})
    (work_id,) = await settle(buckets.deposit([given], return_ids=True))
    taken = await settle(buckets.withdraw("search"))
    assert (taken["id"], taken["attempt"], taken["status"]) == (work_id, 1, "running")
    assert (taken["parameters"], taken["beyond"]) == ({"dm": 56.7}, {"mine": [1]})
    assert await settle(buckets.withdraw("search")) is None
    assert await settle(buckets.update([done(taken, products=["a.fits"], plots=["a.png"])])) is True
    (seen,) = await settle(buckets.view({"id": work_id}))
    assert (seen["status"], seen["results"], seen["beyond"]) == (
        "success",
        {"snr": 12.5},
        {"mine": [1]},
    )
    files = await settle(buckets.artifacts(work_id))
    assert [(file.kind, file.path) for file in files] == [("product", "a.fits"), ("plot", "a.png")]
    assert await settle(buckets.pipelines()) == ["search"]
    expected = {"total": 1, "queued": 0, "running": 0, "success": 1, "failure": 0}
    assert list((await settle(buckets.status("search"))).items()) == list(expected.items())
    assert await settle(buckets.status("nowhere")) == dict.fromkeys(expected, 0)
    assert await settle(buckets.delete_ids([work_id, "wk_unknown"])) is True
    assert await settle(buckets.count()) == 0
    info = await settle(buckets.info())
    assert info["server"]["version"] == info["client"]["version"]


async def test_the_model_goes_the_same_way(client: Any) -> None:
    model = model_of(client)
    deposited = model(**work(), function="a.b", config=WorkConfig(parent="up"), tags=["t"])
    first = await settle(deposited.deposit(client))
    second = await settle(deposited.deposit(client))
    assert first != second, "the same work, deposited twice on purpose, is two works"
    assert await settle(model.withdraw("search", tags=["other"], client=client)) is None
    taken = await settle(model.withdraw("search", parent="up", tags=["t"], client=client))
    assert (taken.id, taken.status, taken.function) == (first, "running", "a.b")
    taken.results, taken.status = {"a": 1}, "success"
    assert await settle(taken.update()) is True
    assert await settle(taken.delete()) is True
    (left,) = await settle(client.buckets.view({"pipeline": "search"}))
    assert left["id"] == second


async def test_many_works_are_withdrawn_by_priority_over_several_buckets(client: Any) -> None:
    buckets = client.buckets
    given = [work(pipeline=f"p-{n % 2}", priority=1 + n % 5, event=[n]) for n in range(10)]
    assert await settle(buckets.deposit(given)) is True
    taken = await settle(buckets.withdraw(["p-0", "p-1"], limit=4))
    assert [one["priority"] for one in taken] == [5, 5, 4, 4]
    assert [one["event"] for one in taken] == [[4], [9], [3], [8]]
    rest = await settle(buckets.withdraw(["p-0", "p-1"], limit=100, priority=1))
    assert [one["event"] for one in rest] == [[0], [5]]
    assert await settle(buckets.withdraw(["p-0", "p-1"], event=[4], limit=5)) == []


async def test_a_withdrawal_waits_for_a_work(client: Any, served: Served) -> None:
    with Client(served.url, served.first.token) as other:
        other.buckets.deposit([work(event=[0])])
        await settle(client.buckets.withdraw("search"))

        async def later() -> None:
            await asyncio.sleep(0.2)
            await asyncio.to_thread(other.buckets.deposit, [work(event=[1])])

        depositing = asyncio.create_task(later())
        begun = time.monotonic()
        if isinstance(client, Client):
            taken: Any = await asyncio.to_thread(client.buckets.withdraw, "search", wait_s=20)
        else:
            taken = await client.buckets.withdraw("search", wait_s=20)
        await depositing
        assert taken["event"] == [1]
        assert time.monotonic() - begun < 10


async def test_a_late_report_is_refused_with_who_holds_the_work(
    client: Any, clock: ManualClock
) -> None:
    buckets = client.buckets
    await settle(buckets.deposit([work(retries=3, timeout=60)]))
    first = await settle(buckets.withdraw("search"))
    clock.advance(61)
    audit = await settle(buckets.audit())
    assert (audit["failed"], audit["expired"], audit["stale"]) == (0, 1, 0)
    assert (await settle(buckets.audit()))["failed"] == 1
    second = await settle(buckets.withdraw("search"))
    assert (second["id"], second["attempt"]) == (first["id"], 2)
    with pytest.raises(LeaseLost, match="attempt 2 is running and held by") as caught:
        await settle(buckets.update([done(first)]))
    refused = caught.value.details
    assert (refused["id"], refused["attempt"], refused["state"]) == (first["id"], 2, "running")
    assert refused["holder"]
    (seen,) = await settle(buckets.view({"id": first["id"]}))
    assert (seen["status"], seen["results"]) == ("running", None)
    assert await settle(buckets.update([done(second)])) is True
    with pytest.raises(LeaseLost, match="attempt 2 is over"):
        await settle(buckets.update([done(first, results={"late": True})]))


async def test_a_report_on_what_is_gone_or_wrong_is_refused(client: Any) -> None:
    buckets = client.buckets
    await settle(buckets.deposit([work()]))
    taken = await settle(buckets.withdraw("search"))
    with pytest.raises(NotFound, match="no work"):
        await settle(buckets.update([done({**taken, "id": "wk_unknown"})]))
    with pytest.raises(InvalidRequest, match="cannot move"):
        await settle(buckets.update([done({**taken, "pipeline": "other"})]))
    assert await settle(buckets.update([done(taken)])) is True


async def test_a_heartbeat_keeps_a_lease_and_notices_its_loss(
    client: Any, served: Served, clock: ManualClock
) -> None:
    buckets = client.buckets
    await settle(buckets.deposit([work(event=[1], timeout=3600)]))
    taken = await settle(buckets.withdraw("search", lease_s=5))

    async def block() -> None:
        async with entered(buckets.heartbeat(taken, lease_s=0.6)) as heartbeat:
            for _ in range(4):
                clock.advance(0.5)
                await until(partial(lease_until_is_after, await lease_until()))
            heartbeat.check()
            with Client(served.url, served.first.token) as other:
                other.works.cancel(taken["id"])
            await until(lambda: settled(heartbeat.lost))

    async def lease_until() -> int:
        details = {"longshore": True}
        (seen,) = await settle(buckets.view({"id": taken["id"]}, details))
        return int(seen["longshore"]["lease_until_us"])

    async def lease_until_is_after(before: int) -> bool:
        return await lease_until() > before

    with pytest.raises(LeaseLost, match="was cancelled"):
        await block()


async def settled(value: Any) -> bool:
    return bool(value)


async def until(holds: Any) -> None:
    deadline = time.monotonic() + 20
    while not await holds():
        assert time.monotonic() < deadline, "it did not happen in 20 seconds"
        await asyncio.sleep(0.02)


async def test_a_report_inside_a_heartbeat_is_no_loss(client: Any) -> None:
    buckets = client.buckets
    await settle(buckets.deposit([work(event=[n]) for n in range(3)]))
    taken = await settle(buckets.withdraw("search", limit=3))
    async with entered(buckets.heartbeat(taken, lease_s=0.15)) as heartbeat:
        for one in taken:
            await settle(buckets.update([done(one)]))
            await asyncio.sleep(0.1)
        heartbeat.check()
    assert await settle(buckets.count({"status": "success"})) == 3


async def test_views_take_queries_projections_and_orders(client: Any) -> None:
    buckets = client.buckets
    given = [work(event=[n], tags=["even"] if n % 2 == 0 else ["odd"]) for n in range(9)]
    await settle(buckets.deposit(given))
    query = {"pipeline": "search", "tags": "even", "event": {"$gte": 4}}
    found = await settle(buckets.view(query, {"event": True}, 1, 1, [("creation", -1), ("id", -1)]))
    assert [one["event"] for one in found] == [[6]]
    assert set(found[0]) <= {"event", "id"}
    assert await settle(buckets.count(query)) == 3
    assert len(await settle(buckets.view(limit=None))) == 9
    with pytest.raises(InvalidRequest, match=r"\$where"):
        await settle(buckets.view({"$where": "1"}))
    with pytest.raises((TooLarge, InvalidRequest)):
        await settle(buckets.view({"$and": [{"a": 1}] * 200}))


async def test_all_of_a_bucket_is_read_page_by_page(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    colour = "_sync" if isinstance(client, Client) else "_async"
    monkeypatch.setattr(f"longshore.sdk.{colour}.buckets_view.PAGE_ROWS", 4)
    ids = await settle(client.buckets.deposit([work()] * 10, return_ids=True))
    found = await settle(client.buckets.view({"pipeline": "search"}, {"id": 1}, limit=None))
    assert [one["id"] for one in found] == ids


async def test_deleting_many_leaves_the_others(client: Any) -> None:
    buckets = client.buckets
    await settle(buckets.deposit([work(tags=["a"]), work(tags=["b"]), work(pipeline="other")]))
    asked: list[str] = []

    def confirm(text: str) -> bool:
        asked.append(text)
        return True

    assert await settle(buckets.delete_many("search", tags=["a"], confirm=confirm)) is True
    assert asked[0].startswith("Delete 1 work that match")
    assert await settle(buckets.delete_many("search", "queued", force=True)) is True
    assert await settle(buckets.delete_many("search", force=True)) is False
    assert await settle(buckets.pipelines()) == ["other"]


async def test_actions_reach_all_that_matches(client: Any) -> None:
    buckets = client.buckets
    ids = await settle(buckets.deposit([work(retries=1) for _ in range(3)], return_ids=True))
    for taken in await settle(buckets.withdraw("search", limit=2)):
        await settle(buckets.update([{**taken, "status": "failure"}]))
    assert await settle(buckets.count({"status": "failure"})) == 2

    query = {"pipeline": "search", "status": "failure"}
    retried = await settle((await settle(buckets.act("retry", query))).wait(timeout_s=30))
    assert (retried.info.action, retried.info.changed) == ("retry", 2)
    assert await settle(buckets.count({"status": "queued"})) == 3

    one = await settle((await settle(buckets.act("cancel", ids=ids[:1]))).wait(timeout_s=30))
    assert (one.info.changed, one.info.left) == (1, 0)
    everything = await settle((await settle(buckets.act("delete", {}))).wait(timeout_s=30))
    assert everything.info.changed == 3
    assert everything.info.rows > 0
    assert await settle(buckets.count()) == 0
    with pytest.raises(InvalidRequest, match=r"query.*ids"):
        await settle(buckets.act("delete"))


async def test_settings_of_a_bucket_are_changed_one_at_a_time(client: Any) -> None:
    buckets = client.buckets
    with pytest.raises(NotFound):
        await settle(buckets.settings("search"))
    await settle(buckets.deposit([work()] * 2))
    before = await settle(buckets.settings("search"))
    after = await settle(buckets.configure("search", concurrency_max=1, archive_after_s=None))
    assert after == before.model_copy(update={"concurrency_max": 1, "archive_after_s": None})
    assert await settle(buckets.settings("search")) == after
    assert len(await settle(buckets.withdraw("search", limit=2))) == 1
    with pytest.raises(InvalidRequest, match="concurrency_max"):
        await settle(buckets.configure("search", concurrency_max=0))


async def test_results_are_kept_locked_and_removed(client: Any) -> None:
    results = client.results
    given = [done(work(id=f"r{n}", event=[n], products=["x"])) for n in range(3)]
    assert await settle(results.deposit(given)) == {"search": True}
    with pytest.raises(Conflict, match="'r0'"):
        await settle(results.deposit(given[:1]))
    assert await settle(results.status()) == {"search": 3}
    by_hand = {"pipeline": "by-hand", "status": "success", "results": {"snr": 9.1}}
    assert await settle(results.deposit([by_hand])) == {"by-hand": True}
    assert await settle(results.count("by-hand")) == 1
    assert await settle(results.count("search", {"event": [1]})) == 1
    assert [
        one["id"] for one in await settle(results.view("search", sort={"id": -1}, limit=2))
    ] == [
        "r2",
        "r1",
    ]
    assert await settle(results.lock("search", ["r0"])) is True
    with pytest.raises(Conflict, match="locked"):
        await settle(results.delete_ids("search", ["r0", "r1"]))
    (locked,) = await settle(results.get_by_id("search", ["r0", "none"]))
    assert locked["results"] == {"snr": 12.5, "locked": True}
    assert await settle(results.unlock("search", ["r0"], force=True)) is True
    assert await settle(results.update([{**given[0], "products": ["y"]}])) is True
    (changed,) = await settle(results.get_by_id("search", ["r0"]))
    assert changed["products"] == ["y"]
    assert await settle(results.delete_ids("search", ["r0", "r1"])) is True
    assert await settle(results.status()) == {"by-hand": 1, "search": 1}
    assert len(await settle(results.view("search", limit=-1))) == 1


async def test_webhooks_have_secrets_that_are_shown_once(client: Any) -> None:
    webhooks = client.buckets.webhooks
    await settle(client.buckets.deposit([work()]))
    made = await settle(
        webhooks.create("https://93.184.216.34/hook", pipeline="search", kinds=["work.exhausted"])
    )
    assert made.secret.startswith("whsec_")
    (listed,) = await settle(webhooks.list())
    assert (listed.id, listed.pipeline, listed.secret) == (made.id, "search", None)
    assert listed.created_at is not None
    changed = await settle(webhooks.rotate(made.id, keep_s=60))
    assert changed.secret != made.secret
    assert changed.old_valid
    assert changed.old_until is not None
    await settle(webhooks.delete(made.id))
    assert await settle(webhooks.list()) == []
    with pytest.raises(NotFound):
        await settle(webhooks.delete(made.id))
    with pytest.raises(InvalidRequest):
        await settle(webhooks.create("http://127.0.0.1/hook"))
