"""The services of the page on them, and the example, run as they are printed, with a real worker."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from longshore.sdk import Client
from longshore.settings import child_environment
from longshore.storage import Database
from tests.surfaces.sdk_server import Served, running
from tests.unit.worker_server import poll

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/how-to/write-a-service.md"
EXAMPLE = ROOT / "examples/quotes"


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


@contextmanager
def working(served: Served, module: Path) -> Iterator[Client]:
    """Serve a module with a worker; give a client once its services are offered."""
    environment = child_environment(LONGSHORE_URL=served.url, LONGSHORE_KEY=served.first.token)
    arguments = ["worker", str(module), "--slots", "1", "--drain-s", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "longshore", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as worker:
        try:
            with Client(served.url, served.first.token) as client:
                poll(lambda: worker.poll() is not None or client.services.list())
                yield client
        finally:
            worker.terminate()


@pytest.mark.slow
def test_the_services_of_the_page_compute(served: Served, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    module = tmp_path / "page.py"
    module.write_text("\n\n".join(block for block in blocks if "@longshore.service" in block))
    people = [{"age": 30}, {"age": 40, "smoker": True}, {"age": 80}]
    with working(served, module) as client:
        with client.pipeline("insurance/quote") as pipeline:
            young, smoker, old = pipeline.map(people, on_error="yield")
        assert young["accepted"]
        assert smoker["premium"] > 2 * young["premium"]
        assert "nobody older than 75" in str(old)
        columns = [{"age": 30, "sum_insured": 100_000.0}] * 3
        with client.pipeline("insurance/quotes") as pipeline:
            assert [each["premium"] for each in pipeline.map(columns)] == [young["premium"]] * 3


@pytest.mark.slow
def test_the_example_quotes_a_portfolio(served: Served, tmp_path: Path) -> None:
    environment = child_environment(LONGSHORE_URL=served.url, LONGSHORE_KEY=served.first.token)
    with working(served, EXAMPLE / "quotes.py"):
        ended = subprocess.run(
            [sys.executable, str(EXAMPLE / "portfolio.py"), "5000"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r"4995 quoted, 5 refused, premiums [\d,]+\.\d\d a year\n", ended.stdout), (
        ended.stdout
    )
