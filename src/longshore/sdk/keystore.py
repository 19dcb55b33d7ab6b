"""Frozen records of the keystore: entries without their values, and what seals them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from longshore.sdk.records import Record


class KeystoreVersion(Record):
    """When a version of an entry of the keystore was set, and by which key."""

    version: int
    created_at: datetime = Field(validation_alias="created")
    created_by: str


class KeystoreEntry(Record):
    """An entry of the keystore without its value.

    Attributes:
        name: what programs ask for it by.
        scope: who it is for: "organisation" (steps), "workflow", "corpus" or "apps".
        workflow: the workflow whose steps may read it, in small letters.
        version: of its value, from 1.
        ingress: whether keys of the role ingress may read it.
        versions: those that are kept, newest first; None in listings.
    """

    name: str
    scope: str
    workflow: str | None = None
    version: int
    ingress: bool
    description: str = ""
    created_at: datetime = Field(validation_alias="created")
    created_by: str
    updated_at: datetime = Field(validation_alias="updated")
    updated_by: str
    versions: tuple[KeystoreVersion, ...] | None = None


class DataKey(Record):
    """A data key of an organisation.

    Attributes:
        master: mark of the master key that wraps it.
        retired_at: since when it seals nothing new; it goes when its last value was sealed anew.
        values: how many values are sealed with it.
    """

    number: int
    master: str
    created_at: datetime = Field(validation_alias="created")
    retired_at: datetime | None = Field(default=None, validation_alias="retired")
    values: int


class KeystoreKeys(Record):
    """What the values of an organisation are sealed with.

    Attributes:
        masters: marks of the master keys that the server has; the first one seals.
        data_keys: newest first.
    """

    masters: tuple[str, ...]
    data_keys: tuple[DataKey, ...]


class KeystoreRotation(Record):
    """What a change of a key has begun or done.

    Attributes:
        data_key: number of the new data key.
        job_id: the job that seals all values with it.
        master: mark of the master key that wraps all data keys now.
        data_keys: how many it has wrapped.
    """

    data_key: int | None = None
    job_id: str | None = None
    master: str | None = None
    data_keys: int | None = None
