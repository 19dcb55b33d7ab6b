"""Datasets: named sets of elements of a corpus, and the state that they are in.

A dataset is open while its sets change. Completing it makes it immutable: a job of the server
archives its images and its elements, and until that is done it is being built. A worker may build
the archive instead, which is then an artifact of its task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from longshore import ids
from longshore.access import Principal
from longshore.clock import iso
from longshore.errors import InvalidRequest, NotFound
from longshore.storage import now_us
from longshore.storage.bulk import insert_rows
from longshore.surfaces.corpus import scope, set_naming
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.scope import refusal
from longshore.surfaces.corpus.tables import (
    corpora,
    corpus_dataset_elements,
    corpus_dataset_sets,
    corpus_datasets,
    corpus_process_sets,
)

NAME_CHARACTERS: Final = 100


class State(StrEnum):
    """The states of a dataset, as the clients know them."""

    OPEN = "open"
    BUILDING = "building"
    COMPLETE = "complete"
    ERROR = "error"


class NewDataset(msgspec.Struct, frozen=True):
    """A dataset that is to be made."""

    name: str
    description: str = ""
    set_names: list[str] | None = None
    unique_elements: bool = True


class Changes(msgspec.Struct, frozen=True):
    """What is to change of a dataset; what is left out stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    set_names: list[str] | msgspec.UnsetType = msgspec.UNSET
    unique_elements: bool | msgspec.UnsetType = msgspec.UNSET
    state: State | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as it is stored."""

    id: str
    corpus_id: str
    name: str
    description: str
    state: State
    unique_elements: bool
    task_id: str | None
    creator: str
    created_us: int
    updated_us: int

    def must_be_open(self) -> None:
        """Raise InvalidRequest where its sets and elements may not change."""
        if self.state in (State.BUILDING, State.COMPLETE):
            why = "is complete" if self.state is State.COMPLETE else "is being built"
            raise refusal(
                f"Dataset {self.id} {why}, so that it cannot be changed. Make another dataset.",
                "state",
                code="immutable",
            )


_COLUMNS: Final = [corpus_datasets.c[name] for name in Dataset.__dataclass_fields__]


def of_row(row: Row[Any]) -> Dataset:
    """Return a dataset from its row."""
    return Dataset(**{**row._asdict(), "state": State(row.state)})


def get(
    connection: Connection, organisation_id: str, dataset_id: str, *, alone: bool = False
) -> Dataset:
    """Return a dataset of the organisation; with `alone`, others that ask so wait for the end.

    Raises:
        NotFound: there is none, or its corpus is being deleted.
    """
    found = _find(connection, organisation_id, dataset_id, alone=alone)
    if found is None:
        raise NotFound(f"There is no dataset {dataset_id[:80]}.")
    return found


def named(connection: Connection, corpus_id: str, dataset_id: str, *, attr: str) -> Dataset:
    """Return the dataset that a body names, of this corpus.

    Raises:
        InvalidRequest: the corpus has none of that id.
    """
    given = scope.uuid_of(dataset_id)
    row = None
    if given is not None:
        query = select(*_COLUMNS).where(
            corpus_datasets.c.id == given, corpus_datasets.c.corpus_id == corpus_id
        )
        row = connection.execute(query).one_or_none()
    if row is None:
        raise scope.unknown("dataset", dataset_id, attr)
    return of_row(row)


def create(
    connection: Connection, principal: Principal, corpus_id: str, new: NewDataset
) -> dict[str, Any]:
    """Make a dataset with its sets; return it as it is sent.

    Raises:
        NotFound: there is no such corpus.
        InvalidRequest: a name cannot be one, or is in use.
        TooLarge: there are too many sets.
    """
    corpus_id = scope.corpus(connection, principal.organisation_id, corpus_id)
    names = set_naming.checked(new.set_names)
    name = _checked_name(connection, corpus_id, new.name)
    at_us = now_us(connection)
    dataset_id = ids.uuid()
    connection.execute(
        insert(corpus_datasets).values(
            id=dataset_id,
            corpus_id=corpus_id,
            name=name,
            description=new.description,
            state=State.OPEN.value,
            unique_elements=new.unique_elements,
            creator=principal.key_name,
            created_us=at_us,
            updated_us=at_us,
        )
    )
    _add_sets(connection, dataset_id, names)
    return show(connection, get(connection, principal.organisation_id, dataset_id))


def listing(
    connection: Connection, organisation_id: str, corpus_id: str, page: Page
) -> dict[str, Any]:
    """Return a page of the datasets of a corpus, the oldest first.

    Raises:
        NotFound: there is no such corpus or page.
    """
    chosen = corpus_datasets.c.corpus_id == scope.corpus(connection, organisation_id, corpus_id)
    count = connection.scalar(select(func.count()).select_from(corpus_datasets).where(chosen)) or 0
    query = select(*_COLUMNS).where(chosen).order_by(corpus_datasets.c.id)
    rows = connection.execute(query.offset(page.offset).limit(page.size)).all()
    return page.answer(shown(connection, [of_row(row) for row in rows]), count)


def change(
    connection: Connection, principal: Principal, dataset: Dataset, changes: Changes
) -> None:
    """Change names, description and sets of a dataset, but not its state.

    Raises:
        InvalidRequest: it is complete or being built; a name cannot be one, or is in use; a set
            that is left out has elements; elements of several sets are to be unique.
    """
    values: dict[str, Any] = {}
    if isinstance(changes.name, str) and changes.name.strip() != dataset.name:
        values["name"] = _checked_name(connection, dataset.corpus_id, changes.name)
    if isinstance(changes.description, str):
        values["description"] = changes.description
    if isinstance(changes.unique_elements, bool):
        if changes.unique_elements and not dataset.unique_elements:
            _refuse_repeats(connection, dataset.id)
        values["unique_elements"] = changes.unique_elements
    if values or isinstance(changes.set_names, list):
        dataset.must_be_open()
    if isinstance(changes.set_names, list):
        _replace_sets(connection, dataset.id, set_naming.checked(changes.set_names))
    put(connection, dataset.id, **values)


def put(connection: Connection, dataset_id: str, **values: Any) -> None:
    """Write columns of a dataset, and that it was changed now."""
    connection.execute(
        update(corpus_datasets)
        .where(corpus_datasets.c.id == dataset_id)
        .values(**values, updated_us=now_us(connection))
    )


def remove(connection: Connection, dataset: Dataset) -> None:
    """Delete a dataset with its sets; its elements stay in the corpus."""
    of_it = select(corpus_dataset_sets.c.id).where(corpus_dataset_sets.c.dataset_id == dataset.id)
    connection.execute(delete(corpus_process_sets).where(corpus_process_sets.c.set_id.in_(of_it)))
    for table in (corpus_dataset_elements, corpus_dataset_sets):
        connection.execute(delete(table).where(table.c.dataset_id == dataset.id))
    connection.execute(delete(corpus_datasets).where(corpus_datasets.c.id == dataset.id))


def remove_set(connection: Connection, set_id: str) -> None:
    """Delete a set with what is in it; processes over it have one set less."""
    for table in (corpus_process_sets, corpus_dataset_elements):
        connection.execute(delete(table).where(table.c.set_id == set_id))
    connection.execute(delete(corpus_dataset_sets).where(corpus_dataset_sets.c.id == set_id))


def show(connection: Connection, dataset: Dataset) -> dict[str, Any]:
    """Return a dataset as it is sent."""
    return shown(connection, [dataset])[0]


def shown(connection: Connection, datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    """Return datasets as they are sent: with their sets, and how many elements each has."""
    wanted = [dataset.id for dataset in datasets]
    counted = (
        select(
            corpus_dataset_sets.c.dataset_id,
            corpus_dataset_sets.c.id,
            corpus_dataset_sets.c.name,
            select(func.count())
            .select_from(corpus_dataset_elements)
            .where(corpus_dataset_elements.c.set_id == corpus_dataset_sets.c.id)
            .scalar_subquery()
            .label("elements"),
        )
        .where(corpus_dataset_sets.c.dataset_id.in_(wanted))
        .order_by(corpus_dataset_sets.c.position)
    )
    sets: dict[str, list[Any]] = {}
    for row in connection.execute(counted):
        sets.setdefault(row.dataset_id, []).append(row)
    return [_shown(dataset, sets.get(dataset.id, [])) for dataset in datasets]


def set_names(connection: Connection, dataset_id: str) -> list[str]:
    """Return the names of a dataset's sets, in their order."""
    query = (
        select(corpus_dataset_sets.c.name)
        .where(corpus_dataset_sets.c.dataset_id == dataset_id)
        .order_by(corpus_dataset_sets.c.position)
    )
    return list(connection.execute(query).scalars())


def _shown(dataset: Dataset, sets: Sequence[Row[Any]]) -> dict[str, Any]:
    return {
        "id": dataset.id,
        "corpus_id": dataset.corpus_id,
        "name": dataset.name,
        "description": dataset.description,
        "state": dataset.state.value,
        "task_id": dataset.task_id,
        "unique_elements": dataset.unique_elements,
        "sets": [{"id": row.id, "name": row.name} for row in sets],
        "set_elements": {row.name: row.elements for row in sets},
        "creator": dataset.creator,
        "created": iso(dataset.created_us),
        "updated": iso(dataset.updated_us),
    }


def _find(
    connection: Connection, organisation_id: str, dataset_id: str, *, alone: bool
) -> Dataset | None:
    given = scope.uuid_of(dataset_id)
    if given is None:
        return None
    query: Select[Any] = (
        select(*_COLUMNS)
        .join(corpora, corpora.c.id == corpus_datasets.c.corpus_id)
        .where(
            corpus_datasets.c.id == given,
            corpora.c.organisation_id == organisation_id,
            corpora.c.deletion_id.is_(None),
        )
    )
    if alone:
        query = query.with_for_update(of=corpus_datasets)
    row = connection.execute(query).one_or_none()
    return None if row is None else of_row(row)


def _checked_name(connection: Connection, corpus_id: str, given: str) -> str:
    name = given.strip()
    if not name or len(name) > NAME_CHARACTERS:
        raise refusal(f"name: give a name of 1 to {NAME_CHARACTERS} characters.", "name")
    # Whoever takes a name in this corpus waits for the others that do.
    connection.execute(
        select(corpora.c.id).where(corpora.c.id == corpus_id).with_for_update(key_share=True)
    )
    taken = select(corpus_datasets.c.id).where(
        corpus_datasets.c.corpus_id == corpus_id, corpus_datasets.c.name == name
    )
    if connection.scalar(taken) is not None:
        raise refusal(
            f"name: the corpus has a dataset {name!r}. Take another name.",
            "name",
            code="unique",
        )
    return name


def _add_sets(
    connection: Connection, dataset_id: str, names: Sequence[str], first: int = 0
) -> None:
    insert_rows(
        connection,
        corpus_dataset_sets,
        ("id", "dataset_id", "name", "position"),
        [(ids.uuid(), dataset_id, name, place) for place, name in enumerate(names, first)],
    )


def _replace_sets(connection: Connection, dataset_id: str, names: Sequence[str]) -> None:
    held = {
        row.name: row.id
        for row in connection.execute(
            select(corpus_dataset_sets).where(corpus_dataset_sets.c.dataset_id == dataset_id)
        )
    }
    for name in held.keys() - set(names):
        used = corpus_dataset_elements.c.set_id == held[name]
        if connection.scalar(select(corpus_dataset_elements.c.id).where(used).limit(1)):
            raise refusal(
                f"set_names: the set {name!r} has elements, so that it cannot be left out. Remove "
                "them first.",
                "set_names",
            )
        remove_set(connection, held[name])
    for place, name in enumerate(names):
        if name in held:
            connection.execute(
                update(corpus_dataset_sets)
                .where(corpus_dataset_sets.c.id == held[name])
                .values(position=place)
            )
        else:
            _add_sets(connection, dataset_id, [name], place)


def _refuse_repeats(connection: Connection, dataset_id: str) -> None:
    repeated = (
        select(corpus_dataset_elements.c.element_id)
        .where(corpus_dataset_elements.c.dataset_id == dataset_id)
        .group_by(corpus_dataset_elements.c.element_id)
        .having(func.count() > 1)
        .limit(1)
    )
    element_id = connection.scalar(repeated)
    if element_id is not None:
        raise InvalidRequest(
            f"unique_elements: the element {element_id} is in several sets. Remove it from all but "
            "one of them first.",
            details={"attr": ["unique_elements"], "error_code": "invalid"},
        )
