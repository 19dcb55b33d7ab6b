"""Whatever is sent as a filter and whatever lies in the documents: an answer or a refusal.

No filter is an error in the database, and none shows a document of another tenant when the caller
adds the tenant himself. LONGSHORE_TEST_EXAMPLES=5000 asks for more.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from longshore.errors import InvalidRequest
from longshore.surfaces.buckets import query
from tests.conftest import PostgreSQLServer
from tests.surfaces import query_cases as cases
from tests.surfaces.query_rig import TENANT, Rig, both

EXAMPLES = int(os.environ.get("LONGSHORE_TEST_EXAMPLES", "0")) or 300
NUL_AND_HALVES = ("\0", "a\0b", "\\u0000", "\\\\u0000", "\\\0", "\ufdd0", "'; DROP TABLE x; --")


def _deep(depth: int) -> Any:
    value: Any = "bottom"
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


WILD: list[dict[str, Any]] = [
    {"id": "nul", "a": "\0", "b": {"a\0b": "a\0b", "\0": 1}, "tags": ["\0", "x\0"]},
    {"id": "backslashes", "a": "\\u0000", "b": "\\\\u0000", "tags": ["\\\0", "\\"]},
    {
        "id": "halves",
        "a": "\ud800",
        "b": ["\udc00x", "\ud83d"],
        "tags": "\ude00\ud83d",
        "config": "😀",
    },
    {"id": "numbers", "a": 10**400, "b": -(10**30), "tags": [1e308, 5e-324, -0.0, 2**63, 2**64]},
    {"id": "keys", "": 1, "a.b": 2, 'q"t': {"'": 3, "$": 4, "[0]": 5, "é": {"": 6}}, "$gt": 7},
    {"id": "deep", "a": _deep(400), "config": _deep(31)},
    {
        "id": "looks",
        "a": "1e999",
        "b": "[1,2]",
        "tags": '{"a":1}',
        "config": {"a": "null", "b": "NaN"},
    },
    {
        "id": "long",
        "a": "x" * 50_000,
        "b": list(range(2_000)),
        "tags": [[]] * 50,
        "config": [{}, {"a": {}}],
    },
    {"id": "nothing"},
]

NAMES = (
    *("a", "b", "tags.0", "config.a.b", "status", "attempt.x", "start", "id", "", ".", "a..b"),
    *(
        "q\"t.'",
        "a\0b",
        "2.2.2.2.2",
        "é" * 300,
        "a." * 20,
        "$where",
        "$gt",
        "b.$x",
        "[0]",
        "\ud800",
    ),
)
OPERATORS = (
    *("$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists", "$and", "$or", "$nor"),
    *("$not", "$all", "$size", "$elemMatch", "$regex", "$options", "$expr", "$where", "$function"),
    *("$type", "$mod", "$text", "$jsonSchema", "$comment", "$", "$$ROOT", "$literal"),
)
ATOMS = (
    *NUL_AND_HALVES,
    *(0, 1, -1, 2**63, 10**400, 1e308, float("inf"), float("nan"), "\ud800", "$a", "$$ROOT", "$"),
    *("a{1,90}", "(a+)+$", "(?=x)", "\\1", "[", "(" * 100, "x" * 300),
)
names = st.sampled_from(NAMES)
operators = st.sampled_from(OPERATORS)
atoms = st.one_of(
    cases.scalars, st.sampled_from(ATOMS), st.text(max_size=5), st.floats(), st.integers()
)
anything = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(names, operators), inner, max_size=3),
    ),
    max_leaves=8,
)
sides = st.one_of(
    cases.filters(),
    st.dictionaries(st.one_of(names, operators), anything, min_size=1, max_size=3),
    st.tuples(names, operators, anything).map(lambda each: {each[0]: {each[1]: each[2]}}),
    st.tuples(st.sampled_from(("$gte", "$eq", "$not", "$and")), anything).map(
        lambda each: {"$expr": {each[0]: each[1]}}
    ),
    anything,
)


@pytest.fixture(scope="module")
def rigs(
    tmp_path_factory: pytest.TempPathFactory, postgresql_server: PostgreSQLServer
) -> Iterator[list[Rig]]:
    with both(tmp_path_factory.mktemp("fuzz"), postgresql_server) as opened:
        for rig in opened:
            # Escaped, as some encoders write all that is not ASCII; the only way for half a
            # surrogate pair to get into a document.
            rig.fill(WILD, ascii_only=True)
        yield opened


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_any_filter_is_answered_or_refused(rigs: list[Rig]) -> None:
    counted: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(sides, min_size=10, max_size=10))
    def ask(filters: list[Any]) -> None:
        for wanted in filters:
            refusal = _refusal(wanted)
            if refusal is not None:
                assert refusal.startswith(("The filter", "The path"))
                counted["refused"] += 1
                continue
            counted["answered"] += 1
            # Anything that the database objects to is raised here and fails the test.
            answers = [rig.tenants(wanted) for rig in rigs]
            assert all(answer <= {TENANT} for answer in answers)
            found = [rig.ask(wanted)[0] for rig in rigs]
            assert found[0] == found[1] or _beyond_doubles(wanted), (wanted, found)

    ask()
    print(counted)
    assert min(counted["answered"], counted["refused"]) > EXAMPLES


def _refusal(wanted: Any) -> str | None:
    try:
        query.parse(wanted)
    except InvalidRequest as error:
        return error.message
    return None


def _beyond_doubles(wanted: Any) -> bool:
    """Return whether a filter compares numbers that only PostgreSQL tells apart.

    Whole numbers beyond 64 bits, which MongoDB does not have, are doubles in SQLite.
    """
    if isinstance(wanted, dict):
        return any(_beyond_doubles(each) for each in wanted.values())
    if isinstance(wanted, list):
        return any(_beyond_doubles(each) for each in wanted)
    return isinstance(wanted, int | float) and abs(wanted) > 2**53


@pytest.mark.parametrize(
    "sort", [{"a": 1}, {"b": -1}, {"tags": 1, "config.a": -1}, {'q"t.é': 1}, [["start", 1]]]
)
def test_wild_documents_are_sorted(rigs: list[Rig], sort: Any) -> None:
    for rig in rigs:
        assert sorted(rig.in_order(sort)) == sorted(each["id"] for each in WILD)
