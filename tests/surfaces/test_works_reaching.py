"""What a key of one workspace reaches of works: nothing of the runs of other workspaces."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from longshore.access import Role
from longshore.dashboard.access import FORM_HEADER
from longshore.engine import queues, works
from longshore.engine.works import NewWork
from longshore.surfaces.works import acting
from tests.surfaces.apps_rig import OWNER, Platform
from tests.unit.serving import bearer
from tests.unit.test_dashboard_access import form_token

API = "/longshore/v1"


@asynccontextmanager
async def bound(apps: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client whose key, and whose session, are of the workspace `sales`."""
    token = apps.served.token(Role.DEVELOPER, workspace="sales")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(apps.served.app),
        base_url="http://test",
        headers=bearer(token),
    ) as client:
        assert (await client.post("/ui/sign-in", data={"secret": token})).status_code == 303
        yield client


async def started(apps: Platform, client: httpx.AsyncClient) -> tuple[str, str]:
    """Start a run over one file; return the ids of the run and of its work."""
    made = (await client.post("/api/v2/batches", json={"name": "receipts"})).json()["id"]
    await client.put(f"/api/v2/batches/{made}/files/a.jpg", content=b"image")
    body = {"app_name": "Meal Receipt", "owner": OWNER, "batch_id": made}
    answer = await client.post("/api/v2/apps/runs", json=body)
    assert answer.status_code == 200, answer.text
    run_id = answer.json()["id"]
    (work,) = apps.database.read_blocking(works.of_group, run_id)
    return run_id, work.id


def in_a_bucket(apps: Platform) -> str:
    """Submit a work that is of no workspace."""

    def submit(connection: Any) -> str:
        queue_id = queues.ensure(
            connection,
            organisation_id=apps.organisation_id,
            surface="buckets",
            name="scans",
            attempts_max=1,
        )
        return works.submit(connection, [NewWork(queue_id, b"{}")], actor="test")[0].id

    return apps.database.write_blocking(submit)


async def test_the_works_of_other_workspaces_do_not_exist_for_a_key(apps: Platform) -> None:
    run_id, work_id = await started(apps, apps.client)
    async with bound(apps) as client:
        token = form_token((await client.get("/ui/works")).text)
        own_run, own = await started(apps, client)
        reads = [
            f"{API}/works/{{work}}", f"{API}/works/{{work}}/why", f"{API}/works/{{work}}/events",
            f"{API}/works/{{work}}/logs", f"{API}/groups/{{run}}/works", "/ui/works/{work}",
            "/ui/works/{work}/log", "/ui/works/{work}/text/payload",
        ]  # fmt: skip
        for path in reads:
            assert (await client.get(path.format(work=own, run=own_run))).status_code == 200, path
            answer = await client.get(path.format(work=work_id, run=run_id))
            assert answer.status_code == 404, path
            unknown = await client.get(path.format(work="wk_no", run="rn_no"))
            if not path.startswith("/ui/"):
                told = answer.json()["detail"].replace(work_id, "wk_no").replace(run_id, "rn_no")
                assert told == unknown.json()["detail"], path
        for path in (
            *(f"{API}/works/{work_id}/{what}" for what in ("cancel", "hold", "release", "retry")),
            f"{API}/groups/{run_id}/cancel",
        ):
            assert (await client.post(path, json={"why": "x"})).status_code == 404, path
        for what in ("cancel", "hold", "release", "retry", "delete", "edit"):
            answer = await client.post(
                f"/ui/works/{work_id}/{what}", data={"reason": "x"}, headers={FORM_HEADER: token}
            )
            assert answer.status_code == 404, what
        answer = await client.post(f"{API}/works/{own}/hold", json={"why": "x"})
        assert answer.status_code == 200, answer.text
    assert apps.database.read_blocking(works.get, work_id).state == "queued"


async def test_a_filter_finds_and_changes_nothing_of_other_workspaces(apps: Platform) -> None:
    run_id, work_id = await started(apps, apps.client)
    common = in_a_bucket(apps)
    async with bound(apps) as client:
        _, own = await started(apps, client)
        for q in (
            "surface:apps,buckets",
            f"id:{work_id},{own},{common}",
            "state:queued -surface:system",
        ):
            found = (await client.get(f"{API}/works", params={"q": q})).json()["works"]
            assert {each["id"] for each in found} == {own, common}, q
            counted = (await client.get(f"{API}/works/count", params={"q": q})).json()
            assert counted == {"count": 2, "exact": True}
            page = (await client.get("/ui/works", params={"q": q})).text
            assert own in page
            assert f"row-{work_id}" not in page
        assert (await client.get(f"{API}/works", params={"q": f"group:{run_id}"})).json()[
            "works"
        ] == []
        wish = {"action": "hold", "q": "surface:apps,buckets", "reason": "x", "expected": 2}
        answer = await client.post(f"{API}/works/actions", json=wish)
        assert answer.status_code == 202, answer.text
        job_id = answer.json()["id"]
        assert (await client.get(f"{API}/works/actions/{job_id}")).status_code == 200
        all_of_them = {"action": "release", "q": f"id:{work_id}", "reason": "secret"}
        other = await apps.client.post(f"{API}/works/actions", json=all_of_them)
        assert other.status_code == 202
        answer = await client.get(f"{API}/works/actions/{other.json()['id']}")
        assert answer.status_code == 404
    payload = json.loads(apps.database.read_blocking(works.payload, job_id))
    (lease,) = [each for each in apps.job_leases() if each.id == job_id]
    done = await acting.act(apps.job_context(lease), payload)
    assert done["done"] == 2
    held = apps.database.read_blocking(works.get_many, [work_id, own, common])
    assert {one for one, work in held.items() if work.reason == "held"} == {own, common}
    everything = (await apps.client.get(f"{API}/works", params={"q": "surface:apps"})).json()
    assert {each["id"] for each in everything["works"]} == {work_id, own}


@pytest.mark.parametrize("name", ["Sales", "sales"])
async def test_a_workspace_is_the_same_in_any_case(apps: Platform, name: str) -> None:
    token = apps.served.token(Role.DEVELOPER, workspace=name)
    async with bound(apps) as client:
        _, own = await started(apps, client)
        found = await apps.client.get(
            f"{API}/works", params={"q": "surface:apps"}, headers=bearer(token)
        )
        assert [each["id"] for each in found.json()["works"]] == [own]
