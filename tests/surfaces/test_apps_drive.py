from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import pytest

from longshore.surfaces.apps.routes.drive import retry_config
from tests.surfaces.apps_rig import Platform


async def put(
    apps: Platform, rest: str, content: bytes = b"0123456789", workspace: str = "Team"
) -> str:
    path = apps.folder(rest, workspace)
    answer = await apps.client.put(f"/api/v2/files/{quote(path, safe='')}", content=content)
    assert answer.status_code == 204, answer.text
    return path


async def test_a_file_is_written_read_and_deleted_by_encoded_or_real_slashes(
    apps: Platform,
) -> None:
    path = await put(apps, "a folder/ü#.txt")

    for address in (quote(path, safe=""), quote(path), "/" + quote(path)):
        answer = await apps.client.get(
            f"/api/v2/files/{address}", headers={"Accept": "application/json"}
        )
        assert answer.status_code == 200
        assert answer.content == b"0123456789"
        assert answer.headers["content-type"] == "application/octet-stream"
    deleted = await apps.client.delete(f"/api/v2/files/{quote(path)}")
    assert deleted.status_code == 202
    assert (await apps.client.get(f"/api/v2/files/{quote(path)}")).status_code == 404
    await apps.jobs()
    job_address = deleted.headers["location"]
    assert (await apps.client.get(job_address)).json()["state"] == "COMPLETE"
    assert await apps.leftovers() == (0, [])


async def test_an_empty_file_of_the_drive_is_fine(apps: Platform) -> None:
    path = await put(apps, "empty", b"")

    assert (await apps.client.get(f"/api/v2/files/{path}")).content == b""


@pytest.mark.parametrize(
    ("wanted", "status", "content", "told"),
    [
        ("bytes=0-4", 206, b"01234", "bytes 0-4/10"),
        ("bytes=8-", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=5-100", 206, b"56789", "bytes 5-9/10"),
        ("nonsense", 200, b"0123456789", None),
        ("bytes=10-", 416, None, "bytes */10"),
    ],
)
async def test_a_range_gives_a_part(
    apps: Platform, wanted: str, status: int, content: bytes | None, told: str | None
) -> None:
    path = await put(apps, "ten")

    answer = await apps.client.get(f"/api/v2/files/{path}", headers={"Range": wanted})

    assert answer.status_code == status
    assert answer.headers.get("content-range") == told
    if content is not None:
        assert answer.content == content


async def test_head_writes_its_headers_in_the_case_of_the_samples(apps: Platform) -> None:
    path = await put(apps, "folder/ten")

    file = await apps.client.head(f"/api/v2/files/{path}")
    folder = await apps.client.head(f"/api/v2/files/{apps.folder('folder', 'Team')}")
    missing = await apps.client.head(f"/api/v2/files/{path}x")

    written = dict(file.headers.raw)
    assert written[b"Content-Type"] == b"application/octet-stream"
    assert written[b"Content-Length"] == b"10"
    assert written[b"last-modified"] == b"Tue, 14 Nov 2023 22:13:20 GMT"
    assert folder.status_code == 200
    assert dict(folder.headers.raw)[b"Content-Type"] == b"application/json"
    assert b"content-length" not in {name.lower() for name, _ in folder.headers.raw}
    assert missing.status_code == 404


async def test_if_none_match_writes_only_where_nothing_is(apps: Platform) -> None:
    address = f"/api/v2/files/{apps.folder('only', 'Team')}"
    headers = {"If-None-Match": "*"}

    made = await apps.client.put(address, content=b"first", headers=headers)
    refused = await apps.client.put(address, content=b"second", headers=headers)
    replaced = await apps.client.put(address, content=b"third")

    assert made.status_code == 201
    assert made.headers["location"].endswith("/only")
    assert refused.status_code == 412
    assert replaced.status_code == 204
    assert (await apps.client.get(address)).content == b"third"


async def test_a_folder_lists_its_children_once_each_in_pages(apps: Platform) -> None:
    for rest in ("x/a", "x/a-b", "x/f/1", "x/f/2", "x/f0", "x/g/h/i", "x/z", "y"):
        await put(apps, rest, b"1")
    address = f"/files/{apps.folder('x', 'team')}"
    found = []
    token = None
    while True:
        query = {"expect-node-type": "folder", "page_size": 2}
        page = await apps.get(address, **query, **({"start_token": token} if token else {}))
        found += [(node["name"], node["metadata"]["node_type"]) for node in page["nodes"]]
        token = page["next_page_token"]
        if not page["has_more"]:
            break

    assert found == [
        ("a", "file"),
        ("a-b", "file"),
        ("f", "folder"),
        ("f0", "file"),
        ("g", "folder"),
        ("z", "file"),
    ]
    await apps.get(address, 404)
    await apps.get(f"{address}/a", 404, **{"expect-node-type": "folder"})
    await apps.get(address, 400, **{"expect-node-type": "other"})
    await apps.get(f"/files/{apps.folder('none', 'Team')}", 404, **{"expect-node-type": "folder"})


async def test_deleting_is_fine_where_nothing_is_and_again(apps: Platform) -> None:
    path = await put(apps, "f/one")
    await put(apps, "f/two")
    folder = f"/api/v2/files/{apps.folder('f', 'Team')}"

    first = await apps.client.delete(folder)
    second = await apps.client.delete(folder)
    await apps.jobs()
    third = await apps.client.delete(folder)
    never = await apps.client.delete(f"/api/v2/files/{apps.folder('never', 'Nowhere')}")
    await apps.jobs()

    assert first.status_code == second.status_code == third.status_code == never.status_code == 202
    assert first.json() == second.json() == third.json()
    assert (await apps.job(first.json()["job_id"]))["objects"] == 2
    assert (await apps.job(never.json()["job_id"]))["state"] == "COMPLETE"
    assert (await apps.client.get(f"/api/v2/files/{path}")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "{org}/Team/fs/Instabase Drive/../../../etc/passwd",
        "{org}/Team/fs/Instabase Drive/a/../b",
        "{org}/Team/fs/Other Drive/a",
        "{org}/Team/xx/Instabase Drive/a",
        "{org}/Team",
        "",
        "{org}/Team/fs/Instabase Drive",
        "{org}/../fs/Instabase Drive/a",
        "{org}/Team/fs/Instabase Drive/batches/99/a",
        "{org}/Team/fs/Instabase Drive/batches/a",
        "{org}/Team/fs/Instabase Drive/" + "n" * 256,
        "{org}/Team/fs/Instabase Drive/" + "/".join(["deep"] * 600),
        "og_another/Team/fs/Instabase Drive/a",
    ],
)
async def test_a_path_that_leads_astray_is_refused(apps: Platform, path: str) -> None:
    whole = quote(path.format(org=apps.organisation_id), safe="").replace(".", "%2E")

    answer = await apps.client.put(f"/api/v2/files/{whole}", content=b"x")

    assert answer.status_code in (400, 404, 413)
    assert answer.json()["message"]
    assert await apps.leftovers() == (0, [])


async def test_a_name_is_a_file_or_a_folder_never_both(apps: Platform) -> None:
    path = await put(apps, "a/b")

    below = await apps.client.put(f"/api/v2/files/{path}/c", content=b"x")
    above = await apps.client.put(f"/api/v2/files/{apps.folder('a', 'Team')}", content=b"x")

    assert below.status_code == above.status_code == 409
    assert "is a file" in below.json()["message"]
    assert "is a folder" in above.json()["message"]


async def test_a_file_written_into_the_folder_of_a_batch_belongs_to_it(apps: Platform) -> None:
    batch_id = await apps.batch(workspace="Team")

    await put(apps, f"batches/{batch_id}/new.jpg", workspace="TEAM")

    assert [node["name"] for node in (await apps.get(f"/batches/{batch_id}/files"))["nodes"]] == [
        "new.jpg"
    ]


async def test_a_read_waits_for_a_file_as_long_as_it_is_told(apps: Platform) -> None:
    path = apps.folder("late", "Team")
    headers = {"IB-Retry-Config": json.dumps({"retries": 200, "backoff-seconds": 0.05})}
    waiting = asyncio.create_task(apps.client.get(f"/api/v2/files/{path}", headers=headers))
    await put(apps, "late")

    assert (await waiting).content == b"0123456789"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, (0, 0.0)),
        ("", (0, 0.0)),
        ("{retries: 3, backoff-seconds: 2}", (3, 2.0)),
        ("{'retries': 3, 'backoff-seconds': 2}", (3, 2.0)),
        ('{"retries": 3, "backoff-seconds": 0.5}', (3, 0.5)),
        ("retries=2", (2, 1.0)),
        ("backoff-seconds: 3", (0, 0.0)),
        ("retries: 999999, backoff-seconds: 10", (3, 10.0)),
        ("retries: 999999, backoff-seconds: 0", (600, 0.05)),
        ("retries: 5, backoff-seconds: 999", (1, 30.0)),
    ],
)
def test_the_retry_header_is_read_in_all_its_spellings(
    header: str | None, expected: tuple[int, float]
) -> None:
    assert retry_config(header) == expected
