"""The files that a task leaves: which are found, how they are opened, sent and removed."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from longshore.errors import TooLarge
from longshore.worker import tasks_files
from longshore.worker.attempt_directories import remove
from longshore.worker.tasks_files import find, open_inside
from longshore.worker.transport import StoredBlob, Transport
from tests.unit.worker_server import KEY, WorkerServer


class TestFiles:
    def test_more_files_than_the_limit_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tasks_files, "TASK_FILES", 3)
        for number in range(4):
            (tmp_path / str(number)).touch()
        with pytest.raises(TooLarge, match="more than 3 files"):
            find(tmp_path, print)

    def test_more_bytes_than_the_limit_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tasks_files, "TASK_FILES_BYTES", 100)
        (tmp_path / "a").write_bytes(bytes(60))
        assert [left.path for left in find(tmp_path, print)] == ["a"]
        (tmp_path / "b").write_bytes(bytes(60))
        with pytest.raises(TooLarge, match="100 bytes"):
            find(tmp_path, print)

    @pytest.mark.parametrize("swapped", ["file", "folder", "root"])
    def test_a_link_in_the_place_of_what_was_found_is_not_followed(
        self, tmp_path: Path, swapped: str
    ) -> None:
        root, outside = tmp_path / "root", tmp_path / "outside"
        for each in (root, outside):
            (each / "folder").mkdir(parents=True)
            (each / "folder" / "file").write_text(each.name)
        with open_inside(root, "folder/file") as file:
            assert file.read() == b"root"
        place = {"file": root / "folder" / "file", "folder": root / "folder", "root": root}[swapped]
        place.rename(tmp_path / "moved")
        place.symlink_to(outside / place.relative_to(root))
        with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
            open_inside(root, "folder/file")

    def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="no plain file"):
            open_inside(tmp_path, "pipe")

    async def test_a_file_that_is_too_large_for_the_server_is_named_in_the_log(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "large.bin").write_bytes(b"large" * 100)
        (tmp_path / "small.bin").write_bytes(b"small")
        notes: list[str] = []
        stored = await tasks_files.store(Small("http://127.0.0.1:9", KEY), tmp_path, notes.append)
        assert [(file.path, file.size_bytes) for file in stored] == [("small.bin", 5)]
        assert notes == ["The file large.bin is not kept: It is too large."]

    async def test_a_file_that_becomes_shorter_while_it_is_sent_is_an_error(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "log").write_bytes(bytes(1 << 20))
        server = WorkerServer()
        transport = Transport(server.url, KEY)
        try:
            with pytest.raises(OSError, match="shorter"), Shrinking(tmp_path / "log") as file:
                await transport.upload_open(
                    cast("BinaryIO", file), media_type="text/plain", timeout_s=5
                )
        finally:
            await transport.close()
            server.stop()

    def test_a_directory_that_the_program_has_closed_is_removed(self, plain_user: Path) -> None:
        root, outside = plain_user / "root", plain_user / "outside"
        (root / "closed" / "deep").mkdir(parents=True)
        (root / "closed" / "deep" / "file").touch()
        outside.mkdir(mode=0o500)
        (root / "closed" / "link").symlink_to(outside)
        (root / "closed" / "deep").chmod(0o000)
        (root / "closed").chmod(0o500)
        remove(root)
        assert not root.exists()
        assert outside.stat().st_mode & 0o777 == 0o500


class Small(Transport):
    """A server that takes small files only."""

    async def upload_open(self, file: BinaryIO, *, media_type: str, timeout_s: float) -> StoredBlob:
        data = file.read()
        if len(data) > 100:
            raise TooLarge("It is too large.")
        return StoredBlob("bl_1", len(data), "0" * 64)


class Shrinking(io.FileIO):
    """A file of which only the first part is still there when it is read."""

    def read(self, size: int | None = -1) -> bytes:
        return b"" if self.tell() else super().read(size)


@pytest.fixture
def plain_user() -> Iterator[Path]:
    """A directory of somebody who may not do everything, as whom the test then runs."""
    nobody, before = 65534, os.geteuid()
    directory = Path(tempfile.mkdtemp())
    if before == 0:
        os.chown(directory, nobody, nobody)
        os.seteuid(nobody)
    yield directory
    os.seteuid(before)
    shutil.rmtree(directory)
