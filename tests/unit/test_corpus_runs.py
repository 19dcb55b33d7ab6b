from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from longshore.corpus import cache
from tests.unit.corpus_server import PROCESS, ProtocolServer, Reply, uuid
from tests.unit.corpus_worker_rig import Program, native_program, native_server, program, server

__all__ = ["native_program", "native_server", "program", "server"]

FAILING = """
class Toy(ElementsWorker):
    def process_element(self, element):
        if element.name in os.environ.get("FAIL", "").split():
            raise ValueError("no text")
        print("done", element.name)
"""


def test_each_element_is_fetched_started_and_processed_in_turn(program: Program) -> None:
    ids = program.server.add(2)
    program.write(FAILING)
    ended = program.run("--element", *ids)
    assert ended.code == 0, ended
    assert ended.output.split() == ["done", "0001", "done", "0002"]
    assert "Ran on 2 elements: 2 completed, 0 failed" in ended.errors
    one = ["RetrieveElement", "UpdateWorkerActivity", "UpdateWorkerActivity"]
    assert program.server.names() == ["RetrieveWorkerRun", *one, *one]
    assert program.server.bodies("UpdateWorkerActivity") == [
        {"element_id": element_id, "process_id": PROCESS, "state": state}
        for element_id in ids
        for state in ("started", "processed")
    ]


def test_a_second_run_skips_what_is_done(program: Program) -> None:
    ids = program.server.add(2)
    program.write(FAILING)
    assert program.run("--element", *ids).code == 0
    ended = program.run("--element", *ids)
    assert ended.code == 0
    assert ended.output == ""
    assert f"Skipping element {ids[0]} as it was already processed" in ended.errors
    assert "Ran on 2 elements: 2 completed, 0 failed" in ended.errors


def test_one_element_that_fails_is_told_and_the_others_go_on(program: Program) -> None:
    ids = program.server.add(3)
    program.write(FAILING)
    ended = program.run("--element", *ids, FAIL="0002")
    assert ended.code == 0
    assert f"Failed running worker on element {ids[1]}: ValueError('no text')" in ended.errors
    assert "Traceback" not in ended.errors
    assert "Ran on 3 elements: 2 completed, 1 failed" in ended.errors
    assert list(program.server.states.values()) == ["processed", "error", "processed"]
    again = program.run("--element", *ids, "--verbose", FAIL="0002")
    assert "Traceback" in again.errors


def test_a_run_exits_with_1_when_all_elements_fail(program: Program) -> None:
    ids = program.server.add(2)
    program.write(FAILING)
    ended = program.run("--element", *ids, FAIL="0001 0002")
    assert ended.code == 1
    assert "Ran on 2 elements: 0 completed, 2 failed" in ended.errors


def test_an_element_that_cannot_be_fetched_fails_without_an_activity(program: Program) -> None:
    (known,) = program.server.add(1)
    program.write(FAILING)
    ended = program.run("--element", uuid(77), known)
    assert ended.code == 0
    assert f"An API error occurred while processing element {uuid(77)}: 404 Not Found" in (
        ended.errors
    )
    assert {body["element_id"] for body in program.server.bodies("UpdateWorkerActivity")} == {known}
    assert program.run("--element", uuid(77)).code == 1


def test_an_element_whose_start_is_refused_otherwise_fails_and_is_not_worked_on(
    program: Program,
) -> None:
    ids = program.server.add(2)
    program.write(FAILING)
    program.server.answers["UpdateWorkerActivity"] = [Reply(403, {"detail": "no"})]
    ended = program.run("--element", *ids)
    assert ended.code == 0
    assert ended.output.split() == ["done", "0002"]
    states = [body["state"] for body in program.server.bodies("UpdateWorkerActivity")]
    assert states == ["started", "error", "started", "processed"]


def test_an_element_whose_end_is_refused_has_failed(program: Program) -> None:
    ids = program.server.add(2)
    program.write(FAILING)
    program.server.answers["UpdateWorkerActivity"] = [None, Reply(409, {"detail": "no"})]
    ended = program.run("--element", *ids)
    assert "Ran on 2 elements: 1 completed, 1 failed" in ended.errors
    states = [body["state"] for body in program.server.bodies("UpdateWorkerActivity")]
    assert states == ["started", "processed", "error", "started", "processed"]


def test_a_list_names_the_elements_also_by_the_environment(
    program: Program, tmp_path: Path
) -> None:
    ids = program.server.add(2)
    program.write(FAILING)
    path = tmp_path / "elements.json"
    path.write_text(json.dumps([{"id": ids[1], "type": "page"}, {"type": "page"}]))
    assert program.run("--elements-list", str(path)).output.split() == ["done", "0002"]
    path.write_text(json.dumps([{"id": ids[0], "type": "page"}]))
    assert program.run(TASK_ELEMENTS=str(path)).output.split() == ["done", "0001"]


@pytest.mark.parametrize(
    ("arguments", "content", "code", "message"),
    [
        ([], "", 1, "No elements to process, stopping."),
        (["--elements-list", "LIST"], "{}", 1, "Elements list must be a list"),
        (["--elements-list", "LIST"], "[]", 1, "No elements in elements list"),
        (["--elements-list", "LIST", "--element", uuid(1)], "[]", 1, "shouldn't be both set"),
        (["--element", "page-1"], "", 1, "These element IDs are invalid: page-1"),
        (["--elements-list", "missing.json"], "", 1, "FileNotFoundError"),
        (["--what"], "", 2, "unrecognized arguments"),
        (["--slots", "0"], "", 2, "--slots"),
        (["--set", "one"], "", 2, "--set"),
    ],
)
def test_what_cannot_be_worked_on_ends_the_run(
    program: Program, tmp_path: Path, arguments: list[str], content: str, code: int, message: str
) -> None:
    path = tmp_path / "elements.json"
    path.write_text(content)
    ended = program.run(*(str(path) if one == "LIST" else one for one in arguments))
    assert (ended.code, message in ended.errors) == (code, True), ended


def test_without_a_worker_run_nothing_is_written(program: Program) -> None:
    ids = program.server.add(1)
    program.write(
        """
        class Toy(ElementsWorker):
            def process_element(self, element):
                print(self.create_metadata(element, type=MetaType.Text, name="a", value="b"))
        """
    )
    ended = program.run("--dev", "--element", *ids, ARKINDEX_CORPUS_ID=uuid(5))
    assert ended.code == 0, ended
    assert ended.output.split() == ["None"]
    assert program.server.names() == ["RetrieveElement"]
    assert "No worker activity will be stored" in ended.errors
    unset = program.run("--element", *ids, ARKINDEX_WORKER_RUN_ID="")
    assert "Missing ARKINDEX_WORKER_RUN_ID environment variable" in unset.errors
    assert unset.code == 0


@pytest.mark.parametrize(
    ("process", "arguments"),
    [
        ({"activity_state": "disabled"}, []),
        ({"mode": "export"}, []),
        ({}, ["--no-worker-activity"]),
    ],
)
def test_activities_are_only_told_where_there_are_any(
    program: Program, process: dict[str, str], arguments: list[str]
) -> None:
    ids = program.server.add(1)
    program.server.process |= process
    ended = program.run("--element", *ids, *arguments)
    assert ended.code == 0, ended
    assert program.server.names() == ["RetrieveWorkerRun", "RetrieveElement"]


def test_an_export_process_works_on_the_elements_of_the_process(program: Program) -> None:
    ids = program.server.add(3)
    program.server.process["mode"] = "export"
    program.write(FAILING)

    def listed(arguments: dict[str, str], body: None) -> Reply:
        if "cursor" not in arguments:
            assert arguments["with_count"] == "True"
            after = f"{program.server.url}?cursor=2"
            content = {"count": 3, "results": [{"id": one} for one in ids[:2]], "next": after}
        else:
            content = {"results": [{"id": ids[2]}], "next": None}
        return Reply(200, content)

    program.server.answers["ListProcessElements"] = listed
    ended = program.run()
    assert sorted(ended.output.split()) == ["0001", "0002", "0003", "done", "done", "done"]


def _sets(server: ProtocolServer) -> Callable[..., Reply]:
    def listed(arguments: dict[str, str], body: None) -> Reply:
        found = [element for name, element in server.elements.items() if name[-1] != "3"]
        content = {"count": 2, "next": None, "results": [{"element": one} for one in found]}
        return Reply(200, content)

    return listed


def test_the_elements_of_sets_need_not_be_fetched(program: Program) -> None:
    program.server.add(3)
    program.server.answers["ListDatasetElements"] = _sets(program.server)
    dataset = {"id": uuid(50), "name": "Letters", "state": "complete"}
    program.server.answers["RetrieveDataset"] = lambda *_: dataset
    program.write(FAILING)
    ended = program.run("--set", f"{uuid(50)}:train")
    assert ended.output.split() == ["done", "0001", "done", "0002"]
    assert "RetrieveElement" not in program.server.names()
    call = next(one for one in program.server.calls if one[0] == "ListDatasetElements")
    assert call[1]["set"] == "train"


def test_the_queue_is_followed_until_it_is_empty(program: Program) -> None:
    program.server.add(2)
    program.server.process["skip_elements_json"] = True
    program.write(FAILING)
    ended = program.run(FAIL="0002")
    assert ended.code == 0, ended
    assert program.server.names() == [
        "RetrieveWorkerRun",
        *["StartWorkerActivity", "RetrieveElement", "UpdateWorkerActivity"] * 2,
        "StartWorkerActivity",
    ]
    states = [body["state"] for body in program.server.bodies("UpdateWorkerActivity")]
    assert states == ["processed", "error"]
    assert "(n°2)" in ended.errors
    empty = program.run()
    assert (empty.code, "No elements to process, stopping." in empty.errors) == (1, True)


@pytest.mark.parametrize("slots", ["1", "2"])
def test_a_longshore_server_is_asked_for_many_elements_at_a_time(
    native_program: Program, slots: str
) -> None:
    server = native_program.server
    server.add(40)
    server.process["skip_elements_json"] = True
    native_program.write(FAILING)
    ended = native_program.run("--slots", slots, FAIL="0007")
    assert ended.code == 0, ended
    assert sorted(ended.output.split()[1::2]) == [f"{n:04}" for n in range(1, 41) if n != 7]
    assert "UpdateWorkerActivity" not in server.names()
    assert len(server.bodies("ReportActivities")) < 20
    reports = [one for body in server.bodies("ReportActivities") for one in body["reports"]]
    assert len(reports) == 40
    (bad,) = [one for one in reports if one["state"] == "error"]
    assert (bad["error"]["type"], bad["error"]["message"]) == ("ValueError", "no text")
    assert "no text" in bad["error"]["traceback"]
    assert set(server.states.values()) == {"processed", "error"}


@pytest.mark.parametrize("slots", ["1", "2"])
@pytest.mark.parametrize("kind", ["protocol", "bulk"])
def test_elements_of_the_cache_need_not_be_fetched(
    program: Program, native_program: Program, tmp_path: Path, kind: str, slots: str
) -> None:
    used = native_program if kind == "bulk" else program
    ids = used.server.add(3)
    path = tmp_path / "db.sqlite"
    cache.init_cache_db(path)
    cache.create_version_table()
    cache.create_tables()
    for element_id in ids:
        cache.CachedElement.create(id=element_id, type="page", initial=element_id != ids[1])
    cache.db.close()
    used.write(
        """
        class Toy(ElementsWorker):
            def __init__(self):
                super().__init__(support_cache=True)

            def process_element(self, element):
                print(type(element).__name__, element.id, element.type)
        """
    )
    used.start_as = "Toy().run()"
    ended = used.run("-d", str(path), "--slots", slots)
    assert ended.code == 0, ended
    assert sorted(ended.output.splitlines()) == [
        *(f"CachedElement {ids[0]} page", f"CachedElement {ids[2]} page")
    ]
    assert "RetrieveElement" not in used.server.names()
    assert [used.server.states[one] for one in ids] == ["processed", "queued", "processed"]


def test_an_element_that_was_lost_meanwhile_does_not_count_as_done(
    native_program: Program,
) -> None:
    server = native_program.server
    ids = server.add(3)
    server.process["skip_elements_json"] = True
    native_program.write(FAILING)

    def report(arguments: dict[str, str], body: dict[str, list[dict[str, str]]]) -> Reply:
        lost = [one for one in body["reports"] if one["element_id"] == ids[1]]
        return Reply(200, {"lost": [[ids[1], 1, "its lease ran out"] for _ in lost]})

    server.answers["ReportActivities"] = report
    ended = native_program.run()
    assert ended.code == 0, ended
    assert f"The report on element {ids[1]} was refused: its lease ran out" in ended.errors
    assert "Ran on 3 elements: 2 completed, 1 failed" in ended.errors


def test_a_queue_that_has_elements_and_gives_none_is_waited_for(native_program: Program) -> None:
    server = native_program.server
    server.add(2)
    server.process["skip_elements_json"] = True
    native_program.write(FAILING)
    nothing = {"activities": [], "lease_s": 60.0, "queued": 2}
    server.answers["ClaimActivities"] = [nothing, nothing]
    ended = native_program.run()
    assert ended.output.split() == ["done", "0001", "done", "0002"], ended
    waits = [body["wait_s"] for body in server.bodies("ClaimActivities")]
    assert waits[:3] == [0.0, 5.0, 5.0]


def test_a_server_that_takes_no_reports_ends_the_run(native_program: Program) -> None:
    server = native_program.server
    server.add(2)
    server.process["skip_elements_json"] = True
    native_program.write(FAILING)
    server.answers["ReportActivities"] = lambda *_: Reply(401, {"detail": "the attempt is over"})
    ended = native_program.run()
    assert ended.code == 1
    assert "401 Unauthorized" in ended.errors
