"""What decides how long a simulated run takes: results that are waited for, or slots."""

from __future__ import annotations

from longshore.surfaces.scripts.definition.model import Order
from longshore.surfaces.scripts.planning.chains import decisive
from longshore.surfaces.scripts.planning.simulating import Plan, Task, simulate


def chain(tasks: list[Task], **slots: int) -> list[tuple[str, bool]]:
    plan = Plan.of(tasks, Order())
    return [(link.name, link.queued) for link in decisive(plan, simulate(plan, slots))]


def test_with_slots_enough_the_critical_path_decides() -> None:
    tasks = [
        Task("a", "h", 1.0),
        Task("b", "h", 5.0, ("a",)),
        Task("c", "h", 2.0, ("a",)),
        Task("d", "h", 1.0, ("b", "c")),
    ]
    assert chain(tasks, h=4) == [("a", False), ("b", False), ("d", False)]


def test_with_one_slot_each_waits_for_the_slot_of_the_one_before() -> None:
    tasks = [Task("a", "h", 3.0), Task("b", "h", 2.0), Task("c", "h", 1.0)]
    assert chain(tasks, h=1) == [("a", False), ("b", True), ("c", True)]


def test_what_takes_no_time_is_passed_over_and_what_never_starts_is_left_out() -> None:
    tasks = [
        Task("a", "h", 2.0),
        Task("all", None, 0.0, ("a",)),
        Task("b", "h", 1.0, ("all",)),
        Task("held", "h", 9.0, held=True),
    ]
    assert chain(tasks, h=2) == [("a", False), ("b", False)]
    assert chain([Task("alone", "nowhere", 1.0)]) == []
