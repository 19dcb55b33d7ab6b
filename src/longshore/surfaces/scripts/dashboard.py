"""The steps of a run as the dashboard shows them: where each is, when it will be done, its tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from longshore.surfaces.scripts import estimates, viewing
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.viewing import StepFilter

_COLUMNS: Final = ("on_critical_path", "estimated_start", "estimated_finish", "progress")
_SINCE: Final = ("expected_s", "elapsed_s", "overrun_s")


def steps(
    connection: Connection,
    organisation_id: str,
    run_id: int | str,
    wanted: StepFilter,
    *,
    with_estimates: bool = False,
) -> list[dict[str, Any]]:
    """Return the steps of a run; with their forecasts (`estimates.of_run`) where asked for.

    Raises:
        NotFound: there is no such run.
        InvalidRequest: there is no such status.
    """
    rows = viewing.steps(connection, organisation_id, run_id, wanted)
    if not with_estimates:
        return rows
    told = estimates.of_run(connection, organisation_id, run_id)["steps"]
    known = {each["name"]: each for each in told}
    return [
        {**row, **{column: known[row["name"]][column] for column in (*_COLUMNS, *_SINCE)}}
        for row in rows
    ]


def tree(
    connection: Connection, organisation_id: str, run_id: int | str, name: str
) -> dict[str, Any]:
    """Return what a step depends on and what depends on it, all the way, as rows with depths.

    A step that is reached in several ways is named once, at its greatest depth.
    """
    seen = viewing.see(connection, organisation_id, run_id)
    found = viewing.named(seen, name)
    before = {each: told.depends_on for each, told in seen.workflow.steps.items()}
    after: dict[str, list[str]] = {each: [] for each in before}
    for each, earlier in before.items():
        for one in earlier:
            after[one].append(each)
    rows = {fold(each.name): each for each in seen.steps.values()}

    def told(depths: Mapping[str, int]) -> list[dict[str, Any]]:
        return [
            {"name": each, "depth": depth, "status": seen.status(rows[fold(each)])}
            for each, depth in depths.items()
        ]

    return {
        "name": found.name,
        "status": seen.status(found),
        "before": told(_depths(found.definition, before)),
        "after": told(_depths(found.definition, after)),
    }


def _depths(start: str, edges: Mapping[str, Sequence[str]]) -> dict[str, int]:
    depths: dict[str, int] = {}
    level = [start]
    for depth in range(1, len(edges) + 1):
        level = list(dict.fromkeys(each for name in level for each in edges[name]))
        if not level:
            break
        depths |= dict.fromkeys(level, depth)
    return dict(sorted(depths.items(), key=lambda pair: pair[1]))
