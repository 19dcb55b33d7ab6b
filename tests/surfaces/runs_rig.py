"""Runs of workflows for tests: made from their definitions, worked on by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, insert

from longshore import ids
from longshore.storage import now_us
from longshore.surfaces.scripts import starting
from longshore.surfaces.scripts.definition.model import Workflow
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_event_names,
    scripts_versions,
    scripts_workflows,
)
from tests.surfaces.scripts_rig import Held, Scripts

DATE = "2026-03-04"


@dataclass
class Runs:
    """Workflows of the rig's organisation, without the file that they would come from."""

    scripts: Scripts

    def define(self, name: str, steps: Mapping[str, Any], **more: Any) -> str:
        """Store a workflow whose steps run on host1 unless they say another; return its id."""
        document = {
            "workflow": name,
            "steps": {
                step: {"host": "host1", "command": ["true"], **told} for step, told in steps.items()
            },
            **more,
        }
        organisation_id = self.scripts.served.organisation.id
        return self.scripts.database.write_blocking(_store, organisation_id, document)

    def start(self, workflow_id: str, **more: Any) -> int:
        """Start a run of a workflow; return its id."""
        given: dict[str, Any] = {
            "trigger": "manual",
            "started_by": "a test",
            "payload": None,
            "business_date": DATE,
            "actor": "test",
        }
        return self.scripts.database.write_blocking(
            starting.start, self.scripts.served.organisation.id, workflow_id, **{**given, **more}
        )

    async def run(self, run_id: int) -> dict[str, Any]:
        """Return a run as it is told."""
        told: dict[str, Any] = await self.scripts.call("GET", f"/runs/{run_id}")
        return told

    async def states(self, run_id: int) -> dict[str, str]:
        """Return what the dashboard says of each step of a run."""
        told = await self.scripts.call("GET", f"/runs/{run_id}/steps")
        return {step["name"]: step["status"] for step in told["steps"]}

    async def work(
        self, *names: str, host: str = "host1", outcome: str = "success", exit_code: int | None = 0
    ) -> list[Held]:
        """Claim what is ready on a host, which must be just these steps, and report them all."""
        held = await self.scripts.claim(host)
        assert sorted(each.payload.step for each in held) == sorted(names)
        for each in held:
            lost = await self.scripts.report(host, each, outcome=outcome, exit_code=exit_code)
            assert lost == []
        return held


def _store(connection: Connection, organisation_id: str, document: dict[str, Any]) -> str:
    workflow = msgspec.convert(document, Workflow)
    workflow_id = ids.new("wf")
    at_us = now_us(connection)
    body = msgspec.json.encode(workflow).decode()
    connection.execute(
        insert(scripts_workflows).values(
            id=workflow_id,
            organisation_id=organisation_id,
            name=workflow.workflow,
            folded=fold(workflow.workflow),
            version=1,
            created_us=at_us,
        )
    )
    connection.execute(
        insert(scripts_versions).values(
            workflow_id=workflow_id,
            version=1,
            text=body,
            document=body,
            sha256=hashlib.sha256(body.encode()).hexdigest(),
            created_us=at_us,
            created_by="test",
        )
    )
    for event in workflow.triggers.events:
        connection.execute(
            insert(scripts_event_names).values(
                organisation_id=organisation_id,
                folded=fold(event.name),
                name=event.name,
                workflow_id=workflow_id,
                parallel=event.parallel,
                priority=event.priority,
                stop_on_error=event.stop_on_error,
            )
        )
    return workflow_id
