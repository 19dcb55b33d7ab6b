"""`longshore demo clear` takes the demo's things away, and nothing that only looks like them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.cli.demo import clearing, names
from longshore.cli.demo.filling import people, scripts
from longshore.cli.demo.filling.reaching import Made, Reach
from longshore.cli.demo.receipts_source import APP_NAME, OWNER
from longshore.testing import RunningServer, running_server

MODULE = f"""
import longshore

@longshore.app({APP_NAME!r}, owner={OWNER!r}, version="1.0.0")
def receipt(file: longshore.InputFile) -> list[longshore.Document]:
    return []

@longshore.service("demo/mine")
def mine(x: float) -> dict:
    return {{"y": x}}

@longshore.service({names.DEMO_SERVICE!r})
def premium(x: float) -> dict:
    return {{"y": x}}
"""


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server() as made:
        yield made


@pytest.fixture
def reach(server: RunningServer) -> Iterator[Reach]:
    with Reach(server.url, server.key) as made:
        yield made


def test_runs_batches_and_pipelines_of_others_stay(
    server: RunningServer, reach: Reach, tmp_path: Path
) -> None:
    module, file = tmp_path / "own.py", tmp_path / "a.txt"
    module.write_text(MODULE)
    file.write_text("a receipt")
    client = server.client
    worker = server.worker(module)
    kept = []
    for batch_name, tag in (
        ("January", "demo"),
        ("January", names.DEMO_TAG),
        (names.DEMO_BATCH, "demo"),
        (names.DEMO_BATCH, names.DEMO_TAG),
    ):
        batch = client.batches.create(batch_name)
        batch.add_files([str(file)], progress=False)
        run = client.runs.create(APP_NAME, batch=batch, owner=OWNER, tags=[tag, "for-customer"])
        kept.append(run.id)
    gone = kept.pop()
    mine = [
        client.pipelines.create("demo/mine", source_system=names.DEMO_TAG).id,
        client.pipelines.create(names.DEMO_SERVICE, source_system="ours").id,
    ]
    demos = client.pipelines.create(names.DEMO_SERVICE, source_system=names.DEMO_TAG).id
    worker.work_until_idle()
    server.settle()
    removed: Counter[str] = Counter()
    clearing._apps(reach, removed)
    clearing._pipelines(reach, removed)
    assert {run.id for run in client.runs.list()} == set(kept)
    assert gone not in kept
    found = client.pipelines.describe()
    left = {info.id for info in (*found.in_progress, *found.recent)}
    assert (left >= set(mine), demos in left) == (True, False)
    assert "demo/mine" in {service.name for service in client.services.list()}


def test_works_and_holds_of_others_in_buckets_of_the_same_name_stay(
    server: RunningServer, reach: Reach
) -> None:
    (mine,) = server.deposit(names.DEMO_BUCKET_HELD, {"x": 1}, tags=["demo"])
    server.deposit(names.DEMO_BUCKET_HELD, {"x": 1}, {"x": 2}, tags=[names.DEMO_TAG])
    (queue,) = [each for each in server.client.queues.list() if each.surface == "buckets"]
    server.client.queues.hold(queue.id, "our own repairs")
    removed: Counter[str] = Counter()
    clearing._buckets(reach, removed)
    found = server.client.buckets.view({"pipeline": names.DEMO_BUCKET_HELD})
    assert [work["id"] for work in found] == [mine]
    (queue,) = [each for each in server.client.queues.list() if each.id == queue.id]
    assert queue.held is not None
    assert removed["works of buckets"] == 2


def test_keys_and_secrets_of_others_stay_as_they_are(server: RunningServer, reach: Reach) -> None:
    client = server.client
    mine = client.keys.create("demo viewer", "viewer")
    client.keystore.set("demo_report_key", "ours")
    people.fill(reach, Made())
    assert {key.name for key in client.keys.list()} >= {name for name, _ in names.DEMO_KEYS}
    assert len(client.keystore.list()) > 1
    clearing._people(reach, Counter())
    keys = {key.id: key for key in client.keys.list()}
    assert keys[mine.id].revoked_at is None
    assert {key.name for key in keys.values() if key.revoked_at is None}.isdisjoint(
        name for name, _ in names.DEMO_KEYS
    )
    assert [entry.name for entry in client.keystore.list()] == ["demo_report_key"]


def test_workflows_of_others_stay(server: RunningServer, reach: Reach) -> None:
    own = {
        "workflow": names.DEMO_WORKFLOW_LONG,
        "description": "Ours.",
        "defaults": {"host": "ours", "timeout_s": 60},
        "steps": {"one": {"command": ["true"]}},
    }
    reach.scripts("PUT", "/hosts/ours")
    for host in (names.DEMO_HOST, names.DEMO_HOST_OTHER):
        reach.scripts("PUT", f"/hosts/{host}")
    broken = next(
        each for each in scripts.definitions(1.0) if each["workflow"] == names.DEMO_WORKFLOW_BROKEN
    )
    for definition in (own, broken):
        reach.scripts("POST", "/workflows", {"text": json.dumps(definition)})
        path = f"/workflows/{definition['workflow']}/runs"
        reach.scripts("POST", path, {"payload": None})
    removed: Counter[str] = Counter()
    clearing._workflows(reach, removed)
    assert removed == {"workflows (retired)": 1, "runs of workflows": 1}
    (left,) = reach.scripts("GET", "/runs")["runs"]
    assert left["workflow"] == names.DEMO_WORKFLOW_LONG
