"""The workflow and the program of the page on events work as they are printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import longshore.cawbs
from longshore.access import Role, keys
from longshore.settings import child_environment
from longshore.storage import Database
from tests.surfaces.sdk_server import running
from tests.unit.serving import bearer

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/send-events.md"
LIBRARIES = Path(longshore.cawbs.__path__[0])


def block(language: str) -> str:
    """Return the one block of the page in a language."""
    text = PAGE.read_text("utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_program_sends_an_event_that_starts_the_workflow(
    database: Database, tmp_path: Path
) -> None:
    with (
        running(database, tmp_path / "data") as served,
        httpx.Client(
            base_url=f"{served.url}/coreauto/v1", headers=bearer(served.first.token)
        ) as client,
    ):
        client.put("/hosts/host1").raise_for_status()
        client.post("/workflows", json={"text": block("yaml")}).raise_for_status()
        _, key = database.write_blocking(
            keys.create, served.organisation_id, name="shop", role=Role.INGRESS
        )
        ended = subprocess.run(
            [sys.executable, "-c", block("python")],
            cwd=tmp_path,
            env=child_environment(
                ENV="local",
                CA_ACCESS_CODE=key,
                CA_WBS_URL=f"{served.url}/coreauto",
                PYTHONPATH=str(LIBRARIES),
            ),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (0, "run 1\n"), ended.stderr
        told = client.get("/rtevent/status/1").raise_for_status().json()
        sent = client.get("/rtevent/1").raise_for_status().json()
    assert (told["eventName"], told["status"]) == ("order-placed", "running")
    assert sent["payload"] == {"order": 17}
