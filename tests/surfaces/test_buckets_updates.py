"""Updates and their fence: who may write what about a work."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.engine import works
from tests.surfaces.buckets_rig import Buckets, Document, payload


async def test_a_holder_ends_its_work_and_the_whole_document_is_kept(buckets: Buckets) -> None:
    held = await buckets.held(retries=1)
    done = {
        **held,
        "status": "success",
        "results": {"dm": 3.5},
        "products": ["/p"],
        "plots": ["/q"],
        "stop": 1795199999.5,
        "tags": ["seen"],
    }
    assert await buckets.update(done) is True
    assert await buckets.see(held["id"]) == done
    assert buckets.reasons(held["id"]) == ["submitted", "claimed", "done"]


async def test_a_repeated_update_is_accepted_and_changes_nothing(buckets: Buckets) -> None:
    held = await buckets.held()
    done = {**held, "status": "success", "results": {"a": 1}}
    assert await buckets.update(done) is True
    assert await buckets.update(done) is True
    assert buckets.reasons(held["id"]) == ["submitted", "claimed", "done"]


async def late_work(buckets: Buckets, place: str) -> Document:
    """Return a work as a worker knows it that has lost it in some way."""
    held = await buckets.held(timeout=60, retries=4)
    buckets.clock.advance(61)
    await buckets.audit()
    if place == "expired":
        return held
    await buckets.audit()
    if place == "queued":
        return held
    again = await buckets.withdraw()
    assert again is not None
    assert again["attempt"] == 2
    if place == "finished":
        await buckets.update({**again, "status": "success", "results": {"by": "second"}})
    return held


@pytest.mark.parametrize("place", ["expired", "queued", "held", "finished"])
@pytest.mark.parametrize("status", ["success", "failure", "running"])
async def test_a_late_update_is_refused_and_writes_nothing(
    buckets: Buckets, place: str, status: str
) -> None:
    held = await late_work(buckets, place)
    before = await buckets.see(held["id"])
    late = {**held, "status": status, "results": {"by": "first"}, "tags": ["late"]}
    if (place, status) == ("expired", "failure"):
        # It did fail, and whoever held it may still say how.
        assert await buckets.update(late) is True
        return
    refused = await buckets.refusal(late)
    assert (refused["id"], refused["code"]) == (held["id"], "lease_lost")
    assert "nothing was written" in refused["message"]
    assert refused["attempt"] == before["attempt"]
    assert await buckets.see(held["id"]) == before


async def test_a_refusal_says_who_holds_the_work(buckets: Buckets) -> None:
    held = await late_work(buckets, "held")
    refused = await buckets.refusal({**held, "status": "success"})
    assert refused["state"] == "running"
    assert refused["holder"]
    assert refused["holder"] in refused["message"]


async def test_the_good_works_of_an_update_are_written_beside_refused_ones(
    buckets: Buckets,
) -> None:
    late = await late_work(buckets, "queued")
    await buckets.ask("DELETE", "/work", ids=[late["id"]])
    good = await buckets.held()
    answer = await buckets.update({**late, "status": "success"}, {**good, "status": "success"})
    assert (answer["updated"], len(answer["refused"])) == (1, 1)
    assert (await buckets.see(good["id"]))["status"] == "success"


async def test_an_update_with_one_malformed_work_writes_nothing(buckets: Buckets) -> None:
    good = await buckets.held()
    answer = await buckets.client.put(
        "/buckets/work", json=[{**good, "status": "success"}, {**good, "priority": 9}]
    )
    assert answer.status_code == 400
    assert (await buckets.see(good["id"]))["status"] == "running"


async def test_an_end_needs_the_start_of_this_attempt(buckets: Buckets) -> None:
    held = await buckets.held()
    forged = {**held, "start": held["start"] + 1, "status": "success"}
    assert (await buckets.refusal(forged))["code"] == "lease_lost"
    # A client that knows nothing of `start` is known by the number of its attempt.
    assert await buckets.update({**held, "start": None, "status": "success"}) is True


async def test_an_attempt_that_was_set_back_does_not_let_an_old_holder_in(
    buckets: Buckets,
) -> None:
    first = await buckets.held(timeout=60)
    buckets.clock.advance(61)
    await buckets.audit()
    failed = await buckets.see(first["id"])
    assert await buckets.update({**failed, "status": "queued", "attempt": 0}) is True
    buckets.clock.advance(1)
    second = await buckets.withdraw()
    assert second is not None
    assert (second["id"], second["attempt"]) == (first["id"], 1)
    assert (await buckets.refusal({**first, "status": "success"}))["code"] == "lease_lost"
    assert await buckets.update({**second, "status": "success"}) is True


async def test_a_holder_may_say_that_all_attempts_are_used_up(buckets: Buckets) -> None:
    held = await buckets.held(retries=2)
    assert await buckets.update({**held, "status": "failure", "attempt": 2}) is True
    shown = await buckets.see(held["id"])
    assert (shown["status"], shown["attempt"]) == ("failure", 2)
    assert await buckets.audit() == {"failed": 0, "expired": 0, "stale": 0}
    found = await buckets.view(
        {"status": "failure", "$expr": {"$gte": ["$attempt", "$retries"]}}, projection={"id": 1}
    )
    assert found == [{"id": held["id"]}]


@pytest.mark.parametrize(("retries", "tries"), [(-3, 1), (0, 1), (1, 1), (2, 2), (5, 5)])
async def test_a_work_is_tried_as_often_as_its_retries_say(
    buckets: Buckets, retries: int, tries: int
) -> None:
    await buckets.deposit(retries=retries)
    count = 0
    while (held := await buckets.withdraw()) is not None:
        count += 1
        assert held["attempt"] == count
        assert await buckets.update({**held, "status": "failure"}) is True
        await buckets.audit()
    assert count == tries


async def test_a_holder_may_give_a_work_back(buckets: Buckets) -> None:
    held = await buckets.held(retries=1)
    assert await buckets.update({**held, "status": "queued"}) is True
    again = await buckets.withdraw()
    assert again is not None
    assert again["id"] == held["id"]
    assert await buckets.update({**again, "status": "success"}) is True


@pytest.mark.parametrize("status", ["success", "failure"])
async def test_a_finished_work_is_queued_again_on_a_clients_word(
    buckets: Buckets, status: str
) -> None:
    held = await buckets.held(retries=1)
    await buckets.update({**held, "status": status})
    seen = await buckets.see(held["id"])
    assert await buckets.update({**seen, "status": "queued"}) is True
    assert (await buckets.see(held["id"]))["status"] == "queued"
    again = await buckets.withdraw()
    assert again is not None
    assert await buckets.update({**again, "status": "success"}) is True


async def test_what_is_queued_can_be_edited_but_not_ended(buckets: Buckets) -> None:
    (work_id,) = await buckets.deposit()
    seen = await buckets.see(work_id)
    for status in ("running", "success", "failure"):
        assert (await buckets.refusal({**seen, "status": status}))["code"] == "lease_lost"
    (other,) = await buckets.deposit(priority=4)
    assert await buckets.update({**seen, "priority": 5, "timeout": 7, "tags": ["x"]}) is True
    taken = await buckets.withdraw()
    assert taken is not None
    assert (taken["id"], taken["timeout"], taken["tags"]) == (work_id, 7, ["x"])
    work = buckets.database.read_blocking(works.get, work_id)
    assert (work.timeout_s, work.priority) == (7.0, 5)
    assert other != work_id


async def test_a_finished_work_may_be_annotated(buckets: Buckets) -> None:
    held = await buckets.held()
    done = {**held, "status": "success"}
    await buckets.update(done)
    assert await buckets.update({**done, "results": {"note": "checked by hand"}}) is True
    assert (await buckets.see(held["id"]))["results"] == {"note": "checked by hand"}


async def test_a_work_does_not_move_between_buckets(buckets: Buckets) -> None:
    held = await buckets.held()
    refused = await buckets.refusal({**held, "pipeline": "elsewhere", "status": "success"})
    assert refused["code"] == "invalid_request"
    assert (await buckets.see(held["id"]))["status"] == "running"


async def test_a_work_without_an_id_cannot_be_updated(buckets: Buckets) -> None:
    refused = await buckets.refusal(payload())
    assert (refused["id"], refused["code"]) == (None, "invalid_request")


async def test_what_a_holder_says_of_a_cancelled_work_is_dropped(buckets: Buckets) -> None:
    held = await buckets.held()
    buckets.database.write_blocking(works.cancel, [held["id"]], actor="ann", why="not needed")
    refused = await buckets.refusal({**held, "status": "success", "results": {"a": 1}})
    assert (refused["code"], refused["state"]) == ("lease_lost", "cancelled")
    seen = await buckets.see(held["id"])
    assert (seen["status"], seen["results"]) == ("failure", None)


async def test_an_error_that_a_client_reports_is_kept_with_the_attempt(buckets: Buckets) -> None:
    held = await buckets.held(retries=1)
    await buckets.update({**held, "status": "failure", "results": {"error": "no such file"}})
    found: Any = buckets.database.read_blocking(works.outputs, [held["id"]])
    assert b"no such file" in found[held["id"]].error
