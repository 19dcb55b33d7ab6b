"""`longshore demo all` has something in each surface, of each kind that a person should see; `clear` takes it away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.cli.demo import clearing, everything, names
from longshore.cli.demo.crew import Crew
from longshore.cli.demo.filling.reaching import Made, Reach
from longshore.cli.demo.processes import DemoServer

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Reach, Made]]:
    directory = tmp_path_factory.mktemp("everything")
    logs = Path(directory, "logs")
    logs.mkdir()
    with (
        DemoServer(directory) as server,
        Reach(server.url, server.key) as reach,
        Crew(reach, logs) as crew,
    ):
        made = everything.fill(reach, long_s=120.0)
        everything.settle(reach, made)
        everything.feed(reach, 5)
        crew.expect_alive()
        yield reach, made


def test_buckets_have_works_of_each_kind(filled: tuple[Reach, Made]) -> None:
    client, made = filled[0].client, filled[1]
    assert client.buckets.status(names.DEMO_BUCKET)["success"] >= 60
    assert client.buckets.status(names.DEMO_BUCKET_SLOW)["running"] == 3
    failing = made.works[names.DEMO_BUCKET_FAILING]
    states = {client.works.get(work).final for work in failing[2:4]}
    assert states == {True, False}
    assert "held" in client.why(made.works[names.DEMO_BUCKET_HELD][0]).text
    assert "no worker" in client.why(made.works[names.DEMO_BUCKET_IDLE][1]).text
    assert client.results.view(names.DEMO_BUCKET, {"results.locked": True})


def test_a_run_has_receipts_to_review_and_one_that_failed(filled: tuple[Reach, Made]) -> None:
    client, made = filled[0].client, filled[1]
    results = client.runs.of(made.runs["done"]).results(confidence=True, validation=True)
    assert sum(bool(file.error_msg) for file in results) == 1
    unsure = [
        field
        for _, _, field in results.fields()
        if field.confidence and field.confidence.model is not None and field.confidence.model < 0.5
    ]
    assert unsure
    assert not client.runs.of(made.runs["slow"]).refresh().finished


def test_pipelines_are_done_partly_pulled_refused_slow_and_cancelled(
    filled: tuple[Reach, Made],
) -> None:
    client, made = filled[0].client, filled[1]
    status = {key: client.pipelines.of(id_).get_status() for key, id_ in made.pipelines.items()}
    assert status["done"].batch_status == "completed"
    assert status["buffered"].records_available > 0
    assert status["slow"].batch_status == "in_progress"
    assert status["cancelled"].batch_status == "cancelled"
    assert client.pipelines.of(made.pipelines["refused"]).get_info().summary.records_failed == 20


def test_the_corpus_has_pages_and_a_process_with_errors(filled: tuple[Reach, Made]) -> None:
    reach, made = filled
    assert made.corpus is not None
    assert reach.corpus.count(made.corpus, names.DEMO_PAGE_TYPE) == 6
    assert reach.corpus.count(made.corpus, names.DEMO_LINE_TYPE) == 48
    assert reach.corpus.process(made.processes["done"])["state"] == "completed"
    assert reach.corpus.process(made.processes["slow"])["progress"]["total"] == 48


def test_workflows_are_finished_running_failed_held_waiting_and_scheduled(
    filled: tuple[Reach, Made],
) -> None:
    reach, made = filled
    states = {
        name: reach.scripts("GET", f"/runs/{run_id}")["state"]
        for name, run_id in made.workflow_runs.items()
    }
    assert states[names.DEMO_WORKFLOW] == "finished"
    assert states[names.DEMO_WORKFLOW_BROKEN] == "failed"
    for name in (names.DEMO_WORKFLOW_LONG, names.DEMO_WORKFLOW_HELD, names.DEMO_WORKFLOW_WAITING):
        assert states[name] not in ("finished", "failed", "cancelled")
    schedules = reach.scripts("GET", f"/workflows/{names.DEMO_WORKFLOW_CLOCK}/schedules")
    assert len(schedules["schedules"] if isinstance(schedules, dict) else schedules) == 2


def test_clearing_leaves_nothing_that_can_be_deleted(filled: tuple[Reach, Made]) -> None:
    reach, _ = filled
    assert {key.role for key in reach.client.keys.list()} >= {"viewer", "operator", "ingress"}
    assert len(reach.client.keystore.list()) == 4
    removed = clearing.clear(reach)
    assert removed["works of buckets"] >= 83
    assert removed["runs of workflows"] >= 5
    assert reach.client.runs.list() == []
    assert reach.client.batches.list() == []
    assert reach.client.keystore.list() == []
    assert reach.corpus.corpora() == []
    assert reach.client.buckets.count({"pipeline": {"$regex": "^demo-"}}) == 0
