"""A run as graph, Gantt chart and table: from what is known of it to what a template draws."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from longshore.clock import SECOND_US, to_us
from longshore.dashboard.formats import length
from longshore.dashboard.pages.workflow_runs.gantt import Chart, Span, Track, chart
from longshore.dashboard.pages.workflows.drawing import Face, Picture, picture
from longshore.engine.states import State
from longshore.surfaces.scripts.board import RunStep
from longshore.surfaces.scripts.planning.forecasting import Estimate
from longshore.surfaces.scripts.timelines import Attempt, Timeline
from longshore.surfaces.scripts.viewing import why_step

_WAIT_S: Final = 0.05
"""Shorter waits are not drawn."""


@dataclass(frozen=True, slots=True)
class StepView:
    """A step of a run as a row of the table; times in microseconds UTC, lengths in seconds."""

    name: str
    kind: str
    status: str
    area: str
    host: str
    why: str
    href: str
    work_id: str | None
    attempts: int
    critical: bool
    forced: bool
    held: bool
    started_us: int | None
    finished_us: int | None
    expected_finish_us: int | None
    waited_s: float | None
    took_s: float | None
    expected_s: float
    no_history: bool
    slack_s: float | None
    progress: int | None
    exit_code: int | None


def graph(timeline: Timeline, chosen: str | None) -> Picture | None:
    """Draw the definition's graph with the states of this run; a matrix is one node."""
    seen = timeline.seen
    rows = {row.definition: row for row in seen.steps.values() if row.parent_id is None}
    told = Counter[tuple[str, str]]()
    for row in seen.steps.values():
        if row.parent_id is not None:
            told[row.definition, seen.status(row)] += 1
    faces = {name: _face(timeline, row, told, chosen) for name, row in rows.items()}
    before = {name: seen.workflow.steps[name].depends_on for name in rows}
    return picture(before, faces)


def gantt(timeline: Timeline) -> Chart | None:
    """Draw the run over time: the steps that have begun by their beginnings, then what is expected."""
    tracks = [_track(timeline, row) for row in timeline.seen.own()]
    tracks.sort(key=lambda track: track.spans[0].from_us if track.spans else 0)
    return chart(tracks, None if timeline.over else timeline.rest.at_us)


def table(timeline: Timeline) -> list[StepView]:
    """Return all steps as rows, in the order of the definition."""
    return [view(timeline, row) for row in timeline.seen.steps.values()]


def view(timeline: Timeline, row: RunStep) -> StepView:
    """Return a step as a row."""
    rest, seen = timeline.rest, timeline.seen
    estimate = timeline.expected.stands.steps[row.folded]
    forecast = rest.forecasts[row.definition]
    had = timeline.attempts.get(row.id, ())
    started_us = _started_us(timeline, row)
    ready_us = timeline.ready_us(row)
    first_us = min((each.started_us for each in had if each.started_us), default=started_us)
    end_us = row.finished_us if row.settled else (rest.at_us if started_us else None)
    return StepView(
        name=row.name,
        kind=row.kind,
        status=seen.status(row),
        area=row.area,
        host=row.host,
        why=why_step(seen, row),
        href=f"?step={quote(row.name, safe='')}#step",
        work_id=row.work_id,
        attempts=row.attempts_before + seen.attempts.get(row.work_id or "", 0),
        critical=timeline.critical(row),
        forced=row.forced,
        held=seen.hold(row) is not None,
        started_us=started_us,
        finished_us=row.finished_us,
        expected_finish_us=_from_now(timeline, None if row.settled else estimate.ends_s),
        waited_s=_between(ready_us, first_us),
        took_s=_between(started_us, end_us) if row.kind == "step" else None,
        expected_s=forecast.seconds,
        no_history=forecast.no_history,
        slack_s=estimate.slack_s,
        progress=_progress(timeline, row, forecast.seconds),
        exit_code=had[-1].exit_code if had else None,
    )


def _face(
    timeline: Timeline, row: RunStep, told: Counter[tuple[str, str]], chosen: str | None
) -> Face:
    seen = timeline.seen
    status = seen.status(row)
    detail = status
    if row.kind == "matrix":
        counts = {word: count for (name, word), count in told.items() if name == row.definition}
        detail = (
            f"{counts.get('finished', 0)} of {sum(counts.values())} finished" if counts else status
        )
    elif status == "running":
        part = _progress(timeline, row, timeline.rest.forecasts[row.definition].seconds)
        detail = f"running {part} %"
    elif status == "finished" and (took := _between(row.started_us, row.finished_us)) is not None:
        detail = "forced ok" if row.forced else f"finished, {length(took)}"
    return Face(
        detail=detail,
        title=f"{row.name}: {status}; {why_step(seen, row)}",
        href=f"?step={quote(row.name, safe='')}#step",
        status=status,
        critical=timeline.critical(row),
        selected=chosen is not None and chosen.casefold() == row.folded,
    )


def _track(timeline: Timeline, row: RunStep) -> Track:
    rest = timeline.rest
    estimate = timeline.expected.stands.steps[row.folded]
    ready_us = timeline.ready_us(row)
    spans = [_attempted(row, each) for each in timeline.attempts.get(row.id, ())]
    started_us = _started_us(timeline, row)
    if timeline.seen.status(row, mark_holds=False) == "running" and started_us is not None:
        since = length((rest.at_us - started_us) / SECOND_US)
        spans.append(Span("running", started_us, rest.at_us, f"{row.name} runs for {since}"))
    spans += _forecast(timeline, row, estimate)
    first_us = spans[0].from_us if spans else rest.at_us
    if ready_us is not None and (spans or not row.settled):
        waited_s = (first_us - ready_us) / SECOND_US
        if waited_s > _WAIT_S:
            title = f"{row.name} waits for {length(waited_s)}"
            spans.insert(0, Span("wait", ready_us, first_us, title))
    return Track(row.name, f"?step={quote(row.name, safe='')}#step", timeline.critical(row), spans)


def _attempted(row: RunStep, attempt: Attempt) -> Span:
    # An attempt whose start was never told, since its worker was lost, is as short as can be.
    from_us = attempt.ended_us if attempt.started_us is None else attempt.started_us
    took = length((attempt.ended_us - from_us) / SECOND_US)
    code = "" if attempt.exit_code is None else f", exit code {attempt.exit_code}"
    title = (
        f"{row.name}, attempt {attempt.number} on {attempt.host}: {attempt.outcome}{code}, {took}"
    )
    return Span(_kind(attempt.outcome), from_us, attempt.ended_us, title)


def _kind(outcome: str) -> str:
    return {"success": "finished", "cancelled": "cancelled"}.get(outcome, "failed")


def _forecast(timeline: Timeline, row: RunStep, estimate: Estimate) -> list[Span]:
    if row.settled or estimate.ends_s is None or timeline.over:
        return []
    at_us = timeline.rest.at_us
    from_us = at_us + to_us(estimate.starts_s or 0.0)
    until_us = at_us + to_us(estimate.ends_s)
    title = f"{row.name} is expected to end in {length(estimate.ends_s)}"
    return [Span("forecast", from_us, until_us, title)]


def _started_us(timeline: Timeline, row: RunStep) -> int | None:
    work = timeline.seen.works.get(row.work_id or "")
    if work is not None and work.state is State.RUNNING:
        return work.started_us
    return row.started_us if row.settled else None


def _progress(timeline: Timeline, row: RunStep, expected_s: float) -> int | None:
    if row.kind != "step" or timeline.seen.status(row, mark_holds=False) != "running":
        return None
    started_us = _started_us(timeline, row)
    elapsed_s = _between(started_us, timeline.rest.at_us) or 0.0
    return min(int(100 * elapsed_s / expected_s), 99) if expected_s > 0 else 99


def _from_now(timeline: Timeline, seconds: float | None) -> int | None:
    return None if seconds is None else timeline.rest.at_us + to_us(seconds)


def _between(from_us: int | None, until_us: int | None) -> float | None:
    if from_us is None or until_us is None:
        return None
    return max((until_us - from_us) / SECOND_US, 0.0)
