"""`longshore buckets` against a real server, on both databases."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.sdk import Client
from longshore.storage import Database
from tests.surfaces.sdk_server import Served, running

Command = Callable[..., "Printed"]


class Printed:
    """How a command ended, and what it wrote."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.out.splitlines()]


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client(served.url, served.first.token) as used:
        yield used


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

    def run(*arguments: str, typed: str | None = None, stdin: str = "") -> Printed:
        monkeypatch.setattr("sys.argv", ["longshore", "buckets", *arguments])
        terminal = io.StringIO(stdin if typed is None else typed)
        monkeypatch.setattr(terminal, "isatty", lambda: typed is not None)
        monkeypatch.setattr("sys.stdin", terminal)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: typed is not None)
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        printed = capsys.readouterr()
        return Printed(code if isinstance(code, int) else 0, printed.out, printed.err)

    return run


def work(**fields: Any) -> dict[str, Any]:
    return {"pipeline": "search", "site": "local", "user": "me", **fields}


def deposited(client: Client, *works: dict[str, Any]) -> list[str]:
    return client.buckets.deposit(works, return_ids=True)


def failed(client: Client, count: int, message: str = "no\x1b[2J disk") -> list[str]:
    """Deposit works whose only attempt fails."""
    ids = deposited(client, *(work(retries=1) for _ in range(count)))
    taken = client.buckets.withdraw("search", limit=count)
    client.buckets.update(
        [{**one, "status": "failure", "results": {"error": message}} for one in taken]
    )
    return ids


def test_buckets_are_listed_with_their_counts(longshore: Command, client: Client) -> None:
    nothing = longshore("ls")
    assert (nothing.code, nothing.out) == (0, "")
    assert "longshore buckets deposit" in nothing.err
    deposited(client, work(), work(), work(pipeline="other"))
    client.buckets.withdraw("search")
    shown = longshore("ls")
    assert shown.lines == [
        ["BUCKET", "TOTAL", "QUEUED", "RUNNING", "SUCCESS", "FAILURE"],
        ["other", "1", "1", "0", "0", "0"],
        ["search", "2", "1", "1", "0", "0"],
    ]
    assert longshore("ls", "--json").json[1]["running"] == 1


def test_works_are_listed_newest_first_and_filtered(longshore: Command, client: Client) -> None:
    ids = deposited(
        client,
        work(tags=["a"], event=[1], function="pkg.find"),
        work(tags=["b"], event=[2], site="far", command=["ls", "-l"]),
        work(tags=["a", "b"], event=[1, 2], user="you", config={"parent": "up"}),
        work(pipeline="other"),
    )

    def found(*arguments: str) -> list[int]:
        return [ids.index(one["id"]) for one in longshore("ps", *arguments, "--json").json]

    assert found() == [3, 2, 1, 0]
    assert found("search") == [2, 1, 0]
    assert found("search", "other", "--limit", "2") == [3, 2]
    assert found("search", "-t", "a") == [2, 0]
    assert found("-t", "a", "-e", "2") == [2]
    assert found("--site", "far") == [1]
    assert found("--user", "you") == [2]
    assert found("--parent", "up") == [2]
    assert found("--query", '{"event": {"$size": 2}}', "-t", "b") == [2]
    taken = client.buckets.withdraw("search")
    assert taken is not None
    assert found("--status", "running") == [0]
    assert found("-s", "running", "-s", "queued", "search") == [2, 1, 0]

    table = longshore("ps", "search")
    assert table.out.splitlines()[0].split()[:5] == ["WORK", "BUCKET", "STATE", "REASON", "ATTEMPT"]
    assert "ls -l" in table.out
    running_line = next(line for line in table.out.splitlines() if "running" in line)
    assert "1/2" in running_line
    assert "pkg.find" in running_line
    limited = longshore("ps", "--limit", "1")
    assert "3 more match" in limited.err
    assert "No work matches" in longshore("ps", "nowhere").err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("ps", "--status", "lost"), "'lost' is no status"),
        (("ps", "--query", "{"), "--query is not valid JSON"),
        (("ps", "--query", "[]"), "--query is not a JSON object"),
        (("ps", "--query", '{"$where": "1"}'), "$where"),
        (("rm",), "Say which works"),
        (("rm", "wk_1", "search"), "not both at once"),
        (("rm", "wk_1", "--tag", "a"), "leave the filters out"),
        (("deposit",), "Give one file"),
        (("deposit", "a", "b"), "Give one file"),
        (("deposit", "--pipeline", "p", "--parameter", "dm"), "NAME=VALUE"),
        (("deposit", "--pipeline", "under_score"), "letters, digits and hyphens"),
        (("deposit", "--pipeline", "p", "--function", "f", "--", "ls"), "one of the two"),
        (("settings", "search", "--concurrency", "many"), "whole number"),
        (("settings", "search", "--archive-after", "soon"), "is not a time"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_changes_nothing(
    longshore: Command, client: Client, arguments: tuple[str, ...], problem: str
) -> None:
    refused = longshore(*arguments)
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")
    assert problem in refused.err
    assert refused.err.count("\n") == 1
    assert client.buckets.count() == 0


def test_a_work_is_shown_with_its_error_and_its_files(longshore: Command, client: Client) -> None:
    (work_id,) = failed(client, 1)
    shown = longshore("view", work_id)
    assert shown.code == 0
    assert f"id           {work_id}" in shown.out
    assert "error        WorkFailed: no\\x1b[2J disk" in shown.out
    assert "retry        20" not in shown.out, "there is no further attempt"
    assert "finished     20" in shown.out
    assert "slack" not in shown.out, "what is not set is not shown"
    document = longshore("view", work_id, "--json").json
    assert (document["status"], document["longshore"]["state"]) == ("failure", "failure")
    missing = longshore("view", "wk_none")
    assert missing.code == ExitCode.NOT_FOUND
    assert "no work 'wk_none'" in missing.err


def test_an_error_of_several_lines_is_shown_as_several(longshore: Command, client: Client) -> None:
    (work_id,) = failed(client, 1, "The command exited with code 5. Last output:\nfirst\nsecond")
    shown = longshore("view", work_id).out.splitlines()
    (begun,) = [n for n, line in enumerate(shown) if line.startswith("error ")]
    assert shown[begun].endswith("Last output:")
    assert shown[begun + 1 : begun + 3] == ["    first", "    second"]


def test_a_work_is_deposited_from_options(longshore: Command, client: Client) -> None:
    made = longshore(
        *("deposit", "--pipeline", "search", "--function", "pkg.find", "--user", "me"),
        *("--parameter", "dm=56.7", "--parameter", "name=B0531+21", "--parameter", "deep=[1]"),
        *("-t", "night", "-e", "7", "--priority", "5", "--timeout", "60", "--retries", "4"),
        *("--parent", "up", "--site", "far"),
    )
    assert made.code == 0
    assert "1 work deposited" in made.err
    (seen,) = client.buckets.view({"id": made.out.strip()})
    assert seen["parameters"] == {"dm": 56.7, "name": "B0531+21", "deep": [1]}
    assert (seen["tags"], seen["event"], seen["site"]) == (["night"], [7], "far")
    assert (seen["priority"], seen["timeout"], seen["retries"]) == (5, 60, 4)
    assert (seen["function"], seen["config"]["parent"]) == ("pkg.find", "up")

    command = longshore("deposit", "--pipeline", "search", "--json", "--", "run.py", "--fast", "x")
    (seen,) = client.buckets.view({"id": {"$in": command.json}})
    assert (seen["command"], seen["function"]) == (["run.py", "--fast", "x"], None)
    assert seen["user"]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([work(event=[1]), work(event=[2])], indent=2),
        json.dumps(work(event=[1], _id={"$oid": "1"}))
        + "\n\n"
        + json.dumps(work(event=[2]))
        + "\n",
    ],
)
def test_works_are_deposited_from_a_file_and_from_standard_input(
    longshore: Command, client: Client, text: str, tmp_path: Path
) -> None:
    (tmp_path / "works.json").write_text(text)
    from_file = longshore("deposit", "works.json")
    from_input = longshore("deposit", "-", stdin=text)
    ids = [*from_file.out.split(), *from_input.out.split()]
    found = client.buckets.view({"id": {"$in": ids}})
    assert [one["event"] for one in found] == [[1], [2]] * 2
    assert not any("_id" in one for one in found)
    assert "0 works deposited" in longshore("deposit", "-", stdin="[]").err
    one = longshore("deposit", "-", "--json", stdin=json.dumps(work(), indent=2))
    assert len(one.json) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"pipeline": }', "line 1 column 14"),
        (json.dumps(work()) + "\nnonsense\n", "line 2"),
        ("[1]", "work 0 is not a JSON object"),
        (json.dumps([work(), work(priority=9)]), "Work 1 of the list: Field priority"),
    ],
)
def test_a_file_with_a_mistake_deposits_nothing(
    longshore: Command, client: Client, text: str, problem: str
) -> None:
    refused = longshore("deposit", "-", stdin=text)
    assert refused.code == ExitCode.USAGE
    assert problem in refused.err
    assert client.buckets.count() == 0


def test_a_file_that_is_not_there_is_named(longshore: Command) -> None:
    missing = longshore("deposit", "nowhere.json")
    assert missing.code == ExitCode.FAILED
    assert "nowhere.json: No such file" in missing.err


def test_a_file_that_is_not_text_is_refused_without_a_traceback(
    longshore: Command, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "works.bin").write_bytes(b"\xff\xfe[")
    refused = longshore("deposit", "works.bin")
    assert refused.code == ExitCode.USAGE
    assert "works.bin is not text in UTF-8: invalid start byte at byte 0" in refused.err
    assert client.buckets.count() == 0
    (tmp_path / "marked.json").write_bytes(b"\xef\xbb\xbf" + json.dumps([work()]).encode())
    assert longshore("deposit", "marked.json").code == 0


def test_one_work_that_matches_is_one(longshore: Command, client: Client) -> None:
    deposited(client, work())
    refused = longshore("rm", "search")
    assert "1 work matches, and there is no terminal" in refused.err
    assert "Give --yes to delete it;" in refused.err


def test_deleting_shows_a_sample_and_asks(longshore: Command, client: Client) -> None:
    ids = deposited(client, *(work(tags=["old"]) for _ in range(7)), work())
    refused = longshore("rm", "search", "--tag", "old")
    assert refused.code == ExitCode.USAGE
    assert "7 works match" in refused.err
    assert "--yes" in refused.err
    no = longshore("rm", "search", "--tag", "old", typed="n\n")
    assert no.code == ExitCode.FAILED
    assert "delete 7 works:" in no.err
    assert [line.split()[0] for line in no.err.splitlines() if "wk_" in line] == ids[:5]
    assert "and 2 more" in no.err
    assert "Nothing was changed" in no.err
    assert client.buckets.count() == 8
    yes = longshore("rm", "search", "--tag", "old", typed="y\n")
    assert yes.out.startswith("deleted 7 works: ")
    assert client.buckets.count() == 1
    assert longshore("rm", ids[-1], "--yes", "--json").json["changed"] == 1
    gone = longshore("rm", ids[-1], "--yes")
    assert (gone.code, gone.out) == (0, "")
    assert "no such work" in gone.err
    assert longshore("rm", "search", "--yes", "--json").json["changed"] == 0


def test_only_the_oldest_few_can_be_deleted(longshore: Command, client: Client) -> None:
    ids = deposited(client, *(work() for _ in range(4)))
    assert longshore("rm", "search", "--limit", "3", "--yes").out.startswith("deleted 3 works")
    assert [one["id"] for one in client.buckets.view()] == ids[3:]


def test_what_failed_is_retried_and_the_rest_is_left(longshore: Command, client: Client) -> None:
    ids = failed(client, 2)
    deposited(client, work(event=[9]))
    done = longshore("retry", "search", "--yes")
    assert (done.code, done.out) == (0, "retried 2 works\n")
    assert client.buckets.count({"status": "queued"}) == 3
    again = longshore("retry", *ids, "--yes")
    assert (again.code, again.out) == (0, "")
    assert "no such work that failed" in again.err


def test_what_is_open_is_cancelled(longshore: Command, client: Client) -> None:
    ids = deposited(client, work(), work(), work(pipeline="other"))
    assert longshore("cancel", ids[0], "--yes").out == "cancelled 1 work\n"
    accepted = longshore("cancel", "--query", "{}", "--yes", "--no-wait", "--json").json
    assert accepted["id"].startswith("wk_")
    states = {one["state"] for one in _states(longshore, client)}
    assert states == {"cancelled"}


def _states(longshore: Command, client: Client) -> list[dict[str, Any]]:
    """Wait for the jobs that are under way; return what is then known of the works."""
    assert longshore("cancel", "--query", "{}", "--yes").code == 0
    return [one["longshore"] for one in client.buckets.view({}, {"longshore": True})]


def test_an_audit_prints_its_counts(longshore: Command, client: Client) -> None:
    deposited(client, work(creation=5.0))
    assert longshore("audit", "--json").json == {"failed": 0, "expired": 0, "stale": 1}
    assert longshore("audit").out.splitlines()[2].split()[-1] == "1"


def test_settings_are_shown_and_changed(longshore: Command, client: Client) -> None:
    assert longshore("settings", "search").code == ExitCode.NOT_FOUND
    deposited(client, work())
    changed = longshore(
        *("settings", "search", "--archive-after", "never", "--results-retention", "7d"),
        *("--retry-pause", "5s", "--concurrency", "3", "--json"),
    )
    expected = {
        "archive_after_s": None,
        "results_retention_s": 604_800.0,
        "retry_pause_s": 5.0,
        "concurrency_max": 3,
    }
    assert changed.json == expected
    shown = longshore("settings", "search")
    assert [line[2] for line in shown.lines[:3]] == ["never", "7d", "5s"]
    assert shown.lines[3] == ["concurrency", "3"]
    assert longshore("settings", "search", "--concurrency", "none").out.endswith("no limit\n")


def test_webhooks_are_added_listed_changed_and_removed(longshore: Command) -> None:
    assert "no webhooks" in longshore("webhooks", "ls").err
    made = longshore("webhooks", "add", "https://93.184.216.34/hook", "--kind", "work.exhausted")
    assert made.out.startswith("whsec_")
    (listed,) = longshore("webhooks", "ls", "--json").json
    assert (listed["kinds"], "secret" in listed) == (["work.exhausted"], False)
    assert "(all)" in longshore("webhooks", "ls").out
    changed = longshore("webhooks", "rotate", listed["id"], "--keep", "1h", "--json").json
    assert changed["secret"] not in made.out
    assert changed["old_valid"] is True
    assert longshore("webhooks", "rm", listed["id"]).out == f"{listed['id']}: removed\n"
    assert longshore("webhooks", "rm", listed["id"]).code == ExitCode.NOT_FOUND
    refused = longshore("webhooks", "add", "https://93.184.216.34/hook", "--kind", "work.lost")
    assert refused.code == ExitCode.USAGE
    assert "work.success" in refused.err
