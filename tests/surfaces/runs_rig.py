"""Runs of workflows for tests: made from their definitions, worked on by hand."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, update

from longshore import ids
from longshore.clock import ManualClock
from longshore.engine import janitor
from longshore.server.lifespan import Passes
from longshore.storage import Database, now_us
from longshore.surfaces.scripts import starting
from longshore.surfaces.scripts.definition.model import Workflow
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_event_names,
    scripts_versions,
    scripts_workflows,
)
from tests.surfaces.scripts_rig import Held, Scripts, scripts_of

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

    def define_again(self, workflow_id: str, name: str, steps: Mapping[str, Any]) -> None:
        """Store a second version of a workflow."""
        document = {
            "workflow": name,
            "steps": {
                each: {"host": "host1", "command": ["true"], **told} for each, told in steps.items()
            },
        }
        self.scripts.database.write_blocking(_add_version, workflow_id, 2, document)

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

    async def put(self, held: Held, payload: Any) -> None:
        """Store the payload of a claimed step, as its script would."""
        await self.scripts.call(
            "POST",
            "/rtstep/payload",
            body={
                "actionId": held.payload.run_id,
                "stepname": held.payload.step,
                "payload": payload,
            },
            headers=await self.scripts.token(held),
        )

    async def operate(
        self, run_id: int, what: str, step: str | None = None, *, expect: int = 200, **body: Any
    ) -> Any:
        """Operate a run, or a step of it, for the reason of this test."""
        of_step = "" if step is None else f"/steps/{step}"
        return await self.scripts.call(
            "POST",
            f"/runs/{run_id}{of_step}/{what}",
            expect=expect,
            body={"reason": "a test", **body},
        )

    async def rerun(self, run_id: int, mode: str, step: str | None = None) -> list[str]:
        """Run steps of a run again; return which."""
        told = await self.scripts.call(
            "POST", f"/runs/{run_id}/rerun", body={"mode": mode, "step": step}
        )
        names: list[str] = told["again"]
        return names

    def tidy(self, after_s: float = 0.0) -> None:
        """Let time pass, and do what the janitor does then."""
        self.scripts.clock.advance(after_s)
        self.scripts.database.write_blocking(janitor.tidy)

    async def look(self) -> None:
        """Do what a server does every two seconds."""
        passes = Passes(self.scripts.served.app)
        await passes.notify()
        await passes.look_after_workflows()

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


@asynccontextmanager
async def runs_of(database: Database, directory: Path, clock: ManualClock) -> AsyncIterator[Runs]:
    """Serve workflows with a worker on host1 and one on host2."""
    async with scripts_of(database, directory, clock) as scripts:
        await scripts.serve("host1", "host2")
        yield Runs(scripts)


def _store(connection: Connection, organisation_id: str, document: dict[str, Any]) -> str:
    workflow = msgspec.convert(document, Workflow)
    workflow_id = ids.new("wf")
    at_us = now_us(connection)
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
    _add_version(connection, workflow_id, 1, document)
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


def _add_version(
    connection: Connection, workflow_id: str, version: int, document: dict[str, Any]
) -> None:
    body = msgspec.json.encode(msgspec.convert(document, Workflow)).decode()
    connection.execute(
        insert(scripts_versions).values(
            workflow_id=workflow_id,
            version=version,
            text=body,
            document=body,
            sha256=hashlib.sha256(body.encode()).hexdigest(),
            created_us=now_us(connection),
            created_by="test",
        )
    )
    connection.execute(
        update(scripts_workflows)
        .where(scripts_workflows.c.id == workflow_id)
        .values(version=version)
    )
