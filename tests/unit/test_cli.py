"""The command line: exit codes, what is printed, and keys without a running server."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import errors
from longshore.access import keys
from longshore.access.roles import Role
from longshore.cli import console, exit_codes, results
from longshore.cli.exit_codes import ExitCode
from longshore.cli.keys import seconds
from longshore.cli.main import main
from longshore.cli.queues import _find
from longshore.cli.worker import size_bytes
from longshore.sdk.operations import Queue
from longshore.server import credentials
from longshore.storage import open_database

Command = Callable[..., int]


@pytest.fixture
def longshore(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run a command in an empty directory and return its exit code."""
    monkeypatch.chdir(tmp_path)
    for name in ("URL", "KEY", "DATA", "DATABASE"):
        monkeypatch.delenv(f"LONGSHORE_{name}", raising=False)

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["longshore", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return code if isinstance(code, int) else 0

    return run


def _tree(root: type[errors.LongshoreError]) -> Iterator[Any]:
    yield root
    for branch in root.__subclasses__():
        if branch.__module__ == errors.__name__:
            yield from _tree(branch)


def test_every_error_has_an_exit_code_and_only_the_root_has_the_general_one() -> None:
    general = [
        kind
        for kind in _tree(errors.LongshoreError)
        if not any(issubclass(kind, listed) for listed, _ in exit_codes._BY_ERROR)
    ]
    assert general == [errors.LongshoreError]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Unavailable("x"), ExitCode.UNREACHABLE),
        (errors.ServerUnreachable("x"), ExitCode.UNREACHABLE),
        (errors.DiskFull("x"), ExitCode.SERVER_FAULT),
        (errors.LeaseLost("x"), ExitCode.CONFLICT),
        (errors.TooLarge("x"), ExitCode.USAGE),
        (errors.Unauthenticated("x"), ExitCode.REFUSED),
        (errors.NotFound("x"), ExitCode.NOT_FOUND),
        (errors.WaitTimeout("x"), ExitCode.FAILED),
    ],
)
def test_the_most_specific_class_decides_the_exit_code(
    error: errors.LongshoreError, code: ExitCode
) -> None:
    assert exit_codes.of(error) is code


def test_no_exit_code_means_two_things() -> None:
    assert len({int(code) for code in ExitCode}) == len(ExitCode)


def test_version_and_help_need_no_server(
    longshore: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert longshore("version") == 0
    assert capsys.readouterr().out.startswith("longshore 0.")
    assert longshore("--help") == 0
    assert "demo" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs",),
        ("apps",),
        ("workers",),
        ("results", "rn_1"),
        ("why", "wk_1"),
        ("logs", "wk_1"),
        ("delete", "rn_1"),
        ("queue", "ls"),
        ("buckets", "ls"),
        ("buckets", "deposit", "--pipeline", "p"),
        ("buckets", "rm", "p", "--yes"),
        ("buckets", "webhooks", "ls"),
        ("run", "App", "file"),
        ("worker", "app.py"),
        ("key", "list"),
    ],
)
def test_without_a_server_a_command_says_in_one_line_how_to_start_one(
    arguments: tuple[str, ...], longshore: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert longshore(*arguments) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("longshore: ")
    assert printed.err.count("\n") == 1
    assert "longshore up" in printed.err


def test_a_server_that_does_not_answer_has_an_exit_code_of_its_own(
    longshore: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGSHORE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LONGSHORE_KEY", "ls_x_y")
    monkeypatch.setattr("longshore.sdk._sync.transport.FIRST_PAUSE_S", 0.01)
    assert longshore("runs") == ExitCode.UNREACHABLE
    assert "Traceback" not in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error(longshore: Command) -> None:
    assert longshore("fly") == ExitCode.USAGE


def test_an_app_file_that_is_not_there_stops_up_before_anything_is_made(
    longshore: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert longshore("up", "--app", "nowhere.py", "--port", "0") == ExitCode.USAGE
    assert "no file nowhere.py" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_cannot_be_used_is_named(
    longshore: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGSHORE_LEASE_S", "soon")
    assert longshore("up", "--port", "0") == ExitCode.USAGE
    assert "LONGSHORE_LEASE_S" in capsys.readouterr().err


def test_a_key_made_while_the_server_is_stopped_opens_it_later(
    longshore: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    assert longshore("key", "create", "--role", "admin", "--data", str(data), "--json") == 0
    made = json.loads(capsys.readouterr().out)
    database = open_database(f"sqlite:///{data / 'longshore.db'}")
    try:
        principal = database.read_blocking(keys.authenticate, made["key"])
    finally:
        database.close()
    assert principal.role is Role.ADMIN
    assert principal.key_id == made["id"]

    assert longshore("key", "create", "--role", "viewer", "--name", "v", "--data", str(data)) == 0
    token = capsys.readouterr().out.strip()
    assert token.startswith("ls_")
    assert longshore("key", "list", "--data", str(data), "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [key["name"] for key in listed] == ["admin key", "v"]
    assert token not in json.dumps(listed)

    assert longshore("key", "revoke", listed[1]["id"], "--data", str(data)) == 0
    capsys.readouterr()
    assert longshore("key", "list", "--data", str(data), "--json") == 0
    assert [key["name"] for key in json.loads(capsys.readouterr().out)] == ["admin key"]


def test_the_last_admin_key_cannot_be_revoked(
    longshore: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = str(tmp_path / "data")
    longshore("key", "create", "--role", "admin", "--data", data, "--json")
    made = json.loads(capsys.readouterr().out)
    assert longshore("key", "revoke", made["id"], "--data", data) == ExitCode.CONFLICT
    assert "last admin key" in capsys.readouterr().err


def test_a_database_that_a_server_holds_is_not_opened_beside_it(
    longshore: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    credentials.make_data_directory(data)
    with credentials.locked(data / credentials.LOCK):
        code = longshore("key", "create", "--role", "viewer", "--data", str(data))
    assert code == ExitCode.USAGE
    assert "Another server" in capsys.readouterr().err
    assert not (data / "longshore.db").exists()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_starts_like_a_formula_is_quoted_in_csv(start: str) -> None:
    text = results.as_csv([{"file": f"{start}cmd|' /C calc'!A0", f"{start}name": "fine"}])
    heading, row = list(csv.reader(io.StringIO(text, newline="")))
    assert row == [f"'{start}cmd|' /C calc'!A0", "fine"]
    assert heading == ["file", f"'{start}name"]


def test_a_plain_number_stays_one_in_csv() -> None:
    text = results.as_csv([{"total": "-12.50", "tax": "+1,234", "sum": "-1+1"}])
    assert list(csv.reader(io.StringIO(text, newline="")))[1] == ["-12.50", "+1,234", "'-1+1"]


def test_csv_keeps_commas_quotes_and_line_breaks_inside_their_cells() -> None:
    rows: list[dict[str, str | None]] = [
        {"file": 'a,"b"\nc', "total": None},
        {"file": "d", "total": "12.50"},
    ]
    read = list(csv.reader(io.StringIO(results.as_csv(rows), newline="")))
    assert read == [["file", "total"], ['a,"b"\nc', ""], ["d", "12.50"]]


def test_what_users_named_cannot_steer_the_terminal() -> None:
    assert console.printable("a\x1b[2Jb\nc\u202e") == "a\\x1b[2Jb\\nc\\u202e"
    assert console.printable("Ärger 漢字") == "Ärger 漢字"
    assert console.printable(None) == ""
    assert console.printable(True) == "yes"


def test_json_keeps_large_numbers_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    console.emit_json({"small": 2**53, "large": [2**53 + 1], "flag": True})
    assert json.loads(capsys.readouterr().out) == {
        "small": 2**53,
        "large": [str(2**53 + 1)],
        "flag": True,
    }


def test_an_empty_table_is_a_sentence_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.listing([], [console.Column("a", "A")], as_json=False, empty="Nothing here.")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "Nothing here.\n")
    console.listing([], [console.Column("a", "A")], as_json=True, empty="Nothing here.")
    assert json.loads(capsys.readouterr().out) == []


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [console.Column("name", "NAME"), console.Column("n", "N", "number")]
    console.table([{"name": "a", "n": 5}, {"name": "longer", "n": 10}], columns, empty="")
    assert capsys.readouterr().out == "NAME     N\na        5\nlonger  10\n"


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512MB", 512_000_000), ("1.5GiB", 3 * 2**29), ("2g", 2 * 10**9), ("7kb", 7000)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "1TB", "ib", "1 2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="not a size"):
        size_bytes(text)


@pytest.mark.parametrize(("text", "length_s"), [("90s", 90), ("1.5h", 5400), ("30d", 2_592_000)])
def test_times_are_read(text: str, length_s: float) -> None:
    assert seconds(text) == length_s


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1y"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="not a time"):
        seconds(text)


def _queue(number: int, name: str) -> Queue:
    return Queue(id=number, surface="apps", name=name, attempts_max=3)


def test_a_queue_is_found_by_number_by_name_or_by_a_part_that_fits_one() -> None:
    queues = [_queue(1, "me/count@1.0.0"), _queue(2, "me/count@1.0.01"), _queue(3, "me/sum@1")]
    assert _find(queues, "3").id == 3
    assert _find(queues, "ME/count@1.0.0").id == 1
    assert _find(queues, "sum").id == 3
    with pytest.raises(errors.InvalidRequest, match="several"):
        _find(queues, "count")
    with pytest.raises(errors.NotFound, match="queue ls"):
        _find(queues, "product")
