"""How the statements about elements reach their rows: never by walking a whole table."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Connection, text

from longshore import ids
from longshore.access import Principal, Role
from longshore.storage.bulk import insert_rows
from longshore.surfaces.corpus import changing, creating, elements, listing, parents, removal
from longshore.surfaces.corpus.creating import Described, NewElements
from longshore.surfaces.corpus.elements import ALL
from longshore.surfaces.corpus.listing import Filters, Wanted
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.parents import Children
from longshore.surfaces.corpus.tables import (
    corpus_classifications,
    corpus_metadata,
    corpus_transcriptions,
)
from tests.storage.test_plans import caught, explain
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.results_corpus_rig import worker_run

CORPORA, PAGES, LINES = 20, 10, 100
LARGE = (
    "corpus_elements", "corpus_paths", "corpus_transcriptions", "corpus_classifications",
    "corpus_metadata", "corpus_images",
)  # fmt: skip
BOX = [[0.0, 0.0], [9.0, 0.0], [9.0, 9.0]]


class Filled(NamedTuple):
    """Many corpora; the ids are of one of them."""

    corpora: Corpora
    corpus: str
    folder: str
    page: str
    lines: list[str]

    @property
    def organisation(self) -> str:
        return self.corpora.served.organisation.id

    @property
    def principal(self) -> Principal:
        organisation = self.corpora.served.organisation
        return Principal("key_1", "me", organisation.id, organisation.name, None, None, Role.ADMIN)


@pytest.fixture
def filled(corpora: Corpora) -> Filled:
    made = [_corpus(corpora, number) for number in range(CORPORA)]
    corpora.database.write_blocking(_analyze)
    return made[-1]


def _corpus(corpora: Corpora, number: int) -> Filled:
    corpus = corpora.corpus(f"corpus {number}")
    folder = corpora.elements(corpus, ["box"], kind="folder")[0]
    page, lines = "", [""]
    for place in range(PAGES):
        image = corpora.image()
        page = corpora.elements(corpus, [f"p{place}"], parent=folder, image_id=image)[0]
        names = [f"l{line}" for line in range(LINES)]
        lines = corpora.elements(corpus, names, kind="text_line", parent=page, image_id=image)
        _results(corpora, lines)
    return Filled(corpora, corpus, folder, page, lines)


def _analyze(connection: Connection) -> None:
    connection.execute(text("ANALYZE"))


def _results(corpora: Corpora, lines: list[str]) -> None:
    def add(connection: Connection) -> None:
        for table, columns, more in (
            (corpus_transcriptions, ("text", "orientation"), ("t", "horizontal-lr")),
            (corpus_metadata, ("type", "name", "value"), ("text", "n", "v")),
            (
                corpus_classifications,
                ("class_id", "confidence", "high_confidence", "state"),
                ("c", 1.0, True, "pending"),
            ),
        ):
            rows = [(ids.uuid(), line, *more) for line in lines]
            same = {"worker_run_id": "", "created_us": 0}
            insert_rows(connection, table, ("id", "element_id", *columns), rows, same=same)

    corpora.database.write_blocking(add)


def _plans(corpora: Corpora, service: Callable[[Connection], Any]) -> list[tuple[str, str]]:
    """Run a service, explain what it sent, and take back what it did."""
    made: list[tuple[str, str]] = []

    def trial(connection: Connection) -> None:
        with caught(connection, r"\w*corpus_\w+") as statements:
            savepoint = connection.begin_nested()
            service(connection)
            savepoint.rollback()
        for statement, parameters in statements:
            made.append((statement, explain(connection, statement, parameters)))

    corpora.database.write_blocking(trial)
    assert made, "it has sent a statement"
    return made


def _walks(plan: str) -> bool:
    tables = "|".join(LARGE)
    return bool(re.search(rf"SCAN ({tables})\b|Seq Scan ({tables})\b", plan))


def _wanted(page: int = 1, **filters: Any) -> Wanted:
    return Wanted(Filters(**filters), Page(page, 20, "http://test", ()), "http://test", ALL)


def _calls(filled: Filled) -> dict[str, Callable[[Connection], Any]]:
    corpus, folder, page, lines = filled.corpus, filled.folder, filled.page, filled.lines
    organisation, principal = filled.organisation, filled.principal
    new = NewElements([Described(type="text_line", name="n", polygon=BOX) for _ in range(50)])
    run, _ = worker_run(filled.corpora, corpus)
    again = NewElements(new.elements, run)
    filters: dict[str, dict[str, Any]] = {
        "all": {},
        "of a type": {"type": "page"},
        "by name": {"name": "l1", "type": "text_line"},
        "folders": {"folder": True},
        "of a run": {"worker_run": run},
        "with text": {"transcription_worker_run": "False"},
        "of a version": {"worker_version": run, "transcription_worker_version": run},
    }
    calls: dict[str, Callable[[Connection], Any]] = {
        "shown": lambda c: elements.shown(c, lines, "http://test", ALL),
        "one": lambda c: elements.show(c, organisation, page, "http://test"),
        "create": lambda c: creating.create_many(c, principal, page, new),
        "create again": lambda c: creating.create_many(c, principal, page, again),
        "link": lambda c: parents.create(c, principal, lines[0], folder),
        "link many": lambda c: parents.create_many(c, principal, folder, Children(lines)),
        "unlink": lambda c: parents.remove(c, principal, lines[0], page),
        "change": lambda c: changing.change(
            c, principal, page, changing.Changes(name="n", rotation_angle=90)
        ),
        "remove": lambda c: removal.remove(c, principal, page, with_children=True),
        "top level": lambda c: listing.of_corpus(c, organisation, corpus, _wanted(top_level=True)),
    }
    for name, given in filters.items():
        calls[f"corpus, {name}"] = lambda c, given=given: listing.of_corpus(  # type: ignore[misc]
            c, organisation, corpus, _wanted(**given)
        )
        for far in (False, True):
            wanted = _wanted(recursive=far, **given)
            place = (organisation, folder if far else page, wanted)
            calls[f"below {far}, {name}"] = lambda c, place=place: listing.children(c, *place)  # type: ignore[misc]
            place = (organisation, lines[0], wanted)
            calls[f"above {far}, {name}"] = lambda c, place=place: listing.above(c, *place)  # type: ignore[misc]
    return calls


async def test_no_statement_about_elements_walks_a_table(filled: Filled) -> None:
    walking = []
    for name, call in _calls(filled).items():
        for statement, plan in _plans(filled.corpora, call):
            if _walks(plan):
                walking.append(f"{name}:\n{statement}\n{plan}\n")
    assert not walking, "\n".join(walking)


async def test_a_page_of_children_and_of_a_corpus_is_read_in_the_order_of_its_index(
    filled: Filled,
) -> None:
    calls = _calls(filled)
    for name in ("below False, all", "corpus, all", "corpus, of a type"):
        statement, plan = next(
            each for each in _plans(filled.corpora, calls[name]) if "LIMIT" in each[0]
        )
        assert "Sort" not in plan, f"{name}: {statement}\n{plan}"
        assert "TEMP B-TREE" not in plan, f"{name}: {statement}\n{plan}"
