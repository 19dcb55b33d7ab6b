"""R10: nobody pulls. The buffers fill up, the server says so and stays small, and then goes on."""

from __future__ import annotations

import threading
from typing import Any

import psutil

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import eventually
from tests.acceptance.pipelines import FINISH_S, SERVICES, SQUARE, Pipeline, Shipper, chunk

BUFFER_MB = 1
CHUNK = 50
PADDING = "x" * 1_000
REFUSALS = 300
FLAT = 1.1
"""The server may grow by a tenth while it refuses."""


def _full(pipeline: Pipeline) -> dict[str, Any] | None:
    """Return the status once the output buffer is full and nothing is computed any more."""
    status = pipeline.status()
    full = status["output_buffer_used_bytes"] >= BUFFER_MB * 1_000_000
    return status if full and status["workers_in_use"] == 0 else None


def test_a_consumer_who_never_pulls_stops_the_producer_and_nobody_else(harbour: Harbour) -> None:
    server = harbour.server()
    server.start()
    user = Shipper(server)
    harbour.clients.append(user)
    harbour.worker(server, slots=2, apps=SERVICES).start()
    user.wait_for(SQUARE)
    pipeline = user.pipeline(
        SQUARE, max_input_size_in_mb=BUFFER_MB, max_output_size_in_mb=BUFFER_MB
    )

    pushed = 0
    pause = threading.Event()
    while True:
        if _push(pipeline, pushed) == 200:
            pushed += 1
        elif _full(pipeline):
            break
        else:
            pause.wait(0.05)
    process = psutil.Process(server.pid)
    before_bytes = process.memory_info().rss
    completed = pipeline.status()["chunks_completed"]
    for _ in range(REFUSALS):
        answer = pipeline.push(_chunk(pushed), expect=(429,))
    grown = process.memory_info().rss / before_bytes
    print(f"{pushed} chunks pushed, {completed} computed; the server has grown to {grown:.3f}")
    assert grown < FLAT
    assert pipeline.status()["chunks_completed"] == completed
    told = answer.json()["details"]
    assert int(answer.headers["retry-after"]) >= 1
    status = pipeline.status()
    assert told["input_buffer_used_bytes"] == status["input_buffer_used_bytes"]
    assert told["input_buffer_remaining_bytes"] == status["input_buffer_remaining_bytes"]
    assert told["input_buffer_remaining_bytes"] < told["pushed_bytes"]

    # Others are not held up, and one pull lets this one go on.
    other = user.pipeline(SQUARE)
    other.push(chunk(0, range(10)))
    other.drain(1)
    pipeline.pull()
    eventually(lambda: pipeline.status()["chunks_completed"] > completed, FINISH_S, "it goes on")
    eventually(lambda: _push(pipeline, pushed) == 200, FINISH_S, "there is room again")
    pipeline.drain(pushed + 1)
    pipeline.check_squares((pushed + 1) * CHUNK)


def _chunk(number: int) -> dict[str, Any]:
    values = range(number * CHUNK, (number + 1) * CHUNK)
    return chunk(number, values, padding=PADDING)


def _push(pipeline: Pipeline, number: int) -> int:
    return pipeline.push(_chunk(number), expect=(200, 429)).status_code
