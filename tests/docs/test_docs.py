"""The documentation is under test: what it names exists, and what exists is named."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import longshore
from longshore import limits
from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import app
from longshore.settings import ClientSettings, Settings
from longshore.worker.documents import InputFile
from longshore.worker.registry import REGISTRY
from tools import reference

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
)
GUIDES = [page for page in PAGES if "reference" not in page.parts and page.name != "CHANGELOG.md"]
COMMANDS: dict[str, Any] = {
    name.removeprefix("longshore "): command for name, command, _ in reference.commands(app)
}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def _console_lines(page: Path) -> Iterator[list[str]]:
    for block in _blocks(page, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                yield shlex.split(line[2:], comments=True)


def _inline_commands(page: Path) -> Iterator[list[str]]:
    for code in re.findall(r"`(longshore [a-z][^`\n]*|make [a-z]+)`", page.read_text("utf-8")):
        yield shlex.split(code)


def _unknown(words: list[str]) -> str | None:
    """Return what is wrong with a documented command, or None."""
    if words[0] == "make" and len(words) > 1:
        return None if words[1] in TARGETS else f"make has no target {words[1]!r}"
    if words[0] != "longshore":
        return None
    name = next((" ".join(words[1:n]) for n in (4, 3, 2) if " ".join(words[1:n]) in COMMANDS), None)
    if name is None:
        groups = {known.rpartition(" ")[0] for known in COMMANDS if " " in known}
        return None if words[1:] and " ".join(words[1:]) in groups else f"no command {words}"
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    given = [word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)]
    unknown = [option for option in given if option not in known | {"--help"}]
    return f"longshore {name} has no option {unknown}" if unknown else None


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_each_command_in_a_guide_exists_with_its_options(page: Path) -> None:
    problems = [
        problem
        for words in [*_console_lines(page), *_inline_commands(page)]
        if words and (problem := _unknown(words)) is not None
    ]
    assert not problems


def test_the_check_of_commands_finds_what_does_not_exist() -> None:
    assert _unknown(["longshore", "fly"])
    assert _unknown(["longshore", "runs", "--fast"])
    assert _unknown(["longshore", "key", "forge"])
    assert _unknown(["longshore", "buckets", "webhooks", "forge"])
    assert _unknown(["make", "money"])
    assert _unknown(["longshore", "runs", "--json"]) is None
    assert _unknown(["longshore", "buckets", "webhooks", "ls", "--json"]) is None
    assert _unknown(["longshore", "buckets", "webhooks"]) is None
    assert _unknown(["ls", "-l"]) is None


def test_each_command_is_documented_and_has_help_for_each_option() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text("utf-8")
    guides = "\n".join(guide.read_text("utf-8") for guide in GUIDES)
    problems = []
    for name, command in COMMANDS.items():
        if f"## longshore {name}\n" not in page:
            problems.append(f"{name}: not in docs/reference/cli.md")
        if f"longshore {name}" not in guides and f"`{name}`" not in guides:
            problems.append(f"{name}: no guide mentions it")
        if not command.help:
            problems.append(f"{name}: has no help")
        problems += [
            f"{name}: {parameter.opts} has no help"
            for parameter in command.params
            if not getattr(parameter, "help", None)
        ]
    assert not problems


LISTS = (
    *("runs", "apps", "workers", "key list", "queue ls", "results", "doctor", "why", "logs"),
    *("buckets ls", "buckets ps", "buckets view", "buckets audit", "buckets webhooks ls"),
)


@pytest.mark.parametrize("name", LISTS)
def test_each_list_takes_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)


def test_each_setting_is_documented() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text("utf-8")
    for model in (Settings, ClientSettings):
        for name, field in model.model_fields.items():
            assert field.description, f"{name} has no description"
            assert f"`LONGSHORE_{name.upper()}`" in page, name


def test_each_limit_is_documented() -> None:
    page = (ROOT / "docs/reference/limits.md").read_text("utf-8")
    parts = Path(inspect.getfile(limits)).parent.glob("*.py")
    names = [
        node.target.id
        for part in parts
        for node in ast.parse(part.read_text("utf-8")).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    assert len(names) > 100
    assert [name for name in names if name != "MIB" and f"`{name}`" not in page] == []


def test_each_exit_code_is_documented() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text("utf-8")
    assert all(f"| {int(code)} | " in page for code in ExitCode)


@pytest.mark.parametrize("name", list(reference.BUILDERS))
def test_each_generated_page_says_what_the_code_says(name: str) -> None:
    written = (reference.PAGES / name).read_text("utf-8")
    assert written == reference.BUILDERS[name](), "run `make docs` and commit"


@pytest.mark.parametrize("page", [p for p in PAGES if p.parent == ROOT], ids=lambda p: p.name)
def test_links_from_the_readme_and_its_neighbours_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [link for link in links if not link.startswith("http")]
    assert [link for link in local if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_documentation_is_python(page: Path) -> None:
    for block in _blocks(page, "python"):
        ast.parse(block)


@pytest.mark.parametrize("page", ["README.md", "docs/tutorials/first-five-minutes.md"])
def test_the_first_app_of_the_documentation_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(REGISTRY, "apps", {})
    block = next(block for block in _blocks(ROOT / page, "python") if "@longshore.app" in block)
    names: dict[str, Any] = {"__name__": "line_count"}
    exec(compile(block, page, "exec"), names)
    path = tmp_path / "three.txt"
    path.write_bytes(b"one\ntwo\nthree\n")
    registered = REGISTRY.apps["me", "line count", "1.0.0"]
    documents = list(registered.function(InputFile("three.txt", path, path.stat().st_size)))
    assert documents == [longshore.Document(fields=[longshore.Field("lines", "3")])]
