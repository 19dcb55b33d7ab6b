"""Which elements are in which set of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, Text, delete, func, select

from longshore import ids, limits
from longshore.access import Principal
from longshore.errors import NotFound, TooLarge
from longshore.storage.bulk import given_parameters, given_rows, insert_rows
from longshore.surfaces.corpus import dataset_sets, datasets, scope
from longshore.surfaces.corpus.datasets import Dataset
from longshore.surfaces.corpus.paging import Cursor
from longshore.surfaces.corpus.scope import refusal
from longshore.surfaces.corpus.tables import corpus_dataset_elements, corpus_dataset_sets
from longshore.surfaces.corpus.tables import corpus_elements as elements_table

_COLUMNS = ("set_id", "element_id", "dataset_id", "id")


def page(
    connection: Connection, dataset: Dataset, set_name: str | None, cursor: Cursor
) -> tuple[list[Row[Any]], str | None, int | None]:
    """Return rows of `element_id` and `name` (of the set), the last place, and the count.

    The last place is None where nothing follows; the count is None unless it is wanted.

    Raises:
        InvalidRequest: the dataset has no such set.
    """
    query: Select[Any] = (
        select(
            corpus_dataset_elements.c.id,
            corpus_dataset_elements.c.element_id,
            corpus_dataset_sets.c.name,
        )
        .join(corpus_dataset_sets, corpus_dataset_sets.c.id == corpus_dataset_elements.c.set_id)
        .where(corpus_dataset_elements.c.dataset_id == dataset.id)
    )
    if set_name is not None:
        found = named_set(connection, dataset, set_name)
        query = query.where(corpus_dataset_elements.c.set_id == found.id)
    count = None
    if cursor.with_count:
        count = connection.scalar(select(func.count()).select_from(query.subquery()))
    wanted = query.where(corpus_dataset_elements.c.id > cursor.after)
    rows = connection.execute(
        wanted.order_by(corpus_dataset_elements.c.id).limit(cursor.size + 1)
    ).all()
    shown = list(rows[: cursor.size])
    return shown, shown[-1].id if len(rows) > cursor.size else None, count


def add(
    connection: Connection,
    principal: Principal,
    dataset_id: str,
    set_name: str,
    element_ids: Sequence[str],
    *,
    attr: str = "element_id",
) -> Dataset:
    """Put elements into a set; all of them or none.

    Raises:
        NotFound: there is no such dataset.
        InvalidRequest: it is not open, has no such set, or an element is none of its corpus, is
            in the set already, or is in another set while its elements are to be unique.
        TooLarge: these are too many at once.
    """
    if len(element_ids) > limits.DATASET_ELEMENTS_PER_CALL:
        raise TooLarge(
            f"These are {len(element_ids)} elements, and one call takes "
            f"{limits.DATASET_ELEMENTS_PER_CALL}. Send several calls."
        )
    dataset = datasets.get(connection, principal.organisation_id, dataset_id, alone=True)
    dataset.must_be_open()
    target = named_set(connection, dataset, set_name)
    given = [_id(each, attr) for each in element_ids]
    if len(set(given)) < len(given):
        raise refusal(f"{attr}: an element is given twice. Give each once.", attr)
    kept = scope.kept_elements(connection, principal.organisation_id, given)
    present = _of_corpus(connection, dataset.corpus_id, given) & kept
    for each in given:
        if each not in present:
            raise refusal(
                f"{attr}: there is no element {each} in the corpus of the dataset.",
                attr,
                code="does_not_exist",
            )
    _refuse_present(connection, dataset, target, given, attr)
    insert_rows(
        connection,
        corpus_dataset_elements,
        _COLUMNS,
        [(target.id, each, dataset.id, ids.uuid()) for each in given],
    )
    datasets.put(connection, dataset.id)
    return dataset


def remove(
    connection: Connection, principal: Principal, dataset_id: str, element_id: str, set_name: str
) -> None:
    """Take an element out of a set; it stays in the corpus.

    Raises:
        NotFound: there is no such dataset, or the element is not in the set.
        InvalidRequest: the dataset is not open, or has no such set.
    """
    dataset = datasets.get(connection, principal.organisation_id, dataset_id, alone=True)
    target = named_set(connection, dataset, set_name)
    dataset.must_be_open()
    gone = 0
    given = scope.uuid_of(element_id)
    if given is not None:
        gone = connection.execute(
            delete(corpus_dataset_elements).where(
                corpus_dataset_elements.c.set_id == target.id,
                corpus_dataset_elements.c.element_id == given,
            )
        ).rowcount
    if not gone:
        raise NotFound(f"The set {target.name!r} has no element {element_id[:80]}.")
    datasets.put(connection, dataset.id)


def named_set(connection: Connection, dataset: Dataset, given: str) -> Row[Any]:
    """Return the set that a body or a query names.

    Raises:
        InvalidRequest: the dataset has none of that name.
    """
    found = dataset_sets.find(connection, dataset, given)
    if found is None:
        raise refusal(
            f"set: dataset {dataset.id} has no set {given[:80]!a}.", "set", code="does_not_exist"
        )
    return found


def _id(given: str, attr: str) -> str:
    found = scope.uuid_of(given)
    if found is None:
        raise scope.unknown("element", given, attr)
    return found


def _of_corpus(connection: Connection, corpus_id: str, element_ids: Sequence[str]) -> set[str]:
    dialect = connection.dialect.name
    given = given_rows(dialect, id=Text)
    query = select(elements_table.c.id, elements_table.c.corpus_id).where(
        elements_table.c.id.in_(select(given.c.id))
    )
    parameters = given_parameters(dialect, [(each,) for each in element_ids], 1)
    # Compared here: with the corpus as a condition SQLite may walk through all of its elements.
    return {row.id for row in connection.execute(query, parameters) if row.corpus_id == corpus_id}


def _refuse_present(
    connection: Connection,
    dataset: Dataset,
    target: Row[Any],
    element_ids: Sequence[str],
    attr: str,
) -> None:
    """Refuse elements that are in the set, or in any set of a dataset with unique elements."""
    dialect = connection.dialect.name
    given = given_rows(dialect, id=Text)
    query = (
        select(corpus_dataset_elements.c.element_id, corpus_dataset_sets.c.name)
        .join(corpus_dataset_sets, corpus_dataset_sets.c.id == corpus_dataset_elements.c.set_id)
        .where(
            corpus_dataset_elements.c.dataset_id == dataset.id,
            corpus_dataset_elements.c.element_id.in_(select(given.c.id)),
        )
        .limit(1)
    )
    if not dataset.unique_elements:
        query = query.where(corpus_dataset_elements.c.set_id == target.id)
    parameters = given_parameters(dialect, [(each,) for each in element_ids], 1)
    row = connection.execute(query, parameters).one_or_none()
    if row is not None:
        raise refusal(
            f"{attr}: the element {row.element_id} is in the set {row.name!r} already.",
            attr,
            code="unique",
        )
