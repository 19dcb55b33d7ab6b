"""What the first of two organisations has of workflows: runs, a step that runs, flags, secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.acceptance.api import Holder, User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server
from tests.acceptance.scripts import API, Dispatcher, program

ENTRIES = "/longshore/v1/keystore/entries"
DATE = "2026-11-20"
FORGED = "workflow: forged\nsteps: {one: {command: ['true'], host: own}}\n"
WHY = {"reason": "because"}
BODIES: dict[str, Any] = {
    # What a path ends with -> a body that would do something, had the one who sends it a right to.
    "/workflows/{name}/simulate": {"throttles": [1]},
    "/runs/{run_id}/simulate": {"throttles": [1]},
    "/order": {"path": "global"},
    "/hold": WHY,
    "/resume": WHY,
    "/skip": WHY,
    "/force-ok": WHY,
    "/cancel": WHY,
    "/runs/{run_id}/rerun": {"mode": "whole"},
    "/steps/{name}/rerun": WHY,
    "/retire": WHY,
    "/workflows/{name}/runs": {"payload": "forged"},
    "/diff": {"text": FORGED},
    "/backfill": {"first": DATE, "last": DATE},
    "/throttle": {"throttle": 1},
    "/keystore/entries/{name}": {"value": "forged"},
}


@dataclass
class Scripts:
    """The owner's side of workflows that a stranger must not reach.

    Attributes:
        holder: the worker of the host, which runs a step, `held`.
        code: a code for that step which nobody has used yet.
        spent: what the program of the run before was given, which is over.
    """

    holder: Holder
    held: dict[str, Any]
    code: str
    spent: str


def fill_scripts(
    harbour: Harbour, server: Server, owner: User, ids: dict[str, str], secret: str
) -> Scripts:
    """Let the owner have a workflow, a run that is over, one that runs, and all that they need."""
    names = ("workflow", "step", "area", "host", "event", "flag", "guard")
    ids |= {name: f"{secret}-{name}" for name in names}
    ids |= {"entry": f"{secret}-entry", "payload_path": secret, "payload_value": f"{secret}-value"}
    user = Dispatcher(server)
    harbour.clients.append(user)
    holder = harbour.holder(server, host=ids["host"], name=f"{secret}-hands")
    user.secret(ids["entry"], secret, ingress=True, description=secret)
    user.apply(_definition(ids, secret))
    flag = {"name": ids["flag"], "systemName": secret, "sourceSystemName": secret, "date": DATE}
    user.post(f"{API}/flag", flag)
    first = user.event(ids["event"], {"secret": secret}, key=secret)
    held = _claimed(holder, first)
    step = program(server, held["payload"]["code"])
    harbour.clients.append(step)
    stored = {ids["payload_path"]: ids["payload_value"]}
    body = {"actionId": first, "stepname": ids["step"], "payload": stored}
    step.ask("POST", f"{API}/rtstep/payload", json=body)
    for verb, said in (("once", {}), ("once/done", {"result": secret})):
        step.ask("POST", f"{API}/rtstep/{verb}", json={"key": ids["guard"], **said})
    assert holder.report(held, "success", result={"exit_code": 0}) == []
    user.finish(first)
    second = user.event(ids["event"], {"secret": secret})
    running = _claimed(holder, second)
    ids |= {"script_run": str(first), "open_script_run": str(second)}
    ids |= {"step_work": running["work_id"], "script_group": user.view(second)["group_id"]}
    spent = step.http.headers["authorization"].removeprefix("Bearer ")
    return Scripts(holder, running, str(running["payload"]["code"]), spent)


def _definition(ids: dict[str, str], secret: str) -> dict[str, Any]:
    return {
        "workflow": ids["workflow"],
        "description": secret,
        "triggers": {
            "events": [{"name": ids["event"], "parallel": 1}],
            "schedules": [{"cron": "0 0 1 1 *"}],
        },
        "steps": {
            ids["step"]: {
                "command": ["true", secret],
                "host": ids["host"],
                "area": ids["area"],
                "keystore": [ids["entry"]],
                "environment": {"SECRET": secret},
            }
        },
    }


def _claimed(holder: Holder, run_id: int) -> dict[str, Any]:
    (held,) = holder.claim(wait_s=5.0)
    assert held["payload"]["run_id"] == run_id, held
    return held


def look_at_scripts(owner: User, ids: dict[str, str]) -> dict[str, Any]:
    """Return what the owner sees of them, without what is another at each look."""
    workflow, step = ids["workflow"], quote(ids["step"], safe="")
    paths = [
        "/workflows",
        *(f"/workflows/{workflow}{more}" for more in ("", "/versions", "/schedules")),
        "/runs",
        "/flag",
        "/rtevent/list",
        f"/rtevent/{ids['script_run']}",
        f"/rtevent/status/{ids['script_run']}",
        f"/rtstep/payload/{ids['script_run']}/{step}",
        f"/rtstep/payload/actionid/{ids['payload_path']}/{ids['payload_value']}",
        *(
            f"/runs/{ids[run]}{more}"
            for run in ("script_run", "open_script_run")
            for more in ("", "/steps", f"/steps/{step}", "/logs")
        ),
        f"/keystore/{ids['entry']}",
    ]
    found = {path: owner.get(f"{API}{path}") for path in paths}
    (host,) = owner.get(f"{API}/hosts")
    # Workers count while they are heard of.
    found["host"] = {name: host[name] for name in ("name", "throttle", "running", "queued", "held")}
    found["entries"] = owner.get(ENTRIES)
    events = owner.get(f"/longshore/v1/works/{ids['step_work']}/events")
    return found | {"step": events}
