"""`longshore keystore` and `client.keystore` against a real server, on both databases."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from longshore import errors
from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.sdk import AsyncClient, Client
from longshore.storage import Database
from tests.surfaces.sdk_server import Served, running

Command = Callable[..., tuple[int, str, str]]
VALUE = "correct horse ☃"


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


@pytest.fixture
def longshore(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("LONGSHORE_URL", served.url)
    monkeypatch.setenv("LONGSHORE_KEY", served.first.token)

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["longshore", "keystore", *arguments])
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def get(served: Served, path: str) -> httpx.Response:
    return httpx.get(
        f"{served.url}{path}", headers={"Authorization": f"Token {served.first.token}"}
    )


def test_a_secret_of_the_corpus_is_set_listed_read_and_removed(
    served: Served, longshore: Command
) -> None:
    code, printed, noted = longshore("set", "services/ocr", "--corpus", stdin=f"{VALUE}\n")
    assert (code, printed, noted) == (0, "services/ocr: set, version 1\n", "")
    assert get(served, "/api/v1/secret/services%2Focr").json()["content"] == VALUE
    code, printed, _ = longshore("list")
    assert code == 0
    assert "services/ocr" in printed
    assert VALUE not in printed
    assert "There are no secrets." in "".join(map(str, longshore("list", "--apps")))
    code, printed, _ = longshore("rm", "services/ocr")
    assert code == ExitCode.NOT_FOUND
    assert longshore("rm", "services/ocr", "--corpus")[:2] == (0, "services/ocr: removed\n")
    assert "There are no secrets." in "".join(map(str, longshore("list")))


def test_a_secret_of_steps_gets_versions_and_keeps_what_is_said_of_it(
    served: Served, longshore: Command
) -> None:
    arguments = ("set", "db_password", "--ingress", "--description", "of the warehouse")
    assert longshore(*arguments, stdin="first value\n")[0] == 0
    code, printed, _ = longshore("rotate", "db_password", "--json", stdin="second value")
    assert (code, json.loads(printed)["version"]) == (0, 2)
    assert get(served, "/coreauto/v1/keystore/db_password").json() == {
        "db_password": "second value"
    }
    code, printed, _ = longshore("show", "db_password")
    assert code == 0
    assert "of the warehouse" in printed
    assert "ingress may read it" in printed
    code, printed, _ = longshore("history", "db_password", "--json")
    assert [version["version"] for version in json.loads(printed)] == [2, 1]
    assert longshore("set", "db_password", "--no-ingress", stdin="third")[0] == 0
    [listed] = json.loads(longshore("list", "--json")[1])
    assert (listed["version"], listed["ingress"], listed["for"]) == (3, False, "steps")
    assert listed["description"] == "of the warehouse"


def test_a_secret_of_one_workflow_is_one_of_its_own(served: Served, longshore: Command) -> None:
    assert longshore("set", "token", "--workflow", "Daily", stdin="of daily")[0] == 0
    assert longshore("set", "token", stdin="of all")[0] == 0
    found = json.loads(longshore("list", "--json")[1])
    assert [entry["for"] for entry in found] == ["steps", "workflow daily"]
    assert get(served, "/coreauto/v1/keystore/token").json() == {"token": "of all"}


def test_keys_are_changed_and_what_was_set_stays_readable(
    served: Served, longshore: Command
) -> None:
    assert longshore("rotate", "--data-key")[0] == ExitCode.NOT_FOUND
    assert longshore("rotate", "--master")[0] == ExitCode.NOT_FOUND
    longshore("set", "token", stdin=VALUE)
    code, printed, noted = longshore("rotate", "--data-key")
    assert (code, printed) == (0, "data key 2: seals from now on\n")
    assert "seals all values with it" in noted
    before = json.loads(longshore("keys", "--json")[1])
    code, printed, noted = longshore("rotate", "--master")
    assert code == 0
    assert "wraps all data keys" in printed
    assert "Keep a copy" in noted
    after = json.loads(longshore("keys", "--json")[1])
    assert after["masters"] == [after["data_keys"][0]["master"], *before["masters"]]
    assert get(served, "/coreauto/v1/keystore/token").json() == {"token": VALUE}
    assert longshore("keys")[0] == 0


def test_a_secret_is_set_from_a_file_as_it_is(
    served: Served, longshore: Command, tmp_path: Path
) -> None:
    path = tmp_path / "key.json"
    path.write_text('{"a": 1}\n', "utf-8")
    code, printed, _ = longshore("set", "key.json", "--file", str(path), "--json")
    assert (code, json.loads(printed)["name"]) == (0, "key.json")
    assert get(served, "/coreauto/v1/keystore/key.json").json() == {"key.json": '{"a": 1}\n'}


def test_what_cannot_be_a_secret_is_told_in_one_line(longshore: Command, tmp_path: Path) -> None:
    for arguments, stdin in (
        (("set", "a"), ""),
        (("set", "../a"), "x"),
        (("set", "services/ocr"), "x"),
        (("rm", "none"), ""),
        (("show", "none"), ""),
        (("history", "none"), ""),
        (("rotate", "none"), "x"),
        (("rotate",), ""),
        (("rotate", "a", "--master"), ""),
        (("set", "a", "--corpus", "--apps"), "x"),
    ):
        code, printed, noted = longshore(*arguments, stdin=stdin)
        assert code in (ExitCode.USAGE, ExitCode.NOT_FOUND)
        assert printed == ""
        assert noted.count("\n") == 1
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("binary", "missing"):
        code, _, noted = longshore("set", "a", "--file", str(tmp_path / name))
        assert code != 0
        assert "cannot be read as text" in noted


def test_a_value_is_no_argument(longshore: Command) -> None:
    code, _, noted = longshore("set", "a", VALUE, stdin="x")
    assert code == ExitCode.USAGE
    assert "unexpected" in noted.lower()


async def test_the_async_client_has_it_too(served: Served) -> None:
    async with AsyncClient(served.url, served.first.token) as client:
        stored = await client.keystore.set("a/b", VALUE, scope="corpus")
        assert stored.name == "a/b"
        assert [entry.name for entry in await client.keystore.list()] == ["a/b"]
        assert (await client.keystore.show("a/b", scope="corpus")).versions is not None
        await client.keystore.remove("a/b", scope="corpus")
        with pytest.raises(errors.NotFound):
            await client.keystore.remove("a/b", scope="corpus")


def test_the_client_refuses_what_the_server_refuses(served: Served) -> None:
    with Client(served.url, served.first.token) as client:
        with pytest.raises(errors.InvalidRequest):
            client.keystore.set("a", "")
        assert client.keystore.list() == []
