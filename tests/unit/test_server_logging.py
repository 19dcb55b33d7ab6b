"""Log lines: one JSON object each, and no secret in them, wherever it came from."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from longshore import ids
from longshore.server.logging import REDACTED, configure, get_logger, without_secrets

TOKEN = f"ls_{ids.new('ky')[3:]}_{ids.secret()}"
SECRET = TOKEN.split("_", 2)[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield io.StringIO()
    root.handlers, root.level = handlers, level
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "alembic"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.contextvars.clear_contextvars()


def raise_with_secret(token: str) -> None:
    authorization = f"Bearer {token}"
    raise RuntimeError(f"cannot use {authorization}")


def write_secrets() -> None:
    log = get_logger("longshore.test")
    log.info("the key is %s", TOKEN)
    log.info("request", headers={"Authorization": f"Bearer {TOKEN}", "x-api-key": "abcdefgh"})
    log.info("request", raw=f"authorization: token {SECRET}".encode(), parts=[TOKEN, {"key": 1}])
    log.info("database", url="postgresql://user:hunter2@host/longshore", password="hunter2")
    logging.getLogger("foreign").warning("got %s from %s", TOKEN, {"api_key": SECRET})
    try:
        raise_with_secret(TOKEN)
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("foreign").exception("failed too")


def test_lines_are_json_and_hold_no_secret(stream: io.StringIO) -> None:
    configure("info", stream)
    write_secrets()
    lines: list[dict[str, Any]] = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 7
    assert all({"event", "level", "timestamp", "logger"} <= set(line) for line in lines)
    assert "RuntimeError" in lines[-1]["exception"]
    assert SECRET not in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
    assert "abcdefgh" not in stream.getvalue()
    assert REDACTED in stream.getvalue()


def test_a_terminal_gets_text_without_secrets(stream: io.StringIO) -> None:
    terminal = Terminal()
    configure("info", terminal)
    write_secrets()
    text = terminal.getvalue()
    assert "RuntimeError" in text
    assert SECRET not in text
    assert "hunter2" not in text


def test_a_line_stays_one_line(stream: io.StringIO) -> None:
    configure("info", stream)
    get_logger("longshore.test").info("request", path='/a\n{"event": "forged"}\r\n')
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.usefixtures("stream")
def test_a_path_cannot_steer_a_terminal() -> None:
    terminal = Terminal()
    configure("info", terminal)
    get_logger("longshore.test").info("request", path="/\x1b]0;title\x07\x1b[2J\r\nforged\x9b", n=1)
    text = terminal.getvalue()
    assert "\x1b]0" not in text
    assert "\x1b[2J" not in text
    assert not {"\r", "\x07", "\x9b"} & set(text)
    assert r"\x1b[2J" in text
    assert len(text.splitlines()) == 1


def test_the_level_is_kept(stream: io.StringIO) -> None:
    configure("warning", stream)
    get_logger("longshore.test").info("quiet")
    get_logger("longshore.test").warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "work wk_06gvn3c355qundbkh1dl5cklm4 by ky_06gvn3c355qundbkh1dl5cklm4",
        "2 tokens of work",
        "https://host/path?a=b@c",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text
