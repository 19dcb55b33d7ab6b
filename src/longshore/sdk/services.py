"""Frozen records of services and their versions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from longshore.errors import InvalidRequest
from longshore.sdk.records import Record


class ServiceInput(Record):
    """One input of a service.

    Attributes:
        kind: `number`, `integer`, `text`, `boolean`, `date`, `datetime`, `time`, `list`, `object`
            or `any`.
        required: whether each record must have it.
        default: its value where a record does not have it.
    """

    name: str
    kind: str = "any"
    required: bool = True
    default: Any = None


class ServiceVersion(Record):
    """A version of a service.

    Attributes:
        id: the version's id.
        uri: how requests name it, such as "folder/name[1.0.0]".
        kind: `python`, or `workbook`.
        workers: how many live workers serve it.
        inputs: None where the service takes whatever a record has.
        outputs: None where it does not say.
        subservices: named groups of outputs.
    """

    id: str
    uri: str
    version: str | None = None
    kind: str
    workers: int = 0
    active_since: datetime | None = None
    created_at: datetime | None = Field(default=None, validation_alias="created")
    description: str = ""
    batch: bool = False
    timeout_s: float | None = None
    inputs: tuple[ServiceInput, ...] | None = None
    outputs: tuple[str, ...] | None = None
    subservices: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Service(Record):
    """A service with its versions, the highest first."""

    id: str
    name: str
    versions: tuple[ServiceVersion, ...] = ()


class AddedWorkbook(ServiceVersion):
    """A version that is a workbook, as it was added.

    Attributes:
        service: folder and name.
        made: False where the same workbook was there before.
        example: outputs for the values in the workbook, without those that are errors there.
    """

    service: str
    made: bool
    example: dict[str, Any] = Field(default_factory=dict)


class ServicePage(Record):
    """The services."""

    services: tuple[Service, ...] = ()


def deleted_uri(answer: Any) -> str:
    """Return what the server says was deleted."""
    return str(answer.get("uri", "")) if isinstance(answer, dict) else ""


def execution_body(uri: str, records: Sequence[Any]) -> bytes:
    """Return the body of a request that computes records.

    Raises:
        InvalidRequest: a value cannot be written as JSON.
    """
    try:
        return json.dumps({"service": uri, "inputs": records}, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidRequest(
            f"The record cannot be written as JSON: {error}. Send numbers that are finite, text, "
            "true, false and null, and lists and objects of these."
        ) from error
