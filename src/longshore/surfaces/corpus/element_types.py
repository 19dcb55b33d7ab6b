"""The types of a corpus's elements, such as page and text line."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from longshore import ids, limits
from longshore.errors import NotFound
from longshore.surfaces.corpus import scope
from longshore.surfaces.corpus.scope import refusal
from longshore.surfaces.corpus.tables import corpora, corpus_elements, corpus_types

SLUG_CHARACTERS: Final = 50
COLOR: Final = "28b62c"
"""The color that a type is drawn in, as the protocol has it; it cannot be changed here."""
_SLUG: Final = re.compile(r"[-a-zA-Z0-9_]+")
_NEAR: Final = 5

Slug = Annotated[str, msgspec.Meta(min_length=1, max_length=SLUG_CHARACTERS)]
DisplayName = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_CHARACTERS)]


class NewType(msgspec.Struct, frozen=True):
    """Body of CreateElementType; the published clients send all of it."""

    slug: Slug
    corpus: str
    display_name: DisplayName | None = None
    folder: bool = False


class TypeChanges(msgspec.Struct, frozen=True):
    """Body of PartialUpdateElementType; what is left out stays."""

    slug: Slug | None = None
    display_name: DisplayName | None = None
    folder: bool | None = None


def create(connection: Connection, organisation_id: str, given: NewType) -> dict[str, Any]:
    """Make a type and return it.

    Raises:
        InvalidRequest: there is no such corpus, it has the type already (the published clients
            then look for it), it has `limits.CORPUS_TYPES`, or the slug cannot be one.
    """
    corpus_id = scope.named_corpus(connection, organisation_id, given.corpus, alone=True)
    slug = _checked_slug(given.slug)
    present = of(connection, corpus_id)
    if slug in {row.slug for row in present}:
        raise _taken(slug)
    if len(present) >= limits.CORPUS_TYPES:
        raise refusal(f"The corpus has {len(present)} types, and may have no more.")
    made = ids.uuid()
    connection.execute(
        insert(corpus_types).values(
            id=made,
            corpus_id=corpus_id,
            slug=slug,
            display_name=given.display_name or slug,
            folder=given.folder,
        )
    )
    return {**show(connection, organisation_id, made), "corpus": corpus_id}


def show(connection: Connection, organisation_id: str, type_id: str) -> dict[str, Any]:
    """Return a type as it is sent; NotFound where there is none."""
    row = _get(connection, organisation_id, type_id)
    return {**shown(row), "corpus": row.corpus_id}


def change(
    connection: Connection, organisation_id: str, type_id: str, given: TypeChanges
) -> dict[str, Any]:
    """Change a type, and with it all elements that are of it; return it.

    Raises:
        NotFound: there is no such type.
        InvalidRequest: the corpus has the slug already, or it cannot be one.
    """
    row = _get(connection, organisation_id, type_id)
    values: dict[str, Any] = {}
    if given.slug is not None:
        values["slug"] = _checked_slug(given.slug)
    if given.display_name is not None:
        values["display_name"] = given.display_name
    if given.folder is not None:
        values["folder"] = given.folder
    if values:
        try:
            with connection.begin_nested():
                connection.execute(
                    update(corpus_types).where(corpus_types.c.id == row.id).values(values)
                )
        except IntegrityError as error:
            raise _taken(str(given.slug)) from error
    return show(connection, organisation_id, row.id)


def remove(connection: Connection, organisation_id: str, type_id: str) -> None:
    """Delete a type.

    Raises:
        NotFound: there is no such type.
        InvalidRequest: elements are of it.
    """
    row = _get(connection, organisation_id, type_id)
    # Whoever makes an element of it waits for the end of this transaction, and then misses it.
    connection.execute(
        select(corpus_types.c.id).where(corpus_types.c.id == row.id).with_for_update()
    )
    used = connection.scalar(
        select(corpus_elements.c.id)
        .where(corpus_elements.c.corpus_id == row.corpus_id, corpus_elements.c.type_id == row.id)
        .limit(1)
    )
    if used is not None:
        raise refusal(
            f"Elements of the corpus are of the type {row.slug!r}, such as {used}. Delete them or "
            "give them another type first."
        )
    connection.execute(delete(corpus_types).where(corpus_types.c.id == row.id))


def of(connection: Connection, corpus_id: str) -> list[Row[Any]]:
    """Return the types of a corpus, by slug."""
    query = select(corpus_types).where(corpus_types.c.corpus_id == corpus_id)
    return list(connection.execute(query.order_by(corpus_types.c.slug)))


def shown(row: Row[Any]) -> dict[str, Any]:
    """Return what is told of a type."""
    return {
        "id": row.id,
        "slug": row.slug,
        "display_name": row.display_name,
        "folder": row.folder,
        "color": COLOR,
    }


def named(
    connection: Connection, corpus_id: str, slugs: Mapping[str, tuple[str | int, ...]]
) -> dict[str, str]:
    """Return the ids of types by slug; they outlive this transaction.

    Args:
        connection: of the transaction.
        corpus_id: whose types they are.
        slugs: each with the path of the field that names it.

    Raises:
        InvalidRequest: the corpus has no such type. The message tells of those with a like name.
    """
    found = _ids(connection, corpus_id, slugs, kept=True)
    for slug, attr in slugs.items():
        if slug not in found:
            raise unknown(connection, corpus_id, slug, *attr)
    return found


def wanted(connection: Connection, corpus_id: str, slug: str) -> str:
    """Return the id of the type that the filter `type` of a listing names.

    Raises:
        InvalidRequest: the corpus has no such type.
    """
    found = _ids(connection, corpus_id, [slug], kept=False)
    if slug not in found:
        raise unknown(connection, corpus_id, slug, "type")
    return found[slug]


def unknown(connection: Connection, corpus_id: str, slug: str, *attr: str | int) -> Exception:
    """Return the error for a field that names a type which the corpus has not."""
    present = [row.slug for row in of(connection, corpus_id)]
    near = get_close_matches(slug, present, n=_NEAR, cutoff=0.5)
    if near:
        hint = f"Did you mean {' or '.join(map(repr, near))}?"
    elif present:
        more = len(present) - _NEAR
        listed = ", ".join(map(repr, present[:_NEAR]))
        hint = f"It has {listed}{f' and {more} more' if more > 0 else ''}."
    else:
        hint = "It has none yet; make one first."
    message = f"{scope.place(attr)}: the corpus has no type {slug[:80]!r}. {hint}"
    return refusal(message, *attr, code="does_not_exist")


def _ids(
    connection: Connection, corpus_id: str, slugs: Collection[str], *, kept: bool
) -> dict[str, str]:
    query = select(corpus_types.c.slug, corpus_types.c.id).where(
        corpus_types.c.corpus_id == corpus_id, corpus_types.c.slug.in_(list(slugs))
    )
    if kept:
        query = query.with_for_update(read=True, key_share=True)
    return {row.slug: row.id for row in connection.execute(query)}


def _get(connection: Connection, organisation_id: str, type_id: str) -> Row[Any]:
    query = (
        select(corpus_types)
        .join(corpora, corpora.c.id == corpus_types.c.corpus_id)
        .where(
            corpus_types.c.id == scope.uuid_of(type_id),
            corpora.c.organisation_id == organisation_id,
            corpora.c.deletion_id.is_(None),
        )
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no element type {type_id[:80]}.")
    return row


def _checked_slug(slug: str) -> str:
    if not _SLUG.fullmatch(slug):
        raise refusal(
            f"slug: {slug[:80]!r} has other characters than letters from a to z, digits, - and _.",
            "slug",
        )
    return slug


def _taken(slug: str) -> Exception:
    message = f"The corpus has a type {slug!r} already."
    return refusal(message, "slug", code="unique", also={"non_field_errors": [message]})
