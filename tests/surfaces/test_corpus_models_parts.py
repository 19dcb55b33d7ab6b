"""Versions of models that come in parts, as the client 0.6.0 publishes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from longshore import limits
from longshore.clock import ManualClock
from longshore.storage import Database
from longshore.storage.blobs import Blobs
from longshore.surfaces.corpus import multipart, multipart_parts
from longshore.surfaces.corpus.multipart_parts import Part
from tests.surfaces.models_rig import ARCHIVE, PARTS, Rig, md5, md5_base64, model_of


@pytest.fixture
async def rig(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Rig]:
    async with model_of(database, clock, tmp_path) as made:
        yield made


async def test_a_version_comes_in_parts_and_is_available_when_they_are_together(
    rig: Rig,
) -> None:
    made = await rig.announced()
    upload_id = await rig.begin(made["id"])
    sent = await rig.send_parts(made["id"], upload_id)
    await rig.complete(made["id"], upload_id, sent)
    shown = await rig.version(made["id"])
    assert (shown["state"], shown["size"]) == ("available", len(ARCHIVE))
    assert shown["archive_hash"] == md5(ARCHIVE)
    fetched = await rig.archive(made["id"])
    assert fetched.content == ARCHIVE
    assert fetched.headers["content-type"] == "application/zstd"
    assert rig.stored() == 1
    # An answer that got lost is asked for again.
    await rig.complete(made["id"], upload_id, sent)
    assert rig.stored() == 1


async def test_a_part_that_was_damaged_on_its_way_is_refused_and_sent_again(rig: Rig) -> None:
    made = await rig.announced()
    upload_id = await rig.begin(made["id"])
    address = await rig.part(made["id"], upload_id, 1, PARTS[0])
    assert (await rig.put(address, PARTS[0][:-1] + b"x")).status_code == 400
    wrong = {"Content-MD5": md5_base64(b"other")}
    assert (await rig.put(address, PARTS[0], **wrong)).status_code == 400
    assert (await rig.put(address, PARTS[0], **{"Content-MD5": "nonsense"})).status_code == 400
    assert rig.stored() == 0
    for _ in range(2):
        got = await rig.put(address, PARTS[0])
        assert (got.status_code, got.headers["etag"]) == (200, f'"{md5(PARTS[0])}"')
    assert rig.stored() == 1


async def test_an_upload_with_missing_or_other_parts_is_not_completed(rig: Rig) -> None:
    made = await rig.announced()
    upload_id = await rig.begin(made["id"])
    sent = await rig.send_parts(made["id"], upload_id)
    wrong = {**sent[1], "etag": '"nonsense"'}
    other = {**sent[1], "md5_hash": md5_base64(b"x")}
    for parts in (
        [], sent[:2], [sent[0], sent[2]], [*sent, {**sent[0], "part_number": 4}], sent[::-1],
        [sent[0], wrong, sent[2]], [sent[0], other, sent[2]],
    ):  # fmt: skip
        refused = await rig.complete(made["id"], upload_id, parts, expect=400)
        assert refused["errors"][0]["attr"][0] == "parts"
    assert (await rig.version(made["id"]))["state"] == "created"
    await rig.complete(made["id"], upload_id, sent)


async def test_an_archive_that_was_announced_otherwise_is_not_made_available(rig: Rig) -> None:
    for announced in ({"size": 5}, {"archive_hash": "0" * 32}):
        made = await rig.create(**announced)
        upload_id = await rig.begin(made["id"])
        sent = await rig.send_parts(made["id"], upload_id)
        await rig.complete(made["id"], upload_id, sent, expect=400)
        assert (await rig.version(made["id"]))["state"] == "created"
        assert (await rig.put(made["s3_put_url"])).status_code == 400


async def test_an_aborted_upload_leaves_nothing(rig: Rig) -> None:
    made = await rig.announced()
    upload_id = await rig.begin(made["id"])
    sent = await rig.send_parts(made["id"], upload_id)
    assert rig.stored() == 3
    await rig.abort(made["id"], upload_id)
    assert rig.stored() == 0
    await rig.abort(made["id"], upload_id, expect=404)
    await rig.complete(made["id"], upload_id, sent, expect=404)
    await rig.part(made["id"], upload_id, 1, PARTS[0], expect=404)


async def test_a_new_upload_gives_the_one_before_up_and_old_ones_end_by_themselves(
    rig: Rig,
) -> None:
    made = await rig.announced()
    first = await rig.begin(made["id"])
    await rig.send_parts(made["id"], first)
    second = await rig.begin(made["id"])
    assert rig.stored() == 0
    await rig.send_parts(made["id"], second)
    await rig.part(made["id"], first, 1, PARTS[0], expect=404)
    rig.clock.advance(limits.UPLOAD_LINK_S + 1)
    assert rig.corpora.database.write_blocking(multipart_parts.expire) > 0
    assert rig.stored() == 0
    await rig.part(made["id"], second, 1, PARTS[0], expect=404)


async def test_an_archive_in_the_place_of_another_is_announced_anew(rig: Rig) -> None:
    made = await rig.create()
    await rig.put(made["s3_put_url"], b"an older archive")
    path = f"/modelversion/{made['id']}/"
    body = {"size": len(ARCHIVE), "archive_hash": md5(ARCHIVE)}
    await rig.call("PUT", path, body=body)
    assert rig.stored() == 0
    upload_id = await rig.begin(made["id"])
    await rig.complete(made["id"], upload_id, await rig.send_parts(made["id"], upload_id))
    assert (await rig.archive(made["id"])).content == ARCHIVE


async def test_parts_that_another_request_put_together_meanwhile_are_no_fault(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await rig.announced()
    upload_id = await rig.begin(made["id"])
    sent = await rig.send_parts(made["id"], upload_id)
    joined = multipart.joined

    async def slow(store: Blobs, parts: Sequence[Part]) -> AsyncIterator[bytes]:
        """Give nothing before a repeat of the request is through, and the parts are swept."""
        monkeypatch.setattr(multipart, "joined", joined)
        await rig.complete(made["id"], upload_id, sent)
        for part in parts:
            assert part.blob_id is not None
            await store.delete(part.blob_id)
        async for chunk in joined(store, parts):
            yield chunk

    monkeypatch.setattr(multipart, "joined", slow)
    await rig.complete(made["id"], upload_id, sent)
    assert (await rig.archive(made["id"])).content == ARCHIVE
    assert rig.stored() == 1
