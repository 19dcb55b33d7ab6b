"""The query language against mongomock: same documents, same question, same answer.

LONGSHORE_TEST_EXAMPLES=1700 in the environment asks ten times as much.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import mongomock
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mongomock.filtering import filter_applies, resolve_sort_key

from longshore.surfaces.buckets import query
from tests.conftest import PostgreSQLServer
from tests.surfaces import query_cases as cases
from tests.surfaces.query_quirks import quirk
from tests.surfaces.query_rig import Rig, both

EXAMPLES = int(os.environ.get("LONGSHORE_TEST_EXAMPLES", "0")) or 170
DOCUMENTS = 25
SETS = 3
FILTERS = 20
CASES_MIN = 20_000
LEFT_OUT_MAX = 0.25

Documents = list[dict[str, Any]]


@pytest.fixture(scope="module")
def rigs(
    tmp_path_factory: pytest.TempPathFactory, postgresql_server: PostgreSQLServer
) -> Iterator[list[Rig]]:
    with both(tmp_path_factory.mktemp("query"), postgresql_server) as opened:
        yield opened


def _settings(examples: int) -> Any:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        # A failure names one filter and one document; making them smaller takes minutes.
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_filters_find_what_mongomock_finds(rigs: list[Rig]) -> None:
    """A case is one filter asked of one set of documents in one database."""
    counted: Counter[str] = Counter()

    @_settings(EXAMPLES)
    @given(
        st.lists(cases.documents(DOCUMENTS), min_size=SETS, max_size=SETS),
        st.lists(cases.filters(), min_size=FILTERS, max_size=FILTERS),
        st.booleans(),
    )
    def ask(sets: list[Documents], filters: list[dict[str, Any]], ascii_only: bool) -> None:
        for documents in sets:
            for rig in rigs:
                rig.fill(documents, ascii_only=ascii_only)
            answers = [rig.ask(*filters) for rig in rigs]
            for number, wanted in enumerate(filters):
                counted["cases"] += len(rigs)
                _compare(wanted, documents, [answer[number] for answer in answers], counted)

    ask()
    print(counted)  # with -s: how often which bug of mongomock was met
    assert counted["cases"] >= CASES_MIN or EXAMPLES < 170
    assert counted["left out"] < LEFT_OUT_MAX * counted["asked"]
    assert counted["found"] > 0.1 * counted["asked"]


def _compare(
    wanted: dict[str, Any], documents: Documents, answers: list[set[str]], counted: Counter[str]
) -> None:
    for document in documents:
        found = {document["id"] in answer for answer in answers}
        reason = quirk(wanted, document)
        if reason is not None:
            counted["left out"] += 1
            counted[reason] += 1
            assert len(found) == 1, ("the databases differ", wanted, document)
            continue
        expected = bool(filter_applies(wanted, document))
        counted["asked"] += 1
        counted["found"] += expected
        assert found == {expected}, ("mongomock says", expected, wanted, document, answers)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_sorting_gives_the_order_of_mongomock(rigs: list[Rig]) -> None:
    counted: Counter[str] = Counter()

    @_settings(EXAMPLES // 5)
    @given(cases.documents(DOCUMENTS), st.lists(cases.sorts, min_size=5, max_size=5))
    def ask(documents: Documents, sorts: list[list[tuple[str, int]]]) -> None:
        for rig in rigs:
            rig.fill(documents)
        for sort in sorts:
            kept = [each for each in documents if _sorts_alike(each, sort)]
            expected = sorted(kept, key=lambda each: each["id"])
            for name, direction in reversed(sort):
                expected.sort(key=partial(resolve_sort_key, name), reverse=direction < 0)
            ids = [each["id"] for each in expected]
            for rig in rigs:
                # Mongo's two forms of a sort mean the same.
                for form in ([*map(list, sort), ["id", 1]], {**dict(sort), "id": 1}):
                    found = [each for each in rig.in_order(form) if each in ids]
                    assert found == ids, (rig.dialect, sort, documents)
            counted["sorts"] += 1
            counted["kept"] += len(kept)

    ask()
    assert counted["kept"] > 0.6 * DOCUMENTS * counted["sorts"]


def _sorts_alike(document: dict[str, Any], sort: list[tuple[str, int]]) -> bool:
    """Return whether mongomock sorts this document as we do.

    It sorts an array by its first element, not by its least or greatest, and orders objects and
    arrays among themselves, which we leave alone; and it looks into arrays on the way.
    """
    for name, _ in sort:
        first, _, rest = name.partition(".")
        value = document.get(first)
        if rest and isinstance(value, list):
            return False
        if rest and isinstance(value, dict):
            value = value.get(rest)
        if isinstance(value, dict) or (isinstance(value, list) and len(value) > 1):
            return False
        if isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
            return False
    return True


def test_projections_show_what_mongomock_shows() -> None:
    collection = mongomock.MongoClient().db.documents
    counted: Counter[str] = Counter()

    @_settings(EXAMPLES)
    @given(cases.documents(4), cases.projections())
    def ask(documents: Documents, wanted: dict[str, Any]) -> None:
        projection = query.Projection.parse(wanted)
        names = [name for name in wanted if name != "_id"]
        for document in documents:
            if any(_projects_oddly(name.split("."), document, projection) for name in names):
                counted["left out"] += 1
                continue
            counted["asked"] += 1
            # Without a field, {"_id": false} shows all, and so do we where mongomock wants it.
            given = {**wanted, "_id": False}
            expected = collection._copy_only_fields(document, given, dict)
            assert projection.apply(document) == expected, (wanted, document)

    ask()
    assert counted["asked"] > EXAMPLES


def _projects_oddly(steps: list[str], value: Any, projection: query.Projection) -> bool:
    """Return whether a path meets a bug of mongomock.

    Scalars in arrays of sub-documents are an error there, and what lies where a path would go on
    is left out by an exclusion.
    """
    if not steps:
        return False
    if isinstance(value, list):
        return any(
            not isinstance(each, dict) or _projects_oddly(steps, each, projection) for each in value
        )
    if not isinstance(value, dict):
        return not projection.includes
    return steps[0] in value and _projects_oddly(steps[1:], value[steps[0]], projection)
