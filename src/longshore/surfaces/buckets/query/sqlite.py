"""Nodes in SQLite: a value is its JSON type and its SQL value, found by a path into a text.

`json_extract` gives an array or an object as its text, so that a path can go on from there. It
gives true and 1 alike, so no value is compared without a look at its type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any, Final

from sqlalchemy import (
    REAL,
    BigInteger,
    ColumnElement,
    LargeBinary,
    Select,
    String,
    TableValuedAlias,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
)

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
from longshore.surfaces.buckets.query.tree import Matches, OrderOperator

_PLAIN_NAME: Final = re.compile(r"[ !#-\[\]-~]+")
"""Printable ASCII but for quotes and backslashes: JSON writes such a name as it is."""

_NUMBERS: Final = ("integer", "real")


class SQLiteNode(Node):
    """A value of which the JSON type and the SQL value are known as expressions."""

    def __init__(self, kind: ColumnElement[Any], value: ColumnElement[Any]) -> None:
        """Take the type as `json_type` names it, NULL where nothing is, and the value."""
        self._kind = kind
        self._value = value

    @cached_property
    def kind(self) -> ColumnElement[Any]:
        return self._kind

    @cached_property
    def value(self) -> ColumnElement[Any]:
        return self._value

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
        text = self.held_as("object")
        return PathNode(text, f'$."{name}"') if _is_plain(name) else NamedNode(text, (name,))

    def leads_to(self, name: str) -> bool:
        return _is_plain(name)

    def at(self, position: int) -> Node:
        return PathNode(self.held_as("array"), f"$[{position}]")

    def elements(self) -> Rows:
        table = _each(self.held_as("array"))
        return Rows((table,), SQLiteNode(table.c.type, table.c.value), true())

    def step(self, name: str) -> Rows:
        table = _each(self._spread())
        node = SQLiteNode(table.c.type, table.c.value)
        return Rows((table,), node.child(name), or_(node.is_object(), self.is_no_array()))

    def step_to(self, position: int, name: str) -> Rows:
        # Each element stands in two rows: for itself, and for the field in it.
        table, itself = _each(self._spread()), _each(_word("[true,false]"))
        node = SQLiteNode(table.c.type, table.c.value)
        child = node.child(name)
        assert isinstance(child, SQLiteNode)
        placed = and_(itself.c.value, self.is_array(), table.c.key == literal(position, BigInteger))
        named = and_(
            not_(itself.c.value),
            or_(child.present(), self.is_no_array()),
        )
        one: ColumnElement[int] = literal_column("1")
        reached = SQLiteNode(
            case({one: node.kind}, value=itself.c.value, else_=child.kind),
            case({one: node.value}, value=itself.c.value, else_=child.value),
        )
        return Rows((table, itself), reached, or_(placed, named))

    def held_as(self, kind: str) -> ColumnElement[Any]:
        """Return the text of this array or object, NULL where it is none."""
        return case({_word(kind): self.value}, value=self.kind)

    def _spread(self) -> ColumnElement[Any]:
        """Return this array, or an array of this object; of [null] where it is neither."""
        alone = _word("[").op("||")(self.value).op("||")(_word("]"))
        whens = {_word("array"): self.value, _word("object"): alone}
        return case(whens, value=self.kind, else_=_word("[null]"))

    def present(self) -> ColumnElement[bool]:
        return self.kind.is_not(None)

    def same(self, value: Any) -> ColumnElement[bool]:
        match value:
            case None:
                return self.kind == _word("null")
            case bool():
                return self.kind == _word("true" if value else "false")
            case int() | float():
                return and_(self.kind.in_(_NUMBERS), self.value == _bound(value))
            case str():
                return and_(self.kind == _word("text"), self.value == _bound(value))
            case list():
                each = (self.at(index).same(inner) for index, inner in enumerate(value))
                return and_(self.has_size(len(value)), *each)
            case _:
                return self._same_object(value)

    def _same_object(self, value: dict[str, Any]) -> ColumnElement[bool]:
        table = _each(self.held_as("object"))
        count = select(func.count()).select_from(table).correlate_except(table).scalar_subquery()
        each = (self.child(name).same(inner) for name, inner in value.items())
        return and_(count == literal(len(value)), self.is_object(), *each)

    def one_of(self, values: list[Any]) -> ColumnElement[bool]:
        texts = [each for each in values if isinstance(each, str)]
        numbers = [
            each for each in values if isinstance(each, int | float) and not isinstance(each, bool)
        ]
        others = [each for each in values if each is None or isinstance(each, bool | list | dict)]
        found = [self.same(each) for each in others]
        if texts:
            found.append(and_(self.kind == _word("text"), _listed(self.value, texts)))
        if numbers:
            found.append(and_(self.kind.in_(_NUMBERS), _listed(self.value, numbers)))
        return or_(false(), *found)

    def ordered(
        self, operator: OrderOperator, value: str | int | float | bool
    ) -> ColumnElement[bool]:
        match value:
            case bool():
                right: ColumnElement[Any] = literal(int(value), BigInteger)
                kinds: tuple[str, ...] = ("true", "false")
            case str():
                right, kinds = _bound(value), ("text",)
            case _:
                right, kinds = _bound(value), _NUMBERS
        return and_(self.kind.in_(kinds), ordered_as(operator, self.value, right))

    def has_size(self, count: int) -> ColumnElement[bool]:
        return and_(
            self.is_array(),
            func.json_array_length(self.held_as("array")) == literal(count, BigInteger),
        )

    def matches(self, test: Matches) -> ColumnElement[bool]:
        return _matched(self.held_as("text"), test)

    def rank(self) -> ColumnElement[int]:
        ranks = {
            "null": RANK_NULL,
            "integer": RANK_NUMBER,
            "real": RANK_NUMBER,
            "text": RANK_TEXT,
            "object": RANK_OBJECT,
            "array": RANK_ARRAY,
            "true": RANK_BOOLEAN,
            "false": RANK_BOOLEAN,
        }
        whens: dict[Any, Any] = {
            _word(name): literal_column(str(rank)) for name, rank in ranks.items()
        }
        return case(whens, value=self.kind, else_=literal_column(str(RANK_MISSING)))

    def number(self) -> ColumnElement[Any]:
        return case((self.kind.in_(("integer", "real", "true", "false")), self.value))

    def text(self) -> ColumnElement[Any]:
        return self.held_as("text")


class PathNode(SQLiteNode):
    """A value at a path into a text of JSON; further names only make the path longer."""

    def __init__(self, base: ColumnElement[Any], path: str) -> None:
        """Take a text that is JSON, or NULL, and a path in SQLite's syntax."""
        self._base = base
        self._path = path

    # Most nodes are only on the way to another; their expressions are not made.

    @cached_property
    def kind(self) -> ColumnElement[Any]:
        return func.json_type(self._base, self._path)

    @cached_property
    def value(self) -> ColumnElement[Any]:
        return func.json_extract(self._base, self._path)

    def child(self, name: str) -> Node:
        if _is_plain(name):
            return PathNode(self._base, f'{self._path}."{name}"')
        return super().child(name)

    def at(self, position: int) -> Node:
        return PathNode(self._base, f"{self._path}[{position}]")

    def elements(self) -> Rows:
        # Whoever asks has made sure that it is an array, so the text of it need not be made.
        table = _each(self._base, self._path)
        return Rows((table,), SQLiteNode(table.c.type, table.c.value), true())


class NamedNode(SQLiteNode):
    """A field at the end of names that SQLite's paths cannot express; each is looked for.

    The tables of names are joined, not nested: SQLite parses statements up to a small depth only.
    """

    def __init__(self, text: ColumnElement[Any], names: tuple[str, ...]) -> None:
        """Take a text that is a JSON object, or NULL, and the names of the way."""
        self._text = text
        self._names = names

    @cached_property
    def kind(self) -> ColumnElement[Any]:
        return self._found("type")

    @cached_property
    def value(self) -> ColumnElement[Any]:
        return self._found("value")

    def child(self, name: str) -> Node:
        return NamedNode(self._text, (*self._names, name))

    def held_as(self, kind: str) -> ColumnElement[Any]:
        return self._found("value", kind)

    def _found(self, what: str, kind: str | None = None) -> ColumnElement[Any]:
        tables: list[TableValuedAlias] = []
        text = self._text
        for _ in self._names:
            tables.append(_each(text))
            text = SQLiteNode(tables[-1].c.type, tables[-1].c.value).held_as("object")
        named = [
            table.c.key == literal(storable(name), Text)
            for table, name in zip(tables, self._names, strict=True)
        ]
        if kind is not None:
            named.append(tables[-1].c.type == _word(kind))
        found: Select[Any] = select(tables[-1].c[what]).select_from(*tables).where(*named)
        return found.limit(literal_column("1")).correlate_except(*tables).scalar_subquery()


class SQLiteDialect(Dialect):
    """How documents are looked at in SQLite."""

    def readable(self, document: ColumnElement[str]) -> ColumnElement[Any]:
        has_nul = func.instr(document, "\\u0000") > literal_column("0")
        return case((has_nul, unescaped(document)), else_=document)

    def root(self, readable: ColumnElement[Any]) -> Node:
        return PathNode(readable, "$")

    def matched(self, text: ColumnElement[Any], test: Matches) -> ColumnElement[bool]:
        return _matched(text, test)

    def exact(self, number: ColumnElement[Any]) -> ColumnElement[Any]:
        return number

    def number(self, value: int | float) -> ColumnElement[Any]:
        return _bound(value)

    def listed(self, text: ColumnElement[Any], values: list[str]) -> ColumnElement[bool]:
        return _listed(text, values)

    def by_code_point(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        return text


def _is_plain(name: str) -> bool:
    return _PLAIN_NAME.fullmatch(name) is not None


def _matched(text: ColumnElement[Any], test: Matches) -> ColumnElement[bool]:
    # The function is registered by storage.sqlite on each of its connections. It takes bytes,
    # since a document may hold what is no valid UTF-8, and cuts the text itself.
    pattern = test.pattern
    found = func.longshore_matches(pattern.source, pattern.options, cast(text, LargeBinary))
    return found == literal_column("1")


def _listed(value: ColumnElement[Any], values: Sequence[str | int | float]) -> ColumnElement[bool]:
    """Return whether a value is in a list, which is bound as one text, however long it is."""
    table = _each(literal(json.dumps(storable(list(values))), Text))
    return value.in_(select(table.c.value).correlate_except(table))


def _each(text: ColumnElement[Any], path: str = "$") -> TableValuedAlias:
    rows = func.json_each(text, path).table_valued("key", "value", "type", joins_implicitly=True)
    return rows.alias()


@cache
def _word(name: str) -> ColumnElement[str]:
    """Return one of SQLite's own words; nothing of a filter ever goes this way."""
    return literal_column(f"'{name}'", String)


def _bound(value: str | int | float) -> ColumnElement[Any]:
    match value:
        case str():
            return literal(storable(value), Text)
        case int():
            return literal(value, BigInteger)
        case float():
            # Read by SQLite from its decimal form, as the numbers in the documents are, lest the
            # last bit differs.
            return cast(literal(repr(value), Text), REAL)
