"""Traces inside one process: what is kept with works, what spans say, and that off means off."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from sqlalchemy import Connection, func, select

from longshore import tracing
from longshore.edge.gathering import Gatherer
from longshore.engine import cancellation, queues, traces, works
from longshore.engine.tables import traces as traces_table
from longshore.engine.works import NewWork
from longshore.errors import ConfigurationError, InvalidRequest
from longshore.sdk import AsyncClient, Client
from longshore.storage import Database
from longshore.tracing.making import Spans, template
from longshore.worker import traces as worker_traces
from tests.unit.serving import Served, serving

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
NOT_SAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"
PAYLOAD = "what-nobody-else-may-read"
WORK = {"pipeline": "b", "site": "local", "user": "u", "parameters": {"secret": PAYLOAD}}


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """Switch tracing on for a test; the spans stay in memory."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    yield exporter
    tracing.stop()


@pytest.fixture
async def served(
    exported: InMemorySpanExporter, database: Database, tmp_path: Path
) -> AsyncIterator[Served]:
    """A server that traces; its spans are kept by `exported`."""
    async with serving(database, tmp_path) as made:
        exported.clear()
        yield made


async def deposit(served: Served, count: int, traceparent: str | None = CALLER) -> list[str]:
    headers = {} if traceparent is None else {"traceparent": traceparent}
    answer = await served.client.post(
        "/buckets/work?return_ids=true", json=[WORK] * count, headers=headers
    )
    assert answer.status_code == 200, answer.text
    work_ids: list[str] = answer.json()
    return work_ids


def kept(served: Served, work_ids: list[str]) -> dict[str, traces.Trace]:
    return served.database.read_blocking(traces.of, work_ids)


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def trace_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return format(span.context.trace_id, "032x")


async def test_a_request_continues_its_callers_trace_and_its_work_keeps_it(
    served: Served, exported: InMemorySpanExporter
) -> None:
    [work_id] = await deposit(served, 1)
    [request] = named(exported, "POST /buckets/work")
    assert trace_id(request) == TRACE
    assert request.parent is not None
    assert format(request.parent.span_id, "016x") == CALLER.split("-")[2]
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 200
    assert request.context is not None
    found = kept(served, [work_id])[work_id]
    assert found == traces.Trace(f"00-{TRACE}-{request.context.span_id:016x}-01", shared=False)
    writes = named(exported, "database write")
    assert {trace_id(span) for span in writes} == {TRACE}


async def test_works_of_one_request_are_marked_as_sharing_it(served: Served) -> None:
    work_ids = await deposit(served, 3)
    assert [each.shared for each in kept(served, work_ids).values()] == [True] * 3


async def test_requests_that_are_not_sampled_leave_nothing_behind(
    served: Served, exported: InMemorySpanExporter
) -> None:
    work_ids = await deposit(served, 2, NOT_SAMPLED)
    assert kept(served, work_ids) == {}
    assert exported.get_finished_spans() == ()


async def test_deposits_that_are_written_together_keep_their_own_traces(served: Served) -> None:
    callers = [f"00-{number:032x}-b7ad6b7169203331-01" for number in range(1, 9)]
    deposited = await asyncio.gather(*(deposit(served, 1, caller) for caller in callers))
    for caller, [work_id] in zip(callers, deposited, strict=True):
        assert kept(served, [work_id])[work_id].traceparent.split("-")[1] == caller.split("-")[1]


async def test_a_claim_tells_where_a_work_came_from(served: Served) -> None:
    [work_id] = await deposit(served, 1)
    registration = {"name": "w", "slots": 1, "buckets": [{"name": "b"}], "incarnation": "1"}
    prefix = "/longshore/v1/worker"
    answer = await served.client.post(f"{prefix}/register", json=registration)
    known = answer.json()
    asked = {"worker_id": known["worker_id"], "queues": known["queues"], "limit": 1}
    [claimed] = (await served.client.post(f"{prefix}/claim", json=asked)).json()["works"]
    assert claimed["work_id"] == work_id
    assert claimed["trace"]["queue"] == "b"
    assert claimed["trace"]["traceparent"] == kept(served, [work_id])[work_id].traceparent
    tracing.stop()
    await deposit(served, 1, None)
    [claimed] = (await served.client.post(f"{prefix}/claim", json=asked)).json()["works"]
    assert "trace" not in claimed


async def test_the_note_of_a_request_goes_with_its_work(served: Served) -> None:
    def submit(connection: Connection) -> list[str]:
        queue_id = queues.ensure(
            connection, organisation_id=served.organisation.id, surface="apps", name="q"
        )
        return [each.id for each in works.submit(connection, [NewWork(queue_id, b"{}")], actor="a")]

    spans = tracing.spans
    assert spans is not None
    with spans.span("a request"):
        work_ids = await served.database.write(submit)
    assert len(kept(served, work_ids)) == 1
    await served.database.write(cancellation.cancel, work_ids, actor="a", why="a test")
    await served.database.write(cancellation.forget, work_ids=work_ids)
    count = select(func.count()).select_from(traces_table)
    assert served.database.read_blocking(lambda connection: connection.scalar(count)) == 0


async def test_no_span_says_what_users_stored_or_who_they_are(
    served: Served, exported: InMemorySpanExporter
) -> None:
    [work_id] = await deposit(served, 1)
    await served.client.get(f"/longshore/v1/works/{work_id}")
    await served.client.post("/buckets/work", content=b'{"broken')
    told = "".join(span.to_json() for span in exported.get_finished_spans())
    for hidden in (PAYLOAD, served.first.token, served.first.worker_token, "broken"):
        assert hidden not in told
    # An id is no secret, but names of spans must be few.
    assert named(exported, "GET /longshore/v1/works/{work_id}")


async def test_polls_have_spans_only_where_the_caller_brings_a_trace(
    served: Served, exported: InMemorySpanExporter
) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        await served.client.get(path)
    assert exported.get_finished_spans() == ()
    await served.client.get("/healthz", headers={"traceparent": CALLER})
    assert [span.name for span in exported.get_finished_spans()] == ["GET /healthz"]


@pytest.mark.parametrize("colour", [Client, AsyncClient])
async def test_a_call_of_the_client_carries_its_span(
    exported: InMemorySpanExporter, colour: Any
) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["traceparent"])
        return httpx.Response(200, json={"limits": {}})

    client = colour("http://127.0.0.1:1", "ls_key", transport=httpx.MockTransport(answer))
    answered = client.limits()
    if asyncio.iscoroutine(answered):
        await answered
    [span] = named(exported, "GET /longshore/v1/limits")
    assert span.context is not None
    [carried] = seen
    assert carried.startswith(f"00-{trace_id(span)}-{span.context.span_id:016x}-")
    closed = client.aclose() if colour is AsyncClient else client.close()
    if asyncio.iscoroutine(closed):
        await closed


def test_an_error_marks_a_span_by_its_kind_and_nothing_else(
    exported: InMemorySpanExporter,
) -> None:
    spans = tracing.spans
    assert spans is not None
    with pytest.raises(InvalidRequest), spans.span("one"):
        raise InvalidRequest(f"cannot read {PAYLOAD}")
    [span] = exported.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "invalid_request"
    assert PAYLOAD not in span.to_json()


def test_the_report_of_one_attempt_is_its_child_and_that_of_many_is_linked(
    exported: InMemorySpanExporter,
) -> None:
    spans = tracing.spans
    assert spans is not None
    other = f"00-{'1' * 32}-{'2' * 16}-01"
    with worker_traces.report(spans, [CALLER]):
        pass
    with worker_traces.report(spans, [CALLER, other]):
        pass
    with worker_traces.report(spans, []):
        pass
    alone, together = named(exported, "report")
    assert trace_id(alone) == TRACE
    assert trace_id(together) not in (TRACE, "1" * 32)
    assert {format(link.context.trace_id, "032x") for link in together.links} == {TRACE, "1" * 32}


async def test_what_gathers_requests_belongs_to_none_of_them(
    exported: InMemorySpanExporter, database: Database
) -> None:
    seen: list[str | None] = []

    def service(_connection: Connection, items: Any) -> Any:
        return items

    class Watched(Gatherer[int, int]):
        async def _run(self) -> None:
            seen.append(tracing.carried())
            await super()._run()

    spans = tracing.spans
    assert spans is not None
    with spans.span("a request"):
        assert await Watched(database, service).write(1) == 1
    assert seen == [None]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/buckets/work", "/buckets/work"),
        ("/longshore/v1/works/wk_01h0abc", "/longshore/v1/works/{}"),
        ("/api/v2/apps/runs/rn_1/results?x=1", "/api/v2/apps/runs/{}/results"),
        ("/api/v1/uploads/abcdefghijklmnopqrstuvwxyzabc", "/api/v1/uploads/{}"),
    ],
)
def test_names_of_requests_hold_no_ids(path: str, expected: str) -> None:
    assert template(path) == expected


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "longshore.tracing.making")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'longshore\[otel\]'"):
        tracing.start("longshore-client", wanted=True)
    assert tracing.start("longshore-client", wanted=False) is None


def test_while_it_is_off_nothing_of_opentelemetry_is_loaded() -> None:
    program = (
        "import sys, longshore.sdk, longshore.worker.runtime, longshore.storage, longshore.edge.call;"
        "longshore.sdk.Client('http://127.0.0.1:1', 'ls_key').close();"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_spans_are_made_by_a_provider_that_a_program_has_set(
    exported: InMemorySpanExporter,
) -> None:
    first = tracing.spans
    # Whoever starts later takes what is there.
    assert tracing.start("longshore-server", wanted=True) is first
    assert isinstance(first, Spans)
