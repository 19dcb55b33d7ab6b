"""The published worker library 0.4.0 beside ours: caches and archives of one are read by the other.

It runs in its own environment, which `make venv` makes; without that these tests are skipped.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from longshore.corpus import cache
from longshore.corpus.archives import create_tar_zst_archive, extract_tar_zst_archive
from longshore.corpus.models import Element
from longshore.corpus.polygons import revert_orientation, trim_polygon
from tests.unit.corpus_mixins_rig import SQUARE, element, uuid

PYTHON = Path(sys.prefix, "clients", "arkindex-0.4", "bin", "python")
ANSWER_S = 60.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="make venv installs the published library"),
]

# Each program reads JSON from its first argument and writes JSON to standard output.
WRITE = """
import json, sys
from pathlib import Path
from arkindex_worker import cache
told = json.loads(sys.argv[1])
cache.init_cache_db(Path(told["path"]))
cache.create_version_table()
cache.create_tables()
for name, rows in told["rows"].items():
    getattr(cache, name).insert_many(rows).execute()
cache.db.close()
json.dump(None, sys.stdout)
"""

READ = """
import json, sys
from pathlib import Path
from arkindex_worker import cache
told = json.loads(sys.argv[1])
path = Path(told["path"])
cache.check_version(path)
cache.init_cache_db(path)
cache.create_tables()
found = {model.__name__: list(model.select().dicts()) for model in cache.MODELS}
found["initial"] = [one.id for one in cache.CachedElement.select().where(cache.CachedElement.initial == True)]
json.dump(found, sys.stdout, default=str)
"""

MERGE = """
import json, sys
from pathlib import Path
from arkindex_worker import cache
told = json.loads(sys.argv[1])
path = Path(told["path"])
cache.init_cache_db(path)
cache.create_version_table()
cache.create_tables()
cache.merge_parents_cache(told["parents"], path)
cache.db.close()
json.dump(None, sys.stdout)
"""

PACK = """
import json, sys
from pathlib import Path
from arkindex_worker.utils import create_tar_zst_archive
told = json.loads(sys.argv[1])
_, _, archive_hash, content_hash = create_tar_zst_archive(Path(told["folder"]), Path(told["path"]))
json.dump([archive_hash, content_hash], sys.stdout)
"""

UNPACK = """
import json, sys
from pathlib import Path
from arkindex_worker.utils import close_delete_file, extract_tar_zst_archive
told = json.loads(sys.argv[1])
close_delete_file(*extract_tar_zst_archive(Path(told["path"]), Path(told["folder"])))
json.dump(None, sys.stdout)
"""

TURN = """
import json, sys
from arkindex_worker.image import revert_orientation, trim_polygon
from arkindex_worker.models import Element
told = json.loads(sys.argv[1])
found = [
    [revert_orientation(Element(page), told["polygon"], reverse=reverse) for reverse in (False, True)]
    for page in told["pages"]
]
json.dump({"turned": found, "trimmed": trim_polygon(told["polygon"], 40, 20)}, sys.stdout)
"""

ROWS: dict[str, list[dict[str, Any]]] = {
    "CachedImage": [{"id": uuid(1), "width": 100, "height": 50, "url": "http://images.test/1"}],
    "CachedElement": [
        {"id": uuid(2), "type": "page", "image_id": uuid(1), "polygon": SQUARE, "initial": True,
         "mirrored": True, "rotation_angle": 90, "confidence": 0.5, "worker_run_id": uuid(99),
         "parent_id": None},
        {"id": uuid(3), "type": "line", "image_id": uuid(1), "polygon": SQUARE, "initial": False,
         "mirrored": False, "rotation_angle": 0, "confidence": None, "worker_run_id": None,
         "parent_id": uuid(2)},
    ],
    "CachedTranscription": [
        {"id": uuid(4), "element_id": uuid(3), "text": "Zürich, שלום", "confidence": 0.25,
         "orientation": "horizontal-lr", "worker_run_id": uuid(99)},
    ],
    "CachedClassification": [
        {"id": uuid(5), "element_id": uuid(2), "class_name": "text", "confidence": 1.0,
         "state": "pending"},
    ],
    "CachedEntity": [{"id": uuid(6), "type": "place", "name": "Zürich", "metas": {"a": [1]}}],
    "CachedDataset": [{"id": uuid(8), "name": "lines", "state": "complete", "sets": "train,dev"}],
}  # fmt: skip


def published(program: str, **told: Any) -> Any:
    """Run a program with the published library and return what it wrote."""
    ended = subprocess.run(
        [PYTHON, "-W", "ignore", "-c", program, json.dumps(told, default=str)],
        capture_output=True, text=True, timeout=ANSWER_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Path]:
    """A cache that we have written."""
    path = tmp_path / "ours.sqlite"
    cache.init_cache_db(path)
    cache.create_version_table()
    cache.create_tables()
    for name, rows in ROWS.items():
        getattr(cache, name).insert_many(rows).execute()
    cache.CachedTranscriptionEntity.create(
        transcription_id=uuid(4), entity_id=uuid(6), offset=0, length=6
    )
    cache.CachedDatasetElement.create(
        id=uuid(9), element_id=uuid(3), dataset_id=uuid(8), set_name="train"
    )
    yield path
    cache.db.close()


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The same cache, written by the published library."""
    path = tmp_path / "theirs.sqlite"
    rows = {
        **ROWS,
        "CachedTranscriptionEntity": [
            {"transcription": uuid(4), "entity": uuid(6), "offset": 0, "length": 6}
        ],
        "CachedDatasetElement": [
            {"id": uuid(9), "element": uuid(3), "dataset": uuid(8), "set_name": "train"}
        ],
    }
    published(WRITE, path=path, rows=rows)
    return path


def content(path: Path) -> dict[str, Any]:
    """Return all that is in a file: the statements that made its tables, and all rows."""
    with closing(sqlite3.connect(path)) as connection:
        made = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        tables = [name for kind, name, _, _ in made if kind == "table"]
        return {
            "made": made,
            **{table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables},
        }


def test_the_files_cannot_be_told_from_each_other(ours: Path, theirs: Path) -> None:
    assert content(ours) == content(theirs)
    assert len(content(ours)["made"]) > 20


def test_the_published_library_reads_what_we_have_written(ours: Path) -> None:
    found = published(READ, path=ours)
    assert found["initial"] == [uuid(2)]
    page, line = found["CachedElement"]
    assert (page["polygon"], page["mirrored"], page["rotation_angle"]) == (SQUARE, True, 90)
    assert (line["parent_id"], line["image"]) == (uuid(2), uuid(1))
    assert found["CachedTranscription"][0]["text"] == "Zürich, שלום"
    assert found["CachedEntity"][0]["metas"] == {"a": [1]}
    assert found["CachedDatasetElement"][0]["set_name"] == "train"


def test_we_read_what_the_published_library_has_written(theirs: Path) -> None:
    cache.check_version(theirs)
    cache.init_cache_db(theirs)
    (page,) = cache.CachedElement.select().where(cache.CachedElement.initial == True)  # noqa: E712
    assert (page.id, page.polygon, page.mirrored) == (UUID(uuid(2)), SQUARE, True)
    assert page.image == cache.CachedImage.get_by_id(uuid(1))
    (text,) = cache.recursive_transcriptions(page.id, None)
    assert (text.text, text.confidence, text.element.type) == ("Zürich, שלום", 0.25, "line")
    assert cache.CachedEntity.get_by_id(uuid(6)).metas == {"a": [1]}
    assert cache.CachedTranscriptionEntity.select().get().length == 6
    cache.db.close()


def test_each_merges_caches_of_the_other(ours: Path, theirs: Path, tmp_path: Path) -> None:
    by_them, by_us = tmp_path / "by_them.sqlite", tmp_path / "by_us.sqlite"
    cache.CachedElement.update(type="cover").where(cache.CachedElement.id == uuid(2)).execute()
    published(MERGE, path=by_them, parents=[theirs, ours])
    cache.init_cache_db(by_us)
    cache.create_version_table()
    cache.create_tables()
    cache.merge_parents_cache([theirs, ours], by_us)
    assert cache.CachedElement.get_by_id(uuid(2)).type == "cover"
    assert content(by_us) == content(by_them)


def test_each_unpacks_archives_of_the_other(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "weights.bin").write_bytes(bytes(range(256)) * 40)
    (folder / "a.txt").write_text("words")
    _, packed, _, content_hash = create_tar_zst_archive(folder, tmp_path / "ours.tar.zst")
    published(UNPACK, path=packed, folder=tmp_path / "by_them")
    found = published(PACK, path=tmp_path / "theirs.tar.zst", folder=folder)
    extract_tar_zst_archive(tmp_path / "theirs.tar.zst", tmp_path / "by_us")[1].unlink()
    for unpacked in (tmp_path / "by_them", tmp_path / "by_us"):
        assert (unpacked / "a.txt").read_text() == "words"
        assert (unpacked / "deep" / "weights.bin").stat().st_size == 256 * 40
    assert found[1] == content_hash


def test_polygons_are_turned_and_trimmed_alike() -> None:
    polygon: list[list[Any]] = [[11, 7], [61, 7], [61, 27], [11, 27]]
    pages: list[Element] = [
        element(rotation_angle=angle, mirrored=mirrored)
        for angle in (0, 1, 90, 180, 270, 45, 333)
        for mirrored in (False, True)
    ]
    found = published(TURN, polygon=polygon, pages=pages)
    for page, turned in zip(pages, found["turned"], strict=True):
        for reverse, theirs in zip((False, True), turned, strict=True):
            mine = revert_orientation(page, polygon, reverse=reverse)
            # Where a coordinate is whole but for the error of its computation, theirs may be one less.
            steps = [
                abs(one - other)
                for point, their_point in zip(mine, theirs, strict=True)
                for one, other in zip(point, their_point, strict=True)
            ]
            assert max(steps) <= (1 if page.rotation_angle else 0), (page.rotation_angle, reverse)
    assert found["trimmed"] == trim_polygon(polygon, 40, 20)
