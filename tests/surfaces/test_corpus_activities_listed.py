"""Activities of elements that a worker names: which of them it is given, and which there are not."""

from __future__ import annotations

from tests.surfaces.processes_rig import UNKNOWN, Processes


async def test_a_worker_is_told_which_of_its_elements_it_is_given_and_which_have_no_activity(
    processes: Processes,
) -> None:
    done, failed, held, left, other = processes.pages("p1", "p2", "p3", "p4", "p5")
    made = await processes.start(elements=[done, failed, held, left])
    for element, words in (
        (done, ("started", "processed")),
        (failed, ("started", "error")),
        (held, ("started",)),
    ):
        for word in words:
            await processes.say(made, element, word)
    body = {
        "worker_run_id": made["workers"][0]["id"],
        "elements": [left, UNKNOWN, held, failed, done, other],
    }
    answer = await processes.native("claim", body)
    given = {each["element"]["id"]: each["attempt"] for each in answer["activities"]}
    assert given == {left: 1, failed: 2}
    assert answer["unknown"] == [UNKNOWN, other]
    assert (answer["queued"], answer["started"]) == (0, 3)
    again = await processes.native("claim", body)
    assert (again["activities"], again["unknown"]) == ([], [UNKNOWN, other])
