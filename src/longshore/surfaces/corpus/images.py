"""Images of corpora: files of our own, or those of an image service elsewhere.

An image is read without a key, since the programs that read it send none. So its address holds a
secret that cannot be guessed, and is told only to those who may read the corpus.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from longshore import ids
from longshore.clock import to_us
from longshore.edge.files import StoredFile
from longshore.engine import artifacts
from longshore.errors import NotFound
from longshore.storage import now_us
from longshore.surfaces.corpus import scope
from longshore.surfaces.corpus.tables import corpus_elements, corpus_images

if TYPE_CHECKING:
    from longshore.surfaces.corpus.pixels import Picture

UNUSED_S: Final = 7 * 24 * 3600.0
"""How long an image without elements is kept, in seconds; an import may take days."""
_SECRET_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Image:
    """An image of an organisation.

    Attributes:
        blob_id: its bytes, or None for one of another service.
        external_url: its address at that service.
        secret: what its address with us holds.
        format: the ending of such a file.
        width: in pixels, upright.
        height: likewise.
        details: what else is known: `version`, `max_width` and `max_height` of the other service,
            `plain` for a file that can be sent as it is.
    """

    id: str
    organisation_id: str
    blob_id: str | None
    external_url: str | None
    secret: str
    name: str
    format: str
    width: int
    height: int
    size_bytes: int | None
    sha256: str | None
    details: dict[str, Any]

    def address(self, site: str) -> str:
        """Return where it is served.

        Args:
            site: scheme and host of this server, without a slash at the end.
        """
        return self.external_url or f"{site}/iiif/2/{self.id}.{self.secret}"

    def shown(self, site: str) -> dict[str, Any]:
        """Return what is told of it."""
        return {
            "id": self.id,
            "name": self.name,
            "path": self.name,
            "url": self.address(site),
            "s3_url": None,
            "width": self.width,
            "height": self.height,
            "mode": self.format,
            "status": "checked",
            "size": self.size_bytes,
            "sha256": self.sha256,
            "server": {
                "display_name": "external" if self.external_url else "Longshore",
                "url": self.address(site).rpartition("/")[0],
                "version": self.details.get("version", 2),
                "max_width": self.details.get("max_width"),
                "max_height": self.details.get("max_height"),
            },
        }

    def zone(self, site: str, polygon: Sequence[Sequence[float]], element_id: str) -> Any:
        """Return what is told of an element's place on it.

        The address of the zone gives the upright rectangle around the polygon.
        """
        xs, ys = [int(x) for x, _ in polygon], [int(y) for _, y in polygon]
        left, top = max(min(xs), 0), max(min(ys), 0)
        region = f"{left},{top},{max(max(xs) - left, 1)},{max(max(ys) - top, 1)}"
        size = "max" if self.details.get("version") == 3 else "full"
        return {
            "id": element_id,
            "polygon": polygon,
            "url": f"{self.address(site)}/{region}/{size}/0/default.jpg",
            "image": self.shown(site),
        }


_COLUMNS: Final = [corpus_images.c[name] for name in Image.__dataclass_fields__]


def of(connection: Connection, image_ids: Collection[str]) -> dict[str, Image]:
    """Return images by id, whose ever they are: for rows that were checked before."""
    rows = connection.execute(select(*_COLUMNS).where(corpus_images.c.id.in_(set(image_ids))))
    return {row.id: _image(row) for row in rows}


def get(connection: Connection, organisation_id: str, image_id: str) -> Image:
    """Return an image of the organisation; NotFound if there is none."""
    found = _find(connection, organisation_id, corpus_images.c.id == scope.uuid_of(image_id))
    if found is None:
        raise NotFound(f"There is no image {image_id[:80]}.")
    return found


def named(connection: Connection, organisation_id: str, image_id: str, *attr: str | int) -> Image:
    """Return the image that a field of a body names, which outlives this transaction.

    Raises:
        InvalidRequest: there is none.
    """
    chosen = corpus_images.c.id == scope.uuid_of(image_id)
    found = _find(connection, organisation_id, chosen, kept=True)
    if found is None:
        raise scope.unknown("image", image_id, *(attr or ("image",)))
    return found


def by_key(connection: Connection, key: str) -> Image:
    """Return the image of an address: `key` is its id and its secret with a dot in between.

    Raises:
        NotFound: there is none, or the secret is another one. The words are the same.
    """
    image_id, _, secret = key.partition(".")
    given = scope.uuid_of(image_id)
    row = None
    if given is not None:
        row = connection.execute(
            select(*_COLUMNS).where(
                corpus_images.c.id == given, corpus_images.c.blob_id.is_not(None)
            )
        ).one_or_none()
    if row is None or not hmac.compare_digest(row.secret.encode(), secret.encode()):
        raise NotFound(
            "There is no image at this address. Take the address from an element, or from the "
            "image; its id alone is not enough."
        )
    return _image(row)


def reuse(
    connection: Connection,
    organisation_id: str,
    *,
    sha256: str | None = None,
    external_url: str | None = None,
) -> Image | None:
    """Return the organisation's image with these bytes or at this address elsewhere, or None.

    It counts as new again, so that it is kept until elements are made on it.
    """
    if sha256 is not None:
        chosen = corpus_images.c.sha256 == sha256
    else:
        chosen = corpus_images.c.external_url == external_url
    connection.execute(
        update(corpus_images)
        .where(corpus_images.c.organisation_id == organisation_id, chosen)
        .values(created_us=now_us(connection))
    )
    return _find(connection, organisation_id, chosen)


def create(
    connection: Connection, organisation_id: str, name: str, picture: Picture, stored: StoredFile
) -> Image:
    """Make an image of bytes that were received; the same bytes are one image.

    Raises:
        Conflict: the bytes lay unused for too long and were given up.
    """
    artifacts.store(connection, stored.blob_id, size_bytes=stored.size_bytes, sha256=stored.sha256)
    made = Image(
        ids.uuid(), organisation_id, stored.blob_id, None, secrets.token_urlsafe(_SECRET_BYTES),
        name, picture.format, picture.width, picture.height, stored.size_bytes, stored.sha256,
        {"plain": True} if picture.plain else {},
    )  # fmt: skip
    kept = _insert(connection, made, corpus_images.c.sha256 == stored.sha256)
    if kept.blob_id != stored.blob_id:
        artifacts.discard(connection, [stored.blob_id])
    return kept


def create_external(
    connection: Connection,
    organisation_id: str,
    url: str,
    size: tuple[int, int],
    details: dict[str, Any],
) -> Image:
    """Make an image of an address elsewhere; the same address is one image."""
    name = url.rpartition("/")[2]
    made = Image(
        ids.uuid(), organisation_id, None, url, secrets.token_urlsafe(_SECRET_BYTES), name, "",
        *size, None, None, details,
    )  # fmt: skip
    return _insert(connection, made, corpus_images.c.external_url == url)


def forget_unused(connection: Connection, after: str, *, looked_at: int = 1_000) -> tuple[str, int]:
    """Delete images that no element has and that nobody brought for `UNUSED_S`; a bounded step.

    Args:
        connection: of the transaction.
        after: id of the image after which to look, in the order of ids; "" for the first.
        looked_at: how many images are looked at.

    Returns:
        Where the next step goes on, "" for the beginning, and how many were deleted.
    """
    old_us = now_us(connection) - to_us(UNUSED_S)
    columns = corpus_images.c
    rows = connection.execute(
        select(columns.id, columns.created_us)
        .where(columns.id > after)
        .order_by(columns.id)
        .limit(looked_at)
    ).all()
    old = [row.id for row in rows if row.created_us < old_us]
    # Whoever makes an element on one of them holds it, and it is passed over.
    query = select(columns.id).where(columns.id.in_(old)).with_for_update(skip_locked=True)
    held = connection.execute(query).scalars().all()
    unused = ~exists().where(corpus_elements.c.image_id == columns.id)
    gone = (
        connection.execute(
            delete(corpus_images)
            .where(columns.id.in_(held), columns.created_us < old_us, unused)
            .returning(columns.blob_id)
        )
        .scalars()
        .all()
    )
    artifacts.discard(connection, [blob_id for blob_id in gone if blob_id is not None])
    return rows[-1].id if len(rows) == looked_at else "", len(gone)


def _insert(connection: Connection, made: Image, same: ColumnElement[bool]) -> Image:
    values = {name: getattr(made, name) for name in Image.__dataclass_fields__}
    values |= {"details": json.dumps(made.details), "created_us": now_us(connection)}
    try:
        with connection.begin_nested():
            connection.execute(insert(corpus_images).values(**values))
    except IntegrityError:
        # Another request brought the same one.
        kept = _find(connection, made.organisation_id, same, kept=True)
        if kept is None:
            raise
        return kept
    return made


def _find(
    connection: Connection,
    organisation_id: str,
    chosen: ColumnElement[bool],
    *,
    kept: bool = False,
) -> Image | None:
    query = select(*_COLUMNS).where(corpus_images.c.organisation_id == organisation_id, chosen)
    if kept:
        query = query.with_for_update(read=True, key_share=True)
    row = connection.execute(query).one_or_none()
    return None if row is None else _image(row)


def _image(row: Row[Any]) -> Image:
    return Image(**{**row._asdict(), "details": json.loads(row.details or "{}")})
