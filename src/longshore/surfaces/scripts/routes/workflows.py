"""Routes of definitions: check, apply, show, compare, list and retire them, and backfill."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter
from msgspec import Meta
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.clock import iso
from longshore.edge.body import struct_body
from longshore.surfaces.scripts import backfilling, calendars, scheduling, workflows
from longshore.surfaces.scripts.backfilling import Backfill, Backfilled
from longshore.surfaces.scripts.definition import diffing, model
from longshore.surfaces.scripts.definition.problems import as_json
from longshore.surfaces.scripts.definition.reading import examine, parse
from longshore.surfaces.scripts.definition.rendering import describe_schedule
from longshore.surfaces.scripts.definition.schema import schema
from longshore.surfaces.scripts.routes.shared import PREFIX, Developer, Operator, Reader, answer
from longshore.surfaces.scripts.workflows import Applied, Version, Workflow

router = APIRouter(prefix=PREFIX, tags=["scripts"])
_INSTANTS: Final = 5
_FIRINGS: Final = 100
_BODY_BYTES: Final = 2 * limits.WORKFLOW_BYTES
"""A file may double where its line ends and quotes are escaped."""


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The text of a workflow's file."""

    text: str


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why something is done."""

    reason: Annotated[str, Meta(max_length=1_000)] = ""


@router.get("/workflows/schema")
async def get_schema(call: Reader) -> Response:
    """Return the JSON schema of a workflow's file."""
    del call
    return answer(schema())


@router.get("/workflows")
async def list_workflows(call: Reader, retired: bool = False) -> Response:
    """List workflows by name; with `retired=true` those that were retired as well."""
    found = await call.read(workflows.listing, call.principal.organisation_id, retired=retired)
    return answer([_summary(each) for each in found])


@router.post("/workflows/validate")
async def validate_workflow(request: Request, call: Reader) -> Response:
    """Say everything that is wrong with a file, hosts and event names included; change nothing."""
    file = await struct_body(request, File, limit_bytes=_BODY_BYTES)
    reading = await asyncio.to_thread(examine, file.text)
    reading = await call.read(workflows.here, call.principal.organisation_id, reading)
    return answer({"valid": reading.workflow is not None, "problems": as_json(reading.problems)})


@router.post("/workflows")
async def apply_workflow(request: Request, call: Developer) -> Response:
    """Make a workflow of a file, or a new version where the file says something new."""
    file = await struct_body(request, File, limit_bytes=_BODY_BYTES)
    # Read here, so that no other change waits for it.
    reading = await asyncio.to_thread(examine, file.text)
    return await call.change(
        "workflows.apply",
        workflows.apply,
        call.principal.organisation_id,
        file.text,
        actor=call.principal.key_id,
        reading=reading,
        target=_applied_target,
        render=_applied,
    )


@router.get("/workflows/{name}")
async def get_workflow(name: str, call: Reader, version: int | None = None) -> Response:
    """Show a workflow: its file as it was given, and its definition with all defaults."""
    return answer(await call.read(_shown, call.principal.organisation_id, name, version))


@router.get("/workflows/{name}/versions")
async def list_versions(name: str, call: Reader) -> Response:
    """List the versions of a workflow, the newest first."""
    return answer(await call.read(_versions, call.principal.organisation_id, name))


@router.get("/workflows/{name}/diff")
async def diff_versions(
    name: str, call: Reader, before: int | None = None, after: int | None = None
) -> Response:
    """Compare two versions of a workflow: the newest with the one before it unless given."""
    return answer(await call.read(_compared, call.principal.organisation_id, name, before, after))


@router.post("/workflows/{name}/diff")
async def diff_file(name: str, request: Request, call: Reader) -> Response:
    """Compare the newest version of a workflow with a file that was not applied."""
    file = await struct_body(request, File, limit_bytes=_BODY_BYTES)
    definition = await asyncio.to_thread(parse, file.text)
    return answer(
        await call.read(
            _compared_with_file, call.principal.organisation_id, name, file.text, definition
        )
    )


@router.get("/workflows/{name}/schedules")
async def list_schedules(name: str, call: Reader) -> Response:
    """Show when the schedules of a workflow are due next, and what came of the last instants."""
    return answer(await call.read(_schedules, call.principal.organisation_id, name))


@router.post("/workflows/{name}/retire")
async def retire_workflow(name: str, request: Request, call: Developer) -> Response:
    """Let nothing start a workflow any more; its runs go on, and its file brings it back."""
    wanted = await struct_body(request, Reason)
    return await call.change(
        "workflows.retire",
        workflows.retire,
        call.principal.organisation_id,
        name,
        target=_target,
        detail={"reason": wanted.reason},
        render=_summary,
    )


@router.post("/workflows/{name}/backfill")
async def backfill_workflow(name: str, request: Request, call: Operator) -> Response:
    """Start a run for each date of a range; with `dry_run` only say for which."""
    wanted = await struct_body(request, Backfill)
    return await call.change(
        "workflows.backfill",
        backfilling.backfill,
        call.principal.organisation_id,
        name,
        wanted,
        actor=call.principal.key_id,
        target=_backfilled_target,
        detail={"first": wanted.first, "last": wanted.last, "reason": wanted.reason},
        render=_backfilled,
    )


def _shown(
    connection: Connection, organisation_id: str, name: str, version: int | None
) -> dict[str, Any]:
    workflow = workflows.get(connection, organisation_id, name)
    found = workflows.version_of(connection, workflow, version)
    definition = workflows.document(connection, workflow.id, found.version)
    return {
        **_summary(workflow),
        **_version(found),
        "newest_version": workflow.version,
        "text": found.text,
        "definition": msgspec.to_builtins(definition),
    }


def _versions(connection: Connection, organisation_id: str, name: str) -> list[dict[str, Any]]:
    workflow = workflows.get(connection, organisation_id, name)
    return [_version(each) for each in workflows.versions(connection, workflow)]


def _compared(
    connection: Connection, organisation_id: str, name: str, before: int | None, after: int | None
) -> dict[str, Any]:
    workflow = workflows.get(connection, organisation_id, name)
    newer = workflows.version_of(connection, workflow, after)
    older = workflows.version_of(
        connection, workflow, max(newer.version - 1, 1) if before is None else before
    )
    definitions = [
        workflows.document(connection, workflow.id, each.version) for each in (older, newer)
    ]
    names = tuple(f"{workflow.name} version {each.version}" for each in (older, newer))
    return {
        "before": older.version,
        "after": newer.version,
        "changes": [asdict(each) for each in diffing.changes(definitions[0], definitions[1])],
        "text": diffing.text(older.text, newer.text, names=(names[0], names[1])),
    }


def _compared_with_file(
    connection: Connection, organisation_id: str, name: str, text: str, definition: model.Workflow
) -> dict[str, Any]:
    workflow = workflows.get(connection, organisation_id, name)
    newest = workflows.version_of(connection, workflow)
    before = workflows.document(connection, workflow.id, newest.version)
    names = (f"{workflow.name} version {newest.version}", "the file")
    return {
        "before": newest.version,
        "after": None,
        "changes": [asdict(each) for each in diffing.changes(before, definition)],
        "text": diffing.text(newest.text, text, names=names),
    }


def _schedules(connection: Connection, organisation_id: str, name: str) -> dict[str, Any]:
    workflow = workflows.get(connection, organisation_id, name)
    calendar = workflows.document(connection, workflow.id, workflow.version).calendar
    shown = []
    for schedule, next_us in scheduling.of_workflow(connection, workflow.id):
        coming = calendars.instants(schedule, calendar, next_us - 1)
        following = [instant for instant, _ in zip(coming, range(_INSTANTS), strict=False)]
        shown.append(
            {
                **msgspec.to_builtins(schedule),
                "words": describe_schedule(schedule),
                "next": [
                    {
                        "instant": iso(each.at_us),
                        "business_date": str(calendars.business_date(schedule, calendar, each)),
                    }
                    for each in following
                ],
            }
        )
    return {
        "workflow": workflow.name,
        "schedules": shown,
        "instants": scheduling.firings(connection, workflow.id, limit=_FIRINGS),
    }


def _summary(workflow: Workflow) -> dict[str, Any]:
    return {
        "id": workflow.id,
        "name": workflow.name,
        "version": workflow.version,
        "held": _held(workflow),
        "retired_at": iso(workflow.retired_us),
        "created_at": iso(workflow.created_us),
    }


def _held(workflow: Workflow) -> dict[str, Any] | None:
    if workflow.held_us is None:
        return None
    return {"at": iso(workflow.held_us), "by": workflow.held_by, "why": workflow.held_why}


def _version(version: Version) -> dict[str, Any]:
    return {
        "version": version.version,
        "sha256": version.sha256,
        "applied_at": iso(version.created_us),
        "applied_by": version.created_by,
    }


def _applied(applied: Applied) -> dict[str, Any]:
    return {"change": applied.change, **_summary(applied.workflow)}


def _applied_target(applied: Applied) -> str:
    return applied.workflow.id


def _target(workflow: Workflow) -> str:
    return workflow.id


def _backfilled_target(backfilled: Backfilled) -> str:
    return backfilled.workflow.id


def _backfilled(backfilled: Backfilled) -> dict[str, Any]:
    return {
        "workflow": backfilled.workflow.name,
        "runs": [{"business_date": day, "run_id": run} for day, run in backfilled.runs.items()],
        "left_out": backfilled.left_out,
    }
