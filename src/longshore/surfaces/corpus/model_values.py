"""What is said of a version of a model, checked."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, select

from longshore import limits
from longshore.surfaces.corpus import models
from longshore.surfaces.corpus.models import Model
from longshore.surfaces.corpus.scope import refusal, unknown, uuid_of
from longshore.surfaces.corpus.tables import corpus_model_versions, corpus_models

TAG_CHARACTERS: Final = 50
TAG_TAKEN: Final = "A version for this model with this tag already exists."
"""The words by which the client 0.6.0 knows that it is to try again without the tag."""
_MD5: Final = re.compile(r"[0-9a-fA-F]{32}")


class NewVersion(msgspec.Struct, frozen=True):
    """What a version is made with, or is to be changed to; what is left out stays.

    Attributes:
        parent: id of the version that it was trained from.
        size: of the archive, in bytes.
        hash: MD5 of the content, in hexadecimal.
        archive_hash: MD5 of the archive, in hexadecimal.
        state: `available` once its archive is there.
    """

    tag: str | UnsetType | None = UNSET
    description: str | UnsetType = UNSET
    configuration: dict[str, Any] | UnsetType = UNSET
    parent: str | UnsetType | None = UNSET
    size: int | UnsetType = UNSET
    hash: str | UnsetType = UNSET
    archive_hash: str | UnsetType = UNSET
    state: str | UnsetType = UNSET


def values_of(
    connection: Connection, model: Model, new: NewVersion, version_id: str
) -> dict[str, Any]:
    """Return the columns that a body gives.

    Raises:
        InvalidRequest: a value cannot be one, or the tag is in use.
    """
    values = _of_archive(new)
    if not isinstance(new.tag, UnsetType):
        values["tag"] = _checked_tag(connection, model, new.tag, version_id)
    if isinstance(new.description, str):
        values["description"] = new.description
    if isinstance(new.configuration, dict):
        values["configuration"] = models.checked_configuration(new.configuration)
    if not isinstance(new.parent, UnsetType):
        values["parent_id"] = _checked_parent(connection, model, new.parent, version_id)
    return values


def _of_archive(new: NewVersion) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if isinstance(new.size, int):
        if not 0 < new.size <= limits.ARTIFACT_BYTES:
            raise refusal(
                f"size: it is {new.size}; an archive has 1 to {limits.ARTIFACT_BYTES} bytes.",
                "size",
            )
        values["size_bytes"] = new.size
    if isinstance(new.hash, str):
        values["content_hash"] = _checked_md5(new.hash, "hash")
    if isinstance(new.archive_hash, str):
        values["archive_hash"] = _checked_md5(new.archive_hash, "archive_hash")
    if isinstance(new.state, str):
        if new.state not in ("created", "available", "error"):
            raise refusal(f"state: {new.state[:80]!a} is none; send available or error.", "state")
        values["state"] = new.state
    return values


def _checked_tag(
    connection: Connection, model: Model, tag: str | None, version_id: str
) -> str | None:
    if tag is None:
        return None
    if not tag.strip() or len(tag) > TAG_CHARACTERS or not tag.isprintable():
        raise refusal(f"tag: give 1 to {TAG_CHARACTERS} printable characters, or null.", "tag")
    taken = select(corpus_model_versions.c.id).where(
        corpus_model_versions.c.model_id == model.id,
        corpus_model_versions.c.tag == tag,
        corpus_model_versions.c.id != version_id,
    )
    if connection.scalar(taken) is not None:
        raise refusal(TAG_TAKEN, code="unique", also={"non_field_errors": [TAG_TAKEN]})
    return tag


def _checked_parent(
    connection: Connection, model: Model, parent: str | None, version_id: str
) -> str | None:
    if parent is None:
        return None
    query = (
        select(corpus_model_versions.c.id)
        .join(corpus_models, corpus_models.c.id == corpus_model_versions.c.model_id)
        .where(
            corpus_model_versions.c.id == uuid_of(parent),
            corpus_models.c.organisation_id == model.organisation_id,
        )
    )
    found: str | None = connection.scalar(query)
    if found is None:
        raise unknown("version of a model", parent, "parent")
    if found == version_id:
        raise refusal("parent: a version is not its own parent.", "parent")
    return found


def _checked_md5(given: str, attr: str) -> str:
    if not _MD5.fullmatch(given):
        raise refusal(f"{attr}: give an MD5 as 32 hexadecimal digits.", attr)
    return given.lower()
