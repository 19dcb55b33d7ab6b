"""Images that an IIIF service elsewhere has."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from longshore.clock import ManualClock
from longshore.edge.outbound import Outbound
from longshore.storage import Database
from tests.surfaces.corpus_rig import Corpora, corpora_of
from tests.unit.serving import bearer, listening

V2 = {
    "@context": "http://iiif.io/api/image/2/context.json",
    "@id": "elsewhere",
    "width": 4_000,
    "height": 3_000,
    "profile": ["http://iiif.io/api/image/2/level2.json", {"maxWidth": 2_000}],
}
V3 = {"id": "elsewhere", "type": "ImageService3", "width": 400, "height": 300, "maxHeight": 200}


class Elsewhere:
    """An IIIF service; the documents it has are given by path."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        self.asked.append(f"{scope['method']} {scope['path']}")
        status, content = self.answers.get(scope["path"], (404, b""))
        headers = [(b"location", b"http://127.0.0.1/")] if status == 302 else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def has(self, name: str, content: Any, status: int = 200) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.answers[f"/iiif/{name}/info.json"] = (status, data)


@pytest.fixture
async def corpora(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Corpora]:
    async with corpora_of(database, clock, tmp_path) as made:
        made.served.context.outbound = Outbound([ip_network("127.0.0.1/32")], limit_s=5)
        yield made


async def name_url(corpora: Corpora, url: str, expect: int = 201, **more: Any) -> Any:
    return await corpora.call("POST", "/image/iiif/url/", expect=expect, body={"url": url}, **more)


async def test_an_image_elsewhere_is_known_by_its_description(corpora: Corpora) -> None:
    elsewhere = Elsewhere()
    elsewhere.has("a", V2)
    elsewhere.has("b", V3)
    with listening(elsewhere) as port:  # type: ignore[arg-type]
        url = f"http://127.0.0.1:{port}/iiif"

        first = await name_url(corpora, f"{url}/a")
        again = await name_url(corpora, f"{url}/a/info.json", 200)
        third = await name_url(corpora, f"{url}/b/")

    assert (first["url"], first["width"], first["height"]) == (f"{url}/a", 4_000, 3_000)
    assert again == first
    assert first["server"]["version"] == 2
    assert (first["server"]["max_width"], first["server"]["max_height"]) == (2_000, 2_000)
    assert (third["url"], third["server"]["version"]) == (f"{url}/b", 3)
    assert (third["server"]["max_width"], third["server"]["max_height"]) == (None, 200)
    assert elsewhere.asked == ["GET /iiif/a/info.json", "GET /iiif/b/info.json"]


@pytest.mark.parametrize(
    ("content", "status", "why"),
    [
        (V2, 404, "404"),
        (V2, 302, "302"),
        (b"<html>", 200, "not JSON"),
        (b"[" * 100_000, 200, "or more"),
        (b"[" * 50_000, 200, "not JSON"),
        ([], 200, "not a JSON object"),
        ({"width": 10}, 200, "width and height"),
        ({"width": True, "height": 10}, 200, "width and height"),
        ({"width": 0, "height": 10}, 200, "width and height"),
        ({"width": 10**12, "height": 10}, 200, "width and height"),
    ],
)
async def test_what_does_not_describe_an_image_is_a_bad_request(
    corpora: Corpora, content: Any, status: int, why: str
) -> None:
    elsewhere = Elsewhere()
    elsewhere.has("a", content, status)
    with listening(elsewhere) as port:  # type: ignore[arg-type]
        told = await name_url(corpora, f"http://127.0.0.1:{port}/iiif/a", 400)

    assert why in told["detail"]
    assert told["errors"][0]["attr"] == ["url"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2/iiif/a",
        "http://10.0.0.1/iiif/a",
        "http://169.254.169.254/iiif/a",
        "http://[::1]/iiif/a",
        "http://localhost/iiif/a",
        "file:/etc/passwd",
        "https://user:word@host.example/iiif/a",
        "https://host.example/",
        "https://host.example/iiif/a?b=c",
        "",
        "nonsense",
    ],
)
async def test_the_server_calls_nothing_that_it_may_not(corpora: Corpora, url: str) -> None:
    corpora.served.context.outbound = Outbound()

    told = await name_url(corpora, url, 400)

    assert told["errors"][0]["attr"] == ["url"]


async def test_a_name_that_leads_inside_is_refused(corpora: Corpora) -> None:
    async def inside(_host: str, _port: int) -> list[str]:
        return ["192.168.1.1"]

    corpora.served.context.outbound = Outbound(resolver=inside)

    told = await name_url(corpora, "https://images.example/iiif/a", 400)

    assert "private" in told["detail"]


async def test_another_organisation_has_its_own(corpora: Corpora) -> None:
    elsewhere = Elsewhere()
    elsewhere.has("a", V2)
    _, token = corpora.served.other_organisation()
    with listening(elsewhere) as port:  # type: ignore[arg-type]
        url = f"http://127.0.0.1:{port}/iiif/a"
        mine = await name_url(corpora, url)
        theirs = await name_url(corpora, url, headers=bearer(token))

    assert mine["id"] != theirs["id"]
    await corpora.call("GET", f"/image/{mine['id']}/", expect=404, headers=bearer(token))
