"""`longshore secret` and `client.secrets` against a real server, on both databases."""

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
        monkeypatch.setattr("sys.argv", ["longshore", "secret", *arguments])
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def value_of(served: Served, name: str) -> str:
    """Read a secret as the published workers do."""
    got = httpx.get(
        f"{served.url}/api/v1/secret/{name}",
        headers={"Authorization": f"Token {served.first.token}"},
    )
    assert got.status_code == 200, got.text
    return str(got.json()["content"])


def test_a_secret_is_set_from_standard_input_listed_and_removed(
    served: Served, longshore: Command
) -> None:
    code, printed, noted = longshore("set", "services/ocr", stdin=f"{VALUE}\n")
    assert (code, printed, noted) == (0, "services/ocr: set\n", "")
    assert value_of(served, "services%2Focr") == VALUE
    code, printed, _ = longshore("list")
    assert code == 0
    assert "services/ocr" in printed
    assert VALUE not in printed
    code, printed, _ = longshore("list", "--json")
    [listed] = json.loads(printed)
    assert set(listed) == {"name", "created_at", "updated_at"}
    assert longshore("rm", "services/ocr")[:2] == (0, "services/ocr: removed\n")
    assert "There are no secrets." in "".join(map(str, longshore("list")))


def test_a_secret_is_set_from_a_file_as_it_is(
    served: Served, longshore: Command, tmp_path: Path
) -> None:
    path = tmp_path / "key.json"
    path.write_text('{"a": 1}\n', "utf-8")
    code, printed, _ = longshore("set", "key.json", "--file", str(path), "--json")
    assert (code, json.loads(printed)["name"]) == (0, "key.json")
    assert value_of(served, "key.json") == '{"a": 1}\n'


def test_what_cannot_be_a_secret_is_told_in_one_line(longshore: Command, tmp_path: Path) -> None:
    for arguments, stdin in ((("set", "a"), ""), (("set", "../a"), "x"), (("rm", "none"), "")):
        code, printed, noted = longshore(*arguments, stdin=stdin)
        assert code in (ExitCode.USAGE, ExitCode.NOT_FOUND)
        assert printed == ""
        assert noted.count("\n") == 1
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("binary", "missing"):
        code, _, noted = longshore("set", "a", "--file", str(tmp_path / name))
        assert code != 0
        assert "cannot be read as text" in noted


async def test_the_async_client_has_secrets_too(served: Served) -> None:
    async with AsyncClient(served.url, served.first.token) as client:
        stored = await client.secrets.set("a/b", VALUE)
        assert stored.name == "a/b"
        assert [secret.name for secret in await client.secrets.list()] == ["a/b"]
        await client.secrets.remove("a/b")
        with pytest.raises(errors.NotFound):
            await client.secrets.remove("a/b")


def test_the_client_refuses_what_the_server_refuses(served: Served) -> None:
    with Client(served.url, served.first.token) as client:
        with pytest.raises(errors.InvalidRequest):
            client.secrets.set("a", "")
        assert client.secrets.list() == []
