"""Workers, queues and storage, as a person sees them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import expect

from longshore import Client
from tests.acceptance.harness import Server
from tests.browser.rig import WITHIN_MS, Visitor, picture

NATIVE = "/longshore/v1"
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture
def admin(server: Server) -> Iterator[Client]:
    with Client(url=server.url, key=server.key) as client:
        yield client


def register(server: Server, name: str, bucket: str) -> str:
    """Enter a worker that serves a bucket, as a worker does it, and return its id."""
    body = {
        "name": name, "slots": 3, "incarnation": secrets.token_hex(8), "buckets": [{"name": bucket}],
        "version": "longshore 9.9.9, Python 3.99",
    }  # fmt: skip
    answer = httpx.post(
        f"{server.url}{NATIVE}/worker/register",
        json=body,
        headers={"Authorization": f"Bearer {server.worker_key}"},
    )
    answer.raise_for_status()
    return str(answer.json()["worker_id"])


def test_a_worker_that_registers_is_seen_without_a_reload(
    visitor: Visitor, server: Server, admin: Client
) -> None:
    page = visitor.open("/ui/workers")
    name = f"{HOSTILE}-{secrets.token_hex(4)}"
    worker_id = register(server, name, "machines")
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text("longshore 9.9.9, Python 3.99", timeout=WITHIN_MS)
    expect(row).to_contain_text("online")
    picture(page, "workers")
    row.get_by_role("link").click()
    page.get_by_role("heading", level=1, name=name).wait_for()
    expect(page.get_by_role("main")).to_contain_text(worker_id)


def test_a_queue_is_held_with_a_reason_and_released(
    visitor: Visitor, server: Server, admin: Client
) -> None:
    bucket = f"crane-{secrets.token_hex(4)}"
    admin.buckets.deposit([{"pipeline": bucket, "user": "ann", "site": "local"}])
    page = visitor.open(f"/ui/queues?name={bucket}")
    row = page.get_by_role("row").filter(has_text=bucket)
    row.get_by_role("button", name="Hold").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill(f"repairs {HOSTILE}")
    dialog.get_by_role("button", name="Hold").click()
    expect(page.get_by_text(f"{bucket} is held")).to_be_visible()
    expect(row).to_contain_text(f"repairs {HOSTILE}")
    picture(page, "queues")
    audit = visitor.open("/ui/audit?action=queues.hold")
    expect(audit.get_by_role("row").filter(has_text="repairs").first).to_be_visible()
    picture(audit, "audit")
    row.get_by_role("button", name="Release").click()
    page.get_by_role("dialog").get_by_role("button", name="Release").click()
    expect(row.get_by_role("button", name="Hold")).to_be_visible()


def test_a_limit_that_is_none_is_refused_in_the_dialog(
    visitor: Visitor, server: Server, admin: Client
) -> None:
    bucket = f"limit-{secrets.token_hex(4)}"
    admin.buckets.deposit([{"pipeline": bucket, "user": "ann", "site": "local"}])
    page = visitor.open(f"/ui/queues?name={bucket}")
    page.get_by_role("button", name="Limits").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("At most at once (nothing for no limit)").fill("many")
    dialog.get_by_role("button", name="Change them").click()
    expect(dialog.get_by_role("alert")).to_contain_text("concurrency_max is 'many'")
    dialog.get_by_label("At most at once (nothing for no limit)").fill("3")
    dialog.get_by_role("button", name="Change them").click()
    expect(page.get_by_role("row").filter(has_text=bucket)).to_contain_text("at most 3")


def test_a_viewer_sees_queues_and_gets_no_buttons(
    visit: Callable[..., Visitor], server: Server, admin: Client
) -> None:
    bucket = f"seen-{secrets.token_hex(4)}"
    admin.buckets.deposit([{"pipeline": bucket, "user": "ann", "site": "local"}])
    made = admin.keys.create(f"viewer {secrets.token_hex(4)}", "viewer")
    visitor = visit(server)
    visitor.sign_in(made.key)
    page = visitor.open(f"/ui/queues?name={bucket}")
    expect(page.get_by_role("row").filter(has_text=bucket)).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Hold|Limits"))).to_have_count(0)
    expect(page.get_by_role("link", name="Audit log")).to_have_count(0)


def test_storage_shows_sizes_and_what_is_deleted_by_itself(visitor: Visitor) -> None:
    page = visitor.open("/ui/storage")
    expect(page.get_by_text("Files and large results")).to_be_visible()
    expect(page.get_by_text("What is deleted by itself")).to_be_visible()
    picture(page, "storage")


def test_the_menu_opens_on_a_phone(visit: Callable[..., Visitor], server: Server) -> None:
    visitor = visit(server, phone=True, dark=True)
    page = visitor.sign_in(server.key)
    expect(page.get_by_role("link", name="Workers", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Workers").click()
    page.get_by_role("heading", name="Workers", level=1).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
