"""Workers over elements, of the published library in both versions, on a real server."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from tests.clients.arkindex_rig import FLAVOURS, TODAY, Archive

TOY = "arkindex_toy.py"


@pytest.fixture(autouse=True)
def toy(archive: Archive) -> None:
    archive.worker()


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_elements_by_flag_are_processed_once_and_skipped_the_second_time(
    archive: Archive, flavour: str
) -> None:
    first, second = archive.pages("first", "second")
    process = archive.process(element_type="page")
    run = archive.run_of(process)
    ended = archive.work(flavour, TOY, "--element", first, second, worker_run=run)
    assert ended.status == 0, ended.log
    assert archive.states(process) == {first: "processed", second: "processed"}
    assert archive.texts(first) == ["text of first"]
    (found,) = archive.call("GET", f"/element/{first}/", params={"with_classes": True})["classes"]
    assert (found["ml_class"]["name"], found["confidence"]) == ("letter", 0.9)
    assert found["worker_run"]["id"] == run

    again = archive.work(flavour, TOY, "--element", first, second, worker_run=run)
    assert again.status == 0, again.log
    assert again.log.count("Skipping element") == 2
    assert "2 completed, 0 failed" in again.log
    assert archive.texts(first) == ["text of first"]


def test_one_of_three_that_fails_is_an_error_and_the_rest_is_done(
    archive: Archive, flavour: str
) -> None:
    pages = archive.pages("one", "two", "three")
    process = archive.process(element_type="page")
    ended = archive.work(
        flavour, TOY, "--element", *pages, "--fail", "two", worker_run=archive.run_of(process)
    )
    assert ended.status == 0, ended.log
    assert "2 completed, 1 failed" in ended.log
    assert list(archive.states(process).values()).count("error") == 1
    assert archive.states(process)[pages[1]] == "error"
    # Nothing failed the second time: what was an error is begun again, the others are skipped.
    again = archive.work(flavour, TOY, "--element", *pages, worker_run=archive.run_of(process))
    assert (again.status, again.log.count("Skipping element")) == (0, 2), again.log
    assert set(archive.states(process).values()) == {"processed"}


def test_when_all_fail_the_exit_status_is_one(archive: Archive, flavour: str) -> None:
    (page,) = archive.pages("one")
    process = archive.process(element_type="page")
    ended = archive.work(
        flavour, TOY, "--element", page, "--fail", "one", worker_run=archive.run_of(process)
    )
    assert ended.status == 1
    assert archive.states(process) == {page: "error"}


def test_elements_come_from_a_list_or_its_variable(
    archive: Archive, flavour: str, tmp_path: Path
) -> None:
    pages = archive.pages("one", "two")
    process = archive.process(element_type="page")
    names = tmp_path / "elements.json"
    names.write_text(json.dumps([{"id": page, "type": "page"} for page in pages]))
    run = archive.run_of(process)
    ended = archive.work(flavour, TOY, "--elements-list", str(names), worker_run=run)
    assert ended.status == 0, ended.log
    again = archive.work(flavour, TOY, worker_run=run, TASK_ELEMENTS=str(names))
    assert again.log.count("Skipping element") == 2, again.log
    assert set(archive.states(process).values()) == {"processed"}


def test_the_queue_of_the_server_gives_each_element_once(archive: Archive) -> None:
    pages = archive.pages(*(f"page {number}" for number in range(6)))
    archive.worker("queued")
    process = archive.process(element_type="page", queue=True, run={"worker": "queued"})
    run, token = archive.run_of(process), archive.claim_task("queued")["token"]
    both = [archive.start(TODAY, TOY, worker_run=run, ARKINDEX_TASK_TOKEN=token) for _ in range(2)]
    logs = [each.communicate(timeout=120)[1] for each in both]
    assert [each.returncode for each in both].count(0) >= 1, logs
    assert archive.states(process) == dict.fromkeys(pages, "processed")
    for page in pages:
        assert len(archive.texts(page)) == 1


def test_all_helpers_for_results_reach_the_server(archive: Archive, flavour: str) -> None:
    (page,) = archive.pages("deep")
    process = archive.process(element_type="page")
    run = archive.run_of(process)
    ended = archive.work(flavour, TOY, "--element", page, "--deep", worker_run=run)
    assert ended.status == 0, ended.log
    (children,) = ended.said("children")
    (zones,) = ended.said("zones")
    assert [zone["created"] for zone in zones] == [True]
    assert ended.said("listed") == [4]
    shown = archive.listed(f"/elements/{page}/children/", type="text_line")
    assert [each["id"] for each in shown[:3]] == children
    assert archive.texts(page, recursive=True) == [
        "a zone", "line 0", "line 1", "line 2", "text of deep",
    ]  # fmt: skip
    assert archive.texts(page, worker_run=run) == ["text of deep"]
    classes = archive.call("GET", f"/element/{page}/", params={"with_classes": True})["classes"]
    assert {found["ml_class"]["name"] for found in classes} == {"letter", "old", "torn"}
    (place,) = archive.call("GET", f"/element/{page}/metadata/")
    assert (place["name"], place["value"]) == ("place", "Rouen")
    assert "image (200, 300)" in ended.output


def test_what_is_wrong_ends_with_the_status_of_the_protocol(
    archive: Archive, flavour: str, tmp_path: Path
) -> None:
    (page,) = archive.pages("one")
    run = archive.run_of(archive.process(element_type="page"))
    names = tmp_path / "elements.json"
    names.write_text(json.dumps([{"id": page, "type": "page"}]))
    for status, arguments in (
        (1, ()),
        (1, ("--element", "nonsense")),
        (1, ("--element", str(uuid.uuid4()))),
        (1, ("--element", page, "--elements-list", str(names))),
        (2, ("--unheard-of",)),
    ):
        ended = archive.work(flavour, TOY, *arguments, worker_run=run)
        assert ended.status == status, (arguments, ended.log)
    dev = archive.work(flavour, TOY, "--element", page, "--dev", worker_run=run)
    assert dev.status == 0, dev.log
    assert archive.texts(page) == []


def test_configuration_and_secrets_come_from_the_server(archive: Archive, flavour: str) -> None:
    archive.call("PUT", "/longshore/v1/corpus/secrets/toy%2Ftoken.json", {"content": '{"a": 1}'})
    archive.worker(
        "configured",
        configuration={
            "configuration": {"fixed": 1, "shared": "version"},
            "user_configuration": {
                "shared": {"title": "Shared", "type": "string", "default": "default"},
                "chosen": {"title": "Chosen", "type": "int", "default": 2},
            },
            "secrets": ["toy/token.json"],
        },
    )
    (page,) = archive.pages("one")
    run = {"worker": "configured", "configuration": {"chosen": 3}}
    process = archive.process(element_type="page", run=run)
    ended = archive.work(flavour, TOY, "--element", page, worker_run=archive.run_of(process))
    assert ended.status == 0, ended.log
    (config,) = ended.said("config")
    assert config.items() >= {"fixed": 1, "shared": "default", "chosen": 3}.items()
    (found,) = ended.said("secrets")
    assert found == {"toy/token.json": {"a": 1}}
