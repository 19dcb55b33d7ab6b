"""YAML of workflows: read as 1.2 has it, bounded, and never a fault of ours whatever comes."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore import limits
from longshore.surfaces.scripts.definition import yaml_nodes
from longshore.surfaces.scripts.definition.reading import examine, parse
from longshore.surfaces.scripts.definition.yaml_nodes import Unreadable, read
from tests.unit.definition_files import FILES

WHOLE = """\
workflow: etl
triggers:
  events: [{name: etl.start, parallel: 2}]
  schedules: [{cron: 0 3 * * *, time_zone: Europe/Berlin, days: working}]
  workflows: [{name: other, on: finished}]
calendar:
  holidays: [2026-12-25]
steps:
  extract: {script: extract.py, host: host1}
  load:
    script: load.py
    host: host2
    depends_on: [extract]
    when: [{step: extract, payload: country, equals: no}]
"""


@pytest.fixture(params=["libyaml", "python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both readers of PyYAML: the fast one is not everywhere."""
    chosen = yaml.CSafeLoader if request.param == "libyaml" else yaml.SafeLoader
    monkeypatch.setattr(yaml_nodes, "_LOADER", chosen)
    return str(request.param)


@pytest.mark.usefixtures("loader")
def test_what_yaml_1_1_would_turn_into_something_else_stays_what_was_written() -> None:
    workflow = parse(WHOLE)
    assert workflow.triggers.workflows[0].on == "finished"
    assert workflow.calendar.holidays == ("2026-12-25",)
    assert workflow.steps["load"].when[0].equals == "no"


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("010", 10), ("12:30", "12:30"), ("1_000", "1_000"), ("0x10", "0x10"), ("1e3", 1000.0),
        ("yes", "yes"), ("true", True), ("~", None), ("", None), ("'1'", "1"), ("-1.5", -1.5),
        (".5", 0.5), ("2026-12-25", "2026-12-25"), (".inf", ".inf"), ("=", "="), ("!!str 1", "1"),
    ],
)  # fmt: skip
def test_scalars(written: str, meant: object) -> None:
    root, _ = read(f"key: {written}\n")
    assert root.plain() == {"key": meant}
    assert type(root.plain()["key"]) is type(meant)


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("a: 1\n---\nb: 2\n", "a second document begins"),
        ("a: [1, 2\n", "this is not YAML"),
        ("a: b: c\n", "this is not YAML"),
        ("\tworkflow: x\n", "this is not YAML"),
        ("a: *nothing\n", "stands inside of what it names|this is not YAML"),
        ("a: &x [*x]\n", r"the alias \*x stands inside of what it names"),
        ("<<: {a: 1}\n", "merge keys"),
        ("? [a]\n: 1\n", "a list or mapping stands where a key should be"),
        ("a: !!python/object/apply:os.system [ls]\n", "the tag .* is not allowed"),
        ("a: !!binary aGk=\n", "the tag .* is not allowed"),
        ('a: "\\0"\n', "a character that cannot be stored"),
        ("a: 12345678901234567890\n", "is too long; put it in quotes"),
        ("a: 1e999\n", "is too large; put it in quotes"),
        ("a: " + "[" * 200 + "]" * 200, "nested deeper than 30 levels"),
        ("a: \x07\n", "this is not YAML"),
    ],
)
def test_what_is_no_file_of_ours_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(Unreadable, match=message) as caught:
        read(text)
    assert caught.value.problem.line >= 0


def test_keys_that_are_given_twice_are_told_with_the_second_line() -> None:
    reading = examine(WHOLE + "workflow: third\n")
    assert [(each.line, each.message) for each in reading.problems] == [
        (15, "the key 'workflow' is given twice; remove one")
    ]


@pytest.mark.usefixtures("loader")
def test_aliases_cannot_make_a_small_file_large() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    with pytest.raises(Unreadable, match="has more than 100000 values"):
        read("\n".join(lines))


@pytest.mark.usefixtures("loader")
def test_aliases_within_bounds_stand_for_what_they_name() -> None:
    root, problems = read("a: &x {b: [1]}\nc: *x\n")
    assert root.plain() == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert problems == []


def test_a_file_of_a_megabyte_is_refused_quickly() -> None:
    reading = examine("a:\n" + "- x\n" * (limits.WORKFLOW_BYTES // 4 - 10))
    assert "has more than 100000 values" in reading.problems[0].message


@settings(max_examples=300, deadline=None)
@given(FILES)
def test_a_file_of_any_values_is_read_or_refused_in_words(value: dict[str, object]) -> None:
    text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
    reading = examine(text)
    assert (reading.workflow is None) == bool(reading.problems)
    assert all(each.message for each in reading.problems)
    if reading.workflow is not None:
        assert examine(text).workflow == reading.workflow


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"\n ,#?<%@`\t0.", max_size=60))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    reading = examine(text)
    assert (reading.workflow is None) == bool(reading.problems)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(WHOLE)), st.integers(0, 40), st.text(max_size=6))
def test_a_good_file_with_a_piece_cut_out_or_put_in_is_read_or_refused_in_words(
    at: int, length: int, piece: str
) -> None:
    reading = examine(WHOLE[:at] + piece + WHOLE[at + length :])
    assert (reading.workflow is None) == bool(reading.problems)
