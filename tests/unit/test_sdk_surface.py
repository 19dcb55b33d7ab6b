"""The public surface of the SDK: its names, its two colours, and its types in a user's program."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import longshore
from longshore import errors, sdk

ROOT = Path(__file__).resolve().parents[2]

EXPORTED = """
    Action ActionInfo App AppVersion Artifact AsyncAction AsyncBatch AsyncBuckets AsyncClient
    AsyncDeletion AsyncDeployment AsyncHeartbeat AsyncJob AsyncMapper AsyncPipeline
    AsyncPipelines AsyncResults AsyncRun AsyncWebhooks AsyncWork AuditEntry Batch BatchChunk
    BatchInfo BucketChanges BucketSettings Buckets Cancelled ChunkData Client Connection Counts
    Deletion Deployment DeploymentChanges DeploymentInfo Diagnosis Event FileCounts FileMetadata
    Finding FoundWork Heartbeat Hold Identity Job JobInfo JobState Key LogLine MapOptions MapSummary Mapper NewKey
    Node Pipeline PipelineInfo PipelineOptions PipelineStats PipelineStatus PipelineSummary
    PipelineUse Pipelines PipelinesInfo PulledChunk Queue RecordFailed RecordWarning Removed
    ResultDocument ResultField ResultFile Results Retention Review ReviewField ReviewState
    ReviewedDocument Run RunFilters RunInfo RunOptions
    RunResults RunStatus Webhook Webhooks Why Work WorkArchive WorkConfig WorkCount WorkInfo WorkNotify
    WorkSlack WorkState Worker WorksAction create_chunks find_connection
"""

PROGRAM = """
from __future__ import annotations

from datetime import datetime
from typing import Any, assert_type

import longshore
from longshore import sdk


def blocking() -> None:
    with longshore.Client("http://127.0.0.1:8400", "ls_key", timeout_s=5) as client:
        batch = client.batches.create("scans").add_files(["a.jpg", "b.jpg"])
        assert_type(batch, sdk.Batch)
        assert_type(batch.created_at, datetime | None)
        run = client.run("Meal Receipt", batch=batch, tags=["march"]).wait(timeout_s=60)
        assert_type(run, sdk.Run)
        assert_type(run.status, sdk.RunStatus)
        for file in run.results():
            for document in file.documents:
                for field in document.fields:
                    assert_type(field.value, str | None)
        assert_type(run.delete(input=False).wait().rows, int)
        assert_type(client.runs.list(status="FAILED"), list[sdk.Run])
        for line in client.logs(run.id, follow=True):
            assert_type(line, sdk.LogLine)


def buckets(client: longshore.Client) -> None:
    work = longshore.Work(pipeline="search", site="local", user="me", event=[7], timeout=60)
    assert_type(work.deposit(client), str)
    assert_type(client.buckets.deposit([work], return_ids=True), list[str])
    assert_type(client.buckets.deposit([work, work.payload]), bool)
    taken = longshore.Work.withdraw("search", wait_s=5, client=client)
    assert_type(taken, longshore.Work | None)
    assert_type(client.buckets.withdraw(["search"], limit=5), list[dict[str, Any]])
    assert_type(client.buckets.withdraw("search"), dict[str, Any] | None)
    if taken is not None:
        assert_type(taken.results, dict[str, Any] | None)
        with client.buckets.heartbeat(taken) as heartbeat:
            heartbeat.check()
        taken.results, taken.status = {"snr": 12.5}, "success"
        taken.update()
    action = client.buckets.act("retry", {"status": "failure"}).wait()
    assert_type(action.info.changed, int)
    client.buckets.configure("search", archive_after_s=None)


def pipelines(client: longshore.Client) -> None:
    with client.pipeline("shop/price", max_runners=2) as mapper:
        for output in mapper.map(({"value": n} for n in range(9)), ordered=False):
            assert_type(output, Any)
        assert_type(mapper.map("in.csv", to="out.jsonl", resume=True), sdk.MapSummary)
        assert_type(mapper.summary.records_per_s, float)
    pipeline = client.pipelines.create("shop/price[1.0]", accuracy=0.9)
    chunks = longshore.create_chunks([{"value": 1}, {"value": 2}], chunk_size=1)
    assert_type(pipeline.push(chunks=chunks).records_available, int)
    assert_type(pipeline.pull(wait_s=5), list[sdk.PulledChunk])
    assert_type(pipeline.stats.chunks, dict[str, int])


async def waiting() -> None:
    async with longshore.AsyncClient() as client:
        async with client.pipeline("shop/price") as mapper:
            async for output in mapper.map([["value"], [1]], on_error="yield"):
                assert_type(output, Any)
            assert_type(await mapper.map("in.csv", to="out.csv"), sdk.MapSummary)
        run = await client.run("Meal Receipt", files="*.jpg")
        assert_type(await run.wait(), sdk.AsyncRun)
        assert_type(await (await run.delete()).wait(), sdk.Removed)
        async for line in client.logs(run.id):
            assert_type(line.text, str)


def mistakes(client: longshore.Client) -> None:
    client.run("Meal Receipt", files="*.jpg", tag=["x"])  # error: call-arg
    client.run(files="*.jpg")  # error: call-arg
    client.batches.get("7")  # error: arg-type
    client.runs.list(since="yesterday")  # error: arg-type
    longshore.Work(pipeline="search", site="local", user="me", tag=["x"])  # error: call-arg
    longshore.Work(pipeline="search", site="local")  # error: call-arg
    client.buckets.act("burn", {})  # error: arg-type
    client.pipeline("shop/price", runners=2)  # error: call-arg
    client.pipeline("shop/price").map([], resume=True)  # error: call-overload
    client.buckets.configure("search", archive_after=5)  # error: call-arg
"""


def test_the_public_names_change_only_on_purpose() -> None:
    assert sorted(sdk.__all__) == sorted(EXPORTED.split())
    assert all(hasattr(sdk, name) for name in sdk.__all__)


def test_the_package_gives_the_errors_that_a_worker_of_ones_own_meets() -> None:
    assert longshore.LeaseLost is errors.LeaseLost
    assert {"LeaseLost", "LongshoreError", "Reject", "RetryLater"} <= set(longshore.__all__)


def test_the_package_gives_the_clients() -> None:
    assert longshore.Client is sdk.Client
    assert longshore.AsyncClient is sdk.AsyncClient


@pytest.mark.parametrize(
    "name",
    [
        *("Client", "Batch", "Run", "Job", "Deletion", "Deployment"),
        *("Buckets", "Results", "Work", "Action", "Heartbeat", "Webhooks"),
        *("Pipelines", "Pipeline", "Mapper"),
    ],
)
def test_both_colours_have_the_same_members_and_parameters(name: str) -> None:
    blocking = dict(_members(getattr(sdk, name)))
    waiting = dict(_members(getattr(sdk, f"Async{name}")))
    waiting = {"close" if key == "aclose" else key: value for key, value in waiting.items()}
    assert blocking == waiting


def _members(kind: type) -> list[tuple[str, list[str]]]:
    return [
        (name, list(inspect.signature(value).parameters) if callable(value) else [])
        for name, value in vars(kind).items()
        if not name.startswith("_")
    ]


def test_every_public_method_says_what_it_does() -> None:
    kinds = [kind for name in sdk.__all__ if inspect.isclass(kind := getattr(sdk, name))]
    silent = [
        f"{kind.__name__}.{name}"
        for kind in kinds
        if kind.__module__.startswith("longshore.sdk")
        for name, value in vars(kind).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property))
        and not inspect.getdoc(value)
    ]
    assert silent == []


def test_the_blocking_colour_is_what_the_tool_generates() -> None:
    result = subprocess.run(
        [sys.executable, "tools/unasync.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_a_users_program_is_checked_by_mypy(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file="),
            f"--cache-dir={tmp_path / 'cache'}",
            program.name,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^program\.py:(\d+): error: .*\[([\w-]+)\]$", result.stdout, re.MULTILINE)
    expected = [
        (str(number), mark[1])
        for number, line in enumerate(PROGRAM.splitlines(), start=1)
        if (mark := re.search(r"# error: ([\w-]+)$", line))
    ]
    assert found == expected, result.stdout + result.stderr
