"""`longshore workflow` against a real server, on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.storage import Database
from tests.surfaces.sdk_server import Served, running

FILE = """\
workflow: etl
description: Into the warehouse
triggers:
  events: [{name: etl.start}]
  schedules: [{cron: 0 3 * * *, time_zone: Europe/Berlin, days: working}]
steps:
  extract: {script: extract.py, host: host1}
  load: {script: load.py, host: host1, depends_on: [extract]}
"""
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


@pytest.fixture
def longshore(
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGSHORE_URL", served.url)
    monkeypatch.setenv("LONGSHORE_KEY", served.first.token)
    (tmp_path / "etl.yaml").write_text(FILE, "utf-8")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["longshore", "workflow", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_a_file_is_checked_applied_shown_compared_and_retired(
    longshore: Command, tmp_path: Path
) -> None:
    assert "There are no workflows yet" in longshore("list")[2]
    code, _, err = longshore("validate", "etl.yaml")
    assert code == ExitCode.FAILED
    assert "etl.yaml:7: step extract runs on the host host1, which there is not" in err
    code, _, err = longshore("apply", "etl.yaml")
    assert code == ExitCode.USAGE
    assert "etl.yaml:8: step load runs on the host host1" in err
    assert "etl.yaml was not applied, see above." in err
    assert "host1" in longshore("hosts", "--add", "host1")[1]
    assert longshore("validate", "etl.yaml") == (ExitCode.OK, "etl.yaml: no fault found\n", "")
    assert longshore("apply", "etl.yaml")[1] == "workflow etl: created, version 1\n"
    assert longshore("apply", "etl.yaml")[1] == "workflow etl: says the same as version 1\n"
    (tmp_path / "etl.yaml").write_text(FILE.replace("load.py", "load2.py"), "utf-8")
    changed = '~ steps.load.script: "load.py" -> "load2.py"\n'
    assert longshore("diff", "etl.yaml")[1] == changed
    assert longshore("apply", "etl.yaml")[1] == "workflow etl: changed, now version 2\n"
    assert longshore("diff", "etl.yaml") == (ExitCode.OK, "", "They say the same.\n")
    assert longshore("diff", "ETL")[1] == changed
    assert "+  load: {script: load2.py" in longshore("diff", "etl", "--text")[1]
    shown = longshore("show", "etl")[1].splitlines()
    assert shown[:2] == ["etl, version 2", "  Into the warehouse"]
    assert "  load: load2.py on host1, after extract" in shown
    assert longshore("show", "etl", "--version", "1", "--file")[1] == FILE
    assert "etl" in longshore("list")[1]
    assert longshore("retire", "etl", "--reason", "over")[1] == "workflow etl: retired\n"
    assert longshore("show", "etl")[0] == ExitCode.NOT_FOUND
    assert "retired" in longshore("list", "--retired")[1]
    assert longshore("apply", "etl.yaml")[1] == "workflow etl: brought back, version 2\n"


def test_hosts_are_throttled_and_dates_are_started(longshore: Command) -> None:
    longshore("hosts", "--add", "host1")
    longshore("apply", "etl.yaml")
    assert longshore("throttle", "HOST1", "2")[1] == "host host1: throttle 2, 0 running\n"
    assert longshore("throttle", "host1", "none")[1] == "host host1: no throttle, 0 running\n"
    assert longshore("throttle", "host1", "many")[0] == ExitCode.USAGE
    assert longshore("throttle", "host9", "1")[0] == ExitCode.NOT_FOUND
    rows = longshore("schedules", "etl")[1].splitlines()
    assert len(rows) == 6
    assert rows[1].startswith("0 3 * * * (Europe/Berlin), working days only")
    dates = ("etl", "2026-03-06", "2026-03-09", "--days", "working")
    code, out, _ = longshore("backfill", *dates, "--dry-run", "--json")
    assert code == ExitCode.OK
    assert [each["run_id"] for each in json.loads(out)["runs"]] == [None, None]
    out = longshore("backfill", *dates, "--payload", '{"again": true}')[1]
    assert [line.split()[0] for line in out.splitlines()] == ["DATE", "2026-03-06", "2026-03-09"]
    assert "2 dates have a run already" in longshore("backfill", *dates)[2]
    assert longshore("backfill", *dates, "--payload", "{")[0] == ExitCode.USAGE
    (host,) = json.loads(longshore("hosts", "--json")[1])
    assert (host["queued"], host["state"]) == (2, "offline")


def test_a_file_with_faults_is_not_compared_and_a_name_gets_its_near_one(
    longshore: Command, tmp_path: Path
) -> None:
    longshore("hosts", "--add", "host1")
    longshore("apply", "etl.yaml")
    (tmp_path / "bad.yaml").write_text("workflow: etl\nstps: {}\n", "utf-8")
    code, _, err = longshore("diff", "bad.yaml")
    assert code == ExitCode.USAGE
    assert "bad.yaml:2: unknown key stps; did you mean steps?" in err
    code, _, err = longshore("show", "elt")
    assert (code, "did you mean etl?" in err) == (ExitCode.NOT_FOUND, True)
