"""The overview as it is answered, on both databases: what needs a person, and for whom."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import update

from longshore.access import Role, keys
from longshore.clock import ManualClock
from longshore.dashboard.access import COOKIE
from longshore.dashboard.pages import overview_needs
from longshore.engine import activity_census, queues, works
from longshore.errors import Unavailable
from longshore.storage import Database
from longshore.surfaces.scripts import hosts, scheduling, starting, workflows
from longshore.surfaces.scripts.tables import scripts_runs
from tests.unit.serving import Served, serving

WORKFLOW = """\
workflow: nightly
triggers:
  schedules:
    - {cron: '*/10 * * * *', missed: none}
steps:
  load: {script: load.py, host: host1}
"""


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as found:
        yield found


class Shown(NamedTuple):
    """A page, and what stands in its list of what needs a person: kind and title."""

    text: str
    needs: list[tuple[str, str]]


async def look(served: Served, token: str | None = None, path: str = "/") -> Shown:
    """Sign in and return the overview."""
    secret = token or served.first.token
    answer = await served.client.post("/ui/sign-in", data={"secret": secret, "next": "/"})
    assert answer.status_code == 303, answer.text
    cookies = {"Cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}
    shown = await served.client.get(path, headers=cookies)
    assert shown.status_code == 200, shown.text
    found = re.findall(
        r'<span class="badge [a-z]+">([^<]*)</span> <strong>([^<]*)</strong>', shown.text
    )
    return Shown(shown.text, found)


def do(served: Served, service: Any, *given: Any, **more: Any) -> Any:
    return served.database.write_blocking(service, *given, **more)


def failed_run(served: Served) -> int:
    """Return a run of a workflow that has failed."""
    organisation_id = served.organisation.id
    do(served, hosts.ensure, organisation_id, "host1", actor="a test")
    workflow = do(served, workflows.apply, organisation_id, WORKFLOW, actor="a test").workflow
    run_id = do(
        served, starting.start, organisation_id, workflow.id, trigger="manual", started_by="ann",
        payload=None, business_date="2026-11-20", actor="ann",
    )  # fmt: skip
    at_us = served.context.clock.now_us()
    end = update(scripts_runs).where(scripts_runs.c.id == run_id)
    do(served, lambda connection: connection.execute(end.values(state="failed", finished_us=at_us)))
    return int(run_id)


async def test_a_new_server_shows_what_to_do_first(served: Served) -> None:
    shown = await look(served)
    assert "Nothing has run here yet" in shown.text
    assert "data-chart" not in shown.text
    assert shown.needs == []


async def test_runs_that_failed_and_schedules_that_were_missed_need_a_person(
    served: Served, clock: ManualClock
) -> None:
    run_id = failed_run(served)
    clock.advance(3_600)
    do(served, scheduling.fire)
    shown = await look(served)
    assert ("failed run", f"nightly, run {run_id}") in shown.needs
    assert ("missed", "nightly") in shown.needs
    assert f'href="/ui/workflow-runs/{run_id}"' in shown.text
    clock.advance(8 * 86_400)
    kinds = {kind for kind, _ in (await look(served)).needs}
    assert not kinds & {"failed run", "missed"}


async def test_keys_that_expire_soon_are_told_to_admins(served: Served) -> None:
    organisation_id = served.organisation.id
    for name, days in (("soon", 3), ("later", 30)):
        do(
            served, keys.create, organisation_id, name=name, role=Role.WORKER,
            lifetime_s=days * 86_400,
        )  # fmt: skip
    assert (await look(served)).needs == [("key", "soon")]
    assert (await look(served, served.token(Role.OPERATOR))).needs == []


async def test_what_is_wrong_with_the_server_is_told_to_admins(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_needs, "LOW_DISK_BYTES", 1 << 60)
    served.app.state.health.failed("sweeper", Unavailable("The disk is gone."))
    served.app.state.health.failed("notices", ValueError("of another organisation"))
    shown = await look(served)
    assert sorted(kind for kind, _ in shown.needs) == ["background", "background", "low disk"]
    assert "The disk is gone." in shown.text
    assert "of another organisation" not in shown.text
    assert (await look(served, served.token(Role.DEVELOPER))).needs == []


async def test_figures_that_nobody_renews_are_told_of(served: Served, clock: ManualClock) -> None:
    queue_id = do(
        served, queues.ensure, organisation_id=served.organisation.id, surface="apps", name="a"
    )
    do(served, works.submit, [works.NewWork(queue_id=queue_id, payload=b"{}")], actor="ann")
    census = served.database.read_blocking(activity_census.take)
    do(served, activity_census.keep, census, took_us=5)
    assert [kind for kind, _ in (await look(served)).needs] == ["no worker"]
    clock.advance(600)
    shown = await look(served)
    assert ("background", "Works are not being counted") in shown.needs


async def test_nothing_of_another_organisation_is_shown(served: Served) -> None:
    failed_run(served)
    _, token = served.other_organisation()
    shown = await look(served, token)
    assert (shown.needs, "nightly" in shown.text) == ([], False)


@pytest.mark.parametrize("query", ["window=1y", "surface=%3Cscript%3E", "window=24h&surface=apps"])
async def test_addresses_that_name_nothing_show_something_all_the_same(
    served: Served, query: str
) -> None:
    failed_run(served)
    census = served.database.read_blocking(activity_census.take)
    do(served, activity_census.keep, census, took_us=5)
    shown = await look(served, path=f"/?{query}")
    assert "<script>" not in shown.text
    assert shown.text.count("data-chart=") == 5
