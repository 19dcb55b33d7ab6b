"""What two servers on one PostgreSQL may do to each other between a read and a write.

Each test holds one transaction open at the worst moment, lets the other run into it, and says
what must have become of both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, text

from longshore.engine import janitor, works
from longshore.engine.works import NewWork, Outcome
from longshore.errors import Conflict
from tests.storage.driving import LEASE_S, Engine
from tests.storage.waiting import until

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
T = TypeVar("T")


@contextmanager
def uncommitted(
    engine: Engine, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Iterator[Any]:
    """Do something in a transaction that is committed when the block ends."""
    go_on = threading.Event()
    done: Future[Any] = Future()

    def run(connection: Connection) -> None:
        done.set_result(function(connection, *args, **kwargs))
        assert go_on.wait(timeout=30)

    transaction = engine.database.submit_write(run)
    try:
        yield done.result(timeout=30)
    finally:
        go_on.set()
        transaction.result(timeout=30)


def waits_for_a_lock(engine: Engine) -> bool:
    query = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(engine.see(lambda connection: connection.execute(query).scalar_one()))


@pytest.fixture
def second() -> Iterator[ThreadPoolExecutor]:
    """A thread for the one who comes second and has to wait."""
    with ThreadPoolExecutor(1) as threads:
        yield threads


def test_an_expiry_leaves_a_work_alone_that_is_being_renewed(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.clock.advance(LEASE_S + 1)
    with uncommitted(engine, works.renew, [(work_id, 1)], holder="w1", lease_s=LEASE_S) as lost:
        assert lost == []
        assert engine.tidy().expired == 0
    assert engine.tidy().expired == 0
    assert engine.finish(work_id) == []


def test_an_expiry_never_undoes_a_cancellation(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.clock.advance(LEASE_S + 1)
    with uncommitted(engine, works.cancel, [work_id], actor="ann", why="stop") as answer:
        assert answer.stopping == [work_id]
        assert engine.tidy().expired == 0
    assert engine.tidy().expired == 1
    assert engine.state(work_id) == "cancelled"


def test_two_janitors_expire_a_work_once(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.clock.advance(LEASE_S + 1)
    with uncommitted(engine, janitor.tidy) as first:
        assert first.expired == 1
        assert engine.tidy().expired == 0
    assert engine.reasons(work_id).count("lease_expired") == 1


def test_cancelling_a_work_that_is_being_claimed_stops_it(
    engine: Engine, second: ThreadPoolExecutor
) -> None:
    work_id = engine.submit()
    claim = {"limit": 1, "holder": "w1", "lease_s": LEASE_S}
    with uncommitted(engine, works.claim, [engine.queue_id], **claim):
        cancelling = second.submit(engine.cancel, work_id)
        until(lambda: waits_for_a_lock(engine))
    assert cancelling.result(timeout=30).stopping == [work_id]
    assert engine.renew(work_id)[0].cancelled


def test_cancelling_a_work_that_is_being_finished_finds_it_over(
    engine: Engine, second: ThreadPoolExecutor
) -> None:
    work_id = engine.at("running")
    ending = works.Ending(work_id, 1, Outcome.SUCCESS)
    with uncommitted(engine, works.finish, [ending], holder="w1"):
        cancelling = second.submit(engine.cancel, work_id)
        until(lambda: waits_for_a_lock(engine))
    assert cancelling.result(timeout=30) == works.Cancelled([], [], [work_id])
    assert engine.reasons(work_id)[-1] == "done"


def test_a_report_on_a_work_that_is_being_cancelled_is_dropped(
    engine: Engine, second: ThreadPoolExecutor
) -> None:
    work_id = engine.at("running")
    with uncommitted(engine, works.cancel, [work_id], actor="ann", why="stop"):
        reporting = second.submit(engine.finish, work_id)
        until(lambda: waits_for_a_lock(engine))
    assert [lost.cancelled for lost in reporting.result(timeout=30)] == [True]
    assert engine.state(work_id) == "cancelled"


def test_a_late_report_on_a_work_that_is_being_expired_is_refused(
    engine: Engine, second: ThreadPoolExecutor
) -> None:
    work_id = engine.submit(attempts_max=1)
    engine.claim()
    engine.clock.advance(LEASE_S + 1)
    with uncommitted(engine, janitor.tidy):
        reporting = second.submit(engine.finish, work_id)
        until(lambda: waits_for_a_lock(engine))
    assert len(reporting.result(timeout=30)) == 1
    assert engine.work(work_id).reason == "lease_expired"


def test_an_expiry_of_a_work_that_is_being_finished_does_nothing(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.clock.advance(LEASE_S + 1)
    ending = works.Ending(work_id, 1, Outcome.SUCCESS)
    with uncommitted(engine, works.finish, [ending], holder="w1"):
        assert engine.tidy().expired == 0
    assert engine.tidy().expired == 0
    assert engine.state(work_id) == "success"


def test_a_work_that_is_being_reopened_is_not_forgotten(
    engine: Engine, second: ThreadPoolExecutor
) -> None:
    work_id = engine.at("success")
    with uncommitted(engine, works.reopen, [work_id], actor="ann", why="again"):
        forgetting = second.submit(engine.forget, work_id)
        until(lambda: waits_for_a_lock(engine))
    with pytest.raises(Conflict):
        forgetting.result(timeout=30)
    assert engine.claimed() == [work_id]


def test_a_claim_passes_over_works_that_another_is_claiming(engine: Engine) -> None:
    first, other = engine.submit_many(2)
    claim = {"limit": 1, "holder": "w1", "lease_s": LEASE_S}
    with uncommitted(engine, works.claim, [engine.queue_id], **claim) as leases:
        assert [lease.id for lease in leases] == [first]
        assert engine.claimed(holder="w2") == [other]


def test_a_claim_under_a_limit_waits_for_the_one_before_it(
    engine: Engine, second: ThreadPoolExecutor
) -> None:
    queue_id = engine.queue("narrow", concurrency_max=1)
    engine.submit_many(2, queue_id=queue_id)
    claim = {"limit": 1, "holder": "w1", "lease_s": LEASE_S}
    with uncommitted(engine, works.claim, [queue_id], **claim):
        claiming = second.submit(engine.claim, holder="w2", queue_ids=[queue_id])
        until(lambda: waits_for_a_lock(engine))
    assert claiming.result(timeout=30) == []


def test_the_last_of_two_ends_releases_the_work_that_needs_both(
    engine: Engine, second: ThreadPoolExecutor
) -> None:
    one, two = engine.submit_many(2)
    last = engine.submit(requires=(one, two))
    engine.claim(2)
    with uncommitted(engine, works.finish, [works.Ending(one, 1, Outcome.SUCCESS)], holder="w1"):
        finishing = second.submit(engine.finish, two)
        until(lambda: waits_for_a_lock(engine))
    assert finishing.result(timeout=30) == []
    assert engine.state(last) == "queued"


def test_a_submission_waits_for_the_end_of_what_it_requires(
    engine: Engine, second: ThreadPoolExecutor
) -> None:
    one = engine.at("running")
    with uncommitted(engine, works.finish, [works.Ending(one, 1, Outcome.SUCCESS)], holder="w1"):
        submitting = second.submit(engine.submit, requires=(one,))
        until(lambda: waits_for_a_lock(engine))
    assert engine.state(submitting.result(timeout=30)) == "queued"


def test_the_end_of_a_work_waits_for_a_submission_that_requires_it(
    engine: Engine, second: ThreadPoolExecutor
) -> None:
    one = engine.at("running")
    new = NewWork(engine.queue_id, b"{}", requires=(one,))
    with uncommitted(engine, works.submit, [new], actor="ann") as submitted:
        finishing = second.submit(engine.finish, one)
        until(lambda: waits_for_a_lock(engine))
    assert finishing.result(timeout=30) == []
    assert engine.state(submitted[0].id) == "queued"


def test_of_two_submissions_of_one_key_the_second_gets_the_first_work(
    engine: Engine, second: ThreadPoolExecutor
) -> None:
    new = NewWork(engine.queue_id, b'"first"', unique_key="k")
    with uncommitted(engine, works.submit, [new], actor="ann") as submitted:
        submitting = second.submit(engine.submit, b'"second"', unique_key="k")
        until(lambda: waits_for_a_lock(engine))
    assert submitting.result(timeout=30) == submitted[0].id
