"""How the hot statements of pipelines reach their rows: never by walking a whole pipeline."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection, text

from longshore.surfaces.pipelines import buffers, pushing
from tests.storage.test_plans import caught, explain
from tests.surfaces.pipelines_rig import Pipelines, chunk

CHUNKS = 2_000
WAITING = 50


async def _filled(pipelines: Pipelines) -> str:
    batch = await pipelines.create()
    await pipelines.push(batch, *[chunk(f"c{number}", []) for number in range(CHUNKS)])
    await pipelines.work()
    await pipelines.push(batch, *[chunk(f"d{number}", []) for number in range(WAITING)])
    pipelines.run(lambda connection: connection.execute(text("ANALYZE")) and None)
    return batch


def _plans(pipelines: Pipelines, service: Any) -> list[str]:
    def trial(connection: Connection) -> list[str]:
        with caught(connection, "pipeline_chunks") as statements:
            savepoint = connection.begin_nested()
            service(connection)
            savepoint.rollback()
        return [explain(connection, *statement) for statement in statements]

    found = pipelines.run(trial)
    assert found, "it has sent a statement"
    return list(found)


async def test_a_push_looks_for_its_own_chunks_only(pipelines: Pipelines) -> None:
    batch = await _filled(pipelines)
    organisation_id = pipelines.served.organisation.id
    new = [
        pushing.Chunk(secrets.token_hex(8), "digest", 0, False, b'{"inputs":[]}') for _ in range(20)
    ]

    def push(connection: Connection) -> None:
        pushing.push(connection, organisation_id, batch, new, actor="ky_test")

    looked = _plans(pipelines, push)[0]
    if pipelines.database.dialect == "sqlite":
        assert "(pipeline_id=? AND chunk_id=?)" in looked
    else:
        assert "uq_pipeline_chunks" in looked


async def test_the_input_buffer_is_read_from_its_index(pipelines: Pipelines) -> None:
    batch = await _filled(pipelines)
    (plan,) = _plans(pipelines, lambda connection: buffers.input_used_bytes(connection, batch))
    assert "ix_pipeline_chunks_pending" in plan
