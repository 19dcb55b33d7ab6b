"""Keys, the keystore, and what attackers try on people who are signed in."""

from __future__ import annotations

import http.server
import secrets
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import expect

from longshore import Client
from tests.acceptance.harness import Server
from tests.browser.rig import Visitor, picture

HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def admin(server: Server) -> Iterator[Client]:
    with Client(url=server.url, key=server.key) as client:
        yield client


def test_a_key_is_made_shown_once_and_revoked(visitor: Visitor, server: Server) -> None:
    name = f"{HOSTILE} {secrets.token_hex(4)}"
    page = visitor.open("/ui/keys")
    picture(page, "keys")
    page.get_by_text("Make a key").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Role").select_option("operator")
    page.get_by_role("button", name="Make the key").click()
    token = page.locator(".copyable pre").inner_text().strip()
    bearer = {"Authorization": f"Bearer {token}"}
    assert (
        httpx.get(f"{server.url}/longshore/v1/whoami", headers=bearer).json()["role"] == "operator"
    )
    page.get_by_role("link", name="To all keys").click()
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_be_visible()
    assert token not in page.content()
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_label("Why (optional)").fill("lost laptop")
    page.get_by_role("dialog").get_by_role("button", name="Revoke it").click()
    expect(row).to_contain_text("revoked")
    assert httpx.get(f"{server.url}/longshore/v1/whoami", headers=bearer).status_code == 401


def test_the_keystore_shows_names_and_never_values(visitor: Visitor, admin: Client) -> None:
    name, value = f"db_{secrets.token_hex(4)}", f"hunter2-{secrets.token_hex(8)}"
    page = visitor.open("/ui/keystore")
    page.get_by_role("button", name="Set a value").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill(name)
    dialog.get_by_label("Value", exact=True).fill(value)
    dialog.get_by_label("What it is for (optional)").fill(HOSTILE)
    dialog.get_by_role("button", name="Set it").click()
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text(HOSTILE)
    assert value not in page.content()
    assert page.get_by_label("Value", exact=True).input_value() == ""
    picture(page, "keystore")
    assert name in {entry.name for entry in admin.keystore.list()}
    row.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove it").click()
    expect(row).to_have_count(0)


class _Evil(http.server.BaseHTTPRequestHandler):
    """A site of an attacker: it frames the dashboard, and sends forms to it."""

    target = ""

    def do_GET(self) -> None:
        if self.path == "/frame":
            page = f'<h1>evil</h1><iframe src="{self.target}/ui/keys"></iframe>'
        else:
            page = (
                f'<h1>evil</h1><form method="post" action="{self.target}/ui/keys">'
                '<input name="name" value="stolen"><input name="role" value="admin">'
                "</form><script>document.forms[0].submit()</script>"
            )
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def evil(server: Server) -> Iterator[str]:
    """The address of an attacker's site, on another name than the dashboard's."""
    _Evil.target = server.url
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Evil)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield f"http://localhost:{site.server_port}"
    site.shutdown()
    thread.join()
    site.server_close()


def test_another_site_can_neither_act_nor_frame(
    visit: Callable[..., Visitor], server: Server, evil: str, admin: Client
) -> None:
    visitor = visit(server)
    visitor.sign_in(server.key)
    page = visitor.page()
    page.goto(f"{evil}/form")
    page.wait_for_url(f"{server.url}/ui/keys")
    assert "stolen" not in {key.name for key in admin.keys.list()}
    page.goto(f"{evil}/frame")
    frame = page.frames[-1]
    assert "Keys and roles" not in frame.content()
    # The browser says on its console that it refused the frame: that is what is wanted here.
    visitor.faults[:] = [text for text in visitor.faults if "frame" not in text.lower()]
