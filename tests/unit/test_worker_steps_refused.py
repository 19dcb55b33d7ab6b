"""Steps that cannot be started on their host: the error says what is wrong, and what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.errors import ConfigurationError
from longshore.wire.worker import Outcome
from longshore.worker.options import WorkerOptions
from longshore.worker.steps_environment import LIBRARIES
from tests.unit.steps_support import hosts, refused, submit_step
from tests.unit.worker_server import WorkerServer


@pytest.fixture(scope="module")
def server() -> Iterator[WorkerServer]:
    served = WorkerServer()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def scripts(server: WorkerServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("host")
    with hosts(server, directory) as start:
        start()
        yield _filled(directory / "scripts")


def _filled(scripts: Path) -> Path:
    (scripts / "nightly").mkdir()
    for name in ("load.py", "extract.py", "nightly/clean.sh"):
        (scripts / name).write_text("print('never')")
    outside = scripts.parent / "outside.py"
    outside.write_text("print('never')")
    (scripts / "leads_out.py").symlink_to(outside)
    (scripts / "leads_out").symlink_to(scripts.parent)
    (scripts / "loop.py").symlink_to("loop.py")
    (scripts / "dangling.py").symlink_to("nothing.py")
    os.mkfifo(scripts / "pipe.py")
    for name, text in {
        "plain.sh": "#!/bin/sh\necho never\n",
        "windows.sh": "#!/bin/sh\r\necho never\r\n",
        "stranger.sh": "#!/opt/nowhere/ruby\nputs 'never'\n",
        "headless": "echo never\n",
    }.items():
        (scripts / name).write_text(text)
        (scripts / name).chmod(0o644 if name == "plain.sh" else 0o755)
    return scripts


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("laod.py", ["no script 'laod.py' on host host1 in ", "Did you mean load.py"]),
        ("LOAD.PY", ["Did you mean load.py?"]),
        ("clean.sh", ["Did you mean nightly/clean.sh?"]),
        ("nightly/load.py", ["Did you mean load.py?"]),
        ("zebra", ["It holds ", "extract.py"]),
        ("load.py/x", ["There is no script"]),
        ("dangling.py", ["There is no script"]),
        ("x" * 300, ["File name too long"]),
        ("../outside.py", ["without '..'", "host1"]),
        ("nightly/../load.py", ["without '..'"]),
        ("/etc/passwd", ["a path below the scripts of host host1"]),
        ("", ["a path below the scripts"]),
        ("a//b", ["a path below the scripts"]),
        ("./load.py", ["a path below the scripts"]),
        ("load.py\x00", ["a path below the scripts"]),
        ("leads_out.py", ["is a link that leads out of that directory"]),
        ("leads_out/outside.py", ["is a link that leads out of that directory"]),
        ("loop.py", ["cannot be opened"]),
        ("nightly", ["is a directory", "It holds clean.sh"]),
        ("pipe.py", ["is no file"]),
        ("plain.sh", ["may not be executed", "chmod +x", "`program`"]),
        ("windows.sh", ["Windows line end", "'/bin/sh'", "dos2unix"]),
        ("stranger.sh", ["/opt/nowhere/ruby", "not on this host"]),
        ("headless", ["no first line such as #!/bin/sh"]),
    ],
)
def test_a_script_that_cannot_be_run_is_refused_with_the_reason(
    server: WorkerServer, scripts: Path, script: str, says: list[str]
) -> None:
    message = refused(server, submit_step(server, script))
    assert all(each in message for each in says), message
    if "without" not in message and "headless" not in message:
        assert "host1" in message
        assert str(scripts) in message


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"command": ["bsah", "-c", "x"]}, ["no program 'bsah' on host host1", "bash"]),
        ({"command": ["./load.py"]}, ["does not begin at the root", "use `script`"]),
        ({"command": ["/opt/nowhere/tool"]}, ["no program /opt/nowhere/tool on host host1"]),
        ({"command": []}, ["no program ''"]),
        ({"command": ["echo", "a\x00b"]}, ["null byte"]),
        ({"command": ["echo", "x" * 3_000_000]}, ["Argument list too long"]),
        ({"script": "load.py", "program": "pythom"}, ["no program 'pythom'", "python"]),
        ({"script": "load.py", "program": "python '"}, ["cannot be split into words"]),
        ({"script": "load.py", "program": "bash", "environment": {"PATH": "/opt"}}, ["in /opt."]),
        ({"command": ["true"], "environment": {"A=B": "x"}}, ["illegal environment variable"]),
    ],
)
def test_a_program_that_cannot_be_run_is_refused_with_the_reason(
    server: WorkerServer, scripts: Path, fields: dict[str, Any], says: list[str]
) -> None:
    message = refused(server, submit_step(server, **fields))
    assert all(each in message for each in says), message


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_script_that_may_not_be_read_is_refused(server: WorkerServer, scripts: Path) -> None:
    (scripts / "closed.py").write_text("print('never')")
    (scripts / "closed.py").chmod(0)
    assert "cannot be read" in refused(server, submit_step(server, "closed.py"))


def test_a_directory_of_scripts_that_is_gone_for_a_while_is_no_fault_of_the_step(
    server: WorkerServer, tmp_path: Path
) -> None:
    other = WorkerServer()
    with hosts(other, tmp_path) as start:
        start()
        other.wait(lambda ledger: ledger.registrations, "registration")
        (tmp_path / "scripts").rename(tmp_path / "elsewhere")
        report = other.report(submit_step(other, "load.py"))
        assert report.outcome is Outcome.FAILURE
        assert report.error is not None
        assert str(tmp_path / "scripts") in report.error.message
    other.stop()


def test_a_link_to_the_directory_of_scripts_is_followed_anew_for_each_step(
    server: WorkerServer, tmp_path: Path
) -> None:
    other = WorkerServer()
    link = tmp_path / "current"
    for release in ("first", "second"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "which.py").write_text(f"print('release {release}')")
    with hosts(other, tmp_path) as start:
        link.symlink_to("first")
        start(scripts=str(link))
        other.wait_for_line(submit_step(other, "which.py"), "release first")
        (tmp_path / "next").symlink_to("second")
        (tmp_path / "next").rename(link)
        other.wait_for_line(submit_step(other, "which.py"), "release second")
    other.stop()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"host": "host1"}, "--host host1 needs --scripts DIR"),
        ({"scripts": "."}, "Name it with --host NAME"),
        ({"modules": ["x"], "pass_env": ["TZ"]}, "Name it with --host NAME"),
        ({"host": "host 1", "scripts": "."}, "cannot be the name of a host"),
        ({"host": "", "scripts": "."}, "cannot be the name of a host"),
        ({"host": "h" * 65, "scripts": "."}, "cannot be the name of a host"),
        ({"host": "host1", "scripts": "nowhere"}, "is no directory"),
        ({"host": "host1", "scripts": ".", "pass_env": ["LONGSHORE_KEY"]}, "stay with the worker"),
        ({"host": "host1", "scripts": ".", "pass_env": ["A=B"]}, "name one variable"),
        ({"host": "host1", "scripts": ".", "pass_env": ["RUNID"]}, "has a RUNID of its own"),
        ({"host": "host1", "scripts": ".", "pass_env": ["NOT_SET_HERE"]}, "no such variable"),
        ({"host": "host1", "scripts": ".", "executor": "thread"}, "--executor process"),
    ],
)
def test_a_host_that_cannot_be_served_is_refused_at_the_start(
    options: dict[str, Any], says: str
) -> None:
    given: dict[str, Any] = {"modules": [], "url": "http://127.0.0.1:1", "key": "ls_x"}
    with pytest.raises(ConfigurationError, match=says):
        WorkerOptions(**given | options)


def test_the_command_line_hands_its_options_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A host alone computes no workbooks, which would need processes that are kept ready."""
    (tmp_path / "scripts").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGSHORE_KEY", "ls_x")
    monkeypatch.setenv("ORACLE_HOME", "/opt/oracle")
    given: list[WorkerOptions] = []

    def run(options: WorkerOptions) -> int:
        given.append(options)
        return 0

    monkeypatch.setattr("longshore.worker.runtime.run", run)
    arguments = ["--server", "http://127.0.0.1:1", "--scripts", "scripts", "--slots", "3"]
    for more in (
        ["--host", "host1", "--pass-env", "ORACLE_HOME"],
        ["--host", "host1", "some_module"],
    ):
        assert _run(monkeypatch, "worker", *arguments, *more) == 0
    alone, mixed = given
    assert (alone.host, alone.scripts, alone.slots) == ("host1", "scripts", 3)
    assert list(alone.pass_env) == ["ORACLE_HOME"]
    assert not alone.workbooks
    assert not alone.loads_code
    assert mixed.loads_code


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--worker-host", "host1"], "--worker-host host1 needs --scripts DIR"),
        (["--scripts", "."], "Name it with --worker-host NAME"),
        (["--worker-host", "host1", "--scripts", "nowhere"], "is no directory"),
    ],
)
def test_a_server_does_not_start_with_a_host_that_its_worker_cannot_serve(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run(monkeypatch, "up", "--port", "0", *arguments) == ExitCode.USAGE
    assert says in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


def test_the_path_of_steps_has_the_libraries_and_nothing_else() -> None:
    names = {each.name for each in LIBRARIES.iterdir()} - {"__pycache__"}
    assert names == {"cawbs.py", "cawbsbatch.py", "cawbsingress.py"}


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr("sys.argv", ["longshore", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0
