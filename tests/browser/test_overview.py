"""The first page: what goes on, seen as it happens, and what needs a person, with a way to act."""

from __future__ import annotations

import math
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import Connection, select

from longshore import Client
from longshore.access.tables import organisations
from longshore.clock import SECOND_US
from longshore.engine import activity_rolling as rolling
from longshore.engine.activity_tables import progress
from longshore.storage import open_database
from tests.acceptance.harness import Server, kill_marked
from tests.browser.rig import WITHIN_MS, Visitor, picture

Visit = Callable[..., Visitor]
HOSTILE = '<img src=x onerror="alert(1)">{{7*7}}'
COUNTED_MS = 2 * WITHIN_MS
"""Works are counted every two seconds; more rarely where other tests keep the machine busy."""


@pytest.fixture
def admin(server: Server) -> Iterator[Client]:
    with Client(url=server.url, key=server.key) as client:
        yield client


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own that has seen a day of work."""
    directory = tmp_path_factory.mktemp("overview")
    mark = f"overview-{os.getpid()}"
    server = Server(directory / "data", mark)
    try:
        server.start()
        with Client(url=server.url, key=server.key) as client:
            fill(client)
        server.stop()
        remember_a_day(directory / "data")
        server.start()
        yield server
    finally:
        server.close()
        kill_marked(mark)


def deposit(client: Client, bucket: str, count: int = 1, **more: object) -> None:
    client.buckets.deposit(
        [{"pipeline": bucket, "user": "ann", "site": "local", **more} for _ in range(count)]
    )


def fill(client: Client) -> None:
    """Leave works in several states, a queue that is held, and failures."""
    deposit(client, "spectra", 30)
    deposit(client, "held-dock", 8)
    deposit(client, "mast", 6, retries=0)
    for bucket, count, status in (("spectra", 12, "success"), ("mast", 4, "failure")):
        for _ in range(count):
            work = client.buckets.withdraw(bucket)
            assert work is not None
            client.buckets.update([{**work, "status": status}])
    hold(client, "held-dock", "the crane is being repaired until noon")


def hold(client: Client, bucket: str, why: str) -> int:
    queue_id = next(entry.id for entry in client.queues.list() if entry.name == bucket)
    client.queues.hold(queue_id, why)
    return queue_id


def remember_a_day(data: Path) -> None:
    """Put into the database what the background pass would have kept of a day's work."""
    database = open_database(f"sqlite:///{data / 'longshore.db'}")

    def write(connection: Connection) -> None:
        now_us = database.clock.now_us() // (300 * SECOND_US) * 300 * SECOND_US
        organisation_id = connection.execute(select(organisations.c.id)).scalar_one()
        for length_s, steps in ((10, 360), (300, 288)):
            found = {}
            for step in range(1, steps):
                begins_us = now_us - step * length_s * SECOND_US
                for number, surface in enumerate(("apps", "buckets", "scripts"), 1):
                    wave = round(26 + 14 * math.sin(step * number / 17)) + step * 7919 % 11
                    found[begins_us, organisation_id, surface] = rolling.Tally(
                        {
                            "submitted": wave * length_s // 4,
                            "claimed": wave * length_s // 5,
                            "succeeded": wave * length_s // 5,
                            "failed": wave // 8,
                            "retried": wave // 15,
                            "lost": wave // 39,
                        },
                        (wave, wave * 6, number * 3 + wave % 4),
                        {7 + number: 20, 9 + number: wave, 11: 1},
                        {3: 30, 6 + number: wave // 3},
                    )
            rolling.merge(connection, length_s, found)
        connection.execute(
            progress.update().where(progress.c.name == "300 s").values(at_us=now_us - 3_600_000_000)
        )

    database.write_blocking(write)
    database.close()


def need(page: Page, text: str) -> Locator:
    """Return the entry of what needs a person that has a text."""
    return page.locator(".needs li").filter(has_text=text)


def test_figures_move_as_works_are_submitted(visitor: Visitor, admin: Client) -> None:
    deposit(admin, "overview-before")
    page = visitor.open("/?window=15m")
    queued = page.locator(".figure", has_text="Queued").locator("dd")
    expect(queued).to_be_visible(timeout=COUNTED_MS)
    before = queued.inner_text()
    deposit(admin, "overview-live", 7)
    expect(queued).not_to_have_text(before, timeout=COUNTED_MS)
    expect(page.locator("#chart-throughput canvas")).to_be_visible()


def test_a_held_queue_appears_with_its_reason_and_is_released(
    visitor: Visitor, server: Server, admin: Client
) -> None:
    bucket = f"crane-{secrets.token_hex(3)}"
    holder = admin.keys.create(f"ann {HOSTILE}", role="operator")
    page = visitor.open("/")
    deposit(admin, bucket)
    with Client(url=server.url, key=holder.key) as client:
        hold(client, bucket, f"repairs {HOSTILE}")
    item = need(page, bucket)
    told = f"Held by ann {HOSTILE}: repairs {HOSTILE}."
    expect(item).to_contain_text(told, timeout=WITHIN_MS)
    item.get_by_role("button", name="Release").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("it is repaired")
    dialog.get_by_role("button", name="Release").click()
    expect(item).to_have_count(0, timeout=WITHIN_MS)
    audit = visitor.open("/ui/audit?action=queues.release")
    expect(audit.get_by_role("row").filter(has_text="queues.release").first).to_be_visible()


def test_what_failed_for_good_leads_to_its_works(visit: Visit, busy: Server) -> None:
    visitor = visit(busy)
    page = visitor.sign_in(busy.key)
    item = need(page, "mast")
    expect(item).to_contain_text("4 works have failed and will not be tried again")
    item.get_by_role("link").click()
    page.wait_for_url(re.compile(r"/ui/works\?q=state%3Afailure\+surface%3Abuckets\+queue%3Amast"))


@pytest.mark.parametrize("window", ["15 min", "1 hour", "6 hours", "24 hours", "7 days", "90 days"])
def test_each_window_draws_its_charts(visit: Visit, busy: Server, window: str) -> None:
    page = visit(busy).sign_in(busy.key)
    page.get_by_role("navigation", name="How far back").get_by_role("link", name=window).click()
    expect(page.locator(".plot canvas")).to_have_count(5)
    current = page.get_by_role("navigation", name="How far back").locator("[aria-current]")
    expect(current).to_have_text(window)


def test_charts_are_of_one_surface_when_asked(visit: Visit, busy: Server) -> None:
    page = visit(busy).sign_in(busy.key)
    page.get_by_role("rowheader", name="buckets").get_by_role("link").click()
    page.get_by_role("heading", name="Over time: buckets").wait_for()
    page.get_by_role("link", name="All surfaces").click()
    page.get_by_role("heading", name="Over time", exact=True).wait_for()


def test_who_may_only_look_sees_the_list_without_buttons(visit: Visit, busy: Server) -> None:
    with Client(url=busy.url, key=busy.key) as client:
        viewer = client.keys.create("a viewer", role="viewer")
        queue_id = next(entry.id for entry in client.queues.list() if entry.name == "held-dock")
    visitor = visit(busy)
    page = visitor.sign_in(viewer.key)
    item = need(page, "held-dock")
    expect(item).to_contain_text("the crane is being repaired until noon")
    expect(item.get_by_role("button")).to_have_count(0)
    token = page.locator("body").get_attribute("hx-headers") or ""
    cookies = {cookie["name"]: cookie["value"] for cookie in visitor.context.cookies()}
    refused = httpx.post(
        f"{busy.url}/ui/queues/{queue_id}/release",
        cookies=cookies,
        headers={"X-Form-Token": token.split('"')[3]},
    )
    assert refused.status_code == 403


def test_a_new_server_says_what_to_do_first(visit: Visit, tmp_path: Path) -> None:
    mark = f"overview-new-{os.getpid()}"
    server = Server(tmp_path / "data", mark)
    server.start()
    page = visit(server).sign_in(server.key)
    expect(page.get_by_role("heading", name="Nothing has run here yet")).to_be_visible()
    expect(page.locator(".first-steps")).to_contain_text("longshore demo all")
    expect(page.locator(".plot")).to_have_count(0)
    with Client(url=server.url, key=server.key) as client:
        deposit(client, "first")
    expect(page.locator(".figure", has_text="Queued")).to_be_visible(timeout=COUNTED_MS)
    page.close()
    server.close()
    kill_marked(mark)


def test_the_overview_looks_right(visit: Visit, busy: Server) -> None:
    for name, how in (
        ("overview", {}),
        ("overview-dark", {"dark": True}),
        ("overview-phone", {"phone": True}),
    ):
        page = visit(busy, **how).sign_in(busy.key)
        page.goto(f"{busy.url}/?window=1h")
        expect(page.locator(".plot canvas")).to_have_count(5)
        wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        assert not wide, "the page is wider than the screen"
        picture(page, name)
