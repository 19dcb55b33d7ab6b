"""The classes that the elements of a corpus can be put into."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, func, insert, select

from longshore import ids, limits
from longshore.access import Principal
from longshore.surfaces.corpus import scope
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.tables import corpus_classes

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_CHARACTERS)]


class NewClass(msgspec.Struct, frozen=True):
    """Body of CreateMLClass."""

    name: Name


def create(
    connection: Connection, principal: Principal, corpus_id: str, given: NewClass
) -> dict[str, Any]:
    """Make a class and return it.

    Raises:
        NotFound: there is no such corpus.
        InvalidRequest: the name is blank, or there is such a class already. The published clients
            then look for it among the classes.
    """
    corpus_id = scope.corpus(connection, principal.organisation_id, corpus_id, alone=True)
    if not given.name.strip():
        raise scope.refusal("name is blank. Give the class a name.", "name", code="blank")
    present = connection.scalar(
        select(corpus_classes.c.id).where(
            corpus_classes.c.corpus_id == corpus_id, corpus_classes.c.name == given.name
        )
    )
    if present is not None:
        message = f"The corpus has a class {given.name!r} already: {present}."
        also = {"non_field_errors": [message], "existing_id": present}
        raise scope.refusal(message, "name", code="unique", also=also)
    made = ids.uuid()
    connection.execute(insert(corpus_classes).values(id=made, corpus_id=corpus_id, name=given.name))
    return {"id": made, "name": given.name}


def listing(
    connection: Connection, organisation_id: str, corpus_id: str, page: Page
) -> dict[str, Any]:
    """Return a page of the classes of a corpus, by name.

    Raises:
        NotFound: there is no such corpus, or no such page.
    """
    corpus_id = scope.corpus(connection, organisation_id, corpus_id)
    chosen = corpus_classes.c.corpus_id == corpus_id
    count = connection.scalar(select(func.count()).select_from(corpus_classes).where(chosen)) or 0
    rows = connection.execute(
        select(corpus_classes.c.id, corpus_classes.c.name)
        .where(chosen)
        .order_by(corpus_classes.c.name)
        .limit(page.size)
        .offset(page.offset)
    )
    return page.answer([{"id": row.id, "name": row.name} for row in rows], count)
