"""What can be uploaded, how it is found, and how it is read."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from longshore import limits
from longshore.errors import InvalidRequest, TooLarge
from longshore.sdk._sources import CHUNK_BYTES, source_of, sources_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.jpg", "a.jpg", "notes.txt", ".hidden.jpg", "deep/c.jpg", "deep/a.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _names(files: object) -> list[str]:
    return [source.name for source in sources_of(files)]  # type: ignore[arg-type]


def test_a_pattern_gives_its_files_by_name(folder: Path) -> None:
    assert _names("*.jpg") == ["a.jpg", "b.jpg"]
    assert _names(str(folder / "*.jpg")) == ["a.jpg", "b.jpg"]


def test_a_directory_gives_the_files_directly_in_it(folder: Path) -> None:
    assert _names(folder) == ["a.jpg", "b.jpg", "notes.txt"]


def test_a_list_may_mix_paths_and_patterns(folder: Path) -> None:
    assert _names([folder / "notes.txt", "deep/c*"]) == ["notes.txt", "c.jpg"]


def test_a_file_with_the_name_of_a_pattern_is_that_file(folder: Path) -> None:
    (folder / "scan[1].jpg").write_text("x")
    assert _names("scan[1].jpg") == ["scan[1].jpg"]


def test_two_files_of_one_name_are_refused_before_anything_is_sent(folder: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"Several files are named 'a\.jpg'.*deep/a\.jpg"):
        sources_of("**/*.jpg")


@pytest.mark.parametrize("files", ["*.png", "missing.jpg", ["a.jpg", "missing.jpg"], []])
def test_what_is_not_there_is_refused(folder: Path, files: object) -> None:
    assert folder.exists()
    with pytest.raises(InvalidRequest):
        sources_of(files)  # type: ignore[arg-type]


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="holds no files"):
        sources_of(tmp_path)


def test_a_directory_is_no_single_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="use add_files"):
        source_of(tmp_path)


def test_bytes_need_a_name() -> None:
    with pytest.raises(InvalidRequest, match="has no name"):
        source_of(b"content")
    assert source_of(b"content", "x.bin").size_bytes == 7


def test_a_name_over_the_limit_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="300 characters"):
        source_of(b"content", "x" * 300)


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.bin"
    with path.open("wb") as file:
        file.truncate(limits.MULTIPART_FILE_BYTES + 1)
    with pytest.raises(TooLarge, match=str(limits.MULTIPART_FILE_BYTES)):
        source_of(path)


def test_a_text_file_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    with path.open() as file, pytest.raises(InvalidRequest, match="mode 'rb'"):
        source_of(file)  # type: ignore[arg-type]


def test_an_open_file_is_read_from_its_position_and_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"skipped" + b"kept")
    with path.open("rb") as file:
        file.seek(7)
        source = source_of(file)
        assert (source.name, source.size_bytes) == ("a.bin", 4)
        assert b"".join(source.whole().chunks()) == b"kept"
        assert b"".join(source.whole().chunks()) == b"kept"
        assert not file.closed


def test_a_pipe_is_refused_because_it_cannot_be_sent_again() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, pytest.raises(InvalidRequest, match="a second time"):
        source_of(pipe, "from-a-pipe")


async def test_slices_cover_a_file_exactly_in_both_colours(tmp_path: Path) -> None:
    content = os.urandom(3 * CHUNK_BYTES + 17)
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    slices = source_of(path).slices(CHUNK_BYTES + 1)
    assert [piece.length for piece in slices] == [*[CHUNK_BYTES + 1] * 3, 14]
    assert b"".join(chunk for piece in slices for chunk in piece.chunks()) == content
    read = [chunk for piece in slices async for chunk in piece.async_chunks()]
    assert b"".join(read) == content


def test_an_empty_file_has_no_parts_and_no_chunks() -> None:
    source = source_of(io.BytesIO(b""), "empty")
    assert source.slices(10) == []
    assert list(source.whole().chunks()) == []


def test_a_file_that_shrinks_during_the_upload_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 100)
    source = source_of(path)
    path.write_bytes(b"x" * 40)
    with pytest.raises(InvalidRequest, match="60 bytes early"):
        list(source.whole().chunks())
