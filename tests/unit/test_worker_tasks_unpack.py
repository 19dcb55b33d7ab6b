"""Archives of models: what is unpacked, and what is refused before it does any harm."""

from __future__ import annotations

import hashlib
import io
import resource
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from longshore.errors import CorruptData, LongshoreError, TooLarge
from longshore.worker.tasks_unpack import is_compressed, unpack

MIB = 1 << 20
Fill = Callable[[tarfile.TarFile], None]


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def add(archive: tarfile.TarFile, name: str, data: bytes = b"data", **fields: object) -> None:
    archive.addfile(member(name, size=len(data), **fields), io.BytesIO(data))


def link(archive: tarfile.TarFile, name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> None:
    archive.addfile(member(name, kind, linkname=target))


def tar(fill: Fill, **options: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:  # type: ignore[call-overload]
        fill(archive)
    return buffer.getvalue()


def packed(path: Path, fill: Fill) -> Path:
    target = path / "model.tar.zst"
    target.write_bytes(zstandard.compress(tar(fill)))
    return target


def run(archive: Path, **limits: int) -> dict[str, bytes]:
    """Unpack and return the files by path."""
    directory = archive.parent / "extra_files"
    unpack(archive, directory, stop=threading.Event(), **limits)
    assert not [path for path in directory.rglob("*") if path.is_symlink()]
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def refused(archive: Path, **limits: int) -> LongshoreError:
    """Return why an archive is refused; nothing may be outside of its directory then."""
    before = {path.name for path in archive.parent.iterdir()}
    with pytest.raises((CorruptData, TooLarge)) as raised:
        run(archive, **limits)
    after = {path.name for path in archive.parent.iterdir()}
    assert after - before <= {"extra_files"}
    return raised.value


def test_files_and_folders_are_unpacked(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        archive.addfile(member(".", tarfile.DIRTYPE))
        archive.addfile(member("./empty", tarfile.DIRTYPE))
        add(archive, "./weights/model.bin", b"w" * 3 * MIB, mode=0o644)
        add(archive, "run.sh", b"#!/bin/sh\n", mode=0o4755)

    archive = packed(tmp_path, fill)
    assert is_compressed(archive)
    assert run(archive) == {"weights/model.bin": b"w" * 3 * MIB, "run.sh": b"#!/bin/sh\n"}
    assert (tmp_path / "extra_files" / "empty").is_dir()
    assert (tmp_path / "extra_files" / "run.sh").stat().st_mode & 0o7777 == 0o700
    assert (tmp_path / "extra_files" / "weights/model.bin").stat().st_mode & 0o7777 == 0o600


def test_many_frames_are_one_archive(tmp_path: Path) -> None:
    data = tar(lambda archive: add(archive, "a.bin", bytes(range(256)) * 40))
    target = tmp_path / "model.tar.zst"
    # As the published workers write them: a frame for each KiB.
    frames = [zstandard.compress(data[at : at + 1024]) for at in range(0, len(data), 1024)]
    target.write_bytes(b"".join(frames))
    assert run(target) == {"a.bin": bytes(range(256)) * 40}


def test_links_inside_become_the_files_that_they_point_to(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        link(archive, "snapshot/model.bin", "../blobs/abc")
        link(archive, "latest.bin", "snapshot/model.bin")
        add(archive, "blobs/abc", b"weights")
        link(archive, "hard.bin", "blobs/abc", tarfile.LNKTYPE)

    assert run(packed(tmp_path, fill)) == dict.fromkeys(
        ("blobs/abc", "snapshot/model.bin", "latest.bin", "hard.bin"), b"weights"
    )


@pytest.mark.parametrize(
    "name",
    ["../outside", "a/../../outside", "/tmp/longshore-outside", "a/b/../../../outside", "x" * 3000],
)
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path, lambda archive: add(archive, name))
    assert "leads outside" in refused(archive).message
    assert not Path("/tmp/longshore-outside").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc", "/etc/hostname", "../..", "../../etc/hostname"])
def test_a_link_that_leads_outside_is_refused(tmp_path: Path, kind: bytes, target: str) -> None:
    archive = packed(tmp_path, lambda archive: link(archive, "innocent", target, kind))
    assert "leads outside" in refused(archive).message


@pytest.mark.parametrize("target", ["folder", "missing", "innocent"])
def test_a_link_to_no_file_of_the_archive_is_refused(tmp_path: Path, target: str) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        archive.addfile(member("folder", tarfile.DIRTYPE))
        link(archive, "innocent", target)

    assert "no file of the archive" in refused(packed(tmp_path, fill)).message


def test_a_file_below_a_link_is_in_a_folder_of_its_own(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def fill(archive: tarfile.TarFile) -> None:
        link(archive, "way", "somewhere")
        add(archive, "way/file.txt")
        add(archive, "somewhere")

    assert "cannot be unpacked" in refused(packed(tmp_path, fill)).message
    assert list(outside.iterdir()) == []


def test_a_later_entry_of_a_name_replaces_the_earlier_one(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "other", b"other")
        add(archive, "a", b"first")
        link(archive, "a", "other")
        link(archive, "b", "other")
        add(archive, "b", b"second")

    assert run(packed(tmp_path, fill)) == {"other": b"other", "a": b"other", "b": b"second"}


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = packed(tmp_path, lambda archive: archive.addfile(member("dev", kind)))
    assert "neither a file nor a directory" in refused(archive).message


def test_a_file_that_is_also_a_folder_is_refused(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "a")
        add(archive, "a/b")

    assert "cannot be unpacked" in refused(packed(tmp_path, fill)).message


class _Zeros(io.RawIOBase):
    """As many zeros as are asked for."""

    def read(self, size: int = -1) -> bytes:
        return bytes(size)


def bomb(path: Path, *, info: tarfile.TarInfo) -> Path:
    """Write an archive whose one entry has `info.size` zeros, without holding them."""
    target = path / "bomb.tar.zst"
    with (
        target.open("wb") as file,
        zstandard.ZstdCompressor().stream_writer(file) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as archive,
    ):
        archive.addfile(info, _Zeros())
    return target


def test_an_archive_that_fills_the_disk_is_refused_early(tmp_path: Path) -> None:
    archive = bomb(tmp_path, info=member("zeros", size=400 * MIB))
    assert archive.stat().st_size < MIB
    assert "bytes without compression" in refused(archive).message
    written = sum(path.stat().st_size for path in (tmp_path / "extra_files").rglob("*"))
    assert written <= 100 * MIB


def test_an_archive_whose_headers_fill_the_memory_is_refused(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    archive = bomb(tmp_path, info=member("name", tarfile.GNUTYPE_LONGNAME, size=60 * MIB))
    refused(archive)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


def test_headers_of_headers_are_refused(tmp_path: Path) -> None:
    header = member("x", tarfile.XGLTYPE, size=14).tobuf(tarfile.USTAR_FORMAT)
    record = b"14 comment=ab\n".ljust(512, b"\x00")
    target = tmp_path / "model.tar.zst"
    target.write_bytes(zstandard.compress((header + record) * 900 + bytes(1024)))
    assert "cannot be unpacked" in refused(target).message


def test_a_file_with_holes_counts_in_full(tmp_path: Path) -> None:
    # Version 1.0 of the sparse format: the map of what there is comes first in the data.
    data = b"1\n0\n1\n".ljust(512, b"\x00") + b"x"
    info = member("holes", size=len(data))
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "holes",
        "GNU.sparse.realsize": str(1 << 50),
    }
    archive = packed(tmp_path, lambda archive: archive.addfile(info, io.BytesIO(data)))
    assert isinstance(refused(archive), TooLarge)


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        for number in range(11):
            add(archive, f"{number}.txt")

    archive = packed(tmp_path, fill)
    assert "more than 10 entries" in refused(archive, limit_files=10).message


def test_the_whole_may_not_be_larger_than_the_limit(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        for number in range(8):
            add(archive, f"{number}.bin", hashlib.sha256(bytes([number])).digest() * 1000)

    archive = packed(tmp_path, fill)
    assert "bytes without compression" in refused(archive, limit_bytes=100_000).message


def test_headers_count_as_well(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        for number in range(200):
            archive.addfile(member(f"{number}", tarfile.DIRTYPE))

    archive = packed(tmp_path, fill)
    assert "bytes without compression" in refused(archive, limit_bytes=50_000).message


@pytest.mark.parametrize("cut", [0.3, 0.95])
def test_half_an_archive_is_refused(tmp_path: Path, cut: float) -> None:
    archive = packed(tmp_path, lambda archive: add(archive, "a", bytes(range(256)) * 4000))
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * cut)])
    refused(archive)


def test_half_a_tar_file_in_a_whole_frame_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.zst"
    data = tar(lambda archive: add(archive, "a", bytes(100_000)))
    archive.write_bytes(zstandard.compress(data[:50_000]))
    refused(archive)


@pytest.mark.parametrize("data", [b"", b"no archive at all", zstandard.compress(b"no tar" * 500)])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    archive = tmp_path / "model.tar.zst"
    archive.write_bytes(data)
    assert "cannot be unpacked" in refused(archive).message


def test_unpacking_ends_when_it_is_to_stop(tmp_path: Path) -> None:
    archive = packed(tmp_path, lambda archive: add(archive, "a"))
    stop = threading.Event()
    stop.set()
    with pytest.raises(CorruptData, match="stopped"):
        unpack(archive, tmp_path / "extra_files", stop=stop)
