"""`longshore event`, `longshore flag` and keys of the role ingress against a real server."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.storage import Database
from tests.surfaces.sdk_server import Served, running
from tests.unit.serving import bearer

Command = Callable[..., tuple[int, str, str]]
ORDERS = """
workflow: orders
triggers:
  events: [{name: Placed, parallel: 5, stop_on_error: true}]
steps:
  load: {script: load.py, host: host1}
"""
DAY = ("--date", "2025-01-31")


class Hands:
    """A worker of host1 that ends the next step as it is told, once there is one."""

    def __init__(self, served: Served) -> None:
        self._client = httpx.Client(
            base_url=f"{served.url}/longshore/v1/worker",
            headers=bearer(served.first.token),
            timeout=30,
        )
        body = {"name": "hands", "slots": 1, "incarnation": "first", "host": {"name": "host1"}}
        made = self._client.post("/register", json=body).raise_for_status().json()
        self._worker = {"worker_id": made["worker_id"]}
        self._queues = made["queues"]

    def end_next(self, outcome: str, exit_code: int) -> None:
        wanted = {**self._worker, "queues": self._queues, "limit": 1, "wait_s": 20}
        (work,) = self._client.post("/claim", json=wanted).raise_for_status().json()["works"]
        report = {
            "work_id": work["work_id"],
            "attempt": work["attempt"],
            "outcome": outcome,
            "result": {"exit_code": exit_code},
        }
        self._client.post("/report", json={**self._worker, "reports": [report]}).raise_for_status()

    def start(self, outcome: str = "success", exit_code: int = 0) -> threading.Thread:
        thread = threading.Thread(target=self.end_next, args=(outcome, exit_code))
        thread.start()
        return thread

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


@pytest.fixture
def hands(served: Served) -> Iterator[Hands]:
    made = Hands(served)
    httpx.post(
        f"{served.url}/coreauto/v1/workflows",
        json={"text": ORDERS},
        headers=bearer(served.first.token),
    ).raise_for_status()
    yield made
    made.close()


@pytest.fixture
def longshore(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("LONGSHORE_URL", served.url)
    monkeypatch.setenv("LONGSHORE_KEY", served.first.token)

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["longshore", *arguments])
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def payload_of(longshore: Command, action: object) -> Any:
    code, printed, _ = longshore("event", "show", str(action), "--payload")
    assert code == ExitCode.OK
    return json.loads(printed)


@pytest.mark.usefixtures("hands")
def test_payloads_come_from_the_command_line_a_file_or_standard_input(
    longshore: Command, tmp_path: Path
) -> None:
    file = tmp_path / "payload.json"
    file.write_text('\ufeff{"from": "a file ☃"}', encoding="utf-8")
    for given, stdin, expected in (
        ('{"order": 17}', "", {"order": 17}),
        (f"@{file}", "", {"from": "a file ☃"}),
        ("@-", "[1, null]", [1, None]),
        ('"text"', "", "text"),
    ):
        code, printed, _ = longshore(
            "event", "post", "placed", "--payload", given, "--json", stdin=stdin
        )
        assert code == ExitCode.OK
        assert payload_of(longshore, json.loads(printed)["actionId"]) == expected
    code, printed, _ = longshore("event", "post", "Placed", "--source", "shop")
    assert (code, printed.split(":")[0]) == (ExitCode.OK, "run 5")
    assert payload_of(longshore, 5) is None


@pytest.mark.usefixtures("hands")
def test_what_is_no_payload_or_no_event_is_said_and_sends_nothing(
    longshore: Command, tmp_path: Path
) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for given in ("text", "{", "NaN", '{"a": 1, "a": 2}', "", f"@{binary}"):
        code, printed, told = longshore("event", "post", "Placed", "--payload", given)
        assert (code, printed) == (ExitCode.USAGE, ""), given
        assert "JSON" in told or "UTF-8" in told
    code, _, told = longshore("event", "post", "Placed", "--payload", f"@{tmp_path}/absent.json")
    assert code == ExitCode.FAILED
    assert "absent.json" in told
    code, _, told = longshore("event", "post", "Place")
    assert code == ExitCode.NOT_FOUND
    assert "Did you mean 'Placed'?" in told
    for action in ("7", "x/../1", ""):
        assert longshore("event", "show", action)[0] == ExitCode.NOT_FOUND, action
    assert json.loads(longshore("event", "list", "--json")[1])[0]["counts"]["running"] == 0


@pytest.mark.usefixtures("hands")
def test_the_same_key_gives_the_same_run_and_another_payload_a_conflict(
    longshore: Command,
) -> None:
    post = ("event", "post", "Placed", "--key", "o-17", "--json", "--payload")
    first = longshore(*post, "1")
    assert longshore(*post, "1") == first
    code, _, told = longshore(*post, "2")
    assert code == ExitCode.CONFLICT
    assert "was accepted before" in told
    without = [json.loads(longshore("event", "post", "Placed", "--json")[1]) for _ in range(2)]
    assert len({each["actionId"] for each in without}) == 2


def test_waiting_ends_with_the_run_and_fails_with_it(longshore: Command, hands: Hands) -> None:
    thread = hands.start()
    code, printed, told = longshore("event", "post", "Placed", "--wait")
    thread.join(30)
    assert code == ExitCode.OK
    assert "run 1 of orders 1 by event Placed: finished" in printed
    assert "load" in printed
    assert "run 1" in told
    thread = hands.start("failure", 3)
    code, printed, _ = longshore("event", "post", "Placed", "--wait", "--json")
    thread.join(30)
    assert code == ExitCode.FAILED
    steps = json.loads(printed)["steps"]
    assert [(each["status"], each["exitCode"]) for each in steps] == [("failed", 3)]
    code, _, told = longshore("event", "post", "Placed", "--wait", "--timeout", "0.2")
    assert code == ExitCode.FAILED
    assert "Run 3 is pending and not over within 0.2 s: run 2 of the event has failed" in told


def test_events_are_listed_with_the_numbers_of_their_runs(longshore: Command, hands: Hands) -> None:
    thread = hands.start("failure", 1)
    longshore("event", "post", "Placed", "--wait")
    thread.join(30)
    code, printed, _ = longshore("event", "list")
    assert code == ExitCode.OK
    row = printed.splitlines()[1].split()
    assert row == ["Placed", "orders", "5", "100", "stop", "0", "0", "0", "1", "0"]


def test_flags_are_set_listed_and_cleared(longshore: Command) -> None:
    place = ("delivered", "--system", "mart", "--source-system", "shop", *DAY)
    assert longshore("flag", "set", *place)[1] == "delivered of 2025-01-31: set\n"
    assert "was set already" in longshore("flag", "set", *place)[1]
    assert longshore("flag", "set", "other", *DAY)[0] == ExitCode.OK
    _, printed, _ = longshore("flag", "list", "--system", "mart", "--json")
    (row,) = json.loads(printed)
    assert (row["name"], row["sourceSystemName"], row["date"]) == (
        "delivered", "shop", "2025-01-31",
    )  # fmt: skip
    assert len(longshore("flag", "list")[1].splitlines()) == 3
    assert longshore("flag", "list", "--date", "2025-02-01")[2] == "No such flag is set.\n"
    assert longshore("flag", "clear", *place, "--reason", "too early")[0] == ExitCode.OK
    assert longshore("flag", "clear", *place)[0] == ExitCode.NOT_FOUND
    assert longshore("flag", "set", "delivered", "--date", "31.1.2025")[0] == ExitCode.USAGE


@pytest.mark.usefixtures("hands")
def test_a_key_for_programs_outside_sends_events_and_sets_flags_and_nothing_else(
    longshore: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, printed, told = longshore("key", "create", "--role", "ingress", "--name", "shop")
    assert code == ExitCode.OK
    assert "role ingress" in told
    monkeypatch.setenv("LONGSHORE_KEY", printed.strip())
    assert longshore("event", "post", "Placed")[0] == ExitCode.OK
    assert longshore("event", "show", "1")[0] == ExitCode.OK
    assert longshore("event", "list")[0] == ExitCode.OK
    assert longshore("flag", "set", "delivered", *DAY)[0] == ExitCode.OK
    for refused in (
        ("event", "show", "1", "--payload"),
        ("flag", "list"),
        ("flag", "clear", "delivered", *DAY),
        ("queue", "ls"),
        ("key", "list"),
        ("workflow", "list"),
    ):
        assert longshore(*refused)[0] == ExitCode.REFUSED, refused
