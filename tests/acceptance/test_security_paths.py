"""X7 and X8: names that try to leave the data directory, and links planted in the blob store."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from longshore import ids
from longshore.errors import CorruptData
from longshore.storage.blobs import open_blobs
from tests.acceptance import raw
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour, wait_for_apps
from tests.acceptance.harness import Server

BLOB = re.compile(r"[0-9a-z]{2}/bl_[0-9a-z]{26}")
REFUSALS = {400, 404, 413}
SECRET = b"root:x:0:0 the secret of the machine"

# As they stand in the request line: nothing between the test and the server puts them in order.
TARGETS = {
    "dots": "../../escaped.txt",
    "encoded slashes": "..%2F..%2Fescaped.txt",
    "encoded dots": "%2e%2e/%2e%2e/escaped.txt",
    "encoded dots and slashes": "%2e%2e%2f%2e%2e%2fescaped.txt",
    "twice encoded": "%252e%252e%252fescaped.txt",
    "backslashes": "..%5C..%5Cescaped.txt",
    "absolute": "%2Fetc%2Fescaped.txt",
    "absolute on Windows": "C%3A%5Cescaped.txt",
    "nul": "escaped.txt%00.jpg",
    "newline": "escaped%0A.txt",
    "unicode dots": quote("\u2024\u2024/\uff0e\uff0e/escaped.txt", safe=""),
    "overlong": "%c0%ae%c0%ae%c0%afescaped.txt",
    "300 characters": "x" * 300,
    "300 wide characters": quote("\u6587" * 300, safe=""),
    "CON": "CON",
    "tilde": "~root",
    "one dot": "%2e",
    "dollar": "$(touch%20escaped.txt)",
    "bidirectional": quote("safe\u202etxt.exe", safe=""),
}


def _outside(server: Server) -> dict[str, bytes]:
    """Return the content of all that lies beside the blobs and above the data directory."""
    skipped = ("longshore.db", "-server.log")
    found: dict[str, bytes] = {}
    for path in server.data.parent.rglob("*"):
        if path.is_relative_to(server.data / "blobs") or any(word in path.name for word in skipped):
            continue
        found[str(path)] = path.read_bytes() if path.is_file() else b""
    return found


def _names(user: User, batch_id: int) -> set[str]:
    return {node["name"] for node in user.get(f"/api/v2/batches/{batch_id}/files")["nodes"]}


def _check_blobs(server: Server) -> None:
    root = server.data / "blobs"
    for path in root.rglob("*"):
        if path.is_file():
            assert BLOB.fullmatch(path.relative_to(root).as_posix()), path


def test_a_files_name_is_never_a_path_of_the_server(server: Server, user: User) -> None:
    batch_id = user.create_batch()
    before = _outside(server)
    for what, target in TARGETS.items():
        named = _names(user, batch_id)
        answer = raw.ask(
            server, "PUT", f"/api/v2/batches/{batch_id}/files/{target}", b"hello", key=server.key
        )
        if answer.status == 204:
            assert _names(user, batch_id) == named | {unquote(target)}, f"{what} was altered"
        else:
            assert answer.status in REFUSALS, f"{what} -> {answer.status} {answer.body!r}"
            assert answer.json()["message"], what
            assert _names(user, batch_id) == named, f"{what} was refused and stored"
    assert _outside(server) == before
    _check_blobs(server)
    stored = _names(user, batch_id)
    refused = {what for what, target in TARGETS.items() if unquote(target) not in stored}
    assert refused >= {"dots", "encoded dots", "backslashes", "nul", "300 characters"}


def test_a_multipart_uploads_name_is_never_a_path_of_the_server(server: Server, user: User) -> None:
    batch_id = user.create_batch()
    before = _outside(server)
    for what, target in TARGETS.items():
        name = unquote(target, errors="surrogateescape").encode("utf-8", "replace").decode()
        body = {"batch_id": batch_id, "filename": name, "file_size": 5}
        answer = user.http.post("/api/v2/batches/multipart-upload", json=body)
        if answer.status_code != 201:
            assert answer.status_code in REFUSALS, f"{what} -> {answer.status_code} {answer.text}"
            continue
        session = f"/api/v2/batches/multipart-upload/sessions/{answer.json()['session_id']}"
        part = user.ask("PUT", f"{session}/parts/1", content=b"hello", expect=(201,)).json()
        commit = {"action": "commit", "parts": [part]}
        user.ask("POST", session, json=commit, expect=(201, 204))
        assert name in _names(user, batch_id), what
    assert not any(".." in name.split("/") for name in _names(user, batch_id))
    assert _outside(server) == before
    _check_blobs(server)


def test_a_path_of_the_drive_never_leaves_the_organisation(server: Server, user: User) -> None:
    organisation = server.credentials["organisation_id"]
    drive = f"{organisation}/personal/fs/Instabase%20Drive"
    user.batch_of({"a.txt": b"text"})
    before = _outside(server)
    targets = [f"{drive}/{target}" for target in TARGETS.values()]
    targets += list(TARGETS.values())
    targets += [
        f"{drive}/../../../../etc/passwd",
        f"{organisation}/../{organisation}/personal/fs/Instabase%20Drive/x.txt",
        f"/{organisation}/personal/fs/Other%20Drive/x.txt",
        "etc/passwd",
        f"{organisation}/personal/fs/Instabase%20Drive/batches/999/x.txt",
    ]
    for target in targets:
        written = raw.ask(server, "PUT", f"/api/v2/files/{target}", b"hello", key=server.key)
        assert written.status in REFUSALS | {201, 204, 405, 409}, f"{target} -> {written.status}"
        read = raw.ask(
            server, "GET", f"/api/v2/files/{target}?expect-node-type=file", key=server.key
        )
        if written.status in (201, 204):
            assert (read.status, read.body) == (200, b"hello"), target
        else:
            assert read.status in REFUSALS | {200}, f"{target} -> {read.status}"
            # A path that means the drive itself lists it; nothing gives a file of the machine.
            assert b"root:" not in read.body, target
    assert _outside(server) == before
    _check_blobs(server)


def test_an_app_gets_a_file_with_an_odd_name_and_writes_nowhere_else(
    harbour: Harbour, server: Server, user: User
) -> None:
    harbour.worker(server).start()
    wait_for_apps(user, ["Echo"])
    before = _outside(server).keys()
    names = ["CON", "~root", "a b/c d.txt", "\u2024\u2024/\uff0e\uff0e", "x" * 255, "$(touch x)"]
    run_id = user.run_files("Echo", dict.fromkeys(names, b"text"))
    assert user.finished(run_id, within_s=30.0)["status"] == "COMPLETE"
    assert {name: values["text"] for name, values in user.values(run_id).items()} == dict.fromkeys(
        names, "text"
    )
    new = {path for path in _outside(server).keys() - before if "worker" not in path}
    assert not new


@pytest.mark.parametrize("kind", ["file", "directory", "dangling"])
def test_a_link_planted_in_the_blob_store_is_not_followed(
    server: Server, user: User, tmp_path: Path, kind: str
) -> None:
    before = set((server.data / "blobs").rglob("bl_*"))
    batch_id = user.batch_of({"a.txt": b"x" * len(SECRET)})
    (stored,) = set((server.data / "blobs").rglob("bl_*")) - before
    blob_id = stored.name
    outside = tmp_path / "outside"
    outside.mkdir()
    stored.unlink()
    if kind == "directory":
        (outside / blob_id).write_bytes(SECRET)
        stored.parent.rename(tmp_path / "moved")
        stored.parent.symlink_to(outside)
    else:
        if kind == "file":
            (outside / "secret").write_bytes(SECRET)
        stored.symlink_to(outside / "secret")

    node = user.get(f"/api/v2/batches/{batch_id}/files")["nodes"][0]
    for path in (
        f"/api/v2/files/{quote(node['full_path'], safe='')}",
        f"/longshore/v1/blobs/{blob_id}",
    ):
        for headers in ({}, {"Range": "bytes=0-9"}):
            answer = user.http.get(path, headers=headers)
            assert answer.status_code in (404, 500), f"{path} -> {answer.status_code}"
            assert SECRET[:10] not in answer.content
    # Writing and deleting do not go through the link either.
    user.add_file(batch_id, "b.txt", b"text")
    answer = user.http.delete(f"/api/v2/batches/{batch_id}")
    assert answer.status_code == 202, answer.text
    user.job_done(answer.json()["job_id"])
    if kind == "file":
        assert (outside / "secret").read_bytes() == SECRET
    assert user.http.get("/readyz").status_code == 200


async def test_a_directory_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    blobs = open_blobs(str(tmp_path / "blobs"))
    blob_id = ids.new(ids.BLOB)
    (tmp_path / "blobs" / blob_id[-2:]).symlink_to(outside)

    async def content() -> AsyncIterator[bytes]:
        yield b"text"

    with pytest.raises(CorruptData, match="is a link"):
        await blobs.put(blob_id, content(), limit_bytes=100)
    assert not list(outside.iterdir())
