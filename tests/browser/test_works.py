"""The pages of works: finding them, acting on all that match, and one work with its log."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from longshore import Client
from tests.acceptance.api import Holder
from tests.acceptance.harness import Server
from tests.browser.rig import WITHIN_MS, Visitor, picture

HOSTILE = '<img src=x onerror="alert(1)">"><script>alert(2)</script>{{7*7}}'
expect.set_options(timeout=WITHIN_MS)


@pytest.fixture
def admin(server: Server) -> Iterator[Client]:
    with Client(url=server.url, key=server.key) as client:
        yield client


def bucket() -> str:
    return f"works-{secrets.token_hex(5)}"


def deposit(client: Client, name: str, count: int, **more: Any) -> list[str]:
    work = {"pipeline": name, "site": "local", "user": "ann", "retries": 1, **more}
    works = [{**work, "parameters": {"n": n}} for n in range(count)]
    return list(client.buckets.deposit(works, return_ids=True))


def fail(server: Server, name: str, count: int, message: str) -> None:
    """Withdraw works and report that they failed."""
    headers = {"Authorization": f"Bearer {server.key}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as http:
        held = http.post(f"/buckets/work/withdraw?limit={count}", json={"pipeline": name}).json()
        failed = [{**work, "status": "failure", "results": {"error": message}} for work in held]
        assert http.put("/buckets/work", json=failed).json() is True


def rows(page: Page) -> Any:
    return page.locator("#works tbody tr")


def test_works_are_found_by_a_filter_in_the_address_and_new_ones_appear_by_themselves(
    visitor: Visitor, server: Server, admin: Client
) -> None:
    name = bucket()
    deposit(admin, name, 3)
    page = visitor.open("/ui/works")
    box = page.get_by_label("Filter", exact=True)
    box.press_sequentially(f"queue:{name[:8]}")
    expect(page.locator(f"#works-suggestions option[value='queue:{name}']")).to_have_count(1)
    box.fill(f"queue:{name}")
    page.get_by_role("button", name="Find").click()
    page.wait_for_url(re.compile(r"/ui/works\?q=queue%3A"))
    expect(rows(page)).to_have_count(3)
    deposit(admin, name, 1)
    expect(rows(page)).to_have_count(4)
    page.get_by_role("navigation", name="Facets").get_by_role("link", name="failure").click()
    expect(page.get_by_label("Filter", exact=True)).to_have_value(f"queue:{name} state:failure")
    expect(page.get_by_text("No work fits.")).to_be_visible()
    fail(server, name, 1, HOSTILE)
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text(HOSTILE)
    copies = page.locator(".copyable")
    expect(copies).to_have_count(3)
    assert copies.nth(0).locator("pre").inner_text() == (
        f"longshore works list 'queue:{name} state:failure'"
    )
    for index in range(3):
        expect(copies.nth(index)).to_contain_text(name)


def test_what_is_wrong_with_a_filter_stands_beside_it(visitor: Visitor) -> None:
    page = visitor.open("/ui/works?q=stat%3Afailure+since%3Ayesterday")
    problem = page.get_by_role("alert").filter(has_text="is no name of a filter")
    expect(problem).to_contain_text("Did you mean 'state'?")
    expect(problem).to_contain_text("'yesterday' is neither an age")
    page = visitor.open(f"/ui/works?q={HOSTILE.replace('#', '')}")
    expect(page.get_by_label("Filter", exact=True)).to_have_value(HOSTILE)


def test_everything_that_matches_is_retried_after_a_count_and_a_reason(
    visitor: Visitor, server: Server, admin: Client
) -> None:
    name = bucket()
    deposit(admin, name, 60)
    fail(server, name, 60, "no such file: page.png")
    page = visitor.open(f"/ui/works?q=queue:{name}+state:failure")
    expect(rows(page)).to_have_count(50)
    picture(page, "works", whole=False)
    page.get_by_role("link", name="Older").click()
    expect(rows(page)).to_have_count(10)
    page.get_by_role("link", name="Newest").click()
    expect(rows(page)).to_have_count(50)
    page.get_by_role("button", name="Retry").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("[data-count]")).to_have_text("60")
    reason = f"the disk is back {secrets.token_hex(3)}"
    dialog.get_by_label("Why").fill(reason)
    dialog.get_by_role("button", name="Retry them").click()
    page.wait_for_url(re.compile("/ui/works/actions/wk_"))
    expect(page.get_by_text("The action is over.")).to_be_visible()
    expect(page.locator(".figure").filter(has_text="Done")).to_contain_text("60")
    audit = visitor.open("/ui/audit?action=works.retry_matching")
    expect(audit.get_by_role("row").filter(has_text=reason)).to_be_visible()
    assert admin.works.count(f"queue:{name} state:queued").count == 60


def test_only_what_is_ticked_is_cancelled(visitor: Visitor, server: Server, admin: Client) -> None:
    name = bucket()
    made = deposit(admin, name, 3)
    page = visitor.open(f"/ui/works?q=queue:{name}")
    page.get_by_label(f"Tick {made[0]}").check()
    deposit(admin, name, 1)
    expect(rows(page)).to_have_count(4)
    expect(page.get_by_label(f"Tick {made[0]}")).to_be_checked()
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("[data-count]")).to_have_text("1")
    dialog.get_by_label("Why").fill("not this one")
    dialog.get_by_role("button", name="Cancel them").click()
    expect(page.get_by_text("The action is over.")).to_be_visible()
    found = {work.id: work.state for work in admin.works.find(f"queue:{name}")}
    assert [one for one, state in found.items() if state == "cancelled"] == [made[0]]


def test_a_work_is_held_with_a_reason_and_released(
    visitor: Visitor, server: Server, admin: Client
) -> None:
    (work_id,) = deposit(admin, bucket(), 1)
    page = visitor.open(f"/ui/works/{work_id}")
    page.get_by_role("button", name="Hold").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill(f"look first {HOSTILE}")
    dialog.get_by_role("button", name="Hold").click()
    why = page.locator(".why")
    expect(why).to_contain_text("it is held since")
    expect(why).to_contain_text(f"look first {HOSTILE}")
    page.get_by_role("button", name="Release").click()
    page.get_by_role("dialog").get_by_label("Why").fill("looked")
    page.get_by_role("dialog").get_by_role("button", name="Release").click()
    expect(why).to_contain_text("queued")
    expect(page.get_by_role("row").filter(has_text="looked")).to_be_visible()


def test_a_failed_work_is_edited_and_runs_again_with_that(
    visitor: Visitor, server: Server, admin: Client
) -> None:
    name = bucket()
    (work_id,) = deposit(admin, name, 1, event=[9_007_199_254_740_993])
    fail(server, name, 1, "page 0 is not there")
    page = visitor.open(f"/ui/works/{work_id}")
    expect(page.locator(".why")).to_contain_text("page 0 is not there")
    page.get_by_role("button", name="Edit and retry").click()
    dialog = page.get_by_role("dialog")
    document = dialog.get_by_label("Document, JSON")
    expect(document).to_have_value(re.compile("9007199254740993"))
    document.fill("{")
    dialog.get_by_label("Why").fill("it was page 7")
    dialog.get_by_role("button", name="Save and queue it").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_role("button", name="Back").click()
    page.reload()
    page.get_by_role("button", name="Edit and retry").click()
    document.fill(document.input_value().replace('"n": 0', '"n": 7'))
    dialog.get_by_label("Why").fill("it was page 7")
    dialog.get_by_role("button", name="Save and queue it").click()
    expect(page.locator(".why .badge")).to_have_text("queued")
    expect(page.locator("pre").filter(has_text='"parameters":{"n":7}')).to_be_visible()
    expect(page.locator("pre").filter(has_text="9007199254740993").first).to_be_visible()
    audit = visitor.open("/ui/audit?action=works.edit")
    expect(audit.get_by_role("row").filter(has_text="it was page 7")).to_be_visible()


def test_a_log_grows_as_it_is_written_and_nothing_in_it_is_more_than_text(
    visitor: Visitor, server: Server, admin: Client
) -> None:
    name = bucket()
    (work_id,) = deposit(admin, name, 1)
    holder = Holder(server, buckets=(name,), name=f"worker {secrets.token_hex(3)}")
    holder.register()
    (held,) = holder.claim()

    def say(text: str, stream: str) -> None:
        line = {"at_us": 1_795_000_000_000_000, "stream": stream, "text": text}
        lines = [{"work_id": work_id, "attempt": held["attempt"], **line}]
        holder.post("logs", {"worker_id": holder.worker_id, "lines": lines})

    page = visitor.open(f"/ui/works/{work_id}")
    say("begun \x1b[31mred\x1b[0m", "stdout")
    log = page.get_by_role("log")
    expect(log).to_contain_text("begun \u241b[31mred")
    say(HOSTILE, "stderr")
    expect(log.locator(".stderr")).to_contain_text(HOSTILE)
    expect(log.locator(".line")).to_have_count(2)
    holder.report(held, "failure")
    expect(page.locator(".why")).to_contain_text("told to end as failure")
    expect(page.locator("svg.timeline rect").first).to_be_visible()
    picture(page, "work", whole=False)
    holder.close()


def test_a_viewer_sees_works_and_may_do_nothing_to_them(
    visit: Callable[..., Visitor], server: Server, admin: Client
) -> None:
    name = bucket()
    (work_id,) = deposit(admin, name, 1)
    made = admin.keys.create(f"viewer {secrets.token_hex(4)}", "viewer")
    visitor = visit(server)
    visitor.sign_in(made.key).close()
    page = visitor.open(f"/ui/works?q=queue:{name}")
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("button", name=re.compile("Retry|Cancel|Hold|Delete"))).to_have_count(0)
    page = visitor.open(f"/ui/works/{work_id}")
    expect(page.get_by_role("button", name=re.compile("Retry|Cancel|Hold|Edit"))).to_have_count(0)
    answer = page.request.post(
        f"{server.url}/ui/works/{work_id}/cancel", form={"form_token": token(page), "reason": "x"}
    )
    assert answer.status == 403
    assert admin.works.get(work_id).state == "queued"


def token(page: Page) -> str:
    headers = page.locator("body").get_attribute("hx-headers") or ""
    return str(re.findall(r'"X-Form-Token":"([0-9a-f]+)"', headers)[0])


def test_the_list_is_readable_on_a_phone_and_in_the_dark(
    visit: Callable[..., Visitor], server: Server, admin: Client
) -> None:
    name = bucket()
    deposit(admin, name, 2)
    visitor = visit(server, phone=True, dark=True)
    visitor.sign_in(server.key).close()
    page = visitor.open(f"/ui/works?q=queue:{name}")
    expect(rows(page)).to_have_count(2)
    wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    assert not wide, "only the table scrolls sideways"
