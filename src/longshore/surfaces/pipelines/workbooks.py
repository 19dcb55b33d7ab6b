"""Services that are workbooks: an uploaded .xlsx file, whose named cells are inputs and outputs.

The file is a blob that belongs to the version: it is stored in the transaction that makes the
version, and goes with it (see `metadata.remove`). The check runs before, in a process of its own.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Connection

from longshore import limits, workbooks
from longshore.edge.files import StoredFile, Stores
from longshore.engine import artifacts
from longshore.errors import Conflict, InvalidRequest, Unavailable
from longshore.surfaces.pipelines import metadata, naming, services
from longshore.surfaces.pipelines.naming import Address
from longshore.surfaces.pipelines.services import Version
from longshore.wire.payloads import WorkbookFile
from longshore.wire.pipelines import VersionDetails
from longshore.wire.worker import InputField

if TYPE_CHECKING:
    from longshore.workbooks.checking import Checked

FIRST_VERSION: Final = "1.0.0"
_CHECKS: Final = threading.BoundedSemaphore(2)
"""So many workbooks are checked at once; each may take a process and much memory."""


@dataclass(frozen=True, slots=True)
class NewWorkbook:
    """What is asked for.

    Attributes:
        service: folder and name.
        version: None for the next one.
    """

    service: str
    version: str | None
    inputs: list[str]
    outputs: list[str]


@dataclass(frozen=True, slots=True)
class Added:
    """A version that is a workbook.

    Attributes:
        made: whether the request made it; otherwise it was there with the same content.
        example: its outputs for the values in the workbook.
    """

    version: Version
    made: bool
    example: dict[str, Any]


def asked(
    name: str, version: str | None, inputs: Sequence[str], outputs: Sequence[str]
) -> NewWorkbook:
    """Return what a request asks for; names of cells may also have commas in between.

    Raises:
        InvalidRequest: a name or the version cannot be one.
        Unavailable: workbooks cannot be checked here, because the libraries are not installed.
    """
    if not workbooks.installed():
        raise Unavailable(
            "This server cannot check workbooks, because the libraries for it are not installed. "
            f"Install them beside the server with {workbooks.EXTRA_HINT} and start it again."
        )
    folder, service = naming.checked_service(name)
    return NewWorkbook(
        f"{folder}/{service}",
        None if version is None else naming.checked_version(version),
        _names(inputs),
        _names(outputs),
    )


async def fetch(stores: Stores, stored: StoredFile, directory: Path) -> Path:
    """Copy an uploaded file out of the blob store, so that the libraries can open it."""
    path = directory / "workbook.xlsx"
    with path.open("wb") as file:
        chunks = stores.blobs.get(
            stored.blob_id, sha256=stored.sha256, size_bytes=stored.size_bytes
        )
        async for chunk in chunks:
            file.write(chunk)
    return path


def examine(path: Path, wanted: NewWorkbook) -> Checked:
    """Check a workbook, in a process of its own.

    Raises:
        InvalidRequest, TooLarge: it cannot be this service; the message says why.
        Unavailable: other workbooks are being checked.
    """
    # Loaded only here, because its libraries are an extra.
    examining = import_module("longshore.workbooks.examining")
    with _one_of_few():
        checked: Checked = examining.examine(path, wanted.inputs, wanted.outputs)
    return checked


def add(
    connection: Connection,
    organisation_id: str,
    wanted: NewWorkbook,
    stored: StoredFile,
    checked: Checked,
) -> Added:
    """Make a version of a service from a workbook that was checked.

    The same workbook with the same inputs and outputs again gives the version that there is.

    Raises:
        Conflict: the version is there with other content.
        InvalidRequest: the version is there and is no workbook.
    """
    details = VersionDetails(
        inputs=[msgspec.convert(msgspec.to_builtins(each), InputField) for each in checked.inputs],
        outputs=checked.outputs,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
    )
    folder, _, name = wanted.service.partition("/")
    known = services.versions(connection, organisation_id, Address(folder=folder, name=name))
    number = wanted.version or _next(known, details)
    for each in known:
        if each.version == number and each.kind == services.WORKBOOK:
            if each.details != details:
                raise Conflict(
                    f"{each.uri} is there with another workbook, or with other inputs or outputs. "
                    "Give the new one another version, or remove the one there is.",
                    details={"version_id": each.id},
                )
            artifacts.condemn(connection, [stored.blob_id])
            return Added(each, False, checked.example)
    artifacts.store(connection, stored.blob_id, size_bytes=stored.size_bytes, sha256=stored.sha256)
    version = services.enter(
        connection,
        organisation_id,
        service=wanted.service,
        version=number,
        kind=services.WORKBOOK,
        details=details,
        blob_id=stored.blob_id,
    )
    return Added(version, True, checked.example)


def file_of(version: Version) -> WorkbookFile | None:
    """Return what a worker must know of a version's workbook; None where it is not one."""
    details = version.details
    if version.blob_id is None or details.sha256 is None or details.size_bytes is None:
        return None
    return WorkbookFile(
        blob_id=version.blob_id,
        size_bytes=details.size_bytes,
        sha256=details.sha256,
        inputs=[each.name for each in details.inputs or ()],
        outputs=list(details.outputs or ()),
    )


def shown(connection: Connection, added: Added) -> dict[str, Any]:
    """Return a version as the listing of services has it, and what it computes of itself."""
    return {
        **metadata.shown(connection, added.version),
        "service": added.version.service,
        "made": added.made,
        "example": added.example,
    }


def _next(known: Sequence[Version], details: VersionDetails) -> str:
    """Return the version to make: the latest, where it is this very workbook, or one higher."""
    if not known:
        return FIRST_VERSION
    latest = known[0]
    if latest.details == details:
        return latest.version
    head, dot, last = latest.version.rpartition(".")
    if not last.isdecimal():
        raise InvalidRequest(
            f"The latest version is {latest.version}, and it cannot be seen which one comes next. "
            "Name the version, such as 2.0.0."
        )
    return f"{head}{dot}{int(last) + 1}"


def _names(values: Sequence[str]) -> list[str]:
    names = [name.strip() for value in values for name in value.split(",")]
    for name in names:
        if len(name) > limits.NAME_CHARACTERS:
            raise InvalidRequest(
                f"The name {name[:80]!r} has {len(name)} characters and may have "
                f"{limits.NAME_CHARACTERS}."
            )
    return [name for name in names if name]


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _CHECKS.acquire(blocking=False):
        raise Unavailable("Other workbooks are being checked just now. Try again in some seconds.")
    try:
        yield
    finally:
        _CHECKS.release()


def directory() -> tempfile.TemporaryDirectory[str]:
    """Return a directory for one check."""
    return tempfile.TemporaryDirectory(prefix="longshore-workbook-")
