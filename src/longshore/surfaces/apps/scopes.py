"""What a key reaches: its organisation, and in it one workspace or all of them."""

from __future__ import annotations

from sqlalchemy import Connection

from longshore.access import workspaces
from longshore.access.roles import Principal
from longshore.access.workspaces import FIRST_WORKSPACE, Workspace
from longshore.errors import NotFound, PermissionDenied
from longshore.surfaces.apps import naming
from longshore.surfaces.apps.naming import DrivePath


def reaches(principal: Principal, workspace: str) -> bool:
    """Return whether the key may see what belongs to the workspace of that name."""
    bound = principal.workspace_name
    return bound is None or bound.casefold() == workspace.casefold()


def workspace_for(connection: Connection, principal: Principal, name: str | None) -> Workspace:
    """Return the workspace that a request means, made on first use.

    A request that names none means the key's own, or `personal` for a key of all workspaces.

    Raises:
        InvalidRequest: the name cannot be one.
        PermissionDenied: the key is bound to another workspace.
    """
    wanted = name or principal.workspace_name or FIRST_WORKSPACE
    if not reaches(principal, wanted):
        raise PermissionDenied(
            f"The key {principal.key_name!r} reaches only the workspace "
            f"{principal.workspace_name!r}, not {wanted!r}. Use a key of that workspace.",
            details={"workspace": principal.workspace_name},
        )
    naming.checked_workspace(wanted)
    return workspaces.ensure(connection, principal.organisation_id, wanted)


def own_path(connection: Connection, principal: Principal, path: str, *, make: bool = False) -> str:
    """Return a path as the database keeps it, if the key reaches it.

    With `make`, a workspace that is not there yet is made.

    Raises:
        InvalidRequest: it is not a path of the drive.
        NotFound: it lies where the key does not reach.
    """
    parsed = naming.parse_drive_path(path)
    check_reach(principal, parsed)
    if make:
        workspace = workspace_for(connection, principal, parsed.workspace).name
    else:
        workspace = _known(connection, principal, parsed.workspace)
    return naming.drive_path(principal.organisation_id, workspace, parsed.rest)


def _known(connection: Connection, principal: Principal, workspace: str) -> str:
    """Return a workspace's name as it was first written; nothing lies in one that is not there."""
    try:
        return workspaces.named(connection, principal.organisation_id, workspace).name
    except NotFound:
        return workspace


def check_reach(principal: Principal, path: DrivePath) -> None:
    """Raise NotFound unless the path lies in the key's organisation and workspace."""
    own = {principal.organisation_id, principal.organisation_name.casefold()}
    if path.organisation.casefold() not in own or not reaches(principal, path.workspace):
        raise NotFound(
            f"There is nothing at {path.organisation[:80]!a}/{path.workspace[:80]!a} for this key. "
            f"Paths start with the id of your organisation, {principal.organisation_id}, and a "
            "workspace that the key reaches."
        )
