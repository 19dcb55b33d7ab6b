"""The cache between tasks: its layout, its rows, and merging those of parent tasks."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from longshore.corpus import cache
from longshore.corpus.cache import (
    CachedClassification,
    CachedDataset,
    CachedElement,
    CachedImage,
    CachedTranscription,
    CachedTranscriptionEntity,
    IntegrityError,
)
from longshore.corpus.cache_records import Record
from tests.unit.corpus_mixins_rig import SQUARE, uuid

COLUMNS = {
    "version": "version",
    "images": "id width height url",
    "elements": "id parent_id type image_id polygon rotation_angle mirrored initial "
    "worker_version_id worker_run_id confidence",
    "transcriptions": "id element_id text confidence orientation worker_version_id worker_run_id",
    "classifications": "id element_id class_name confidence state worker_run_id",
    "entities": "id type name validated metas worker_run_id",
    "transcription_entities": "transcription_id entity_id offset length worker_run_id confidence",
    "datasets": "id name state sets",
    "dataset_elements": "id element_id dataset_id set_name",
}
INDEXES = {
    "cachedelement_image_id",
    "cachedclassification_element_id",
    "cacheddatasetelement_element_id",
    "cacheddatasetelement_dataset_id",
    "cachedtranscription_element_id",
    "cachedtranscriptionentity_transcription_id",
    "cachedtranscriptionentity_entity_id",
}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A cache that is open, with its tables."""
    made = tmp_path / "db.sqlite"
    opened(made)
    yield made
    cache.db.close()


def opened(path: Path) -> None:
    cache.init_cache_db(path)
    cache.create_version_table()
    cache.create_tables()


def raw(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_the_layout_is_that_of_version_three(path: Path) -> None:
    names = {name for (name,) in raw(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == set(COLUMNS)
    for table, columns in COLUMNS.items():
        found = [row[1] for row in raw(path, f"PRAGMA table_info({table})")]
        assert found == columns.split(), table
    indexes = raw(path, "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    assert {name for (name,) in indexes} == INDEXES
    assert raw(path, "SELECT version FROM version") == [(3,)]
    (made,) = raw(path, "SELECT sql FROM sqlite_master WHERE name = 'datasets'")
    assert made == (
        'CREATE TABLE "datasets" ("id" TEXT NOT NULL PRIMARY KEY, "name" VARCHAR(255) NOT NULL, '
        '"state" VARCHAR(255) NOT NULL DEFAULT \'open\', "sets" TEXT NOT NULL)',
    )


def test_the_fields_of_the_classes_are_the_columns_of_the_tables() -> None:
    models: list[type[Record]] = [*cache.MODELS, cache.Version]
    for model in models:
        assert list(model.fields) == COLUMNS[model.table].split()


def test_values_are_kept_as_others_read_them(path: Path) -> None:
    CachedImage.create(id=uuid(1), width=5, height=6, url="http://images.test/1")
    CachedElement.create(
        id=UUID(uuid(2)), type="page", image_id=uuid(1), polygon=SQUARE, mirrored=True
    )
    assert raw(path, "SELECT * FROM elements") == [
        (
            UUID(uuid(2)).hex, None, "page", UUID(uuid(1)).hex, json.dumps(SQUARE),
            0, 1, 0, None, None, None,
        )
    ]  # fmt: skip


def test_rows_are_found_changed_and_removed(path: Path) -> None:
    assert path.exists()
    CachedElement.insert_many(
        [
            {"id": uuid(number), "type": kind, "initial": number < 3, "confidence": number / 10}
            for number, kind in enumerate(("page", "page", "line", "line", "word"))
        ]
    ).execute()
    query = CachedElement.select().where(CachedElement.initial == True)  # noqa: E712 - how it is used
    assert query.exists()
    assert (len(query), query.count(), bool(query)) == (3, 3, True)
    assert not CachedElement.select().where(False).exists()
    pages_or_words = (CachedElement.type == "page") | (CachedElement.type == "word")
    assert CachedElement.select().where(pages_or_words).count() == 3
    assert (
        CachedElement.select().where(~pages_or_words & CachedElement.parent_id.is_null()).count()
        == 2
    )
    ranked = (
        CachedElement.select()
        .where(CachedElement.confidence >= 0.2)
        .order_by(CachedElement.confidence)
    )
    assert [one.type for one in ranked] == ["line", "line", "word"]
    assert ranked[0].confidence == 0.2
    assert [one.type for one in ranked[1:]] == ["line", "word"]
    assert CachedElement.select().where(CachedElement.type.in_(["line"])).limit(1).count() == 1
    assert CachedElement.select().where(CachedElement.image_id.is_null()).count() == 5
    assert CachedElement.select().where(CachedElement.image_id != None).count() == 0  # noqa: E711
    assert CachedElement.update(type="cover").where(CachedElement.type == "page").execute() == 2
    first = CachedElement.get_by_id(uuid(0))
    assert (first.type, first.initial, str(first)) == ("cover", True, uuid(0))
    first.mirrored = True
    assert first.save() == 1
    assert CachedElement.get(CachedElement.mirrored == True) == first  # noqa: E712
    assert CachedElement.delete().where(CachedElement.type == "line").execute() == 2
    assert {one.type for one in CachedElement.select()} == {"cover", "word"}
    assert hash(first) == hash(CachedElement.get_by_id(first.id))
    with pytest.raises(CachedElement.DoesNotExist):
        CachedElement.get_by_id(uuid(9))
    with pytest.raises(AttributeError, match="elements has no column title"):
        CachedElement(title="1r")


def test_a_row_is_made_where_it_is_missing(path: Path) -> None:
    assert path.exists()
    values = {"width": 5, "height": 6, "url": "http://images.test/1"}
    image, made = CachedImage.get_or_create(id=uuid(1), defaults=values)
    again, made_again = CachedImage.get_or_create(id=uuid(1), defaults={"width": 9})
    assert (made, made_again) == (True, False)
    assert (again, again.width) == (image, 5)
    CachedElement(id=uuid(2), type="page", image_id=uuid(1)).save(force_insert=True)
    assert [one.type for one in image.elements] == ["page"]


def test_rules_hold_and_a_wrong_row_leaves_none_of_its_fellows(path: Path) -> None:
    element = {"id": uuid(1), "type": "page"}
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        CachedElement.create(**element, image_id=uuid(9))
    with pytest.raises(IntegrityError, match="NOT NULL"):
        CachedElement.create(id=uuid(1))
    with pytest.raises(IntegrityError, match="UNIQUE"):
        CachedElement.insert_many([element, element]).execute()
    assert CachedElement.insert_many([]).execute() == 0
    assert raw(path, "SELECT count(*) FROM elements") == [(0,)]
    CachedElement.create(**element)
    CachedTranscription.create(
        id=uuid(2), element_id=uuid(1), text="a", orientation="horizontal-lr"
    )
    cache.CachedEntity.create(id=uuid(3), type="person", name="Anna")
    for wrong in ({"offset": -1, "length": 1}, {"offset": 0, "length": 0}):
        with pytest.raises(IntegrityError, match="CHECK"):
            CachedTranscriptionEntity.create(transcription_id=uuid(2), entity_id=uuid(3), **wrong)


def test_threads_share_the_cache(path: Path) -> None:
    def write(start: int) -> None:
        for number in range(start, start + 50):
            CachedElement.create(id=uuid(number), type="line")

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raw(path, "SELECT count(*) FROM elements") == [(150,)]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_a_connection_of_its_own(path: Path) -> None:
    child = multiprocessing.get_context("fork").Process(
        target=CachedElement.create, kwargs={"id": uuid(1), "type": "page"}
    )
    child.start()
    child.join(timeout=30)
    assert child.exitcode == 0
    CachedElement.create(id=uuid(2), type="page")
    assert raw(path, "SELECT count(*) FROM elements") == [(2,)]


def test_a_file_that_was_left_behind_is_used_again(path: Path) -> None:
    CachedElement.create(id=uuid(1), type="page")
    opened(path)
    assert CachedElement.select().count() == 1
    assert raw(path, "SELECT version FROM version") == [(3,)]


def test_files_of_another_version_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE elements (id TEXT)")
    with pytest.raises(AssertionError, match=r"must have layout version 3, and has None"):
        cache.check_version(other)
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("CREATE TABLE version (version INTEGER)")
        connection.execute("INSERT INTO version VALUES (2)")
    with pytest.raises(AssertionError, match="and has 2"):
        cache.check_version(other)
    (tmp_path / "note.txt").write_text("this is no database, and long enough to say so" * 20)
    with pytest.raises(AssertionError, match="and has None"):
        cache.check_version(tmp_path / "note.txt")
    with pytest.raises(AssertionError, match="there is no cache at"):
        cache.check_version(tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()


def test_a_cache_that_is_not_open_says_so(tmp_path: Path) -> None:
    cache.db.close()
    with pytest.raises(RuntimeError, match="call init_cache_db first"):
        CachedElement.select().count()
    with pytest.raises(sqlite3.OperationalError):
        cache.init_cache_db(tmp_path / "none" / "db.sqlite")


def test_caches_of_parents_are_merged_and_later_ones_win(tmp_path: Path) -> None:
    parents = [tmp_path / "it's one.sqlite", tmp_path / "two.sqlite"]
    for index, parent in enumerate(parents):
        opened(parent)
        CachedElement.create(id=uuid(1), type=f"of {index}", initial=True)
        CachedElement.create(id=uuid(10 + index), type="page")
        CachedClassification.create(
            id=uuid(20 + index), element_id=uuid(1), class_name="a", confidence=0.5, state="pending"
        )
        CachedDataset.create(id=uuid(30 + index), name="lines", sets="train,dev")
    current = tmp_path / "db.sqlite"
    opened(current)
    CachedElement.create(id=uuid(1), type="mine")
    cache.merge_parents_cache([], current)
    cache.merge_parents_cache(parents, current)
    assert sorted(str(one.id) for one in CachedElement.select()) == [uuid(1), uuid(10), uuid(11)]
    assert CachedElement.get_by_id(uuid(1)).type == "of 1"
    assert CachedElement.get_by_id(uuid(1)).classifications.count() == 2
    assert CachedDataset.get_by_id(uuid(30)).state == "open"
    cache.db.close()


def test_nothing_is_merged_out_of_a_file_of_another_version(tmp_path: Path) -> None:
    current, other = tmp_path / "db.sqlite", tmp_path / "other.sqlite"
    opened(current)
    other.touch()
    with pytest.raises(AssertionError, match="must have layout version 3"):
        cache.merge_parents_cache([other], current)
    with pytest.raises(AssertionError, match="there is no cache at"):
        cache.merge_parents_cache([current], tmp_path / "none.sqlite")
    cache.db.close()
