"""The receiver of docs/how-to/notifications.md, as it stands there, receives."""

from __future__ import annotations

import re
import threading
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.clock import SystemClock
from longshore.wire.webhooks import headers, new_secret

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/notifications.md"
BODY = b'{"type": "work.success", "data": {"id": "wk_1"}}'


def test_the_receiver_of_the_documentation_lets_in_what_is_genuine_and_new(
    capsys: pytest.CaptureFixture[str],
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    block = next(block for block in blocks if "webhooks.received" in block)
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(block, str(PAGE), "exec"), names)
    secret = new_secret()
    names["SECRETS"][:] = [secret]
    names["Hook"].log_message = lambda *_: None
    server = HTTPServer(("127.0.0.1", 0), names["Hook"])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        at_s = SystemClock().now_us() // 1_000_000
        genuine = headers([secret], "wk_1", at_s, BODY)
        forged = headers([new_secret()], "wk_2", at_s, BODY)
        answers = [
            httpx.post(url, content=BODY, headers=sent).status_code
            for sent in (forged, genuine, genuine, {})
        ]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
    assert answers == [400, 200, 200, 400]
    assert capsys.readouterr().out == "work.success wk_1\n"
