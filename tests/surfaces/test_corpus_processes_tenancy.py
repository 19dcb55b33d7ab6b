"""Processes of another organisation: no route tells of them or touches them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.surfaces.processes_rig import UNKNOWN, Processes, ponos
from tests.unit.serving import bearer

ROUTES = (
    ("GET", "/process/{process}/"),
    ("DELETE", "/process/{process}/"),
    ("POST", "/process/{process}/start/"),
    ("POST", "/process/{process}/stop/"),
    ("POST", "/process/{process}/retry/"),
    ("GET", "/process/{process}/elements/"),
    ("GET", "/process/{process}/sets/"),
    ("GET", "/process/{process}/activities/"),
    ("GET", "/process/workers/{run}/"),
    ("GET", "/workers/runs/{run}/configuration/"),
    ("PUT", "/workers/versions/{run}/activity/"),
    ("GET", "/task/{task}/"),
    ("GET", "/workers/{worker}/"),
    ("GET", "/workers/{worker}/versions/"),
    ("GET", "/workers/{worker}/configurations/"),
    ("POST", "/workers/{worker}/configurations/"),
    ("GET", "/workers/versions/{version}/"),
)
BODY = {"element_id": UNKNOWN, "state": "started", "configuration": {"a": 1}}


async def _ids(processes: Processes) -> dict[str, str]:
    page = processes.pages("p1")[0]
    made = await processes.start()
    run = made["workers"][0]
    return {
        "page": page,
        "process": made["id"],
        "run": run["id"],
        "task": made["tasks"][0]["id"],
        "version": run["worker_version"]["id"],
        "worker": run["worker_version"]["worker"]["id"],
    }


@pytest.mark.parametrize(("method", "route"), ROUTES)
async def test_an_id_of_another_organisation_is_one_that_does_not_exist(
    processes: Processes, method: str, route: str
) -> None:
    theirs = await _ids(processes)
    _, stranger = processes.corpora.served.other_organisation()
    body = BODY if method in ("POST", "PUT") else None
    answers = []
    for known in (theirs, dict.fromkeys(theirs, UNKNOWN), dict.fromkeys(theirs, "nonsense")):
        answer = await processes.call(
            method, route.format(**known), body=body, headers=bearer(stranger), expect=404
        )
        words = answer["detail"]
        for each in known.values():
            words = words.replace(each, "ID")
        answers.append(words)
    assert len(set(answers)) == 1, answers
    assert (await processes.call("GET", f"/process/{theirs['process']}/"))["state"] == "pending"


@pytest.mark.parametrize(
    "fields",
    [
        {"corpus": "{corpus}", "element_type": "page"},
        {"elements": ["{page}"]},
        {"parent": "{page}"},
        {"element_type": "page", "workers": [{"worker": "{worker}"}]},
        {"element_type": "page", "workers": [{"worker": "writer", "version": "{version}"}]},
        {
            "element_type": "page",
            "workers": [{"worker": "writer", "configuration": "{configuration}"}],
        },
    ],
)
async def test_a_process_cannot_be_made_of_what_another_organisation_has(
    processes: Processes, fields: dict[str, Any]
) -> None:
    theirs = {**await _ids(processes), "corpus": processes.corpus}
    stored = await processes.call(
        "POST",
        f"/workers/{theirs['worker']}/configurations/",
        body={"configuration": {"a": 1}},
        expect=201,
    )
    theirs["configuration"] = stored["id"]
    other, stranger = processes.corpora.served.other_organisation()
    own = processes.corpora.corpus("own", organisation_id=other.id)
    headers = bearer(stranger)
    offer = {"slug": "writer", "version": "1"}
    await processes.call("POST", "/workers/", body=offer, headers=headers, expect=201)
    body = {"corpus": own, "workers": [{"worker": "writer"}], **_filled(fields, theirs)}
    await processes.call("POST", "/process/", body=body, headers=headers, expect=400)
    listed = await processes.call("GET", "/process/", headers=headers)
    assert listed["count"] == 0


async def test_listings_hold_what_the_organisation_has_only(processes: Processes) -> None:
    theirs = await _ids(processes)
    _, stranger = processes.corpora.served.other_organisation()
    for route in ("/process/", "/workers/", f"/process/?corpus={processes.corpus}"):
        listed = await processes.call("GET", route, headers=bearer(stranger))
        assert (listed["count"], listed["results"]) == (0, [])
    for verb, body in (
        ("claim", {"worker_run_id": theirs["run"]}),
        ("renew", {"worker_run_id": theirs["run"], "held": [[theirs["page"], 1]]}),
        ("report", {"worker_run_id": theirs["run"], "reports": []}),
    ):
        await processes.native(verb, body, token=stranger, expect=404)


async def test_the_program_of_a_task_makes_and_stops_no_processes(processes: Processes) -> None:
    theirs = await _ids(processes)
    headers = ponos((await processes.claim())[0]["payload"]["token"])
    body = {"corpus": processes.corpus, "workers": [{"worker": "reader"}], "element_type": "page"}
    await processes.call("POST", "/process/", body=body, headers=headers, expect=403)
    for verb in ("start", "stop", "retry"):
        path = f"/process/{theirs['process']}/{verb}/"
        await processes.call("POST", path, headers=headers, expect=403)
    await processes.call("DELETE", f"/process/{theirs['process']}/", headers=headers, expect=403)
    offer = {"slug": "writer", "version": "1"}
    await processes.call("POST", "/workers/", body=offer, headers=headers, expect=403)


def _filled(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, known) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, known) for each in value]
    return value.format(**known) if isinstance(value, str) else value
