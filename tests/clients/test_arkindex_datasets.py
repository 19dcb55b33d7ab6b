"""Workers over sets of datasets, of the published library in both versions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.harness import eventually
from tests.clients.arkindex_rig import (
    EARLY,
    FLAVOURS,
    TODAY,
    Archive,
    StartWorker,
    program,
)


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def dataset_of(archive: Archive) -> dict[str, Any]:
    """Make a dataset with two pages to train on and one to test with."""
    body = {"name": "texts", "description": "", "set_names": ["train", "test"]}
    made: dict[str, Any] = archive.call("POST", f"/corpus/{archive.corpus_id}/datasets/", body)
    for name, page in zip(("a", "b", "c"), archive.pages("a", "b", "c"), strict=True):
        archive.call("POST", f"/element/{page}/transcription/", {"text": f"text of {name}"})
        where = {"set": "test" if name == "c" else "train", "element_id": page}
        archive.call("POST", f"/datasets/{made['id']}/elements/", where)
    return made


def complete(archive: Archive, dataset: dict[str, Any]) -> None:
    archive.call("POST", f"/datasets/{dataset['id']}/build/")

    def built() -> bool:
        return bool(archive.call("GET", f"/datasets/{dataset['id']}/")["state"] == "complete")

    eventually(built, 60.0, "the dataset is complete")


def sets_of(archive: Archive, dataset: dict[str, Any]) -> list[str]:
    shown = archive.call("GET", f"/datasets/{dataset['id']}/")
    return [each["id"] for each in shown["set_elements_ids"]] if "set_elements_ids" in shown else [
        archive.call("GET", f"/datasets/{dataset['id']}/sets/{name}/")["id"]
        for name in ("train", "test")
    ]  # fmt: skip


def test_a_worker_over_sets_reads_their_data(
    archive: Archive, flavour: str, start_worker: StartWorker
) -> None:
    dataset = dataset_of(archive)
    complete(archive, dataset)
    archive.worker("counter", kind="dataset")
    process = archive.process(
        mode="dataset", run={"worker": "counter"}, sets=sets_of(archive, dataset)
    )
    start_worker(
        {"counter": program(flavour, "arkindex_sets.py", archive.home)},
        "--task-kind",
        "counter=dataset",
    )
    assert archive.ended(process) == "completed", archive.logs(process)
    printed = archive.logs(process)
    assert 'set ["train", ["a", "b"]]' in printed
    assert 'set ["test", ["c"]]' in printed
    assert printed.count("counts [3, 3, 3]") == 2, printed
    if flavour == EARLY:
        assert printed.count("images 3") == 2
        assert printed.count("Downloading artifact for") == 1


def test_a_worker_over_elements_takes_those_of_sets(
    archive: Archive, flavour: str, start_worker: StartWorker
) -> None:
    dataset = dataset_of(archive)
    archive.worker()
    process = archive.process(mode="dataset", sets=sets_of(archive, dataset))
    ended = archive.work(flavour, "arkindex_toy.py", worker_run=archive.run_of(process))
    assert ended.status == 0, ended.log
    assert "3 completed, 0 failed" in ended.log
    for row in archive.listed(f"/corpus/{archive.corpus_id}/elements/", type="page"):
        assert f"text of {row['name']}" in archive.texts(row["id"])


def test_a_dataset_that_is_not_complete_fails_its_sets_in_the_early_version(
    archive: Archive, start_worker: StartWorker
) -> None:
    dataset = dataset_of(archive)
    archive.worker("counter", kind="dataset")
    process = archive.process(
        mode="dataset", run={"worker": "counter"}, sets=sets_of(archive, dataset)
    )
    start_worker(
        {"counter": program(EARLY, "arkindex_sets.py", archive.home)},
        "--task-kind",
        "counter=dataset",
    )
    assert archive.ended(process) == "failed"
    assert "its dataset state should be Complete" in archive.logs(process)


def test_elements_come_from_the_export_of_a_process(
    archive: Archive, start_worker: StartWorker
) -> None:
    archive.pages("one", "two")
    archive.worker()
    process = archive.process(mode="export", element_type="page")
    for flavour in (TODAY, EARLY):
        ended = archive.work(flavour, "arkindex_toy.py", worker_run=archive.run_of(process))
        assert ended.status == 0, ended.log
        assert "2 completed, 0 failed" in ended.log
