"""Reading a workflow's file: what it may say, and what each fault is answered with."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from longshore import limits
from longshore.errors import InvalidRequest, TooLarge
from longshore.surfaces.scripts.definition.model import Status, Workflow
from longshore.surfaces.scripts.definition.reading import examine, parse

STEP = {"script": "a.py", "host": "host1"}


def text_of(**keys: Any) -> str:
    """Return a file with one step, and these keys besides or instead."""
    return yaml.safe_dump({"workflow": "etl", "steps": {"extract": STEP}, **keys}, sort_keys=False)


def with_step(**keys: Any) -> str:
    return text_of(steps={"extract": {**STEP, **keys}})


def with_schedule(**keys: Any) -> str:
    return text_of(triggers={"schedules": [{"cron": "0 3 * * *", **keys}]})


def messages(text: str) -> list[str]:
    reading = examine(text)
    assert (reading.workflow is None) == bool(reading.problems)
    return [problem.message for problem in reading.problems]


def steps(**depends_on: list[str]) -> str:
    return text_of(steps={name: {**STEP, "depends_on": on} for name, on in depends_on.items()})


def test_a_small_file_is_read_with_all_defaults() -> None:
    workflow = parse(text_of())
    assert isinstance(workflow, Workflow)
    assert workflow.steps["extract"].script == "a.py"
    assert workflow.steps["extract"].status is Status.ACTIVE
    assert workflow.triggers.events == []


def test_defaults_are_filled_in_and_mappings_of_them_key_by_key() -> None:
    workflow = parse(
        """
        workflow: etl
        defaults:
          host: host1
          area: night
          retries: {attempts: 3, delay_s: 1}
          environment: {MODE: fast, LEVEL: "1"}
          script: common.py
          arguments: [x]
        steps:
          a: {}
          b: {host: host2, retries: {attempts: 0}, environment: {MODE: slow}}
          c: {command: [sh, -c, ls]}
        """
    )
    a, b, c = workflow.steps["a"], workflow.steps["b"], workflow.steps["c"]
    assert (a.host, a.area, a.script, a.arguments) == ("host1", "night", "common.py", ["x"])
    assert (b.host, b.retries.attempts, b.retries.delay_s) == ("host2", 0, 1)
    assert b.environment == {"MODE": "slow", "LEVEL": "1"}
    assert (c.script, c.command, c.arguments) == (None, ["sh", "-c", "ls"], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (with_step(depend_on=["x"]),
         "unknown key depend_on in step extract; did you mean depends_on?"),
        (text_of(trigers={}), "unknown key trigers; did you mean triggers?"),
        (with_step(retries={"atempts": 1}),
         "unknown key atempts in step extract (retries); did you mean attempts?"),
        (text_of(defaults={"hots": "x"}), "unknown key hots in defaults; did you mean host?"),
        (text_of(steps={"extract": {"script": "a.py"}}), "step extract has no host; it needs one"),
        (yaml.safe_dump({"steps": {"a": STEP}}), "the workflow has no workflow; it needs one"),
        (yaml.safe_dump({"workflow": "x"}), "the workflow has no steps; it needs one"),
        (text_of(steps={}), "the workflow has no steps; give it at least one"),
        (text_of(workflow="schema"),
         "a workflow cannot be named schema, which is an address of the server"),
        (with_step(timeout_s=-1),
         "step extract (timeout_s) is the number -1 and should be a number above 0 and at most "
         "2592000"),
        (with_step(on_lost_host="mov"),
         "step extract (on_lost_host) is the text 'mov' and should be one of wait, move; did you "
         "mean move?"),
        (with_step(status="activ"),
         "step extract (status) is the text 'activ' and should be one of active, hold, inactive; "
         "did you mean active?"),
        (with_step(arguments=[1]),
         "step extract (arguments[0]) is the number 1 and should be a text; put it in quotes"),
        (with_step(depends_on="x"),
         "step extract (depends_on) is the text 'x' and should be a list"),
        (with_step(depends_on=None),
         "step extract (depends_on) has no value; give a list, or leave the key out"),
        (with_step(retries=3),
         "step extract (retries) is the number 3 and should be a mapping with keys such as "
         "attempts, delay_s, factor, delay_max_s"),
        (text_of(steps={"extract": None}),
         "step extract is nothing and should be a mapping with keys such as script, program, "
         "command, arguments, host, other_hosts"),
        (text_of(steps={"a b": STEP}),
         "step a b is the text 'a b' and should be a name: 1 to 64 letters, digits, dots, hyphens "
         "and underscores, a letter or digit first"),
        (with_step(keystore=["a,b"]),
         "step extract (keystore[0]) is the text 'a,b' and should be the name of an entry: 1 to "
         "128 letters, digits, dots, hyphens and underscores"),
        ("- a\n", "the file holds a list and should be a mapping with workflow and steps"),
    ],
)  # fmt: skip
def test_what_has_not_the_form_is_told_with_the_near_key(text: str, message: str) -> None:
    assert messages(text) == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (steps(a=["c"], b=["a"], c=["b"]),
         "the steps wait for each other in a circle: a -> c -> b -> a (each waits for the next); "
         "remove one of these dependencies"),
        (steps(a=["a"]), "step a depends on itself; remove that"),
        (steps(load=[], after=["LOAD"]),
         "step after depends on LOAD, which is no step; the step is written load"),
        (steps(transform=[], after=["transfrom"]),
         "step after depends on transfrom, which is no step; did you mean transform?"),
        (steps(a=[], b=["a", "a"]), "step b depends on a twice; remove one"),
        (steps(load=[], Load=[]), "the steps load and Load differ only in case; rename one of them"),
        (text_of(steps={"a": {"host": "h"}}),
         "step a has neither script nor command; give it one of them"),
        (with_step(command=["ls"]),
         "step extract has both script and command; remove one of them"),
        (text_of(steps={"a": {"host": "h", "command": []}}),
         "the command of step a is empty; name a program"),
        (text_of(steps={"a": {"host": "h", "command": ["ls"], "arguments": ["x"]}}),
         "step a has a command, so put its arguments into the command itself"),
        (with_step(script="../a.py"),
         "the script of step extract, '../a.py', must be a path below the host's scripts "
         "directory, with / between its parts and without .."),
        (with_step(script="/etc/passwd"),
         "the script of step extract, '/etc/passwd', must be a path below the host's scripts "
         "directory, with / between its parts and without .."),
        (with_step(on_lost_host="move"),
         "step extract cannot move without other_hosts; name some"),
        (with_step(other_hosts=["host2"]),
         "step extract names other_hosts but waits for its own; set on_lost_host: move"),
        (with_step(on_lost_host="move", other_hosts=["HOST1"]),
         "step extract names a host twice; remove one"),
        (with_step(exit_codes={"success": [0, 300]}),
         "step extract names the exit code 300; they are 0 to 255"),
        (with_step(exit_codes={"fatal": [0]}),
         "step extract gives the exit code 0 two meanings; choose one"),
        (with_step(exit_codes={"success": []}),
         "no exit code of step extract means success; name at least one"),
        (with_step(retries={"delay_s": 400}),
         "step extract waits 400 s before a retry, which is above delay_max_s, 300"),
        (with_step(environment={"ACTIONID": "1"}),
         "step extract sets the variable ACTIONID, which the worker sets; rename it"),
        (with_step(environment={"1X": "1"}),
         "step extract sets the variable '1X', which cannot be a name: letters, digits and "
         "underscores, no digit first"),
        (with_step(arguments=["${run.dat}"]),
         "step extract uses ${run.dat}, which there is not; did you mean date?"),
        (with_step(arguments=["${matrix.day}"]),
         "step extract uses ${matrix.day}, which there is not; the step has no matrix."),
        (with_step(arguments=["${event.a..b}"]),
         "step extract uses ${event.a..b}, which there is not; name a field of the event's "
         "payload, such as ${event.id}"),
        (with_step(matrix={"day": []}),
         "the list day in the matrix of step extract is empty; it would never run"),
        (with_step(matrix={"day": [1, 1]}),
         "the list day in the matrix of step extract has a value twice"),
        (with_step(matrix={"day": "x"}),
         "the matrix of step extract has the text 'x'; give a list, or "
         "${steps.NAME.payload.PATH} for a list in the payload of a step it depends on"),
        (with_step(matrix={"day": "${steps.list.payload.days}"}),
         "the matrix of step extract takes values of list, which is not in its depends_on; there "
         "are: extract."),
        (with_step(matrix={"a": list(range(100)), "b": list(range(100))}),
         "a run would have 10001 steps, instances of matrices included, and may have 1000; split "
         "the workflow"),
        (text_of(areas=["night"]), "no step is in the area night; there are: main."),
        (text_of(order={"path": "local"}),
         "a local order needs the step that is to finish as soon as possible"),
        (text_of(order={"path": "local", "step": "Extract"}),
         "the order names Extract, which is no step; the step is written extract"),
        (with_step(concurrency=[{"key": "db"}, {"key": "DB"}]),
         "step extract names the concurrency key DB twice"),
    ],
)  # fmt: skip
def test_steps_that_cannot_work_are_told(text: str, message: str) -> None:
    assert messages(text) == [message]


def condition(**keys: Any) -> str:
    first, second = STEP, {**STEP, "depends_on": ["a"], "when": [{"step": "a", **keys}]}
    return text_of(steps={"a": first, "b": second, "c": STEP})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (condition(step="c", state="failed"),
         "step b has a condition on c, which is not in its depends_on; add it there"),
        (condition(step="A", state="failed"),
         "step b has a condition on A, which is no step; the step is written a"),
        (condition(), "a condition of step b says nothing; give it state or payload"),
        (condition(state="failed", equals=1),
         "a condition of step b has equals but no payload to compare it with"),
        (condition(payload="x"),
         "a condition of step b on a payload needs exactly one of equals, not_equals, above, "
         "below, among, exists, and has 0"),
        (condition(payload="x", above=1, below=2),
         "a condition of step b on a payload needs exactly one of equals, not_equals, above, "
         "below, among, exists, and has 2"),
        (condition(payload="x", equals=1, state="finished"),
         "a condition of step b has both state and payload; make it two conditions"),
        (condition(payload="x..y", equals=1),
         "the payload path 'x..y' in a condition of step b has an empty part; write names with "
         "single dots between them"),
    ],
)  # fmt: skip
def test_conditions_that_mean_nothing_are_told(text: str, message: str) -> None:
    assert messages(text) == [message]


def test_a_condition_on_null_is_one() -> None:
    when = parse(condition(payload="x", equals=None)).steps["b"].when[0]
    assert when.equals is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (with_schedule(cron="0 3 * *"),
         "the cron expression '0 3 * *' has 4 fields and needs five: minute, hour, day of month, "
         "month, day of week"),
        (with_schedule(cron="0 0 3 * * *"),
         "the cron expression '0 0 3 * * *' has 6 fields and needs five: minute, hour, day of "
         "month, month, day of week"),
        (with_schedule(cron="61 3 * * *"),
         "the cron expression '61 3 * * *' cannot be used: the minute is '61'"),
        (with_schedule(cron="0 3 31 2 *"),
         "the cron expression '0 3 31 2 *' cannot be used: the day of month is '31'"),
        (with_schedule(cron="0 3 * * sat", days="working"),
         "the schedule '0 3 * * sat' never fires on days: working; change it or remove it"),
        (with_schedule(days="holidays"),
         "the schedule '0 3 * * *' never fires on days: holidays; change it or remove it"),
        (with_schedule(time_zone="Europe/Berln"),
         "there is no time zone 'Europe/Berln'. Did you mean Europe/Berlin?"),
        (with_schedule(time_zone="../../etc/passwd"),
         "there is no time zone '../../etc/passwd'. Use one such as Europe/Berlin"),
        (text_of(calendar={"holidays": ["2027-02-29"]}),
         "the holiday '2027-02-29' is no date; write it as YYYY-MM-DD"),
        (text_of(calendar={"holidays": ["20270101"]}),
         "the holiday '20270101' is no date; write it as YYYY-MM-DD"),
        (text_of(triggers={"events": [{"name": "a"}, {"name": "A"}]}),
         "the event A is named twice; remove one"),
        (text_of(triggers={"schedules": [{"cron": "0 3 * * *"}] * 2}),
         "the schedule '0 3 * * *' is there twice; remove one"),
        (text_of(triggers={"flags": [[]]}),
         "a list of flags is empty; name at least one flag, or remove the list"),
        (text_of(triggers={"flags": [[{"name": "x"}, {"name": "x"}]]}),
         "a list of flags names one flag twice; remove one"),
        (text_of(triggers={"workflows": [{"name": "ETL"}]}),
         "the workflow etl would start itself for ever; remove that"),
    ],
)  # fmt: skip
def test_triggers_that_cannot_work_are_told(text: str, message: str) -> None:
    assert messages(text) == [message]


def test_every_fault_is_told_at_once_with_its_line() -> None:
    reading = examine(
        "workflow: etl\n"
        "steps:\n"
        "  a:\n"
        "    script: a.py\n"
        "    hots: h\n"
        "  b:\n"
        "    script: b.py\n"
        "    host: h\n"
        "    depends_on:\n"
        "      - a\n"
        "      - nobody\n"
        "  c: {script: c.py, host: h, depends_on: [d]}\n"
        "  d: {script: d.py, host: h, depends_on: [c]}\n"
        "calendar:\n"
        "  holidays: [2027-13-01]\n"
    )
    assert [(each.line, each.path) for each in reading.problems] == [
        (3, "steps.a"),
        (5, "steps.a.hots"),
        (11, "steps.b.depends_on[1]"),
        (12, "steps.c.depends_on"),
        (15, "calendar.holidays[0]"),
    ]
    assert "a -> " not in " ".join(each.message for each in reading.problems)


def test_a_refusal_names_the_faults_and_its_details_hold_them_all() -> None:
    text = text_of(steps={f"s{number}": {"host": "h"} for number in range(30)})
    with pytest.raises(InvalidRequest, match=r"line 3: step s0 has neither.*And 20 more") as caught:
        parse(text)
    assert len(caught.value.details["problems"]) == 30
    assert caught.value.details["problems"][0]["path"] == "steps.s0"


def test_a_chain_of_a_thousand_steps_is_no_circle() -> None:
    chain = {f"s{n}": [f"s{n + 1}"] if n < 999 else [] for n in range(1000)}
    assert len(parse(steps(**chain)).steps) == 1000


def test_a_circle_of_a_thousand_steps_is_named_in_full() -> None:
    (message,) = messages(steps(**{f"s{n}": [f"s{(n + 1) % 999}"] for n in range(999)}))
    assert message.startswith("the steps wait for each other in a circle: s0 -> s1 -> s2 -> ")
    assert message.count(" -> ") == 999


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (steps(**{f"s{n}": [f"s{n - 1}"] if n else [] for n in range(1001)}),
         "a run would have 1001 steps, instances of matrices included, and may have 1000; split "
         "the workflow"),
        (text_of(triggers={"events": [{"name": f"e{n}"} for n in range(101)]}),
         "there are 101 events, and there may be 100; split the workflow"),
        (text_of(calendar={"holidays": ["2026-12-25"] * 5001}),
         "there are 5001 holidays, and there may be 5000; leave out those that are over"),
    ],
)  # fmt: skip
def test_what_is_too_much_is_refused(text: str, message: str) -> None:
    assert messages(text) == [message]


def test_of_thousands_of_faults_a_hundred_are_told() -> None:
    assert len(messages(text_of(**{f"key{n}": n for n in range(5000)}))) == 100


def test_a_text_that_is_no_text_is_refused_with_its_line() -> None:
    (problem,) = examine("workflow: etl\nsteps: '\ud800'\n").problems
    assert (problem.line, "surrogate" in problem.message) == (2, True)


def test_a_file_over_the_limit_is_refused() -> None:
    with pytest.raises(TooLarge, match="may have 1048576"):
        examine("#" + "x" * limits.WORKFLOW_BYTES)
