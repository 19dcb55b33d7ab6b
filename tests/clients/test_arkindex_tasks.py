"""Programs of the published library as tasks of `longshore worker`, in both versions."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
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


def test_a_process_runs_a_published_worker_in_chunks(
    archive: Archive, flavour: str, start_worker: StartWorker
) -> None:
    pages = archive.pages("one", "two", "three")
    archive.worker()
    process = archive.process(element_type="page", chunks=2)
    start_worker({"toy": program(flavour, "arkindex_toy.py", archive.home)}, slots=2)
    assert archive.ended(process) == "completed", archive.logs(process)
    assert archive.states(process) == dict.fromkeys(pages, "processed")
    assert [archive.texts(page) for page in pages] == [
        ["text of one"], ["text of two"], ["text of three"],
    ]  # fmt: skip


def test_a_published_worker_takes_elements_from_the_queue(
    archive: Archive, start_worker: StartWorker
) -> None:
    pages = archive.pages("one", "two", "three")
    archive.worker()
    process = archive.process(element_type="page", queue=True, chunks=2)
    start_worker({"toy": program(TODAY, "arkindex_toy.py", archive.home)}, slots=1)
    # The second task finds nothing left, at which the program ends with status 1.
    assert archive.ended(process) == "completed", archive.logs(process)
    assert archive.states(process) == dict.fromkeys(pages, "processed"), archive.logs(process)


def test_a_program_that_is_killed_leaves_nothing_undone_or_done_twice(
    archive: Archive, flavour: str, tmp_path: Path, start_worker: StartWorker
) -> None:
    pages = archive.pages("one", "two", "three")
    archive.worker("slow")
    process = archive.process(element_type="page", run={"worker": "slow"})
    gate = tmp_path / "gate"
    gate.mkdir()
    start_worker(
        {"slow": program(flavour, "arkindex_slow.py", archive.home)}, variables={"GATE": str(gate)}
    )
    (begun,) = eventually(lambda: list(gate.glob("begun-*")), 60.0, "the program has begun")
    psutil.Process(int(begun.name.split("-")[1])).kill()
    eventually(lambda: len(list(gate.glob("begun-*"))) > 1, 60.0, "another one has begun")
    (gate / "open").touch()
    assert archive.ended(process) == "completed", archive.logs(process)
    assert archive.states(process) == dict.fromkeys(pages, "processed")
    assert [len(archive.texts(page)) for page in pages] == [1, 1, 1]


def test_a_model_and_files_of_a_task_are_kept(
    archive: Archive, flavour: str, start_worker: StartWorker
) -> None:
    (page,) = archive.pages("one")
    model = archive.call("POST", "/models/", {"name": f"model of {archive.corpus_id}"})
    archive.worker(
        "trainer",
        configuration={"user_configuration": {"model": {"title": "Model", "type": "string"}}},
    )
    run = {"worker": "trainer", "configuration": {"model": model["id"]}}
    process = archive.process(element_type="page", run=run)
    start_worker({"trainer": program(flavour, "arkindex_trainer.py", archive.home)})
    assert archive.ended(process) == "completed", archive.logs(process)
    assert archive.states(process) == {page: "processed"}, archive.logs(process)
    (version,) = archive.listed(f"/model/{model['id']}/versions/")
    assert (version["state"], version["tag"]) == ("available", "of one")
    assert version["configuration"] == {"layers": 3}
    (task,) = archive.call("GET", f"/process/{process['id']}/")["tasks"]
    (report,) = (
        each
        for each in archive.call("GET", f"/task/{task['id']}/artifacts/")
        if each["path"] == f"reports/{page}.bin"
    )
    found = archive.ask("GET", f"/task/{task['id']}/artifact/{report['path']}")
    assert found.content == b"report of one"


def test_elements_and_texts_are_handed_on_in_the_cache(
    archive: Archive, start_worker: StartWorker
) -> None:
    (page,) = archive.pages("one")
    archive.worker("first")
    archive.worker("second")
    body = {
        "corpus": archive.corpus_id,
        "element_type": "page",
        "use_cache": True,
        "workers": [{"worker": "first"}, {"worker": "second", "parents": [0]}],
    }
    process = archive.call("POST", "/process/", body)
    archive.call("POST", f"/process/{process['id']}/start/")
    words = program(EARLY, "arkindex_cached.py", archive.home)
    start_worker({"first": words, "second": words})
    assert archive.ended(process) == "completed", archive.logs(process)
    assert archive.texts(page) == ["reading 1", "reading 2"], archive.logs(process)
    printed = archive.logs(process)
    assert printed.count('kind "CachedElement"') == 2
    assert re.search(r'earlier \["reading 1"\]', printed)
