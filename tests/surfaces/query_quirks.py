"""Where mongomock 4.3 does not do what MongoDB does, so that it is no oracle there.

`quirk` names the bug that a filter meets in a document, or returns None. MongoDB's behaviour is
that of its manual and of its own tests (jstests/core/query/null_query_semantics.js and others);
test_buckets_query has examples for what is left out here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mongomock.filtering import NOTHING, iter_key_candidates

LOGICAL = ("$and", "$or", "$nor")


def quirk(wanted: dict[str, Any], document: Any) -> str | None:
    """Return which bug makes mongomock's answer for this document worthless, or None."""
    return next(_quirks(wanted, document), None)


def _quirks(wanted: dict[str, Any], document: Any) -> Iterator[str]:
    for key, value in wanted.items():
        if key in LOGICAL:
            for each in value:
                yield from _quirks(each, document)
        elif key == "$expr":
            if isinstance(value, str) and _field(value, document) in ("", [], {}):
                yield "an empty text, array or object is not true"
            yield from _in_expression(value, document)
        elif isinstance(value, dict) and any(name.startswith("$") for name in value):
            yield from _in_tests(key, value, document)
        else:
            yield from _in_tests(key, {"implicit": value}, document)


def _in_tests(path: str, tests: dict[str, Any], document: Any) -> Iterator[str]:
    candidates = list(iter_key_candidates(path, document))
    yield from _on_the_way(path.split("."), document)
    if not candidates:
        yield from _without_candidate(tests)
    if len(candidates) > 1:
        yield from _with_several(tests)
    if tests == {"implicit": {}} and all(each is NOTHING for each in candidates):
        yield "a missing field equals {}"
    for operator, value in tests.items():
        yield from _in_test(path, operator, value, candidates, document)


def _without_candidate(tests: dict[str, Any]) -> Iterator[str]:
    if "$not" in tests or ("$exists" in tests and len(tests) > 1):
        yield "without a candidate, $not and a combined $exists are not looked at"
    if any(_names_null(value) for value in tests.values()):
        yield "a path through a scalar leads to nothing instead of to a missing field"


def _with_several(tests: dict[str, Any]) -> Iterator[str]:
    if len(tests.keys() - {"$options"}) > 1:
        yield "all operators have to hold for the same one of several values"
    if tests.get("$exists") is False:
        yield "a field that one of several sub-documents lacks counts as missing"
    if "$all" in tests:
        yield "$all takes the values of several sub-documents together"


def _in_test(
    path: str, operator: str, value: Any, candidates: list[Any], document: Any
) -> Iterator[str]:
    arrays = [each for each in candidates if isinstance(each, list)]
    match operator:
        case "$eq" | "$ne" if isinstance(value, list):
            if any(isinstance(element, list) for array in arrays for element in array):
                yield "an array is not looked for among the elements"
        case "$in" | "$nin" if arrays and any(isinstance(each, list) for each in value):
            yield "an array as a whole is not looked for in the list of $in"
        case "$gte" | "$lte" if value is None and NOTHING in candidates:
            yield "a missing field is not >= null"
        case "$size" if any(_has_odd_size(each) for each in candidates):
            yield "$size counts names, and takes a scalar for an array of one"
        case "$not" if "$options" in value:
            yield "$options is unknown under $not"
        case "$not":
            yield from _in_tests(path, value, document)
        case "$all":
            yield from _in_all(value, candidates)
        case "$elemMatch":
            yield from _in_elements(value, candidates)
        case _:
            pass


def _has_odd_size(value: Any) -> bool:
    if isinstance(value, dict):
        return True
    return not isinstance(value, list) and value is not NOTHING and bool(value)


def _in_all(values: list[Any], candidates: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict) and "$elemMatch" in value:
            if not all(isinstance(each, list) for each in candidates):
                yield "$all with $elemMatch takes a value for an array of it"
            yield from _in_elements(value["$elemMatch"], candidates)
        elif isinstance(value, list):
            yield "$all does not compare with an array as a whole"
        elif value is None and NOTHING in candidates:
            yield "$all with null does not find a missing field"


def _in_elements(wanted: dict[str, Any], candidates: list[Any]) -> Iterator[str]:
    by_name = not any(name.startswith("$") and name not in LOGICAL for name in wanted)
    for candidate in candidates:
        for element in candidate if isinstance(candidate, list) else ():
            if by_name and not isinstance(element, dict):
                yield "$elemMatch with names takes elements that are no objects"
            elif by_name:
                yield from _quirks(wanted, element)
            elif isinstance(element, list):
                yield "$elemMatch with operators looks into an array in the array"
            elif "$not" in wanted:
                yield "$not within $elemMatch is always true"
            else:
                yield from _in_tests("field", wanted, {"field": element})


def _on_the_way(steps: list[str], value: Any) -> Iterator[str]:
    """Look for a number on the path that is a position and a name at the same time."""
    for index, step in enumerate(steps):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list):
            if step.isdigit():
                if any(isinstance(each, dict) and step in each for each in value):
                    yield "a number is a position only, never a name in the sub-documents"
                value = value[int(step)] if int(step) < len(value) else None
            else:
                for each in value:
                    if isinstance(each, dict):
                        yield from _on_the_way(steps[index:], each)
                return
        else:
            return


def _names_null(value: Any) -> bool:
    return value is None or (isinstance(value, list) and None in value)


def _in_expression(value: Any, document: dict[str, Any]) -> Iterator[str]:
    if _field(value, document) is NOTHING:
        yield "a missing field in $expr is an error"
    if not isinstance(value, dict):
        return
    ((operator, operands),) = value.items()
    inner = operands if isinstance(operands, list) else [operands]
    for each in inner:
        yield from _in_expression(each, document)
    kinds = {type(_field(each, document)) for each in inner}
    if operator not in {"$and", "$or", "$not"} and kinds in ({dict}, {list}):
        yield "not a bug: in $expr we do not compare two objects, or two arrays"


def _field(operand: Any, document: dict[str, Any]) -> Any:
    """Return the value of a field that an operand names, or the operand itself."""
    if not (isinstance(operand, str) and operand.startswith("$")):
        return operand
    value: Any = document
    for step in operand[1:].split("."):
        # Through an array it would lead to an array of values, which we do not support either.
        value = value.get(step, NOTHING) if isinstance(value, dict) else NOTHING
    return value
