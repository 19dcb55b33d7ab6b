"""Processes as a person looks at them: the grid, failures by error, counts of large ones."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.engine import activity_census
from longshore.errors import NotFound
from longshore.surfaces.corpus import process_views
from longshore.surfaces.corpus import processes as stored
from longshore.surfaces.corpus.states import Activity
from tests.surfaces.processes_rig import Processes


def process_of(processes: Processes, made: Any) -> stored.Process:
    return processes.database.read_blocking(
        stored.get, processes.corpora.served.organisation.id, made["id"]
    )


def look(processes: Processes, made: Any) -> process_views.Look:
    return processes.database.read_blocking(
        process_views.look, processes.corpora.served.organisation.id, made["id"]
    )


def names(processes: Processes, made: Any, state: Activity | None = None) -> list[str | None]:
    """Return the names of the elements of all pages of the grid."""
    found: list[str | None] = []
    after = None
    while True:
        page = processes.database.read_blocking(
            process_views.grid,
            process_of(processes, made),
            run_id=None,
            state=state,
            after=after,
            limit=2,
        )
        found += [cell.name for cell in page.cells]
        after = page.after
        if after is None:
            return found


async def begun(processes: Processes, count: int = 5) -> tuple[Any, list[str]]:
    """Start a process; its first element is processed, the second failed, the third started."""
    pages = processes.pages(*[f"page {each}" for each in range(count)])
    made = await processes.start(queued=True)
    for place, word in enumerate(("processed", "error")):
        await processes.say(made, pages[place], "started")
        await processes.say(made, pages[place], word)
    await processes.say(made, pages[2], "started")
    return made, pages


async def test_the_grid_has_all_elements_in_their_order_or_those_in_a_state(
    processes: Processes,
) -> None:
    made, _ = await begun(processes)
    assert names(processes, made) == [f"page {each}" for each in range(5)]
    assert names(processes, made, Activity.PROCESSED) == ["page 0"]
    assert names(processes, made, Activity.ERROR) == ["page 1"]
    assert names(processes, made, Activity.QUEUED) == ["page 3", "page 4"]


async def test_a_process_is_told_with_its_counts_rate_and_configuration(
    processes: Processes,
) -> None:
    made, _ = await begun(processes)
    found = look(processes, made)
    assert found.counts == {
        Activity.PROCESSED: 1, Activity.ERROR: 1, Activity.STARTED: 1, Activity.QUEUED: 2,
    }  # fmt: skip
    assert found.counted
    assert found.rate > 0
    assert found.left_s is not None
    assert found.runs[0].configuration == [("scale", "2")]
    assert [task["slug"] for task in found.tasks]


async def test_failures_are_grouped_by_their_error(processes: Processes) -> None:
    made, pages = await begun(processes)
    await processes.say(made, pages[3], "started")
    await processes.say(made, pages[3], "error")
    (group,) = processes.database.read_blocking(process_views.failures, process_of(processes, made))
    assert group.count == 2
    assert [name for _, _, name in group.samples] == ["page 1", "page 3"]


async def test_a_large_process_is_counted_by_the_census(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_views, "COUNTED_ELEMENTS", 2)
    made, _ = await begun(processes)
    assert sum(look(processes, made).counts.values()) == 0
    census = processes.database.read_blocking(activity_census.take)
    processes.database.write_blocking(activity_census.keep, census, took_us=1)
    found = look(processes, made)
    assert not found.counted
    assert found.counts[Activity.QUEUED] == 2
    assert sum(found.counts.values()) == 5


async def test_processes_are_paged_from_the_newest_on(processes: Processes) -> None:
    processes.pages("page")
    made = [(await processes.create())["id"] for _ in range(3)]
    organisation_id = processes.corpora.served.organisation.id
    first = processes.database.read_blocking(
        process_views.listing, organisation_id, corpus_id=None, before=None, limit=2
    )
    assert [each.process.id for each in first] == made[:0:-1]
    rest = processes.database.read_blocking(
        process_views.listing, organisation_id, corpus_id=None, before=made[1], limit=2
    )
    assert [each.process.id for each in rest] == made[:1]


async def test_another_organisation_sees_nothing_of_it(processes: Processes) -> None:
    made, _ = await begun(processes)
    other, _ = processes.corpora.served.other_organisation()
    with pytest.raises(NotFound):
        processes.database.read_blocking(process_views.look, other.id, made["id"])
