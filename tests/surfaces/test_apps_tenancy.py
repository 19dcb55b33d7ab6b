"""No id of one organisation opens anything for another (and nothing opens without a key)."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
from fastapi import FastAPI
from sqlalchemy import Connection

from longshore.surfaces.apps import catalogue
from longshore.surfaces.apps.routes import router
from tests.surfaces.apps_rig import APP, OWNER, Platform


def routes() -> Iterator[tuple[str, str]]:
    """Yield method and path of every route of the surface."""
    app = FastAPI()
    app.include_router(router)
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            yield method.upper(), path


async def ids_of(apps: Platform) -> dict[str, str]:
    """Make one of everything in the first organisation and return the ids by parameter name."""
    batch_id = await apps.batch("a.jpg")
    run = await apps.start(batch_id=batch_id)
    apps.work()
    await apps.jobs()
    doomed = await apps.batch("b.jpg")
    job = (await apps.client.delete(f"/api/v2/batches/{doomed}")).json()["job_id"]
    session = await apps.client.post(
        "/api/v2/batches/multipart-upload",
        json={"batch_id": batch_id, "filename": "x", "file_size": 1},
    )
    deployment = await apps.client.post(
        "/api/v2/apps/deployments", json={"name": "d", "app_name": APP, "owner": OWNER}
    )
    return {
        "batch_id": str(batch_id),
        "name": "a.jpg",
        "run_id": run["id"],
        "job_id": job,
        "session_id": session.json()["session_id"],
        "part_number": "1",
        "path": apps.folder(f"batches/{batch_id}/a.jpg"),
        "deployment_id": deployment.json()["id"],
    }


async def test_every_route_answers_404_for_the_ids_of_another_organisation(
    apps: Platform,
) -> None:
    ids = await ids_of(apps)
    bodies = {
        "/v2/batches/multipart-upload/sessions/{session_id}": {"action": "abort"},
        "/v2/apps/deployments/{deployment_id}": {"name": "taken over"},
        "/v2/apps/deployments/{deployment_id}/runs": {"batch_id": ids["batch_id"]},
    }
    asked = 0
    async with await apps.other() as other:
        for method, path in routes():
            if "{" not in path:
                continue
            address = path.format(**ids)
            answer = await other.request(method, f"/api{address}", json=bodies.get(path, {}))
            assert answer.status_code == 404, (method, path, answer.text)
            secrets = set(ids.values()) - {value for value in ids.values() if value in address}
            assert not [secret for secret in secrets if len(secret) > 9 and secret in answer.text]
            asked += 1

    assert asked > 15
    assert (await apps.get(f"/apps/runs/{ids['run_id']}"))["status"] == "COMPLETE"


async def test_listings_and_bodies_show_nothing_of_another_organisation(apps: Platform) -> None:
    ids = await ids_of(apps)
    async with await apps.other() as other:
        for path, key in (
            ("/batches", "batches"),
            ("/apps/runs", "runs"),
            ("/apps", "apps"),
            ("/apps/deployments", "deployments"),
        ):
            assert (await other.get(f"/api/v2{path}")).json() == {key: []}
        upload = {"batch_id": ids["batch_id"], "filename": "x", "file_size": 1}
        refused = await other.post("/api/v2/batches/multipart-upload", json=upload)
        assert refused.status_code == 404
        run = {"app_name": APP, "owner": OWNER, "batch_id": ids["batch_id"]}
        unknown = await other.post("/api/v2/apps/runs", json=run)
        assert unknown.status_code == 404
        # An app of its own does not open the other's batch or folder either.
        organisation = apps.served.other_organisation()[0]
        apps.database.write_blocking(_offer, organisation.id)
        for source in ({"batch_id": ids["batch_id"]}, {"input_dir": ids["path"]}):
            body = {"app_name": APP, "owner": OWNER, **source}
            answer = await other.post("/api/v2/apps/runs", json=body)
            assert answer.status_code == 404, answer.text
            assert "batch" in answer.text or "nothing" in answer.text


async def test_no_route_answers_without_a_key(apps: Platform) -> None:
    ids = await ids_of(apps)
    transport = httpx.ASGITransport(apps.served.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as nobody:
        for method, path in routes():
            address = path.format(**ids)
            answer = await nobody.request(method, f"/api{address}", content=b"not json")
            assert answer.status_code == 401, (method, path)


def _offer(connection: Connection, organisation_id: str) -> None:
    catalogue.offer(connection, organisation_id, [(APP, OWNER, "1.0.0", "", None, 1)])
