"""Buckets, as a person sees them."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.acceptance.harness import Server
from tests.browser.records import HOSTILE, Api, refused, viewer
from tests.browser.rig import Visitor


@pytest.fixture
def api(server: Server) -> Api:
    return Api(server)


def deposit(api: Api, bucket: str, count: int = 1, **fields: Any) -> list[str]:
    works = [
        {"pipeline": bucket, "user": "ann", "site": "north", "event": [place], **fields}
        for place in range(count)
    ]
    return list(api.call("POST", "/buckets/work", works, params={"return_ids": "true"}))


def withdraw(api: Api, bucket: str) -> dict[str, Any]:
    return dict(api.call("POST", "/buckets/work/withdraw", {"pipeline": bucket}))


def name() -> str:
    return f"bucket-{secrets.token_hex(4)}"


def test_a_deposit_is_seen_without_a_reload_and_what_users_stored_is_text(
    visitor: Visitor, api: Api
) -> None:
    bucket = name()
    deposit(api, bucket)
    page = visitor.open(f"/ui/buckets/{bucket}")
    expect(page.get_by_role("row")).to_have_count(2)
    deposit(api, bucket, site=HOSTILE, user=HOSTILE, tags=[HOSTILE], results={"a": HOSTILE})
    row = page.get_by_role("row").filter(has_text="onerror")
    expect(row).to_contain_text(HOSTILE)
    expect(page.get_by_role("row")).to_have_count(3)


def test_the_list_counts_by_state_and_leads_to_the_works(visitor: Visitor, api: Api) -> None:
    bucket = name()
    deposit(api, bucket, 3, tags=["urgent"])
    api.call("PUT", "/buckets/work", [{**withdraw(api, bucket), "status": "success"}])
    page = visitor.open("/ui/buckets")
    row = page.get_by_role("row").filter(has_text=bucket)
    expect(row.get_by_role("link", name="2", exact=True)).to_be_visible()
    row.get_by_role("link", name="1", exact=True).click()
    page.wait_for_url(re.compile(r"state=success$"))
    expect(page.get_by_role("row")).to_have_count(2)


def test_a_filter_of_views_stands_in_the_address_and_its_errors_beside_it(
    visitor: Visitor, api: Api
) -> None:
    bucket = name()
    deposit(api, bucket, 3)
    (wanted,) = deposit(api, bucket, tags=["urgent"])
    page = visitor.open(f"/ui/buckets/{bucket}")
    page.get_by_label("Filter, in the language of views").fill('{"tags": "urgent"}')
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile("filter="))
    expect(page.get_by_role("link", name=wanted)).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(2)
    for bad, told in (("{", "no JSON"), ('{"site": {"$where": "1"}}', "$where")):
        page.get_by_label("Filter, in the language of views").fill(bad)
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("alert").filter(has_text=told)).to_be_visible()


def test_a_bucket_is_locked_with_a_reason_that_the_audit_log_keeps(
    visitor: Visitor, api: Api
) -> None:
    bucket = name()
    deposit(api, bucket)
    page = visitor.open(f"/ui/buckets/{bucket}")
    page.get_by_role("button", name="Lock", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("the crane is broken")
    dialog.get_by_role("button", name="Lock").click()
    expect(page.get_by_text("the crane is broken").first).to_be_visible()
    assert api.call("POST", "/buckets/work/withdraw", {"pipeline": bucket}) is None
    (entry,) = api.audited("queues.hold", bucket)
    assert entry["detail"]["reason"] == "the crane is broken"
    page.reload()
    page.get_by_role("button", name="Unlock").click()
    page.get_by_role("dialog").get_by_role("button", name="Unlock").click()
    expect(page.get_by_text("the crane is broken")).to_have_count(0)
    assert withdraw(api, bucket)["pipeline"] == bucket


def test_a_work_is_deposited_by_hand_and_bad_ones_are_refused_in_words(
    visitor: Visitor, api: Api
) -> None:
    bucket = name()
    deposit(api, bucket)
    page = visitor.open(f"/ui/buckets/{bucket}")
    page.get_by_role("button", name="Deposit a work").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Work, as JSON").fill('{"pipeline": "' + bucket + '"}')
    dialog.get_by_role("button", name="Deposit").click()
    expect(dialog.get_by_role("alert")).to_contain_text("site")
    large = 2**63 + 1
    work = {"pipeline": bucket, "site": "quay", "user": "me", "parameters": {"number": large}}
    dialog.get_by_label("Work, as JSON").fill(json.dumps(work))
    dialog.get_by_role("button", name="Deposit").click()
    page.wait_for_url(re.compile("/ui/works/wk_"))
    work_id = page.url.rpartition("/")[2]
    (found,) = api.call("POST", "/buckets/view", {"query": {"id": work_id}})
    assert found["parameters"] == {"number": large}


def test_everything_that_matches_is_cancelled_by_one_click(visitor: Visitor, api: Api) -> None:
    bucket = name()
    deposit(api, bucket, 2)
    (kept,) = deposit(api, bucket, tags=["keep"])
    page = visitor.open(f'/ui/buckets/{bucket}?filter={{"tags": null}}')
    page.get_by_role("button", name="Cancel all that match").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("they were wrong")
    dialog.get_by_role("button", name="Cancel", exact=True).click()
    figure = page.locator(".figure").filter(has_text="Cancelled")
    expect(figure).to_contain_text("2")
    assert [each["id"] for each in api.call("POST", "/buckets/view", {"query": {
        "pipeline": bucket, "status": "queued"}})] == [kept]  # fmt: skip


def test_settings_are_changed_and_refused_in_the_dialog(visitor: Visitor, api: Api) -> None:
    bucket = name()
    deposit(api, bucket)
    page = visitor.open(f"/ui/buckets/{bucket}")
    page.get_by_role("button", name="Settings").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Pause before the second attempt").fill("1e99")
    dialog.get_by_role("button", name="Change").click()
    expect(dialog.get_by_role("alert")).to_contain_text("retry_pause_s")
    dialog.get_by_label("Pause before the second attempt").fill("12")
    dialog.get_by_label("Most works that run at once").fill("3")
    dialog.get_by_role("button", name="Change").click()
    expect(dialog).to_be_hidden()
    settings = api.call("GET", f"/buckets/settings/{bucket}")
    assert (settings["retry_pause_s"], settings["concurrency_max"]) == (12.0, 3)


def test_a_viewer_sees_buckets_and_may_change_nothing(
    visit: Callable[..., Visitor], server: Server, api: Api
) -> None:
    bucket = name()
    deposit(api, bucket)
    visitor = viewer(visit, server)
    page = visitor.open(f"/ui/buckets/{bucket}")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("main").get_by_role("button")).to_have_count(1)
    for path in ("/ui/buckets/deposit", "/ui/buckets/audit", f"/ui/buckets/{bucket}/lock"):
        assert refused(visitor, path, held="yes", what="failed", works="[]") == 403, path
