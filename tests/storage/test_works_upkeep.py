"""Forgetting, retention, the janitor's passes, queues, logs, workers and artifacts."""

from __future__ import annotations

import pytest

from longshore import ids
from longshore.engine import artifacts, janitor, logs, queues, traces, workers, works
from longshore.engine.artifacts import Discarded
from longshore.engine.logs import NewLine
from longshore.engine.works import Outcome
from longshore.errors import Conflict, InvalidRequest, NotFound
from longshore.limits import LOG_LINE_CHARACTERS, LOG_LINES_PER_ATTEMPT
from tests.storage.driving import ORGANISATION, WORK_TABLES, Engine

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def print_line(engine: Engine, work_id: str, text: str, *, attempt: int = 1) -> int:
    line = NewLine(work_id, attempt, engine.clock.now_us(), "stdout", text)
    dropped: int = engine.do(logs.append, [line], holder="w1")
    return dropped


def full_work(engine: Engine, **settings: str | None) -> str:
    """Return a finished work that has rows in every table."""
    work_id = engine.at("running", **settings)
    print_line(engine, work_id, "hello")
    engine.finish(work_id)
    return work_id


def test_forgetting_leaves_no_row_of_a_work_in_any_table(engine: Engine) -> None:
    engine.do(queues.configure, engine.queue_id, notices=True)
    first = full_work(engine)
    second = engine.submit(requires=(first,))
    engine.claim()
    print_line(engine, second, "hello")
    engine.finish(second)
    engine.do(traces.keep, TRACEPARENT, [first, second])
    before = engine.rows()
    assert all(before.values()), "each table has a row to lose"
    counts = engine.forget(first, second)
    assert counts == before
    assert engine.rows() == dict.fromkeys(WORK_TABLES, 0)
    assert engine.forget(first, second) == dict.fromkeys(WORK_TABLES, 0)


def test_forgetting_a_group_leaves_other_works_alone(engine: Engine) -> None:
    group_id = ids.new(ids.GROUP)
    full_work(engine, group_id=group_id)
    full_work(engine, group_id=group_id)
    other = full_work(engine)
    counts = engine.do(works.forget, group_id=group_id)
    assert (counts["works"], counts["events"], counts["logs"]) == (2, 6, 2)
    assert engine.reasons(other) == ["submitted", "claimed", "done"]
    assert engine.see(works.outputs, [other])


@pytest.mark.parametrize("place", ["waiting", "queued", "running", "retrying", "cancelling"])
def test_a_group_with_a_work_that_is_not_over_is_not_forgotten(engine: Engine, place: str) -> None:
    group_id = ids.new(ids.GROUP)
    full_work(engine, group_id=group_id)
    alive = engine.at(place, group_id=group_id)
    before = engine.rows()
    with pytest.raises(Conflict) as refusal:
        engine.do(works.forget, group_id=group_id)
    assert refusal.value.details == {"work_id": alive}
    assert engine.rows() == before


def test_a_work_that_was_needed_may_be_forgotten_while_others_wait(engine: Engine) -> None:
    done, pending = engine.at("success"), engine.submit()
    last = engine.submit(requires=(done, pending))
    engine.forget(done)
    assert engine.state(last) == "waiting"
    engine.claim()
    engine.finish(pending)
    assert engine.state(last) == "queued"


def test_retention_deletes_finished_works_of_the_queue_when_they_are_old(engine: Engine) -> None:
    engine.queue_id = engine.queue("short", retention_s=3600.0)
    old = full_work(engine)
    waiting = engine.submit(delay_s=1_000_000)
    retrying = engine.at("running")
    engine.finish(retrying, Outcome.FAILURE, retry_delay_s=1_000_000.0)
    in_group = full_work(engine, group_id=ids.new(ids.GROUP))
    engine.clock.advance(1800)
    young = full_work(engine)
    engine.clock.advance(1800)
    counts = engine.do(janitor.retain)
    assert counts["works"] == 1
    found = engine.see(works.get_many, [old, waiting, retrying, in_group, young])
    assert set(found) == {waiting, retrying, in_group, young}
    assert engine.do(janitor.retain) == {"workers": 0}


def test_a_queue_without_retention_keeps_its_works(engine: Engine) -> None:
    work_id = engine.at("success")
    engine.clock.advance(10 * 365 * 86_400)
    engine.do(janitor.retain)
    assert engine.state(work_id) == "success"


def test_retention_is_bounded_and_goes_on_where_it_stopped(engine: Engine) -> None:
    engine.queue_id = engine.queue("short", retention_s=0.0)
    for _ in range(5):
        engine.at("success")
    counts = [engine.do(janitor.retain, limit=2).get("works", 0) for _ in range(4)]
    assert counts == [2, 2, 1, 0]


def test_each_step_of_a_pass_is_bounded_and_says_when_more_is_left(engine: Engine) -> None:
    delayed = engine.submit_many(5, delay_s=1)
    engine.clock.advance(1)
    passes = [engine.tidy(limit=2) for _ in range(3)]
    assert [(one.released, one.more) for one in passes] == [(2, True), (2, True), (1, False)]
    engine.claim(5, lease_s=1)
    engine.clock.advance(1)
    passes = [engine.tidy(limit=2) for _ in range(4)]
    assert [one.expired for one in passes] == [2, 2, 1, 0]
    assert [one.retried for one in passes] == [2, 2, 1, 0]
    assert passes[2].more is False
    assert engine.states(*delayed) == ["queued"] * 5


def test_a_pass_with_nothing_to_do_changes_nothing(engine: Engine) -> None:
    for place in ("waiting", "queued", "running", "cancelling", "success", "retrying"):
        engine.at(place)
    before = engine.rows()
    for _ in range(2):
        assert engine.tidy() == janitor.Tidied(0, 0, 0, more=False)
    assert engine.rows() == before


def test_the_same_queue_is_made_once(engine: Engine) -> None:
    again = engine.queue("first", attempts_max=9)
    assert again == engine.queue_id
    assert engine.see(queues.get, again).attempts_max == 3
    assert engine.see(queues.find, ORGANISATION, "apps", "first").id == again
    assert engine.see(queues.find, "og_other", "apps", "first") is None
    assert engine.queue("first", surface="system") != again


def test_queues_are_listed_by_organisation_and_by_surface(engine: Engine) -> None:
    system = engine.queue("system", surface="system")
    listed = engine.see(queues.listing, ORGANISATION)
    assert [queue.id for queue in listed] == [engine.queue_id, system]
    assert [queue.id for queue in engine.see(queues.of_surface, "system")] == [system]


def test_settings_of_a_queue_are_changed_by_name(engine: Engine) -> None:
    changed = engine.do(queues.configure, engine.queue_id, concurrency_max=5, retention_s=60.0)
    assert (changed.concurrency_max, changed.retention_s, changed.attempts_max) == (5, 60.0, 3)
    changed = engine.do(queues.configure, engine.queue_id, concurrency_max=None)
    assert changed.concurrency_max is None


@pytest.mark.parametrize(
    "changes",
    [
        {"attempts_max": 0}, {"attempts_max": None}, {"backoff_s": None}, {"backoff_s": -1.0},
        {"concurrency_max": -1}, {"name": 5}, {"held_us": 5},
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused(
    engine: Engine, changes: dict[str, float | None]
) -> None:
    before = engine.see(queues.get, engine.queue_id)
    with pytest.raises(InvalidRequest):
        engine.do(queues.configure, engine.queue_id, retention_s=5.0, **changes)
    assert engine.see(queues.get, engine.queue_id) == before


def test_what_user_code_printed_is_read_in_order_and_page_by_page(engine: Engine) -> None:
    work_id, other = engine.at("running"), engine.at("running")
    for number in range(5):
        assert print_line(engine, work_id, f"line {number}") == 0
        print_line(engine, other, "something else")
    first = engine.see(logs.read, [work_id], limit=3)
    assert [line.text for line in first] == ["line 0", "line 1", "line 2"]
    rest = engine.see(logs.read, [work_id], after=first[-1].seq, limit=3)
    assert [line.text for line in rest] == ["line 3", "line 4"]
    assert len(engine.see(logs.read, [work_id, other], limit=100)) == 10


def test_lines_of_works_that_the_holder_does_not_hold_are_dropped(engine: Engine) -> None:
    work_id = engine.at("running")
    lines = [
        NewLine(work_id, 1, 5, "stderr", "mine"),
        NewLine(work_id, 2, 5, "stderr", "of an attempt that has not begun"),
        NewLine("wk_gone", 1, 5, "stderr", "of no work"),
    ]
    assert engine.do(logs.append, lines, holder="w1") == 2
    assert engine.do(logs.append, lines, holder="w2") == 3
    kept = engine.see(logs.read, [work_id, "wk_gone"], limit=10)
    assert [(line.text, line.stream, line.at_us) for line in kept] == [("mine", "stderr", 5)]


def test_long_lines_are_cut_and_odd_characters_kept(engine: Engine) -> None:
    work_id = engine.at("running")
    print_line(engine, work_id, "x" * (LOG_LINE_CHARACTERS + 1))
    print_line(engine, work_id, "a\0b\tŁódź 🚢")
    long, odd = engine.see(logs.read, [work_id], limit=10)
    assert long.text == "x" * LOG_LINE_CHARACTERS
    assert odd.text == "a\N{REPLACEMENT CHARACTER}b\tŁódź 🚢"


def test_lines_past_the_limit_of_an_attempt_are_dropped(engine: Engine) -> None:
    work_id = engine.at("running")
    lines = [NewLine(work_id, 1, 5, "stdout", "x")] * (LOG_LINES_PER_ATTEMPT - 1)
    assert engine.do(logs.append, lines, holder="w1") == 0
    assert engine.do(logs.append, lines[:3], holder="w1") == 2
    assert print_line(engine, work_id, "one more") == 1


def test_the_worker_can_say_that_lines_were_dropped(engine: Engine) -> None:
    work_id = engine.at("running")
    full = [NewLine(work_id, 1, 5, "stdout", "x")] * LOG_LINES_PER_ATTEMPT
    engine.do(logs.append, full, holder="w1")
    note = NewLine(work_id, 1, 6, "worker", "7 more lines were not kept.")
    assert engine.do(logs.append, [note], holder="w1") == 0
    last = engine.see(logs.read, [work_id], limit=2 * LOG_LINES_PER_ATTEMPT)[-1]
    assert (last.stream, last.text) == (note.stream, note.text)
    assert engine.do(logs.append, [note] * 100, holder="w1") > 0


def test_the_last_words_of_a_finished_attempt_are_kept(engine: Engine) -> None:
    work_id = engine.at("success")
    assert print_line(engine, work_id, "after the report") == 0


def register(engine: Engine, incarnation: str, *, name: str = "box") -> str:
    worker_id: str = engine.do(
        workers.register, organisation_id=ORGANISATION, name=name, incarnation=incarnation,
        slots=2, queue_ids=[engine.queue_id, engine.queue_id],
    )  # fmt: skip
    return worker_id


def test_a_worker_of_the_same_name_that_starts_again_is_another_one(engine: Engine) -> None:
    first = register(engine, "i1")
    assert register(engine, "i1") == first
    second = register(engine, "i2")
    assert second != first
    engine.submit_many(2)
    engine.claim(2, holder=first)
    listed = {worker.id: worker for worker in engine.see(workers.listing, ORGANISATION)}
    assert (listed[first].running, listed[second].running) == (2, 0)
    assert listed[first].online
    assert engine.see(workers.online, engine.queue_id) == 2
    assert engine.see(workers.listing, "og_other") == []


def test_a_worker_that_comes_back_after_it_left_is_online_again(engine: Engine) -> None:
    worker_id = register(engine, "i1")
    engine.do(workers.leave, worker_id)
    assert engine.see(workers.online, engine.queue_id) == 0
    assert register(engine, "i1") == worker_id
    assert engine.see(workers.online, engine.queue_id) == 1


def test_a_worker_is_lost_by_its_incarnation_in_its_own_organisation_only(engine: Engine) -> None:
    worker_id = register(engine, "i1")
    engine.submit()
    engine.claim(holder=worker_id)
    lost = {"actor": "w9", "why": "exit 137"}
    assert engine.do(workers.lost_incarnation, "og_other", "i1", **lost) == 0
    assert engine.do(workers.lost_incarnation, ORGANISATION, "unknown", **lost) == 0
    assert engine.do(workers.lost_incarnation, ORGANISATION, "i1", **lost) == 1


def test_a_word_of_a_worker_is_written_only_now_and_then(engine: Engine) -> None:
    worker_id = register(engine, "i1")
    assert not engine.see(workers.stale, ORGANISATION, worker_id)
    engine.clock.advance(workers.SEEN_EVERY_S)
    assert engine.see(workers.stale, ORGANISATION, worker_id)
    with pytest.raises(NotFound, match="Register again"):
        engine.see(workers.stale, "og_other", worker_id)


def test_a_worker_that_fell_silent_is_forgotten_after_a_week(engine: Engine) -> None:
    register(engine, "i1")
    engine.clock.advance(janitor.WORKER_MEMORY_S)
    awake = register(engine, "i2")
    engine.clock.advance(1)
    assert engine.do(janitor.retain)["workers"] == 1
    assert [worker.id for worker in engine.see(workers.listing, ORGANISATION)] == [awake]


def stored(engine: Engine, size_bytes: int = 10) -> str:
    blob_id: str = engine.do(artifacts.reserve, organisation_id=ORGANISATION)
    engine.do(artifacts.store, blob_id, size_bytes=size_bytes, sha256="ab" * 32)
    return blob_id


def test_a_blob_can_be_read_by_its_organisation_once_it_is_stored(engine: Engine) -> None:
    blob_id = engine.do(artifacts.reserve, organisation_id=ORGANISATION, media_type="image/png")
    with pytest.raises(NotFound):
        engine.see(artifacts.get, ORGANISATION, blob_id)
    engine.do(artifacts.store, blob_id, size_bytes=3, sha256="cd" * 32)
    found = engine.see(artifacts.get, ORGANISATION, blob_id)
    assert (found.size_bytes, found.sha256, found.media_type) == (3, "cd" * 32, "image/png")
    with pytest.raises(NotFound):
        engine.see(artifacts.get, "og_other", blob_id)
    assert engine.see(artifacts.counts, ORGANISATION) == {"objects": 1, "bytes": 3}


def test_discarded_blobs_are_counted_once_and_deleted_bytes_first(engine: Engine) -> None:
    kept, gone, also = stored(engine), stored(engine, 20), stored(engine, 30)
    assert engine.do(artifacts.discard, [gone, also]) == Discarded(2, 50)
    assert engine.do(artifacts.discard, [gone, also]) == Discarded(0, 0)
    assert engine.see(artifacts.doomed, limit=1) == [gone]
    assert set(engine.see(artifacts.doomed, limit=9)) == {gone, also}
    assert engine.do(artifacts.erase, [gone, also, kept]) == 2
    assert engine.see(artifacts.doomed, limit=9) == []
    assert engine.see(artifacts.get, ORGANISATION, kept).size_bytes == 10


def test_an_upload_that_nobody_finished_is_given_up(engine: Engine) -> None:
    blob_id = engine.do(artifacts.reserve, organisation_id=ORGANISATION)
    engine.clock.advance(3599)
    assert engine.see(artifacts.doomed, limit=9) == []
    engine.clock.advance(1)
    assert engine.see(artifacts.doomed, limit=9) == [blob_id]
    engine.do(artifacts.condemn, [blob_id])
    with pytest.raises(Conflict, match="Send the file again"):
        engine.do(artifacts.store, blob_id, size_bytes=3, sha256="cd" * 32)
    assert engine.do(artifacts.erase, [blob_id]) == 1
