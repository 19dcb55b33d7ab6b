"""Workflows and the versions of their definitions: applied, found, read, listed, retired."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from longshore import ids
from longshore.errors import Conflict, CorruptData, NotFound
from longshore.storage import now_us
from longshore.surfaces.scripts import trigger_rows
from longshore.surfaces.scripts.belonging import problems_here
from longshore.surfaces.scripts.definition import model
from longshore.surfaces.scripts.definition.problems import Problem, refuse
from longshore.surfaces.scripts.definition.reading import Reading, examine
from longshore.surfaces.scripts.definition.suggesting import hint
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import scripts_versions, scripts_workflows

WORKFLOW: Final = "wf"
_KEPT: Final = 256
_kept: OrderedDict[tuple[str, int, str], model.Workflow] = OrderedDict()
_keeping = threading.Lock()


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow; `version` is the newest, which new runs are pinned to."""

    id: str
    organisation_id: str
    name: str
    folded: str
    version: int
    held_us: int | None
    held_by: str | None
    held_why: str | None
    retired_us: int | None
    created_us: int


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a definition; `text` is the file as it was given."""

    workflow_id: str
    version: int
    text: str
    sha256: str
    created_us: int
    created_by: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a file did: "created", "changed" (a new version), "revived" or "unchanged"."""

    workflow: Workflow
    change: str


def apply(
    connection: Connection,
    organisation_id: str,
    text: str,
    *,
    actor: str,
    reading: Reading | None = None,
) -> Applied:
    """Make a workflow of a file, or a new version of it if the file says something new.

    Runs that have started keep the version that they started with. `reading` is what
    `reading.examine` has found in the text, where it was read before the transaction began.

    Raises:
        InvalidRequest: the definition cannot be used; the details list all problems.
        Conflict: another workflow was given one of its event names at the same moment.
    """
    examined = examine(text) if reading is None else reading
    if examined.workflow is not None and examined.workflow.triggers.workflows:
        _lock_all(connection, organisation_id)
    examined = here(connection, organisation_id, examined)
    definition = examined.workflow
    if definition is None:
        raise refuse(examined.problems)
    found = _lock(connection, organisation_id, definition.workflow)
    if found is None:
        workflow = _create(connection, organisation_id, definition, text, actor=actor)
        return Applied(workflow, "created")
    same = document(connection, found.id, found.version) == definition
    version = found.version if same else found.version + 1
    if same:
        # Comments and layout are nothing that a run could be pinned to.
        connection.execute(
            update(scripts_versions)
            .where(
                scripts_versions.c.workflow_id == found.id, scripts_versions.c.version == version
            )
            .values(text=text, sha256=_sha256(text))
        )
    else:
        _insert_version(connection, found.id, version, definition, text, actor=actor)
    connection.execute(
        update(scripts_workflows)
        .where(scripts_workflows.c.id == found.id)
        .values(version=version, name=definition.workflow, retired_us=None)
    )
    if not same or found.retired_us is not None:
        _write_triggers(connection, organisation_id, found.id, definition)
    change = "unchanged" if same else "changed"
    if found.retired_us is not None:
        change = "revived"
    return Applied(get(connection, organisation_id, definition.workflow), change)


def here(connection: Connection, organisation_id: str, reading: Reading) -> Reading:
    """Look for hosts, events and workflows of the organisation that a definition names."""
    if reading.workflow is None:
        return reading
    found: list[Problem] = [
        reading.lines.problem(path, message)
        for path, message in problems_here(connection, organisation_id, reading.workflow)
    ]
    return Reading(None, sorted(found), reading.lines) if found else reading


def get(connection: Connection, organisation_id: str, name: str) -> Workflow:
    """Return a workflow by name, whatever its case; NotFound if it is not there, or retired."""
    found = find(connection, organisation_id, name)
    if found is None:
        known = [each.name for each in listing(connection, organisation_id)]
        suggestion = hint(name, known, otherwise="; apply a file with `longshore workflow apply`.")
        raise NotFound(f"There is no workflow {name[:80]!r}{suggestion}")
    return found


def find(
    connection: Connection, organisation_id: str, name: str, *, retired: bool = False
) -> Workflow | None:
    """Return a workflow by name, whatever its case, or None; retired ones only where asked for."""
    row = connection.execute(
        select(scripts_workflows).where(
            scripts_workflows.c.organisation_id == organisation_id,
            scripts_workflows.c.folded == fold(name),
        )
    ).one_or_none()
    if row is None or (row.retired_us is not None and not retired):
        return None
    return _workflow(row)


def listing(
    connection: Connection, organisation_id: str, *, retired: bool = False
) -> list[Workflow]:
    """Return the organisation's workflows by name."""
    query = select(scripts_workflows).where(scripts_workflows.c.organisation_id == organisation_id)
    if not retired:
        query = query.where(scripts_workflows.c.retired_us.is_(None))
    return [
        _workflow(row) for row in connection.execute(query.order_by(scripts_workflows.c.folded))
    ]


def version_of(connection: Connection, workflow: Workflow, version: int | None = None) -> Version:
    """Return a version of a workflow, the newest unless given; NotFound if it has none such."""
    wanted = workflow.version if version is None else version
    if not 1 <= wanted <= workflow.version:
        raise NotFound(
            f"The workflow {workflow.name} has no version {wanted}. It has 1 to {workflow.version}."
        )
    row = connection.execute(
        select(*_VERSION).where(
            scripts_versions.c.workflow_id == workflow.id, scripts_versions.c.version == wanted
        )
    ).one()
    return Version(**row._asdict())


def versions(connection: Connection, workflow: Workflow) -> list[Version]:
    """Return all versions of a workflow, the newest first."""
    rows = connection.execute(
        select(*_VERSION)
        .where(scripts_versions.c.workflow_id == workflow.id)
        .order_by(scripts_versions.c.version.desc())
    )
    return [Version(**row._asdict()) for row in rows]


def document(connection: Connection, workflow_id: str, version: int) -> model.Workflow:
    """Return the definition that a run is pinned to.

    Raises:
        CorruptData: it is not there, though versions are never removed.
    """
    # The checksum is part of the key: an apply that is rolled back leaves a number to be used again.
    checked = connection.execute(
        select(scripts_versions.c.sha256).where(
            scripts_versions.c.workflow_id == workflow_id, scripts_versions.c.version == version
        )
    ).scalar_one_or_none()
    if checked is None:
        raise CorruptData(f"Version {version} of workflow {workflow_id} is missing.")
    key = (workflow_id, version, str(checked))
    with _keeping:
        kept = _kept.get(key)
        if kept is not None:
            _kept.move_to_end(key)
            return kept
    text = connection.execute(
        select(scripts_versions.c.document).where(
            scripts_versions.c.workflow_id == workflow_id, scripts_versions.c.version == version
        )
    ).scalar_one()
    made = msgspec.json.decode(text, type=model.Workflow)
    with _keeping:
        _kept[key] = made
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)
    return made


def retire(connection: Connection, organisation_id: str, name: str) -> Workflow:
    """Let nothing start a workflow any more; its runs go on, and to apply its file revives it."""
    workflow = get(connection, organisation_id, name)
    connection.execute(
        update(scripts_workflows)
        .where(scripts_workflows.c.id == workflow.id)
        .values(retired_us=now_us(connection))
    )
    trigger_rows.remove(connection, workflow.id)
    found = find(connection, organisation_id, name, retired=True)
    assert found is not None
    return found


def _lock(connection: Connection, organisation_id: str, name: str) -> Workflow | None:
    """Return the workflow, retired or not, so that no other transaction changes it meanwhile."""
    query = select(scripts_workflows).where(
        scripts_workflows.c.organisation_id == organisation_id,
        scripts_workflows.c.folded == fold(name),
    )
    if connection.dialect.name == "postgresql":
        query = query.with_for_update()
    row = connection.execute(query).one_or_none()
    return None if row is None else _workflow(row)


def _lock_all(connection: Connection, organisation_id: str) -> None:
    """Let no two transactions make workflows follow each other in a circle, half each."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            select(scripts_workflows.c.id)
            .where(scripts_workflows.c.organisation_id == organisation_id)
            .order_by(scripts_workflows.c.id)
            .with_for_update()
        )


def _create(
    connection: Connection,
    organisation_id: str,
    definition: model.Workflow,
    text: str,
    *,
    actor: str,
) -> Workflow:
    workflow_id = ids.new(WORKFLOW)
    try:
        with connection.begin_nested():
            connection.execute(
                insert(scripts_workflows).values(
                    id=workflow_id,
                    organisation_id=organisation_id,
                    name=definition.workflow,
                    folded=fold(definition.workflow),
                    version=1,
                    created_us=now_us(connection),
                )
            )
    except IntegrityError as error:
        raise Conflict(
            f"The workflow {definition.workflow} was made at this moment by someone else. Look at "
            "it with `longshore workflow show`, then apply yours again if it is still wanted."
        ) from error
    _insert_version(connection, workflow_id, 1, definition, text, actor=actor)
    _write_triggers(connection, organisation_id, workflow_id, definition)
    return get(connection, organisation_id, definition.workflow)


def _insert_version(
    connection: Connection,
    workflow_id: str,
    version: int,
    definition: model.Workflow,
    text: str,
    *,
    actor: str,
) -> None:
    connection.execute(
        insert(scripts_versions).values(
            workflow_id=workflow_id,
            version=version,
            text=text,
            document=msgspec.json.encode(definition).decode(),
            sha256=_sha256(text),
            created_us=now_us(connection),
            created_by=actor,
        )
    )


def _write_triggers(
    connection: Connection, organisation_id: str, workflow_id: str, definition: model.Workflow
) -> None:
    try:
        with connection.begin_nested():
            trigger_rows.write(connection, organisation_id, workflow_id, definition)
    except IntegrityError as error:
        raise Conflict(
            f"One of the events of {definition.workflow} was given to another workflow at this "
            "moment. Apply the file again to see which."
        ) from error


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _workflow(row: Row[Any]) -> Workflow:
    return Workflow(**row._asdict())


_VERSION = [scripts_versions.c[name] for name in Version.__dataclass_fields__]
