"""The steps of a run as the dashboard shows them: where each is, and when it will be done."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection

from longshore.surfaces.scripts import estimates, viewing
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
