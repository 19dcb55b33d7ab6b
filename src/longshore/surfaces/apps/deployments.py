"""Deployments: configured, long-lived instances of an app, which clean up after themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from longshore import ids
from longshore.access import Principal
from longshore.access.names import checked_name
from longshore.clock import SECOND_US, to_us
from longshore.edge.addresses import Network
from longshore.edge.paging import Page
from longshore.errors import InvalidRequest, NotFound
from longshore.storage import now_us
from longshore.surfaces.apps import (
    batches,
    catalogue,
    naming,
    run_settings,
    scopes,
    secrets,
    starting,
)
from longshore.surfaces.apps.starting import Plan
from longshore.surfaces.apps.tables import deployments
from longshore.wire import apps as wire
from longshore.wire import deployments as deployments_wire


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as it is kept."""

    id: str
    organisation_id: str
    name: str
    app_id: str
    version: str | None
    output_workspace: str | None
    output_dir: str | None
    settings: str
    retain_us: int | None
    delete_db_data: bool
    delete_input: bool
    delete_output: bool
    delete_logs: bool
    created_us: int
    updated_us: int


_COLUMNS = [deployments.c[name] for name in Deployment.__dataclass_fields__]
_KEEP: Final[dict[str, Any]] = {
    "retain_us": None,
    "delete_db_data": True,
    "delete_input": True,
    "delete_output": True,
    "delete_logs": True,
}


def create(
    connection: Connection,
    principal: Principal,
    request: deployments_wire.DeploymentRequest,
    *,
    networks: Sequence[Network] = (),
) -> deployments_wire.Deployment:
    """Make a deployment; its webhook may be in one of the private `networks`.

    Raises:
        NotFound: there is no such app or version.
        InvalidRequest: a value cannot be used.
    """
    app = catalogue.find_app(
        connection,
        principal,
        app_id=request.app_id,
        name=request.app_name,
        owner=request.owner,
    )
    if request.version is not None:
        catalogue.find_version(connection, app, request.version)
    _check_output(principal, request.output_workspace, request.output_dir)
    settings = run_settings.lasting(request.settings, networks)
    secrets.check_known(connection, principal.organisation_id, settings.secrets)
    deployment_id = ids.new(ids.DEPLOYMENT)
    at_us = now_us(connection)
    connection.execute(
        insert(deployments).values(
            id=deployment_id,
            organisation_id=principal.organisation_id,
            name=checked_name(request.name, "deployment"),
            app_id=app.id,
            version=request.version,
            output_workspace=request.output_workspace,
            output_dir=request.output_dir,
            settings=settings.text(),
            **(_KEEP if request.retention is None else _retention(request.retention)),
            created_us=at_us,
            updated_us=at_us,
        )
    )
    return info(connection, principal, deployment_id)


def info(
    connection: Connection, principal: Principal, deployment_id: str
) -> deployments_wire.Deployment:
    """Return a deployment; NotFound if the key reaches none with that id."""
    return _shown(connection, _require(connection, principal, deployment_id))


def listing(
    connection: Connection, principal: Principal, page: Page
) -> deployments_wire.DeploymentList:
    """Return the organisation's deployments, newest first."""
    rows = connection.execute(
        select(*_COLUMNS)
        .where(
            deployments.c.organisation_id == principal.organisation_id,
            deployments.c.deleted_us.is_(None),
        )
        .order_by(deployments.c.id.desc())
        .limit(page.limit)
        .offset(page.offset)
    )
    shown = [_shown(connection, _deployment(row)) for row in rows]
    return deployments_wire.DeploymentList(deployments=shown)


def change(
    connection: Connection,
    principal: Principal,
    deployment_id: str,
    request: deployments_wire.DeploymentChange,
    *,
    networks: Sequence[Network] = (),
) -> deployments_wire.Deployment:
    """Change what the request names; a null takes a setting away. Running runs are not touched.

    Raises:
        NotFound: the key reaches no such deployment, or the app has no such version.
        InvalidRequest: a value cannot be used.
    """
    present = _require(connection, principal, deployment_id)
    values: dict[str, Any] = {"updated_us": now_us(connection)}
    for name in request.model_fields_set:
        value = getattr(request, name)
        if name == "name":
            if value is None:
                raise InvalidRequest("A deployment needs a name. Leave name out to keep it.")
            values["name"] = checked_name(value, "deployment")
        elif name == "settings":
            values["settings"] = _changed_settings(connection, present, value, networks)
        elif name == "retention":
            values |= _KEEP if value is None else _retention(value)
        else:
            values[name] = value
    if values.get("version") is not None:
        app = catalogue.get_app(connection, present.app_id)
        catalogue.find_version(connection, app, values["version"])
    _check_output(principal, values.get("output_workspace"), values.get("output_dir"))
    connection.execute(
        update(deployments).where(deployments.c.id == deployment_id).values(**values)
    )
    return info(connection, principal, deployment_id)


def delete(connection: Connection, principal: Principal, deployment_id: str) -> None:
    """Delete a deployment; its runs stay, and its retention goes on until they are gone.

    Raises:
        NotFound: the key reaches no such deployment.
    """
    _require(connection, principal, deployment_id)
    connection.execute(
        update(deployments)
        .where(deployments.c.id == deployment_id)
        .values(deleted_us=now_us(connection))
    )


def start_run(
    connection: Connection,
    principal: Principal,
    deployment_id: str,
    request: wire.DeploymentRunRequest,
    *,
    networks: Sequence[Network] = (),
) -> wire.Run:
    """Start a run of a deployment; what the request names wins over the deployment.

    Raises:
        NotFound: the key reaches no such deployment; else see `starting.create`.
    """
    deployment = _require(connection, principal, deployment_id)
    if request.manual_upstream_integration and request.batch_id is None and not request.input_dir:
        raise InvalidRequest(
            "manual_upstream_integration cannot be used: Longshore's deployments have no upstream "
            "integration yet. Send batch_id or input_dir."
        )
    app = catalogue.get_app(connection, deployment.app_id)
    own = run_settings.checked(request.settings, networks)
    plan = Plan(
        app=app,
        version=catalogue.find_version(connection, app, request.version or deployment.version),
        settings=own.over(run_settings.load(deployment.settings)),
        batch_id=request.batch_id,
        input_dir=request.input_dir,
        output_workspace=request.output_workspace or deployment.output_workspace,
        output_dir=request.output_dir or deployment.output_dir,
        deployment_id=deployment.id,
    )
    return starting.start(connection, principal, plan)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long runs of a deployment are kept, and which parts of them are deleted then."""

    name: str
    kept_s: float
    parts: tuple[str, ...]


_PARTS: Final = {
    "delete_input": "input",
    "delete_output": "output",
    "delete_db_data": "results",
    "delete_logs": "logs",
}


def retentions(connection: Connection, organisation_id: str, *, limit: int) -> list[Retention]:
    """Return the deployments of an organisation that delete runs by themselves, oldest first."""
    rows = connection.execute(
        select(deployments)
        .where(
            deployments.c.organisation_id == organisation_id,
            deployments.c.retain_us.is_not(None),
            deployments.c.deleted_us.is_(None),
        )
        .order_by(deployments.c.id)
        .limit(limit)
    ).mappings()
    return [
        Retention(
            row["name"],
            row["retain_us"] / SECOND_US,
            tuple(word for column, word in _PARTS.items() if row[column]),
        )
        for row in rows
    ]


def _require(connection: Connection, principal: Principal, deployment_id: str) -> Deployment:
    row = connection.execute(
        select(*_COLUMNS).where(
            deployments.c.id == deployment_id,
            deployments.c.organisation_id == principal.organisation_id,
            deployments.c.deleted_us.is_(None),
        )
    ).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no deployment {deployment_id[:80]!a} for this key. Check the id, or list "
            "the deployments to see which there are."
        )
    return _deployment(row)


def _changed_settings(
    connection: Connection,
    present: Deployment,
    sent: wire.RunSettings | None,
    networks: Sequence[Network],
) -> str:
    """Return the new settings; a webhook that they leave out stays, for nobody can read it back."""
    settings = run_settings.lasting(sent, networks)
    secrets.check_known(connection, present.organisation_id, settings.secrets)
    if sent is not None and "webhook_config" not in sent.model_fields_set:
        settings = replace(settings, webhook=run_settings.load(present.settings).webhook)
    return settings.text()


def _check_output(principal: Principal, workspace: str | None, folder: str | None) -> None:
    """Refuse an output that every run of the deployment would fail on."""
    if workspace is not None:
        naming.checked_workspace(checked_name(workspace, "workspace"))
    if folder is not None:
        parsed = naming.parse_drive_path(folder)
        scopes.check_reach(principal, parsed)
        batches.refuse_folder(parsed)


def _retention(retention: deployments_wire.Retention) -> dict[str, Any]:
    parts = retention.model_dump(exclude={"after_s"})
    return {"retain_us": to_us(retention.after_s), **parts}


def _shown(connection: Connection, deployment: Deployment) -> deployments_wire.Deployment:
    app = catalogue.get_app(connection, deployment.app_id)
    settings = run_settings.load(deployment.settings)
    retention = None
    if deployment.retain_us is not None:
        retention = deployments_wire.Retention(
            after_s=deployment.retain_us / SECOND_US,
            delete_db_data=deployment.delete_db_data,
            delete_input=deployment.delete_input,
            delete_output=deployment.delete_output,
            delete_logs=deployment.delete_logs,
        )
    return deployments_wire.Deployment(
        id=deployment.id,
        name=deployment.name,
        app_id=app.id,
        app_name=app.name,
        owner=app.owner,
        version=deployment.version,
        output_workspace=deployment.output_workspace,
        output_dir=deployment.output_dir,
        settings=settings.shown(),
        webhook_host=None if settings.webhook is None else settings.webhook.host,
        retention=retention,
        created_at_ms=deployment.created_us // 1_000,
        updated_at_ms=deployment.updated_us // 1_000,
    )


def _deployment(row: Row[Any]) -> Deployment:
    return Deployment(**row._asdict())
