"""Keyword options that several methods share, and how the protocol spells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

from longshore.errors import InvalidRequest
from longshore.sdk._calls import without_none
from longshore.wire.apps import RunStatus
from longshore.wire.deployments import Retention


class RunOptions(TypedDict, total=False):
    """How to run an app; every key may be left out.

    Attributes:
        version: version of the app; default is the highest production version.
        keys: values for the app, any JSON (`InputFile.keys` in the app).
        tags: words to find the run by; 500 characters together.
        output_dir: folder on the drive that takes the run's output folder.
        output_workspace: workspace whose drive takes the output, instead of `output_dir`.
        generate_pdf: ask the app for a processed PDF of each document.
    """

    version: str | None
    keys: Mapping[str, Any] | None
    tags: Sequence[str] | None
    output_dir: str | None
    output_workspace: str | None
    generate_pdf: bool


class DeploymentChanges(RunOptions, total=False):
    """What to change of a deployment; what is left out stays as it is, None clears it.

    `keys`, `tags` and `generate_pdf` are replaced together: giving one clears the others.

    Attributes:
        name: its name, 1 to 255 characters.
        retention: what to delete by itself after a run's end; None keeps everything.
    """

    name: str
    retention: Retention | None


class RunFilters(TypedDict, total=False):
    """Which runs to list; what is given must all hold, what is left out does not matter.

    Attributes:
        app: display name of the app.
        app_id: id of the app.
        deployment_id: the deployment that the runs belong to.
        created_by: name of the key that started them.
        status: one status, or several of which one must hold.
        since: started at or after this time; default is 24 hours ago. A time without a zone is
            refused.
        until: started at or before this time; default is now.
        order: "newest" (default) or "oldest" first.
    """

    app: str | None
    app_id: str | None
    deployment_id: str | None
    created_by: str | None
    status: RunStatus | str | Sequence[RunStatus | str] | None
    since: datetime | None
    until: datetime | None
    order: str


_ORDERS = {"newest": "DESCENDING", "oldest": "ASCENDING"}


def run_body(options: RunOptions) -> dict[str, Any]:
    """Return the part of a run request that the options make."""
    tags = options.get("tags")
    return without_none(
        version=options.get("version"),
        output_dir=options.get("output_dir"),
        output_workspace=options.get("output_workspace"),
        settings=settings_body(
            keys=options.get("keys"), tags=tags, generate_pdf=options.get("generate_pdf", False)
        ),
    )


def settings_body(
    *,
    keys: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    generate_pdf: bool = False,
) -> dict[str, Any] | None:
    """Return the `settings` of a run or deployment, or None where there are none."""
    if isinstance(tags, str):
        raise InvalidRequest(
            f"tags must be a list of words, not the text {tags!r}; write [{tags!r}]."
        )
    settings = without_none(
        keys={"custom": dict(keys)} if keys else None,
        tags=list(tags) if tags else None,
        runtime_config={"generate_post_process_pdf": True} if generate_pdf else None,
    )
    return settings or None


_OF_SETTINGS = frozenset({"keys", "tags", "generate_pdf"})


def changes_body(changes: DeploymentChanges) -> dict[str, Any]:
    """Return the body that changes a deployment.

    Raises:
        InvalidRequest: there is nothing to change.
    """
    body: dict[str, Any] = {
        name: value for name, value in changes.items() if name not in _OF_SETTINGS
    }
    if _OF_SETTINGS & changes.keys():
        body["settings"] = settings_body(
            keys=changes.get("keys"),
            tags=changes.get("tags"),
            generate_pdf=changes.get("generate_pdf", False),
        )
    if "retention" in changes:
        body["retention"] = retention_body(changes["retention"])
    if not body:
        raise InvalidRequest("Nothing to change was given; name at least one value.")
    return body


def retention_body(retention: Retention | None) -> dict[str, Any] | None:
    """Return the form of a retention rule in a request."""
    return None if retention is None else retention.model_dump(mode="json")


def run_query(filters: RunFilters) -> dict[str, Any]:
    """Return the query of a listing of runs.

    Raises:
        InvalidRequest: a time has no zone, or `order` is neither "newest" nor "oldest".
    """
    order = filters.get("order", "newest")
    if order not in _ORDERS:
        raise InvalidRequest(f"order is {order!r}; give 'newest' or 'oldest'.")
    status = filters.get("status")
    statuses = [status] if isinstance(status, str) else list(status or ())
    return {
        "app_name": filters.get("app"),
        "app_id": filters.get("app_id"),
        "deployment_id": filters.get("deployment_id"),
        "username": filters.get("created_by"),
        "status": [str(item) for item in statuses] or None,
        "from_timestamp": _seconds("since", filters.get("since")),
        "to_timestamp": _seconds("until", filters.get("until")),
        "sort_by": "start_timestamp",
        "order": _ORDERS[order],
    }


def _seconds(label: str, moment: datetime | None) -> int | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidRequest(
            f"{label} is {moment}, a time without a zone. Give an aware one, such as "
            "datetime(2026, 11, 20, tzinfo=timezone.utc)."
        )
    return int(moment.astimezone(UTC).timestamp())
