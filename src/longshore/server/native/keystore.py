"""The keystore for people: entries without their values, and the keys that they are sealed with."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.access import Permission, keystore, keystore_names, keystore_rotation
from longshore.access.keystore import About, Entry, Version
from longshore.clock import iso
from longshore.edge.body import described, json_body, optional_object, parse
from longshore.edge.call import Call
from longshore.edge.callers import Admin, Developer
from longshore.edge.responses import json_response
from longshore.errors import InvalidRequest, NotFound
from longshore.server.native import keystore_jobs

router = APIRouter(prefix="/keystore", tags=["keystore"])
Scope = Literal["organisation", "corpus", "apps"]
_VERSIONS: Final = "versions"


class Value(BaseModel):
    """A value to be set, and what is said of it; what is null stays as it is."""

    model_config = ConfigDict(extra="forbid")

    value: str = Field(description="A text that is not empty, of at most 64 KiB.")
    ingress: bool | None = Field(
        default=None,
        description="Whether programs outside, with a key of the role ingress, may read it.",
    )
    description: str | None = Field(default=None, max_length=limits.NAME_CHARACTERS)


class Rotation(BaseModel):
    """Which key is to be changed."""

    model_config = ConfigDict(extra="forbid")

    master: bool = Field(
        default=False,
        description="The master key of this server, in place of the organisation's data key.",
    )


def wanted_scope(scope: Scope = "organisation", workflow: str | None = None) -> str:
    """Return the scope that the query names: `workflow`, or one of the words."""
    if workflow is None:
        return scope
    if scope != "organisation":
        raise InvalidRequest("Send scope or workflow, not both.")
    return keystore.of_workflow(keystore_names.check_name(workflow))


Wanted = Annotated[str, Depends(wanted_scope)]


@router.get("/entries")
async def list_entries(
    call: Developer, scope: Scope | None = None, workflow: str | None = None
) -> Response:
    """List the entries of all scopes, or of one; never their values."""
    wanted = (
        None
        if scope is None and workflow is None
        else wanted_scope(scope or "organisation", workflow)
    )
    found = await call.read(keystore.listing, call.principal.organisation_id, scope=wanted)
    return json_response({"entries": [shown(entry) for entry in found]})


@router.get("/entries/{name:path}")
async def show_entry(name: str, call: Developer, scope: Wanted) -> Response:
    """Show an entry and when its versions were set; never its value."""

    def find(connection: Any) -> tuple[Entry, list[Version]]:
        entry = keystore.get(connection, call.principal.organisation_id, name, scope=scope)
        return entry, keystore.history(connection, entry)

    entry, versions = await call.read(find)
    told = [
        {"version": one.version, "created": iso(one.created_us), "created_by": one.created_by}
        for one in versions
    ]
    return json_response({**shown(entry), _VERSIONS: told})


@router.put("/entries/{name:path}", openapi_extra=described(Value))
async def set_entry(name: str, request: Request, call: Developer, scope: Wanted) -> Response:
    """Set an entry: a new one, or a new version of what is there."""
    _refuse_kept_answer(request)
    _check_scope(call, scope)
    wish = parse(Value, await json_body(request))
    stored = await call.write(
        "keystore.set",
        keystore.put,
        call.principal.organisation_id,
        name,
        wish.value,
        scope=scope,
        actor=call.principal.key_name,
        about=About(wish.ingress, wish.description),
        target=name,
        detail={"scope": scope},
    )
    return json_response(shown(stored))


@router.delete("/entries/{name:path}")
async def remove_entry(name: str, call: Developer, scope: Wanted) -> Response:
    """Remove an entry with all of its versions."""
    _check_scope(call, scope)
    await call.write(
        "keystore.remove",
        keystore.remove,
        call.principal.organisation_id,
        name,
        scope=scope,
        target=name,
        detail={"scope": scope},
    )
    return Response(status_code=204)


@router.get("/keys")
async def show_keys(call: Admin) -> Response:
    """Show the organisation's data keys, how many values each seals, and the master keys' marks."""
    found = await call.read(keystore_rotation.data_keys, call.principal.organisation_id)
    masters = call.context.keyring.masters() if found else None
    return json_response(
        {
            "masters": [vault.mark for vault in masters.vaults] if masters else [],
            "data_keys": [
                {
                    "number": key.number,
                    "master": key.master,
                    "created": iso(key.created_us),
                    "retired": iso(key.retired_us),
                    "values": key.values,
                }
                for key in found
            ],
        }
    )


@router.post("/keys/rotate", openapi_extra=described(Rotation))
async def rotate_keys(request: Request, call: Admin) -> Response:
    """Change the organisation's data key, or the master key; all values stay readable throughout.

    A new data key seals from now on, and a job (`job_id`) seals what is there with it. The master
    key wraps the data keys of all organisations before the answer.
    """
    _refuse_kept_answer(request)
    wish = parse(Rotation, await optional_object(request))
    if wish.master:
        return json_response(await _rotate_master(call))
    number, job_id = await call.write(
        "keystore.rotate",
        keystore_jobs.begin,
        call.principal.organisation_id,
        actor=call.principal.key_name,
        target=lambda made: f"data key {made[0]}",
    )
    return json_response({"data_key": number, "job_id": job_id})


async def _rotate_master(call: Call) -> dict[str, Any]:
    keyring, database = call.context.keyring, call.context.database
    if not await call.read(keystore_rotation.any_keys):
        raise NotFound("There are no secrets yet, and so no master key to be changed.")
    masters = keyring.masters()
    # What an earlier rotation has left comes first: its new key is the one to go on with.
    if not await call.read(keystore_rotation.behind, masters):
        masters = keyring.renew()
    wrapped = await call.write(
        "keystore.rotate_master", keystore_rotation.rewrap, target=masters.current.mark
    )
    while count := await database.write(keystore_rotation.rewrap):
        wrapped += count
    return {"master": masters.current.mark, "data_keys": wrapped}


def shown(entry: Entry) -> dict[str, Any]:
    """Return an entry as it is sent."""
    return {
        "name": entry.name,
        "scope": "workflow" if entry.workflow is not None else entry.scope,
        "workflow": entry.workflow,
        "version": entry.version,
        "ingress": entry.ingress,
        "description": entry.description,
        "created": iso(entry.created_us),
        "created_by": entry.created_by,
        "updated": iso(entry.updated_us),
        "updated_by": entry.updated_by,
    }


def _check_scope(call: Call, scope: str) -> None:
    if scope == keystore.APPS:
        # As the protocol of apps has it.
        call.principal.require(Permission.ADMIN)


def _refuse_kept_answer(request: Request) -> None:
    if "idempotency-key" in request.headers:
        raise InvalidRequest(
            "The keystore takes no Idempotency-Key. Send the request without it; to set the same "
            "value twice does no harm."
        )
