"""Nodes in SQLite: a value is its JSON type and its SQL value, found by a path into a text.

`json_extract` gives an array or an object as its text, so that a path can go on from there. It
gives true and 1 alike, so no value is compared without a look at its type.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import (
    REAL,
    BigInteger,
    ColumnElement,
    LargeBinary,
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
    or_,
    select,
    true,
)

from longshore.limits import REGEX_TEXT_CHARACTERS
from longshore.surfaces.buckets.query.dialect import Dialect, T, once
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
        self.kind = kind
        self.value = value

    def is_array(self) -> ColumnElement[bool]:
        return self.kind == _word("array")

    def is_object(self) -> ColumnElement[bool]:
        return self.kind == _word("object")

    def child(self, name: str) -> Node:
        text = case((self.is_object(), self.value))
        if _PLAIN_NAME.fullmatch(name):
            return PathNode(text, f'$."{name}"')
        return _looked_up(text, name)

    def at(self, position: int) -> Node:
        return PathNode(case((self.is_array(), self.value)), f"$[{position}]")

    def elements(self) -> Rows:
        table = _each(case((self.is_array(), self.value)))
        return Rows(table, SQLiteNode(table.c.type, table.c.value), true())

    def spread(self) -> Rows:
        alone = _word("[").op("||")(self.value).op("||")(_word("]"))
        table = _each(
            case((self.is_array(), self.value), (self.is_object(), alone), else_=_word("[null]"))
        )
        node = SQLiteNode(table.c.type, table.c.value)
        return Rows(table, node, or_(node.is_object(), self.kind.is_distinct_from(_word("array"))))

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
        table = _each(case((self.is_object(), self.value)))
        count = select(func.count()).select_from(table).correlate_except(table).scalar_subquery()
        each = (self.child(name).same(inner) for name, inner in value.items())
        return and_(self.is_object(), count == literal(len(value)), *each)

    def one_of(self, values: list[Any]) -> ColumnElement[bool]:
        texts = [storable(each) for each in values if isinstance(each, str)]
        whole = [each for each in values if isinstance(each, int) and not isinstance(each, bool)]
        floats = [_bound(each) for each in values if isinstance(each, float)]
        others = [each for each in values if each is None or isinstance(each, bool | list | dict)]
        found = [self.same(each) for each in others]
        if texts:
            found.append(and_(self.kind == _word("text"), self.value.in_(texts)))
        if whole:
            found.append(and_(self.kind.in_(_NUMBERS), self.value.in_(whole)))
        if floats:
            found.append(and_(self.kind.in_(_NUMBERS), self.value.in_(floats)))
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
        array = case((self.is_array(), self.value))
        return and_(self.is_array(), func.json_array_length(array) == literal(count, BigInteger))

    def matches(self, test: Matches) -> ColumnElement[bool]:
        return _matched(case((self.kind == _word("text"), self.value)), test)

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
        return case((self.kind == _word("text"), self.value))


def _looked_up(text: ColumnElement[Any], name: str) -> Node:
    """Return a field whose name SQLite's paths cannot express, found among all names."""

    def found(what: str) -> ColumnElement[Any]:
        table = _each(text)
        wanted = select(table.c[what]).where(table.c.key == literal(storable(name), Text))
        return wanted.limit(1).correlate_except(table).scalar_subquery()

    return SQLiteNode(found("type"), found("value"))


class PathNode(SQLiteNode):
    """A value at a path into a text of JSON; further names only make the path longer."""

    def __init__(self, base: ColumnElement[Any], path: str) -> None:
        """Take a text that is JSON, or NULL, and a path in SQLite's syntax."""
        super().__init__(func.json_type(base, path), func.json_extract(base, path))
        self._base = base
        self._path = path

    def child(self, name: str) -> Node:
        if _PLAIN_NAME.fullmatch(name):
            return PathNode(self._base, f'{self._path}."{name}"')
        return super().child(name)

    def elements(self) -> Rows:
        # Whoever asks has made sure that it is an array, so the text of it need not be made.
        table = func.json_each(self._base, self._path).table_valued("key", "value", "type").alias()
        return Rows(table, SQLiteNode(table.c.type, table.c.value), true())


class SQLiteDialect(Dialect):
    """How documents are looked at in SQLite."""

    def about(
        self, document: ColumnElement[str], ask: Callable[[Node], ColumnElement[T]]
    ) -> ColumnElement[T]:
        readable = case(
            (func.instr(document, "\\u0000") > literal_column("0"), unescaped(document)),
            else_=document,
        )
        return once(readable, lambda text: ask(PathNode(text, "$")))

    def matched(self, text: ColumnElement[Any], test: Matches) -> ColumnElement[bool]:
        return _matched(text, test)

    def exact(self, number: ColumnElement[Any]) -> ColumnElement[Any]:
        return number

    def number(self, value: int | float) -> ColumnElement[Any]:
        return _bound(value)

    def by_code_point(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        return text


def _matched(text: ColumnElement[Any], test: Matches) -> ColumnElement[bool]:
    # The function is registered by storage.sqlite on each of its connections.
    start = cast(func.substr(text, 1, REGEX_TEXT_CHARACTERS), LargeBinary)
    found = func.longshore_matches(test.pattern.source, test.pattern.options, start)
    return found == literal_column("1")


def _each(array: ColumnElement[Any]) -> TableValuedAlias:
    return func.json_each(array).table_valued("key", "value", "type").alias()


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
