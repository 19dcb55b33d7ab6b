"""Documents, filters, sorts and projections for the property tests of the query language.

Values come from small pools, so that filters do match. Two things are left out because plain
Python, in which mongomock compares, cannot tell them apart: 0 and 1 as numbers (equal to False and
True), and the character NUL next to others in an order.
"""

from __future__ import annotations

import functools
from typing import Any

from hypothesis import strategies as st

NAMES = ("a", "b", "tags", "config", "é", "a b", 'q"t', "back\\slash", "2")
TEXTS = ("", "x", "xy", "Xy", "y\nx", "é", "É", "2", "true", "null", '"', "\\", "10", "𝄞", "[2]")
NUMBERS = (
    2, 3, 10, -7, 2.0, 2.5, -0.5, 0.1 + 0.2, 5e-324, 1.7e308, 1795198889.41, 2**53, 2**53 + 1,
    2**63 - 1, -(2**63),
)  # fmt: skip
SCALARS = (*TEXTS, *NUMBERS, None, True, False)
ONLY_IN_DOCUMENTS = (2**70, -(2**70), 1e-300)
STATUSES = ("queued", "running", "failure", None)
PIECES = ("x", "y", "X", "é", ".", "[xy]", "[^x]", "(?:x|y)", "(x|2)", "x*", "y?", "\\n", "[x-z]+", "2{1,2}")  # fmt: skip

# Strategies are made once: making them takes longer than drawing from them.
pick = functools.cache(st.sampled_from)
lists = functools.cache(st.lists)
small = functools.cache(st.integers)
dictionaries = functools.cache(st.dictionaries)
scalars = pick(SCALARS)
common = pick(("x", "xy", 2, 3, None, True))


def documents(size: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Lists of `size` documents with ids from "0"."""
    return lists(_document(), min_size=size, max_size=size).map(
        lambda each: [{"id": str(index), **document} for index, document in enumerate(each)]
    )


@functools.cache
@st.composite
def _document(draw: st.DrawFn) -> dict[str, Any]:
    document: dict[str, Any] = {
        "status": draw(pick(STATUSES)),
        "attempt": draw(pick((2, 3, 10))),
        "start": draw(pick((None, 2.0, 2.5, 1795198889.41))),
    }
    for name in draw(lists(pick(NAMES), min_size=1, max_size=3)):
        document[name] = draw(_value(3))
    return document


@functools.cache
@st.composite
def _value(draw: st.DrawFn, depth: int) -> Any:
    kind = draw(small(0, 9))
    if depth == 0 or kind < 3:
        return draw(common if kind else pick((*SCALARS, *ONLY_IN_DOCUMENTS)))
    if kind < 5:
        names = draw(lists(pick(("a", "b", "2", "é")), max_size=2))
        return {name: draw(_value(depth - 1)) for name in names}
    if kind < 7:
        names = pick(("a", "b"))
        return draw(lists(dictionaries(names, _value(depth - 1)), min_size=1, max_size=3))
    if kind < 8:
        return draw(lists(common, max_size=3))
    return draw(lists(_value(depth - 1), max_size=3))


@functools.cache
@st.composite
def literals(draw: st.DrawFn) -> Any:
    """Values to compare with."""
    kind = draw(small(0, 9))
    if kind < 8:
        return draw(common if kind < 5 else scalars)
    if kind == 8:
        return draw(lists(common, max_size=2))
    names = draw(lists(pick(("a", "b")), max_size=2, unique=True))
    return {name: draw(common) for name in names}


@functools.cache
@st.composite
def paths(draw: st.DrawFn) -> str:
    """Names of fields, of columns, and dotted paths."""
    first = draw(pick((*NAMES, "a", "b", "tags", "config", "status", "attempt", "start")))
    count = draw(pick((0, 0, 0, 1, 1, 1, 2)))
    steps = [draw(pick(("a", "a", "b", "b", "é", "0", "1", "2"))) for _ in range(count)]
    return ".".join([first, *steps])


@functools.cache
@st.composite
def filters(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """Filters of one to three conditions, nested by logical operators."""
    found: dict[str, Any] = {}
    for _ in range(draw(pick((1, 1, 1, 2)))):
        kind = draw(small(0, 9))
        if kind == 0 and depth:
            found[draw(pick(("$and", "$or", "$nor")))] = draw(
                lists(filters(depth - 1), min_size=1, max_size=2)
            )
        elif kind == 1 and depth == 2:
            found["$expr"] = draw(expressions(1))
        else:
            found[draw(paths())] = draw(tests(depth) if kind < 8 else literals())
    return found


@functools.cache
@st.composite
def tests(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    """Operators on one field."""
    if draw(small(0, 3)) == 0:
        both = {**draw(_one_test(depth)), **draw(_one_test(depth))}
        return {"$all": both["$all"]} if "$all" in both else both
    return draw(_one_test(depth))


@functools.cache
def _one_test(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    kinds = [
        _operator(("$eq", "$ne"), literals()),
        _operator(("$in", "$nin"), lists(literals(), max_size=3)),
        _operator(("$gt", "$gte", "$lt", "$lte"), scalars),
        _operator(("$exists",), st.booleans()),
        patterns(),
    ]
    if depth:
        kinds += [
            _operator(("$size",), small(0, 3)),
            _operator(("$not",), tests(depth - 1)),
            _operator(("$all",), _all_of(depth)),
            _operator(("$elemMatch",), _element(depth)),
        ]
    return st.one_of(kinds)


@functools.cache
@st.composite
def _operator(
    draw: st.DrawFn, names: tuple[str, ...], operands: st.SearchStrategy[Any]
) -> dict[str, Any]:
    return {draw(pick(names)): draw(operands)}


@functools.cache
@st.composite
def _all_of(draw: st.DrawFn, depth: int) -> list[Any]:
    if depth > 1 and draw(small(0, 2)) == 0:
        return [{"$elemMatch": draw(_element(1))}]
    return draw(lists(literals(), min_size=1, max_size=2))


@functools.cache
@st.composite
def _element(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    if draw(st.booleans()):
        return draw(tests(depth - 1))
    return {draw(pick(("a", "b", "a.b", "2"))): draw(st.one_of(tests(0), literals()))}


@functools.cache
@st.composite
def patterns(draw: st.DrawFn) -> dict[str, Any]:
    """$regex with $options; the classes that Python and MongoDB fill differently are left out."""
    pieces = draw(lists(pick(PIECES), min_size=1, max_size=3))
    start, end = draw(pick((("", ""), ("^", ""), ("", "$"), ("^", "$"))))
    found: dict[str, Any] = {"$regex": start + "".join(pieces) + end}
    options = draw(pick(("", "", "i", "m", "s", "ims")))
    return {**found, "$options": options} if options else found


@functools.cache
@st.composite
def expressions(draw: st.DrawFn, depth: int) -> Any:
    """What may stand in $expr."""
    kind = draw(small(0, 5))
    if kind == 0 and depth:
        inner = lists(expressions(depth - 1), min_size=1, max_size=2)
        return {draw(pick(("$and", "$or"))): draw(inner)}
    if kind == 1 and depth:
        # The form with brackets, which means the same, is always false in mongomock.
        return {"$not": draw(expressions(depth - 1))}
    if kind == 2:
        return draw(_operand())
    operator = draw(pick(("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")))
    return {operator: [draw(_operand()), draw(_operand())]}


@functools.cache
@st.composite
def _operand(draw: st.DrawFn) -> Any:
    if draw(small(0, 2)) == 0:
        return draw(scalars)
    return "$" + draw(pick(("a", "b", "config.a", "status", "attempt", "start", "tags")))


sorts = lists(
    st.tuples(
        pick(("a", "b", "tags", "config", "config.a", "status", "attempt", "start")),
        pick((1, -1)),
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda pair: pair[0],
)


@functools.cache
@st.composite
def projections(draw: st.DrawFn) -> dict[str, Any]:
    """Projections that do not name a field and one inside it."""
    names = draw(lists(paths(), max_size=4, unique=True))
    flag = draw(pick((True, False, 1, 0)))
    kept: list[str] = []
    for name in names:
        if not any(f"{name}.".startswith(f"{k}.") or f"{k}.".startswith(f"{name}.") for k in kept):
            kept.append(name)
    found: dict[str, Any] = dict.fromkeys(kept, flag)
    if draw(st.booleans()):
        found["_id"] = False
    return found
