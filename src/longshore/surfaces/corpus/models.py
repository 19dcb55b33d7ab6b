"""Models and their versions: archives of what a training made, for tasks that use it.

A version is created, gets its archive, and is available from then on. With the client 0.4.0 the
archive comes in one request and the version is made available by hand, with the hashes of content
and archive; with 0.6.0 it comes in parts, and is available when they are put together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, func, insert, select
from sqlalchemy.exc import IntegrityError

from longshore import ids, limits
from longshore.access import Principal
from longshore.clock import iso
from longshore.errors import NotFound
from longshore.storage import now_us
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.scope import refusal, uuid_of
from longshore.surfaces.corpus.tables import corpus_models

NAME_CHARACTERS: Final = 100


class NewModel(msgspec.Struct, frozen=True):
    """A model that is to be made."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A model as it is stored."""

    id: str
    organisation_id: str
    name: str
    description: str
    created_us: int

    def shown(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "created": iso(self.created_us),
            "updated": iso(self.created_us),
        }


_COLUMNS: Final = [corpus_models.c[name] for name in Model.__dataclass_fields__]


def create(connection: Connection, principal: Principal, new: NewModel) -> Model:
    """Make a model.

    Raises:
        InvalidRequest: the name cannot be one, or is in use.
    """
    name = new.name.strip()
    if not name or len(name) > NAME_CHARACTERS or not name.isprintable():
        raise refusal(f"name: give a name of 1 to {NAME_CHARACTERS} printable characters.", "name")
    model_id = ids.uuid()
    try:
        with connection.begin_nested():
            connection.execute(
                insert(corpus_models).values(
                    id=model_id,
                    organisation_id=principal.organisation_id,
                    name=name,
                    description=new.description,
                    created_us=now_us(connection),
                )
            )
    except IntegrityError as error:
        raise refusal(
            f"name: there is a model {name!r}. Take another name, or add a version to that one.",
            "name",
            code="unique",
        ) from error
    return get(connection, principal.organisation_id, model_id)


def get(
    connection: Connection, organisation_id: str, model_id: str, *, alone: bool = False
) -> Model:
    """Return a model of the organisation; with `alone`, others that ask so wait for the end.

    Raises:
        NotFound: there is none.
    """
    given = uuid_of(model_id)
    row: Row[Any] | None = None
    if given is not None:
        query = select(*_COLUMNS).where(
            corpus_models.c.id == given, corpus_models.c.organisation_id == organisation_id
        )
        row = connection.execute(query.with_for_update() if alone else query).one_or_none()
    if row is None:
        raise NotFound(f"There is no model {model_id[:80]}.")
    return Model(**row._asdict())


def listing(
    connection: Connection, organisation_id: str, name: str | None, page: Page
) -> dict[str, Any]:
    """Return a page of the organisation's models by name; with `name`, of those that contain it.

    Raises:
        NotFound: there is no such page.
    """
    chosen = corpus_models.c.organisation_id == organisation_id
    if name is not None:
        chosen &= func.lower(corpus_models.c.name).contains(name.lower(), autoescape=True)
    count = connection.scalar(select(func.count()).select_from(corpus_models).where(chosen)) or 0
    query = select(*_COLUMNS).where(chosen).order_by(corpus_models.c.name)
    rows = connection.execute(query.offset(page.offset).limit(page.size))
    return page.answer([Model(**row._asdict()).shown() for row in rows], count)


def checked_configuration(value: dict[str, Any]) -> str:
    """Return the configuration of a version as JSON.

    Raises:
        InvalidRequest: it is longer than `limits.RUN_KEYS_BYTES`, which each task would carry.
    """
    text = json.dumps(value)
    if len(text) > limits.RUN_KEYS_BYTES:
        raise refusal(
            f"configuration: it has {len(text)} characters and may have {limits.RUN_KEYS_BYTES}. "
            "Put large data into the archive.",
            "configuration",
        )
    return text
