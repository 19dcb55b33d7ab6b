"""Schedules in a browser: the calendar, backfill with its preview, events and flags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from longshore import Client
from tests.acceptance.harness import Server
from tests.browser.rig import Visitor, picture
from tests.browser.workflows_rig import ATTACK, CLOSING, Plant, plant_of, say_yes


@pytest.fixture
def plant(server: Server, tmp_path: Path) -> Iterator[Plant]:
    made = plant_of(server, tmp_path)
    made.apply(
        {"load": made.step(), "report": made.step("load")},
        calendar={"holidays": ["2027-01-01", "2027-01-06"]},
        triggers={
            "events": [{"name": made.name, "parallel": 0}],
            "schedules": [
                {
                    "cron": "30 2 * * *",
                    "time_zone": "Europe/Berlin",
                    "days": "working",
                    "business_date": "previous_working_day",
                },
                {"cron": "0 18 * * 5L", "missed": "none"},
            ],
        },
    )
    yield made
    made.user.close()


def test_schedules_are_told_in_words_with_their_instants_in_utc_and_there(
    visitor: Visitor, plant: Plant
) -> None:
    page = visitor.open("/ui/schedules")
    rows = page.get_by_role("row").filter(has_text=plant.name)
    expect(rows).to_have_count(2)
    berlin = rows.filter(has_text="Europe/Berlin")
    expect(berlin).to_contain_text("at 02:30 every day, working days only")
    expect(berlin).to_contain_text(re.compile(r"02:30 CES?T"))
    expect(rows.filter(has_text="the last Friday of the month")).to_contain_text("none is run")
    picture(page, "schedules", whole=False)


def test_a_month_is_a_table_with_holidays_runs_and_what_is_to_come(
    visitor: Visitor, server: Server, plant: Plant
) -> None:
    run_id = plant.run_for("2027-01-07")
    page = visitor.open(f"/ui/schedules/calendar?workflow={plant.name}&month=2027-01")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{plant.name} in January 2027")
    expect(page.get_by_role("columnheader")).to_have_text(
        ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    )
    cells = page.get_by_role("cell")
    expect(cells.filter(has=page.locator("time[datetime='2027-01-06']"))).to_contain_text("holiday")
    # The run of Thursday is for Tuesday: Wednesday is a holiday.
    tuesday = cells.filter(has=page.locator("time[datetime='2027-01-05']"))
    expect(tuesday).to_contain_text("02:30, Thu 07")
    thursday = cells.filter(has=page.locator("time[datetime='2027-01-07']"))
    expect(thursday.get_by_role("link", name=f"run {run_id} running")).to_be_visible()
    page.evaluate("window.here = 'still'")
    plant.user.ask("POST", f"/coreauto/v1/runs/{run_id}/cancel", json={"reason": "a test"})
    expect(thursday.get_by_role("link", name=f"run {run_id} cancelled")).to_be_visible()
    assert page.evaluate("window.here") == "still"
    page.get_by_role("link", name="Earlier").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{plant.name} in December 2026")
    today = datetime.now(UTC).strftime("%Y-%m")
    page.goto(f"{server.url}/ui/schedules/calendar?workflow={plant.name}&month={today}")
    picture(page, "calendar", whole=False)


def test_a_backfill_says_what_it_would_start_before_it_starts_anything(
    visitor: Visitor, server: Server, plant: Plant
) -> None:
    plant.run_for("2027-01-07")
    page = visitor.open("/ui/schedules/backfill")
    page.get_by_label("Workflow").select_option(plant.name)
    page.get_by_label("First date").fill("2027-01-04")
    page.get_by_label("Last date").fill("2027-01-08")
    page.get_by_label("Days", exact=True).select_option("working")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("table")).to_contain_text("2027-01-04 2027-01-05 2027-01-08")
    expect(page.get_by_role("link", name="2027-01-07")).to_be_visible()
    runs = plant.user.get("/coreauto/v1/runs", workflow=plant.name)["runs"]
    assert len(runs) == 1
    say_yes(page, "Start 3 runs", f"the feed was late {ATTACK}", "Start them")
    page.wait_for_url(re.compile("trigger=backfill"))
    expect(page.get_by_role("row").filter(has_text=plant.name)).to_have_count(3)
    with Client(url=server.url, key=server.key) as client:
        (entry, *_) = client.audit(action="workflows.backfill", limit=1)
    assert (entry.detail or {})["reason"] == f"the feed was late {ATTACK}"


def test_an_event_is_posted_once_for_its_key_and_a_bad_payload_is_refused(
    visitor: Visitor, server: Server, plant: Plant
) -> None:
    page = visitor.open(f"/ui/schedules/events?name={plant.name}")
    for payload in ("{", '{"day": 1}', '{"day": 1}'):
        page.get_by_role("button", name="Post an event").click()
        dialog = page.locator("dialog[open]")
        dialog.get_by_label("Name").select_option(plant.name)
        dialog.get_by_label(re.compile("^Payload")).fill(payload)
        dialog.get_by_label(re.compile("^Idempotency key")).fill(CLOSING + plant.mark)
        dialog.get_by_label(re.compile("^Source")).fill(ATTACK)
        dialog.get_by_role("button", name="Post", exact=True).click()
        if payload == "{":
            expect(dialog.get_by_role("alert")).to_contain_text("is not JSON")
            page.keyboard.press("Escape")
            continue
        page.wait_for_url(re.compile(r"/ui/workflow-runs/\d+$"))
        page.goto(f"{server.url}/ui/schedules/events?name={plant.name}")
    row = page.get_by_role("row").filter(has_text=ATTACK)
    expect(row).to_have_count(1)
    expect(row).to_contain_text(CLOSING + plant.mark)
    expect(row).to_contain_text("9 B")
    expect(row).to_contain_text("pending")


def test_a_flag_is_set_and_cleared_with_its_reason(
    visitor: Visitor, server: Server, plant: Plant
) -> None:
    name = f"{CLOSING} {plant.mark}"
    page = visitor.open("/ui/schedules/flags")
    page.get_by_role("button", name="Set a flag").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_label("Business date").fill("2027-01-04")
    dialog.get_by_label(re.compile("^System that it is for")).fill(ATTACK)
    dialog.get_by_label(re.compile("^Why")).fill("by hand")
    dialog.get_by_role("button", name="Set it").click()
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text(ATTACK)
    row.get_by_role("button", name="Clear", exact=True).click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_label(re.compile("^Why")).fill("too early")
    dialog.get_by_role("button", name="Clear it").click()
    expect(row).to_have_count(0)
    with Client(url=server.url, key=server.key) as client:
        (entry,) = client.audit(action="flags.clear", target=name, limit=1)
    assert (entry.detail or {})["reason"] == "too early"
