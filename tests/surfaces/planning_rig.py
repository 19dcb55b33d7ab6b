"""What tests of planning ask of a rig with runs: forecasts, simulations, durations."""

from __future__ import annotations

from typing import Any

from longshore.clock import SECOND_US
from longshore.surfaces.scripts import durations
from longshore.surfaces.scripts.definition.model import Step
from tests.surfaces.runs_rig import Runs

WEDNESDAY = 2


def remember(runs: Runs, workflow_id: str, step: str, *seconds: float, weekday: int = 2) -> None:
    """Store how long a step took before, the oldest first."""
    for each in seconds:
        runs.scripts.database.write_blocking(
            durations.record,
            runs.scripts.served.organisation.id,
            workflow_id,
            step,
            duration_us=round(each * SECOND_US),
            weekday=weekday,
        )


async def expected(runs: Runs, workflow_id: str, weekday: int = WEDNESDAY) -> durations.Forecast:
    found = await runs.scripts.database.read(
        durations.forecasts, workflow_id, {"Load": Step(host="host1")}, weekday=weekday
    )
    return found["Load"]


async def samples(runs: Runs, workflow_id: str, weekday: int = WEDNESDAY) -> tuple[float, ...]:
    found = await runs.scripts.database.read(durations.samples, workflow_id, weekday=weekday)
    return found["load"]


async def simulated(runs: Runs, name: str = "nightly", **body: Any) -> dict[str, Any]:
    told: dict[str, Any] = await runs.scripts.call("POST", f"/workflows/{name}/simulate", body=body)
    return told


async def forecast(runs: Runs, run_id: int) -> dict[str, Any]:
    told: dict[str, Any] = await runs.scripts.call("GET", f"/runs/{run_id}/forecast")
    return told


def by_name(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in told["steps"]}


async def throttle(runs: Runs, host: str, slots: int) -> None:
    told = await runs.scripts.client.post(
        f"/coreauto/v1/hosts/{host}/throttle", json={"throttle": slots}
    )
    assert told.status_code == 200, told.text
