"""Archives of models that come in parts, as the client 0.6.0 sends them.

Each part is announced with its MD5 and gets an address; what comes there must have it. When all
have come they are put together, and the version of the model is available.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from longshore import ids, limits
from longshore.access import Principal
from longshore.clock import to_us
from longshore.edge.files import StoredFile
from longshore.engine import artifacts as blobs
from longshore.errors import InvalidRequest, NotFound
from longshore.storage import now_us
from longshore.storage.blobs import Blobs
from longshore.surfaces.corpus import links, model_versions, multipart_parts
from longshore.surfaces.corpus.links import Kind, Upload, digest_of
from longshore.surfaces.corpus.model_versions import Archive
from longshore.surfaces.corpus.multipart_parts import Part
from longshore.surfaces.corpus.scope import refusal, uuid_of
from longshore.surfaces.corpus.tables import corpus_upload_parts, corpus_uploads

OBJECT_TYPE: Final = "model_version"
_MD5_BYTES: Final = 16


class NewUpload(msgspec.Struct, frozen=True):
    """Bytes of an object that are to come in parts."""

    object_type: str
    object_id: str
    checksum_algorithm: str | None = None


class NewPart(msgspec.Struct, frozen=True):
    """A part that is to come; `md5_hash` is in base64."""

    object_type: str
    object_id: str
    upload_id: str
    part_number: int
    md5_hash: str
    checksum: str | None = None
    checksum_algorithm: str | None = None


class SentPart(msgspec.Struct, frozen=True):
    """A part that the client has sent, with the Etag that it was answered with."""

    part_number: int
    etag: str
    md5_hash: str | None = None
    checksum: str | None = None


class Completion(msgspec.Struct, frozen=True):
    """The parts that are to be put together."""

    object_type: str
    object_id: str
    upload_id: str
    parts: list[SentPart]
    checksum_algorithm: str | None = None


class Abortion(msgspec.Struct, frozen=True):
    """An upload that is to be given up."""

    object_type: str
    object_id: str
    upload_id: str


def create(connection: Connection, principal: Principal, new: NewUpload) -> str:
    """Let an archive come in parts; return the id of the upload.

    An upload of the same object that was under way is given up.

    Raises:
        InvalidRequest: there is no such version of a model, it is available already, or the
            checksum is one that is not known here.
    """
    if new.checksum_algorithm is not None:
        raise refusal(
            "checksum_algorithm: parts are checked by their MD5; send null.", "checksum_algorithm"
        )
    row = _version(connection, principal, new.object_type, new.object_id)
    if row.state != "created":
        raise refusal(f"Version {row.id} is {row.state}, so that it takes no archive.", "object_id")
    multipart_parts.forget(connection, row.id)
    return links.open_upload(connection, principal.organisation_id, Kind.MULTIPART, row.id)[0]


def announce(connection: Connection, principal: Principal, new: NewPart) -> str:
    """Let a part come; return the secret of its address. The same part again replaces it.

    Raises:
        NotFound: there is no such upload, or it is over.
        InvalidRequest: number or MD5 cannot be one.
    """
    if not 1 <= new.part_number <= limits.MODEL_PARTS:
        raise refusal(
            f"part_number: it is {new.part_number}; parts have the numbers 1 to "
            f"{limits.MODEL_PARTS}.",
            "part_number",
        )
    md5 = md5_of(new.md5_hash)
    upload = _under_way(connection, principal, new.object_id, new.upload_id)
    secret = ids.secret()
    held = connection.execute(
        delete(corpus_upload_parts)
        .where(
            corpus_upload_parts.c.upload_id == upload.id,
            corpus_upload_parts.c.part_number == new.part_number,
        )
        .returning(corpus_upload_parts.c.blob_id)
    ).scalar()
    if held is not None:
        blobs.discard(connection, [held])
    connection.execute(
        insert(corpus_upload_parts).values(
            upload_id=upload.id,
            part_number=new.part_number,
            digest=digest_of(secret),
            md5=md5,
        )
    )
    connection.execute(
        update(corpus_uploads)
        .where(corpus_uploads.c.id == upload.id)
        .values(expires_us=now_us(connection) + to_us(limits.UPLOAD_LINK_S))
    )
    return secret


def part_of(connection: Connection, secret: str) -> tuple[Upload, Part]:
    """Return the part that an address was made for, and its upload.

    Raises:
        NotFound: there is none, or the upload is over.
    """
    row = connection.execute(
        select(*multipart_parts.COLUMNS).where(corpus_upload_parts.c.digest == digest_of(secret))
    ).one_or_none()
    upload = None if row is None else links.under_way(connection, row.upload_id)
    if row is None or upload is None:
        raise NotFound(
            "Nothing can be sent to this address: its upload is over, or the part was announced "
            "anew. Ask for a new address."
        )
    return upload, Part(**row._asdict())


def arrive(connection: Connection, secret: str, stored: StoredFile, md5: str) -> None:
    """Keep the bytes of a part; the same bytes again are fine.

    Raises:
        NotFound: as for `part_of`.
        InvalidRequest: they have another MD5 than was announced.
        Conflict: they took too long.
    """
    upload, part = part_of(connection, secret)
    # Its lock puts parts and the end of an upload in order.
    links.under_way(connection, upload.id, alone=True)
    upload, part = part_of(connection, secret)
    if md5 != part.md5:
        raise InvalidRequest(
            f"Part {part.part_number} has the MD5 {md5} and was announced with {part.md5}. It was "
            "damaged on its way; send it again."
        )
    blobs.store(connection, stored.blob_id, size_bytes=stored.size_bytes, sha256=stored.sha256)
    if part.blob_id is not None:
        blobs.discard(connection, [part.blob_id])
    connection.execute(
        update(corpus_upload_parts)
        .where(
            corpus_upload_parts.c.upload_id == part.upload_id,
            corpus_upload_parts.c.part_number == part.part_number,
        )
        .values(blob_id=stored.blob_id, size_bytes=stored.size_bytes)
    )


def check(connection: Connection, principal: Principal, wanted: Completion) -> list[Part] | None:
    """Return the parts to be put together, in order; None where that was done before.

    Raises:
        NotFound: there is no such upload, or it was given up.
        InvalidRequest: parts are missing, or others than those that came.
    """
    if _is_done(connection, principal, wanted):
        return None
    upload = _under_way(connection, principal, wanted.object_id, wanted.upload_id, alone=False)
    parts = multipart_parts.of_upload(connection, upload.id)
    numbers = [part.part_number for part in wanted.parts]
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        raise refusal(
            f"parts: the numbers are {numbers[:10]}; name the parts from 1 in order, each once.",
            "parts",
        )
    if [part.part_number for part in parts] != numbers or None in [part.blob_id for part in parts]:
        came = [part.part_number for part in parts if part.blob_id is not None]
        raise refusal(
            f"parts: {len(came)} parts have come, and {len(numbers)} are named. Send those that "
            "are missing, then complete the upload again.",
            "parts",
        )
    for place, (sent, part) in enumerate(zip(wanted.parts, parts, strict=True)):
        if sent.etag.strip('"') != part.md5 or (
            sent.md5_hash is not None and md5_of(sent.md5_hash) != part.md5
        ):
            raise refusal(
                f"parts: part {part.part_number} is another one than came. Send it again.",
                "parts",
                place,
            )
    return parts


def complete(
    connection: Connection, principal: Principal, wanted: Completion, archive: Archive
) -> bool:
    """Make the version available with its archive; False where a repeat of this was quicker.

    Raises:
        NotFound: the upload was given up.
        InvalidRequest: the archive is another one than was announced, or parts changed.
    """
    # Whoever comes at the same instant waits here, and finds it done.
    links.under_way(connection, uuid_of(wanted.upload_id) or "", alone=True)
    if _is_done(connection, principal, wanted):
        return False
    upload = _under_way(connection, principal, wanted.object_id, wanted.upload_id)
    # Now that nobody else can change them: the same parts as were put together.
    check(connection, principal, wanted)
    model_versions.complete(connection, principal.organisation_id, upload.object_id, archive)
    links.finish(connection, upload.id)
    multipart_parts.drop(connection, [upload.id])
    return True


def abort(connection: Connection, principal: Principal, wanted: Abortion) -> None:
    """Give an upload up, with what came of it.

    Raises:
        NotFound: there is no such upload, or it is over.
    """
    upload = _under_way(connection, principal, wanted.object_id, wanted.upload_id)
    multipart_parts.drop(connection, [upload.id])
    connection.execute(delete(corpus_uploads).where(corpus_uploads.c.id == upload.id))


async def joined(store: Blobs, parts: Sequence[Part]) -> AsyncIterator[bytes]:
    """Give the bytes of parts, one after the other."""
    for part in parts:
        assert part.blob_id is not None
        async for chunk in store.get(part.blob_id, size_bytes=part.size_bytes):
            yield chunk


def _version(
    connection: Connection, principal: Principal, object_type: str, object_id: str
) -> Row[Any]:
    if object_type != OBJECT_TYPE:
        raise refusal(
            f"object_type: it is {object_type[:80]!a}; only {OBJECT_TYPE} comes in parts.",
            "object_type",
        )
    try:
        return model_versions.get(connection, principal.organisation_id, object_id, alone=True)
    except NotFound as error:
        raise refusal(f"object_id: {error.message}", "object_id", code="does_not_exist") from error


def _under_way(
    connection: Connection,
    principal: Principal,
    object_id: str,
    upload_id: str,
    *,
    alone: bool = True,
) -> Upload:
    given = uuid_of(upload_id)
    found = None if given is None else links.under_way(connection, given, alone=alone)
    if (
        found is None
        or found.organisation_id != principal.organisation_id
        or found.object_id != uuid_of(object_id)
    ):
        raise NotFound(
            f"There is no upload {upload_id[:80]} under way for this object. It may have been "
            "given up; create a new one."
        )
    return found


def _is_done(connection: Connection, principal: Principal, wanted: Completion) -> bool:
    given = uuid_of(wanted.upload_id)
    if given is None:
        return False
    done = select(corpus_uploads.c.id).where(
        corpus_uploads.c.id == given,
        corpus_uploads.c.organisation_id == principal.organisation_id,
        corpus_uploads.c.object_id == uuid_of(wanted.object_id),
        corpus_uploads.c.finished_us.is_not(None),
    )
    return connection.scalar(done) is not None


def md5_of(given: str) -> str:
    """Return an MD5 in base64 as hexadecimal digits.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        digest = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _MD5_BYTES:
        raise refusal("md5_hash: give the MD5 of the part in base64.", "md5_hash")
    return digest.hex()
