"""Workflows and their runs in a browser: live states, rerun, hold, what-if, versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from longshore import Client
from tests.acceptance.harness import Server
from tests.browser.rig import Visitor, picture
from tests.browser.workflows_rig import ATTACK, CLOSING, Plant, plant_of, say_yes


@pytest.fixture
def plant(server: Server, tmp_path: Path) -> Iterator[Plant]:
    made = plant_of(server, tmp_path)
    yield made
    made.user.close()


def node(page: Page, step: str) -> Locator:
    return page.locator(f"#node-{step}")


def reasons(server: Server, action: str) -> list[object]:
    with Client(url=server.url, key=server.key) as client:
        return [(each.detail or {}).get("reason") for each in client.audit(action=action, limit=20)]


def test_a_run_is_rerun_from_a_failed_step_and_every_state_is_seen_as_it_changes(
    visitor: Visitor, server: Server, plant: Plant
) -> None:
    plant.apply()
    plant.shut("load")
    plant.shut("download", kind="wait")
    with plant.workers():
        run_id = plant.start({"file": ATTACK})
        page = visitor.open(f"/ui/workflow-runs/{run_id}")
        page.evaluate("window.here = 'still'")
        expect(node(page, "download")).to_have_class(re.compile("running.*critical"))
        expect(node(page, "report")).to_contain_text("waiting")
        plant.open("download", kind="wait")
        expect(node(page, "load")).to_contain_text("failed")
        expect(page.get_by_role("definition").filter(has_text="failed").first).to_be_visible()
        node(page, "load").click()
        panel = page.get_by_role("region", name="load")
        expect(panel).to_contain_text("the gate is shut </pre><script>alert(2)</script>")
        expect(panel).to_contain_text(f"Loads {CLOSING}")
        page.evaluate("window.here = 'still'")
        plant.open("load")
        plant.shut("convert", kind="wait")
        say_yes(page, "Rerun from here", f"the file is there {ATTACK}")
        expect(node(page, "load")).to_contain_text("finished")
        expect(panel).to_contain_text('{"rows":12345678901234567890,')
        expect(node(page, "convert")).to_contain_text("running")
        expect(page.locator(".gantt .span.forecast").first).to_be_visible()
        plant.open("convert", kind="wait")
        expect(node(page, "report")).to_contain_text("finished")
        expect(page.locator(".figure").filter(has_text="State")).to_contain_text("finished")
        assert page.evaluate("window.here") == "still"
    # The chain that decided is told once all is over, and both attempts of the step are there.
    for step in ("check", "load", "convert", "report"):
        expect(node(page, step)).to_have_class(re.compile("critical"))
    expect(panel.get_by_role("row").filter(has_text="failure")).to_have_count(1)
    expect(panel.get_by_role("row").filter(has_text="success")).to_have_count(1)
    assert page.locator(".gantt .span.failed").count() == 1
    assert f"the file is there {ATTACK}" in reasons(server, "runs.rerun")


def test_a_run_and_a_step_are_held_resumed_skipped_and_cancelled_with_reasons(
    visitor: Visitor, server: Server, plant: Plant
) -> None:
    plant.apply()
    run_id = plant.start()
    page = visitor.open(f"/ui/workflow-runs/{run_id}")
    say_yes(page, "Hold", f"month end {ATTACK}")
    expect(page.get_by_text(f"month end {ATTACK}").first).to_be_visible()
    expect(node(page, "download")).to_contain_text("hold")
    say_yes(page, "Resume", "it is over")
    expect(node(page, "download")).to_contain_text("ready")
    page.goto(f"{server.url}/ui/workflow-runs/{run_id}?step=rates")
    panel = page.get_by_role("region", name="rates")
    page.get_by_role("button", name="Skip", exact=True).click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_role("button", name="Skip the step").click()
    expect(dialog).to_be_visible()  # It asks for a reason first.
    dialog.get_by_label("Why").fill("the rates of yesterday do")
    dialog.get_by_role("button", name="Skip the step").click()
    expect(panel.get_by_role("heading", name="rates")).to_contain_text("skipped")
    page.get_by_role("button", name="Order", exact=True).click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_label("Needed soon").select_option("sales")
    dialog.get_by_role("button", name="Order").click()
    expect(page.get_by_text("what leads to sales first", exact=True)).to_be_visible()
    say_yes(page, "Cancel", "nobody needs it", "Cancel the run")
    expect(page.locator(".figure").filter(has_text="State")).to_contain_text("cancelled")
    assert "nobody needs it" in reasons(server, "runs.cancel")
    assert "the rates of yesterday do" in reasons(server, "runs.skip")


def test_throttles_are_tried_side_by_side_and_nothing_is_changed(
    visitor: Visitor, plant: Plant
) -> None:
    plant.apply()
    run_id = plant.start()
    page = visitor.open(f"/ui/workflow-runs/{run_id}")
    page.get_by_role("link", name="Simulate").click()
    page.get_by_label(re.compile("^Throttles")).fill("1, 2-3")
    page.get_by_role("button", name="Simulate").click()
    rows = page.get_by_role("table").get_by_role("row")
    expect(rows).to_have_count(4)
    # With one slot each waits for the slot of another; with two the critical path decides.
    expect(rows.nth(1)).to_contain_text("8 min")
    expect(rows.nth(2)).to_contain_text("6 min")
    expect(rows.nth(2)).to_contain_text("download → check → load → convert")
    expect(rows.nth(1)).to_contain_text("⇢")
    assert "throttles=1%2C+2-3" in page.url


def test_a_workflow_is_started_from_its_page_with_a_payload_that_is_checked(
    visitor: Visitor, server: Server, plant: Plant
) -> None:
    plant.apply()
    plant.apply({**plant.steps(), "archive": plant.step("load")})
    page = visitor.open(f"/ui/workflows?name={plant.name}")
    row = page.get_by_role("row").filter(has_text=plant.name)
    expect(row).to_contain_text(f"Brings the sales of the day {ATTACK}")
    row.get_by_role("link", name=plant.name).click()
    page.get_by_role("button", name="Start a run").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_label(re.compile("^Payload")).fill('{"day": NaN}')
    dialog.get_by_label("Business date").fill("2026-11-02")
    dialog.get_by_role("button", name="Start", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("NaN is not JSON")
    dialog.get_by_label(re.compile("^Payload")).fill(f'{{"n": 1e2, "day": "{ATTACK}"}}')
    dialog.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(re.compile(r"/ui/workflow-runs/\d+$"))
    expect(page.get_by_text("2026-11-02", exact=True)).to_be_visible()
    expect(page.locator("pre.verbatim").last).to_contain_text(ATTACK)
    page.goto(f"{server.url}/ui/workflows/{plant.name}/versions")
    expect(page.get_by_role("row").filter(has_text="steps.archive")).to_contain_text("added")
    page.goto(f"{server.url}/ui/workflows/{plant.name}")
    expect(page.locator("#node-archive")).to_be_visible()
    say_yes(page, "Hold", "until the new disks are in")
    expect(page.get_by_text("until the new disks are in").first).to_be_visible()
    assert "until the new disks are in" in reasons(server, "workflows.hold")


def test_the_pages_can_be_read_on_a_phone_in_the_dark_and_by_the_keyboard(
    visit: Callable[..., Visitor], server: Server, plant: Plant
) -> None:
    plant.apply(triggers={"schedules": [{"cron": "0 3 * * *"}], "events": [{"name": plant.name}]})
    run_id = plant.start()
    visitor = visit(server, phone=True, dark=True)
    page = visitor.sign_in(server.key)
    for path in (
        "/ui/workflows", f"/ui/workflows/{plant.name}", f"/ui/workflow-runs/{run_id}?step=load",
        "/ui/workflow-runs", f"/ui/workflow-runs/{run_id}/simulate", "/ui/schedules",
        f"/ui/schedules/calendar?workflow={plant.name}", "/ui/schedules/backfill",
        "/ui/schedules/events", "/ui/schedules/flags", "/ui/hosts",
        f"/ui/hosts/{plant.host('etl')}",
    ):  # fmt: skip
        page.goto(server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.goto(f"{server.url}/ui/workflow-runs/{run_id}")
    node(page, "check").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="check")).to_be_visible()


def test_pictures_of_workflows_with_runs_of_every_kind(visitor: Visitor, plant: Plant) -> None:
    plant.description = "Brings the sales of the day into the marts."
    plant.apply(triggers={
        "schedules": [{"cron": "30 2 * * *", "time_zone": "Europe/Berlin", "days": "working"}],
        "events": [{"name": plant.name, "parallel": 9}],
    })  # fmt: skip
    with plant.workers(slots=4):
        for _ in range(2):
            plant.user.finish(plant.start())
        plant.shut("stock")
        plant.user.over(plant.start())
        plant.shut("sales", kind="wait")
        last = plant.start()
        page = visitor.open(f"/ui/workflows?name={plant.name}")
        bars = page.get_by_role("row").filter(has_text=plant.name).locator(".bars rect")
        expect(bars).to_have_count(4)
        expect(page.locator(".bars rect.finished")).to_have_count(2)
        expect(page.get_by_role("row").filter(has_text=plant.name)).to_contain_text("66.7 %")
        picture(page, "workflows", whole=False)
        page.get_by_role("link", name=plant.name).click()
        expect(page.locator("#node-report")).to_contain_text(plant.host("mart"))
        picture(page, "workflow", whole=False)
        page.goto(f"{plant.server.url}/ui/workflow-runs/{last}")
        expect(node(page, "sales")).to_contain_text("running")
        expect(node(page, "stock")).to_contain_text("failed")
        page.set_viewport_size({"width": 1360, "height": 1050})
        picture(page, "workflow-run", whole=False)
        plant.open("sales", kind="wait")
