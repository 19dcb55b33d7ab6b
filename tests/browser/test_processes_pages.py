"""Processes, as a person sees them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.acceptance.harness import Server
from tests.browser.records import HOSTILE, Api, Worker, refused, viewer
from tests.browser.rig import Visitor


@pytest.fixture
def api(server: Server) -> Api:
    return Api(server)


class Reading:
    """A process over five pages, whose worker does what a test says."""

    def __init__(self, api: Api, server: Server) -> None:
        self._api = api
        token = secrets.token_hex(4)
        corpus = self.call("POST", "/corpus/", {"name": f"c {token}", "types": [{"slug": "page"}]})
        self.pages = [
            str(
                self.call(
                    "POST",
                    "/elements/create/",
                    {"type": "page", "name": f"{place} {HOSTILE}", "corpus": corpus["id"]},
                )["id"]
            )
            for place in range(5)
        ]
        offer = {
            "slug": f"reader-{token}", "version": "1", "name": "Reader",
            "configuration": {
                "configuration": {"scale": HOSTILE, "token": "swordfish-in-the-open"},
                "user_configuration": {},
            },
        }  # fmt: skip
        self.worker = Worker(api, server, workers=[offer])
        body = {
            "corpus": corpus["id"], "name": f"Process {token} {HOSTILE}", "element_type": "page",
            "workers": [{"worker": offer["slug"]}], "queued": True,
        }  # fmt: skip
        self.made = self.call("POST", "/process/", body)
        self.id = str(self.made["id"])

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self._api.call(method, f"/api/v1{path}", body)

    def start(self) -> None:
        self.call("POST", f"/process/{self.id}/start/")

    def say(self, place: int, *words: str) -> None:
        path = f"/workers/versions/{self.made['workers'][0]['id']}/activity/"
        for word in words:
            body = {"element_id": self.pages[place], "process_id": self.id, "state": word}
            self.call("PUT", path, body)


@pytest.fixture
def reading(api: Api, server: Server) -> Reading:
    return Reading(api, server)


def test_a_process_is_started_and_its_elements_are_seen_to_change(
    visitor: Visitor, reading: Reading
) -> None:
    page = visitor.open(f"/ui/processes/{reading.id}")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    cells = page.locator(".cells a")
    expect(cells).to_have_count(5)
    expect(page.locator(".cell-queued.cell")).to_have_count(5)
    reading.say(0, "started", "processed")
    reading.say(1, "started", "error")
    reading.say(2, "started")
    expect(page.locator(".cell-processed.cell")).to_have_count(1)
    expect(page.locator(".cell-started.cell")).to_have_count(1)
    expect(page.get_by_role("link", name=re.compile("^1 .*: error$"))).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)


def test_a_square_leads_to_the_element_and_its_error(visitor: Visitor, reading: Reading) -> None:
    reading.start()
    reading.say(0, "started", "error")
    reading.say(1, "started", "error")
    page = visitor.open(f"/ui/processes/{reading.id}")
    failures = page.get_by_role("row").filter(has_text="did not say why")
    expect(failures).to_contain_text("2")
    page.get_by_label("State of elements").select_option("error")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile("state=error"))
    expect(page.locator(".cells a")).to_have_count(2)
    page.locator(".cells a").first.click()
    page.wait_for_url(re.compile("/elements/"))
    expect(page.locator(".problem")).to_contain_text("did not say why")
    page.get_by_role("link", name="Look at the element").click()
    page.wait_for_url(re.compile(f"/ui/elements/{reading.pages[0]}"))


def test_a_process_is_stopped_with_a_reason_and_what_is_left_runs_again(
    visitor: Visitor, api: Api, reading: Reading
) -> None:
    reading.start()
    reading.say(0, "started", "processed")
    page = visitor.open(f"/ui/processes/{reading.id}")
    page.get_by_role("button", name="Stop").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("the scans are upside down")
    dialog.get_by_role("button", name="Stop").click()
    expect(page.locator(".cell-cancelled.cell")).to_have_count(4)
    (entry,) = api.audited("processes.stop", reading.id)
    assert entry["detail"]["reason"] == "the scans are upside down"
    page.reload()
    page.get_by_role("button", name="Retry what failed").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    expect(page.locator(".cell-queued.cell")).to_have_count(4)
    expect(page.locator(".cell-processed.cell")).to_have_count(1)


def test_the_configuration_of_a_run_is_shown_without_what_is_secret(
    visitor: Visitor, api: Api, reading: Reading
) -> None:
    name = f"reader-token-{secrets.token_hex(4)}"
    entry = f"/longshore/v1/keystore/entries/{name}"
    api.call("PUT", entry, {"value": "swordfish-in-the-open"}, params={"scope": "organisation"})
    page = visitor.open(f"/ui/processes/{reading.id}")
    page.locator("details summary").filter(has_text="Reader").click()
    run = page.locator("details[open]").filter(has_text="Configuration")
    expect(run).to_contain_text("onerror")
    expect(run).not_to_contain_text("swordfish")


def test_the_list_leads_to_processes(visitor: Visitor, reading: Reading) -> None:
    reading.start()
    reading.say(0, "started", "processed")
    page = visitor.open("/ui/processes")
    row = page.get_by_role("row").filter(has_text=reading.made["name"])
    expect(row).to_contain_text("4")
    row.get_by_role("link", name=reading.made["name"]).click()
    page.wait_for_url(re.compile(reading.id))


def test_a_viewer_sees_processes_and_may_change_nothing(
    visit: Callable[..., Visitor], server: Server, reading: Reading
) -> None:
    reading.start()
    visitor = viewer(visit, server)
    page = visitor.open(f"/ui/processes/{reading.id}")
    expect(page.locator(".cells a")).to_have_count(5)
    expect(page.get_by_role("main").get_by_role("button")).to_have_count(1)
    for verb in ("start", "stop", "retry", "delete"):
        path = f"/ui/processes/{reading.id}/{verb}"
        assert refused(visitor, path) == 403, path
