"""Runs that are under way, played through to their ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.surfaces.scripts.definition.model import Order
from longshore.surfaces.scripts.planning.forecasting import (
    FLOOR_S,
    LiveStep,
    continuation,
    percent,
)
from longshore.surfaces.scripts.planning.simulating import Outcome, Plan, Task, simulate

GLOBAL = Order()


@st.composite
def nights(draw: st.DrawFn) -> list[Task]:
    """Return tasks on two hosts with durations of whole seconds."""
    made: list[Task] = []
    for number in range(draw(st.integers(1, 20))):
        earlier = [task.name for task in made]
        made.append(
            Task(
                name=f"s{number}",
                host=draw(st.sampled_from(["h1", "h2"])),
                duration_s=draw(st.integers(1, 40)),
                before=tuple(draw(st.lists(st.sampled_from(earlier), max_size=3)) if made else ()),
            )
        )
    return made


def seen_at(moment_s: float, tasks: list[Task], outcome: Outcome) -> list[LiveStep]:
    """Return what a look at a simulated run would show at a moment."""
    steps: list[LiveStep] = []
    for task in tasks:
        ready_s = max((outcome.ends[each] for each in task.before), default=0.0)
        step = LiveStep(task.name, task.host, "waiting", task.duration_s, before=task.before)
        if outcome.ends[task.name] <= moment_s:
            step = LiveStep(task.name, None, "over", 0.0, before=task.before)
        elif outcome.starts[task.name] <= moment_s:
            elapsed_s = moment_s - outcome.starts[task.name]
            step = LiveStep(task.name, task.host, "running", task.duration_s, elapsed_s=elapsed_s)
        elif ready_s <= moment_s:
            step = LiveStep(
                task.name, task.host, "queued", task.duration_s, queued_s=moment_s - ready_s
            )
        steps.append(step)
    return steps


@given(nights(), st.integers(1, 3), st.floats(0, 1))
def test_a_run_is_over_when_it_was_said_at_whatever_second_one_looks(
    tasks: list[Task], slots: int, part: float
) -> None:
    workers = {"h1": slots, "h2": 1}
    outcome = simulate(Plan.of(tasks, GLOBAL), workers)
    moment_s = float(int(part * outcome.makespan_s))
    rest = continuation(seen_at(moment_s, tasks, outcome), GLOBAL, workers)
    assert rest.remaining_s == outcome.makespan_s - moment_s
    for name, estimate in rest.steps.items():
        if estimate.ends_s is not None:
            assert moment_s + estimate.ends_s == outcome.ends[name]
    assert rest.chain_s <= rest.remaining_s
    assert any(estimate.critical for estimate in rest.steps.values()) == (rest.chain_s > 0)


def test_a_step_that_runs_over_is_expected_to_take_the_floor_and_its_overrun_is_told() -> None:
    late = LiveStep("late", "h", "running", 30.0, elapsed_s=45.0)
    assert (late.remaining_s, late.overrun_s, late.progress) == (FLOOR_S, 15.0, 99)
    short = LiveStep("short", "h", "running", 0.2, elapsed_s=0.1)
    assert (short.remaining_s, short.overrun_s, short.progress) == (0.2, 0.0, 50)
    queued = LiveStep("queued", "h", "queued", 30.0, queued_s=99.0)
    assert (queued.remaining_s, queued.overrun_s, queued.progress) == (30.0, 0.0, 0)


def test_progress_stays_below_a_hundred_until_the_end() -> None:
    assert [percent(elapsed, 10.0) for elapsed in (0.0, 5.0, 9.99, 10.0, 500.0)] == [
        0, 50, 99, 99, 99,
    ]  # fmt: skip
    assert percent(3.0, 0.0) == 99


@pytest.mark.parametrize(("holds", "stuck"), [(True, ("held", "behind")), (False, ())])
def test_what_is_on_hold_is_stuck_or_taken_as_resumed(holds: bool, stuck: tuple[str, ...]) -> None:
    steps = [
        LiveStep("free", "h", "running", 10.0),
        LiveStep("held", "h", "queued", 10.0, held=True),
        LiveStep("behind", "h", "waiting", 10.0, before=("held",)),
        LiveStep("goes on", "h", "running", 4.0, held=True),
    ]
    rest = continuation(steps, GLOBAL, {"h": 3}, holds=holds)
    assert rest.stuck == stuck
    assert rest.remaining_s == (10.0 if holds else 20.0)


def test_what_waits_for_a_failed_step_is_stuck_even_if_holds_are_lifted() -> None:
    steps = [
        LiveStep("failed", None, "over", 0.0),
        LiveStep("needs it", "h", "waiting", 10.0, before=("failed",), blocked=True),
        LiveStep("behind", "h", "waiting", 10.0, before=("needs it",)),
    ]
    assert continuation(steps, GLOBAL, {"h": 1}, holds=False).stuck == ("needs it", "behind")


def test_a_ready_step_keeps_its_place_under_a_concurrency_key() -> None:
    steps = [
        LiveStep("ready", "h", "queued", 10.0, keys=(("db", 1),)),
        LiveStep("long", "h", "waiting", 90.0, keys=(("db", 1),)),
    ]
    rest = continuation(steps, GLOBAL, {"h": 2})
    assert (rest.steps["ready"].starts_s, rest.steps["long"].starts_s) == (0.0, 10.0)


def test_steps_of_other_runs_take_slots_and_are_not_told_of() -> None:
    steps = [
        LiveStep("own", "h", "waiting", 10.0),
        LiveStep("work 1", "h", "running", 30.0, foreign=True),
    ]
    rest = continuation(steps, GLOBAL, {"h": 1})
    assert (rest.remaining_s, rest.chain_s, list(rest.steps)) == (40.0, 10.0, ["own"])


def test_once_the_target_is_there_the_critical_path_is_the_global_one_again() -> None:
    local = Order(path="local", step="mart")
    mart = LiveStep("mart", "h", "queued", 5.0)
    other = LiveStep("other", "h", "queued", 50.0)
    before = continuation([mart, other], local, {"h": 1})
    assert [name for name, each in before.steps.items() if each.critical] == ["mart"]
    assert before.steps["other"].slack_s is None
    after = continuation([LiveStep("mart", None, "over", 0.0), other], local, {"h": 1})
    assert [name for name, each in after.steps.items() if each.critical] == ["other"]
