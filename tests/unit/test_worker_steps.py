"""Steps of a host on a real worker: what a script is given, and what its end means."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import longshore
from longshore.wire.scripts import StepLimits
from longshore.wire.worker import Outcome
from tests.unit.steps_support import (
    CODE,
    DESCRIBE,
    StartHost,
    described,
    hosts,
    result,
    submit_step,
)
from tests.unit.worker_server import WorkerServer, children, poll


@pytest.fixture(scope="module")
def server() -> Iterator[WorkerServer]:
    served = WorkerServer()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def scripts(server: WorkerServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the directory of scripts of a host that is served by one worker for all tests."""
    directory = tmp_path_factory.mktemp("host")
    with hosts(server, directory) as start:
        start(slots=4, tasks_directory=str(directory))
        scripts = directory / "scripts"
        (scripts / "describe.py").write_text(DESCRIBE)
        yield scripts


def test_the_worker_says_which_host_it_serves(server: WorkerServer, scripts: Path) -> None:
    [registered] = server.wait(lambda ledger: ledger.registrations, "registration")
    assert registered.host is not None
    assert registered.host.name == "host1"
    assert registered.workbooks is False


def test_a_step_has_the_documented_variables_and_no_others(
    server: WorkerServer, scripts: Path
) -> None:
    work = submit_step(
        server,
        "describe.py",
        arguments=["--full", "a b"],
        attempt=3,
        environment={"COLOUR": "blue", "RUNID": "stolen", "LANG": "de_DE.UTF-8"},
        matrix={"region": "eu", "max-rows": 5, "tags": ["a"], "dry": True},
    )
    given = described(server, work)
    environment = given["environment"]
    home = environment["HOME"]
    # The interpreter itself makes this one in some locales.
    environment.pop("LC_CTYPE", None)
    assert environment == {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LANG": "de_DE.UTF-8",
        "HOME": home,
        "TMPDIR": environment["TMPDIR"],
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(Path(longshore.__file__).parent / "cawbs"),
        "COLOUR": "blue",
        "MATRIX_REGION": "eu",
        "MATRIX_MAX_ROWS": "5",
        "MATRIX_TAGS": '["a"]',
        "MATRIX_DRY": "true",
        "ENV": "acme",
        "ACTIONID": "4711",
        "RUNID": "4711",
        "RUNDATE": "2026-03-29",
        "WORKFLOW": "etl",
        "STEPNAME": "load",
        "ATTEMPT": "3",
        "CA_ACCESS_CODE": CODE,
        "CA_WBS_URL": f"{server.url}/coreauto",
    } | ({"TZ": os.environ["TZ"]} if os.environ.get("TZ") else {})
    assert given["arguments"] == ["--full", "a b"]
    assert given["directory"] == home
    assert given["there"] == []
    assert given["executable"] == sys.executable
    assert Path(environment["TMPDIR"]).parent == Path(home).parent
    poll(lambda: not Path(home).parent.exists())


def test_the_hash_is_that_of_the_script(server: WorkerServer, scripts: Path) -> None:
    report = server.report(submit_step(server, "describe.py"))
    assert result(report).exit_code == 0
    assert result(report).script_sha256 == hashlib.sha256(DESCRIBE.encode()).hexdigest()


def test_a_large_script_is_hashed_too(server: WorkerServer, scripts: Path) -> None:
    text = b"# padding\n" * 200_000 + b"print('large')\n"
    (scripts / "large.py").write_bytes(text)
    report = server.report(submit_step(server, "large.py"))
    assert result(report).script_sha256 == hashlib.sha256(text).hexdigest()


def test_a_script_that_changes_while_it_runs_is_told_of(
    server: WorkerServer, scripts: Path
) -> None:
    text = "import pathlib\npathlib.Path(__file__).write_text('changed')\n"
    (scripts / "changing.py").write_text(text)
    work = submit_step(server, "changing.py")
    assert result(server.report(work)).script_sha256 == hashlib.sha256(text.encode()).hexdigest()
    server.wait_for_line(work, "Script changing.py was changed or replaced while it ran")


def test_a_script_finds_its_neighbours_and_longshore(server: WorkerServer, scripts: Path) -> None:
    (scripts / "sub").mkdir()
    (scripts / "sub" / "pg_util.py").write_text("NAME = 'neighbour'")
    (scripts / "sub" / "main.py").write_text(
        "import pg_util, longshore\nprint(pg_util.NAME, longshore.__name__)"
    )
    work = submit_step(server, "sub/main.py")
    assert server.report(work).outcome is Outcome.SUCCESS
    server.wait_for_line(work, "neighbour longshore")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"command": ["sh", "-c", "echo $0 $STEPNAME", "words"]}, "words load"),
        ({"script": "hello.sh", "program": "sh"}, "hello one"),
        ({"script": "hello.sh", "program": "sh -x"}, "hello one"),
        ({"script": "hello.sh"}, "hello one"),
        ({"script": "link.sh"}, "hello one"),
    ],
)
def test_programs_are_found_on_the_path_and_scripts_by_their_first_line(
    server: WorkerServer, scripts: Path, fields: dict[str, Any], says: str
) -> None:
    if not (scripts / "hello.sh").exists():
        (scripts / "hello.sh").write_text("#!/bin/sh\necho hello $1\n")
        (scripts / "hello.sh").chmod(0o755)
        (scripts / "link.sh").symlink_to("hello.sh")
    extra: dict[str, Any] = {} if "command" in fields else {"arguments": ["one"]}
    work = submit_step(server, **fields, **extra)
    report = server.report(work)
    assert report.outcome is Outcome.SUCCESS, report.error
    server.wait_for_line(work, says)


@pytest.mark.parametrize(
    ("code", "fields", "outcome"),
    [
        (0, {}, Outcome.SUCCESS),
        (1, {}, Outcome.FAILURE),
        (3, {"success": (0, 3)}, Outcome.SUCCESS),
        (0, {"success": (3,)}, Outcome.FAILURE),
        (4, {"fatal": (4,)}, Outcome.REJECTED),
        (5, {"retry": (75,)}, Outcome.REJECTED),
        (75, {"retry": (75,)}, Outcome.FAILURE),
        (-signal.SIGKILL, {}, Outcome.FAILURE),
        (-signal.SIGKILL, {"retry": (75,)}, Outcome.FAILURE),
        (-signal.SIGSEGV, {"fatal": (139,)}, Outcome.REJECTED),
    ],
)
def test_exit_codes_mean_what_the_definition_says(
    server: WorkerServer, scripts: Path, code: int, fields: dict[str, Any], outcome: Outcome
) -> None:
    end = f"exit {code}" if code >= 0 else f"ulimit -c 0; kill {code} $$"
    work = submit_step(server, command=["sh", "-c", f"echo before; {end}"], **fields)
    report = server.report(work)
    assert report.outcome is outcome
    assert result(report).exit_code == (code if code >= 0 else None)
    assert result(report).signal == (-code if code < 0 else None)
    if outcome is not Outcome.SUCCESS:
        assert report.error is not None
        assert "Step load on host host1" in report.error.message
        assert "before" in report.error.message
        assert ("not tried again" in report.error.message) == ("fatal" in fields)


def test_output_of_any_kind_is_kept(server: WorkerServer, scripts: Path) -> None:
    (scripts / "odd.py").write_text(
        "import sys\n"
        "sys.stdout.buffer.write(b'broken \\xff\\xfe\\n' + b'x' * 3_000_000 + b'\\n')\n"
        "sys.stdout.buffer.write(b'no end')\n"
    )
    work = submit_step(server, "odd.py")
    assert server.report(work).outcome is Outcome.SUCCESS
    server.wait_for_line(work, r"broken \xff\xfe")
    server.wait_for_line(work, "no end")
    assert max(len(text) for _, text in server.lines(work)) < 100_000


def test_a_script_may_close_its_outputs_and_go_on(server: WorkerServer, scripts: Path) -> None:
    (scripts / "silent.py").write_text(
        "import os, sys\nprint('closing')\nos.close(1)\nos.close(2)\n"
        "open('after', 'w').write('x')\nos._exit(7 if os.path.exists('after') else 8)\n"
    )
    report = server.report(submit_step(server, "silent.py"))
    assert result(report).exit_code == 7


@pytest.mark.parametrize(
    ("limits", "code", "says"),
    [
        (StepLimits(memory_bytes=100 << 20), "x = bytearray(300 << 20)", "MemoryError"),
        (StepLimits(cpu_s=0.5), "while True: pass", "limit of processor time is 0.5 s"),
        (
            StepLimits(open_files=20),
            "files = [open('/dev/null') for _ in range(50)]",
            "Too many open files",
        ),
        (
            StepLimits(file_bytes=1000),
            "open('big', 'wb', 0).write(bytes(1000)); open('big', 'ab', 0).write(b'x')",
            "File too large",
        ),
    ],
)
def test_limits_are_kept_by_the_system(
    server: WorkerServer, scripts: Path, limits: StepLimits, code: str, says: str
) -> None:
    command = [sys.executable, "-c", code]
    report = server.report(submit_step(server, command=command, limits=limits))
    assert report.outcome is Outcome.FAILURE
    assert report.error is not None
    assert says in report.error.message


def test_a_worker_of_a_host_alone_keeps_no_processes_ready(
    server: WorkerServer, tmp_path: Path
) -> None:
    with hosts(server, tmp_path) as start:
        known = len(server.ledger.registrations)
        worker = start(slots=8)
        server.wait(lambda ledger: len(ledger.registrations) > known, "registration")
        # The heartbeat's, and no others.
        assert len(children(worker.process.pid)) == 1


def test_nothing_of_the_worker_reaches_a_step(
    server: WorkerServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = WorkerServer()
    monkeypatch.setenv("CANARY_OF_THE_WORKER", "sings")
    monkeypatch.setenv("ORACLE_HOME", "/opt/oracle")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    with hosts(other, tmp_path) as start:
        (tmp_path / "scripts" / "describe.py").write_text(DESCRIBE)
        start(pass_env=["ORACLE_HOME"])
        environment = described(other, submit_step(other, "describe.py"))["environment"]
        assert environment["ORACLE_HOME"] == "/opt/oracle"
        assert environment["TZ"] == "Europe/Berlin"
        assert "sings" not in environment.values()
        assert not [name for name in environment if name.startswith("LONGSHORE")]
    other.stop()


def test_a_worker_serves_modules_tasks_and_a_host_at_once(
    tmp_path: Path,
) -> None:
    server = WorkerServer()
    start: StartHost
    with hosts(server, tmp_path) as start:
        apps = str(Path(__file__).with_name("worker_apps.py"))
        start([apps], tasks=[f"other={sys.executable} -c 'print(1)'"])
        step = submit_step(server, command=["true"])
        file = server.submit("Good", data=b"text")
        assert server.report(step).outcome is Outcome.SUCCESS
        assert server.report(file).outcome is Outcome.SUCCESS
        [registered] = server.ledger.registrations
        assert registered.host is not None
        assert registered.apps
        assert [each.slug for each in registered.workers] == ["other"]
    server.stop()
