"""A definition as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from longshore.surfaces.scripts.definition.model import (
    Flag,
    ScheduleTrigger,
    Status,
    Step,
    Triggers,
    Workflow,
)


def outline(workflow: Workflow) -> list[str]:
    """Return what starts a workflow, and its steps in the order in which they can run."""
    lines = [f"  {workflow.description}"] if workflow.description else []
    started = list(started_by(workflow.triggers))
    lines += ["Started by:", *(f"  {line}" for line in started or ["people only"])]
    lines += ["Steps:", *(f"  {_step(name, workflow.steps[name])}" for name in ordered(workflow))]
    return lines


def ordered(workflow: Workflow) -> list[str]:
    """Return the names of the steps so that each comes after those that it depends on."""
    left = list(workflow.steps)
    placed: list[str] = []
    while left:
        done = set(placed)
        ready = [name for name in left if done.issuperset(workflow.steps[name].depends_on)]
        assert ready, "a definition that was checked has no circle"
        placed += ready
        left = [name for name in left if name not in set(ready)]
    return placed


def describe_schedule(schedule: ScheduleTrigger) -> str:
    """Return a schedule in words."""
    days = "" if schedule.days == "all" else f", {schedule.days.replace('_', ' ')} days only"
    if schedule.days == "last_working_day_of_month":
        days = ", on the last working day of the month"
    date = "" if schedule.business_date == "same_day" else f", for the {_spaced(schedule)}"
    return f"{schedule.cron} ({schedule.time_zone}){days}{date}"


def _spaced(schedule: ScheduleTrigger) -> str:
    return schedule.business_date.replace("_", " ")


def started_by(triggers: Triggers) -> Iterator[str]:
    """Yield what starts runs besides people, a line for each."""
    for event in triggers.events:
        parts = [f"{event.parallel} at once" if event.parallel else "held (parallel is 0)"]
        parts.append(f"priority {event.priority}")
        if event.stop_on_error:
            parts.append("stops on error")
        yield f"event {event.name}: {', '.join(parts)}"
    for schedule in triggers.schedules:
        yield f"schedule {describe_schedule(schedule)}"
    for flags in triggers.flags:
        yield f"flags {' and '.join(_flag(flag) for flag in flags)} for one date"
    for other in triggers.workflows:
        yield f"workflow {other.name}, when a run has {other.on}"


def _flag(flag: Flag) -> str:
    systems = " ".join(each for each in (flag.source_system_name, flag.system_name) if each)
    return f"{flag.name} ({systems})" if systems else flag.name


def _step(name: str, step: Step) -> str:
    program = step.script if step.script is not None else " ".join(step.command or [])
    parts = [f"{name}: {program} on {step.host}"]
    if step.depends_on:
        parts.append(f"after {', '.join(step.depends_on)}")
    if step.area != "main":
        parts.append(f"area {step.area}")
    if step.matrix:
        parts.append(f"for each {' x '.join(step.matrix)}")
    if step.when:
        parts.append(f"if {len(step.when)} condition{'s' if len(step.when) > 1 else ''} hold")
    if step.retries.attempts:
        parts.append(f"{step.retries.attempts} retries")
    if step.status is not Status.ACTIVE:
        parts.append(step.status.value)
    return ", ".join(parts)
