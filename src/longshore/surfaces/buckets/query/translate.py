"""From the tree to SQL, for both databases: what differs between them is in their nodes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, false, or_, true

from longshore.surfaces.buckets.query.budget import is_position
from longshore.surfaces.buckets.query.columns import ColumnNode
from longshore.surfaces.buckets.query.comparing import (
    Comparable,
    compared,
    of_constant,
    of_node,
    truth,
)
from longshore.surfaces.buckets.query.dialect import Dialect
from longshore.surfaces.buckets.query.fields import Fields
from longshore.surfaces.buckets.query.nodes import Node, Rows, any_row, negated
from longshore.surfaces.buckets.query.parse import KEPT_CHARACTERS
from longshore.surfaces.buckets.query.postgresql import PostgreSQLDialect
from longshore.surfaces.buckets.query.sqlite import SQLiteDialect
from longshore.surfaces.buckets.query.tree import (
    And,
    AnyElement,
    Compare,
    Condition,
    Constant,
    Field,
    FieldValue,
    Filter,
    Not,
    Operand,
    Or,
    Path,
    Test,
    Truth,
    conjuncts,
)

DIALECTS: Final[dict[str, Dialect]] = {
    "sqlite": SQLiteDialect(),
    "postgresql": PostgreSQLDialect(),
}


def condition(wanted: Filter, fields: Fields, dialect: str) -> ColumnElement[bool]:
    """Return the filter as a condition in SQL, with all its values bound.

    It is true or not true (NULL counts as not true) for every document, and never an error. The
    parts of it that are about columns only stand beside the rest, so that indexes serve them.
    Put it at the top of a WHERE, in a statement or in a subquery of it and no deeper: SQLite
    parses up to a small depth, most of which the largest filters use.

    Args:
        wanted: what `parse` returned.
        fields: where the documents are.
        dialect: "sqlite" or "postgresql".
    """
    if len(wanted.text) <= KEPT_CHARACTERS:
        return _kept(wanted, fields, dialect)
    return _translated(wanted, fields, dialect)


def _translated(wanted: Filter, fields: Fields, dialect: str) -> ColumnElement[bool]:
    by_columns: list[Condition] = []
    by_document: list[Condition] = []
    for part in conjuncts(wanted.condition):
        (by_document if _reads_document(part, fields) else by_columns).append(part)
    translator = _Translator(fields, DIALECTS[dialect])
    outside = [translator.translate(part, None) for part in by_columns]
    if not by_document:
        return and_(true(), *outside)

    def inside(root: Node) -> ColumnElement[bool]:
        return and_(true(), *(translator.translate(part, root) for part in by_document))

    return and_(*outside, DIALECTS[dialect].holds(fields.document, inside))


# Putting the expressions together takes far longer than reading the filter.
_kept = functools.lru_cache(maxsize=512)(_translated)


@dataclass(frozen=True, slots=True)
class _Translator:
    fields: Fields
    dialect: Dialect

    def translate(self, part: Condition, root: Node | None) -> ColumnElement[bool]:
        """Translate a condition; `root` is the document, None where it is not asked for."""
        match part:
            case And(parts):
                return and_(true(), *(self.translate(each, root) for each in parts))
            case Or(parts):
                return or_(false(), *(self.translate(each, root) for each in parts))
            case Not(inner):
                return negated(self.translate(inner, root))
            case Field(path, test):
                return _field(self._child(path[0], root), path[1:], test)
            case Compare(operator, left, right):
                return compared(operator, self._operand(left, root), self._operand(right, root))
            case Truth(operand):
                return truth(self._operand(operand, root), self.dialect)

    def _operand(self, operand: Operand, root: Node | None) -> Comparable:
        match operand:
            case Constant(value):
                return of_constant(value, self.dialect)
            case FieldValue(path):
                node = self._child(path[0], root)
                for name in path[1:]:
                    node = node.child(name)
                return of_node(node)

    def _child(self, name: str, root: Node | None) -> Node:
        column = self.fields.columns.get(name)
        if column is not None:
            return ColumnNode(column, self.dialect)
        if root is None:
            raise AssertionError("the document is asked for where only columns are")
        return root.child(name)


def _field(node: Node, path: Path, test: Test) -> ColumnElement[bool]:
    """Translate a test of what `path` leads to from a node."""
    if not all(node.leads_to(name) for name in path):
        return _through(node, path, test)
    direct = node
    arrays: list[ColumnElement[bool]] = []
    no_arrays: list[ColumnElement[bool]] = []
    for name in path:
        array = direct.is_array()
        if array is not None:
            arrays.append(array)
            no_arrays.append(direct.is_no_array())
        direct = direct.child(name)
    if not arrays:
        return _tested(direct, test)
    # Nearly always there is no array on the way, and the path can be followed in one go.
    return or_(
        and_(or_(*arrays), _through(node, path, test)), and_(*no_arrays, _tested(direct, test))
    )


def _through(node: Node, path: Path, test: Test) -> ColumnElement[bool]:
    """Translate a test at the end of a path that may lead through arrays."""
    rows: list[Rows] = []
    for name in path:
        rows.append(node.step_to(int(name), name) if is_position(name) else node.step(name))
        node = rows[-1].node
    if isinstance(test, AnyElement):
        return _any_element(rows, node, test)
    return any_row(rows, node.passes(test))


def _tested(node: Node, test: Test) -> ColumnElement[bool]:
    return _any_element([], node, test) if isinstance(test, AnyElement) else node.passes(test)


def _any_element(before: list[Rows], node: Node, test: AnyElement) -> ColumnElement[bool]:
    """Translate $elemMatch on a node that the rows `before` lead to."""
    array = node.is_array()
    if array is None:
        return false()
    elements = node.elements()
    inner = _element(elements.node, test.condition, objects=test.objects)
    wanted = [array, elements.node.is_object(), inner] if test.objects else [array, inner]
    return any_row([*before, elements], and_(*wanted))


def _element(node: Node, part: Condition, *, objects: bool) -> ColumnElement[bool]:
    """Translate a condition of $elemMatch on one element."""
    match part:
        case And(parts):
            return and_(true(), *(_element(node, each, objects=objects) for each in parts))
        case Or(parts):
            return or_(false(), *(_element(node, each, objects=objects) for each in parts))
        case Not(inner):
            return negated(_element(node, inner, objects=objects))
        case Field((), test):
            # The element itself is meant: an array in the array is not looked into.
            return _tested(node, test) if isinstance(test, AnyElement) else node.own(test)
        case Field(path, test):
            return _through(node.child(path[0]), path[1:], test)
        case Compare() | Truth():
            raise AssertionError("$expr stands only at the top of a filter")


def _reads_document(part: Condition, fields: Fields) -> bool:
    match part:
        case And(parts) | Or(parts):
            return any(_reads_document(each, fields) for each in parts)
        case Not(inner):
            return _reads_document(inner, fields)
        case Field(path):
            return path[0] not in fields.columns
        case Compare(_, left, right):
            return _operand_reads(left, fields) or _operand_reads(right, fields)
        case Truth(operand):
            return _operand_reads(operand, fields)


def _operand_reads(operand: Operand, fields: Fields) -> bool:
    return isinstance(operand, FieldValue) and operand.path[0] not in fields.columns
