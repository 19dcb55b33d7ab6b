"""Client, server and worker are three processes, and give one trace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, eventually
from tests.acceptance.otlp_receiver import ReceivedSpan, Receiver, receiving

FUNCTIONS = Path(__file__).with_name("traced_functions.py")
SECRET = "a-payload-that-nobody-else-may-read"
CLIENT = f"""
import sys
from longshore.sdk import Client
from longshore.wire.buckets import Pipeline
bucket, count = sys.argv[1], int(sys.argv[2])
with Client() as client:
    work = {{"pipeline": bucket, "parameters": {{"secret": {SECRET!r}}}, "site": "local", "user": "u", "retries": 0}}
    print(*client.buckets.deposit([work] * count, return_ids=True))
"""


@dataclass
class Traced:
    receiver: Receiver
    server: Server
    environment: dict[str, str]

    def deposit(self, bucket: str, count: int = 1) -> list[str]:
        """Deposit works from a process of its own; return their ids."""
        given = {name: text for name, text in os.environ.items() if "LONGSHORE" not in name}
        given |= {"LONGSHORE_URL": self.server.url, "LONGSHORE_KEY": self.server.key}
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, bucket, str(count)],
            env=given | self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def attempts(self, work_ids: list[str]) -> list[ReceivedSpan]:
        """Wait for the spans of the works' attempts."""

        def look() -> list[ReceivedSpan]:
            found = [
                span
                for span in self.receiver.spans
                if span.attributes.get("longshore.work_id") in work_ids
            ]
            return found if len(found) == len(work_ids) else []

        return eventually(look, 60, "the spans of the attempts arrive")


@pytest.fixture(scope="module")
def traced(module_harbour: Harbour) -> Iterator[Traced]:
    """A server and a worker that trace, which the tests of this module share."""
    with receiving() as receiver:
        environment = {
            "LONGSHORE_TRACING": "on",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        server = module_harbour.server(settings=environment)
        # On a busy machine a start takes long.
        server.start(within_s=80)
        worker = module_harbour.worker(server, apps=FUNCTIONS, environment=environment)
        worker.start()
        try:
            yield Traced(receiver, server, environment)
        finally:
            # Before the receiver: what they send at their end has somewhere to go.
            worker.stop()
            server.stop()


def test_a_work_that_came_alone_has_one_trace_from_the_call_to_the_report(traced: Traced) -> None:
    [work_id] = traced.deposit("traced")
    [attempt] = traced.attempts([work_id])

    def spans_of_trace() -> dict[tuple[str, str], ReceivedSpan]:
        mine = [span for span in traced.receiver.spans if span.trace_id == attempt.trace_id]
        found = {(span.service, span.name): span for span in mine}
        whole = ("longshore-server", "POST /longshore/v1/worker/report") in found
        return found if whole and ("longshore-worker", "user code") in found else {}

    found = eventually(spans_of_trace, 30, "the whole trace arrives")
    call = found["longshore-client", "POST /buckets/work"]
    request = found["longshore-server", "POST /buckets/work"]
    report = found["longshore-worker", "report"]
    assert call.parent_id == ""
    assert request.parent_id == call.span_id
    assert attempt.parent_id == request.span_id
    assert found["longshore-worker", "user code"].parent_id == attempt.span_id
    assert report.parent_id == attempt.span_id
    reported = found["longshore-server", "POST /longshore/v1/worker/report"]
    assert reported.parent_id == report.span_id
    assert found["longshore-server", "database write"].attributes["db.system.name"] == "sqlite"
    assert attempt.attributes == {
        "longshore.work_id": work_id,
        "longshore.queue": "traced",
        "longshore.surface": "buckets",
        "longshore.attempt": 1,
        "longshore.outcome": "success",
    }


def test_works_of_one_request_are_linked_to_it_and_have_traces_of_their_own(
    traced: Traced,
) -> None:
    work_ids = traced.deposit("traced", 3)
    attempts = traced.attempts(work_ids)
    [linked] = {link for attempt in attempts for link in attempt.links}

    def request() -> list[ReceivedSpan]:
        sent = traced.receiver.named("POST /buckets/work")
        return [span for span in sent if span.trace_id == linked]

    eventually(request, 30, "the request that they are linked to arrives")
    assert len({attempt.trace_id for attempt in attempts}) == 3
    assert {attempt.parent_id for attempt in attempts} == {""}


def test_an_attempt_that_failed_says_so_and_keeps_what_was_said_and_every_key_to_itself(
    traced: Traced,
) -> None:
    [attempt] = traced.attempts(traced.deposit("broken"))
    assert attempt.failed
    assert attempt.attributes["error.type"] == "ValueError"
    assert attempt.attributes["longshore.outcome"] == "failure"
    eventually(lambda: traced.receiver.named("report"), 10, "the report arrives")
    for hidden in (SECRET, traced.server.key, traced.server.worker_key):
        assert not any(hidden.encode() in body for body in traced.receiver.bodies)


def test_a_command_finds_its_trace_in_its_environment(traced: Traced, harbour: Harbour) -> None:
    user = harbour.user(traced.server)
    command = ["printenv", "TRACEPARENT"]
    work = {"pipeline": "traced", "site": "local", "user": "u", "command": command, "retries": 0}
    [work_id] = user.post("/buckets/work?return_ids=true", [work])

    def printed() -> list[str]:
        [document] = user.post("/buckets/view", {"query": {"id": work_id}})
        return list((document["results"] or {}).get("stdout", []))

    [traceparent] = eventually(printed, 60, "the command has run")
    # A request without a trace begins one on the server, and the attempt goes on with it.
    [attempt] = traced.attempts([work_id])
    assert traceparent.split("-")[1:3] == [attempt.trace_id, attempt.span_id]
