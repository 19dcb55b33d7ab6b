"""The drive as /v2/files shows it: read, write, delete and list by path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from longshore.access import Permission, Principal
from longshore.edge.files import StoredFile
from longshore.errors import InvalidRequest, NotFound
from longshore.surfaces.apps import batches, deletions, files, naming, scopes, tokens
from longshore.surfaces.apps.deletions import WHOLE
from longshore.surfaces.apps.files import DriveFile
from longshore.wire.apps import Node, NodeMetadata, NodePage, NodePermissions

_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that has files below it."""

    path: str


def stat(connection: Connection, principal: Principal, path: str) -> DriveFile | Folder:
    """Return what is at a path.

    Raises:
        InvalidRequest: it is not a path of the drive.
        NotFound: nothing is there that the key reaches.
    """
    own = scopes.own_path(connection, principal, path)
    file = files.find(connection, principal.organisation_id, own)
    if file is not None:
        return file
    if files.page(connection, principal.organisation_id, own, limit=1):
        return Folder(own)
    raise NotFound(f"There is nothing at {own!r}. List the folder above it to see what there is.")


def check_write(principal: Principal, path: str) -> None:
    """Raise what `write` would raise for the path, as far as the path alone can tell.

    Raises:
        InvalidRequest: it is not a path of the drive, or names the drive itself.
        NotFound: it lies where the key does not reach.
    """
    parsed = naming.parse_drive_path(path)
    if not parsed.rest:
        raise InvalidRequest("The path names the drive itself. Put a file name behind it.")
    scopes.check_reach(principal, parsed)


def write(
    connection: Connection,
    principal: Principal,
    path: str,
    stored: StoredFile,
    *,
    only_new: bool = False,
) -> str:
    """Put received bytes at a path, making folders and workspace as needed; return the path.

    Raises:
        InvalidRequest: it is not a path of the drive, or the folder is kept for batches.
        NotFound: the path lies where the key does not reach.
        Conflict: the path is a folder, leads through a file, or its batch is being deleted.
        PreconditionFailed: `only_new`, and there is a file.
    """
    check_write(principal, path)
    own = scopes.own_path(connection, principal, path, make=True)
    _check_batch(connection, principal, own)
    files.write(connection, principal.organisation_id, own, stored, only_new=only_new)
    return own


def delete(connection: Connection, principal: Principal, path: str) -> str:
    """Delete a file, or all files of a folder, and return the job.

    Deleting what is not there gives a job too, which has nothing to do.
    """
    own = scopes.own_path(connection, principal, path)
    job_id = deletions.delete_path(connection, principal, own)
    if job_id is not None:
        return job_id
    job = {"job": "apps.delete_blobs", "blob_ids": []}
    return deletions.start(
        connection,
        principal.organisation_id,
        f"path:{own}",
        WHOLE,
        job,
        actor=principal.key_name,
    ).work_id


def listing(
    connection: Connection,
    principal: Principal,
    path: str,
    *,
    page_size: int | None = None,
    start_token: str | None = None,
) -> NodePage:
    """Return what lies directly in a folder, by name: files, and folders once each.

    Raises:
        InvalidRequest: the page size or the token cannot be used.
        NotFound: there is no such folder.
    """
    own = scopes.own_path(connection, principal, path)
    size = tokens.page_rows(page_size)
    place = tokens.decode(start_token)
    if not files.page(connection, principal.organisation_id, own, limit=1):
        raise NotFound(f"There is no folder {own!r}. A folder is there while a file lies below it.")
    nodes = _children(connection, principal, own, place, size + 1)
    more = len(nodes) > size
    shown = nodes[:size]
    return NodePage(
        nodes=shown,
        next_page_token=tokens.encode(_place(shown[-1])) if more else None,
        has_more=more,
    )


def _children(
    connection: Connection, principal: Principal, folder: str, place: str, limit: int
) -> list[Node]:
    """Return up to `limit` children behind a place, in the order of their paths.

    A subfolder with a million files costs one step: the next look starts behind all of it.
    """
    may_change = principal.allows(Permission.OPERATE)
    after = f"{folder}/{place}"
    # "0" is the character after "/", so this is where the paths below a folder have ended.
    at_least = f"{after[:-1]}0" if place.endswith("/") else ""
    found: list[Node] = []
    while len(found) < limit:
        some = files.page(
            connection,
            principal.organisation_id,
            folder,
            after=after,
            at_least=at_least,
            limit=min(limit, _PAGE),
        )
        if not some:
            break
        for file in some:
            after = file.path
            if file.path < at_least:
                continue
            name, slash, _ = file.path[len(folder) + 1 :].partition("/")
            if slash:
                found.append(_folder_node(folder, name, may_change=may_change))
                at_least = f"{folder}/{name}0"
            else:
                found.append(batches.node(file, folder, may_change=may_change))
    return found[:limit]


def _place(node: Node) -> str:
    """Return where a listing goes on behind a child; a folder's place ends in a slash."""
    return f"{node.name}/" if node.metadata.node_type == "folder" else node.name


def _folder_node(folder: str, name: str, *, may_change: bool) -> Node:
    return Node(
        full_path=f"{folder}/{name}",
        name=name,
        metadata=NodeMetadata(node_type="folder"),
        perms=NodePermissions(can_read=True, can_write=may_change, can_delete=may_change),
    )


def _check_batch(connection: Connection, principal: Principal, path: str) -> None:
    """Let files come into the folder of a batch only while there is that batch."""
    parts = path.split("/", 6)
    if parts[4] != batches.FOLDER:
        return
    batch = None
    if len(parts) == 7:
        batch = batches.by_folder(connection, principal, "/".join(parts[:6]))
    if batch is None:
        raise InvalidRequest(
            f"The folder {batches.FOLDER!r} is kept for the files of batches, and there is no batch "
            "with that folder. Create one with POST /v2/batches, or use another folder."
        )
    batches.usable(connection, principal, batch.id)
    naming.checked_file_name(parts[6])
