"""X9 for corpora: images elsewhere are no way to reach what only the server reaches (SSRF)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server
from tests.acceptance.tenancy_corpus import API

INSIDE = [
    # Addresses of the machine, of its neighbours, and of what clouds tell their machines.
    *(f"http://{host}/iiif/a" for host in ("127.0.0.1", "127.1", "2130706433", "0x7f000001")),
    *(f"http://{host}/iiif/a" for host in ("0177.0.0.1", "0.0.0.0", "localhost", "LOCALHOST.")),
    *(f"http://{host}/iiif/a" for host in ("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1")),
    *(f"http://{host}/iiif/a" for host in ("169.254.169.254", "2852039166", "224.0.0.1")),
    *(f"http://[{host}]/iiif/a" for host in ("::1", "::", "fe80::1", "fd00::1", "::127.0.0.1")),
    *(f"http://[{host}]/iiif/a" for host in ("::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "ff02::1")),
    *(f"http://[{host}]/iiif/a" for host in ("64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1%25lo")),
    "http://example.com@127.0.0.1/iiif/a",
    "http://127.0.0.1#example.com/iiif/a",
    "http://127.0.0.1\\@example.com/iiif/a",
    "file:/etc/passwd",
    "gopher://127.0.0.1/iiif/a",
    "//127.0.0.1/iiif/a",
    "http:127.0.0.1/iiif/a",
    "http://127.0.0.1:22/iiif/a\r\nHost: x",
]


class _Elsewhere(BaseHTTPRequestHandler):
    """An IIIF service that leads to another place, and the place."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = json.dumps({"@id": "x", "width": 9, "height": 9, "secret": "inside"}).encode()
        led = self.path.startswith("/iiif/led")
        self.send_response(int(self.path[9:12]) if led else 200)
        if led:
            self.send_header("Location", f"http://{self.headers['Host']}/inside/info.json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (_Elsewhere,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,), name="elsewhere")
        thread.start()
        try:
            yield f"127.0.0.1:{listener.server_address[1]}", asked
        finally:
            listener.shutdown()
            thread.join()


def test_the_server_asks_no_address_inside_for_an_image(
    server: Server, user: User, elsewhere: tuple[str, list[str]]
) -> None:
    host, asked = elsewhere
    port = host.rpartition(":")[2]
    near = [f"http://{name}:{port}/iiif/a" for name in ("127.0.0.1", "localhost", "127.1", "[::1]")]
    for url in [*INSIDE, *near]:
        answer = user.http.post(f"{API}/image/iiif/url/", json={"url": url})
        assert answer.status_code == 400, f"{url} -> {answer.status_code} {answer.text}"
        assert answer.json()["errors"][0]["attr"] == ["url"], answer.text
    assert asked == []


def test_the_server_follows_no_other_address_for_an_image(
    harbour: Harbour, elsewhere: tuple[str, list[str]]
) -> None:
    host, asked = elsewhere
    server = harbour.server(settings={"LONGSHORE_WEBHOOK_NETWORKS": "127.0.0.1/32"})
    server.start()
    user = harbour.user(server)
    statuses = (301, 302, 303, 307, 308)
    for status in statuses:
        url = f"http://{host}/iiif/led{status}"
        answer = user.http.post(f"{API}/image/iiif/url/", json={"url": url})
        assert answer.status_code == 400, f"{status} -> {answer.status_code} {answer.text}"
        assert "inside" not in answer.text.replace(url, ""), "what came is not told"
    assert asked == [f"/iiif/led{status}/info.json" for status in statuses]
    url = f"http://{host}/iiif/straight"
    made = user.ask("POST", f"{API}/image/iiif/url/", json={"url": url}, expect=(201,))
    assert (made.json()["width"], "secret" in made.text) == (9, False)
