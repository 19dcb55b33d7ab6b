"""What clients and the server say to each other about deployments, under /v2/apps/deployments.

All of it is Longshore's own: the AI Hub protocol has runs of deployments, but no way to make one.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from longshore.wire.apps import Answer, Name, RunSettings


class Retention(BaseModel):
    """(Longshore) What a deployment deletes by itself, `after_s` seconds after a run's end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after_s: float = Field(ge=0, le=100 * 365 * 86_400)
    delete_db_data: bool = True
    delete_input: bool = True
    delete_output: bool = True
    delete_logs: bool = True


class DeploymentRequest(BaseModel):
    """(Longshore) POST /v2/apps/deployments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    app_name: str | None = None
    app_id: str | None = None
    owner: str | None = None
    version: str | None = None
    """Pins a version; without it a run takes the highest production version of its day."""
    output_workspace: str | None = None
    output_dir: str | None = None
    settings: RunSettings | None = None
    """A run's own settings win over these, key by key; its webhook wins as a whole."""
    retention: Retention | None = None


class DeploymentChange(BaseModel):
    """(Longshore) PATCH /v2/apps/deployments/{deployment_id}: keys left out stay as they are.

    `settings` are replaced as a whole, but for a `webhook_config` that they leave out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name | None = None
    version: str | None = None
    output_workspace: str | None = None
    output_dir: str | None = None
    settings: RunSettings | None = None
    retention: Retention | None = None


class Deployment(Answer):
    """(Longshore) A configured, long-lived instance of an app."""

    id: str
    name: str
    app_id: str
    app_name: str
    owner: str
    version: str | None = None
    output_workspace: str | None = None
    output_dir: str | None = None
    settings: RunSettings | None = None
    webhook_host: str | None = None
    """Host that is told when a run of the deployment ends."""
    retention: Retention | None = None
    created_at_ms: int
    updated_at_ms: int


class DeploymentList(Answer):
    """GET /v2/apps/deployments."""

    deployments: list[Deployment]
