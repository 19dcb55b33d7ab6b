"""Workflows: finished, running in parallel, failed, held, waiting for a host, and scheduled."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from longshore.cli.demo.filling import people
from longshore.cli.demo.filling.reaching import Made, Reach, path_of
from longshore.cli.demo.names import (
    DEMO_EVENT,
    DEMO_HOST,
    DEMO_HOST_IDLE,
    DEMO_HOST_OTHER,
    DEMO_MADE,
    DEMO_SECRETS,
    DEMO_WORKFLOW,
    DEMO_WORKFLOW_BROKEN,
    DEMO_WORKFLOW_CLOCK,
    DEMO_WORKFLOW_HELD,
    DEMO_WORKFLOW_LONG,
    DEMO_WORKFLOW_WAITING,
)
from longshore.clock import SystemClock, iso

_FAILS_WITH = 3


def fill(reach: Reach, made: Made, *, long_s: float) -> None:
    """Make the hosts and the workflows, and start a run of each."""
    for host in (DEMO_HOST, DEMO_HOST_OTHER, DEMO_HOST_IDLE):
        reach.scripts("PUT", f"/hosts/{path_of(host)}")
    for definition in definitions(long_s):
        # JSON is YAML, too.
        reach.scripts("POST", "/workflows", {"text": json.dumps(definition, indent=2)})
    for name, workflow, scope in DEMO_SECRETS:
        if workflow is not None:
            people.secret(reach, name, workflow, scope)
    made.workflow_runs[DEMO_WORKFLOW] = event(reach, {"north": [4, 5], "south": [], "east": [9]})
    for name in (
        DEMO_WORKFLOW_LONG,
        DEMO_WORKFLOW_BROKEN,
        DEMO_WORKFLOW_HELD,
        DEMO_WORKFLOW_WAITING,
    ):
        started = reach.scripts("POST", f"/workflows/{path_of(name)}/runs", {"payload": None})
        made.workflow_runs[name] = started["id"]


def event(reach: Reach, sales: dict[str, list[int]]) -> int:
    """Send the event that starts a run of the sales workflow; return the run's id."""
    body = {"eventName": DEMO_EVENT, "payload": {"sales": sales}, "eventSource": "demo"}
    return int(reach.scripts("POST", "/rtevent", body)["actionId"])


def definitions(long_s: float) -> list[dict[str, Any]]:
    """Return the workflows as their files would say them."""
    made = [_sales(), _long(long_s), _broken(), _held(), _waiting(), _clock()]
    return [{**each, "description": f"{each['description']} {DEMO_MADE}"} for each in made]


def _work(seconds: float, *after: str, exit_status: int = 0, **more: Any) -> dict[str, Any]:
    """Return a step that works for so long."""
    return {
        "script": "work.py",
        "arguments": [f"{seconds:g}", str(exit_status)],
        "depends_on": list(after),
        "expected_s": max(seconds, 0.1),
        **more,
    }


def _sales() -> dict[str, Any]:
    return {
        "workflow": DEMO_WORKFLOW,
        "description": "Adds up the sales of three regions and reports them.",
        "triggers": {"events": [{"name": DEMO_EVENT, "parallel": 2}]},
        "defaults": {"host": DEMO_HOST, "timeout_s": 60},
        "steps": {
            "extract": {"script": "extract.py"},
            "regions": {
                "script": "region.py",
                "depends_on": ["extract"],
                "matrix": {"region": ["north", "south", "east"]},
            },
            "report": {
                "script": "report.py",
                "depends_on": ["regions"],
                "keystore": ["longshore_demo_report_key"],
            },
        },
    }


def _long(long_s: float) -> dict[str, Any]:
    return {
        "workflow": DEMO_WORKFLOW_LONG,
        "description": "Loads, computes in parallel, and reports; takes its time.",
        "areas": ["load", "compute", "report"],
        "defaults": {"host": DEMO_HOST, "timeout_s": 7200},
        "steps": {
            "load": _work(1, area="load"),
            "prices": _work(long_s * 0.6, "load", area="compute"),
            "weather": _work(long_s, "load", area="compute"),
            "tides": _work(long_s * 0.3, "load", area="compute", host=DEMO_HOST_OTHER),
            "join": _work(2, "prices", "weather", "tides", area="report"),
            "mail": _work(1, "join", area="report"),
        },
    }


def _broken() -> dict[str, Any]:
    return {
        "workflow": DEMO_WORKFLOW_BROKEN,
        "description": "One of its steps fails.",
        "defaults": {"host": DEMO_HOST_OTHER, "timeout_s": 60},
        "steps": {
            "weigh": _work(0.2),
            "label": _work(
                0.2, "weigh", exit_status=_FAILS_WITH, exit_codes={"fatal": [_FAILS_WITH]}
            ),
            "ship": _work(0.2, "label"),
        },
    }


def _held() -> dict[str, Any]:
    return {
        "workflow": DEMO_WORKFLOW_HELD,
        "description": "A person looks before it is sent.",
        "defaults": {"host": DEMO_HOST_OTHER, "timeout_s": 60},
        "steps": {
            "write": _work(0.2),
            "send": _work(0.2, "write", status="hold"),
        },
    }


def _waiting() -> dict[str, Any]:
    return {
        "workflow": DEMO_WORKFLOW_WAITING,
        "description": "Is of a host that nobody serves.",
        "defaults": {"host": DEMO_HOST_IDLE, "timeout_s": 60},
        "steps": {"dock": _work(1), "undock": _work(1, "dock")},
    }


def _clock() -> dict[str, Any]:
    today = (iso(SystemClock().now_us()) or "")[:10]
    soon = dt.date.fromisoformat(today) + dt.timedelta(days=3)
    return {
        "workflow": DEMO_WORKFLOW_CLOCK,
        "description": "Every two minutes, and on the last working day of the month.",
        "calendar": {
            "holidays": [soon.isoformat(), f"{soon.year}-12-25", f"{soon.year + 1}-01-01"]
        },
        "triggers": {
            "schedules": [
                {"cron": "*/2 * * * *", "days": "all"},
                {
                    "cron": "30 22 * * *",
                    "time_zone": "Europe/Berlin",
                    "days": "last_working_day_of_month",
                    "business_date": "previous_working_day",
                },
            ]
        },
        "defaults": {"host": DEMO_HOST, "timeout_s": 60},
        "steps": {"tick": _work(1), "tock": _work(1, "tick")},
    }
