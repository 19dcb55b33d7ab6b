"""The keystore: names, never values."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.access import Permission, keystore, keystore_names
from longshore.access.keystore import About
from longshore.dashboard import templating
from longshore.dashboard.access import Developer
from longshore.dashboard.forms import Form, read_form
from longshore.edge.call import Call
from longshore.errors import InvalidRequest

router = APIRouter(include_in_schema=False)
_SCOPES: Final = (keystore.ORGANISATION, keystore.CORPUS, keystore.APPS)


@router.get("/ui/keystore")
async def list_entries(call: Developer) -> Response:
    """Show all entries, without their values."""
    entries = await call.read(keystore.listing, call.principal.organisation_id, scope=None)
    return templating.render(call, "access/keystore.html", entries=entries, scopes=_SCOPES)


@router.post("/ui/keystore")
async def set_entry(request: Request, call: Developer) -> Response:
    """Set a value: of a new entry, or as a new version of one that is there."""
    form = await read_form(request)
    scope = _scope(call, form)
    name = form.text("name")
    about = About("ingress" in form.fields, form.text("description") or None)
    stored = await call.write(
        "keystore.set",
        keystore.put,
        call.principal.organisation_id,
        name,
        form.raw("value"),
        scope=scope,
        actor=call.principal.key_name,
        about=about,
        target=name,
        detail={"scope": scope, "why": form.reason()},
    )
    return templating.done(f"{stored.name} has version {stored.version} now.")


@router.post("/ui/keystore/remove")
async def remove_entry(request: Request, call: Developer) -> Response:
    """Remove an entry with all of its versions."""
    form = await read_form(request)
    scope, name = _scope(call, form), form.text("name")
    await call.write(
        "keystore.remove",
        keystore.remove,
        call.principal.organisation_id,
        name,
        scope=scope,
        target=name,
        detail={"scope": scope, "why": form.reason()},
    )
    return templating.done(f"{name} is removed, with all of its versions.")


def _scope(call: Call, form: Form) -> str:
    """Return the scope that the form names, as the API has it: a word, or that of a workflow."""
    scope, workflow = form.text("scope"), form.text("workflow")
    if workflow:
        return keystore.of_workflow(keystore_names.check_name(workflow))
    if scope not in _SCOPES:
        raise InvalidRequest(f"{scope[:40]!r} is no scope. Choose one of {', '.join(_SCOPES)}.")
    if scope == keystore.APPS:
        call.principal.require(Permission.ADMIN)
    return scope
