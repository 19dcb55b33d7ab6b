"""Back-ups that are damaged, or taken of what is, and what cannot be backed up or restored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from longshore.cli.main import app
from longshore.engine import artifacts
from longshore.errors import ConfigurationError, CorruptData
from longshore.server import backup
from longshore.settings import Settings
from longshore.storage import open_database
from longshore.storage.blobs import open_blobs

CONTENTS = (b"text", b"more")


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """The settings of a server that is not running, with two files."""
    made = Settings(data=tmp_path / "data")
    made.data.mkdir()
    database = open_database(made.database_url)
    blobs = open_blobs(made.blobs_url)

    async def sent(content: bytes) -> AsyncIterator[bytes]:
        yield content

    for content in CONTENTS:
        blob_id = database.write_blocking(artifacts.reserve, organisation_id="og_test")
        stored = await blobs.put(blob_id, sent(content), limit_bytes=100)
        database.write_blocking(
            artifacts.store, blob_id, size_bytes=stored.size_bytes, sha256=stored.sha256
        )
    database.close()
    return made


def files(directory: Path) -> list[Path]:
    return sorted((directory / "blobs").rglob("bl_*"))


async def test_a_backup_restores_what_it_was_taken_of(settings: Settings, tmp_path: Path) -> None:
    made = backup.take(settings, tmp_path / "copy")
    assert (made.works, made.blobs, made.blobs_bytes, made.damaged) == (0, 2, 8, [])
    place = Settings(data=tmp_path / "place")
    assert backup.put_back(tmp_path / "copy", place) == made
    assert {path.read_bytes() for path in files(place.data)} == set(CONTENTS)
    assert all(path.stat().st_mode & 0o077 == 0 for path in files(place.data))
    open_database(place.database_url).close()
    with pytest.raises(ConfigurationError, match="is there already"):
        backup.put_back(tmp_path / "copy", place)
    with pytest.raises(ConfigurationError, match="is not empty"):
        backup.take(settings, tmp_path / "copy")


@pytest.mark.parametrize(
    ("spoilt", "kind", "words"),
    [
        ("blobs", CorruptData, "missing or damaged"),
        ("longshore.db", CorruptData, "is not as it was written"),
        ("backup.json", ConfigurationError, "cannot be read"),
    ],
)
async def test_a_backup_that_is_damaged_is_not_restored(
    settings: Settings, tmp_path: Path, spoilt: str, kind: type[Exception], words: str
) -> None:
    copy, place = tmp_path / "copy", Settings(data=tmp_path / "place")
    backup.take(settings, copy)
    path = files(copy)[0] if spoilt == "blobs" else copy / spoilt
    path.write_bytes(b"other")
    with pytest.raises(kind, match=words):
        backup.put_back(copy, place)
    assert not (place.data / "longshore.db").exists()


@pytest.mark.parametrize("end", ["-wal", "-journal", "-shm"])
async def test_what_a_crash_has_left_beside_the_database_is_not_played_onto_a_restored_one(
    settings: Settings, tmp_path: Path, end: str
) -> None:
    backup.take(settings, tmp_path / "copy")
    place = Settings(data=tmp_path / "place")
    place.data.mkdir()
    (place.data / f"longshore.db{end}").write_bytes(b"of the database that was moved away")
    with pytest.raises(ConfigurationError, match=f"longshore.db{end} is there already"):
        backup.put_back(tmp_path / "copy", place)
    assert not (place.data / "longshore.db").exists()


async def test_a_backup_without_its_manifest_is_none(settings: Settings, tmp_path: Path) -> None:
    backup.take(settings, tmp_path / "copy")
    (tmp_path / "copy/backup.json").unlink()
    with pytest.raises(ConfigurationError, match="is no back-up"):
        backup.read(tmp_path / "copy")


async def test_files_that_were_lost_before_are_told_and_the_rest_is_kept(
    settings: Settings, tmp_path: Path
) -> None:
    first, second = files(settings.data)
    first.write_bytes(b"other")
    made = backup.take(settings, tmp_path / "copy")
    assert (made.damaged, made.blobs, made.blobs_bytes) == ([first.name], 1, 4)
    backup.put_back(tmp_path / "copy", Settings(data=tmp_path / "place"))
    second.unlink()
    words = ["backup", str(tmp_path / "other"), "--data", str(settings.data)]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 1
    assert "2 files are missing or damaged" in ended.stderr


async def test_a_file_that_is_deleted_meanwhile_is_not_missed(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server deletes a file after the copy of its row, and the next copy has no such row."""
    first, second = files(settings.data)
    stored = backup._stored
    turns = 0

    def deleting(path: Path) -> list[backup._Blob]:
        nonlocal turns
        found = stored(path)
        turns += 1
        if turns == 1:
            # What the first pass has seen of it is nothing: it came later, and goes at once.
            found = [blob for blob in found if blob.id != first.name]
        elif turns == 2:
            first.unlink()
            database = open_database(settings.database_url)
            database.write_blocking(artifacts.discard, [first.name])
            database.close()
        return found

    monkeypatch.setattr(backup, "_stored", deleting)
    made = backup.take(settings, tmp_path / "copy")
    assert (made.blobs, made.damaged) == (1, [])
    assert [path.name for path in files(tmp_path / "copy")] == [second.name]


def test_what_this_command_cannot_copy_is_refused_with_what_can(tmp_path: Path) -> None:
    for given, words in (
        ({"database": "postgresql://db.example.org/longshore"}, "pg_dump"),
        ({}, "There is no database"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            backup.take(Settings(data=tmp_path, **given), tmp_path / "copy")  # type: ignore[arg-type]


async def test_a_bucket_is_left_to_its_versions(settings: Settings, tmp_path: Path) -> None:
    elsewhere = Settings(data=settings.data, blobs="s3://bucket/prefix")
    with pytest.raises(ConfigurationError, match="--without-blobs"):
        backup.take(elsewhere, tmp_path / "copy")
    made = backup.take(elsewhere, tmp_path / "copy", without_blobs=True)
    assert made.blobs is None
    backup.put_back(
        tmp_path / "copy", Settings(data=tmp_path / "place", blobs="s3://bucket/prefix")
    )
    assert (tmp_path / "place/longshore.db").is_file()
