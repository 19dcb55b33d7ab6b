"""What becomes of works of buckets in a real worker: functions, commands, files, limits."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore.wire.worker import Outcome, Report
from tests.unit.worker_server import WorkerProcess, WorkerServer, alive, poll

FUNCTIONS = Path(__file__).with_name("worker_functions.py")
HERE = "worker_functions"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerServer]:
    served = WorkerServer()
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    worker = WorkerProcess(served.url, [str(FUNCTIONS)], log, slots=2, buckets=["any"])
    yield served
    worker.close()
    served.stop()
    assert "Traceback" not in worker.text()


def result(report: Report) -> Any:
    assert report.outcome is Outcome.SUCCESS, report.error
    return json.loads(bytes(report.result))


def run(server: WorkerServer, function: str | None = None, **fields: Any) -> Report:
    dotted = None if function is None else f"{HERE}.{function}"
    return server.report(server.submit_work(function=dotted, **fields))


def failure(report: Report, outcome: Outcome = Outcome.FAILURE) -> str:
    assert report.outcome is outcome
    assert report.error is not None
    return report.error.message


def test_the_worker_offers_what_is_registered_and_what_it_was_told(server: WorkerServer) -> None:
    server.wait(lambda ledger: ledger.registrations, "registration")
    offered = {each.name: each.timeout_s for each in server.ledger.registrations[0].buckets}
    assert offered == {"square": None, "hurry": 0.3, "any": None}


def test_a_registered_function_is_called_with_the_parameters(server: WorkerServer) -> None:
    made = result(run(server, pipeline="square", parameters={"value": 3}))
    assert made == {"results": {"square": 9}, "products": None, "plots": None, "artifacts": []}


def test_a_works_own_function_goes_before_the_registered_one(server: WorkerServer) -> None:
    made = result(run(server, "answer", pipeline="square", parameters={"what": "tuple"}))
    assert made["results"] == {"a": 1}


def test_products_and_plots_are_uploaded_and_named(server: WorkerServer, tmp_path: Path) -> None:
    work = server.submit_work(function=f"{HERE}.files", parameters={"directory": str(tmp_path)})
    made = result(server.report(work))
    product, plot = str(tmp_path / "data.csv"), str(tmp_path / "plot.png")
    assert made["results"] == {"rows": 1}
    assert (made["products"], made["plots"]) == ([product], [plot, "nowhere.png"])
    assert [(each["kind"], each["path"]) for each in made["artifacts"]] == [
        ("product", product),
        ("plot", plot),
    ]
    assert server.ledger.blobs[made["artifacts"][0]["blob_id"]] == b"1,2\n"
    assert Path(product).exists()
    server.wait_for_line(work, "The plot nowhere.png is no file on this worker")


@pytest.mark.parametrize(
    ("method", "uploads", "stays"), [("move", 2, False), ("delete", 0, False), ("bypass", 0, True)]
)
def test_files_are_moved_deleted_or_left(
    server: WorkerServer, tmp_path: Path, method: str, uploads: int, stays: bool
) -> None:
    config = {"archive": {"products": method, "plots": method}}
    report = run(server, "files", parameters={"directory": str(tmp_path)}, config=config)
    assert len(result(report)["artifacts"]) == uploads
    poll(lambda: (tmp_path / "data.csv").exists() is stays)
    poll(lambda: (tmp_path / "plot.png").exists() is stays)


def test_a_function_that_asks_for_the_work_is_given_all_of_it(server: WorkerServer) -> None:
    made = result(run(server, "whole", tags=["a"], results={"first": 1}))
    assert made["results"] == {"tags": ["a"], "again": 1}
    assert made["products"] == ["made.csv"]
    assert result(run(server, "unmarked"))["results"] == {"pipeline": "any"}


def test_a_click_command_gets_the_parameters_as_arguments(server: WorkerServer) -> None:
    parameters = {
        "name": "-5",
        "shout": True,
        "times": 3,
        "tag": ["x", "y"],
        "span": [1, 2],
        "verbose": 2,
        "unknown": 1,
    }
    work = server.submit_work(function=f"{HERE}.greet", parameters=parameters)
    assert result(server.report(work))["results"] == {
        "name": "-5",
        "shout": True,
        "times": 3,
        "tag": ["x", "y"],
        "span": [1, 2],
        "verbose": 2,
    }
    server.wait_for_line(work, "Parameters that greet does not take: unknown.")
    assert "Missing parameter: name" in failure(run(server, "greet", parameters={}))


@pytest.mark.parametrize(
    ("what", "results"),
    [
        ("none", None),
        ("number", None),
        ("nan", {"snr": None, "fine": 1}),
        ("odd tuple", {"a": 1}),
    ],
)
def test_what_can_be_kept_of_an_answer_is_kept(
    server: WorkerServer, what: str, results: object
) -> None:
    assert result(run(server, "answer", parameters={"what": what}))["results"] == results


def test_the_log_says_what_was_not_kept(server: WorkerServer) -> None:
    work = server.submit_work(function=f"{HERE}.answer", parameters={"what": "number"})
    server.wait_for_line(work, "The function returned int 42, which is not kept")


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("set", "no JSON for set"),
        ("set inside", "no JSON for set"),
        ("nul", "the character NUL"),
        ("surrogate", "not Unicode"),
    ],
)
def test_an_answer_that_cannot_be_kept_is_a_failure(
    server: WorkerServer, what: str, says: str
) -> None:
    assert says in failure(run(server, "answer", parameters={"what": what}))


def test_old_results_are_merged_for_a_function_and_kept_for_a_command(server: WorkerServer) -> None:
    old = {"results": {"a": 0, "b": 2}, "products": ["old.csv"]}
    made = result(run(server, "answer", parameters={"what": "tuple"}, **old))
    assert made["results"] == {"a": 1, "b": 2}
    assert (made["products"], made["plots"]) == (["old.csv"], ["plot.png"])
    made = result(run(server, command=["echo", "new"], **old))
    assert (made["results"], made["products"]) == ({"a": 0, "b": 2}, ["old.csv"])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"function": "nowhere_at_all.function"}, "has no module nowhere_at_all"),
        ({"function": f"{HERE}.missing"}, "there is no such name in module worker_functions"),
        ({"function": f"{HERE}.HERE.missing"}, "there is no such name"),
        ({"function": "no dots"}, "give a dotted path"),
        ({"function": f"{HERE}.fails"}, "no pulse in it"),
        ({"function": f"{HERE}.leaves"}, "called sys.exit(3)"),
        ({"function": f"{HERE}.crashes"}, "SIGSEGV"),
        ({"function": f"{HERE}.fails", "parameters": {"dm": 1}}, "(dm) do not fit fails()"),
        ({"pipeline": "square", "parameters": {"x": 1}}, "(x) do not fit square(value: 'float')"),
        ({"command": ["no-such-program-here"]}, "There is no program 'no-such-program-here'"),
        (
            {"command": ["sh", "-c", "echo bad >&2; exit 3"]},
            "exited with code 3. Last output:\nbad",
        ),
        ({"command": ["sh", "-c", "kill -9 $$"]}, "SIGKILL"),
        ({"command": ["echo a | wc"]}, "needs a shell for '|'"),
        ({"command": ["echo 'a"]}, "cannot be split into words"),
    ],
)
def test_what_cannot_run_is_a_failure_that_says_why(
    server: WorkerServer, fields: dict[str, Any], says: str
) -> None:
    report = server.report(server.submit_work(**fields))
    assert says in failure(report)
    assert bytes(report.result) == b"null"


def test_an_exception_comes_with_the_users_traceback(server: WorkerServer) -> None:
    report = run(server, "fails")
    assert report.error is not None
    assert "in fails" in report.error.traceback
    assert "longshore/worker" not in report.error.traceback


def test_a_program_that_is_not_there_fails_without_the_frames_of_the_worker(
    server: WorkerServer,
) -> None:
    report = server.report(server.submit_work(command=["no-such-program-here", "x"]))
    assert "There is no program" in failure(report)
    assert report.error is not None
    assert "subprocess" not in report.error.traceback


def test_a_work_that_names_nothing_to_run_fails_with_results_that_say_so(
    server: WorkerServer,
) -> None:
    report = run(server)
    assert "names neither function nor command" in failure(report)
    assert "names neither" in json.loads(bytes(report.result))["results"]["error"]


def test_a_document_that_is_none_fails_instead_of_running_for_ever(server: WorkerServer) -> None:
    report = server.report(server.submit_work(parameters=["no", "object"]))
    assert "parameters" in failure(report)


def test_time_limits_really_stop_functions_and_commands(
    server: WorkerServer, tmp_path: Path
) -> None:
    endless = server.submit_work(function=f"{HERE}.endless", timeout=0.5)
    sleeper = "import subprocess,sys; p=subprocess.Popen(['sleep','600']); print(p.pid,flush=True); p.wait()"
    command = server.submit_work(command=[sys.executable, "-c", sleeper], timeout=1.5)
    message = failure(server.report(endless), Outcome.TIMED_OUT)
    assert message == "Stopped at its time limit of 0.5 s. Last output:\nbegun"
    assert "1.5 s" in failure(server.report(command), Outcome.TIMED_OUT)
    [(_, child)] = server.lines(command)
    poll(lambda: not alive(int(child)))


def test_the_registered_time_limit_counts_where_it_is_shorter(server: WorkerServer) -> None:
    assert "0.3 s" in failure(run(server, pipeline="hurry"), Outcome.TIMED_OUT)


def test_a_command_is_an_argv_and_its_output_is_lines(server: WorkerServer) -> None:
    work = server.submit_work(command=["printf", "%s\\n", "a  b", "$HOME; ls", "ö"])
    assert result(server.report(work))["results"] == {
        "args": ["printf", "%s\\n", "a  b", "$HOME; ls", "ö"],
        "stdout": ["a  b", "$HOME; ls", "ö"],
        "stderr": [],
        "returncode": 0,
    }
    assert server.lines(work) == [("stdout", "a  b"), ("stdout", "$HOME; ls"), ("stdout", "ö")]


def test_one_element_is_split_as_a_shell_would(server: WorkerServer) -> None:
    results = result(run(server, command=["echo 'a  b' c"]))["results"]
    assert (results["args"], results["stdout"]) == ("echo 'a  b' c", ["a  b c"])


def test_output_that_is_not_text_is_written_with_escapes(server: WorkerServer) -> None:
    code = "import os; os.write(1, bytes([255, 0, 10])); os.write(2, b'e')"
    results = result(run(server, command=[sys.executable, "-c", code]))["results"]
    assert results["stdout"] == ["\\xff\ufffd"]
    assert results["stderr"] == ["e"]


def test_a_hundred_megabytes_of_output_are_bounded(server: WorkerServer) -> None:
    code = "l='x'*99\nfor i in range(1_000_000): print(l)\nprint('the end')"
    report = run(server, command=[sys.executable, "-c", code])
    lines = result(report)["results"]["stdout"]
    assert sum(map(len, lines)) < 1_200_000
    assert lines[0] == "x" * 99
    assert lines[-1] == "the end"
    assert any("bytes are left out here" in line for line in lines)
    assert result(run(server, "noisy"))["results"] is None


def test_the_key_is_not_in_the_environment_of_a_command(server: WorkerServer) -> None:
    results = result(run(server, command=["env"]))["results"]
    assert not any("ls_test" in line for line in results["stdout"])


def test_a_cancelled_command_is_stopped(server: WorkerServer) -> None:
    code = "import threading; print('begun', flush=True); threading.Event().wait(600)"
    work = server.submit_work(command=[sys.executable, "-c", code])
    server.wait_for_line(work, "begun")
    server.cancel(work)
    assert server.report(work).outcome is Outcome.CANCELLED


def test_processes_are_warm(server: WorkerServer) -> None:
    pids = {result(run(server, "pid"))["results"]["pid"] for _ in range(8)}
    assert len(pids) <= 2


class TestClaimingAhead:
    @pytest.fixture
    def worker(self, tmp_path: Path) -> Iterator[tuple[WorkerServer, WorkerProcess]]:
        served = WorkerServer()
        worker = WorkerProcess(
            served.url, [str(FUNCTIONS)], tmp_path / "worker.log", buckets=["any"]
        )
        yield served, worker
        worker.close()
        served.stop()

    def test_short_works_are_claimed_and_reported_in_bulk(
        self, worker: tuple[WorkerServer, WorkerProcess]
    ) -> None:
        server, _ = worker
        works = [
            server.submit_work("square", parameters={"value": number}) for number in range(2_000)
        ]
        for number, work in enumerate(works):
            assert result(server.report(work))["results"] == {"square": number**2}
        assert max(server.ledger.claim_limits) > 50
        assert server.ledger.report_requests < 1_000

    def test_what_was_claimed_ahead_of_a_long_work_is_handed_back(
        self, worker: tuple[WorkerServer, WorkerProcess], tmp_path: Path
    ) -> None:
        server, _ = worker
        for work in [server.submit_work("square", parameters={"value": 1}) for _ in range(200)]:
            server.report(work)
        gate = tmp_path / "gate"
        long = server.submit_work(function=f"{HERE}.gated", parameters={"gate": str(gate)})
        behind = [server.submit_work("square", parameters={"value": 2}) for _ in range(5)]
        server.wait_for_line(long, "ready")
        waiting = [work for work in behind if (work, 1) in server.ledger.held]
        for work in waiting:
            assert server.report(work).outcome is Outcome.HANDED_BACK
        claims = server.ledger.claims
        threading.Event().wait(0.5)
        assert server.ledger.claims == claims, "a busy slot asks for nothing"
        gate.touch()
        result(server.report(long))
        for work in behind:
            again = server.wait(
                lambda ledger, work=work: [
                    each for each in ledger.reports.get(work, []) if each.outcome is Outcome.SUCCESS
                ],
                "the second try",
            )
            assert result(again[0])["results"] == {"square": 4}


def test_a_worker_with_lives_stops_after_them(tmp_path: Path) -> None:
    served = WorkerServer()
    worker = WorkerProcess(served.url, [], tmp_path / "w.log", buckets=["any"], lives=3, slots=2)
    works = [served.submit_work(command=["true"]) for _ in range(5)]
    assert worker.wait() == 0
    served.stop()
    assert sum(work in served.ledger.reports for work in works) == 3
    assert served.ledger.left == served.ledger.workers


def test_a_shell_runs_a_command_of_one_element_where_it_may(tmp_path: Path) -> None:
    served = WorkerServer()
    worker = WorkerProcess(served.url, [], tmp_path / "w.log", buckets=["any"], shell=True, lives=1)
    results = result(served.report(served.submit_work(command=["echo a | tr a b"])))["results"]
    assert (results["args"], results["stdout"]) == ("echo a | tr a b", ["b"])
    worker.wait()
    served.stop()


def test_a_result_that_the_server_refuses_is_a_failure(tmp_path: Path) -> None:
    served = WorkerServer()
    served.ledger.refuse_results = True
    worker = WorkerProcess(served.url, [str(FUNCTIONS)], tmp_path / "w.log", lives=2)
    refused = [served.submit_work("square", parameters={"value": 1}) for _ in range(2)]
    for work in refused:
        report = served.report(work)
        assert report.outcome is Outcome.FAILURE
        assert "does not take the result: Such a result is refused." in failure(report)
    worker.wait()
    served.stop()


def test_threads_run_functions_and_commands_too(tmp_path: Path) -> None:
    served = WorkerServer()
    worker = WorkerProcess(
        served.url,
        [str(FUNCTIONS)],
        tmp_path / "w.log",
        executor="thread",
        buckets=["any"],
        lives=2,
    )
    assert result(run(served, pipeline="square", parameters={"value": 2}))["results"] == {
        "square": 4
    }
    assert result(run(served, command=["echo", "x"]))["results"]["stdout"] == ["x"]
    worker.wait()
    served.stop()
