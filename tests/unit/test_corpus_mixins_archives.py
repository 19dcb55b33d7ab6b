"""Archives, batches and the words of logs."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from longshore.corpus import utils
from longshore.corpus.archives import (
    close_delete_file,
    create_tar_archive,
    create_tar_zst_archive,
    create_zip_archive,
    decompress_zst_archive,
    extract_tar_archive,
    extract_tar_zst_archive,
    zstd_compress,
)
from longshore.errors import CorruptData

FILES = {"a.txt": b"words" * 1000, "deep/er/b.bin": os.urandom(5000), "deep/empty": b""}
CONTENT_HASH = hashlib.md5(b"".join(FILES[name] for name in sorted(FILES))).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    for name, data in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def files(path: Path) -> dict[str, bytes]:
    return {
        found.relative_to(path).as_posix(): found.read_bytes()
        for found in path.rglob("*")
        if found.is_file()
    }


def test_a_folder_is_packed_and_unpacked(folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "folder.tar.zst"
    descriptor, path, archive_hash, content_hash = create_tar_zst_archive(folder, packed)
    assert (descriptor, path, content_hash) == (None, packed, CONTENT_HASH)
    assert archive_hash == hashlib.md5(packed.read_bytes()).hexdigest()
    tar_descriptor, tar = extract_tar_zst_archive(packed, tmp_path / "out")
    assert files(tmp_path / "out") == FILES
    close_delete_file(tar_descriptor, tar)
    assert not tar.exists()


def test_a_temporary_file_takes_an_archive_without_a_destination(folder: Path) -> None:
    descriptor, path, _, _ = create_tar_zst_archive(folder)
    assert descriptor is not None
    assert path.name.endswith(".tar.zst")
    close_delete_file(descriptor, path)
    assert not path.exists()


def test_an_archive_inside_its_folder_does_not_hold_itself(folder: Path) -> None:
    create_tar_archive(folder, folder / "all.tar")
    with tarfile.open(folder / "all.tar") as archive:
        assert "all.tar" not in archive.getnames()
        assert "deep/er/b.bin" in archive.getnames()


def test_an_archive_of_many_frames_is_read_whole(folder: Path, tmp_path: Path) -> None:
    _, tar, _ = create_tar_archive(folder, tmp_path / "folder.tar")
    data = tar.read_bytes()
    packed = tmp_path / "frames.tar.zst"
    frames = [zstandard.compress(data[start : start + 1024]) for start in range(0, len(data), 1024)]
    assert len(frames) > 10
    packed.write_bytes(b"".join(frames))
    descriptor, found = decompress_zst_archive(packed)
    assert found.read_bytes() == data
    close_delete_file(descriptor, found)


def test_an_archive_is_one_frame_that_tells_its_size(folder: Path, tmp_path: Path) -> None:
    source = folder / "a.txt"
    _, packed, archive_hash = zstd_compress(source, tmp_path / "a.zst")
    data = packed.read_bytes()
    assert zstandard.frame_content_size(data) == source.stat().st_size
    assert zstandard.ZstdDecompressor().decompress(data) == source.read_bytes()
    assert archive_hash == hashlib.md5(data).hexdigest()


def test_what_is_no_archive_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no archive")
    with pytest.raises(CorruptData, match=r"note\.txt cannot be decompressed"):
        decompress_zst_archive(tmp_path / "note.txt")
    with pytest.raises(CorruptData, match=r"note\.txt cannot be unpacked"):
        extract_tar_archive(tmp_path / "note.txt", tmp_path / "out")
    (tmp_path / "note.zst").write_bytes(zstandard.compress(b"no archive"))
    with pytest.raises(CorruptData, match="cannot be unpacked"):
        extract_tar_zst_archive(tmp_path / "note.zst", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("name", ["../outside", "/outside"])
def test_members_that_point_outside_are_not_unpacked_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / "wrong.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    if name.startswith("/"):
        extract_tar_archive(path, tmp_path / "out")
        assert (tmp_path / "out" / "outside").exists()
    else:
        with pytest.raises(CorruptData, match="cannot be unpacked"):
            extract_tar_archive(path, tmp_path / "out")
    assert not (tmp_path / "outside").exists()


def test_a_folder_is_packed_as_zip(folder: Path, tmp_path: Path) -> None:
    _, path = create_zip_archive(folder, tmp_path / "folder.zip")
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"} == FILES


def test_a_file_that_cannot_be_deleted_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    close_delete_file(None, tmp_path)
    assert "Unable to delete file" in caplog.text
    assert tmp_path.exists()


def test_nouns_have_plurals() -> None:
    words = ["element", "child", "class", "entity", "metadata"]
    assert [utils.pluralize(word, 1) for word in words] == words
    assert [utils.pluralize(word, 2) for word in words] == [
        "elements", "children", "classes", "entities", "metadata",
    ]  # fmt: skip
    assert utils.pluralize("element", 0) == "elements"


def test_a_source_of_a_command_line_becomes_a_filter() -> None:
    assert utils.parse_source_id("manual") is False
    assert utils.parse_source_id("") is None
    assert utils.parse_source_id(None) is None
    assert utils.parse_source_id("an id") == "an id"


def test_lists_are_cut_into_batches() -> None:
    assert list(utils.make_batches([1, 2, 3, 4, 5], "child", 2)) == [[1, 2], [3, 4], [5]]
    assert list(utils.make_batches([], "child", 2)) == []


def test_a_batch_size_is_checked_wherever_it_comes_from() -> None:
    @utils.batch_publication
    def publish(_: Any, batch_size: int = 0) -> int:
        return batch_size

    assert publish(None, 3) == 3
    with pytest.raises(AssertionError, match="batch_size"):
        publish(None)
    assert publish.__name__ == "publish"
