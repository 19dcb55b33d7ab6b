"""The SDK on a real server: what is Longshore's own, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import errors
from longshore.engine import logs, workers, works
from longshore.sdk import AsyncClient, WorkState
from longshore.storage import Database
from tests.surfaces.sdk_server import Served, running
from tests.unit.sdk_support import COLOURS, close, gather, settle


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


async def test_a_key_learns_whom_it_acts_as(client: Any, served: Served) -> None:
    who = await settle(client.whoami())
    assert (who.role, who.organisation) == ("admin", "local")
    assert who.organisation_id == served.organisation_id
    assert (await settle(client.limits()))["part_bytes"] == 10 * 1024 * 1024


async def test_a_wrong_key_and_a_wrong_context_are_unauthenticated(served: Served) -> None:
    for key, context in [("ls_nobody_nothing", None), (served.first.token, "another")]:
        async with AsyncClient(served.url, key, context=context) as stranger:
            with pytest.raises(errors.Unauthenticated) as caught:
                await stranger.whoami()
        assert caught.value.request_id
        assert str(caught.value).endswith(f"(request {caught.value.request_id})")


async def test_keys_are_made_used_listed_and_revoked(client: Any, served: Served) -> None:
    made = await settle(client.keys.create("dashboards", "viewer", workspace="reports"))
    async with AsyncClient(served.url, made.key) as viewer:
        who = await viewer.whoami()
        assert (who.role, who.workspace) == ("viewer", "reports")
        with pytest.raises(errors.PermissionDenied):
            await viewer.keys.list()
        listed = {key.id: key for key in await settle(client.keys.list())}
        assert listed[made.id].created_at is not None
        assert listed[made.id].revoked_at is None
        assert (await settle(client.keys.revoke(made.id))).revoked_at is not None
        with pytest.raises(errors.Unauthenticated):
            await viewer.whoami()
    with pytest.raises(errors.InvalidRequest):
        await settle(client.keys.create("x", "emperor"))
    with pytest.raises(errors.NotFound):
        await settle(client.keys.revoke("ky_unknown"))


async def test_a_work_is_followed_through_its_life(client: Any, served: Served) -> None:
    queue_id, (work_id,) = served.submit(1)
    found = await settle(client.works.get(work_id))
    assert (found.state, found.queue_id, found.attempt) == (WorkState.QUEUED, queue_id, 0)
    assert found.created_at.tzinfo is not None
    why = await settle(client.why(work_id))
    assert why.id == work_id
    assert "worker" in why.text
    cancelled = await settle(client.works.cancel(work_id, why="no longer wanted"))
    assert (cancelled.cancelled, cancelled.stopping, cancelled.final) == ((work_id,), (), ())
    assert (await settle(client.works.get(work_id))).final
    events = await settle(client.works.events(work_id))
    assert events[0].from_state is None
    assert events[-1].to_state == WorkState.CANCELLED
    with pytest.raises(errors.NotFound):
        await settle(client.works.get("wk_unknown"))


async def test_a_group_is_listed_explained_and_cancelled(client: Any, served: Served) -> None:
    _, work_ids = served.submit(3, group_id="gr_1")
    await settle(client.works.cancel(work_ids[0]))
    assert {work.id for work in await settle(client.works.list("gr_1"))} == set(work_ids)
    why = await settle(client.why("gr_1"))
    assert why.text.startswith("0 of 3 done, 0 failed, 1 cancelled, 2 pending.")
    assert "\n2 works: queued: " in why.text
    done = await settle(client.works.cancel("gr_1"))
    assert (set(done.cancelled), done.final) == (set(work_ids[1:]), (work_ids[0],))
    with pytest.raises(errors.NotFound):
        await settle(client.works.list("gr_unknown"))


async def test_logs_are_read_with_their_work(client: Any, served: Served) -> None:
    queue_id, (work_id,) = served.submit(1)
    holder = served.database.write_blocking(
        workers.register,
        organisation_id=served.organisation_id,
        name="host-1",
        incarnation="one",
        slots=1,
        queue_ids=[queue_id],
    )
    (lease,) = served.database.write_blocking(
        works.claim, [queue_id], limit=1, holder=holder, lease_s=60.0
    )
    at_us = served.database.clock.now_us()
    written = [
        logs.NewLine(
            work_id=work_id, attempt=lease.attempt, at_us=at_us, stream="stdout", text=text
        )
        for text in ("one", "two")
    ]
    served.database.write_blocking(logs.append, written, holder=holder)
    found = await gather(client.logs(work_id))
    assert [(line.work_id, line.stream, line.text) for line in found] == [
        (work_id, "stdout", "one"),
        (work_id, "stdout", "two"),
    ]
    assert [worker.name for worker in await settle(client.workers.list())] == ["host-1"]


async def test_a_queue_is_held_and_released(client: Any, served: Served) -> None:
    queue_id, _ = served.submit(2)
    (queue,) = [q for q in await settle(client.queues.list()) if q.id == queue_id]
    assert (queue.surface, queue.name) == ("apps", "local/reader@1")
    assert (queue.counts.submitted, queue.counts.pending) == (2, 2)
    held = await settle(client.queues.hold(queue_id, "repairs"))
    assert held.held.why == "repairs"
    assert (await settle(client.queues.release(queue_id))).held is None
    with pytest.raises(errors.NotFound):
        await settle(client.queues.hold(10**6, "repairs"))


async def test_the_audit_log_tells_what_was_changed(client: Any, served: Served) -> None:
    queue_id, _ = served.submit(1)
    for _ in range(3):
        await settle(client.queues.hold(queue_id, "repairs"))
    entries = await settle(client.audit(limit=2, action="queues.hold"))
    assert [entry.action for entry in entries] == ["queues.hold"] * 2
    assert entries[0].id > entries[1].id
    assert entries[0].target == str(queue_id)
    assert entries[0].request_id


async def test_the_doctor_reports(client: Any) -> None:
    report = await settle(client.doctor())
    assert report.healthy is (not report.problems)
    assert report.facts["version"]
