"""Runs that are played through on paper."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.planning import Night, nights
from longshore.surfaces.scripts.definition.model import Order
from longshore.surfaces.scripts.planning.simulating import (
    Outcome,
    Plan,
    Task,
    lower_bound,
    simulate,
)
from longshore.surfaces.scripts.planning.throttles import knee, sampled, try_throttles

GLOBAL = Order()
TWICE = 2.0


@st.composite
def works(draw: st.DrawFn, hosts: int = 3) -> list[Task]:
    """Return tasks on some hosts, with whole durations and now and then a key."""
    made: list[Task] = []
    for number in range(draw(st.integers(1, 25))):
        earlier = [task.name for task in made]
        keyed = draw(st.integers(0, 4)) == 0
        made.append(
            Task(
                name=f"s{number}",
                host=f"h{draw(st.integers(1, hosts))}",
                duration_s=draw(st.integers(0, 50)),
                before=tuple(draw(st.lists(st.sampled_from(earlier), max_size=3)) if made else ()),
                keys=(("key", draw(st.integers(1, 2))),) if keyed else (),
            )
        )
    return made


def most_at_once(outcome: Outcome, names: list[str]) -> int:
    """Return how many of these tasks ran at the same moment, at most; ends come before starts."""
    changes = Counter[tuple[float, int]]()
    for name in names:
        if outcome.ends[name] > outcome.starts[name]:
            changes[outcome.starts[name], 1] += 1
            changes[outcome.ends[name], 0] += 1
    running = most = 0
    for (_, begins), count in sorted(changes.items()):
        running += count if begins else -count
        most = max(most, running)
    return most


@given(works(), st.integers(1, 4), st.booleans())
def test_every_task_runs_once_after_what_it_waits_for_and_within_the_slots(
    tasks: list[Task], slots: int, by_path: bool
) -> None:
    plan = Plan.of(tasks, GLOBAL if by_path else None)
    outcome = simulate(plan, {"h1": slots, "h2": 1, "h3": 2})
    assert outcome.stuck == ()
    on_host: defaultdict[str, list[str]] = defaultdict(list)
    for task in tasks:
        on_host[str(task.host)].append(task.name)
        assert outcome.ends[task.name] - outcome.starts[task.name] == task.duration_s
        assert all(outcome.ends[each] <= outcome.starts[task.name] for each in task.before)
    for host, names in on_host.items():
        assert most_at_once(outcome, names) <= outcome.slots[host]
    tight = [task.name for task in tasks if ("key", 1) in task.keys]
    assert most_at_once(outcome, tight) <= 1
    assert outcome.makespan_s >= lower_bound(plan, outcome.slots) - 1e-9
    assert outcome == simulate(plan, {"h1": slots, "h2": 1, "h3": 2})


@given(works(hosts=1), st.integers(1, 5), st.booleans())
def test_equal_workers_never_take_twice_the_lower_bound(
    tasks: list[Task], workers: int, by_path: bool
) -> None:
    free = [Task(task.name, task.host, task.duration_s, task.before) for task in tasks]
    plan = Plan.of(free, GLOBAL if by_path else None)
    took_s = simulate(plan, {"h1": workers}).makespan_s
    assert took_s <= (TWICE - 1 / workers) * lower_bound(plan, {"h1": workers}) + 1e-9


def test_of_two_hundred_nights_the_critical_path_order_is_shorter_and_never_much_worse() -> None:
    began = time.perf_counter()
    found: list[Night] = list(nights(200))
    assert time.perf_counter() - began < 5.0
    assert len({night.first_come for night in found}) == 200
    assert median(night.critical_path for night in found) < 0.95 * median(
        night.first_come for night in found
    )
    assert max(night.gain for night in found) <= 1.05
    assert all(night.bound <= night.critical_path + 1e-6 for night in found)
    assert all(night.critical_path <= TWICE * night.bound for night in found)


def test_equals_run_in_the_order_in_which_they_were_ready_and_then_submitted() -> None:
    tasks = [
        Task("gate", "h", 5.0),
        Task("late", "h", 10.0, before=("gate",)),
        Task("second", "h", 15.0),
        Task("third", "h", 15.0),
    ]
    # gate and what follows it are as long as the two others, so all are equal at first.
    outcome = simulate(Plan.of(tasks, GLOBAL), {"h": 1})
    assert sorted(outcome.starts, key=lambda name: outcome.starts[name]) == [
        "gate",
        "second",
        "third",
        "late",
    ]


def test_the_event_of_the_lower_number_comes_first_whatever_its_path() -> None:
    tasks = [Task("long", "h", 90.0), Task("urgent", "h", 1.0, event_priority=10)]
    assert simulate(Plan.of(tasks, GLOBAL), {"h": 1}).starts == {"urgent": 0.0, "long": 1.0}


def test_local_order_hurries_the_target_and_costs_the_whole_run_time() -> None:
    tasks = [
        Task("load", "h", 60.0),
        Task("report", "h", 50.0, before=("load",)),
        Task("clean", "h", 5.0),
        Task("count", "h", 5.0),
        Task("mart", "h", 5.0, before=("clean", "count")),
    ]
    whole = simulate(Plan.of(tasks, GLOBAL), {"h": 1})
    hurried = simulate(Plan.of(tasks, Order(path="local", step="mart")), {"h": 1})
    assert (whole.ends["mart"], hurried.ends["mart"]) == (125.0, 15.0)
    two = [
        simulate(Plan.of(tasks, order), {"h": 2}).makespan_s
        for order in (GLOBAL, Order(path="local", step="mart"))
    ]
    assert two == [110.0, 115.0]


def test_what_is_held_or_has_no_worker_is_named_with_all_behind_it() -> None:
    tasks = [
        Task("free", "h", 5.0),
        Task("held", "h", 5.0, held=True),
        Task("behind", "h", 5.0, before=("held",)),
        Task("nowhere", "other", 5.0),
    ]
    outcome = simulate(Plan.of(tasks, GLOBAL), {"h": 1})
    assert outcome.stuck == ("held", "behind", "nowhere")
    assert outcome.makespan_s == 5.0
    assert (outcome.utilisation, outcome.idle_s) == (1.0, 0.0)


def test_a_running_step_keeps_its_slot_and_key_though_the_throttle_was_lowered() -> None:
    tasks = [
        Task("one", "h", 10.0, running=True, keys=(("db", 1),)),
        Task("two", "h", 20.0, running=True),
        Task("ready", "h", 5.0, submitted=True, ready_s=-30.0),
        Task("keyed", "other", 5.0, keys=(("db", 1),)),
    ]
    outcome = simulate(Plan.of(tasks, GLOBAL), {"h": 1, "other": 1})
    assert outcome.starts == {"one": 0.0, "two": 0.0, "keyed": 10.0, "ready": 20.0}


def test_one_worker_more_can_make_a_run_longer_and_it_is_said() -> None:
    # The only one of 200,000 random graphs of 6 to 11 steps that has it below six workers.
    waits: dict[str, tuple[float, tuple[str, ...]]] = {
        "s0": (1.0, ()),
        "s1": (2.0, ()),
        "s2": (6.0, ("s1", "s0")),
        "s3": (10.0, ()),
        "s4": (6.0, ()),
        "s5": (1.0, ()),
        "s6": (7.0, ()),
        "s7": (2.0, ("s5", "s1")),
        "s8": (5.0, ("s2",)),
        "s9": (4.0, ("s7", "s2")),
        "s10": (8.0, ("s3", "s9")),
    }
    tasks = [Task(name, "h", seconds, before) for name, (seconds, before) in waits.items()]
    trials = try_throttles(Plan.of(tasks, GLOBAL), range(1, 6), fixed={})
    assert [trial.makespan_s for trial in trials] == [52.0, 28.0, 20.0, 21.0, 20.0]
    assert [trial.throttle for trial in trials if trial.longer] == [4]
    assert knee(trials) == 3


def test_the_knee_is_the_fewest_workers_within_five_percent_of_the_best() -> None:
    tasks = [Task(f"s{number}", "h", 10.0) for number in range(12)] + [Task("far", "remote", 41.0)]
    trials = try_throttles(Plan.of(tasks, GLOBAL), range(1, 7), fixed={"remote": 1})
    assert [trial.makespan_s for trial in trials] == [120.0, 60.0, 41.0, 41.0, 41.0, 41.0]
    assert knee(trials) == 3
    assert trials[0].slots == {"h": 1, "remote": 1}
    assert trials[0].idle_s == pytest.approx(120.0 - 41.0)
    assert not any(trial.longer for trial in trials)
    assert knee([]) is None


def test_sampled_durations_are_those_of_the_history_and_the_same_for_the_same_seed() -> None:
    plan = Plan.of([Task("known", "h", 10.0), Task("new", "h", 60.0)], GLOBAL)
    history = {"known": (5.0, 10.0, 15.0)}
    drawn = sampled(plan, history, count=50, seed=7)
    assert (
        drawn
        == sampled(plan, history, count=50, seed=7)
        != sampled(plan, history, count=50, seed=8)
    )
    assert {known for known, _ in drawn} == {5.0, 10.0, 15.0}
    assert {new for _, new in drawn} == {60.0}
    (trial,) = try_throttles(plan, [1], fixed={}, samples=drawn)
    assert (trial.makespan_s, trial.high_s) == (70.0, 75.0)
