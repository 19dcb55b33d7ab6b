"""Processes: workers that are run over elements of a corpus, or over sets of datasets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, select

from longshore.clock import iso
from longshore.errors import NotFound
from longshore.surfaces.corpus.scope import uuid_of
from longshore.surfaces.corpus.states import Mode
from longshore.surfaces.corpus.tables import corpus_processes


class Selection(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which elements a process is for; all of the corpus that meet each of these.

    Attributes:
        type: slug of their type.
        parent: an element that they are below, at any depth.
        ids: these, in this order.
    """

    type: str | None = None
    parent: str | None = None
    ids: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it is stored.

    Attributes:
        activity: whether each of its elements has an activity for each of its runs.
        queued: whether its tasks ask for the next element, in place of being given a list.
        elements: how many it was started with.
    """

    id: str
    organisation_id: str
    corpus_id: str | None
    name: str
    mode: Mode
    creator: str
    chunks: int
    activity: bool
    queued: bool
    use_cache: bool
    activity_timeout_s: float
    selection: Selection
    elements: int | None
    created_us: int
    started_us: int | None
    stopped_us: int | None

    @property
    def activity_state(self) -> str:
        """Whether its workers are to say what they do with each element (protocol: "ready")."""
        if not self.activity:
            return "disabled"
        return "pending" if self.started_us is None else "ready"


_COLUMNS: Final = [corpus_processes.c[name] for name in Process.__dataclass_fields__]


def get(
    connection: Connection, organisation_id: str, process_id: str, *, alone: bool = False
) -> Process:
    """Return a process; with `alone`, others that ask so wait for the end of this transaction.

    Raises:
        NotFound: the organisation has none of that id.
    """
    given = uuid_of(process_id)
    row = None
    if given is not None:
        query: Select[Any] = select(*_COLUMNS).where(
            corpus_processes.c.id == given, corpus_processes.c.organisation_id == organisation_id
        )
        row = connection.execute(query.with_for_update() if alone else query).one_or_none()
    if row is None:
        raise NotFound(f"There is no process {process_id[:80]}.")
    return of_row(row)


def selection() -> Select[Any]:
    """Return the query for processes; see `of_row`."""
    return select(*_COLUMNS)


def of_row(row: Row[Any]) -> Process:
    """Return a process from its row."""
    made = msgspec.json.decode(row.selection, type=Selection)
    return Process(**{**row._asdict(), "mode": Mode(row.mode), "selection": made})


def outline(process: Process) -> dict[str, Any]:
    """Return what workers are told of their process.

    `skip_elements_json` is there in any case: the published 0.6.0 takes a missing one for true.
    """
    return {
        "id": process.id,
        "name": process.name,
        "mode": process.mode.value,
        "corpus": process.corpus_id,
        "activity_state": process.activity_state,
        "skip_elements_json": process.queued,
        "chunks": process.chunks,
        "use_cache": process.use_cache,
        "use_gpu": False,
        "creator": process.creator,
        "created": iso(process.created_us),
        "started": iso(process.started_us),
    }
