"""Corpora and elements, as a person sees them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.acceptance.harness import Server
from tests.browser.records import HOSTILE, LINK, Api, refused, viewer
from tests.browser.rig import Visitor
from tests.surfaces.images_rig import drawn, file_of

SIZE = (300, 200)
WHOLE = [[0, 0], [300, 0], [300, 200], [0, 200], [0, 0]]
LINE = [[30, 40], [270, 40], [270, 80], [30, 80], [30, 40]]


@pytest.fixture
def api(server: Server) -> Api:
    return Api(server)


class Letters:
    """A corpus with one page and a line on it."""

    def __init__(self, api: Api, server: Server) -> None:
        self._api = api
        self.name = f"letters {secrets.token_hex(4)} {HOSTILE}"
        types = [{"slug": "page"}, {"slug": "text_line"}]
        body = {"name": self.name, "description": HOSTILE, "types": types}
        self.id = self.call("POST", "/corpus/", body)["id"]
        answer = httpx.post(
            f"{server.url}/longshore/v1/corpus/images",
            params={"name": "page.png"},
            content=file_of(drawn(*SIZE)),
            headers={"Authorization": f"Bearer {server.key}"},
        )
        answer.raise_for_status()
        self.image = answer.json()["id"]
        self.page = self.element("page", f"Page {HOSTILE}", WHOLE)
        self.line = self.element("text_line", "line 1", LINE, parent=self.page)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self._api.call(method, f"/api/v1{path}", body)

    def element(self, kind: str, name: str, polygon: Any, **more: Any) -> str:
        body = {"type": kind, "name": name, "corpus": self.id, "image": self.image, **more}
        return str(self.call("POST", "/elements/create/", {**body, "polygon": polygon})["id"])

    def read(self, element_id: str, text: str, **more: Any) -> Any:
        body = {"text": text, "confidence": 0.87, **more}
        return self.call("POST", f"/element/{element_id}/transcription/", body)


@pytest.fixture
def letters(api: Api, server: Server) -> Letters:
    return Letters(api, server)


def test_a_page_is_drawn_with_its_zones_which_lead_to_their_elements(
    visitor: Visitor, letters: Letters
) -> None:
    page = visitor.open(f"/ui/elements/{letters.page}")
    drawing = page.locator("svg.zones")
    expect(drawing).to_have_attribute("viewBox", "0.00 0.00 300.00 200.00")
    zone = drawing.get_by_role("link", name="text_line line 1")
    points = zone.locator("polygon").get_attribute("points")
    assert points is not None
    assert points.split()[:2] == ["30,40", "270,40"]
    page.get_by_label("text_line (1)").uncheck()
    expect(zone.locator("polygon")).to_be_hidden()
    page.get_by_label("text_line (1)").check()
    zone.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(letters.line))
    expect(page.get_by_role("heading", level=1)).to_contain_text("line 1")


def test_the_image_is_sent_to_who_is_signed_in_and_to_nobody_else(
    visitor: Visitor, visit: Callable[..., Visitor], server: Server, letters: Letters
) -> None:
    path = f"/ui/elements/{letters.line}/image"
    answer = visitor.context.request.get(server.url + path)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.body()[:2] == b"\xff\xd8"
    assert httpx.get(server.url + path).status_code == 401
    shown = visitor.open(f"/ui/corpora/{letters.id}")
    thumbnail = shown.locator(".thumbnails img").first
    thumbnail.scroll_into_view_if_needed()
    shown.wait_for_function(
        "() => [...document.querySelectorAll('.thumbnails img')].every((one) => one.naturalWidth > 0)"
    )


def test_a_transcription_is_seen_without_a_reload_with_its_entities_and_direction(
    visitor: Visitor, letters: Letters
) -> None:
    page = visitor.open(f"/ui/elements/{letters.line}")
    expect(page.get_by_text("No text was read on this element itself.")).to_be_visible()
    text = f"שלום Anna {HOSTILE}"
    made = letters.read(letters.line, text, orientation="horizontal-rl")
    kind = {"name": HOSTILE, "color": "ff0000", "corpus": letters.id}
    type_id = letters.call("POST", "/entity/types/", kind)["id"]
    span = {"type_id": type_id, "offset": 5, "length": 4}
    letters.call("POST", f"/transcription/{made['id']}/entities/", span)
    shown = page.locator(".transcription")
    expect(shown).to_contain_text(HOSTILE)
    expect(shown).to_have_attribute("dir", "rtl")
    expect(shown.locator("mark")).to_contain_text("Anna")
    expect(page.get_by_text("87.0 %").first).to_be_visible()


def test_metadata_links_to_the_web_only(visitor: Visitor, letters: Letters) -> None:
    path = f"/element/{letters.page}/metadata/"
    for name, kind, value in (
        ("good", "url", "https://example.org/a?b=1"),
        (HOSTILE, "text", LINK),
        ("markup", "html", HOSTILE),
    ):
        letters.call("POST", path, {"name": name, "type": kind, "value": value})
    page = visitor.open(f"/ui/elements/{letters.page}")
    good = page.get_by_role("link", name="https://example.org/a?b=1")
    expect(good).to_have_attribute("rel", re.compile("noreferrer"))
    expect(page.get_by_role("cell", name=LINK)).to_be_visible()
    assert page.locator("a[href^='javascript']").count() == 0


def test_elements_are_found_by_type_and_name_and_neighbours_lead_on(
    visitor: Visitor, letters: Letters
) -> None:
    second = letters.element("page", "Second page", WHOLE)
    page = visitor.open(f"/ui/corpora/{letters.id}")
    page.get_by_label("Type").select_option("page")
    page.get_by_label("Part of the name").fill("SECOND")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".thumbnails li")).to_have_count(1)
    page.get_by_role("link", name="Second page").click()
    page.wait_for_url(re.compile(second))
    page.get_by_role("link", name="Previous").click()
    page.wait_for_url(re.compile(letters.page))


def test_a_corpus_is_made_exported_and_deleted_with_reasons(
    visitor: Visitor, server: Server, api: Api
) -> None:
    name = f"made by hand {secrets.token_hex(4)}"
    page = visitor.open("/ui/corpora")
    page.get_by_role("button", name="Make a corpus").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_role("button", name="Make it").click()
    page.wait_for_url(re.compile("/ui/corpora/[0-9a-f-]+$"))
    corpus_id = page.url.rpartition("/")[2]
    page.get_by_role("link", name="Exports").click()
    page.get_by_role("button", name="Export now").click()
    page.get_by_role("dialog").get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes().startswith(b"SQLite format 3")
    page.goto(f"{server.url}/ui/corpora/{corpus_id}")
    page.get_by_role("button", name="Delete the corpus").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("it was a try")
    dialog.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_url(re.compile("/ui/corpora$"))
    expect(page.get_by_role("link", name=name)).to_have_count(0)
    (entry,) = api.audited("corpus.delete", corpus_id)
    assert entry["detail"]["reason"] == "it was a try"


def test_a_viewer_sees_corpora_and_may_change_nothing(
    visit: Callable[..., Visitor], server: Server, letters: Letters
) -> None:
    visitor = viewer(visit, server)
    page = visitor.open(f"/ui/elements/{letters.page}")
    expect(page.locator("svg.zones")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)
    for path in (
        "/ui/corpora",
        f"/ui/corpora/{letters.id}/delete",
        f"/ui/corpora/{letters.id}/exports",
        f"/ui/elements/{letters.page}/delete",
    ):
        assert refused(visitor, path, name="mine") == 403, path
