"""The job that seals the values of an organisation with its new data key."""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import Connection

from longshore.access import keystore_rotation
from longshore.edge.jobs import Handler, JobContext, Pass, system_queue
from longshore.engine import works
from longshore.engine.works import NewWork

RESEAL: Final = "keystore.reseal"


def begin(connection: Connection, organisation_id: str, *, actor: str) -> tuple[int, str]:
    """Give an organisation a new data key; return its number and the id of the job to come."""
    number = keystore_rotation.begin(connection, organisation_id)
    payload = json.dumps({"job": RESEAL}).encode()
    new = NewWork(system_queue(connection, organisation_id), payload)
    return number, works.submit(connection, [new], actor=actor)[0].id


async def reseal(job: JobContext, _payload: dict[str, Any]) -> dict[str, int]:
    """Seal all values anew, a few in each transaction; after a crash it goes on where it was."""
    resealed = 0
    while count := await job.database.write(keystore_rotation.reseal, job.organisation_id):
        resealed += count
    return {"rows": resealed}


HANDLERS: Final[dict[str, Handler]] = {RESEAL: reseal}
PASSES: Final[dict[str, Pass]] = {}
