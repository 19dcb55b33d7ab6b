"""Corpora and their elements a page at a time, and one element with all that was found on it."""

from __future__ import annotations

from typing import Any

import pytest

from longshore import ids
from longshore.errors import InvalidRequest, NotFound
from longshore.surfaces.corpus import browsing, element_views
from longshore.surfaces.corpus.element_views import Span, parts
from tests.surfaces.corpus_rig import Corpora

POLYGON = "[[10,20],[110,20],[110,80],[10,80],[10,20]]"


def corpus_of(corpora: Corpora, corpus_id: str, most: int = 100) -> browsing.Corpus:
    organisation_id = corpora.served.organisation.id
    return corpora.database.read_blocking(browsing.corpus, organisation_id, corpus_id, most=most)


def walk(corpora: Corpora, corpus_id: str, *, limit: int = 2, **wanted: Any) -> list[str]:
    """Return the names of all pages, one after the other."""
    given = {"kind": None, "name": "", **wanted}
    found: list[str] = []
    after = None
    while True:
        page = corpora.database.read_blocking(
            browsing.elements, corpus_of(corpora, corpus_id), after=after, limit=limit, **given
        )
        assert len(page.elements) <= limit
        found += [each.name for each in page.elements]
        after = page.older
        if after is None:
            return found


def look(corpora: Corpora, element_id: str, **more: Any) -> element_views.Look:
    organisation_id = corpora.served.organisation.id
    return corpora.database.read_blocking(element_views.look, organisation_id, element_id, **more)


async def test_corpora_are_listed_with_counts_by_type_that_end(corpora: Corpora) -> None:
    for name in ("b", "a", "c"):
        corpus_id = corpora.corpus(name)
        corpora.elements(corpus_id, ["1", "2", "3"])
        corpora.elements(corpus_id, ["line"], kind="text_line")
    found = corpora.database.read_blocking(
        browsing.corpora_page, corpora.served.organisation.id, after=None, limit=2, most=2
    )
    assert [each.name for each in found] == ["a", "b"]
    counts = {each.slug: (each.count, each.place) for each in found[0].types}
    assert counts == {"folder": (0, 0), "page": (3, 1), "text_line": (1, 2)}


async def test_elements_are_paged_by_type_and_by_name(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "WINDOW_ELEMENTS", 3)
    corpus_id = corpora.corpus()
    corpora.elements(corpus_id, [f"Letter {each}" for each in range(7)])
    corpora.elements(corpus_id, ["line"], kind="text_line")
    letters = [f"Letter {each}" for each in range(7)]
    assert walk(corpora, corpus_id) == [*letters, "line"]
    assert walk(corpora, corpus_id, kind="page") == letters
    assert walk(corpora, corpus_id, name="ER 6") == ["Letter 6"]
    with pytest.raises(InvalidRequest):
        walk(corpora, corpus_id, kind="no such type")


async def test_children_are_paged_in_their_order(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    (page,) = corpora.elements(corpus_id, ["page"])
    corpora.elements(corpus_id, ["a", "b", "c"], kind="text_line", parent=page)
    first = corpora.database.read_blocking(browsing.children, page, after=None, limit=2)
    assert [each.name for each in first.elements] == ["a", "b"]
    rest = corpora.database.read_blocking(browsing.children, page, after=first.older, limit=2)
    assert [each.name for each in rest.elements] == ["c"]
    assert rest.older is None


async def test_an_element_has_its_zones_and_neighbours(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    image = corpora.image()
    (folder,) = corpora.elements(corpus_id, ["box"], kind="folder")
    pages = corpora.elements(corpus_id, ["1", "2", "3"], parent=folder, image_id=image)
    corpora.elements(
        corpus_id, ["line"], kind="text_line", parent=pages[1], image_id=image, polygon=POLYGON
    )
    corpora.elements(corpus_id, ["elsewhere"], kind="text_line", parent=pages[1])
    found = look(corpora, pages[1])
    assert (found.before, found.after) == (pages[0], pages[2])
    (zone,) = found.zones
    assert (zone.name, zone.points[0]) == ("line", (10, 20))
    assert [each.name for each in found.parents] == ["box"]
    assert [each.name for each in found.children.elements] == ["line", "elsewhere"]
    assert look(corpora, pages[0]).before is None
    alone = corpora.elements(corpus_id, ["x", "y"], kind="folder")
    assert look(corpora, alone[0]).after == alone[1]


async def test_texts_come_with_their_entities_and_the_surest_class_colours_a_zone(
    corpora: Corpora,
) -> None:
    corpus_id = corpora.corpus()
    image = corpora.image()
    (page,) = corpora.elements(corpus_id, ["page"], image_id=image)
    (line,) = corpora.elements(
        corpus_id, ["line"], kind="text_line", parent=page, image_id=image, polygon=POLYGON
    )
    made = await corpora.call(
        "POST",
        f"/element/{line}/transcription/",
        expect=201,
        body={"text": "Anna lives in Rome", "confidence": 0.9, "orientation": "horizontal-rl"},
    )
    kind = await corpora.call(
        "POST",
        "/entity/types/",
        expect=201,
        body={"name": "person", "color": "00ff00", "corpus": corpus_id},
    )
    await corpora.call(
        "POST",
        f"/transcription/{made['id']}/entities/",
        expect=201,
        body={"type_id": kind["id"], "offset": 0, "length": 4},
    )
    for name, confidence in (("print", 0.2), ("hand", 0.8)):
        given = await corpora.call(
            "POST", f"/corpus/{corpus_id}/classes/", expect=201, body={"name": name}
        )
        await corpora.call(
            "POST",
            "/classifications/",
            expect=201,
            body={"element": line, "ml_class": given["id"], "confidence": confidence},
        )
    (text,) = look(corpora, line).transcriptions
    assert [part.text for part in text.parts] == ["Anna", " lives in Rome"]
    assert [span.type for span in text.parts[0].entities] == ["person"]
    assert text.orientation == "horizontal-rl"
    (zone,) = look(corpora, page).zones
    assert (zone.ml_class, zone.text) == ("hand", "Anna lives in Rome")


def test_a_text_is_cut_where_entities_begin_and_end_also_inside_each_other() -> None:
    outer, inner = Span(0, 9, "place", 0, None, None), Span(4, 5, "person", 1, None, None)
    cut = parts("New Paris shines", [outer, inner])
    assert [part.text for part in cut] == ["New ", "Paris", " shines"]
    assert [len(part.entities) for part in cut] == [1, 2, 0]
    assert "".join(part.text for part in parts("abc", [Span(2, 99, "x", 0, None, None)])) == "abc"


async def test_another_organisation_sees_nothing_of_it(corpora: Corpora) -> None:
    corpus_id = corpora.corpus()
    (page,) = corpora.elements(corpus_id, ["page"])
    other, _ = corpora.served.other_organisation()
    for service, given in ((element_views.look, page), (element_views.place, page)):
        with pytest.raises(NotFound):
            corpora.database.read_blocking(service, other.id, given)
    with pytest.raises(NotFound):
        corpora.database.read_blocking(browsing.corpus, other.id, corpus_id, most=1)
    with pytest.raises(NotFound):
        look(corpora, ids.uuid())
