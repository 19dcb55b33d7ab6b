"""Runs as the dashboard lists and shows them."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from longshore.access import Role
from longshore.access.roles import Principal
from longshore.engine.insights import Counts
from longshore.errors import InvalidRequest
from longshore.surfaces.apps import runs, tabular, viewing
from longshore.surfaces.apps.results import EVERYTHING
from longshore.surfaces.apps.viewing import Filter
from longshore.wire.payloads import AppDocument, AppField, AppPayload, AppResult
from tests.surfaces.apps_rig import Platform


def principal(apps: Platform, workspace: str | None = None) -> Principal:
    return Principal(
        key_id="ky_test",
        key_name="test",
        organisation_id=apps.organisation_id,
        organisation_name="local",
        workspace_id=workspace,
        workspace_name=workspace,
        role=Role.ADMIN,
    )


def shown(apps: Platform, wanted: Filter = Filter(), **more: Any) -> list[str]:  # noqa: B008
    rows, _ = apps.database.read_blocking(
        viewing.listing, principal(apps), wanted, limit=50, **more
    )
    return [row.run.id for row in rows]


async def test_runs_are_listed_by_key_and_filtered(apps: Platform) -> None:
    apps.offer("1.0.0")
    apps.offer("1.0.0", name="Other App")
    made = []
    for name in ("Meal Receipt", "Other App", "Meal Receipt"):
        apps.clock.advance(1)
        batch_id = await apps.batch("a.jpg", "b.jpg")
        made.append((await apps.start(batch_id=batch_id, app_name=name))["id"])
    newest = list(reversed(made))
    assert shown(apps) == newest
    rows, more = apps.database.read_blocking(viewing.listing, principal(apps), Filter(), limit=2)
    assert ([row.run.id for row in rows], more) == (newest[:2], True)
    assert rows[0].counts == Counts(2, 0, 0, 0, 2, {"queued": 2})
    last = rows[-1].run
    assert shown(apps, before=(last.started_us, last.id)) == newest[2:]
    assert shown(apps, Filter(app="Other App")) == [made[1]]
    assert shown(apps, Filter(text="other")) == [made[1]]
    assert shown(apps, Filter(text="%")) == []
    assert shown(apps, Filter(text=made[0])) == [made[0]]
    assert shown(apps, Filter(text=str(last.batch_id))) == [last.id]
    assert shown(apps, Filter(state="RUNNING", workspace="personal")) == newest
    apps.work()
    await apps.jobs()
    assert shown(apps, Filter(state="RUNNING")) == []
    assert shown(apps, Filter(state="review")) == newest
    found = apps.database.read_blocking(
        viewing.listing, principal(apps, "elsewhere"), Filter(), limit=50
    )
    assert found == ([], False)
    with pytest.raises(InvalidRequest, match="no state"):
        shown(apps, Filter(state="gone"))


async def test_the_files_of_a_run_are_shown_with_their_documents(apps: Platform) -> None:
    def worker(payload: AppPayload) -> AppResult | Exception:
        if payload.file.name == "b.jpg":
            return ValueError("torn")
        field = AppField(name="total", value="1", confidence=0.1)
        return AppResult(documents=[AppDocument(fields=[field])], review_below=0.5)

    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", "b.jpg", worker=worker)
    run = apps.database.read_blocking(runs.require, principal(apps), run_id)
    (good, bad), more = apps.database.read_blocking(viewing.files, run, limit=2)
    assert (good.state, bad.state, more) == ("success", "failure", False)
    assert [(each.name, each.state, each.fields) for each in good.documents] == [
        ("0-0", "needs_review", 1)
    ]
    assert bad.error == "ValueError: torn"
    first, more = apps.database.read_blocking(viewing.files, run, limit=1)
    assert ([each.file.name for each in first], more) == (["a.jpg"], True)
    assert apps.database.read_blocking(viewing.troubled, run, limit=5) == [bad]
    counts = Counts(4, 1, 0, 0, 3)
    progress = apps.database.read_blocking(viewing.progress, run, counts)
    assert (progress.ended, progress.submitted, progress.left_s) == (1, 4, None)


async def test_what_is_deleted_of_a_run_is_told_when_it_is_gone(apps: Platform) -> None:
    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg")
    assert apps.database.read_blocking(viewing.gone, principal(apps), run_id) == []
    await apps.client.delete(f"/api/v2/apps/runs/{run_id}")
    parts = apps.database.read_blocking(viewing.gone, principal(apps), run_id)
    assert {part.part: part.state for part in parts}["db_data"] == "success"
    await apps.jobs()
    parts = apps.database.read_blocking(viewing.gone, principal(apps), run_id)
    assert {part.state for part in parts} == {"success"}


async def test_a_table_of_results_holds_no_formula(apps: Platform) -> None:
    def worker(payload: AppPayload) -> AppResult | Exception:
        if payload.file.name == "b.jpg":
            return ValueError("torn")
        fields = [
            AppField(name="sum", value="=1+1"),
            AppField(name="sum", value="-2"),
            AppField(name="file", value="@x"),
            AppField(name="plain", value='a "b",\nc'),
        ]
        return AppResult(documents=[AppDocument(fields=fields, class_name="+bill")])

    apps.offer("1.0.0")
    run_id = await apps.finished("a.jpg", "b.jpg", worker=worker)
    found = apps.database.read_blocking(
        runs.page_of_results, principal(apps), run_id, EVERYTHING, 0
    )
    rows = list(csv.DictReader(io.StringIO(tabular.text(found["files"]))))
    assert rows[0] == {
        "file": "a.jpg",
        "document": "0",
        "class": "'+bill",
        "review": "none",
        "error": "",
        "sum": "'=1+1",
        "sum_2": "-2",
        "field_file": "'@x",
        "plain": 'a "b",\nc',
    }
    assert (rows[1]["file"], rows[1]["error"]) == ("b.jpg", "ValueError: torn")


@pytest.mark.parametrize("number", ["-12.50", "+3", "-1,234.00", "-1.234,00", "12"])
def test_a_number_stays_a_number_in_a_table(number: str) -> None:
    assert tabular.harmless(number) == number


@pytest.mark.parametrize("formula", ["-1+1", "=1", "+A1", "-", "-12\n", "@x", "-2-cmd|'/C x'!A0"])
def test_a_formula_becomes_text_in_a_table(formula: str) -> None:
    assert tabular.harmless(formula) == f"'{formula}"
