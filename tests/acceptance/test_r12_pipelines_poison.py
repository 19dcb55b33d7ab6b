"""R12: records that raise, crash, exit, take all memory or never end, in a fleet of good ones."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import eventually, marked
from tests.acceptance.pipelines import BEHAVE, SERVICES, SQUARE, Shipper, chunk, chunks_of

SLOTS = 2
POISON = {
    # What a record does, and a word of the cause that its user must be told.
    "raise": "this record is poison",
    "segfault": "SIGSEGV",
    "exit": "7",
    "hog": "memory",
    "loop": "limit",
}
CHUNK = 20


@pytest.mark.timeout(120)
def test_poison_among_good_records_harms_only_itself(harbour: Harbour) -> None:
    server = harbour.server()
    server.start()
    user = Shipper(server)
    harbour.clients.append(user)
    options = ("--memory-limit", "256MB")
    worker = harbour.worker(server, slots=SLOTS, apps=SERVICES, options=options)
    worker.start()
    user.wait_for(BEHAVE)
    pipeline = user.pipeline(BEHAVE, acceptable_error_percentage=50)
    fleet = chunks_of(5 * CHUNK, CHUNK)
    records = [record for each in fleet for record in each["data"]["inputs"]]
    # All in one chunk but for two, the first record and the last of a chunk among them.
    places = dict(zip(POISON, (0, 3, 4, CHUNK - 1, 3 * CHUNK + 5), strict=True))
    for verb, place in places.items():
        records[place]["verb"] = verb
    pipeline.push(*fleet)
    pipeline.drain(len(fleet), 90.0)

    good = [value for value in range(len(records)) if value not in places.values()]
    assert pipeline.squares() == [(value, value * value) for value in good]
    errors = [
        error for each in sorted(pipeline.results) for error in pipeline.results[each]["errors"]
    ]
    assert {place for place, error in enumerate(errors) if error} == set(places.values())
    for verb, place in places.items():
        assert POISON[verb].lower() in errors[place][0]["message"].lower(), errors[place]
    summary = pipeline.info()["summary"]
    assert (summary["records_failed"], summary["records_completed"]) == (5, len(records))
    assert summary["chunks_failed"] == 0
    assert pipeline.end("closed")["batch_status"] == "closed"
    assert pipeline.status()["batch_status"] == "completed"

    # All slots are back, and nothing is left of what has died.
    other = user.pipeline(SQUARE)
    other.push(*[chunk(number, [number], nap_s=0.5) for number in range(SLOTS)])
    eventually(lambda: other.status()["workers_in_use"] == SLOTS, 15.0, "both run")
    other.drain(SLOTS)
    assert worker.stop() == 0
    eventually(
        lambda: {process.pid for process in marked(harbour.mark)} == {server.pid},
        10.0,
        "only the server is left",
    )
