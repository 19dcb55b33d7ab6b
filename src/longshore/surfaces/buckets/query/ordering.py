"""Sorting in Mongo's order of types: null, numbers, texts, objects, arrays, booleans.

An array counts as its least element going up and as its greatest going down, an empty one as less
than null; a field that is missing counts as null.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column as SQLColumn
from sqlalchemy import ColumnElement, case, func, literal_column, select

from longshore.errors import TooLarge
from longshore.limits import SORT_FIELDS
from longshore.surfaces.buckets.query.budget import path_of, refusal, refuse
from longshore.surfaces.buckets.query.dialect import Dialect
from longshore.surfaces.buckets.query.fields import Column, Fields
from longshore.surfaces.buckets.query.nodes import RANK_MISSING, RANK_NULL, Node, Plain
from longshore.surfaces.buckets.query.translate import DIALECTS
from longshore.surfaces.buckets.query.tree import Path

_EMPTY: Final = RANK_MISSING
"""Where an empty array stands, since a missing field stands with null here."""


def ordering(sort: Any, fields: Fields, dialect: str) -> list[ColumnElement[Any]]:
    """Return what a listing is to be ordered by.

    Args:
        sort: {"creation": -1, "id": 1}, or [["creation", -1], ["id", 1]]; None for no order.
        fields: where the documents are.
        dialect: "sqlite" or "postgresql".

    Raises:
        InvalidRequest: the sort is neither form.
        TooLarge: it names more than SORT_FIELDS fields.
    """
    found: list[ColumnElement[Any]] = []
    ways = DIALECTS[dialect]
    for name, descends in _read(sort):
        path = path_of(name, name, "sort")
        column = fields.columns.get(path[0])
        if column is None:
            found.extend(_by_document(fields, path, ways, descends=descends))
        elif len(path) == 1:
            found.append(_by_column(column, ways, descends=descends))
        # What lies inside a text or a number is missing in all works alike.
    return found


def _read(sort: Any) -> list[tuple[str, bool]]:
    match sort:
        case None:
            pairs: list[Any] = []
        case dict():
            pairs = list(sort.items())
        case list():
            pairs = sort
        case _:
            refuse("", "fields with 1 or -1 are expected, such as {'creation': -1}", "sort")
    if len(pairs) > SORT_FIELDS:
        raise TooLarge(
            f"The sort names {len(pairs)} fields and {SORT_FIELDS} are allowed. Leave out those "
            "that come last."
        )
    return [_pair(pair) for pair in pairs]


def _pair(pair: Any) -> tuple[str, bool]:
    match pair:
        case (str(name), int() | float() as direction) if not isinstance(direction, bool):
            if direction in {1, -1}:
                return name, direction < 0
    raise refusal(
        repr(pair)[:60], "the name of a field and 1 (up) or -1 (down) are expected", "sort"
    )


def _by_column(column: Column, dialect: Dialect, *, descends: bool) -> ColumnElement[Any]:
    value = column.expression
    never_null = isinstance(value, SQLColumn) and not value.nullable
    if column.kind == "text":
        value = dialect.by_code_point(value)
    order = value.desc() if descends else value.asc()
    if never_null:
        return order  # as an index on the column has it
    return order.nulls_last() if descends else order.nulls_first()


def _by_document(
    fields: Fields, path: Path, dialect: Dialect, *, descends: bool
) -> list[ColumnElement[Any]]:
    """Order by type, then by the value as a number, then as a text."""

    def key(which: int) -> ColumnElement[Any]:
        def ask(node: Node) -> ColumnElement[Any]:
            for step in path:
                node = node.child(step)
            return _keys(node, descends=descends)[which]

        return dialect.told(fields.document, ask)

    keys = [key(which) for which in range(3)]
    return [each.desc() if descends else each.asc() for each in keys]


def _keys(node: Node, *, descends: bool) -> list[ColumnElement[Any]]:
    own = [_sort_rank(node), node.number(), node.text()]
    array = node.is_array()
    if array is None:
        return own
    best = _best(node, descends=descends)
    return [case((array, first), else_=key) for first, key in zip(best, own, strict=True)]


def _best(node: Node, *, descends: bool) -> list[ColumnElement[Any]]:
    """Return the sort keys of the element of an array that stands for it."""
    rows = node.elements()
    keys = [_sort_rank(rows.node), rows.node.number(), rows.node.text()]
    order = [key.desc() if descends else key.asc() for key in keys]
    rank, *others = (
        select(key)
        .select_from(*rows.tables)
        .order_by(*order)
        .limit(literal_column("1"))
        .correlate_except(*rows.tables)
        .scalar_subquery()
        for key in keys
    )
    return [func.coalesce(rank, literal_column(str(_EMPTY))), *others]


def _sort_rank(node: Node) -> ColumnElement[int]:
    if isinstance(node, Plain):
        return node.rank()
    rank = node.rank()
    null: ColumnElement[int] = literal_column(str(RANK_NULL))
    return case((rank < null, null), else_=rank)
