"""The stamp of a result: the worker run that found it, and with it the version of the worker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Column, Connection, Select, select

from longshore.surfaces.corpus.scope import BY_HAND, refusal, uuid_of
from longshore.surfaces.corpus.tables import corpus_worker_runs

_NO_WORDS: Final = frozenset({"false", "0"})


def shown(connection: Connection, run_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what is shown of the origin of results, by the `worker_run_id` of their rows."""
    wanted = set(run_ids) - {BY_HAND}
    found = connection.execute(
        select(
            corpus_worker_runs.c.id,
            corpus_worker_runs.c.summary,
            corpus_worker_runs.c.worker_version_id,
        ).where(corpus_worker_runs.c.id.in_(wanted))
    ).all()
    by_hand: dict[str, Any] = {
        "worker_run_id": None,
        "worker_run": None,
        "worker_version_id": None,
    }
    # Results outlive the process that made them; what is known of a run that is gone is its id.
    made = {
        each: {**by_hand, "worker_run_id": each, "worker_run": {"id": each, "summary": None}}
        for each in wanted
    }
    for row in found:
        made[row.id] = {
            "worker_run_id": row.id,
            "worker_run": {"id": row.id, "summary": row.summary},
            "worker_version_id": row.worker_version_id,
        }
    return {BY_HAND: by_hand, **made}


def narrowed(
    query: Select[Any], run: Column[Any], worker_run: str | None, worker_version: str | None
) -> Select[Any]:
    """Return a query of results, only those of a worker run and of a version where these are given.

    Args:
        query: what is asked for.
        run: its column `worker_run_id`.
        worker_run: an id, or "False" for what people made, as the query string has it.
        worker_version: the same for the version of a worker.

    Raises:
        InvalidRequest: one of them is neither.
    """
    if worker_run is not None:
        query = query.where(run == _wanted(worker_run, "worker_run"))
    if worker_version is None:
        return query
    version_id = _wanted(worker_version, "worker_version")
    if version_id == BY_HAND:
        return query.where(run == BY_HAND)
    runs = select(corpus_worker_runs.c.id).where(
        corpus_worker_runs.c.worker_version_id == version_id
    )
    return query.where(run.in_(runs))


def _wanted(text: str, name: str) -> str:
    if text.lower() in _NO_WORDS:
        return BY_HAND
    found = uuid_of(text)
    if found is None:
        raise refusal(
            f"{name} is {text[:80]!r}. Give an id, or False for what was made by hand.", name
        )
    return found
