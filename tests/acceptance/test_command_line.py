"""The command line with real processes: start, run, look, clean up, and the demo."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import APPS, Server, eventually

ROOT = Path(__file__).resolve().parents[2]


class Terminal:
    """Runs commands of Longshore against one data directory, as a person beside the server does."""

    def __init__(self, data: Path) -> None:
        self._environment = {
            **{name: text for name, text in os.environ.items() if "LONGSHORE" not in name},
            "LONGSHORE_DATA": str(data),
        }
        self._directory = data.parent

    def __call__(
        self, *arguments: str, code: int = 0, timeout_s: float = 90.0
    ) -> subprocess.CompletedProcess[str]:
        return self._python(["-m", "longshore", *arguments], code, timeout_s)

    def python(self, program: str) -> subprocess.CompletedProcess[str]:
        return self._python(["-c", program], 0, 90.0)

    def _python(
        self, arguments: Sequence[str], code: int, timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            check=False,
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=timeout_s,
        )
        assert done.returncode == code, (
            f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)


@pytest.fixture
def beside(harbour: Harbour) -> Server:
    """A running server with a worker beside it that serves the apps of these tests."""
    made = harbour.server(worker=True, apps=[APPS])
    made.start()
    return made


def _offered(terminal: Terminal, name: str = "Echo") -> bool:
    apps = terminal.json("apps")
    return any(
        version["workers_online"]
        for app in apps
        if app["name"] == name
        for version in app["versions"]
    )


def test_up_prints_addresses_that_work_a_store_and_a_key(harbour: Harbour) -> None:
    server = harbour.server()
    ready_s = server.start()
    printed = server.log
    docs = re.search(r"API +(http://\S+/docs)", printed)
    dashboard = re.search(r"dashboard +(http://\S+/\?code=\S+)", printed)
    assert docs, printed
    assert dashboard, printed
    assert httpx.get(docs[1], trust_env=False).status_code == 200
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        assert browser.get(dashboard[1]).status_code == 200
    assert "durable (synchronous=FULL)" in printed
    assert re.search(r"key +ls_\w+", printed)
    assert (server.data / "credentials.json").stat().st_mode & 0o777 == 0o600
    print(f"ready after {ready_s:.2f} s")

    server.stop()
    server.log_path.unlink()
    server.close()
    server.start()
    assert "ls_" not in server.log, "the key is printed once"


def test_a_run_from_upload_to_clean_up(beside: Server, tmp_path: Path) -> None:
    terminal = Terminal(beside.data)
    eventually(lambda: _offered(terminal), 60, "the worker serves Echo")
    files = [tmp_path / "one.txt", tmp_path / "two.txt"]
    for path, text in zip(files, ("=1+1", "plain"), strict=True):
        path.write_text(text)

    started = terminal("run", "Echo", "--owner", "acceptance", *map(str, files), "--watch")
    assert "COMPLETE: 2 files, 2 done, 0 failed" in started.stdout
    run_id = terminal.json("runs")[0]["id"]
    assert run_id in started.stderr

    rows = {
        row["file"]: row
        for row in csv.DictReader(
            io.StringIO(terminal("results", run_id, "-f", "csv").stdout, newline="")
        )
    }
    assert rows["one.txt"]["text"] == "'=1+1"
    assert rows["two.txt"]["text"] == "plain"
    found = terminal.json("results", run_id)
    assert {file["original_file_name"] for file in found} == {"one.txt", "two.txt"}
    assert "one.txt" in terminal("results", run_id).stdout

    assert "2 of 2 done" in terminal("why", run_id).stdout
    terminal("logs", run_id)
    assert terminal.json("workers")[0]["online"] is True
    queue = next(queue for queue in terminal.json("queue", "ls") if "Echo" in queue["name"])
    assert queue["counts"]["done"] == 2

    removed = terminal.json("delete", run_id)[0]
    assert removed["objects"] >= 2
    assert terminal.json("runs") == []
    terminal("results", run_id, code=4)


def test_watching_fails_when_a_file_fails_and_the_others_have_results(
    beside: Server, tmp_path: Path
) -> None:
    terminal = Terminal(beside.data)
    eventually(lambda: _offered(terminal), 60, "the worker serves Echo")
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("fine")
    bad.write_text("reject because")
    watched = terminal(
        "run", "Behave", "--owner", "acceptance", str(good), str(bad), "--watch", code=1
    )
    assert "1 done, 1 failed" in watched.stdout


def test_an_app_that_nobody_serves_is_not_found(beside: Server, tmp_path: Path) -> None:
    terminal = Terminal(beside.data)
    eventually(lambda: _offered(terminal), 60, "the worker serves Echo")
    path = tmp_path / "one.txt"
    path.write_text("x")
    assert "Echo" in terminal("run", "Ecco", str(path), code=4).stderr


def test_a_held_queue_says_so_until_it_is_released(beside: Server, tmp_path: Path) -> None:
    terminal = Terminal(beside.data)
    eventually(lambda: _offered(terminal), 60, "the worker serves Echo")
    terminal("queue", "hold", "echo", "--why", "the model server is down")
    path = tmp_path / "one.txt"
    path.write_text("x")
    run_id = terminal("run", "Echo", "--owner", "acceptance", str(path)).stdout.strip()
    assert "the model server is down" in terminal("why", run_id).stdout
    terminal("results", run_id, code=6)
    terminal("delete", run_id, code=6)
    terminal("queue", "release", "echo")
    eventually(lambda: terminal.json("runs")[0]["status"] == "COMPLETE", 30, "the run goes on")


def test_keys_are_made_and_revoked_on_a_running_server(beside: Server) -> None:
    terminal = Terminal(beside.data)
    made = terminal.json("key", "create", "--role", "viewer", "--data", str(beside.data))
    client = httpx.Client(headers={"Authorization": f"Bearer {made['key']}"}, trust_env=False)
    address = f"{beside.url}/longshore/v1/whoami"
    assert client.get(address).json()["role"] == "viewer"
    assert made["id"] in {key["id"] for key in terminal.json("key", "list")}
    terminal("key", "revoke", made["id"])
    assert client.get(address).status_code == 401
    client.close()


def test_the_doctor_finds_a_running_server_in_order_and_a_stopped_one_not(beside: Server) -> None:
    terminal = Terminal(beside.data)
    checks = {check["name"]: check for check in terminal.json("doctor")}
    assert checks["key"]["text"] == "admin of local"
    assert not [check for check in checks.values() if check["verdict"] == "FAULT"]
    beside.stop()
    assert "FAULT" in terminal("doctor", code=1).stdout
    terminal("runs", code=3)


def test_the_five_minutes_of_the_readme_work_as_they_are_written(
    harbour: Harbour, tmp_path: Path
) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    app, program = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[:2]
    path = tmp_path / "line_count.py"
    path.write_text(app)
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    server = harbour.server(worker=True, apps=[path])
    server.start()
    terminal = Terminal(server.data)
    eventually(lambda: _offered(terminal, "Line count"), 60, "the worker serves the app")

    lines = re.findall(r"^\$ longshore (run .*)$", readme, re.MULTILINE)
    assert len(lines) == 1
    watched = terminal(*shlex.split(lines[0]))
    assert "COMPLETE: 2 files, 2 done, 0 failed" in watched.stdout

    done = terminal.python(program)
    length = readme.count("\n")
    assert f"{{'file': 'README.md', 'document': 0, 'lines': '{length}'}}" in done.stdout


@pytest.mark.slow
def test_the_crash_demo_kills_its_worker_and_loses_nothing(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "unused")
    printed = terminal(
        "demo", "crash", "--own-server", "--records", "300", "--kills", "2", timeout_s=110
    ).stdout
    numbers = re.search(
        r"killed twice · (\d+) submitted · (\d+) done · (\d+) lost · (\d+) recorded twice",
        printed,
    )
    assert numbers, printed
    assert [*map(int, numbers.groups())] == [300, 300, 0, 0]
