"""The query language by examples: what MongoDB's manual says, and what is refused with which words."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import func, select

from longshore.errors import InvalidRequest, TooLarge
from longshore.limits import QUERY_TERMS, QUERY_VALUES, REGEX_TEXT_CHARACTERS
from longshore.storage import Database
from longshore.surfaces.buckets import query
from tests.surfaces.query_rig import FIELDS, TABLE, TENANT, Rig, with_table


@pytest.fixture
def rig(database: Database) -> Rig:
    return with_table(database)


def found(rig: Rig, documents: list[dict[str, Any]], wanted: Any) -> list[int]:
    """Return the places of the documents that match."""
    rig.fill(documents)
    return sorted(int(each) for each in rig.ask(wanted)[0])


# What mongomock cannot vouch for: its bugs, listed in query_quirks.
@pytest.mark.parametrize(
    ("documents", "wanted", "expected"),
    [
        pytest.param([{"a": 1}, {"a": True}, {"a": 1.0}, {"a": "1"}], {"a": 1}, [0, 2], id="one is not true"),
        pytest.param([{"a": 0}, {"a": False}], {"a": False}, [1], id="false is not zero"),
        pytest.param([{"a": [1]}, {"a": [True]}], {"a": {"$in": [True]}}, [1], id="nor in an array"),
        pytest.param([{"a": {"b": 1}}, {"a": {"b": True}}], {"a": {"b": 1}}, [0], id="nor in an object"),
        pytest.param([{"a": 5}, {"a": None}, {}, {"a": []}, {"a": [1]}], {"a.b": None}, [0, 1, 2], id="missing is null"),
        pytest.param([{"a": 5}, {"a": {"b": 1}}], {"a.b": {"$ne": None}}, [1], id="missing is not different from null"),
        pytest.param([{"a": []}, {"a": {"b": 2}}, {}], {"a.b": {"$not": {"$gt": 1}}}, [0, 2], id="$not is true of what is missing"),
        pytest.param([{"a": [{"b": 1}, {"b": 9}]}], {"a.b": {"$gt": 5, "$lt": 5}}, [0], id="two operators, two elements"),
        pytest.param([{"a": [{"b": 1}, {}]}, {"a": [{}]}], {"a.b": {"$exists": False}}, [1], id="$exists false"),
        pytest.param([{}, {"a": None}, {"a": 1}], {"a": {"$gte": None}}, [0, 1], id="missing is >= null"),
        pytest.param([{"a": "x"}, {"a": {"b": 1}}, {"a": ["x"]}], {"a": {"$size": 1}}, [2], id="$size of arrays only"),
        pytest.param([{"a": [[1, 2]]}, {"a": [1, 2]}, {"a": [2, 1]}], {"a": {"$eq": [1, 2]}}, [0, 1], id="array in array"),
        pytest.param([{"a": [1, 2]}, {"a": 3}, {"a": 1}], {"a": {"$in": [[1, 2], 3]}}, [0, 1], id="array in $in"),
        pytest.param([{"a": [1, 2]}, {"a": [2]}, {"a": 1}], {"a": {"$all": [1]}}, [0, 2], id="$all of a scalar"),
        pytest.param([{}, {"a": None}, {"a": [None]}], {"a": {"$all": [None]}}, [0, 1, 2], id="$all null"),
        pytest.param([{"a": [1]}], {"a": {"$all": []}}, [], id="$all of nothing"),
        pytest.param([{"a": [5, {"b": 1}]}, {"a": {"b": 1}}], {"a": {"$elemMatch": {"b": {"$ne": 2}}}}, [0], id="$elemMatch by name"),
        pytest.param([{"a": [5]}, {"a": [[]]}], {"a": {"$elemMatch": {"b": None}}}, [], id="$elemMatch skips scalars"),
        pytest.param([{"a": [[9]]}, {"a": [9]}], {"a": {"$elemMatch": {"$gt": 5}}}, [1], id="$elemMatch does not dig"),
        pytest.param([{"a": [1]}, {"a": [9]}], {"a": {"$elemMatch": {"$not": {"$gt": 5}}}}, [0], id="$not in $elemMatch"),
        pytest.param([{"a": [{"0": 7}]}, {"a": [7]}, {"a": {"0": 7}}], {"a.0": 7}, [0, 1, 2], id="position or name"),
        pytest.param([{}, {"a": {}}], {"a": {}}, [1], id="an empty object is not a missing one"),
        pytest.param([{"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}], {"a": {"x": 1, "y": 2}}, [0, 1], id="order of keys"),
        pytest.param([{"attempt": 2, "r": 2}, {"attempt": 1, "r": 2}, {"attempt": 1}], {"$expr": {"$gte": ["$attempt", "$r"]}}, [0, 2], id="missing is least in $expr"),
        pytest.param([{"a": ""}, {"a": 0}, {"a": []}, {"a": None}, {}, {"a": False}], {"$expr": "$a"}, [0, 2], id="truth in $expr"),
        pytest.param([{"a": 1}, {"a": 2}], {"$expr": {"$not": [{"$eq": ["$a", 1]}]}}, [1], id="$not with brackets in $expr"),
        pytest.param([{"a": "$b"}, {"a": "x"}], {"$expr": {"$eq": ["$a", {"$literal": "$b"}]}}, [0], id="$literal"),
        pytest.param([{"a": "a\0b"}, {"a": "a"}, {"a": "a\\u0000b"}], {"a": "a\0b"}, [0], id="the character NUL"),
        pytest.param([{"a": "a\0b"}, {"a": "a"}, {"a": "a\\u0000b"}], {"a": "a\\u0000b"}, [2], id="what looks like its escape"),
        pytest.param([{"a": {"b\0": 1}}, {"a": {"b": 1}}], {"a.b\0": 1}, [0], id="NUL in a name"),
        pytest.param([{"a": "é9"}, {"a": "e9"}], {"a": {"$regex": r"^\w\d$"}}, [1], id="\\w is ASCII"),
        pytest.param([{"a": "ÉTÉ"}, {"a": "ete"}], {"a": {"$regex": "^été$", "$options": "i"}}, [0], id="any case"),
        pytest.param([{"a": "x\n"}, {"a": "x\ny"}], {"a": {"$regex": "x$"}}, [0], id="$ before the last line end"),
        pytest.param([{"a": "x" * REGEX_TEXT_CHARACTERS + "y"}, {"a": "y"}], {"a": {"$regex": "y"}}, [1], id="long texts"),
        pytest.param([{"start": None}, {"start": 2.0}], {"start": None}, [0], id="a column that is null"),
        pytest.param([{"start": None}, {"start": 2.0}], {"start": {"$exists": True}}, [0, 1], id="it is there"),
        pytest.param([{"status": "x"}], {"status.y": None}, [0], id="nothing in a column"),
        pytest.param([{"attempt": 1}, {"attempt": 2}], {"attempt": {"$in": [1, "2", True]}}, [0], id="types of a column"),
        pytest.param([{"attempt": 1}], {"attempt": {"$in": [1, 2**62]}}, [0], id="more than the column holds"),
        pytest.param([{"attempt": 1}], {"attempt": {"$lt": 2**62}}, [0], id="less than that"),
        pytest.param([{"a": 1}], {}, [0], id="everything"),
    ],
)  # fmt: skip
def test_a_filter_matches_as_mongodb_documents(
    rig: Rig, documents: list[dict[str, Any]], wanted: Any, expected: list[int]
) -> None:
    assert found(rig, documents, wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"$where": "sleep(1000)"}, ["$where", "not supported", "$elemMatch"]),
        ({"a": {"$where": "1"}}, ["at a.$where", "not supported"]),
        ({"$or": [{"a": 1}, {"b": {"$function": 1}}]}, ["at $or[1].b.$function"]),
        ({"$gt": 5}, ["$gt", "belongs under the name of a field"]),
        ({"a": {"$or": []}}, ["a.$or", "top of a filter"]),
        ({"a": {"$gt": 1, "b": 2}}, ["'b'", "beside operators", "dotted path"]),
        ({"a": {"b": {"$gt": 1}}}, ["'$gt'", "inside a value"]),
        ({"a": {"$in": 5}}, ["a.$in", "a list", "a number"]),
        ({"a": {"$in": [{"$gt": 1}]}}, ["a.$in[0]", "$gt"]),
        ({"a": {"$gt": [1]}}, ["a.$gt", "a list"]),
        ({"a": {"$exists": "yes"}}, ["$exists takes true or false"]),
        ({"a": {"$size": 1.5}}, ["whole number"]),
        ({"a": {"$size": float("inf")}}, ["a.$size"]),
        ({"a": {"$size": 1.7e308}}, ["a.$size", "from 0 to 2147483647"]),
        ({"a": {"$not": 5}}, ["a.$not", "operators"]),
        ({"a": {"$not": {}}}, ["$not has no operators"]),
        ({"a": {"$options": "i"}}, ["$options", "$regex"]),
        ({"$and": []}, ["$and", "empty list"]),
        ({"$and": {"a": 1}}, ["$and", "an object stands there"]),
        ({"a": 2**63}, ["64 bits"]),
        ({"a": float("nan")}, ["not finite"]),
        ({"a": "\ud800"}, ["surrogate"]),
        ({"a.$b": 1}, ["starts with $"]),
        ([], ["a filter is expected", "a list"]),
        ("status", ["a filter is expected", "a text"]),
        ({"a": {"$elemMatch": {"$expr": True}}}, ["$expr"]),
        ({"a": {"$all": [{"$elemMatch": {"b": 1}}, 5]}}, ["not both"]),
        ({"$expr": {"$add": [1, 2]}}, ["$add", "$expr knows"]),
        ({"$expr": {"$gte": ["$a"]}}, ["two operands"]),
        ({"$expr": {"$eq": ["$$ROOT", 1]}}, ["$$ROOT"]),
        ({"a": {"$regex": "(a+)+"}}, ["a.$regex", "repeats a group"]),
        ({"a": {"$regex": r"(a)\1"}}, ["references back"]),
        ({"a": {"$regex": "(?=a)"}}, ["looks around"]),
        ({"a": {"$regex": "(a"}}, ["before a group is closed"]),
        ({"a": {"$regex": "a**"}}, ["repetition"]),
        ({"a": {"$regex": "a^b"}}, ["out of place"]),
        ({"a": {"$regex": "a", "$options": "x"}}, ["'x'", "not supported"]),
        ({"a": {"$regex": 5}}, ["take a text"]),
    ],
)
def test_a_refusal_names_operator_place_and_remedy(wanted: Any, words: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        query.parse(wanted)
    for word in words:
        assert word in refused.value.message


def nested(levels: int) -> Any:
    inner: Any = {"a": 1}
    for _ in range(levels):
        inner = {"$and": [inner]}
    return inner


@pytest.mark.parametrize(
    ("allowed", "refused", "words"),
    [
        (nested(5), nested(6), "6 objects deep"),
        ({f"a{n}": n for n in range(QUERY_TERMS)}, {f"a{n}": n for n in range(QUERY_TERMS + 1)}, "100 terms"),
        ({"a": {"$in": list(range(QUERY_VALUES))}}, {"a": {"$in": list(range(QUERY_VALUES + 1))}}, "10000 values"),
        ({"a": "x" * 500_000}, {"a": "x" * 600_000}, "bytes"),
        ({"a.b.c.d.e.f.g.h.i.j": 1}, {"a.b.c.d.e.f.g.h.i.j.k": 1}, "10 names"),
        ({f"a{n}.b.0.1": n for n in range(50)}, {f"a{n}.b.0.1": n for n in range(51)}, "200 names together"),
        ({"a": list(range(99))}, {"a": list(range(100))}, "100 terms"),
        ({"a": {"$all": list(range(99))}}, {"a": {"$all": list(range(100))}}, "100 terms"),
        ({"a": {"$regex": "x" * 200}}, {"a": {"$regex": "x" * 201}}, "200 are allowed"),
        ({"a": {"$regex": "x{50}" * 19}}, {"a": {"$regex": "x{50}" * 20}}, "1000 are allowed"),
    ],
)  # fmt: skip
def test_limits_are_reached_and_not_passed(
    allowed: Any, refused: Any, words: str, rig: Rig
) -> None:
    rig.fill([{"a": 1}])
    rig.ask(allowed)
    with pytest.raises(TooLarge) as error:
        query.parse(refused)
    assert words in error.value.message


LONG = "a.0.b.1.c.2.d.e.f.g"
ODD = ".".join(['é"'] * 10)


def within(path: str, inner: Any) -> Any:
    return {path: {"$elemMatch": inner}}


@pytest.mark.parametrize(
    "wanted",
    [
        within(LONG, within(LONG, {LONG: 1})),
        within(ODD, within(ODD, {"é": {"$gt": 1}})),
        within(LONG, within(LONG, {"$nor": [{LONG: 1}, {"z": 1}]})),
        within(LONG, {"$nor": [{LONG: {"a": {"b": 1}}}, {"z": 1}]}),
        {"$nor": [within(LONG, within(ODD, {LONG: 1})), {"z": 1}]},
        {"$nor": [within(LONG, {ODD: {"a": {"é": 1}}})]},
        within(LONG, {LONG: {"$not": {"$regex": "a"}}}),
        {LONG: {"$elemMatch": {"$elemMatch": {"$elemMatch": {"$elemMatch": {"$gt": 1}}}}}},
        {LONG: [[[[[1]]]]]},
        {ODD: {"é": {"ö": {"ü": {"ä": 1}}}}},
        {"$nor": [{"$and": [{"a": 1}, {"$or": [{ODD: {"$nin": ["é", [1]]}}]}]}]},
        {"$nor": [{"$or": [{"$expr": {"$not": {"$and": [{"$gte": [f"${ODD}", f"${LONG}"]}]}}}]}]},
        {"$or": [{f"{LONG}{n}": n} for n in range(20)]},
        {f"{ODD}{n}": {"$ne": n} for n in range(20)},
        {LONG: {"$in": [*(n + 0.5 for n in range(3_000)), *range(3_000), *map(str, range(3_000))]}},
        {"id": {"$in": [str(n) for n in range(QUERY_VALUES)]}},
        {"$or": [{"a": {"$regex": "[a-z]{50}" * 19}} for _ in range(99)]},
    ],
)  # fmt: skip
def test_the_largest_filters_that_are_allowed_are_answered(rig: Rig, wanted: Any) -> None:
    """SQLite parses SQL and trees of expressions up to a depth, which no filter may reach."""
    rig.fill([{"a": 1}])
    found = select(TABLE.c.id).where(TABLE.c.tenant == TENANT, rig.condition(wanted))
    counted = select(func.count()).select_from(found.subquery())
    rig.database.read_blocking(lambda connection: connection.execute(counted).all())


@pytest.mark.parametrize("path", [LONG, ODD])
def test_the_largest_sort_that_is_allowed_is_answered(rig: Rig, path: str) -> None:
    rig.fill([{"a": 1}])
    assert rig.in_order([[f"{path}{n}", 1] for n in range(8)]) == ["0"]


def test_no_pattern_is_slow(rig: Rig) -> None:
    rig.fill([{"a": "a" * 9_999 + "b"} for _ in range(20)])
    began = time.monotonic()
    for pattern in ("a*a*a*a*a*a*c", "(?:a|a|a|a)*c", "a?" * 60 + "a{50}c", ".*.*.*.*=.*c"):
        assert rig.ask({"a": {"$regex": pattern}}) == [set()]
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, None),
        ({"pipeline": "p"}, {"p"}),
        ({"pipeline": {"$in": ["p", "q", 5]}, "site": "x"}, {"p", "q"}),
        ({"pipeline": {"$eq": "p"}}, {"p"}),
        ({"$and": [{"pipeline": {"$in": ["p", "q"]}}, {"pipeline": "q"}]}, {"q"}),
        ({"$or": [{"pipeline": "p"}]}, None),
        ({"$or": [{"pipeline": "p"}, {"pipeline": "q"}]}, None),
        ({"pipeline": {"$ne": "p"}}, None),
        ({"pipeline": None}, set()),
        ({"pipeline": ["p"]}, set()),
    ],
)
def test_the_buckets_that_a_filter_is_limited_to(wanted: Any, expected: set[str] | None) -> None:
    assert query.pipelines_of(query.parse(wanted)) == expected


def test_equality_on_a_column_is_a_plain_comparison(rig: Rig) -> None:
    text = str(rig.condition({"status": "queued", "id": {"$in": ["a"]}, "config.parent": "p"}))
    assert "query_documents.status = " in text
    assert text.index("query_documents.id IN") < text.index("SELECT")


def test_the_same_filter_is_translated_once(rig: Rig) -> None:
    wanted = {"pipeline": "p", "site": "local"}
    assert rig.condition(wanted) is rig.condition(dict(wanted))
    assert rig.condition({"attempt": 1}) is not rig.condition({"attempt": True})


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ({"a": 1, "id": 1}, ["empty", "missing", "null", "number", "array", "text", "object", "nested", "true"]),
        ({"a": -1, "id": 1}, ["true", "nested", "object", "text", "array", "number", "missing", "null", "empty"]),
        ([["start", -1], ["id", 1]], ["text", "array", "empty", "missing", "nested", "null", "number", "object", "true"]),
        ({"a.b": 1, "id": -1}, ["true", "text", "number", "null", "nested", "missing", "empty", "array", "object"]),
    ],
)  # fmt: skip
def test_types_sort_in_mongos_order(rig: Rig, sort: Any, expected: list[str]) -> None:
    values: dict[str, Any] = {"null": None, "number": 5, "object": {"b": 1}, "array": [7, 6, "w"]}
    values |= {"nested": [[1]], "empty": [], "true": True}
    rig.fill(
        [
            {"id": "missing"},
            {"id": "text", "a": "x", "start": 2.0},
            *({"id": name, "a": value} for name, value in values.items()),
        ]
    )
    assert rig.in_order(sort) == expected


@pytest.mark.parametrize(
    ("sort", "word"),
    [
        ({"a": 2}, "1 (up) or -1 (down)"),
        ({"a": True}, "1 (up) or -1 (down)"),
        ([["a"]], "1 (up) or -1 (down)"),
        ("a", "fields with 1 or -1"),
        ({"$a": 1}, "starts with $"),
        ({f"a{n}": 1 for n in range(9)}, "8 are allowed"),
    ],
)
def test_a_sort_that_is_none_is_refused(sort: Any, word: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        query.ordering(sort, FIELDS, "sqlite")
    assert word in refused.value.message
    assert query.ordering(None, FIELDS, "sqlite") == []


DOCUMENT = {"id": "1", "config": {"parent": "p", "tags": [{"a": 1, "b": 2}, 5]}, "status": "queued"}


@pytest.mark.parametrize(
    ("wanted", "expected", "names"),
    [
        (None, DOCUMENT, set()),
        ({"_id": False}, DOCUMENT, set()),
        ({"_id": 1}, DOCUMENT, set()),
        ({"status": 1, "id": 1, "_id": 0}, {"id": "1", "status": "queued"}, {"id", "status"}),
        ({"config.parent": True}, {"config": {"parent": "p"}}, {"config"}),
        ({"config.tags.a": True}, {"config": {"tags": [{"a": 1}]}}, {"config"}),
        ({"longshore": True}, {}, {"longshore"}),
        ({"config": False}, {"id": "1", "status": "queued"}, set()),
        (
            {"config.tags.a": 0, "id": 0},
            {"config": {"parent": "p", "tags": [{"b": 2}, 5]}, "status": "queued"},
            set(),
        ),
    ],
)
def test_a_projection_shows_what_is_asked_for(
    wanted: Any, expected: dict[str, Any], names: set[str]
) -> None:
    projection = query.Projection.parse(wanted)
    assert projection.apply(DOCUMENT) == expected
    assert projection.names == names


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        ({"a": True, "b": False}, "one of both"),
        ({"a": {"$slice": 5}}, "operators and computed fields"),
        ({"a": "$b"}, "operators and computed fields"),
        ({"a": True, "a.b": True}, "one inside it"),
        ({"a.b": True, "a": True}, "one inside it"),
        (["a"], "an object"),
        ({"a.$": True}, "starts with $"),
        ({f"a{n}": True for n in range(101)}, "100 are allowed"),
    ],
)
def test_a_projection_that_is_none_is_refused(wanted: Any, word: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        query.Projection.parse(wanted)
    assert word in refused.value.message
