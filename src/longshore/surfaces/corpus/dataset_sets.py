"""The sets of a dataset, one at a time; clients know them by name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from longshore import ids, limits
from longshore.errors import NotFound
from longshore.surfaces.corpus import datasets, set_naming
from longshore.surfaces.corpus.datasets import Dataset
from longshore.surfaces.corpus.scope import refusal, uuid_of
from longshore.surfaces.corpus.tables import corpus_dataset_sets


def get(connection: Connection, dataset: Dataset, given: str) -> Row[Any]:
    """Return a set of a dataset by its name, or else by its id.

    Raises:
        NotFound: there is none.
    """
    found = find(connection, dataset, given)
    if found is None:
        raise NotFound(f"Dataset {dataset.id} has no set {given[:80]!a}.")
    return found


def find(connection: Connection, dataset: Dataset, given: str) -> Row[Any] | None:
    """Return a set of a dataset by its name, or else by its id; None if there is none."""
    of_it = select(corpus_dataset_sets).where(corpus_dataset_sets.c.dataset_id == dataset.id)
    row = connection.execute(of_it.where(corpus_dataset_sets.c.name == given)).one_or_none()
    set_id = uuid_of(given)
    if row is None and set_id is not None:
        row = connection.execute(of_it.where(corpus_dataset_sets.c.id == set_id)).one_or_none()
    return row


def show(row: Row[Any]) -> dict[str, Any]:
    """Return a set as it is sent.

    The published client builds its object of exactly these and adds the dataset itself.
    """
    return {"id": row.id, "name": row.name}


def create(connection: Connection, dataset: Dataset, given: str) -> Row[Any]:
    """Add a set.

    Raises:
        InvalidRequest: the dataset is not open, or the name cannot be one or is in use.
    """
    dataset.must_be_open()
    name = _free_name(connection, dataset, given)
    of_it = corpus_dataset_sets.c.dataset_id == dataset.id
    count, last = connection.execute(
        select(func.count(), func.max(corpus_dataset_sets.c.position)).where(of_it)
    ).one()
    if count >= limits.DATASET_SETS:
        raise refusal(f"A dataset has at most {limits.DATASET_SETS} sets.", "name")
    connection.execute(
        insert(corpus_dataset_sets).values(
            id=ids.uuid(),
            dataset_id=dataset.id,
            name=name,
            position=0 if last is None else last + 1,
        )
    )
    datasets.put(connection, dataset.id)
    return get(connection, dataset, name)


def rename(connection: Connection, dataset: Dataset, given: str, new_name: str) -> Row[Any]:
    """Give a set another name.

    Raises:
        NotFound: there is no such set.
        InvalidRequest: as for `create`.
    """
    row = get(connection, dataset, given)
    dataset.must_be_open()
    if new_name.strip() != row.name:
        name = _free_name(connection, dataset, new_name)
        connection.execute(
            update(corpus_dataset_sets).where(corpus_dataset_sets.c.id == row.id).values(name=name)
        )
        datasets.put(connection, dataset.id)
        return get(connection, dataset, name)
    return row


def remove(connection: Connection, dataset: Dataset, given: str) -> None:
    """Remove a set with what is in it; the elements stay in the corpus.

    Raises:
        NotFound: there is no such set.
        InvalidRequest: the dataset is not open, or has no other set.
    """
    row = get(connection, dataset, given)
    dataset.must_be_open()
    of_it = corpus_dataset_sets.c.dataset_id == dataset.id
    if connection.scalar(select(func.count()).select_from(corpus_dataset_sets).where(of_it)) == 1:
        raise refusal(f"{row.name!r} is the only set of the dataset, which needs one.", "set")
    datasets.remove_set(connection, row.id)
    datasets.put(connection, dataset.id)


def _free_name(connection: Connection, dataset: Dataset, given: str) -> str:
    name = set_naming.checked_one(given, "name")
    taken = select(corpus_dataset_sets.c.id).where(
        corpus_dataset_sets.c.dataset_id == dataset.id, corpus_dataset_sets.c.name == name
    )
    if connection.scalar(taken) is not None:
        raise refusal(
            f"name: the dataset has a set {name!r}. Take another name.", "name", code="unique"
        )
    return name
