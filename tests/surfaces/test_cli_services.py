"""`longshore service` and `client.services` against a real server, on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import errors
from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.cli.services import spread
from longshore.sdk import AsyncClient, Client
from longshore.storage import Database
from tests.surfaces.sdk_server import Served, running
from tests.unit.workbook_files import quote

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
    quote(tmp_path / "quote.xlsx")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["longshore", "service", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


ADD = ("add", "quote.xlsx", "--inputs", "age", "amount", "--outputs", "premium", "note")


@pytest.mark.parametrize(
    ("given", "spread_out"),
    [
        (["f", "--inputs", "a", "b", "--outputs", "c"],
         ["f", "--inputs", "a", "--inputs", "b", "--outputs", "c"]),
        (["f", "--inputs=a", "b", "--json", "x"], ["f", "--inputs=a", "--inputs", "b", "--json", "x"]),
        (["f", "--inputs", "a", "--inputs", "b"], ["f", "--inputs", "a", "--inputs", "b"]),
        (["f", "--name", "a/b", "c"], ["f", "--name", "a/b", "c"]),
    ],
)  # fmt: skip
def test_an_option_may_have_several_values(given: list[str], spread_out: list[str]) -> None:
    assert spread(given) == spread_out


def test_a_workbook_is_added_listed_shown_and_removed(longshore: Command) -> None:
    code, out, _ = longshore(*ADD, "--name", "tariffs/quote")
    assert code == ExitCode.OK
    assert "tariffs/quote[1.0.0]: added" in out
    assert "premium is 200 with the values in the workbook" in out
    assert "start one with `longshore worker`" in out
    assert "was there already" in longshore(*ADD, "--name", "tariffs/quote")[1]
    assert "tariffs/quote[1.0.0]" in longshore("list")[1]
    shown = json.loads(longshore("show", "tariffs/QUOTE", "--json")[1])
    assert [each["name"] for each in shown["inputs"]] == ["age", "amount"]
    assert "Outputs: premium, note" in longshore("show", "tariffs/quote[1.0.0]")[1]
    assert longshore("remove", "tariffs/quote[1.0.0]")[1] == "tariffs/quote[1.0.0]: deleted\n"
    assert longshore("list")[1].strip() == "" or "no services" in "".join(longshore("list"))


def test_the_name_of_the_file_is_the_name_of_the_service(longshore: Command) -> None:
    added = json.loads(longshore(*ADD, "--version", "3.1", "--json")[1])
    assert added["uri"] == "workbooks/quote[3.1]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "quote.xlsx", "--inputs", "ag", "--outputs", "note"), "did you mean 'age'?"),
        (("add", "nothing.xlsx", "--inputs", "a", "--outputs", "b"), "nothing.xlsx"),
        (("show", "tariffs/none"), "There is no service"),
        (("remove", "tariffs/none"), "There is no service"),
    ],
)
def test_what_cannot_be_is_said(longshore: Command, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = longshore(*arguments)
    assert code != ExitCode.OK
    assert said in err


def test_of_several_versions_one_must_be_named(longshore: Command) -> None:
    for version in ("1.0", "2.0"):
        assert longshore(*ADD, "--version", version, "--name", "a/b")[0] == ExitCode.OK
    assert "a/b[2.0], a/b[1.0]" in longshore("show", "a/b")[2]


async def test_both_colours_add_list_and_delete(served: Served, tmp_path: Path) -> None:
    path = quote(tmp_path / "quote.xlsx")
    names: dict[str, Any] = {"inputs": ["age"], "outputs": ["premium"]}
    with Client(served.url, served.first.token) as client:
        added = client.services.add_workbook(path, **names)
        assert (added.uri, added.made, added.example) == (
            "workbooks/quote[1.0.0]", True, {"premium": 200},
        )  # fmt: skip
        with pytest.raises(errors.Conflict, match="another workbook"):
            client.services.add_workbook(
                path, inputs=["amount"], outputs=["premium"], version="1.0.0"
            )
    async with AsyncClient(served.url, served.first.token) as other:
        assert not (await other.services.add_workbook(path, **names)).made
        (service,) = await other.services.list()
        assert service.versions[0].inputs is not None
        assert service.versions[0].inputs[0].default == 30
        with pytest.raises(errors.InvalidRequest, match="in a list"):
            await other.services.add_workbook(path, inputs="age", outputs=["premium"])
        with pytest.raises(errors.InvalidRequest, match="cannot be written as JSON"):
            await other.services.execute("workbooks/quote", {"age": float("nan")})
        with pytest.raises(errors.NotFound):
            await other.services.execute("workbooks/nothing", {})
        assert await other.services.delete(added.id) == "workbooks/quote[1.0.0]"
        assert await other.services.list() == []
