"""The published commands `workflow buckets` and `workflow results`."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.clients.workflow_client import Console, Workspace, run_command


def printed(workspace: Workspace, *arguments: str, answer: str = "") -> str:
    done = run_command(workspace, *arguments, answer=answer)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(text: str) -> list[list[str]]:
    """Return the cells of a table that the client has drawn, the heading first."""
    lines = [line for line in text.splitlines() if re.search("[│┃|]", line)]
    return [[cell.strip() for cell in re.split("[│┃|]", line)[1:-1]] for line in lines]


def kept(console: Console, pipeline: str, status: str = "success", **fields: Any) -> str:
    """Run a work to its end and deposit it as a result; return its id."""
    work_id = console.deposit(pipeline, **fields)
    work = {**console.buckets.withdraw(pipeline), "status": status, "results": {"snr": 9.5}}
    console.results.deposit([work])
    return work_id


def _words(value: list[Any]) -> str:
    return " ".join(map(str, value)) or "nothing"


class TestBuckets:
    def test_ls_lists_the_buckets(self, console: Console, workspace: Workspace) -> None:
        for name in ("one", "two", "two"):
            console.deposit(name)
        heading, *found = rows(printed(workspace, "buckets", "ls"))
        assert heading == ["Buckets"]
        assert sorted(found) == [["one"], ["two"]]

    def test_ls_of_nothing_is_an_empty_table(self, workspace: Workspace) -> None:
        assert rows(printed(workspace, "buckets", "ls"))[1:] == []

    def test_ls_with_details_puts_each_count_under_its_name(
        self, console: Console, workspace: Workspace
    ) -> None:
        for status in ("queued", "queued", "queued", "running", "success", "success", "failure"):
            console.deposit("p", priority=1 if status == "queued" else 5)
            if status == "queued":
                continue
            work = console.buckets.withdraw("p", priority=5)
            if status != "running":
                console.buckets.update([{**work, "status": status}])
        assert rows(printed(workspace, "buckets", "ls", "-d")) == [
            ["name", "total", "queued", "running", "success", "failure"],
            ["p", "7", "3", "1", "2", "1"],
        ]

    def test_ps_shows_works(self, console: Console, workspace: Workspace) -> None:
        ids = [console.deposit("p") for _ in range(3)]
        console.deposit("q")
        one, two = (printed(workspace, "buckets", "ps", "p", *more) for more in ([], ["-c", "2"]))
        assert [work_id for work_id in ids if work_id in one] == ids[:1]
        assert [work_id for work_id in ids if work_id in two] == ids[:2]
        assert "'status': 'queued'" in one

    @pytest.mark.parametrize(
        ("options", "gone"),
        [
            ([], [0, 1, 2, 3]),
            (["-s", "success"], [3]),
            (["-s", "queued", "-t", "t"], [0, 1]),
            (["-e", "7", "-e", "9"], [0, 2]),
            (["-t", "u", "-t", "v"], [1, 2]),
            (["-p", "P"], [2]),
            (["-l", "1", "-t", "t"], [0]),
            (["-s", "failure"], []),
        ],
        ids=_words,
    )
    def test_rm_removes_what_its_options_name(
        self, console: Console, workspace: Workspace, options: list[str], gone: list[int]
    ) -> None:
        ids = [
            console.deposit("p", tags=["t"], event=[7]),
            console.deposit("p", tags=["t", "u"], event=[8]),
            console.deposit("p", tags=["v"], event=[9, 10], config={"parent": "P"}),
            console.deposit("p", priority=5),
        ]
        console.deposit("q", tags=["t"], event=[7])
        work = console.buckets.withdraw("p", priority=5)
        console.buckets.update([{**work, "status": "success"}])
        printed(workspace, "buckets", "rm", "p", "-f", *options)
        left = {work["id"] for work in console.buckets.view({}, {})}
        assert [number for number, work_id in enumerate(ids) if work_id not in left] == gone
        assert console.buckets.status("q")["total"] == 1

    def test_rm_without_a_limit_removes_more_than_a_page(
        self, console: Console, workspace: Workspace
    ) -> None:
        console.buckets.deposit([console.work(pipeline="p").payload] * 150)
        printed(workspace, "buckets", "rm", "p", "--force")
        assert console.buckets.status("p")["total"] == 0

    @pytest.mark.parametrize(("answer", "left"), [("yes\n", 0), ("no\n", 2), ("\n", 2)])
    def test_rm_asks_first(
        self, console: Console, workspace: Workspace, answer: str, left: int
    ) -> None:
        for _ in range(2):
            console.deposit("p")
        text = printed(workspace, "buckets", "rm", "p", answer=answer)
        assert 'Type "yes" to confirm' in text
        assert console.buckets.status("p")["total"] == left


class TestResults:
    def test_version_says_what_answers(self, workspace: Workspace) -> None:
        text = printed(workspace, "results", "version")
        assert "'server'" in text
        assert "/results" in text

    def test_count_counts_by_pipeline(self, console: Console, workspace: Workspace) -> None:
        for name in ("p", "q", "q"):
            kept(console, name)
        heading, *found = rows(printed(workspace, "results", "count"))
        assert heading == ["Pipeline", "Count"]
        assert sorted(found) == [["p", "1"], ["q", "2"]]

    @pytest.mark.parametrize(
        ("options", "found"),
        [
            ([], [0, 1, 2]),
            (["--status", "failure"], [1]),
            (["--status", "failure", "--status", "success"], [0, 1, 2]),
            (["--event", "7", "--event", "9"], [0, 2]),
            (["--tags", "t"], [0, 1]),
            (["--tags", "t", "--event", "8"], [1]),
            (["--limit", "2"], [0, 1]),
            (["--skip", "2"], [2]),
            (["--tags", "nobody"], []),
        ],
        ids=_words,
    )
    def test_view_finds_what_its_options_name(
        self, console: Console, workspace: Workspace, options: list[str], found: list[int]
    ) -> None:
        ids = [
            kept(console, "p", tags=["t"], event=[7]),
            kept(console, "p", "failure", tags=["t", "u"], event=[8]),
            kept(console, "p", event=[9]),
        ]
        text = printed(workspace, "results", "view", "p", "--json", *options)
        works = json.loads(text[text.index("\n[") :])
        assert [ids.index(work["id"]) for work in works] == found
        for work in works:
            assert set(work) - {"_id"} == {"id", "results", "products", "plots", "status"}

    def test_view_draws_a_table(self, console: Console, workspace: Workspace) -> None:
        work_id = kept(console, "p")
        text = printed(workspace, "results", "view", "p")
        assert work_id in text
        assert "9.5" in text

    def test_view_with_details_shows_whole_works(
        self, console: Console, workspace: Workspace
    ) -> None:
        work_id = kept(console, "p", tags=["t"])
        text = printed(workspace, "results", "view", "p", "--details", "--json")
        (work,) = json.loads(text[text.index("\n[") :])
        assert (work["id"], work["tags"], work["user"]) == (work_id, ["t"], "tester")

    def test_view_of_nothing_says_so(self, workspace: Workspace) -> None:
        assert "No results found." in printed(workspace, "results", "view", "p")
