"""Nodes in PostgreSQL: a value is a `jsonb`, NULL where nothing is.

`jsonb` compares numbers by value, tells them from booleans, and does not mind the order of keys,
which is just what equality means here. Texts are taken out of it to be ordered, since it would
order them by the collation of the database.
"""

from __future__ import annotations

import json
from functools import cache, cached_property
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    Numeric,
    TableValuedAlias,
    Text,
    and_,
    any_,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    not_,
    or_,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from longshore.limits import REGEX_TEXT_CHARACTERS
from longshore.surfaces.buckets.query.dialect import Dialect
from longshore.surfaces.buckets.query.nodes import (
    RANK_ARRAY,
    RANK_BOOLEAN,
    RANK_MISSING,
    RANK_NULL,
    RANK_NUMBER,
    RANK_OBJECT,
    RANK_TEXT,
    Node,
    Rows,
    ordered_as,
    storable,
    unescaped,
)
from longshore.surfaces.buckets.query.tree import Equal, Matches, OrderOperator, Test

_HIGH: Final = "\\\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW: Final = "\\\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF_PAIR: Final = f"{_HIGH}(?!{_LOW})|(?<!{_HIGH}){_LOW}"
"""An escape of a surrogate without its other half, which `jsonb` refuses."""

_RANKS: Final = {
    "null": RANK_NULL,
    "number": RANK_NUMBER,
    "string": RANK_TEXT,
    "object": RANK_OBJECT,
    "array": RANK_ARRAY,
    "boolean": RANK_BOOLEAN,
}


class JsonbNode(Node):
    """A value that an expression of type jsonb gives."""

    def __init__(self, value: ColumnElement[Any]) -> None:
        """Take the expression; NULL means that nothing is there."""
        self.value = value

    @cached_property
    def kind(self) -> ColumnElement[Any]:
        return func.jsonb_typeof(self.value)

    @cached_property
    def _is_array(self) -> ColumnElement[bool]:
        return self.kind == _word("array")

    @cached_property
    def _is_object(self) -> ColumnElement[bool]:
        return self.kind == _word("object")

    def is_array(self) -> ColumnElement[bool]:
        return self._is_array

    def is_no_array(self) -> ColumnElement[bool]:
        return self.kind.is_distinct_from(_word("array"))

    def is_object(self) -> ColumnElement[bool]:
        return self._is_object

    def child(self, name: str) -> Node:
        return JsonbNode(self.value.op("->")(literal(storable(name), Text)))

    def at(self, position: int) -> Node:
        return JsonbNode(self.value.op("->")(literal(position, Integer)))

    def elements(self) -> Rows:
        # An array whatever the planner makes of conditions around it: all else is an error.
        table = _each(case((self.is_array(), self.value), else_=_word("[]")))
        return Rows((table,), JsonbNode(table.c.value), true())

    def step(self, name: str) -> Rows:
        table = _each(self._spread())
        node = JsonbNode(table.c.value)
        return Rows((table,), node.child(name), or_(node.is_object(), self.is_no_array()))

    def step_to(self, position: int, name: str) -> Rows:
        # Each element stands in two rows: for itself, and for the field in it.
        table, rows = _each(self._spread()), _each(_word("[true,false]"))
        itself = rows.c.value == _bound(True)
        field = JsonbNode(table.c.value).child(name)
        assert isinstance(field, JsonbNode)
        is_placed = table.c.place == literal(position + 1, BigInteger)
        placed = and_(itself, self.is_array(), is_placed)
        named = and_(not_(itself), or_(field.present(), self.is_no_array()))
        reached = JsonbNode(case((itself, table.c.value), else_=field.value))
        return Rows((table, rows), reached, or_(placed, named))

    def _spread(self) -> ColumnElement[Any]:
        """Return this array, or an array of this alone."""
        return case((self.is_array(), self.value), else_=func.jsonb_build_array(self.value))

    def present(self) -> ColumnElement[bool]:
        return self.value.is_not(None)

    def same(self, value: Any) -> ColumnElement[bool]:
        return self.value == _bound(value)

    def one_of(self, values: list[Any]) -> ColumnElement[bool]:
        texts = literal([_written(each) for each in values], ARRAY(Text))
        return self.value == any_(cast(texts, ARRAY(JSONB)))

    def ordered(
        self, operator: OrderOperator, value: str | int | float | bool
    ) -> ColumnElement[bool]:
        if isinstance(value, str):
            return ordered_as(operator, self.text(), literal(storable(value), Text))
        kind = _word("boolean" if isinstance(value, bool) else "number")
        return and_(self.kind == kind, ordered_as(operator, self.value, _bound(value)))

    def has_size(self, count: int) -> ColumnElement[bool]:
        array = case((self.is_array(), self.value))
        return func.jsonb_array_length(array) == literal(count)

    def matches(self, test: Matches) -> ColumnElement[bool]:
        return _matched(self.text(), test)

    def rank(self) -> ColumnElement[int]:
        whens: dict[Any, Any] = {
            _word(name): literal_column(str(rank)) for name, rank in _RANKS.items()
        }
        return case(whens, value=self.kind, else_=literal_column(str(RANK_MISSING)))

    def number(self) -> ColumnElement[Any]:
        is_true = self.value == _bound(True)
        return case(
            (self.kind == _word("number"), cast(self.value, Numeric)),
            (self.kind == _word("boolean"), cast(cast(is_true, Integer), Numeric)),
        )

    def text(self) -> ColumnElement[Any]:
        unquoted = self.value.op("#>>")(_word("{}"))
        return _by_code_point(case((self.kind == _word("string"), unquoted)))

    def passes(self, test: Test) -> ColumnElement[bool]:
        if isinstance(test, Equal) and not isinstance(test.value, list | dict):
            # jsonb lets an array contain a scalar, and a scalar contain itself.
            found = self.value.op("@>", return_type=Boolean())(_bound(test.value))
            return found if test.value is not None else or_(self.value.is_(None), found)
        return super().passes(test)


class PostgreSQLDialect(Dialect):
    """How documents are looked at in PostgreSQL."""

    def readable(self, document: ColumnElement[str]) -> ColumnElement[Any]:
        is_odd = document.regexp_match("\\\\u(0000|[dD][89a-fA-F])")
        mended = func.regexp_replace(unescaped(document), _HALF_PAIR, "\\ufffd", "g")
        return cast(case((is_odd, mended), else_=document), JSONB)

    def root(self, readable: ColumnElement[Any]) -> Node:
        return JsonbNode(readable)

    def matched(self, text: ColumnElement[Any], test: Matches) -> ColumnElement[bool]:
        return _matched(_by_code_point(text), test)

    def exact(self, number: ColumnElement[Any]) -> ColumnElement[Any]:
        # By way of its shortest decimal form, as numbers stand in the documents: a cast of a
        # float keeps fifteen digits only.
        return cast(cast(number, Text), Numeric)

    def number(self, value: int | float) -> ColumnElement[Any]:
        return cast(literal(repr(value), Text), Numeric)

    def listed(self, text: ColumnElement[Any], values: list[str]) -> ColumnElement[bool]:
        return text == any_(literal(values, ARRAY(Text)))

    def by_code_point(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        return _by_code_point(text)


def _each(array: ColumnElement[Any]) -> TableValuedAlias:
    rows = func.jsonb_array_elements(array)
    return rows.table_valued(
        column("value", JSONB), with_ordinality="place", joins_implicitly=True
    ).render_derived()


def _by_code_point(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(text, Text).collate("C")


def _matched(text: ColumnElement[Any], test: Matches) -> ColumnElement[bool]:
    start = func.substr(text, 1, REGEX_TEXT_CHARACTERS)
    return start.op("~", return_type=Boolean())(literal(test.pattern.postgresql(), Text))


@cache
def _word(name: str) -> ColumnElement[Any]:
    """Return a constant of our own; nothing of a filter ever goes this way."""
    return literal_column(f"'{name}'")


def _written(value: Any) -> str:
    return json.dumps(storable(value), ensure_ascii=False, allow_nan=False)


def _bound(value: Any) -> ColumnElement[Any]:
    return cast(literal(_written(value), Text), JSONB)
