"""Pipelines, as a person sees them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.acceptance.harness import Server
from tests.browser.records import HOSTILE, Api, Worker, refused, viewer
from tests.browser.rig import Visitor
from tests.surfaces.pipelines_rig import chunk, objects

LOCAL = "/local/api/v4"


@pytest.fixture
def api(server: Server) -> Api:
    return Api(server)


@pytest.fixture
def service() -> str:
    return f"desk/service-{secrets.token_hex(4)}"


@pytest.fixture
def worker(api: Api, server: Server, service: str) -> Worker:
    return Worker(api, server, services=[{"name": service, "version": "1.0.0"}])


def create(api: Api, service: str, *chunks: Mapping[str, Any], **fields: Any) -> str:
    body = {
        "service": service, "call_purpose": "test", "source_system": HOSTILE,
        "acceptable_error_percentage": 100, **fields,
    }  # fmt: skip
    batch = str(api.call("POST", f"{LOCAL}/batch", body)["id"])
    api.call("POST", f"{LOCAL}/batch/{batch}/chunks", {"chunks": list(chunks)})
    return batch


def test_what_is_computed_is_seen_without_a_reload(
    visitor: Visitor, api: Api, service: str, worker: Worker
) -> None:
    batch = create(api, service, chunk("a", objects(1, 2)), chunk("b", objects(3)))
    page = visitor.open(f"/ui/pipelines/{batch}")
    figure = page.locator(".figure").filter(has_text="Records computed")
    expect(figure).to_contain_text("0 of 3")
    for each in worker.claim():
        worker.report(each)
    expect(figure).to_contain_text("3 of 3")
    expect(page.get_by_text("2 chunks with 3 records can be pulled.")).to_be_visible()
    expect(page.get_by_text(HOSTILE)).to_be_visible()
    listed = visitor.open("/ui/pipelines").get_by_role("row").filter(has_text=batch)
    expect(listed).to_contain_text("in progress")


def test_failed_records_are_opened_on_their_errors(
    visitor: Visitor, api: Api, service: str, worker: Worker
) -> None:
    batch = create(api, service, chunk(HOSTILE, objects(1, -2, -3)))
    (claimed,) = worker.claim()
    error = {
        "error_category": "execution", "error_type": "ValueError", "message": HOSTILE,
        "source_path": "premium.py:12", "additional_details": "Traceback\n  line 12",
    }  # fmt: skip
    result = {
        "records": 3, "failed": 2, "compute_ms": 1.0, "outputs": [{"doubled": 2}, None, None],
        "errors": [None, [error], [error, {"message": 7}]],
    }  # fmt: skip
    worker.report(claimed, outcome="success", result=result)
    page = visitor.open(f"/ui/pipelines/{batch}")
    expect(page.locator("details[open] pre")).to_contain_text("line 12")
    expect(page.locator("details[open] summary")).to_contain_text("record 1")
    page.get_by_role("link", name="Failed records").first.click()
    page.wait_for_url(re.compile("/failed$"))
    expect(page.locator("main details")).to_have_count(2)
    expect(page.locator("main details").nth(1)).to_contain_text(HOSTILE)
    page.goto(page.url.replace("/failed", "/chunks?state=failed"))
    expect(page.get_by_role("row").filter(has_text="onerror")).to_contain_text("available")


def test_a_pipeline_on_hold_says_why_until_it_goes_on(
    visitor: Visitor, api: Api, service: str, worker: Worker
) -> None:
    batch = create(api, service, chunk("a", objects(1)))
    listed = api.call("GET", "/longshore/v1/queues")["queues"]
    (queue_id,) = (each["id"] for each in listed if batch in each["name"])
    api.call("POST", f"/longshore/v1/queues/{queue_id}/hold", {"why": f"a look {HOSTILE}"})
    page = visitor.open(f"/ui/pipelines/{batch}")
    expect(page.get_by_text("Nothing is computed since")).to_contain_text(HOSTILE)
    api.call("POST", f"/longshore/v1/queues/{queue_id}/release")
    expect(page.get_by_text("Nothing is computed since")).to_have_count(0)


def test_a_pipeline_is_cancelled_with_a_reason_that_the_audit_log_keeps(
    visitor: Visitor, api: Api, service: str, worker: Worker
) -> None:
    batch = create(api, service, chunk("a", objects(1)))
    page = visitor.open(f"/ui/pipelines/{batch}")
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("the wrong records")
    dialog.get_by_role("button", name="Cancel the pipeline").click()
    expect(page.locator("main .badge").first).to_contain_text("cancelled")
    (entry,) = api.audited("pipelines.end", batch)
    assert entry["detail"] == {"batch_status": "cancelled", "reason": "the wrong records"}


def test_services_are_listed_with_their_workers(
    visitor: Visitor, service: str, worker: Worker
) -> None:
    page = visitor.open("/ui/pipelines/services")
    row = page.get_by_role("row").filter(has_text=service)
    expect(row).to_contain_text("1.0.0")
    row.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_role("alert")).to_contain_text("is offered by 1 worker(s)")


def test_a_viewer_sees_pipelines_and_may_change_nothing(
    visit: Callable[..., Visitor], server: Server, api: Api, service: str, worker: Worker
) -> None:
    batch = create(api, service, chunk("a", objects(1)))
    visitor = viewer(visit, server)
    page = visitor.open(f"/ui/pipelines/{batch}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(service)
    expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)
    for verb in ("end", "delete", "retry"):
        path = f"/ui/pipelines/{batch}/{verb}"
        assert refused(visitor, path, batch_status="cancelled") == 403, path
