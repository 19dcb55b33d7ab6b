"""Hosts in a browser: who serves them, what runs and waits there, holds and throttles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from longshore import Client
from tests.acceptance.harness import Server
from tests.browser.rig import Visitor, picture
from tests.browser.workflows_rig import ATTACK, Plant, plant_of, say_yes


@pytest.fixture
def plant(server: Server, tmp_path: Path) -> Iterator[Plant]:
    made = plant_of(server, tmp_path)
    yield made
    made.user.close()


def test_a_host_is_seen_at_work_held_released_and_throttled(
    visitor: Visitor, server: Server, plant: Plant
) -> None:
    plant.apply({name: plant.step() for name in ("first", "second", "third")})
    plant.shut("first", "second", "third", kind="wait")
    etl = plant.host("etl")
    page = visitor.open(f"/ui/hosts?name={plant.mark}")
    row = page.get_by_role("row").filter(has_text=etl)
    expect(row).to_contain_text("offline")
    page.evaluate("window.here = 'still'")
    with plant.workers(("etl",), slots=2):
        run_id = plant.start()
        expect(row).to_contain_text("online")
        expect(row).to_contain_text("2 of 2")
        expect(row.get_by_role("cell").nth(4)).to_have_text("1")
        assert page.evaluate("window.here") == "still"
        picture(page, "hosts", whole=False)
        row.get_by_role("link", name=etl).click()
        expect(page.get_by_role("link", name=str(run_id)).first).to_be_visible()
        expect(page.get_by_role("table").first.get_by_role("row")).to_have_count(3)
        picture(page, "host", whole=False)
        say_yes(page, "Hold", f"a disk is changed {ATTACK}")
        expect(page.get_by_text(f"a disk is changed {ATTACK}").first).to_be_visible()
        plant.open("first", "second", kind="wait")
        expect(page.get_by_text("Nothing runs here.")).to_be_visible()
        say_yes(page, "Resume", "it is changed")
        expect(page.get_by_text("Nothing waits for a slot.")).to_be_visible()
        plant.open("third", kind="wait")
        plant.user.finish(run_id)
    page.get_by_role("button", name="Throttle").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_label("Throttle").fill("many")
    dialog.get_by_role("button", name="Set the throttle").click()
    expect(dialog.get_by_role("alert")).to_contain_text("'many' is no whole number")
    dialog.get_by_label("Throttle").fill("1")
    dialog.get_by_role("button", name="Set the throttle").click()
    expect(page.locator(".figure").filter(has_text="Throttle")).to_contain_text("1")
    with Client(url=server.url, key=server.key) as client:
        (held, *_) = client.audit(action="queues.hold", limit=1)
        (throttled, *_) = client.audit(action="hosts.throttle", target=etl, limit=1)
    assert (held.detail or {}) == {"host": etl, "why": f"a disk is changed {ATTACK}"}
    assert (throttled.detail or {})["throttle"] == 1
