from __future__ import annotations

from urllib.parse import quote

import pytest

from longshore import limits
from longshore.access import Role
from longshore.clock import ManualClock
from tests.surfaces.apps_rig import Platform
from tests.unit.serving import bearer

ODD_NAMES = [
    "a b/ü#?.pdf",
    "日本語.png",
    "%2e%2e",
    "CON",
    "x" * 251 + ".jpg",
    "quote\"'`;--.jpg",
    "trailing space ",
    "emoji 🧾.jpg",
    "dots...jpg",
    "a+b&c=d.jpg",
]
BAD_NAMES = [
    "",
    " ",
    "../up.jpg",
    "a/../../up.jpg",
    "..",
    ".",
    "/etc/passwd",
    "a//b",
    "a/",
    "..\\up.jpg",
    "line\nbreak",
    "del\x7f",
]


async def test_creating_a_batch_makes_its_workspace_and_info_tells_all(
    apps: Platform, clock: ManualClock
) -> None:
    batch_id = await apps.batch(workspace="SDK-Tutorial")

    info = await apps.get(f"/batches/{batch_id}")

    assert info["id"] == batch_id
    assert info["name"] == "receipts"
    assert info["workspace"] == "SDK-Tutorial"
    assert info["mount_point"] == "Instabase Drive"
    assert info["repo_owner"] == "local"
    assert info["created_at_ms"] == clock.now_us() // 1_000
    assert info["path_suffix"] == f"batches/{batch_id}"
    assert info["path"] == apps.folder(f"batches/{batch_id}", "SDK-Tutorial")
    again = await apps.batch(workspace="sdk-tutorial")
    assert (await apps.get(f"/batches/{again}"))["workspace"] == "SDK-Tutorial"


@pytest.mark.parametrize("name", ["", "n" * 256, None, 5, "nul\x00", "a\nb"])
async def test_a_batch_needs_a_proper_name(apps: Platform, name: object) -> None:
    answer = await apps.client.post("/api/v2/batches", json={"name": name})

    assert answer.status_code in (400, 413)
    assert answer.json()["message"]
    assert (await apps.get("/batches"))["batches"] == []


async def test_batches_are_listed_newest_first_in_pages(apps: Platform) -> None:
    first = await apps.batch()
    second = await apps.batch(workspace="Team")
    third = await apps.batch()

    async def ids(**query: object) -> list[int]:
        return [each["id"] for each in (await apps.get("/batches", **query))["batches"]]

    assert await ids() == [third, second, first]
    assert await ids(limit=1, offset=1) == [second]
    assert await ids(workspace="Team") == [second]
    assert await ids(username="nobody") == []
    assert await ids(limit=10**9) == [third, second, first]
    await apps.get("/batches", 400, limit=-1)


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_a_file_keeps_its_name_whatever_it_is(apps: Platform, name: str) -> None:
    batch_id = await apps.batch()

    put = await apps.client.put(
        f"/api/v2/batches/{batch_id}/files/{quote(name, safe='')}", content=b"12345"
    )

    assert put.status_code == 204
    assert put.content == b""
    [node] = (await apps.get(f"/batches/{batch_id}/files"))["nodes"]
    assert node["name"] == name
    assert node["full_path"] == apps.folder(f"batches/{batch_id}/") + "/" + name
    assert node["metadata"]["node_type"] == "file"
    assert node["metadata"]["size"] == 5
    read = await apps.client.get(f"/api/v2/files/{quote(node['full_path'], safe='')}")
    assert read.content == b"12345"
    assert read.headers["content-type"] == "application/octet-stream"
    # The blob is named by the server: nothing of the name is on the disk.
    _, blobs = await apps.leftovers()
    assert all(blob.startswith("bl_") for blob in blobs)


@pytest.mark.parametrize("name", [*BAD_NAMES, "n" * 256, "ü" * 256])
async def test_a_name_that_is_no_name_is_refused_and_nothing_written(
    apps: Platform, name: str
) -> None:
    batch_id = await apps.batch()

    escaped = quote(name, safe="").replace(".", "%2E")
    put = await apps.client.put(f"/api/v2/batches/{batch_id}/files/{escaped}", content=b"x")

    # No route has an address with a line break in it, so that one is not found.
    assert put.status_code == (404 if "\n" in name else 413 if len(name) > 255 else 400)
    assert put.json()["message"]
    assert (await apps.get(f"/batches/{batch_id}/files"))["nodes"] == []
    assert await apps.leftovers() == (0, [])


async def test_nul_and_broken_utf8_in_a_name_are_refused(apps: Platform) -> None:
    batch_id = await apps.batch()
    for escaped in ("a%00b", "a%FFb%ED%A0%80"):
        put = await apps.client.put(f"/api/v2/batches/{batch_id}/files/{escaped}", content=b"x")
        assert put.status_code in (204, 400), put.text
        listed = (await apps.get(f"/batches/{batch_id}/files"))["nodes"]
        # Bytes that are no UTF-8 are replaced by the HTTP server; NUL never passes.
        assert not any("\0" in node["name"] for node in listed)


async def test_an_empty_file_is_refused_with_the_reason(apps: Platform) -> None:
    batch_id = await apps.batch()

    async def nothing() -> object:
        for chunk in (b"", b""):
            yield chunk

    for content in (b"", nothing()):
        put = await apps.client.put(f"/api/v2/batches/{batch_id}/files/a.jpg", content=content)  # type: ignore[arg-type]
        assert put.status_code == 400
        assert "is empty" in put.json()["message"]
    assert (await apps.get(f"/batches/{batch_id}/files"))["nodes"] == []


async def test_the_same_name_again_replaces_the_file_and_its_bytes(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg", content=b"old")
    await apps.client.put(f"/api/v2/batches/{batch_id}/files/a.jpg", content=b"newer")

    [node] = (await apps.get(f"/batches/{batch_id}/files"))["nodes"]

    assert node["metadata"]["size"] == 5
    assert (await apps.leftovers())[0] == 1
    read = await apps.client.get(f"/api/v2/files/{node['full_path']}")
    assert read.content == b"newer"


async def test_a_file_over_the_limit_is_refused_before_it_is_read(
    apps: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = await apps.batch()
    monkeypatch.setattr(limits, "FILE_BYTES", 1_000)

    async def endless() -> object:
        while True:
            yield b"x" * 600

    for content in (b"x" * 1_001, endless()):
        put = await apps.client.put(f"/api/v2/batches/{batch_id}/files/a", content=content)  # type: ignore[arg-type]
        assert put.status_code == 413
        assert "1000" in put.json()["message"]
    assert await apps.leftovers() == (0, [])


async def test_files_are_listed_in_pages_by_token(apps: Platform) -> None:
    names = sorted(f"{letter}/{number}.jpg" for letter in "äab" for number in range(3))
    batch_id = await apps.batch(*names)
    found: list[str] = []
    token: str | None = None
    pages = 0
    while True:
        query = {"page_size": 4, **({"start_token": token} if token else {})}
        page = await apps.get(f"/batches/{batch_id}/files", **query)
        found += [node["name"] for node in page["nodes"]]
        pages += 1
        token = page["next_page_token"]
        if not page["has_more"]:
            break

    assert found == names
    assert pages == 3
    assert token is None
    for query in (
        {"page_size": 0},
        {"page_size": "x"},
        {"start_token": "%%%"},
        {"start_token": "AA=="},
    ):
        await apps.get(f"/batches/{batch_id}/files", 400, **query)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/files"),
        ("PUT", "/files/a"),
        ("DELETE", "/files/a"),
    ],
)
async def test_an_unknown_batch_is_not_found(apps: Platform, method: str, path: str) -> None:
    for batch_id, status in (("99", 404), (str(10**25), 404), ("x", 400), ("-1", 400)):
        answer = await apps.client.request(
            method, f"/api/v2/batches/{batch_id}{path}", content=b"x"
        )
        assert answer.status_code == status
        assert "batch" in answer.json()["message"]


async def test_deleting_a_file_gives_a_job_and_again_the_same_one(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg", "b.jpg", content=b"12345")
    path = f"/api/v2/batches/{batch_id}/files/a.jpg"

    first = await apps.client.delete(path)
    second = await apps.client.delete(path)
    never = await apps.client.delete(f"/api/v2/batches/{batch_id}/files/never.jpg")

    assert first.status_code == second.status_code == 202
    job_id = first.json()["job_id"]
    assert second.json()["job_id"] == job_id
    assert first.headers["location"] == f"http://test/api/v2/jobs/{job_id}"
    assert never.status_code == 404
    assert [node["name"] for node in (await apps.get(f"/batches/{batch_id}/files"))["nodes"]] == [
        "b.jpg"
    ]
    assert (await apps.job(job_id))["state"] == "PENDING"
    await apps.jobs()
    assert await apps.job(job_id) == {
        "state": "COMPLETE",
        "message": "Deleted 1 rows and 1 objects of 5 bytes.",
        "rows": 1,
        "objects": 1,
        "bytes": 5,
    }
    # The same name may come again, and its deletion is another job.
    await apps.client.put(path, content=b"x")
    assert (await apps.client.delete(path)).json()["job_id"] != job_id


async def test_deleting_a_batch_removes_files_uploads_and_the_batch(apps: Platform) -> None:
    batch_id = await apps.batch(*[f"{number}.jpg" for number in range(105)], content=b"12345")
    session = await apps.client.post(
        "/api/v2/batches/multipart-upload",
        json={"batch_id": batch_id, "filename": "large", "file_size": 3},
    )
    await apps.client.put(
        f"/api/v2/batches/multipart-upload/sessions/{session.json()['session_id']}/parts/1",
        content=b"abc",
    )

    deleted = await apps.client.delete(f"/api/v2/batches/{batch_id}")
    again = await apps.client.delete(f"/api/v2/batches/{batch_id}")

    job_id = deleted.json()["job_id"]
    assert deleted.status_code == again.status_code == 202
    assert again.json() == {"job_id": job_id}
    assert deleted.headers["location"] == f"http://test/api/v2/jobs/{job_id}"
    put = await apps.client.put(f"/api/v2/batches/{batch_id}/files/new", content=b"x")
    assert put.status_code == 409
    run = await apps.client.post(
        "/api/v2/apps/runs", json={"app_name": "Meal Receipt", "batch_id": batch_id}
    )
    assert run.status_code == 409
    assert "being deleted" in run.json()["message"]
    await apps.jobs()
    # 105 files, a session with one part, and the batch.
    job = await apps.get(f"/batches/jobs/{job_id}")
    assert (job["rows"], job["objects"], job["bytes"]) == (108, 106, 105 * 5 + 3)
    assert await apps.leftovers() == (0, [])
    await apps.get(f"/batches/{batch_id}", 404)
    third = await apps.client.delete(f"/api/v2/batches/{batch_id}")
    assert (third.status_code, third.json()) == (202, {"job_id": job_id})
    assert await apps.batch() > batch_id


async def test_a_batch_is_not_deleted_under_a_running_run(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg")
    run = await apps.start(batch_id=batch_id)

    refused = await apps.client.delete(f"/api/v2/batches/{batch_id}")

    assert refused.status_code == 409
    assert run["id"] in refused.json()["message"]
    apps.work()
    await apps.jobs()
    assert (await apps.client.delete(f"/api/v2/batches/{batch_id}")).status_code == 202


async def test_a_key_of_a_workspace_reaches_only_that(apps: Platform) -> None:
    team = await apps.batch("a.jpg", workspace="Team")
    other = await apps.batch("a.jpg")
    headers = bearer(apps.served.token(Role.OPERATOR, workspace="team"))

    async def ask(method: str, path: str, **more: object) -> int:
        answer = await apps.client.request(method, f"/api/v2{path}", headers=headers, **more)  # type: ignore[arg-type]
        return answer.status_code

    assert await ask("GET", f"/batches/{team}") == 200
    assert await ask("GET", f"/batches/{other}") == 404
    assert await ask("PUT", f"/batches/{other}/files/b", content=b"x") == 404
    assert await ask("DELETE", f"/batches/{other}") == 404
    assert await ask("POST", "/batches", json={"name": "x", "workspace": "Else"}) == 403
    assert await ask("POST", "/batches", json={"name": "x"}) == 200
    assert (
        await ask("POST", "/apps/runs", json={"app_name": "Meal Receipt", "batch_id": other}) == 404
    )
    assert await ask("GET", f"/files/{apps.folder(f'batches/{other}/a.jpg')}") == 404
    assert await ask("GET", f"/files/{apps.folder(f'batches/{team}/a.jpg', 'Team')}") == 200
    listed = await apps.client.get("/api/v2/batches", headers=headers)
    assert {each["workspace"] for each in listed.json()["batches"]} == {"Team"}


async def test_a_viewer_reads_and_changes_nothing(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg")
    headers = bearer(apps.served.token(Role.VIEWER))

    listed = await apps.client.get(f"/api/v2/batches/{batch_id}/files", headers=headers)

    assert listed.json()["nodes"][0]["perms"] == {
        "can_read": True,
        "can_write": False,
        "can_delete": False,
    }
    for method, path in (
        ("POST", "/batches"),
        ("DELETE", f"/batches/{batch_id}"),
        ("PUT", f"/batches/{batch_id}/files/a.jpg"),
        ("POST", "/apps/runs"),
    ):
        refused = await apps.client.request(
            method, f"/api/v2{path}", headers=headers, content=b"{}"
        )
        assert refused.status_code == 403


async def test_both_roots_and_double_slashes_reach_the_same_batch(apps: Platform) -> None:
    batch_id = await apps.batch()

    for root in ("/api/v2", "/v2", "/api//v2"):
        answer = await apps.client.get(f"http://test{root}/batches/{batch_id}")
        assert answer.status_code == 200
