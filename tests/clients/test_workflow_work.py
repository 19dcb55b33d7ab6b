"""The published `Work` model: what it deposits comes back unchanged, and can be worked with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clients.workflow_client import CallFailed, Console, Workspace, run_program

EVERYTHING: dict[str, Any] = {
    "site": "chime",
    "user": 'Zoë O\'Brien \\ "quoted"',
    "function": "observatory.search.dispersion",
    "parameters": {
        "text": "naïve 探索 🛰 \u202e \x00 \ufeff",
        "zero": 0,
        "negative": -0.0,
        "large": 2**53 + 1,
        "huge": 10**40,
        "tiny": 5e-324,
        "vast": 1.7976931348623157e308,
        "third": 1 / 3,
        "empty": [],
        "nothing": None,
        "object": {},
        "nested": {"a.b": {"$set": [1, [2, [3, {"": "empty key"}]]]}},
        "mixed": [1, 1.0, "1", True, None, {"one": 1}],
    },
    "results": {"previous": [0.1, {"deep": [[]]}]},
    "products": [],
    "plots": ["/data/plot one.png", "ümlaut.svg"],
    "tags": ["t", "", "t", "$in", "a.b"],
    "event": [9385707, 2**62, -1],
    "creation": 1_700_000_000.123456,
    "timeout": 259_200,
    "retries": 5,
    "priority": 1,
    "config": {
        "archive": {"results": False, "products": "move", "plots": "delete", "logs": "bypass"},
        "metrics": True,
        "parent": "5f9b5c5d7b54b5a9c5e5b5c5",
        "orgs": ["octocat", "chimefrb"],
        "teams": ["developers"],
    },
    "notify": {
        "slack": {
            "channel_id": None,
            "member_ids": None,
            "message": "Done: ✅",
            "results": True,
            "products": False,
            "plots": True,
            "blocks": {"type": "section", "fields": [{"text": "*bold*"}]},
            "reply": None,
        }
    },
}
STATE = ("id", "start", "attempt", "status")
"""What the server sets when a work is withdrawn; all else is the depositor's."""


def back(console: Console, deposited: dict[str, Any]) -> dict[str, Any]:
    """Withdraw the work that was deposited and check that it came back unchanged."""
    work = console.withdraw(deposited["pipeline"])
    assert work is not None
    assert (work["attempt"], work["status"]) == (1, "running")
    expected = {name: value for name, value in deposited.items() if name not in STATE}
    found = {name: value for name, value in work.payload.items() if name not in STATE}
    assert exact(found) == exact(expected)
    assert list(work.payload) == list(deposited)
    return work.payload


def exact(value: Any) -> Any:
    """Return a form in which 1, 1.0 and True, and 0.0 and -0.0, differ."""
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return type(value).__name__, repr(value)


def test_every_field_comes_back_unchanged(console: Console) -> None:
    work = console.work(pipeline="p", **EVERYTHING)
    for name, value in EVERYTHING.items():
        assert exact(work[name]) == exact(value), f"the client itself changes {name}"
    work.deposit()
    document = back(console, work.payload)
    viewed = console.look(document["id"])
    assert exact({name: viewed[name] for name in document}) == exact(document)


def test_a_plain_work_comes_back_with_the_defaults(console: Console) -> None:
    work = console.work(pipeline="p")
    work.deposit()
    document = back(console, work.payload)
    assert document["config"]["archive"]["results"] is True
    assert document["notify"]["slack"] == dict.fromkeys(document["notify"]["slack"])


def test_a_command_comes_back_word_by_word(console: Console) -> None:
    command = ["python", "-c", "print('a b')", "", "--flag=ü", "$HOME; rm -rf *"]
    work = console.work(pipeline="p", command=command)
    work.deposit()
    assert back(console, work.payload)["command"] == command


# Words may not hold the character NUL; values may, which the tests of the surface try.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.none() | st.dictionaries(TEXT, VALUES, max_size=4)
WORDS = st.none() | st.lists(TEXT, max_size=3)
WORKS = st.fixed_dictionaries(
    {"user": TEXT, "parameters": OBJECTS, "results": OBJECTS, "tags": WORDS, "products": WORDS},
    optional={
        "plots": WORDS,
        "event": st.none() | st.lists(st.integers(-(2**63), 2**64), max_size=3),
        "creation": st.floats(0, 2**33),
        "timeout": st.integers(1, 259_200),
        "retries": st.integers(1, 5),
        "priority": st.integers(1, 5),
        "function": st.none() | TEXT,
        "config": st.fixed_dictionaries({"parent": st.none() | TEXT, "metrics": st.booleans()}),
    },
)


def test_whatever_the_model_accepts_comes_back_unchanged(console: Console) -> None:
    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(WORKS)
    def comes_back(fields: dict[str, Any]) -> None:
        work = console.work(pipeline="p", **fields)
        work.deposit()
        document = back(console, work.payload)
        # What a worker sends back is the whole document: it must not change on that way either.
        console.buckets.update([{**document, "status": "success"}])
        viewed = console.look(document["id"])
        assert exact({**viewed, "status": "running"}) == exact(document)

    comes_back()


def test_results_of_some_megabytes_come_back(console: Console) -> None:
    console.deposit("p")
    work = console.withdraw("p")
    assert work is not None
    results = {"spectrum": [number / 7 for number in range(200_000)]}
    assert work.set(results=results, status="success").update() is True
    assert console.look(work["id"])["results"] == results


def test_a_work_lives_from_deposit_to_deletion(console: Console) -> None:
    (work_id,) = console.work(pipeline="p", parameters={"dm": 1.5}).deposit(return_ids=True)
    work = console.withdraw("p", site="local")
    assert work is not None
    assert work["id"] == work_id
    work.set(status="success", results={"snr": 1.0}, products=["/a"], stop=work["start"] + 2)
    assert work.update() is True
    assert console.look(work_id)["results"] == {"snr": 1.0}
    assert work.delete() is True
    assert console.buckets.view({"id": work_id}, {}) == []


@pytest.mark.parametrize(
    "change",
    [{"creation": 2.5}, {"attempt": 2}, {"attempt": 5, "retries": 5}, {"attempt": 0}],
    ids=str,
)
def test_the_holder_may_rewrite_when_its_work_was_made_and_how_often_it_ran(
    console: Console, change: dict[str, Any]
) -> None:
    console.deposit("p")
    work = console.withdraw("p")
    assert work is not None
    assert work.set(**change, status="failure").update() is True
    viewed = console.look(work["id"])
    assert {name: viewed[name] for name in change} == change
    assert viewed["status"] == "failure"


def test_a_work_whose_tries_were_used_up_by_its_holder_is_not_tried_again(
    console: Console,
) -> None:
    console.deposit("p", retries=3)
    work = console.withdraw("p")
    assert work is not None
    assert work.set(status="failure", attempt=work["retries"]).update() is True
    assert console.buckets.audit()["failed"] == 0
    assert console.look(work["id"])["status"] == "failure"


def test_an_end_with_a_start_that_the_server_never_gave_is_not_taken(console: Console) -> None:
    console.deposit("p")
    work = console.withdraw("p")
    assert work is not None
    assert work.set(start=1.5, status="success").update() is not True
    assert console.look(work["id"])["status"] == "running"


def test_a_running_work_that_began_long_ago_by_its_holders_word_expires(
    console: Console,
) -> None:
    console.deposit("p")
    work = console.withdraw("p")
    assert work is not None
    assert work.set(start=work["start"] - 7200).update() is True
    # The server's own janitor may have been first.
    assert console.buckets.audit()["expired"] in (0, 1)
    assert console.look(work["id"])["status"] == "failure"


@pytest.mark.parametrize(
    "fields",
    [
        {"pipeline": "under_score"},
        {"pipeline": "p", "site": "nowhere"},
        {"pipeline": "p", "retries": 6},
        {"pipeline": "p", "priority": 0},
        {"pipeline": "p", "status": "cancelled"},
        {"pipeline": "p", "function": "f.g", "command": ["c"]},
    ],
    ids=str,
)
def test_what_the_model_refuses_never_reaches_the_server(
    console: Console, fields: dict[str, Any]
) -> None:
    with pytest.raises(CallFailed) as refused:
        console.work(**fields)
    assert refused.value.type == "ValidationError"
    assert console.buckets.pipelines() == []


def test_the_environment_fills_in_what_a_work_leaves_out(
    workspace: Workspace, tmp_path: Path
) -> None:
    variables = {"WORKFLOW_PRIORITY": "5", "WORKFLOW_TAGS": '["from-environment"]'}
    with Console(workspace, tmp_path / "log", **variables) as console:
        work_id = console.deposit("p")
        document = console.look(work_id)
        assert (document["priority"], document["tags"]) == (5, ["from-environment"])


def test_a_program_of_a_user_runs(workspace: Workspace) -> None:
    done = run_program(workspace, "workflow_dispersion.py")
    assert done.returncode == 0, done.stderr
    # The client logs to the same output.
    assert [line for line in done.stdout.splitlines() if "chimefrb" not in line] == [
        "deposited 6 works",
        "withdrew dm 100 of priority 5",
        "5 works are queued",
        "success {'dm': 100, 'snr': 10.0}",
        "audit {'failed': 0, 'expired': 0, 'stale': 0}",
        "deleted True",
        "0 works are left",
    ]
