"""Services and their versions: what workers offer, and which version a request means.

A service is known from the first offer on. A version that no worker offers any more stays, with
its queue, so that what was pushed to it waits instead of going astray.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from longshore import ids, limits
from longshore.engine import queues, workers
from longshore.errors import Conflict, InvalidRequest, NotFound
from longshore.storage import now_us
from longshore.surfaces.pipelines import naming
from longshore.surfaces.pipelines.naming import Address
from longshore.surfaces.pipelines.tables import pipeline_services, pipeline_versions
from longshore.surfaces.pipelines.versions import Version, get, latest, selection, versions
from longshore.wire.pipelines import VersionDetails
from longshore.wire.worker import ServiceOffer

SURFACE: Final = "pipelines"
PYTHON: Final = "python"
WORKBOOK: Final = "workbook"
WORKBOOKS: Final = "workbooks"
"""Name of the queue whose workers compute workbooks; the name of a version has a slash."""
BACKOFF_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
_DESCRIPTION_CHARACTERS: Final = 1_000
_LISTED: Final = 10
_NEAR: Final = 5
_NEAR_ENOUGH: Final = 0.5
_SHOWN_CHARACTERS: Final = 80


def offer(
    connection: Connection, organisation_id: str, offers: Sequence[ServiceOffer]
) -> list[int]:
    """Enter what a worker offers; return the queue of each version, in order.

    Raises:
        InvalidRequest: a name, version, date or limit cannot be one, or the version is a workbook.
    """
    return [_offer(connection, organisation_id, each).queue_id for each in offers]


def offer_workbooks(connection: Connection, organisation_id: str) -> list[int]:
    """Return the queues that a worker serves who computes workbooks.

    It is one, the parent of the queues of all workbooks and their pipelines, so that such a
    worker serves also those that are uploaded after it started.
    """
    return [_workbooks_queue(connection, organisation_id)]


def enter(  # noqa: PLR0913 - one argument a column, all by name
    connection: Connection,
    organisation_id: str,
    *,
    service: str,
    version: str,
    kind: str,
    details: VersionDetails,
    active_since: str | None = None,
    blob_id: str | None = None,
) -> Version:
    """Make a version, or change what is said of the one there is; return it.

    Raises:
        InvalidRequest: a name, version, date or limit cannot be one, or the version is there as
            something else than `kind`.
        Conflict: it is there as a workbook, whose file is another blob.
    """
    folder, name = naming.checked_service(service)
    version = naming.checked_version(version)
    _check_limits(service, details)
    active_us = None if active_since is None else naming.moment_us(active_since, whole_day=False)
    service_id = _ensure_service(connection, organisation_id, folder, name)
    wanted = pipeline_versions.c.service_id == service_id, pipeline_versions.c.version == version
    found = connection.execute(selection().where(*wanted)).one_or_none()
    if found is None:
        values = {
            "id": ids.new(ids.SERVICE_VERSION),
            "service_id": service_id,
            "organisation_id": organisation_id,
            "version": version,
            "queue_id": _ensure_queue(
                connection, organisation_id, service_id, version, kind, details
            ),
            "kind": kind,
            "active_us": now_us(connection) if active_us is None else active_us,
            "created_us": now_us(connection),
            "details": msgspec.json.encode(details).decode(),
            "blob_id": blob_id,
        }
        _insert(connection, pipeline_versions, values)
        found = connection.execute(selection().where(*wanted)).one()
    if found.kind != kind:
        raise InvalidRequest(
            f"{folder}/{name}[{version}] is there as a {found.kind} service and cannot be offered "
            f"as a {kind} one. Give it another version, or remove the one there is."
        )
    if kind == WORKBOOK and found.blob_id != blob_id:
        raise Conflict(
            f"{folder}/{name}[{version}] is there with another workbook, or with other inputs or "
            "outputs. Give it another version, or remove the one there is."
        )
    changes: dict[str, Any] = {"details": msgspec.json.encode(details).decode(), "blob_id": blob_id}
    if active_us is not None:
        changes["active_us"] = active_us
    if any(getattr(found, column) != value for column, value in changes.items()):
        connection.execute(
            update(pipeline_versions).where(pipeline_versions.c.id == found.id).values(changes)
        )
    return get(connection, organisation_id, found.id)


def resolve(
    connection: Connection,
    organisation_id: str,
    *,
    service: str | None,
    version_id: str | None = None,
    active_since: str | None = None,
) -> Version:
    """Return the version that a request means.

    `version_id` counts first, then what `service` names (see `naming.address`). A whole version
    is taken as it is, whatever the date. Otherwise it is the highest version, among those that
    begin as given, which was active at `active_since` (now, unless given); a date alone means
    any time of that day, UTC.

    Raises:
        NotFound: there is none; the message lists near names, or the versions that there are.
        InvalidRequest: the request names nothing, or not in a known form.
    """
    if version_id is not None:
        return get(connection, organisation_id, version_id)
    if service is None:
        raise InvalidRequest(
            "The request names no service. Send `service` (such as folder/service[1.0]) or "
            "`version_id`."
        )
    wanted = naming.address(service)
    if wanted.version_id is not None:
        return get(connection, organisation_id, wanted.version_id)
    found = versions(connection, organisation_id, wanted)
    if not found:
        raise _unknown_service(connection, organisation_id, service, wanted)
    at_us = (
        now_us(connection)
        if active_since is None
        else naming.moment_us(active_since, whole_day=True)
    )
    return _chosen(found, wanted.version, at_us)


def workers_of(connection: Connection, version: Version) -> int:
    """Return how many live workers serve a version."""
    return workers.online(connection, serving_queue(connection, version))


def serving_queue(connection: Connection, version: Version) -> int:
    """Return the queue whose workers serve a version: the parent of its pipelines' queues."""
    if version.kind == WORKBOOK:
        return _workbooks_queue(connection, version.organisation_id)
    return version.queue_id


def _offer(connection: Connection, organisation_id: str, offered: ServiceOffer) -> Version:
    return enter(
        connection,
        organisation_id,
        service=offered.name,
        version=offered.version,
        kind=PYTHON,
        active_since=offered.active_since,
        details=VersionDetails(
            description=offered.description[:_DESCRIPTION_CHARACTERS],
            batch=offered.batch,
            timeout_s=offered.timeout_s,
            inputs=offered.inputs,
            outputs=offered.outputs,
            subservices=offered.subservices,
            attempts_max=offered.attempts_max,
        ),
    )


def _check_limits(service: str, details: VersionDetails) -> None:
    if not 1 <= details.attempts_max <= limits.ATTEMPTS:
        raise InvalidRequest(
            f"The service {service} has attempts_max {details.attempts_max}; give 1 to "
            f"{limits.ATTEMPTS}."
        )
    if details.timeout_s is not None and not 0 < details.timeout_s <= limits.PAUSE_MAX_S:
        raise InvalidRequest(
            f"The service {service} has timeout_s {details.timeout_s}; give up to "
            f"{limits.PAUSE_MAX_S:.0f} seconds, above 0."
        )


def _ensure_service(connection: Connection, organisation_id: str, folder: str, name: str) -> str:
    query = select(pipeline_services.c.id).where(
        pipeline_services.c.organisation_id == organisation_id,
        pipeline_services.c.folded == naming.folded(folder, name),
    )
    found = connection.execute(query).scalar_one_or_none()
    if found is not None:
        return str(found)
    values = {
        "id": ids.new(ids.SERVICE),
        "organisation_id": organisation_id,
        "folder": folder,
        "name": name,
        "folded": naming.folded(folder, name),
        "created_us": now_us(connection),
    }
    _insert(connection, pipeline_services, values)
    return str(connection.execute(query).scalar_one())


def _insert(connection: Connection, table: Table, values: dict[str, Any]) -> None:
    """Insert a row, unless another server has entered the same meanwhile."""
    with suppress(IntegrityError), connection.begin_nested():
        connection.execute(insert(table).values(values))


def _ensure_queue(
    connection: Connection,
    organisation_id: str,
    service_id: str,
    version: str,
    kind: str,
    details: VersionDetails,
) -> int:
    row = connection.execute(
        select(pipeline_services.c.folder, pipeline_services.c.name).where(
            pipeline_services.c.id == service_id
        )
    ).one()
    return queues.ensure(
        connection,
        organisation_id=organisation_id,
        surface=SURFACE,
        # A version may go and come again as the other kind, which other workers serve.
        name=f"{row.folder}/{row.name}[{version}]{' workbook' if kind == WORKBOOK else ''}",
        parent_id=_workbooks_queue(connection, organisation_id) if kind == WORKBOOK else None,
        attempts_max=details.attempts_max,
        backoff_s=BACKOFF_S,
        backoff_max_s=BACKOFF_MAX_S,
        notices=True,
        successes_told=False,
    )


def _workbooks_queue(connection: Connection, organisation_id: str) -> int:
    return queues.ensure(
        connection, organisation_id=organisation_id, surface=SURFACE, name=WORKBOOKS
    )


def _chosen(found: Sequence[Version], wanted: str | None, at_us: int) -> Version:
    """Return the version that is wanted among all of a service, the highest first."""
    first = found[0]
    matching = found
    if wanted is not None:
        for each in found:
            if each.version == wanted:
                return each
        matching = [each for each in found if naming.begins(each.version, wanted)]
    if not matching:
        raise NotFound(
            f"{first.service} has no version {(wanted or '')[:_SHOWN_CHARACTERS]!r}. There are: "
            f"{_listed([each.version for each in found])}.",
            details={"versions": [each.version for each in found]},
        )
    active = latest(matching, at_us)
    if active is not None:
        return active
    since = [f"{each.version} (active since {naming.shown(each.active_us)})" for each in matching]
    raise NotFound(
        f"No version of {first.service} was active at {naming.shown(at_us)}. There are: "
        f"{_listed(since)}. Ask for a later time, or name a version.",
        details={"versions": [each.version for each in matching]},
    )


def _unknown_service(
    connection: Connection, organisation_id: str, text: str, wanted: Address
) -> NotFound:
    rows = connection.execute(
        select(pipeline_services.c.folder, pipeline_services.c.name)
        .join(pipeline_versions, pipeline_versions.c.service_id == pipeline_services.c.id)
        .where(pipeline_services.c.organisation_id == organisation_id)
        .distinct()
    )
    known = {naming.folded(row.folder, row.name): f"{row.folder}/{row.name}" for row in rows}
    asked = wanted.service_id or naming.folded(wanted.folder or "", wanted.name or "")
    close = difflib.get_close_matches(asked, list(known), n=_NEAR, cutoff=_NEAR_ENOUGH)
    near = [known[each] for each in close]
    if not known:
        hint = (
            "No worker has offered any service yet: start one with `longshore worker FILE`, whose "
            "file has a function under @longshore.service."
        )
    elif near:
        hint = f"Did you mean {' or '.join(near)}?"
    else:
        hint = f"There are: {_listed(sorted(known.values()))}."
    return NotFound(
        f"There is no service {text[:_SHOWN_CHARACTERS]!r}. {hint}", details={"near": near}
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


__all__ = [
    "PYTHON",
    "SURFACE",
    "WORKBOOK",
    "WORKBOOKS",
    "Version",
    "enter",
    "get",
    "latest",
    "offer",
    "offer_workbooks",
    "resolve",
    "serving_queue",
    "versions",
    "workers_of",
]
