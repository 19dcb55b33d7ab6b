"""What there is to know about services, over HTTP; and what is answered without a key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, update

from longshore.access import Role
from longshore.engine import artifacts, queues
from longshore.storage import Database, now_us
from longshore.surfaces.pipelines import services
from longshore.surfaces.pipelines.tables import pipelines
from longshore.wire.pipelines import VersionDetails
from longshore.wire.worker import InputField
from tests.surfaces.services_rig import NAME, Services, services_of
from tests.unit.serving import bearer

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def rig(database: Database, tmp_path: Path) -> AsyncIterator[Services]:
    async with services_of(database, tmp_path) as made:
        made.offer("0.4.2", description="old")
        made.offer(
            "0.10.0",
            description="Adds up.",
            inputs=[InputField(name="value", kind="number"), InputField(name="tax", default=1)],
            outputs=["total"],
            subservices={"sums": ["total"]},
        )
        yield made


def path_of(rig: Services, rest: str, service: str = NAME) -> str:
    folder, _, name = service.partition("/")
    return f"/{rig.tenant}/api/v3/folders/{folder}/services/{name}/{rest}"


async def test_a_service_that_exists_is_told_of_its_latest_version(rig: Services) -> None:
    latest = rig.resolve()
    answer = await rig.get(path_of(rig, "exists"))
    data = answer["response_data"]
    assert (answer["status"], answer["error"]) == ("Success", None)
    assert answer["response_meta"]["system"] == "SPARK"
    assert data["is_exists"] is True
    assert (data["id"], data["name"]) == (latest.service_id, "my-service")
    assert (data["version"], data["latest_version_id"]) == ("0.10.0", latest.id)


async def test_a_service_that_does_not_exist_is_no_error(rig: Services) -> None:
    answer = await rig.get(path_of(rig, "exists", "my-folder/nothing"))
    assert answer["response_data"]["is_exists"] is False
    assert set(answer["response_data"].values()) == {False, None}


async def test_names_in_paths_may_have_blanks_and_any_letters(rig: Services) -> None:
    rig.offer("1", name="f o/Prämie & é")
    answer = await rig.get(
        f"/{rig.tenant}/api/v3/folders/f%20o/services/Pr%C3%A4mie%20%26%20é/exists"
    )
    assert answer["response_data"]["name"] == "Prämie & é"


async def test_metadata_are_what_a_version_says_of_itself(rig: Services) -> None:
    version = rig.resolve()
    for path in (
        path_of(rig, "metadata"),
        f"/{rig.tenant}/api/v3/service/{version.service_id}/metadata",
        f"/{rig.tenant}/api/v3/version/{version.id}/metadata",
    ):
        answer = await rig.get(path)
        outputs = answer["response_data"]["outputs"]
        assert outputs["Metadata.Description"] == "Adds up."
        assert outputs["Metadata.Outputs"] == ["total"]
        assert outputs["Metadata.Subservices"] == {"sums": ["total"]}
        assert [each["name"] for each in outputs["Metadata.Inputs"]] == ["value", "tax"]
        assert answer["response_meta"]["version"] == "0.10.0"
    await rig.get(path_of(rig, "metadata", "my-folder/nothing"), expect=404)


async def test_versions_are_listed_with_the_highest_first(rig: Services) -> None:
    rig.offer("2.0.0", active_since="2999-01-01")
    answer = await rig.get("/api/v1/product/my-folder/engines/getversions/my-service")
    assert answer["status"] == "Success"
    listed = answer["data"]
    assert [each["revision"] for each in listed] == ["2.0.0", "0.10.0", "0.4.2"]
    assert [each["isActive"] for each in listed] == [False, True, False]
    assert listed[0]["effectiveStartDate"] == "2999-01-01T00:00:00.000Z"
    assert (listed[1]["engine"], listed[1]["product"]) == ("my-service", "my-folder")
    assert listed[1]["id"] == rig.resolve().id
    missing = await rig.get("/api/v1/product/my-folder/engines/getversions/my-servise", expect=404)
    assert missing["details"] == {"near": [NAME]}


async def test_a_schema_names_inputs_and_outputs(rig: Services) -> None:
    version = rig.resolve()
    by_name = await rig.get("/api/v1/product/my-folder/engines/get/my-service")
    by_id = await rig.post(
        f"/{rig.tenant}/api/v3/GetEngineDetailByVersionId/versionid/{version.id}", None
    )
    assert by_name["data"] == by_id["data"]
    assert by_name["data"]["serviceOutputs"] == [{"name": "total"}]
    assert [each["isRequired"] for each in by_name["data"]["engineInputs"]] == [True, True]


async def test_the_configuration_has_the_limits_of_the_server(rig: Services) -> None:
    answer = await rig.get("/api/v1/config/GetSparkConfiguration")
    assert answer["status"] == "Success"
    assert answer["data"]["Execution_Timeout_In_Seconds"] == 55
    assert answer["data"]["tenantName"] == rig.tenant


async def test_the_own_listing_says_which_workers_serve_what(rig: Services) -> None:
    rig.register()
    rig.offer("1", name="another/one")
    listed = (await rig.get("/longshore/v1/services"))["services"]
    assert [each["name"] for each in listed] == ["another/one", NAME]
    versions = listed[1]["versions"]
    assert [each["uri"] for each in versions] == [f"{NAME}[0.10.0]", f"{NAME}[0.4.2]"]
    assert [each["workers"] for each in versions] == [1, 1]
    assert listed[0]["versions"][0]["workers"] == 0
    assert versions[0]["kind"] == "python"
    other, token = rig.served.other_organisation()
    assert other.name == "other"
    theirs = await rig.client.get("/longshore/v1/services", headers=bearer(token))
    assert theirs.json() == {"services": []}


async def test_a_version_that_nobody_uses_can_be_deleted(rig: Services) -> None:
    old, latest = rig.resolve(f"{NAME}[0.4.2]"), rig.resolve()
    answer = await rig.client.delete(f"/longshore/v1/services/{old.id}")
    assert answer.json() == {"id": old.id, "uri": old.uri, "deleted": True}
    assert (await rig.client.delete(f"/longshore/v1/services/{old.id}")).status_code == 404
    assert rig.resolve() == latest
    await rig.client.delete(f"/longshore/v1/services/{latest.id}")
    assert (await rig.get("/longshore/v1/services")) == {"services": []}
    # What comes again gets its queue back, and is otherwise new.
    rig.offer("0.4.2")
    again = rig.resolve()
    assert again.queue_id == old.queue_id
    assert again.id != old.id


async def test_a_version_that_a_worker_offers_is_not_deleted(rig: Services) -> None:
    rig.register()
    version = rig.resolve()
    answer = await rig.client.delete(f"/longshore/v1/services/{version.id}")
    assert answer.status_code == 409
    assert "offered by 1 worker(s)" in answer.json()["detail"]
    assert rig.resolve() == version


async def test_a_version_with_an_open_pipeline_is_not_deleted(rig: Services) -> None:
    version = rig.resolve()

    def begin(connection: Any) -> None:
        at_us = now_us(connection)
        queue_id = queues.ensure(
            connection, organisation_id=rig.organisation_id, surface="pipelines", name="bp_1"
        )
        connection.execute(
            insert(pipelines).values(
                id="bp_1",
                organisation_id=rig.organisation_id,
                service_id=version.service_id,
                version_id=version.id,
                queue_id=queue_id,
                service_uri=version.uri,
                created_by="ann",
                created_us=at_us,
                updated_us=at_us,
                active_us=at_us,
                settings="{}",
                input_buffer_bytes=1,
                output_buffer_bytes=1,
            )
        )

    await rig.database.write(begin)
    answer = await rig.client.delete(f"/longshore/v1/services/{version.id}")
    assert answer.status_code == 409
    assert "bp_1" in answer.json()["detail"]

    def end(connection: Any) -> None:
        at_us = now_us(connection)
        connection.execute(
            update(pipelines).values(ended_us=at_us, ending="closed", completed_us=at_us)
        )

    await rig.database.write(end)
    assert (await rig.client.delete(f"/longshore/v1/services/{version.id}")).status_code == 200


async def test_the_file_of_a_workbook_goes_with_its_version(rig: Services) -> None:
    def add(connection: Any) -> services.Version:
        blob_id = artifacts.reserve(connection, organisation_id=rig.organisation_id)
        artifacts.store(connection, blob_id, size_bytes=1, sha256="0" * 64)
        return services.enter(
            connection,
            rig.organisation_id,
            service="books/quote",
            version="1",
            kind=services.WORKBOOK,
            details=VersionDetails(),
            blob_id=blob_id,
        )

    book = await rig.database.write(add)
    # A worker who computes workbooks serves them all, which does not keep one from going.
    rig.queue_ids.append(book.queue_id)
    rig.register()
    assert (await rig.client.delete(f"/longshore/v1/services/{book.id}")).status_code == 200
    doomed = rig.database.read_blocking(artifacts.doomed, limit=10)
    assert doomed == [book.blob_id]
    # The same name as a function is for other workers, so it waits elsewhere.
    rig.offer("1", name="books/quote")
    again = rig.resolve("books/quote")
    assert (again.kind, again.queue_id != book.queue_id) == ("python", True)
    assert rig.database.read_blocking(queues.get, again.queue_id).parent_id is None


async def test_who_may_only_operate_cannot_delete(rig: Services) -> None:
    headers = bearer(rig.served.token(Role.OPERATOR))
    version = rig.resolve()
    answer = await rig.client.delete(f"/longshore/v1/services/{version.id}", headers=headers)
    assert answer.status_code == 403


@pytest.fixture
async def stranger(rig: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    transport = httpx.ASGITransport(rig.served.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_health_is_told_to_everybody(
    rig: Services, stranger: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ill() -> dict[str, str]:
        return {"database": "ok", "blobs": "gone"}

    async def well() -> dict[str, str]:
        return {"database": "ok", "blobs": "ok"}

    monkeypatch.setattr(rig.served.app.state.health, "readiness", well)
    answer = await stranger.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "UP"})
    monkeypatch.setattr(rig.served.app.state.health, "readiness", ill)
    answer = await stranger.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "DOWN"})


async def test_client_credentials_give_a_token_that_works(
    rig: Services, stranger: httpx.AsyncClient
) -> None:
    form = {
        "client_id": rig.served.first.organisation.name,
        "client_secret": rig.served.first.token,
        "grant_type": "client_credentials",
    }
    # The published client sends this before it has a token.
    headers = {"Authorization": "Bearer None"}
    path = f"/auth/realms/{rig.tenant.upper()}/protocol/openid-connect/token"
    answer = await stranger.post(path, data=form, headers=headers)
    assert answer.status_code == 200, answer.text
    given = answer.json()
    assert given["token_type"] == "Bearer"
    assert int(given["expires_in"]) > 0
    listed = await stranger.get("/longshore/v1/services", headers=bearer(given["access_token"]))
    assert listed.status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"client_secret": "ls_wrong"},
        {"client_secret": ""},
        {"client_id": ""},
        {"grant_type": "password"},
        {"grant_type": ""},
    ],
)
async def test_wrong_client_credentials_are_400_and_never_401(
    rig: Services, stranger: httpx.AsyncClient, changed: dict[str, str]
) -> None:
    form = {
        "client_id": "anybody",
        "client_secret": rig.served.first.token,
        "grant_type": "client_credentials",
        **changed,
    }
    path = f"/auth/realms/{rig.tenant}/protocol/openid-connect/token"
    answer = await stranger.post(path, data=form)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert rig.served.first.token not in answer.text


async def test_a_key_of_another_tenant_or_an_odd_form_is_400(
    rig: Services, stranger: httpx.AsyncClient
) -> None:
    _, token = rig.served.other_organisation()
    path = f"/auth/realms/{rig.tenant}/protocol/openid-connect/token"
    form = {"client_id": "x", "client_secret": token, "grant_type": "client_credentials"}
    assert (await stranger.post(path, data=form)).status_code == 400
    for content in (b"", b"\xff\xfe", b"&".join([b"a=1"] * 50), b"{}"):
        answer = await stranger.post(path, content=content, headers=FORM)
        assert answer.status_code == 400, content
