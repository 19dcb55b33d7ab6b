"""The scripts of the page on steps, and the example of a workflow, as they are printed, for real."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server
from tests.acceptance.scripts import API, Dispatcher

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/how-to/write-a-step.md"
EXAMPLE = ROOT / "examples/scripts"
EXTRACT = """
from longshore import step
step.put({"orders": [{"amount": 3}, {"amount": 4}]})
"""


@dataclass
class Shop:
    """`longshore up --worker-host shop`, and its user."""

    server: Server
    scripts: Path

    def longshore(self, *arguments: str, given: str = "", status: int = 0) -> str:
        """Run a command of the command line and return what it printed."""
        inherited = {name: text for name, text in os.environ.items() if "LONGSHORE" not in name}
        ended = subprocess.run(
            [sys.executable, "-m", "longshore", *arguments],
            env={
                **inherited, "LONGSHORE_URL": self.server.url, "LONGSHORE_KEY": self.server.key,
            },
            input=given, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ended.returncode == status, ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    directory = tmp_path_factory.mktemp("steps")
    scripts = directory / "scripts"
    shutil.copytree(EXAMPLE, scripts, ignore=shutil.ignore_patterns("*.jsonl", "__pycache__"))
    with Harbour(directory) as harbour:
        server = harbour.server(worker=True, slots=2)
        server._arguments += ["--worker-host", "shop", "--scripts", str(scripts)]
        server.start()
        yield Shop(server, scripts)
        server.stop()


@pytest.fixture
def user(shop: Shop) -> Iterator[Dispatcher]:
    made = Dispatcher(shop.server)
    yield made
    made.close()


def blocks(language: str, words: str) -> str:
    """Return the block of the page that has these words."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    (block,) = (block for block in found if words in block)
    return str(block)


def log(user: Dispatcher, run_id: int) -> str:
    """Return what the steps of a run have printed."""
    lines = user.get(f"{API}/runs/{run_id}/logs")["lines"]
    return "\n".join(line["text"] for line in lines)


@pytest.mark.slow
def test_the_example_reports_the_sales_of_a_day_once(shop: Shop, user: Dispatcher) -> None:
    shop.longshore("keystore", "set", "report_key", given="a key for the test\n")
    shop.longshore("workflow", "apply", str(shop.scripts / "workflow.yaml"))
    asked = ["event", "post", "sales-arrived", "--payload", '{"day": "2026-11-19"}', "--wait"]
    for key in ("first", "second"):
        run_id = json.loads(shop.longshore(*asked[:-1], "--key", key, "--json"))["actionId"]
        assert user.over(run_id)["status"] == "finished", log(user, run_id)
    lines = (shop.scripts / "reports.jsonl").read_text("utf-8").splitlines()
    (report,) = map(json.loads, lines)
    assert report["report"] == {
        "day": "2026-11-19",
        "totals": {"anchor": "180.00", "rope": "62.50"},
    }
    runs = user.get(f"{API}/runs")["runs"]
    signatures = [user.payload(run["id"], "report") for run in runs]
    assert signatures == [{"signature": report["signature"]}] * 2
    # Status 3 says that it is no use to try again.
    wrong = shop.longshore(*asked[:3], "--payload", '{"day": "tomorrow"}', "--wait", status=1)
    assert "failed" in wrong


@pytest.mark.slow
def test_the_scripts_of_the_page_run(shop: Shop, user: Dispatcher) -> None:
    (shop.scripts / "extract_orders.py").write_text(EXTRACT)
    (shop.scripts / "total.py").write_text(blocks("python", "step.previous["))
    (shop.scripts / "invoice.py").write_text(blocks("python", 'step.once("invoice 17")'))
    (shop.scripts / "remind.py").write_text(blocks("python", "def remind"))
    (shop.scripts / "secret.py").write_text(blocks("python", "step.secret("))
    (shop.scripts / "count.py").write_text(blocks("python", "import cawbs\n"))
    shop.longshore("keystore", "set", "db_password", given="hidden\n")
    definition = blocks("yaml", "workflow: daily-orders").replace("host1", "shop")
    definition = definition.replace("extract.py", "extract_orders.py") + (
        "  invoice: {script: invoice.py, host: shop}\n"
        "  remind: {script: remind.py, host: shop}\n"
        "  secret: {script: secret.py, host: shop, keystore: [db_password]}\n"
        "  count: {script: count.py, host: shop, depends_on: [extract]}\n"
    )
    user.apply(definition)
    run_id = user.event("orders-arrived")
    run = user.finish(run_id)
    assert user.payload(run_id, "total") == {"date": run["businessDate"], "total": 7}
    assert user.payload(run_id, "count") == {"count": 2}
    again = user.event("orders-arrived")
    user.finish(again)
    printed = [log(user, each) for each in (run_id, again)]
    assert ["sent invoice 17" in text for text in printed] == [True, False]
    for text in printed:
        assert "it was mail-17" in text
        assert "it is mail-18" in text


@pytest.mark.slow
def test_the_bridge_of_the_page_sends_an_event_with_a_key_that_lasts(
    shop: Shop, user: Dispatcher, tmp_path: Path
) -> None:
    definition = (
        "workflow: intake\ntriggers:\n  events:\n    - name: orders-arrived-outside\nsteps:\n"
    )
    user.apply(definition + "  say: {command: [echo, hello], host: shop}\n")
    made = shop.longshore("key", "create", "--role", "ingress", "--name", "bridge", "--json")
    bridge = tmp_path / "bridge.py"
    text = blocks("python", "import cawbsingress").replace("arrived", "arrived-outside")
    bridge.write_text(text)
    shutil.copy(ROOT / "src/longshore/cawbs/cawbsingress.py", tmp_path)
    environment = {
        "ENV": "local",
        "CA_WBS_URL": f"{shop.server.url}/coreauto",
        "CA_ACCESS_CODE": json.loads(made)["key"],
    }
    # Twice, with nothing but the file and the standard library.
    said = [
        subprocess.run(
            [sys.executable, "-S", str(bridge)],
            env=environment, capture_output=True, text=True, timeout=30, check=False,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert said[0].returncode == 0, said[0].stdout + said[0].stderr
    assert said[0].stdout == said[1].stdout
    user.finish(int(said[0].stdout.removeprefix("run ")))
