"""What there is to know about services: for the published client, and for Longshore's own."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, select

from longshore import __version__, limits
from longshore.clock import iso
from longshore.engine import artifacts
from longshore.engine.tables import works
from longshore.errors import Conflict, NotFound
from longshore.storage import now_us
from longshore.surfaces.pipelines import services
from longshore.surfaces.pipelines.naming import Address
from longshore.surfaces.pipelines.tables import (
    pipeline_chunks,
    pipeline_services,
    pipeline_versions,
    pipelines,
)
from longshore.surfaces.pipelines.versions import Version

COMPILER: Final = f"Longshore_v{__version__}"
SYSTEM: Final = "SPARK"
"""What the protocol calls the system; clients compare it."""
_MEGABYTE: Final = 1_000_000
_DOCUMENT: Final = (
    "id", "name", "is_exists", "version", "last_modified_date", "latest_version_id",
    "effective_start_date", "effective_end_date", "tags", "service_status",
)  # fmt: skip


def listing(connection: Connection, organisation_id: str) -> dict[str, Any]:
    """Return all services with their versions, by name, the highest version first."""
    found: dict[str, dict[str, Any]] = {}
    for version in services.versions(connection, organisation_id):
        entry = found.setdefault(
            version.service_id,
            {
                "id": version.service_id,
                "name": version.service,
                "folder": version.folder,
                "service": version.name,
                "versions": [],
            },
        )
        entry["versions"].append(shown(connection, version))
    return {"services": list(found.values())}


def shown(connection: Connection, version: Version) -> dict[str, Any]:
    """Return a version as Longshore's own listing has it."""
    details = version.details
    return {
        "id": version.id,
        "version": version.version,
        "uri": version.uri,
        "kind": version.kind,
        "workers": services.workers_of(connection, version),
        "active_since": iso(version.active_us),
        "created": iso(version.created_us),
        "description": details.description,
        "batch": details.batch,
        "timeout_s": details.timeout_s,
        "inputs": msgspec.to_builtins(details.inputs),
        "outputs": details.outputs,
        "subservices": details.subservices,
    }


def remove(connection: Connection, organisation_id: str, version_id: str) -> dict[str, Any]:
    """Delete a version that nobody uses, and its service with the last one; say what it was.

    Raises:
        NotFound: there is no such version.
        Conflict: a worker offers it, a pipeline over it is not over, or an execution of it waits.
    """
    version = services.get(connection, organisation_id, version_id)
    _check_unused(connection, version)
    connection.execute(delete(pipeline_versions).where(pipeline_versions.c.id == version.id))
    others = select(func.count()).where(pipeline_versions.c.service_id == version.service_id)
    if not connection.execute(others).scalar_one():
        connection.execute(
            delete(pipeline_services).where(pipeline_services.c.id == version.service_id)
        )
    if version.blob_id is not None:
        artifacts.discard(connection, [version.blob_id])
    # The queue stays: a worker who computes workbooks may be waiting at it, and the same version
    # gets it back when it comes again.
    return {"id": version.id, "uri": version.uri, "deleted": True}


def exists(connection: Connection, organisation_id: str, address: str) -> dict[str, Any]:
    """Return the answer to "is there such a service", told of its latest version."""
    try:
        version = services.resolve(connection, organisation_id, service=address)
    except NotFound:
        return {**dict.fromkeys(_DOCUMENT), "is_exists": False}
    values = (
        version.service_id, version.name, True, version.version, iso(version.created_us),
        version.id, iso(version.active_us), None, "", "active",
    )  # fmt: skip
    return dict(zip(_DOCUMENT, values, strict=True))


def versions(
    connection: Connection, organisation_id: str, folder: str, name: str
) -> list[dict[str, Any]]:
    """Return all versions of a service in the form of the protocol, the highest first.

    Raises:
        NotFound: there is no such service.
    """
    found = services.versions(connection, organisation_id, Address(folder=folder, name=name))
    if not found:
        # The look-up words the refusal, with near names.
        services.resolve(connection, organisation_id, service=f"{folder}/{name}")
    latest = services.latest(found, now_us(connection))
    return [
        {
            "id": version.id,
            "createdAt": iso(version.created_us),
            "engine": version.name,
            "revision": version.version,
            "version": version.version,
            "effectiveStartDate": iso(version.active_us),
            "effectiveEndDate": None,
            "isActive": version is latest,
            "releaseNote": version.details.description or None,
            "childEngines": None,
            "versionLabel": "",
            "defaultEngineType": version.kind.capitalize(),
            "tags": None,
            "product": version.folder,
            "author": None,
            "originalFileName": None,
        }
        for version in found
    ]


def described(version: Version) -> dict[str, Any]:
    """Return the metadata of a version: what it says of itself, under the protocol's prefix."""
    details = version.details
    return {
        "Metadata.Description": details.description,
        "Metadata.Kind": version.kind,
        "Metadata.Inputs": msgspec.to_builtins(details.inputs),
        "Metadata.Outputs": details.outputs,
        "Metadata.Subservices": details.subservices,
    }


def schema(version: Version) -> dict[str, Any]:
    """Return the inputs and outputs of a version in the form of the protocol."""
    details = version.details
    return {
        "bookSummary": {
            "bookServiceName": version.name,
            "bookRevision": version.version,
            "bookDescription": details.description or None,
            "bookUploadDate": iso(version.created_us),
            "versionId": version.id,
            "product": version.folder,
            "compilerVersion": COMPILER,
        },
        "serviceId": version.service_id,
        "engineInputs": [
            {
                "name": field.name,
                "dataType": field.kind,
                "isRequired": field.required,
                "defaultValue": field.default,
            }
            for field in details.inputs or ()
        ],
        "serviceOutputs": [{"name": name} for name in details.outputs or ()],
        "subservices": details.subservices,
    }


def identity(version: Version) -> dict[str, str]:
    """Return the fields that tell which version has answered."""
    return {
        "service_id": version.service_id,
        "version_id": version.id,
        "version": version.version,
    }


def configuration(organisation_name: str) -> dict[str, Any]:
    """Return the limits of this server by the names that the protocol has for them."""
    return {
        "tenantName": organisation_name,
        "Batch_Chunk_Size": 100,
        "Batch_Max_Input_In_Mb": limits.BUFFER_BYTES // _MEGABYTE,
        "Batch_Max_Output_In_Mb": limits.BUFFER_BYTES // _MEGABYTE,
        "Batch_Concurrent_Execution_Limit": limits.PIPELINE_WORKERS,
        "Acceptable_Error_Percentage": 0,
        "Execution_Timeout_In_Seconds": limits.EXECUTION_S,
        "Batch_Idle_Timeout_In_Seconds": limits.PIPELINE_IDLE_S,
    }


def _check_unused(connection: Connection, version: Version) -> None:
    alive = services.workers_of(connection, version)
    if alive and version.kind == services.PYTHON:
        raise Conflict(
            f"{version.uri} is offered by {alive} worker(s) that are alive, which would offer it "
            "again. Stop them, or take the function out of their files, and delete it then.",
            details={"workers": alive},
        )
    open_one = connection.execute(
        select(pipelines.c.id)
        .where(pipelines.c.version_id == version.id, pipelines.c.completed_us.is_(None))
        .limit(1)
    ).scalar()
    if open_one is not None:
        raise Conflict(
            f"Batch {open_one} over {version.uri} is not over. Close and pull it, or cancel it, "
            "and delete the version then.",
            details={"batch_id": open_one},
        )
    waiting = (
        select(works.c.id)
        .join(pipeline_chunks, pipeline_chunks.c.work_id == works.c.id)
        .where(pipeline_chunks.c.pipeline_id.is_(None), works.c.queue_id == version.queue_id)
        .limit(1)
    )
    if connection.execute(waiting).scalar() is not None:
        raise Conflict(
            f"An execution of {version.uri} is under way. Delete the version in a moment."
        )
