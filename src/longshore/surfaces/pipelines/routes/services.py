"""What there is to know about services, in the protocol of the published client `cspark`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from longshore.edge.call import Call
from longshore.edge.callers import Reader
from longshore.edge.responses import json_response
from longshore.surfaces.pipelines import metadata, services
from longshore.surfaces.pipelines.routes import executions
from longshore.surfaces.pipelines.routes.executions import meta_of, system_meta
from longshore.surfaces.pipelines.routes.tenants import TenantReader
from longshore.surfaces.pipelines.versions import Version

router = APIRouter(tags=["services"])
router.include_router(executions.router)


@router.get("/{tenant}/api/v3/folders/{folder}/services/{service}/exists")
async def exists(folder: str, service: str, call: TenantReader) -> Response:
    """Say whether there is such a service."""
    return await _exists(call, f"{folder}/{service}")


@router.get("/{tenant}/api/v3/folders/{folder}/services/{service}/metadata")
async def get_metadata(folder: str, service: str, call: TenantReader) -> Response:
    """Show what the latest version of a service says of itself."""
    return _metadata(call, await _resolved(call, service=f"{folder}/{service}"))


@router.get("/{tenant}/api/v3/service/{service_id}/metadata")
async def get_metadata_by_service_id(service_id: str, call: TenantReader) -> Response:
    """Show what the latest version of a service, which is named by its id, says of itself."""
    return _metadata(call, await _resolved(call, service=service_id))


@router.get("/{tenant}/api/v3/version/{version_id}/metadata")
async def get_metadata_by_version_id(version_id: str, call: TenantReader) -> Response:
    """Show what a version, which is named by its id, says of itself."""
    return _metadata(call, await _resolved(call, version_id=version_id))


@router.post("/{tenant}/api/v3/GetEngineDetailByVersionId/versionid/{version_id}")
async def get_schema_by_version_id(version_id: str, call: TenantReader) -> Response:
    """Show the inputs and outputs of a version."""
    return _data(metadata.schema(await _resolved(call, version_id=version_id)))


@router.get("/api/v1/product/{folder}/engines/get/{service}")
async def get_schema(folder: str, service: str, call: Reader) -> Response:
    """Show the inputs and outputs of the latest version of a service."""
    return _data(metadata.schema(await _resolved(call, service=f"{folder}/{service}")))


@router.get("/api/v1/product/{folder}/engines/getversions/{service}")
async def get_versions(folder: str, service: str, call: Reader) -> Response:
    """List the versions of a service, the highest first."""
    organisation_id = call.principal.organisation_id
    return _data(await call.read(metadata.versions, organisation_id, folder, service))


@router.get("/api/v1/config/GetSparkConfiguration")
async def get_configuration(call: Reader) -> Response:
    """Show the limits of this server by the names that the protocol has for them."""
    return _data(metadata.configuration(call.principal.organisation_name))


async def _exists(call: Call, address: str) -> Response:
    found = await call.read(metadata.exists, call.principal.organisation_id, address)
    return json_response(
        {
            "status": "Success",
            "response_data": found,
            "response_meta": system_meta(call),
            "error": None,
        }
    )


async def _resolved(
    call: Call, *, service: str | None = None, version_id: str | None = None
) -> Version:
    return await call.read(
        services.resolve,
        call.principal.organisation_id,
        service=service,
        version_id=version_id,
    )


def _metadata(call: Call, version: Version) -> Response:
    return json_response(
        {
            "status": "Success",
            "error": None,
            "response_data": {
                "outputs": metadata.described(version),
                "warnings": None,
                "errors": None,
                "service_chain": None,
            },
            "response_meta": meta_of(call, metadata.identity(version), kind=version.kind),
        }
    )


def _data(content: Any) -> Response:
    return json_response({"status": "Success", "data": content, "message": None, "errorCode": None})
