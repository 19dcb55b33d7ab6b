"""Embeddings: an element as a point in the space of a model, to find what is like it."""

from __future__ import annotations

import struct
from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, func, insert, select

from longshore import ids, limits
from longshore.access import Principal
from longshore.clock import iso
from longshore.storage import now_us
from longshore.surfaces.corpus import scope, stamps
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.repeats import Said
from longshore.surfaces.corpus.scope import BY_HAND
from longshore.surfaces.corpus.tables import corpus_embeddings


class NewEmbedding(msgspec.Struct, frozen=True):
    """Body of CreateEmbedding. The numbers are kept with 32 bits."""

    value: Annotated[list[float], msgspec.Meta(min_length=1, max_length=limits.EMBEDDING_NUMBERS)]
    worker_run_id: str | None = None


def create(
    connection: Connection, principal: Principal, element_id: str, given: NewEmbedding
) -> dict[str, Any]:
    """Give an element an embedding and return it as it is kept.

    Raises:
        NotFound: there is no such element.
        InvalidRequest: there is no such worker run, or a number needs more than 32 bits.
    """
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    target = scope.element(
        connection, principal.organisation_id, element_id, kept=True, alone=run_id != BY_HAND
    )
    packed, origin = _packed(given.value), stamps.shown(connection, [run_id])[run_id]
    if run_id != BY_HAND:
        said = _said(connection, target.id, run_id).take(packed)
        if said is not None:
            return _shown(*said, packed, origin)
    made, at_us = ids.uuid(), now_us(connection)
    connection.execute(
        insert(corpus_embeddings).values(
            id=made,
            element_id=target.id,
            value=packed,
            worker_run_id=run_id,
            created_us=at_us,
        )
    )
    return _shown(made, at_us, packed, origin)


def _said(connection: Connection, element_id: str, run_id: str) -> Said[bytes, tuple[str, int]]:
    stored = corpus_embeddings.c
    found = connection.execute(
        select(stored.id, stored.created_us, stored.value)
        .where(stored.element_id == element_id, stored.worker_run_id == run_id)
        .order_by(stored.id)
    )
    return Said((bytes(row.value), (row.id, row.created_us)) for row in found)


def listing(
    connection: Connection, organisation_id: str, element_id: str, page: Page
) -> dict[str, Any]:
    """Return a page of the embeddings of an element, in the order in which they were made.

    Raises:
        NotFound: there is no such element, or no such page.
    """
    target = scope.element(connection, organisation_id, element_id)
    chosen = corpus_embeddings.c.element_id == target.id
    query = select(func.count()).select_from(corpus_embeddings).where(chosen)
    count = connection.scalar(query) or 0
    rows = connection.execute(
        select(corpus_embeddings)
        .where(chosen)
        .order_by(corpus_embeddings.c.id)
        .limit(page.size)
        .offset(page.offset)
    ).all()
    origins = stamps.shown(connection, [row.worker_run_id for row in rows])
    return page.answer(
        [_shown(row.id, row.created_us, row.value, origins[row.worker_run_id]) for row in rows],
        count,
    )


def numbers(packed: bytes) -> list[float]:
    """Return the numbers of an embedding as it is stored."""
    return [_short(value) for value in struct.unpack(f"<{len(packed) // 4}f", packed)]


def _packed(value: list[float]) -> bytes:
    try:
        return struct.pack(f"<{len(value)}f", *value)
    except OverflowError:
        largest = max(value, key=abs)
        raise scope.refusal(
            f"value[{value.index(largest)}] is {largest}; numbers of 32 bits end at 3.4e38.",
            "value",
            value.index(largest),
        ) from None


def _short(value: float) -> float:
    """Return the number with the fewest digits that 32 bits keep as this one: 0.1 stays 0.1."""
    short = float(f"{value:.7g}")
    return short if struct.pack("<f", short) == struct.pack("<f", value) else float(f"{value:.9g}")


def _shown(made: str, at_us: int, packed: bytes, origin: dict[str, Any]) -> dict[str, Any]:
    at = iso(at_us)
    return {"id": made, "created": at, "updated": at, "value": numbers(packed), **origin}
