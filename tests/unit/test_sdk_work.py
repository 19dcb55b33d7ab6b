"""The model of a work: the same rules as the published client's, checked whenever one is set."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Any

import pytest

import longshore
from longshore.errors import ConfigurationError, InvalidRequest, LeaseLost
from longshore.sdk import AsyncWork, Client, Work, WorkConfig, _default
from tests.unit.sdk_support import COLOURS, Script, client, close, json, settle

BASE: dict[str, Any] = {"pipeline": "p-1", "site": "local", "user": "me"}

PUBLISHED = {
    "pipeline": "p-1",
    "site": "local",
    "user": "me",
    "function": None,
    "parameters": None,
    "command": None,
    "results": None,
    "products": None,
    "plots": None,
    "tags": None,
    "event": None,
    "id": None,
    "creation": 1795198889.41,
    "start": None,
    "stop": None,
    "attempt": 0,
    "status": "created",
    "timeout": 3600,
    "retries": 2,
    "priority": 3,
    "config": {
        "archive": {"results": True, "products": "copy", "plots": "copy", "logs": "move"},
        "metrics": False,
        "parent": None,
        "orgs": ["chimefrb"],
        "teams": None,
    },
    "notify": {
        "slack": {
            "channel_id": None,
            "member_ids": None,
            "message": None,
            "results": None,
            "products": None,
            "plots": None,
            "blocks": None,
            "reply": None,
        }
    },
}


def test_the_payload_is_that_of_the_published_client_in_its_order() -> None:
    payload = Work(**BASE, creation=1795198889.41).payload
    assert json_module.dumps(payload) == json_module.dumps(PUBLISHED)


def test_the_package_gives_the_model() -> None:
    assert longshore.Work is Work
    assert longshore.AsyncWork is AsyncWork


def test_a_work_without_a_time_of_creation_is_made_now() -> None:
    first, second = Work(**BASE), Work(**BASE)
    assert first.creation is not None
    assert second.creation is not None
    assert 0 <= second.creation - first.creation < 5


ACCEPTED = [
    ("pipeline", "Ünï-٣²-7", "Ünï-٣²-7"),
    ("pipeline", "p" * 128, "p" * 128),
    ("timeout", 1, 1),
    ("timeout", 259_200, 259_200),
    ("timeout", 60.0, 60),
    ("retries", 5, 5),
    ("retries", -7, -7),
    ("priority", 1, 1),
    ("priority", 5, 5),
    ("event", [1, "9385707"], [1, 9385707]),
    ("command", ["python", "-V"], ["python", "-V"]),
    (
        "results",
        {"locked": True, "nested": [{"a": None}]},
        {"locked": True, "nested": [{"a": None}]},
    ),
    ("status", "failure", "failure"),
    ("start", 5, 5.0),
]
REFUSED = [
    ("pipeline", "under_score", "letters, digits and hyphens"),
    ("pipeline", "line\n", "letters, digits and hyphens"),
    ("pipeline", "", "length >= 1"),
    ("pipeline", "p" * 129, "length <= 128"),
    ("site", None, "Expected `str`, got `null`"),
    ("timeout", 0, ">= 1"),
    ("timeout", 259_201, "<= 259200"),
    ("timeout", 1.5, "got `float`"),
    ("retries", 6, "<= 5"),
    ("priority", 0, ">= 1"),
    ("priority", 6, "<= 5"),
    ("attempt", -1, ">= 0"),
    ("attempt", True, "got `bool`"),
    ("event", [1.5], "got `float`"),
    ("event", 5, "got `int`"),
    ("status", "cancelled", "Invalid enum value 'cancelled'"),
    ("parameters", [], "got `array`"),
    ("id", 7, "got `int`"),
    ("config", None, "got `null`"),
    ("config", {"archive": {"products": "keep"}}, "Invalid enum value 'keep'"),
    ("notify", {"slack": {"room": "C1"}}, "unknown field `room`"),
]


@pytest.mark.parametrize(("name", "value", "kept"), ACCEPTED)
def test_what_the_published_client_accepts_is_accepted(name: str, value: Any, kept: Any) -> None:
    made = Work.from_dict({**BASE, name: value})
    assert (getattr(made, name), type(getattr(made, name))) == (kept, type(kept))
    changed = Work(**BASE)
    setattr(changed, name, value)
    assert changed.payload[name] == kept


@pytest.mark.parametrize(("name", "value", "problem"), REFUSED)
def test_what_the_published_client_refuses_is_refused(name: str, value: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=name) as caught:
        Work.from_dict({**BASE, name: value})
    assert problem in caught.value.message
    work = Work(**BASE)
    before = work.payload
    with pytest.raises(InvalidRequest, match=name):
        setattr(work, name, value)
    assert work.payload == before


def test_a_work_has_a_function_or_a_command() -> None:
    with pytest.raises(InvalidRequest, match="a function and a command"):
        Work(**BASE, function="a.b", command=["ls"])
    work = Work(**BASE, function="a.b", command=[])
    with pytest.raises(InvalidRequest, match="one of the two"):
        work.command = ["ls"]
    assert work.command == []


def test_a_name_that_a_work_does_not_have_is_refused_when_it_is_set() -> None:
    work = Work(**BASE)
    with pytest.raises(AttributeError, match="no field 'outcome'"):
        work.outcome = {}
    with pytest.raises(TypeError, match="outcome"):
        Work(**BASE, outcome={})  # type: ignore[call-arg]


def test_what_a_server_adds_is_left_out() -> None:
    work = Work.from_dict({**PUBLISHED, "longshore": {"holder": "h"}, "_id": 5})
    assert work.payload == PUBLISHED
    assert Work.from_json(json_module.dumps(PUBLISHED)).payload == PUBLISHED


@pytest.mark.parametrize("text", ["{", "[]", '{"pipeline": "p-1"}', "null"])
def test_a_text_that_is_no_work_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Work.from_json(text)


def test_the_inside_of_a_field_may_be_changed_and_is_checked_when_it_is_sent() -> None:
    work = Work(**BASE, config=WorkConfig(parent="up"))
    config = work.config
    work.timeout = 60
    config.archive.results = False
    assert work.payload["config"]["archive"]["results"] is False
    assert work.payload["config"]["parent"] == "up"
    config.archive.logs = "burn"  # type: ignore[assignment]
    with pytest.raises(InvalidRequest, match=r"config\.archive\.logs"):
        _ = work.payload


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_work_is_deposited_withdrawn_reported_and_deleted(colour: Any) -> None:
    running = {**PUBLISHED, "id": "wk_1", "status": "running", "attempt": 1, "start": 5.5}
    script = Script(json(["wk_1"]), json(running), json(True), json(True))
    used = client(colour, script)
    model = Work if colour is Client else AsyncWork
    work = model(**BASE, creation=1795198889.41)
    assert await settle(work.deposit(used)) == "wk_1"
    assert (work.id, work.status) == ("wk_1", "queued")
    taken = await settle(model.withdraw("p-1", site="local", lease_s=30, client=used))
    assert isinstance(taken, model)
    assert (taken.attempt, taken.start, taken.status) == (1, 5.5, "running")
    taken.results, taken.status = {"snr": 12.5}, "success"
    assert await settle(taken.update()) is True
    assert await settle(taken.delete()) is True
    await close(used)
    sent = [json_module.loads(request.content) for request in script.requests[:3]]
    assert sent[0] == [PUBLISHED]
    assert sent[2] == [{**running, "results": {"snr": 12.5}, "status": "success"}]
    assert script.paths == [
        "POST /buckets/work?return_ids=true",
        "POST /buckets/work/withdraw?lease_s=30",
        "PUT /buckets/work",
        "DELETE /buckets/work?ids=wk_1",
    ]


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_lost_work_says_so(colour: Any) -> None:
    refused = {"id": "wk_1", "code": "lease_lost", "message": "Held by host-7.", "holder": "host-7"}
    script = Script(json({"updated": 0, "refused": [refused]}))
    used = client(colour, script)
    model = Work if colour is Client else AsyncWork
    work = model.from_dict({**PUBLISHED, "id": "wk_1", "attempt": 1, "status": "success"})
    with pytest.raises(LeaseLost, match="host-7"):
        await settle(work.update(used))
    await close(used)


@pytest.mark.parametrize("model", [Work, AsyncWork])
async def test_a_work_that_was_not_deposited_cannot_be_deleted(model: Any) -> None:
    with pytest.raises(InvalidRequest, match="not deposited"):
        await settle(model(**BASE).delete())


@pytest.mark.parametrize("model", [Work, AsyncWork])
async def test_without_a_client_the_server_is_found_as_a_client_finds_it(
    model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("URL", "KEY", "DATA"):
        monkeypatch.delenv(f"LONGSHORE_{name}", raising=False)
    with pytest.raises(ConfigurationError, match="longshore up"):
        await settle(model(**BASE).deposit())


def test_the_default_client_is_kept_for_the_next_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LONGSHORE_KEY", "ls_a_b")
    with _default.client_or_default(None) as first, _default.client_or_default(None) as second:
        assert first is second
    monkeypatch.setenv("LONGSHORE_KEY", "ls_c_d")
    with _default.client_or_default(None) as third:
        assert third is not first
    first.close()
    third.close()
    _default._clients.clear()
