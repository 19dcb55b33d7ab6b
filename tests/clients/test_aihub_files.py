from __future__ import annotations

from pathlib import Path

import pytest
from aihub.exceptions import ApiException, BadRequestException, NotFoundException

from tests.acceptance.harness import eventually
from tests.clients.conftest import FINISH_S, Hub


def test_a_file_is_written_read_in_parts_and_deleted(hub: Hub, tmp_path: Path) -> None:
    files = hub.client.files
    path = hub.folder("notes/ü b#.txt", "My Work")
    local = tmp_path / "local"
    local.write_bytes(b"from a path")

    files.write(path, b"0123456789")

    assert files.read(path) == b"0123456789"
    assert files.read("/" + path, expect_node_type="file", range="bytes=2-4") == b"234"
    with pytest.raises(ApiException) as outside:
        files.read(path, range="bytes=100-")
    assert outside.value.status == 416
    files.write(path, str(local))
    assert files.read(path, ib_retry_config="{retries: 1, backoff-seconds: 1}") == b"from a path"
    files.delete(path)
    files.delete(path)
    with pytest.raises(NotFoundException):
        files.read(path)


def test_the_sample_that_reads_metadata_finds_its_headers(hub: Hub) -> None:
    path = hub.folder("meta/file.bin")
    hub.client.files.write(path, b"12345")

    file = hub.client.files.get_file_metadata(path)
    folder = hub.client.files.get_file_metadata(hub.folder("meta"))

    # The headers come in a plain dictionary, in the case in which the server wrote them.
    assert file.status_code == folder.status_code == 200
    assert file.headers["Content-Type"] == "application/octet-stream"
    assert file.headers["Content-Length"] == "5"
    assert file.headers["last-modified"].endswith(" GMT")
    assert folder.headers["Content-Type"] == "application/json"
    with pytest.raises(NotFoundException):
        hub.client.files.get_file_metadata(hub.folder("meta/none"))


def test_a_folder_is_listed_and_deleted_whole(hub: Hub) -> None:
    for name in ("a", "b/c"):
        hub.client.files.write(hub.folder(f"tree/{name}"), b"x")

    listed = hub.client.files.read(hub.folder("tree"), expect_node_type="folder")

    assert b'"name":"a"' in listed
    assert b'"node_type":"folder"' in listed
    hub.client.files.delete(hub.folder("tree"))

    def gone() -> bool:
        try:
            hub.client.files.read(hub.folder("tree"), expect_node_type="folder")
        except NotFoundException:
            return True
        return False

    eventually(gone, FINISH_S, "the folder is gone")


def test_paths_outside_are_refused(hub: Hub) -> None:
    with pytest.raises(BadRequestException):
        hub.client.files.write(hub.folder("../../x"), b"x")
    with pytest.raises(BadRequestException):
        hub.client.files.read("not/a/path")
    with pytest.raises(NotFoundException):
        hub.client.files.read("og_other/personal/fs/Instabase Drive/x")
