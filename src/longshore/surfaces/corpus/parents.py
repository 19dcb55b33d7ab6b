"""Which element is below which: several may be above one, and nothing is below itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Text,
    bindparam,
    delete,
    select,
    true,
)

from longshore import limits
from longshore.access import Principal
from longshore.errors import NotFound
from longshore.storage.bulk import given_parameters, given_rows, insert_rows
from longshore.surfaces.corpus import creating, scope
from longshore.surfaces.corpus.scope import Target, refusal
from longshore.surfaces.corpus.tables import corpus_elements, corpus_paths


class Children(msgspec.Struct, frozen=True):
    """Body of CreateElementChildren: ids of elements."""

    children: Annotated[list[str], msgspec.Meta(min_length=1, max_length=limits.ELEMENTS_PER_CALL)]


def create(
    connection: Connection, principal: Principal, child_id: str, parent_id: str
) -> dict[str, str]:
    """Put an element below another, behind those that are there.

    Raises:
        NotFound: one of them does not exist.
        InvalidRequest: it is there already, it would be below itself, or they are of two corpora.
    """
    parent, child = _both(connection, principal.organisation_id, parent_id, child_id)
    if _of_parent(connection, parent.id, [child.id]):
        message = f"The element {child.id} is below the element {parent.id} already."
        raise refusal(message, code="unique", also={"non_field_errors": [message]})
    _put(connection, parent, [child.id], ())
    return {"parent": parent.id, "child": child.id}


def create_many(
    connection: Connection, principal: Principal, parent_id: str, given: Children
) -> dict[str, Any]:
    """Put elements below another, all or none of them; for those that are there nothing changes.

    Raises:
        NotFound: there is no such element above.
        InvalidRequest: a child does not exist, is of another corpus, or would be below itself.
    """
    organisation_id = principal.organisation_id
    _lock(connection, organisation_id, parent_id)
    parent = scope.element(connection, organisation_id, parent_id, alone=True)
    children = []
    for index, each in enumerate(given.children):
        child_id = scope.uuid_of(each)
        if child_id is None:
            raise scope.unknown("element", each, "children", index)
        children.append(child_id)
    among = _corpora_of(connection, organisation_id, children)
    for index, child_id in enumerate(children):
        if child_id not in among:
            raise scope.unknown("element", child_id, "children", index)
        if among[child_id] != parent.corpus_id:
            raise _elsewhere(Target(child_id, among[child_id]), parent, "children", index)
    _put(connection, parent, children, ("children",))
    return {"parent": parent.id, "children": children}


def remove(connection: Connection, principal: Principal, child_id: str, parent_id: str) -> None:
    """Take an element away from below another; both stay.

    Raises:
        NotFound: one of them does not exist, or it is not below the other.
    """
    parent, child = _both(connection, principal.organisation_id, parent_id, child_id)
    chosen = (corpus_paths.c.parent_id == parent.id) & (corpus_paths.c.child_id == child.id)
    if not connection.execute(delete(corpus_paths).where(chosen)).rowcount:
        raise NotFound(f"The element {child.id} is not below the element {parent.id}.")


def above(element_id: str) -> Select[Any]:
    """Return the query for the ids of all elements above one, each of them once."""
    paths = corpus_paths.c
    found = select(paths.parent_id.label("id")).where(paths.child_id == element_id)
    known = found.cte("above", recursive=True)
    # UNION drops what is known already, so that it ends whatever the paths are like.
    further = select(paths.parent_id).join(known, paths.child_id == known.c.id)
    return select(known.union(further).c.id)


def below(connection: Connection, element_id: str) -> Select[Any]:
    """Return the query for the ids of all elements below one, each of them once."""
    paths = corpus_paths.c
    found = select(paths.child_id.label("id")).where(paths.parent_id == element_id)
    known = found.cte("below", recursive=True)
    further = children_of(connection.dialect.name, known, known.c.id)
    return select(known.union(further).c.id)


def children_of(dialect: str, source: FromClause, parent: ColumnElement[str]) -> Select[Any]:
    """Return the query for the children of many elements, as `child_id`.

    Args:
        dialect: of the database.
        source: has a row for each element.
        parent: its column with their ids.
    """
    query = select(corpus_paths.c.child_id)
    if dialect == "sqlite":
        return query.join(source, corpus_paths.c.parent_id == parent)
    # PostgreSQL takes all elements for parents of many, and would rather read the whole table than
    # look for the children of each; what has an OFFSET it leaves as it is.
    each = query.where(corpus_paths.c.parent_id == parent).offset(0).lateral("each")
    return select(each.c.child_id).select_from(source.join(each, true()))


def _both(
    connection: Connection, organisation_id: str, parent_id: str, child_id: str
) -> tuple[Target, Target]:
    _lock(connection, organisation_id, parent_id)
    parent = scope.element(connection, organisation_id, parent_id, alone=True)
    child = scope.element(connection, organisation_id, child_id, kept=True)
    if child.corpus_id != parent.corpus_id:
        raise _elsewhere(child, parent)
    return parent, child


def _lock(connection: Connection, organisation_id: str, element_id: str) -> None:
    """Let others that change paths in the corpus of an element wait: two could make a circle."""
    found = scope.element(connection, organisation_id, element_id)
    scope.corpus(connection, organisation_id, found.corpus_id, alone=True)


def _elsewhere(child: Target, parent: Target, *attr: str | int) -> Exception:
    where = f"{scope.place(attr)}: the" if attr else "The"
    return refusal(
        f"{where} element {child.id} is in another corpus, {child.corpus_id}, than the one above, "
        f"which is in {parent.corpus_id}.",
        *attr,
    )


def _put(
    connection: Connection, parent: Target, children: Sequence[str], place: tuple[str, ...]
) -> None:
    circle = {parent.id, *connection.scalars(above(parent.id))}
    for index, child_id in enumerate(children):
        if child_id in circle:
            where = "itself" if child_id == parent.id else f"{parent.id}, which is below it"
            attr: tuple[str | int, ...] = (*place, index) if place else ()
            raise refusal(
                f"The element {child_id} cannot be put below {where}: nothing is below itself.",
                *attr,
                code="circle",
            )
    present = _of_parent(connection, parent.id, children)
    new = [each for each in dict.fromkeys(children) if each not in present]
    first = creating.next_position(connection, parent.id)
    rows = [(each, first + index) for index, each in enumerate(new)]
    below_it = {"parent_id": parent.id}
    insert_rows(connection, corpus_paths, ("child_id", "position"), rows, same=below_it)


def _of_parent(connection: Connection, parent_id: str, children: Sequence[str]) -> set[str]:
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(each,) for each in set(children)], 1)
    return set(connection.scalars(_present(dialect), {**given, "parent_id": parent_id}))


def _corpora_of(
    connection: Connection, organisation_id: str, children: Sequence[str]
) -> dict[str, str]:
    """Return the corpora of elements, which outlive this transaction, by their ids."""
    known = scope.kept_elements(connection, organisation_id, children)
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(each,) for each in known], 1)
    rows = connection.execute(_corpus_of(dialect), given)
    return {row.id: row.corpus_id for row in rows}


@cache
def _present(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return (
        select(corpus_paths.c.child_id)
        .join(given, given.c.id == corpus_paths.c.child_id)
        .where(corpus_paths.c.parent_id == bindparam("parent_id"))
    )


@cache
def _corpus_of(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return select(corpus_elements.c.id, corpus_elements.c.corpus_id).join(
        given, given.c.id == corpus_elements.c.id
    )
