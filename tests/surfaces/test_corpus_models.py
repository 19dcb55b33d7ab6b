"""Models, and versions that come in one request, as the client 0.4.0 publishes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from longshore import ids
from longshore.access import Role
from longshore.clock import ManualClock
from longshore.storage import Database
from longshore.surfaces.corpus.tables import corpus_worker_runs
from tests.surfaces.corpus_tasks_rig import bearer, run_task
from tests.surfaces.models_rig import ARCHIVE, CONTENT_HASH, Rig, md5_base64, model_of


@pytest.fixture
async def rig(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Rig]:
    async with model_of(database, clock, tmp_path) as made:
        yield made


async def test_a_version_comes_in_one_request_and_is_made_available(rig: Rig) -> None:
    made = await rig.create(tag="v1", description="d", configuration={"lr": 0.1})
    assert (made["state"], made["model_id"]) == ("created", rig.model_id)
    assert made["s3_put_url"].startswith("http://test/api/v1/uploads/")
    got = await rig.put(made["s3_put_url"], **{"Content-Type": "application/zstd"})
    assert got.status_code == 200
    assert (await rig.version(made["id"]))["state"] == "created"
    done = await rig.validate(made["id"])
    assert (done["id"], done["state"], done["hash"]) == (made["id"], "available", CONTENT_HASH)
    shown = await rig.version(made["id"])
    assert (shown["tag"], shown["configuration"]) == ("v1", {"lr": 0.1})
    assert shown["model"]["name"] == "Reader"
    fetched = await rig.archive(made["id"])
    assert fetched.content == ARCHIVE
    assert fetched.headers["content-type"] == "application/zstd"


async def test_a_version_with_known_content_names_the_one_that_is_there(rig: Rig) -> None:
    existing = await rig.published()
    made = await rig.create()
    await rig.put(made["s3_put_url"])
    refused = await rig.validate(made["id"], expect=400)
    # The client takes the last of this list, deletes the version that it made, and goes on.
    assert refused["id"] == [existing]
    await rig.call("DELETE", f"/modelversion/{made['id']}/", expect=204)
    assert (await rig.version(existing))["state"] == "available"
    await rig.call("GET", f"/modelversion/{made['id']}/", expect=404)
    assert rig.stored() == 1


async def test_another_model_may_have_the_same_content(rig: Rig) -> None:
    await rig.published()
    other = await rig.call("POST", "/models/", body={"name": "Other"}, expect=201)
    rig.model_id = other["id"]
    await rig.published()


@pytest.mark.parametrize(
    ("fields", "attr"),
    [
        ({"size": len(ARCHIVE) + 1}, "size"),
        ({"archive_hash": "0" * 32}, "archive_hash"),
        ({"archive_hash": "nonsense"}, "archive_hash"),
        ({"hash": "nonsense"}, "hash"),
        ({"state": "Available"}, "state"),
        ({"size": 0}, "size"),
    ],
)
async def test_a_version_with_a_wrong_hash_or_size_is_not_made_available(
    rig: Rig, fields: dict[str, Any], attr: str
) -> None:
    made = await rig.create()
    await rig.put(made["s3_put_url"])
    refused = await rig.validate(made["id"], expect=400, **fields)
    assert refused["errors"][0]["attr"] == [attr]
    assert (await rig.version(made["id"]))["state"] == "created"
    await rig.validate(made["id"])


async def test_a_version_without_its_archive_is_not_made_available(rig: Rig) -> None:
    made = await rig.create()
    refused = await rig.validate(made["id"], expect=400)
    assert "has not come" in refused["detail"]
    assert "id" not in refused


async def test_a_taken_tag_is_refused_in_the_words_that_the_client_knows(rig: Rig) -> None:
    await rig.create(tag="best")
    refused = await rig.create(tag="best", expect=400)
    words = "A version for this model with this tag already exists."
    assert words in refused["non_field_errors"]
    other = await rig.create(tag="other")
    body = {"tag": "best"}
    await rig.call("PUT", f"/modelversion/{other['id']}/", body=body, expect=400)
    await rig.call("PUT", f"/modelversion/{other['id']}/", body={"tag": "other"})


async def test_a_changed_version_still_has_an_address_for_its_archive(rig: Rig) -> None:
    made = await rig.create()
    path = f"/modelversion/{made['id']}/"
    changed = await rig.call("PUT", path, body={"description": "x", "parent": None})
    assert changed["description"] == "x"
    assert (await rig.put(made["s3_put_url"])).status_code == 404
    assert (await rig.put(changed["s3_put_url"])).status_code == 200
    await rig.validate(made["id"])
    after = await rig.call("PUT", path, body={"description": "y"})
    assert (after["description"], after["s3_put_url"], after["state"]) == ("y", None, "available")


async def test_an_available_version_keeps_its_archive(rig: Rig) -> None:
    version_id = await rig.published()
    for body in ({"archive_hash": "0" * 32}, {"size": 1}, {"hash": "0" * 32}, {"state": "error"}):
        refused = await rig.call("PATCH", f"/modelversion/{version_id}/", body=body, expect=400)
        assert refused["errors"][0]["code"] == "immutable"
    await rig.begin(version_id, expect=400)
    await rig.validate(version_id)


async def test_a_version_that_a_worker_run_uses_is_not_deleted(rig: Rig) -> None:
    version_id = await rig.published()

    def use(connection: Any) -> None:
        connection.execute(
            corpus_worker_runs.insert().values(
                id=ids.uuid(),
                process_id=ids.uuid(),
                worker_version_id=ids.uuid(),
                run_key="x",
                model_version_id=version_id,
                parents="[]",
                summary="",
                position=0,
            )
        )

    rig.corpora.database.write_blocking(use)
    await rig.call("DELETE", f"/modelversion/{version_id}/", expect=409)


async def test_models_are_listed_with_their_versions(rig: Rig) -> None:
    one, two = await rig.create(tag="1"), await rig.create(parent=None)
    page = await rig.call("GET", f"/model/{rig.model_id}/versions/")
    assert [each["id"] for each in page["results"]] == [two["id"], one["id"]]
    child = await rig.create(parent=one["id"])
    assert child["parent"] == one["id"]
    await rig.call("DELETE", f"/modelversion/{one['id']}/", expect=204)
    assert (await rig.version(child["id"]))["parent"] is None
    await rig.call("POST", "/models/", body={"name": "Classifier"}, expect=201)
    page = await rig.call("GET", "/models/")
    assert [each["name"] for each in page["results"]] == ["Classifier", "Reader"]
    page = await rig.call("GET", "/models/", params={"name": "READ"})
    assert [each["name"] for each in page["results"]] == ["Reader"]


async def test_bad_input_names_its_field(rig: Rig) -> None:
    for body in ({"name": ""}, {"name": "x" * 101}, {"name": "Reader"}, {"name": 1}, {}):
        refused = await rig.call("POST", "/models/", body=body, expect=400)
        assert refused["errors"][0]["attr"] == ["name"]
    for name, value in (
        ("parent", ids.uuid()), ("parent", "nonsense"), ("tag", ""), ("tag", "x" * 51),
        ("size", -1), ("archive_hash", "x"), ("configuration", {"x": "y" * 70_000}),
        ("configuration", []),
    ):  # fmt: skip
        refused = await rig.create(**{name: value}, expect=400)
        assert refused["errors"][0]["attr"] == [name], refused
    made = await rig.create()
    for name, value in (
        ("object_type", "artifact"), ("object_id", ids.uuid()), ("object_id", "x"),
        ("checksum_algorithm", "sha256"),
    ):  # fmt: skip
        body = {**rig.about(made["id"]), name: value}
        refused = await rig.call("POST", "/upload/multipart/", body=body, expect=400)
        assert refused["errors"][0]["attr"] == [name]
    upload_id = await rig.begin(made["id"])
    for name, part in (("part_number", 0), ("part_number", 10_001), ("md5_hash", "x")):
        body = rig.about(made["id"], upload_id, part_number=1, md5_hash=md5_base64(b""))
        path = "/upload/multipart/part/"
        refused = await rig.call("POST", path, body={**body, name: part}, expect=400)
        assert refused["errors"][0]["attr"] == [name]


async def test_tasks_publish_and_viewers_and_others_do_not(rig: Rig) -> None:
    task = run_task(rig.corpora, rig.corpora.corpus())
    path = f"/model/{rig.model_id}/versions/"
    made = await rig.call("POST", path, body={}, headers=task.headers, expect=201)
    viewer = bearer(rig.corpora.served.token(Role.VIEWER))
    await rig.call("POST", path, body={}, headers=viewer, expect=403)
    await rig.call("GET", f"/modelversion/{made['id']}/", headers=viewer)
    _, other = rig.corpora.served.other_organisation()
    for headers in (bearer(other),):
        await rig.call("POST", path, body={}, headers=headers, expect=404)
        await rig.call("GET", path, headers=headers, expect=404)
        version = f"/modelversion/{made['id']}/"
        told = await rig.call("GET", version, headers=headers, expect=404)
        nothing = f"/modelversion/{ids.uuid()}/"
        words = (await rig.call("GET", nothing, expect=404))["detail"]
        assert told["detail"].replace(made["id"], "") == words.replace(nothing[14:-1], "")
        await rig.call("PATCH", version, body={"tag": "x"}, headers=headers, expect=404)
        await rig.call("DELETE", version, headers=headers, expect=404)
        body = rig.about(made["id"])
        await rig.call("POST", "/upload/multipart/", body=body, headers=headers, expect=400)
        upload_id = await rig.begin(made["id"])
        body = rig.about(made["id"], upload_id, part_number=1, md5_hash=md5_base64(b""))
        await rig.call("POST", "/upload/multipart/part/", body=body, headers=headers, expect=404)
