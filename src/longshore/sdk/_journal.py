"""The journal beside an output file: how far a map has come, so that it can be resumed.

It is replaced as a whole, and only after the outputs that it tells of are on the disk; only then
is the server told that it need not keep them. A program that dies at any moment leaves a journal
that is true: what the output has beyond it is cut off, and comes again.

There is no journal beside an output that is complete.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

import msgspec

from longshore.errors import Conflict, InvalidRequest
from longshore.sdk import _pipelines
from longshore.sdk._arrivals import records_of

_VERSION: Final = 1


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """How far a map into a file has come.

    Attributes:
        service: what computes the records.
        parameters: SHA-256 of the inputs that all records have in common.
        source: what the input file looked like; None where the input is no file.
        layout: format of the output and what is in it.
        pipeline_id: where the records are; empty before the first push.
        records: how many of the first records are in the output (or have failed).
        beyond: further ones that are, as (start, count).
        output_bytes: length of the output that is certain.
        errors_bytes: length of the file of errors that is certain.
        failed: how many records have failed.
        columns: of a CSV output, once they are known.
    """

    version: int = _VERSION
    service: str
    parameters: str
    source: str | None
    layout: str
    pipeline_id: str = ""
    records: int = 0
    beyond: list[tuple[int, int]] = []
    output_bytes: int = 0
    errors_bytes: int = 0
    failed: int = 0
    columns: list[str] | None = None

    def after(self, start: int, count: int, **changes: Any) -> Journal:
        """Return the journal for when these records are in the output too."""
        beyond = [*self.beyond, (start, count)]
        records = self.records
        if start == records:
            beyond.sort()
            while beyond and beyond[0][0] == records:
                records += beyond.pop(0)[1]
        return msgspec.structs.replace(self, records=records, beyond=beyond, **changes)

    @property
    def total(self) -> int:
        """How many records are in the output."""
        return self.records + sum(count for _, count in self.beyond)

    def check(self, other: Journal) -> None:
        """Check that a run with the journal `other` goes on with this one.

        Raises:
            Conflict: it has another service, input or layout.
        """
        for name, told in _TOLD.items():
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise Conflict(
                    f"The run cannot be resumed: {told} not what it was. Run it as before, or "
                    "begin anew by removing the output and its journal.",
                    details={"was": mine, "is": theirs},
                )


_TOLD: Final = {
    "version": "the form of the journal is",
    "service": "the service is",
    "parameters": "the parameters are",
    "source": "the input file is",
    "layout": "the layout of the output is",
}


def digest(parameters: Mapping[str, Any] | None) -> str:
    """Return the checksum of parameters."""
    return hashlib.sha256(_pipelines.encode(parameters or {})).hexdigest()


def read(path: Path) -> Journal | None:
    """Return the journal; None where there is none.

    Raises:
        InvalidRequest: the file is something else.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(text, type=Journal)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"{path} is not the journal of a map: {error}. Name another one, or remove it to "
            "begin anew."
        ) from error


def write(path: Path, journal: Journal) -> None:
    """Replace the journal, on the disk."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(journal))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path)


def remove(path: Path) -> None:
    """Remove the journal of an output that is complete."""
    path.unlink(missing_ok=True)
    sync_directory(path)


def sync_directory(path: Path) -> None:
    """Let the disk know that a file was made, renamed or removed."""
    descriptor = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Step(Enum):
    """What a resumed run does with records that an earlier one had on their way."""

    SKIP = "skip"
    """They are in the output."""
    AWAIT = "await"
    """The server has them."""
    PUSH = "push"
    """They are to be pushed again, to another pipeline."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A step with so many records; `digest` is that of the chunk on the server."""

    step: Step
    records: int
    digest: str = ""
    delivered: bool = False


class KnownChunk(msgspec.Struct, frozen=True):
    """A chunk on the server, of GET /batch/{id}/chunks."""

    id: str
    records: int
    digest: str
    state: str


class KnownChunks(msgspec.Struct, frozen=True):
    """A page of them."""

    chunks: list[KnownChunk]
    next: str | None = None


def plan_with(journal: Journal, known: Sequence[KnownChunk]) -> list[Planned] | None:
    """Return how to go on with the pipeline that there is; None where it cannot be gone on with."""
    beyond = dict(journal.beyond)
    at = journal.records
    steps = []
    chunks = {place[0]: (place[1], one) for one in known if (place := records_of(one.id))}
    while at in chunks or at in beyond:
        if at in beyond:
            steps.append(Planned(Step.SKIP, beyond[at]))
            at += beyond[at]
            continue
        count, chunk = chunks[at]
        if chunk.state == "erased":
            # Delivered too long ago to be had again.
            return None
        delivered = chunk.state == "delivered"
        steps.append(Planned(Step.AWAIT, count, chunk.digest, delivered))
        at += count
    return steps if at >= max((start for start, _ in journal.beyond), default=0) else None


def plan_anew(journal: Journal) -> list[Planned]:
    """Return how to go on with another pipeline."""
    at = journal.records
    steps = []
    for start, count in sorted(journal.beyond):
        if start > at:
            steps.append(Planned(Step.PUSH, start - at))
        steps.append(Planned(Step.SKIP, count))
        at = start + count
    return steps
