"""What the page on throttles prints is what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import httpx
import pytest

from longshore.cli.main import main
from longshore.storage import Database
from tests.surfaces.sdk_server import running
from tests.unit.serving import bearer

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/plan-throttles.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)


def simulations() -> list[tuple[list[str], list[str]]]:
    """Return the commands of the page that simulate, with the lines that it shows below them."""
    found: list[tuple[list[str], list[str]]] = []
    for block in blocks("console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((shlex.split(line[2:]), []))
            else:
                found[-1][1].append(line)
    return [(command, shown) for command, shown in found if command[2] == "simulate"]


def test_the_tables_of_the_page_are_those_of_the_commands(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running(database, tmp_path / "data") as served:
        monkeypatch.setenv("LONGSHORE_URL", served.url)
        monkeypatch.setenv("LONGSHORE_KEY", served.first.token)
        with httpx.Client(
            base_url=f"{served.url}/coreauto/v1", headers=bearer(served.first.token)
        ) as client:
            for host in ("loading", "office"):
                assert client.put(f"/hosts/{host}", json={}).is_success
            assert client.post("/workflows", json={"text": blocks("yaml")[0]}).is_success
        pairs = simulations()
        assert len(pairs) == 2
        for command, shown in pairs:
            monkeypatch.setattr("sys.argv", command)
            with pytest.raises(SystemExit) as ended:
                main()
            printed = capsys.readouterr()
            assert not ended.value.code
            assert (printed.out + printed.err).splitlines() == shown
