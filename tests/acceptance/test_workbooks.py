"""A workbook from the command line to its outputs: upload, pipeline and execution, with a real worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, eventually
from tests.acceptance.pipelines import SERVICES, Shipper
from tests.unit.workbook_files import quote

NAME = "tariffs/quote"


def add(server: Server, path: Path, *more: str) -> str:
    """Run `longshore service add` and return what it printed."""
    command = [
        sys.executable, "-m", "longshore", "service", "add", str(path),
        "--inputs", "age", "amount", "level", "--outputs", "premium", "note", "--name", NAME,
    ]  # fmt: skip
    environment = {**os.environ, "LONGSHORE_URL": server.url, "LONGSHORE_KEY": server.key}
    done = subprocess.run(
        [*command, *more], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(120)
def test_a_workbook_is_added_while_a_worker_runs_and_computes_through_kills(
    harbour: Harbour, tmp_path: Path
) -> None:
    server = harbour.server()
    server.start()
    worker = harbour.worker(server, slots=2, apps=SERVICES)
    worker.start()
    user = Shipper(server)
    harbour.clients.append(user)
    eventually(lambda: "online" in user.ask("GET", "/longshore/v1/workers").text, 30.0, "online")

    # The worker is there before the workbook is.
    assert "premium is 200" in add(server, quote(tmp_path / "quote.xlsx"))
    pipeline = user.pipeline(NAME, acceptable_error_percentage=50)
    sizes = [50] * 20
    for number, size in enumerate(sizes):
        records = [
            {"age": 20 + place % 20, "amount": number * size + place} for place in range(size)
        ]
        records[7] = {"level": "none"}
        pipeline.push({"id": f"chunk-{number}", "data": {"inputs": records}})
        if number in (5, 10):
            worker.kill()
            worker.start()
    pipeline.drain(len(sizes), 60.0)

    for number, size in enumerate(sizes):
        result = pipeline.results[f"chunk-{number}"]
        for place, output in enumerate(result["outputs"]):
            if place == 7:
                assert output is None
                assert "premium (Calc!B7) is #N/A" in result["errors"][place][0]["message"]
                continue
            factor = 1.2 if 20 + place % 20 < 25 else 1
            premium = round((number * size + place) * 0.02 * factor + 1e-9, 2)
            assert output["premium"] == pytest.approx(premium, abs=0.011)
            assert output["note"] == ("high" if output["premium"] > 100 else "low")

    # The next version answers from now on, and the first one still for who names it.
    assert "tariffs/quote[1.0.1]: added" in add(server, quote(tmp_path / "new.xlsx", factor=3))
    path = f"{user.root.removesuffix('/batch')}/execute"
    for service, premium in ((NAME, 600), (f"{NAME}[1.0.0]", 240)):
        body = {"service": service, "inputs": [{"age": 20}]}
        answer = user.ask("POST", path, json=body, expect=(200,)).json()
        assert answer["outputs"] == [{"premium": premium, "note": "high"}]
