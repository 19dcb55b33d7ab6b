"""Deleting elements, with what is below them and below nothing else.

What is below goes first, so that whatever is left when a deletion is cut short is still below the
element that was to be deleted, and is found when it is deleted again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Delete, Select, Text, delete, select, tuple_

from longshore import limits
from longshore.access import Principal
from longshore.edge.jobs import JobContext, system_queue
from longshore.engine import works
from longshore.engine.works import NewWork
from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.corpus import belongings, parents, scope
from longshore.surfaces.corpus.scope import refusal
from longshore.surfaces.corpus.tables import (
    corpus_dataset_elements,
    corpus_datasets,
    corpus_elements,
    corpus_paths,
)

JOB: Final = "corpus.delete_elements"
STEP_ELEMENTS: Final = 500
"""Elements that one transaction of a job deletes."""


class Doomed(NamedTuple):
    """What is to be deleted with an element.

    Attributes:
        ids: of the elements, each behind all that are below it; the element itself comes last.
        kept: what is below them and also below others, so that it stays.
    """

    ids: list[str]
    kept: frozenset[str]


def remove(
    connection: Connection, principal: Principal, element_id: str, *, with_children: bool
) -> dict[str, Any] | None:
    """Delete an element, and what is below it and nothing else; return the job that does it.

    None comes back where it is done. Without `with_children`, what is below it stays.

    Raises:
        NotFound: there is no such element.
        InvalidRequest: one of them is in a dataset that is complete, or is being built.
    """
    target = scope.element(connection, principal.organisation_id, element_id, alone=True)
    if not with_children:
        _refuse_fixed(connection, [target.id])
        destroy(connection, [target.id])
        return None
    while True:
        doomed = found(connection, target.id)
        _refuse_fixed(connection, doomed.ids)
        if len(doomed.ids) > limits.ELEMENTS_DELETED_PER_CALL:
            return _submit(connection, principal, target.id)
        # Some stay where others have put elements below them meanwhile.
        if target.id in sweep(connection, doomed.ids, doomed.kept):
            return None


async def run(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Delete an element and what is below it, some at a time; run again it goes on."""
    element_id, gone = str(payload["element_id"]), 0
    while await context.database.read(_exists, element_id):
        doomed = await context.database.read(found, element_id)
        for start in range(0, len(doomed.ids), STEP_ELEMENTS):
            some = doomed.ids[start : start + STEP_ELEMENTS]
            gone += len(await context.database.write(sweep, some, doomed.kept))
    return {"elements": gone}


def found(connection: Connection, element_id: str) -> Doomed:
    """Return what is to be deleted with an element."""
    order, seen = [element_id], {element_id}
    level = [element_id]
    edges: dict[str, list[str]] = {}
    while level:
        further: list[str] = []
        for parent_id, child_id in _paths(connection, "parent_id", level):
            edges.setdefault(parent_id, []).append(child_id)
            if child_id not in seen:
                seen.add(child_id)
                further.append(child_id)
        order += further
        level = further
    kept: set[str] = set()
    spreading = [
        child_id
        for parent_id, child_id in _paths(connection, "child_id", order[1:])
        if parent_id not in seen
    ]
    while spreading:
        child_id = spreading.pop()
        if child_id not in kept:
            kept.add(child_id)
            spreading += edges.get(child_id, ())
    # Nearer ones were found first; the other way round each still hangs on what is left.
    return Doomed([each for each in reversed(order) if each not in kept], frozenset(kept))


def sweep(connection: Connection, element_ids: Sequence[str], kept: Collection[str]) -> set[str]:
    """Delete elements, but those that something else is below of; return the ids of the others.

    Args:
        connection: of the transaction.
        element_ids: which are to go.
        kept: what may be below them and stays.
    """
    # Whoever puts something below one of them waits, and then finds it gone.
    present = _lock(connection, element_ids)
    going = set(present)
    while True:
        staying = {
            parent_id
            for parent_id, child_id in _paths(connection, "parent_id", sorted(going))
            if child_id not in going and child_id not in kept
        }
        if not staying:
            break
        going -= staying
    destroy(connection, sorted(going))
    return going


def destroy(connection: Connection, element_ids: Sequence[str]) -> dict[str, int]:
    """Delete elements with all that was found on them; return the rows of each kind.

    What is below them stays.
    """
    if not element_ids:
        return {}
    gone = belongings.forget(connection, element_ids)
    dialect = connection.dialect.name
    # By both of their ends, which are the key of a path, and so found one by one.
    paths = {
        *_paths(connection, "parent_id", element_ids),
        *_paths(connection, "child_id", element_ids),
    }
    connection.execute(_paths_gone(dialect), given_parameters(dialect, sorted(paths), 2))
    removed = connection.execute(_elements_gone(dialect), _given(connection, element_ids))
    return {"elements": removed.rowcount, **gone}


def _submit(connection: Connection, principal: Principal, element_id: str) -> dict[str, Any]:
    payload = json.dumps({"job": JOB, "element_id": element_id}).encode()
    queue_id = system_queue(connection, principal.organisation_id)
    work = works.submit(connection, [NewWork(queue_id, payload)], actor=principal.key_name)[0]
    return {"id": element_id, "work_id": work.id}


def _refuse_fixed(connection: Connection, element_ids: Sequence[str]) -> None:
    """Raise InvalidRequest where an element is in a dataset that does not change any more."""
    rows = connection.execute(
        _fixed(connection.dialect.name), _given(connection, element_ids)
    ).first()
    if rows is not None:
        raise refusal(
            f"The element {rows.element_id} is in the dataset {rows.name!r} ({rows.dataset_id}), "
            f"which is {rows.state}, so that it keeps its elements. Delete the dataset first.",
            code="immutable",
        )


def _exists(connection: Connection, element_id: str) -> bool:
    query = select(corpus_elements.c.id).where(corpus_elements.c.id == element_id)
    return connection.scalar(query) is not None


def _lock(connection: Connection, element_ids: Sequence[str]) -> list[str]:
    query = _locked(connection.dialect.name)
    return list(connection.scalars(query, _given(connection, element_ids)))


def _paths(
    connection: Connection, column: str, element_ids: Sequence[str]
) -> list[tuple[str, str]]:
    if not element_ids:
        return []
    query = _paths_of(connection.dialect.name, column)
    rows = connection.execute(query, _given(connection, element_ids))
    return [(row.parent_id, row.child_id) for row in rows]


def _given(connection: Connection, element_ids: Sequence[str]) -> dict[str, Any]:
    return given_parameters(connection.dialect.name, [(each,) for each in element_ids], 1)


@cache
def _elements_gone(dialect: str) -> Delete:
    given = given_rows(dialect, id=Text)
    return delete(corpus_elements).where(corpus_elements.c.id.in_(select(given.c.id)))


@cache
def _paths_gone(dialect: str) -> Delete:
    given = given_rows(dialect, parent_id=Text, child_id=Text)
    key = tuple_(corpus_paths.c.parent_id, corpus_paths.c.child_id)
    return delete(corpus_paths).where(key.in_(select(given.c.parent_id, given.c.child_id)))


@cache
def _paths_of(dialect: str, column: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    if column == "child_id":
        return select(corpus_paths.c.parent_id, corpus_paths.c.child_id).join(
            given, given.c.id == corpus_paths.c.child_id
        )
    children = parents.children_of(dialect, given, given.c.id)
    return children.add_columns(given.c.id.label("parent_id"))


@cache
def _locked(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return (
        select(corpus_elements.c.id)
        .join(given, given.c.id == corpus_elements.c.id)
        .order_by(corpus_elements.c.id)
        .with_for_update(of=corpus_elements)
    )


@cache
def _fixed(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    members = corpus_dataset_elements
    return (
        select(
            members.c.element_id,
            members.c.dataset_id,
            corpus_datasets.c.name,
            corpus_datasets.c.state,
        )
        .join(given, given.c.id == members.c.element_id)
        .join(corpus_datasets, corpus_datasets.c.id == members.c.dataset_id)
        .where(corpus_datasets.c.state.in_(("building", "complete")))
        .limit(1)
    )
