"""Which elements a process is over, and the activities of its worker runs.

An activity is one work of the engine for each element and `run_key`: the version of a worker with
its model and configuration. It is made once; later processes over the same element find it as it
is, and take it over unless it is processed or somebody works on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    Select,
    Text,
    UpdateBase,
    bindparam,
    delete,
    func,
    literal,
    select,
    update,
)

from longshore import ids, limits
from longshore.engine import queues, works
from longshore.engine.states import State
from longshore.engine.tables import works as works_table
from longshore.engine.works import NewWork
from longshore.errors import TooLarge
from longshore.storage.bulk import given_parameters, given_rows, insert_rows
from longshore.surfaces.corpus.processes import Process
from longshore.surfaces.corpus.tables import (
    corpus_activities,
    corpus_elements,
    corpus_paths,
    corpus_process_elements,
    corpus_types,
    corpus_worker_runs,
)
from longshore.surfaces.corpus.worker_runs import Run

T = TypeVar("T")

SURFACE: Final = "activities"
"""Surface of the queues of activities; no `longshore worker` claims from them."""
PIECE: Final = 5_000
_ACTIVITY_COLUMNS: Final = ("work_id", "element_id")


def gather(connection: Connection, process: Process) -> int:
    """Write down which elements a process is over, in their order; return how many.

    Raises:
        TooLarge: these are more than a process may have.
    """
    table = corpus_process_elements
    connection.execute(delete(table).where(table.c.process_id == process.id))
    if process.selection.ids is not None:
        _gather_given(connection, process, process.selection.ids)
    else:
        place = func.row_number().over(order_by=corpus_elements.c.id) - 1
        chosen = _chosen(process, literal(process.id), place, corpus_elements.c.id)
        connection.execute(table.insert().from_select(list(table.c.keys()), chosen))
    count = connection.scalar(
        select(func.count()).select_from(table).where(table.c.process_id == process.id)
    )
    if (count or 0) > limits.PROCESS_ELEMENTS:
        raise TooLarge(
            f"These are {count} elements, and a process takes {limits.PROCESS_ELEMENTS}. Choose "
            "them by an element that they are below (parent), in several processes."
        )
    return count or 0


def ensure_queue(connection: Connection, process: Process, run: Run) -> int:
    """Return the queue of a run's activities, making it if it is not there."""
    if run.queue_id is not None:
        return run.queue_id
    queue_id = queues.ensure(
        connection,
        organisation_id=process.organisation_id,
        surface=SURFACE,
        name=run.id,
        attempts_max=limits.ACTIVITY_ATTEMPTS,
        timeout_s=process.activity_timeout_s,
    )
    chosen = corpus_worker_runs.c.id == run.id
    connection.execute(update(corpus_worker_runs).where(chosen).values(queue_id=queue_id))
    return queue_id


def enlist(connection: Connection, process: Process, run: Run, *, actor: str) -> None:
    """Queue an activity of a run for each element of its process that is not processed yet."""
    queue_id = ensure_queue(connection, process, run)
    take_over(connection, run, queue_id, unfinished(connection, process, run), actor=actor)
    given = {"process": process.id, "run_key": run.run_key}
    fresh = list(connection.execute(_without(), given).scalars())
    same = {"run_key": run.run_key, "worker_run_id": run.id, "process_id": process.id}
    for piece in pieces(fresh):
        made = [(ids.new(ids.WORK), element_id) for element_id in piece]
        works.submit(
            connection,
            [NewWork(queue_id, None, id=work_id, group_id=run.id) for work_id, _ in made],
            actor=actor,
        )
        insert_rows(connection, corpus_activities, _ACTIVITY_COLUMNS, made, same=same)


def unfinished(connection: Connection, process: Process, run: Run) -> Sequence[Row[Any]]:
    """Return the activities for a process and run that are neither processed nor held.

    Rows of `work_id`, `position` (of the element in the process), `state`, `retry_us`, `queue_id`.
    """
    given = {"process": process.id, "run_key": run.run_key}
    return connection.execute(_with(), given).all()


def take_over(
    connection: Connection, run: Run, queue_id: int, rows: Sequence[Any], *, actor: str
) -> None:
    """Make activities those of a run, and queue them where they ended in an error or by a stop.

    Args:
        connection: of the transaction.
        run: the run.
        queue_id: its queue.
        rows: with `work_id`, `state`, `retry_us` and `queue_id`; those that are held by now are
            left alone.
        actor: who does it, for the history of the activities.
    """
    elsewhere = [row.work_id for row in rows if row.queue_id != queue_id]
    for piece in pieces(elsewhere):
        works.move(connection, piece, queue_id=queue_id, group_id=run.id)
        connection.execute(
            _owning(connection.dialect.name),
            {
                "run": run.id,
                "process": run.process_id,
                "queue": queue_id,
                **given_parameters(connection.dialect.name, [(each,) for each in piece], 1),
            },
        )
    why = f"{run.summary} was started for it"
    ended = (State.FAILURE.value, State.CANCELLED.value)
    over = [row.work_id for row in rows if row.state in ended and row.retry_us is None]
    for piece in pieces(over):
        works.reopen(connection, piece, actor=actor, why=why)
    lost = [row.work_id for row in rows if row.retry_us is not None]
    for piece in pieces(lost):
        works.retry_given(connection, piece, actor=actor)


def pieces(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut what may be long into pieces that one statement takes."""
    return (rows[start : start + PIECE] for start in range(0, len(rows), PIECE))


def _gather_given(connection: Connection, process: Process, given: Sequence[str]) -> None:
    dialect = connection.dialect.name
    rows = given_rows(dialect, id=Text)
    query = _chosen(process, corpus_elements.c.id).join(rows, rows.c.id == corpus_elements.c.id)
    parameters = given_parameters(dialect, [(each,) for each in given], 1)
    left = set(connection.execute(query, parameters).scalars())
    chosen = [each for each in given if each in left]
    insert_rows(
        connection,
        corpus_process_elements,
        ("position", "element_id"),
        list(enumerate(chosen)),
        same={"process_id": process.id},
    )


def _chosen(process: Process, *columns: Any) -> Select[Any]:
    query = select(*columns).where(corpus_elements.c.corpus_id == process.corpus_id)
    if process.selection.type is not None:
        types = select(corpus_types.c.id).where(
            corpus_types.c.corpus_id == process.corpus_id,
            corpus_types.c.slug == process.selection.type,
        )
        query = query.where(corpus_elements.c.type_id == types.scalar_subquery())
    if process.selection.parent is not None:
        below = (
            select(corpus_paths.c.child_id.label("id"))
            .where(corpus_paths.c.parent_id == process.selection.parent)
            .cte("below", recursive=True)
        )
        # UNION, not UNION ALL: an element may be reached by several paths.
        below = below.union(
            select(corpus_paths.c.child_id).where(corpus_paths.c.parent_id == below.c.id)
        )
        query = query.where(corpus_elements.c.id.in_(select(below.c.id)))
    return query


@cache
def _without() -> Select[Any]:
    """Return the query for the elements of a process that have no activity of this key."""
    known = (
        select(corpus_activities.c.work_id)
        .where(
            corpus_activities.c.element_id == corpus_process_elements.c.element_id,
            corpus_activities.c.run_key == bindparam("run_key", type_=Text),
        )
        .exists()
    )
    return (
        select(corpus_process_elements.c.element_id)
        .where(corpus_process_elements.c.process_id == bindparam("process", type_=Text), ~known)
        .order_by(corpus_process_elements.c.position)
    )


@cache
def _with() -> Select[Any]:
    return (
        select(
            corpus_activities.c.work_id,
            corpus_process_elements.c.position,
            works_table.c.state,
            works_table.c.retry_us,
            works_table.c.queue_id,
        )
        .select_from(corpus_process_elements)
        .join(
            corpus_activities,
            (corpus_activities.c.element_id == corpus_process_elements.c.element_id)
            & (corpus_activities.c.run_key == bindparam("run_key", type_=Text)),
        )
        .join(works_table, works_table.c.id == corpus_activities.c.work_id)
        .where(
            corpus_process_elements.c.process_id == bindparam("process", type_=Text),
            # Written so that no index of states is walked for them.
            works_table.c.state.concat("").not_in([State.SUCCESS.value, State.RUNNING.value]),
        )
        .order_by(corpus_process_elements.c.position)
    )


@cache
def _owning(dialect: str) -> UpdateBase:
    given = given_rows(dialect, id=Text)
    # What somebody has claimed in this very moment was not moved.
    moved = select(works_table.c.id).where(
        works_table.c.id == given.c.id,
        works_table.c.queue_id == bindparam("queue", type_=BigInteger),
    )
    return (
        update(corpus_activities)
        .where(corpus_activities.c.work_id.in_(moved))
        .values(
            worker_run_id=bindparam("run", type_=Text), process_id=bindparam("process", type_=Text)
        )
    )
