"""The JSON schema, the page of all keys, outlines, differences, and `longshore workflow validate`."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import given, settings

from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.surfaces.scripts.definition import diffing, schema
from longshore.surfaces.scripts.definition.reading import examine, parse
from longshore.surfaces.scripts.definition.rendering import outline
from longshore.surfaces.scripts.definition.yaml_nodes import read
from tests.unit.definition_files import FILES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "write-a-workflow.md").read_text("utf-8")
EXAMPLE = re.findall(r"```yaml\n(workflow:.*?)```", PAGE, re.DOTALL)[0]
BROKEN = "workflow: etl\nsteps:\n  a:\n    script: a.py\n    hots: h\n"


@pytest.fixture
def schema_of_files() -> Any:
    return jsonschema_rs.validator_for(schema.schema())


def test_the_example_of_the_page_is_right_and_uses_most_keys() -> None:
    workflow = parse(EXAMPLE)
    assert list(workflow.steps) == [
        "extract", "check", "transform", "load", "reload_totals", "tell_somebody",
    ]  # fmt: skip
    assert workflow.steps["load"].retries.attempts == 2
    used = set(re.findall(r"\b[a-z_]+(?=:)", EXAMPLE))
    keys = set(schema.schema()["$defs"]["Step"]["properties"])
    assert keys - used <= {"program", "grace_s", "on_lost_worker", "status", "description"}


def test_the_commands_of_the_page_are_there() -> None:
    from longshore.cli import workflow  # noqa: PLC0415

    named = set(re.findall(r"`longshore workflow (\w+)", PAGE))
    there = {command.name for command in workflow.app.registered_commands}
    assert named <= there
    assert named >= {"list", "show", "diff", "schedules", "backfill", "throttle", "retire"}


def test_the_schema_takes_the_example_and_refuses_what_is_not_the_form(
    schema_of_files: Any,
) -> None:
    plain = read(EXAMPLE)[0].plain()
    assert schema_of_files.is_valid(plain)
    for spoil in (
        {"hots": 1},
        {"steps": {"a b": {"script": "x"}}},
        {"steps": {"a": {"script": "x", "depend_on": []}}},
        {"steps": {"a": {"timeout_s": -1}}},
        {"defaults": {"hots": 1}},
        {"order": {"path": "sideways"}},
    ):
        assert not schema_of_files.is_valid({**plain, **spoil}), spoil
    del plain["workflow"]
    assert not schema_of_files.is_valid(plain)


@settings(max_examples=150, deadline=None)
@given(FILES)
def test_the_schema_takes_what_is_taken(value: dict[str, object]) -> None:
    text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
    if examine(text).workflow is not None:
        validator = jsonschema_rs.validator_for(schema.schema())
        assert validator.is_valid(read(text)[0].plain())


def test_every_key_has_a_meaning_and_every_meaning_a_key() -> None:
    definitions = schema.schema()["$defs"]
    for name, described in definitions.items():
        for key, field in described.get("properties", {}).items():
            assert field.get("description"), f"{name}.{key} says nothing of itself"
    page = "\n".join(schema.page())
    assert "| `depends_on` | list of text |" in page
    for anchor in re.findall(r"\]\(#([a-z-]+)\)", page):
        assert f"\n## {anchor.replace('-', ' ')}\n" in page.lower()


def test_an_outline_tells_what_starts_a_workflow_and_its_steps_in_order() -> None:
    lines = outline(parse(EXAMPLE))
    assert lines[0] == "  Sales of the day before, from the shops into the warehouse"
    assert "  event sales.reload: 2 at once, priority 50, stops on error" in lines
    assert (
        "  schedule 30 2 * * * (Europe/Berlin), working days only, for the previous working day"
        in lines
    )
    assert "  flags delivered (shops warehouse) and delivered (web warehouse) for one date" in lines
    assert (
        "  transform: sales/transform.py on compute1, after check, area intake, for each region, "
        "2 retries" in lines
    )
    assert outline(parse("workflow: x\nsteps: {a: {script: a.py, host: h}}"))[1] == "  people only"


def test_differences_name_keys_and_leave_defaults_out() -> None:
    before = parse(EXAMPLE)
    after = parse(
        EXAMPLE.replace("attempts: 2", "attempts: 4")
        .replace("    status: hold\n", "")
        .replace("    timeout_s: 1800\n", "")
        .replace("  tell_somebody:", "  call_somebody:")
    )
    found = {each.path: each for each in diffing.changes(before, after)}
    assert found["steps.load.retries.attempts"].before == 2
    assert found["steps.load.retries.attempts"].after == 4
    assert found["steps.extract.timeout_s"].change == "changed"
    assert found["steps.extract.timeout_s"].after is None
    assert found["steps.tell_somebody"].change == "removed"
    assert found["steps.call_somebody"].change == "added"
    assert diffing.changes(before, before) == []
    assert diffing.text("a\nb\n", "a\nc\n", names=("x", "y")).splitlines()[-2:] == ["-b", "+c"]
    assert diffing.text(EXAMPLE, EXAMPLE, names=("x", "y")) == ""
    assert "more than 10000 lines" in diffing.text("a\n" * 10_001, "b\n", names=("x", "y"))


def validate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["longshore", "workflow", "validate", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory from which no server is found."""
    for name in ("LONGSHORE_URL", "LONGSHORE_KEY", "LONGSHORE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(EXAMPLE, "utf-8")
    (tmp_path / "broken.yaml").write_text(BROKEN, "utf-8")
    (tmp_path / "latin.yaml").write_bytes("workflow: ä".encode("latin-1"))
    return tmp_path


@pytest.mark.usefixtures("nowhere")
def test_a_file_is_validated_without_a_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = validate(monkeypatch, capsys, "good.yaml")
    assert (code, out) == (ExitCode.OK, "good.yaml: no fault found\n")
    assert "Hosts and events of other workflows were not looked up: No server was given" in err
    code, _, err = validate(monkeypatch, capsys, "good.yaml", "--offline")
    assert (code, "not asked (--offline)" in err) == (ExitCode.OK, True)


@pytest.mark.usefixtures("nowhere")
def test_all_faults_are_printed_with_their_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = validate(monkeypatch, capsys, "broken.yaml")
    assert (code, out) == (ExitCode.FAILED, "")
    assert err.splitlines() == [
        "broken.yaml:3: step a has no host; it needs one",
        "broken.yaml:5: unknown key hots in step a; did you mean host?",
    ]
    code, out, _ = validate(monkeypatch, capsys, "broken.yaml", "--json")
    assert code == ExitCode.FAILED
    assert [each["line"] for each in json.loads(out)["problems"]] == [3, 5]


@pytest.mark.usefixtures("nowhere")
def test_what_cannot_be_read_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "latin.yaml is not UTF-8" in validate(monkeypatch, capsys, "latin.yaml")[2]
    code, _, err = validate(monkeypatch, capsys, "missing.yaml")
    assert code != ExitCode.OK
    assert "missing.yaml" in err
    bytes_in = io.TextIOWrapper(io.BytesIO(BROKEN.encode()))
    monkeypatch.setattr("sys.stdin", bytes_in)
    assert "-:5: unknown key hots" in validate(monkeypatch, capsys, "-")[2]
