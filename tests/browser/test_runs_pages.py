"""Runs, documents and reviews in the browser: what is seen, corrected, accepted and deleted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from longshore import Client
from tests.acceptance.harness import Server
from tests.browser.rig import Visitor, picture
from tests.browser.runs_rig import Port, port, receipts, result

Visit = Callable[..., Visitor]
ATTACKS = (
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(2)>',
    "{{7*7}}",
    "javascript:alert(3)",
    "'-alert(4)-'",
    "</textarea><script>alert(5)</script>",
)


@pytest.fixture
def receipts_port(server: Server) -> Iterator[Port]:
    with port(server) as made:
        yield made


def total(value: str = "12.00", sure: float = 0.4) -> dict[str, Any]:
    return {"name": "total", "value": value, "confidence": sure, "page": 0, "box": [10, 20, 60, 40]}


def one_document(_name: str) -> dict[str, Any]:
    return result(total(), pages=[{"number": 0, "width": 100, "height": 100}])


def test_a_review_in_the_browser_is_what_results_show(
    visitor: Visitor, receipts_port: Port, tmp_path: Path
) -> None:
    files, reader = receipts(tmp_path, 5)
    run_id = receipts_port.finish(files, reader)
    page = visitor.open(f"/ui/runs?q={run_id}")
    row = page.get_by_role("row").filter(has_text=run_id)
    expect(row).to_contain_text("5 of 5")
    expect(row).to_contain_text("complete")
    picture(page, "runs")
    row.get_by_role("link", name=run_id).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(receipts_port.app)
    picture(page, "run")
    with Client(url=visitor.url, key=receipts_port.server.key) as client:
        first, second = client.reviews.list(run=run_id)[:2]
    page.goto(f"{visitor.url}/ui/reviews?run={run_id}")
    expect(page.get_by_role("row").filter(has_text=first.file_name)).to_contain_text("needs review")
    picture(page, "reviews")

    page.get_by_role("button", name="Review the next one").click()
    page.wait_for_url(re.compile(rf"/ui/runs/{run_id}/documents/{first.document}$"))
    expect(page.get_by_text("has it; free again")).to_be_visible()
    drawn = page.locator("[data-picture]")
    expect(drawn).to_have_attribute("href", re.compile("/pages/0$"))
    answer = page.request.get(visitor.url + str(drawn.get_attribute("href")))
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.body().startswith(b"\xff\xd8\xff")

    value = page.get_by_role("textbox", name=re.compile(r"^total\b"))
    value.focus()
    index = str(value.get_attribute("id")).removeprefix("value-")
    expect(page.locator(f"[data-box='{index}']")).to_have_class(re.compile("lit"))
    page.evaluate("scrollTo(0, 0)")
    picture(page, "document", whole=False)
    value.fill("99.99")
    page.get_by_label("Why (optional)").fill("the ink is pale")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile(rf"/documents/{second.document}$"))

    with Client(url=visitor.url, key=receipts_port.server.key) as client:
        position = int(first.document.partition("-")[0])
        reviewed = client.runs.of(run_id).results(review=True)[position].documents[0]
        field = next(each for each in reviewed.fields if each.field_name == "total")
        assert (field.value, field.corrected, reviewed.review_state) == ("99.99", True, "accepted")
        assert field.original_value != "99.99"
        entry = client.audit(action="reviews.accept", limit=1)[0]
        assert entry.target == f"{run_id}/{first.document}"
        assert (entry.detail or {})["reason"] == "the ink is pale"
    page.goto(f"{visitor.url}/ui/runs/{run_id}/documents/{first.document}")
    expect(page.get_by_text(f"The app read {field.original_value}")).to_be_visible()
    expect(page.locator(".history")).to_contain_text("accepted, the ink is pale")


def test_a_box_leads_to_its_field_with_the_keyboard_alone(
    visitor: Visitor, receipts_port: Port
) -> None:
    run_id = receipts_port.finish({"a.png": b"no picture"}, one_document)
    page = visitor.open(f"/ui/runs/{run_id}/documents/0-0")
    expect(page.locator("[data-picture-problem]")).to_contain_text("No picture can be drawn")
    value = page.get_by_label("total", exact=False).last
    expect(value).to_be_focused()
    box = page.get_by_role("button", name="total: 12.00")
    box.focus()
    expect(page.locator("[data-field='0']")).to_have_class(re.compile("lit"))
    page.keyboard.press("Enter")
    expect(value).to_be_focused()
    page.keyboard.type("13.00")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The corrections are kept.")).to_be_visible()
    expect(page.get_by_text("The app read 12.00")).to_be_visible()
    document = receipts_port.results(run_id)["files"][0]["documents"][0]
    assert (document["fields"][0]["value"], document["review_completed"]) == ("13.00", False)


def test_two_who_review_at_once_do_not_overwrite_each_other(
    visitor: Visitor, visit: Visit, server: Server, receipts_port: Port
) -> None:
    run_id = receipts_port.finish({"a.png": b"x"}, one_document)
    address = f"/ui/runs/{run_id}/documents/0-0"
    with Client(url=server.url, key=server.key) as client:
        other = visit(server)
        other.sign_in(client.keys.create(f"other {run_id}", "operator").key)
    mine, theirs = visitor.open(address), other.open(address)
    mine.locator("#value-0").fill("1.00")
    mine.get_by_role("button", name="Keep corrections").click()
    expect(mine.get_by_text("The corrections are kept.")).to_be_visible()
    theirs.locator("#value-0").fill("2.00")
    theirs.get_by_role("button", name="Accept all").click()
    expect(theirs.get_by_role("alert")).to_contain_text("was changed since you saw it")
    theirs.reload()
    theirs.get_by_role("button", name="Accept all").click()
    expect(theirs.get_by_role("alert")).to_contain_text("reviews document 0-0")
    mine.get_by_role("button", name="Put it back").click()
    mine.get_by_role("dialog").get_by_role("button", name="Put it back").click()
    expect(mine.get_by_text("Others may take it now.")).to_be_visible()
    theirs.get_by_role("button", name="Accept all").click()
    theirs.wait_for_url(re.compile(rf"/ui/runs/{run_id}$"))
    assert receipts_port.results(run_id)["review_completed"] is True


def test_a_run_is_seen_going_on_without_a_reload(visitor: Visitor, receipts_port: Port) -> None:
    run_id = receipts_port.begin({f"{letter}.png": b"x" for letter in "abc"})
    page = visitor.open(f"/ui/runs/{run_id}")
    expect(page.locator(".run-progress")).to_contain_text("0 of 3 files ended")
    assert receipts_port.work(one_document, limit=1) == 1
    expect(page.locator(".run-progress")).to_contain_text("1 of 3 files ended")
    expect(page.get_by_text("left at the pace so far")).to_be_visible()
    assert receipts_port.work(one_document) == 2
    expect(page.get_by_text("complete", exact=True)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Results as CSV").click()
    assert "a.png,0,receipt,needs_review,,12.00" in Path(download.value.path()).read_text()


def test_a_run_is_cancelled_and_deleted_with_a_reason(
    visitor: Visitor, server: Server, receipts_port: Port
) -> None:
    run_id = receipts_port.begin({"a.png": b"x", "b.png": b"y"})
    page = visitor.open(f"/ui/runs/{run_id}")
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 of 2 files are not done")
    dialog.get_by_label("Why").fill("the wrong batch")
    dialog.get_by_role("button", name="Cancel the run").click()
    expect(page.locator(".badge").filter(has_text="cancelled").first).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("no longer needed")
    dialog.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("heading", name="was deleted")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="record and results")).to_contain_text("done")
    with Client(url=server.url, key=server.key) as client:
        reasons = {
            action: (client.audit(action=action, limit=1)[0].detail or {})["reason"]
            for action in ("runs.cancel", "runs.delete")
        }
    assert reasons == {"runs.cancel": "the wrong batch", "runs.delete": "no longer needed"}


def test_nothing_that_users_store_runs(visitor: Visitor, receipts_port: Port) -> None:
    script = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(9)</script></svg>"
    names = [f"{attack}.svg".replace("/", "") for attack in ATTACKS]
    files = dict.fromkeys([*names, "page.html"], script)

    def evil(_name: str) -> dict[str, Any]:
        fields = [
            {
                "name": attack,
                "value": attack + ("\n" * (index % 2)),
                "alerts": [attack],
                "page": 0,
                "box": [0, index, 9, index + 1],
            }
            for index, attack in enumerate(ATTACKS)
        ]
        pages = [{"number": 0, "width": 10, "height": 10}]
        found = result(*fields, pages=pages, review=ATTACKS[0])
        found["documents"][0]["class_name"] = ATTACKS[1]
        return found

    run_id = receipts_port.finish(files, evil)
    for path in (f"/ui/runs/{run_id}", f"/ui/reviews?run={run_id}", "/ui/runs?q=<script>alert(6)"):
        expect(visitor.open(path).get_by_role("heading", level=1)).to_be_visible()
    page = visitor.open(f"/ui/runs/{run_id}/documents/0-0")
    expect(page.locator("[data-picture-problem]")).to_contain_text("No picture can be drawn")
    assert page.locator("#value-0").input_value() == ATTACKS[0]
    page.locator("#value-2").fill(ATTACKS[3])
    page.get_by_role("button", name="Keep corrections").click()
    expect(page.get_by_text("The corrections are kept.")).to_be_visible()
    expect(page.locator(".history li")).to_have_count(1)
    last = len(files) - 1
    for position in (0, last):
        base = f"{visitor.url}/ui/runs/{run_id}/files/{position}"
        answer = page.request.get(f"{base}/download")
        assert answer.body() == script
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert page.request.get(f"{base}/pages/0").status == 400
    text = page.request.get(f"{visitor.url}/ui/runs/{run_id}/results.csv").text()
    assert "'-alert(4)-'" in text


def test_a_viewer_sees_runs_and_may_not_review(
    visit: Visit, server: Server, receipts_port: Port
) -> None:
    run_id = receipts_port.finish({"a.png": b"x"}, one_document)
    with Client(url=server.url, key=server.key) as client:
        visitor = visit(server)
        visitor.sign_in(client.keys.create(f"viewer {run_id}", "viewer").key)
    page = visitor.open(f"/ui/runs/{run_id}")
    expect(page.locator(".run-progress")).to_contain_text("1 of 1 files ended")
    expect(page.get_by_role("button", name=re.compile("Delete|Cancel"))).to_have_count(0)
    page = visitor.open(f"/ui/reviews?run={run_id}")
    expect(page.get_by_role("button", name="Review the next one")).to_have_count(0)
    page = visitor.open(f"/ui/runs/{run_id}/documents/0-0")
    expect(page.locator("output#value-0")).to_have_text("12.00")
    expect(page.get_by_role("button", name=re.compile("Accept|Keep|Take"))).to_have_count(0)
    headers = json.loads(page.locator("body").get_attribute("hx-headers") or "{}")
    address = f"{visitor.url}/ui/runs/{run_id}"
    form: dict[str, str | float | bool] = {"version": "1", "what": "accept", "part": "record"}
    for path in (
        f"{address}/documents/0-0",
        f"{address}/documents/0-0/begin",
        f"{address}/delete",
        f"{address}/cancel",
        f"{visitor.url}/ui/reviews/next",
    ):
        assert page.request.post(path, form=form, headers=headers).status == 403
    assert receipts_port.results(run_id)["review_completed"] is False


def test_pages_of_runs_fit_a_phone(visit: Visit, server: Server, receipts_port: Port) -> None:
    run_id = receipts_port.finish({f"{'long name ' * 9}.png": b"x"}, one_document)
    visitor = visit(server, phone=True, dark=True)
    visitor.sign_in(server.key)
    for path in ("/ui/runs", f"/ui/runs/{run_id}", f"/ui/runs/{run_id}/documents/0-0"):
        page = visitor.open(path)
        page.get_by_role("heading", level=1).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
