"""One run: its graph with live states, its times, its steps, and the panel of one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import Response

from longshore.clock import SECOND_US
from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.dashboard.pages.workflow_runs import picturing
from longshore.surfaces.scripts import payloads, step_panels, timelines, viewing
from longshore.surfaces.scripts.planning.forecasting import percent
from longshore.surfaces.scripts.step_panels import Panel
from longshore.surfaces.scripts.timelines import Timeline

router = APIRouter(include_in_schema=False)
_PAYLOAD_CHARACTERS: Final = 20_000


@dataclass(frozen=True, slots=True)
class _Read:
    timeline: Timeline
    panel: Panel | None
    why: str
    payload: str


@router.get("/ui/workflow-runs/{run_id}")
async def show_run(run_id: str, call: Viewer, step: str = "") -> Response:
    """Show a run; with the name of a step, its panel too."""
    found = await call.read(_read, call.principal.organisation_id, run_id, step)
    timeline = found.timeline
    rows = picturing.table(timeline)
    chosen = None if found.panel is None else found.panel.row
    return templating.render(
        call,
        "workflows/run.html",
        run=timeline.rest.run,
        timeline=timeline,
        why=found.why,
        ahead=_ahead(timeline),
        counts=_counts(rows),
        areas=viewing.areas(timeline.seen),
        graph=picturing.graph(timeline, step or None),
        gantt=picturing.gantt(timeline),
        rows=rows,
        panel=found.panel,
        chosen=None if chosen is None else picturing.view(timeline, chosen),
        attempts=[] if chosen is None else timeline.attempts.get(chosen.id, []),
        payload=found.payload[:_PAYLOAD_CHARACTERS],
        payload_characters=len(found.payload),
        bad=any(row.status in ("failed", "cancelled") for row in rows),
    )


def _read(connection: Connection, organisation_id: str, run_id: str, step: str) -> _Read:
    timeline = timelines.of_run(connection, organisation_id, run_id)
    panel = step_panels.read(connection, timeline.seen, step) if step else None
    return _Read(
        timeline=timeline,
        panel=panel,
        why=viewing.why_run(connection, timeline.seen),
        payload=payloads.of_run(connection, organisation_id, timeline.rest.run.id),
    )


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is expected of the run; times in microseconds UTC, lengths in seconds.

    Attributes:
        progress: percent.
        finish_us: as things are, or None where it never is over as things are.
        resumed_us: with all holds lifted, where that differs.
        stuck: names of the steps that never start as things are.
    """

    elapsed_s: float
    progress: int | None
    finish_us: int | None
    resumed_us: int | None
    remaining_s: float | None
    chain_s: float
    stuck: list[str]


def _ahead(timeline: Timeline) -> Ahead:
    run, at_us = timeline.rest.run, timeline.rest.at_us
    stands, resumed = timeline.expected.stands, timeline.expected.resumed
    end_us = run.finished_us or at_us
    elapsed_s = 0.0 if run.started_us is None else max((end_us - run.started_us) / SECOND_US, 0.0)
    if timeline.over:
        return Ahead(elapsed_s, 100, run.finished_us, None, None, 0.0, [])
    stuck = [row.name for name, row in timeline.rest.rows.items() if name in set(stands.stuck)]
    remaining_s = None if stands.stuck else stands.remaining_s
    finish_us = None if remaining_s is None else at_us + round(remaining_s * SECOND_US)
    resumed_us = None
    if stands.stuck and not resumed.stuck:
        resumed_us = at_us + round(resumed.remaining_s * SECOND_US)
    progress = None if remaining_s is None else percent(elapsed_s, elapsed_s + remaining_s)
    return Ahead(elapsed_s, progress, finish_us, resumed_us, remaining_s, stands.chain_s, stuck)


def _counts(rows: list[picturing.StepView]) -> dict[str, int]:
    counts = dict.fromkeys(viewing.STATUSES, 0)
    for row in rows:
        if row.kind == "step":
            counts[row.status] += 1
    return {word: count for word, count in counts.items() if count}
