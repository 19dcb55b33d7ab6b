"""One workflow: its graph with what is expected of it, its last runs, its versions and their text."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.dashboard.formats import length
from longshore.dashboard.pages.workflows.drawing import Face, picture
from longshore.dashboard.pages.workflows.lists import Row, bars
from longshore.dashboard.parameters import OptionalNumber
from longshore.surfaces.scripts import outlooks, starting, workflow_lists, workflows
from longshore.surfaces.scripts.definition import diffing, model
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.outlooks import Outlook
from longshore.surfaces.scripts.workflow_lists import Listed
from longshore.surfaces.scripts.workflows import Version, Workflow

router = APIRouter(include_in_schema=False)
_VERSIONS: Final = 100


@dataclass(frozen=True, slots=True)
class _Read:
    listed: Listed
    definition: model.Workflow
    outlook: Outlook
    today: str


@router.get("/ui/workflows/{name}")
async def show_workflow(name: str, call: Viewer) -> Response:
    """Show a workflow."""
    found = await call.read(_read, call.principal.organisation_id, name)
    faces = {
        step: _face(step, told, found.outlook) for step, told in found.definition.steps.items()
    }
    before = {step: told.depends_on for step, told in found.definition.steps.items()}
    return templating.render(
        call,
        "workflows/workflow.html",
        workflow=found.listed.workflow,
        row=Row(found.listed, bars(found.listed.runs)),
        definition=found.definition,
        outlook=found.outlook,
        graph=picture(before, faces),
        expected=_by_step(found.outlook, found.definition.steps),
        critical=_critical(found.outlook),
        today=found.today,
    )


@router.get("/ui/workflows/{name}/versions")
async def show_versions(
    name: str, call: Viewer, version: OptionalNumber = None, before: OptionalNumber = None
) -> Response:
    """Show the versions of a workflow, the text of one, and what it changed."""
    found = await call.read(_versions, call.principal.organisation_id, name, version, before)
    changes, text = await asyncio.to_thread(_compared, found)
    return templating.render(
        call,
        "workflows/versions.html",
        workflow=found.workflow,
        versions=found.versions[:_VERSIONS],
        version=found.version,
        before=found.before,
        changes=changes,
        text=text.splitlines(),
    )


@dataclass(frozen=True, slots=True)
class _Versions:
    workflow: Workflow
    versions: list[Version]
    version: Version
    before: Version | None
    documents: tuple[model.Workflow, model.Workflow] | None


def _read(connection: Connection, organisation_id: str, name: str) -> _Read:
    workflow = workflows.get(connection, organisation_id, name)
    (listed,) = workflow_lists.of_workflows(connection, [workflow])
    return _Read(
        listed=listed,
        definition=workflows.document(connection, workflow.id, workflow.version),
        outlook=outlooks.of_workflow(connection, organisation_id, name),
        today=starting.today(connection),
    )


def _versions(
    connection: Connection, organisation_id: str, name: str, number: int | None, other: int | None
) -> _Versions:
    workflow = workflows.get(connection, organisation_id, name)
    version = workflows.version_of(connection, workflow, number)
    earlier = version.version - 1 if other is None else other
    before = workflows.version_of(connection, workflow, earlier) if earlier >= 1 else None
    documents = None
    if before is not None:
        documents = (
            workflows.document(connection, workflow.id, before.version),
            workflows.document(connection, workflow.id, version.version),
        )
    known = workflows.versions(connection, workflow)
    return _Versions(workflow, known, version, before, documents)


def _compared(found: _Versions) -> tuple[list[diffing.Change], str]:
    if found.before is None or found.documents is None:
        return [], ""
    names = tuple(f"version {each.version}" for each in (found.before, found.version))
    text = diffing.text(found.before.text, found.version.text, names=(names[0], names[1]))
    return diffing.changes(*found.documents), text


def _face(name: str, step: model.Step, outlook: Outlook) -> Face:
    seconds = _by_step(outlook, [name]).get(name)
    told = [step.host]
    if seconds is not None:
        told.append(length(seconds))
    if step.matrix:
        told.append("matrix")
    if step.status is not model.Status.ACTIVE:
        told.append(step.status.value)
    program = step.script or " ".join(step.command or [])
    title = f"{name}: {program} on {step.host}"
    if step.description:
        title += f"; {step.description}"
    status = "hold" if step.status is model.Status.HOLD else ""
    if step.status is model.Status.INACTIVE:
        status = "skipped"
    return Face(
        detail=", ".join(told),
        title=title,
        href=f"#step-{quote(name, safe='')}",
        status=status,
        critical=name in _critical(outlook),
    )


def _by_step(outlook: Outlook, names: Any) -> Mapping[str, float]:
    """Return the seconds expected of one instance of each step."""
    return {
        name: seconds
        for name in names
        for seconds in (
            outlook.expected.get(fold(name), outlook.expected.get(f"{fold(name)}[#0]")),
        )
        if seconds is not None
    }


def _critical(outlook: Outlook) -> frozenset[str]:
    return frozenset(outlook.shown[name] for name in outlook.critical if name in outlook.shown)
