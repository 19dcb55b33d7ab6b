from __future__ import annotations

import io
from pathlib import Path

import pytest
from aihub import AIHub
from aihub.exceptions import (
    ApiException,
    BadRequestException,
    ConflictException,
    NotFoundException,
    UnauthorizedException,
)

from tests.clients.conftest import Hub

MIB = 1024 * 1024


def names(hub: Hub, batch_id: int) -> list[str]:
    return [node.name for node in hub.client.batches.list_files(batch_id).nodes]


def read(hub: Hub, batch_id: int, name: str) -> bytes:
    content: bytes = hub.client.files.read(hub.folder(f"batches/{batch_id}/{name}", "Tests"))
    return content


def test_a_batch_is_created_shown_and_listed(hub: Hub) -> None:
    batch_id = hub.client.batches.create(name="my batch", workspace="Tests").id

    info = hub.client.batches.get(batch_id)
    listed = hub.client.batches.list(workspace="Tests", limit=1, offset=0).batches

    assert isinstance(batch_id, int)
    assert (info.id, info.name, info.workspace) == (batch_id, "my batch", "Tests")
    assert info.mount_point == "Instabase Drive"
    assert info.created_at_ms > 1_600_000_000_000
    assert [batch.id for batch in listed] == [batch_id]
    assert hub.client.batches.list(username="nobody").batches == []
    assert isinstance(hub.client.batches.create("no workspace").id, int)


def test_files_come_from_bytes_objects_and_paths_under_any_name(hub: Hub, tmp_path: Path) -> None:
    batch_id = hub.batch()
    local = tmp_path / "local.txt"
    local.write_bytes(b"from a path")

    hub.client.batches.add_file(batch_id, "bytes", b"from bytes")
    hub.client.batches.add_file(
        batch_id=batch_id, file_name="object", file=io.BytesIO(b"from an object")
    )
    hub.client.batches.add_file(batch_id, "path", str(local))
    hub.client.batches.add_file(batch_id, "a b/ü#?.pdf", b"odd")
    hub.client.batches.add_file(batch_id, "bytes", b"replaced")

    assert names(hub, batch_id) == ["a b/ü#?.pdf", "bytes", "object", "path"]
    assert read(hub, batch_id, "bytes") == b"replaced"
    assert read(hub, batch_id, "object") == b"from an object"
    assert read(hub, batch_id, "path") == b"from a path"
    assert read(hub, batch_id, "a b/ü#?.pdf") == b"odd"


def test_files_are_listed_in_pages_with_what_is_known_of_them(hub: Hub) -> None:
    batch_id = hub.batch(**{f"file{number}": "x" for number in range(5)})
    found = []
    token = None
    while True:
        page = hub.client.batches.list_files(batch_id, page_size=2, start_token=token)
        found += page.nodes
        token = page.next_page_token
        if not page.has_more:
            break

    assert [node.name for node in found] == [f"file{number}.txt" for number in range(5)]
    assert found[0].metadata.node_type == "file"
    assert found[0].metadata.size == 1
    assert found[0].metadata.modified_timestamp > 1_600_000_000
    assert found[0].perms.can_delete is True


@pytest.mark.parametrize("name", ["../up", "a/../b", "/etc/passwd", "n" * 256, "a\x00b"])
def test_a_name_that_is_none_is_refused(hub: Hub, name: str) -> None:
    batch_id = hub.batch()

    with pytest.raises(ApiException) as refusal:
        hub.client.batches.add_file(batch_id, name, b"x")

    assert refusal.value.status in (400, 413)
    assert '"message"' in refusal.value.body
    assert names(hub, batch_id) == []


def test_an_empty_file_is_refused(hub: Hub) -> None:
    batch_id = hub.batch()

    with pytest.raises(BadRequestException, match="is empty"):
        hub.client.batches.add_file(batch_id, "empty", b"")
    with pytest.raises(BadRequestException, match="is empty"):
        hub.client.batches.add_large_file(batch_id, "empty", b"")


def test_a_file_is_deleted(hub: Hub) -> None:
    batch_id = hub.batch(one="1", two="2")

    hub.client.batches.delete_file(batch_id, "one.txt")
    hub.client.batches.delete_file(batch_id, "one.txt")

    assert names(hub, batch_id) == ["two.txt"]
    with pytest.raises(NotFoundException):
        hub.client.batches.delete_file(batch_id, "never.txt")


def test_a_batch_is_deleted_by_a_job_that_both_addresses_know(hub: Hub) -> None:
    batch_id = hub.batch(one="12345")

    deletion = hub.client.batches.delete(batch_id)
    status = hub.job(deletion.job_id)

    assert status.state == "COMPLETE"
    assert status.message == "Deleted 2 rows and 1 objects of 5 bytes."
    assert hub.client.batches.poll_job(deletion.job_id).state == "COMPLETE"
    assert hub.client.batches.delete(batch_id).job_id == deletion.job_id
    for ask in (hub.client.batches.get, hub.client.batches.list_files):
        with pytest.raises(NotFoundException):
            ask(batch_id)


def test_a_large_file_goes_up_in_parts(hub: Hub, tmp_path: Path) -> None:
    batch_id = hub.batch()
    content = b"0123456789abcdef" * (11 * MIB // 16)
    local = tmp_path / "large"
    local.write_bytes(content)

    hub.client.batches.add_large_file(batch_id, "path", str(local))
    hub.client.batches.add_large_file(batch_id, "object", io.BytesIO(content[:5]))

    assert read(hub, batch_id, "path") == content
    assert read(hub, batch_id, "object") == content[:5]


def test_a_multipart_upload_step_by_step(hub: Hub) -> None:
    batches = hub.client.batches
    batch_id = hub.batch()
    session = batches.create_multipart_upload_session(batch_id, "parts", 10 * MIB + 3)
    last = batches.upload_multipart_part(session.session_id, 2, b"end")
    first = batches.upload_multipart_part(session.session_id, 1, b"x" * session.part_size)
    again = batches.upload_multipart_part(session.session_id, 2, b"end")
    parts = [{"part_num": part.part_num, "part_id": part.part_id} for part in (first, last)]

    with pytest.raises(BadRequestException, match="in order"):
        batches.commit_multipart_upload_session(session.session_id, "commit", parts[::-1])
    batches.commit_multipart_upload_session(session.session_id, "commit", parts)
    batches.commit_multipart_upload_session(session.session_id, "commit", parts)

    assert session.part_size == 10 * MIB
    assert again.part_id == last.part_id
    assert names(hub, batch_id) == ["parts"]
    with pytest.raises(ConflictException):
        batches.commit_multipart_upload_session(session.session_id, "abort")
    aborted = batches.create_multipart_upload_session(batch_id, "other", 5)
    batches.commit_multipart_upload_session(aborted.session_id, "abort")
    with pytest.raises(ConflictException):
        batches.upload_multipart_part(aborted.session_id, 1, b"12345")


def test_wrong_keys_and_contexts_are_refused_with_401(hub: Hub) -> None:
    url, key = hub.root, hub.server.key
    for wrong_key, context in ((f"{key}x", "local"), ("", None), (None, None), (key, "elsewhere")):
        with pytest.raises(UnauthorizedException, match="message"):
            AIHub(wrong_key, context, url).batches.create("batch")
    for context in ("LOCAL", hub.organisation_id, "", None):
        assert isinstance(AIHub(key, context, url).batches.create("batch").id, int)


def test_a_root_with_a_slash_and_one_without_api_work_too(hub: Hub) -> None:
    for root in (f"{hub.root}/", hub.server.url):
        client = AIHub(hub.server.key, "local", root)
        assert isinstance(client.batches.create("batch").id, int)
