"""The programs of the page on maps, run as they are printed, on a server in memory."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

import longshore
from longshore.sdk import Client
from tests.unit.pipelines_server import FakePipelines
from tests.unit.pipelines_support import lines_of

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/map.md"


def priced(record: dict[str, Any]) -> dict[str, Any]:
    return {"price": record["article"] + 0.5}


def test_the_programs_of_the_page_do_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping, plain = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    server = FakePipelines(priced)
    transport = httpx.MockTransport(server)
    made = partial(Client, "http://127.0.0.1:8400", "ls_key", transport=transport)
    monkeypatch.setattr(longshore, "Client", made)
    (tmp_path / "orders.csv").write_text("article\n1\n2\n3\n")
    # A million takes a while where every record is a dict of the test's own.
    assert "1_000_000" in mapping
    exec(compile(mapping.replace("1_000_000", "1_000"), "map.md", "exec"), {})
    told = capsys.readouterr().out.splitlines()
    assert told[:1_000] == [str(number + 0.5) for number in range(1_000)]
    assert told[1_000].startswith("3 0 ")
    assert lines_of(tmp_path / "prices.jsonl") == [{"price": 1.5}, {"price": 2.5}, {"price": 3.5}]
    exec(compile(plain, "map.md", "exec"), {})
    first = {line.split(" ", 1)[1] for line in capsys.readouterr().out.splitlines()}
    assert first == {f"{{'price': {number * 200 + 0.5}}}" for number in range(5)}
    assert server.status == "closed"
