"""longshore.testing: a server whose clock the test moves, and a worker in the test's thread."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest

from longshore.errors import ConfigurationError, LeaseLost, WaitTimeout
from longshore.sdk.operations import WorkState
from longshore.testing import InProcessWorker, RunningServer, running_server
from longshore.wire.worker import Outcome
from longshore.worker.registry import REGISTRY

CODE = """
    import longshore

    @longshore.function("double")
    def double(x: int) -> dict:
        print("doubling", x)
        if x < 0:
            raise ValueError("negative")
        return {"y": 2 * x}

    @longshore.app("Words", owner="me")
    def words(file: longshore.InputFile) -> list[longshore.Document]:
        count = len(file.read_bytes().split())
        return [longshore.Document(fields=[longshore.Field("words", str(count))])]

    @longshore.service("test/half")
    def half(x: float) -> dict:
        return {"y": x / 2}
"""
STEPS = """
    workflow: daily
    triggers:
      schedules:
        - cron: "0 12 * * *"
    steps:
      first: {script: first.py, host: here}
      second: {script: second.py, host: here, depends_on: [first], keystore: [word]}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server() as made:
        yield made


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("code") / "testing_code.py"
    path.write_text(dedent(CODE))
    return path


@pytest.fixture
def worker(server: RunningServer, code: Path) -> Iterator[InProcessWorker]:
    made = server.worker(code)
    yield made
    made.leave()


def test_a_function_runs_and_what_it_prints_is_its_log(
    server: RunningServer, worker: InProcessWorker
) -> None:
    (work,) = server.deposit("double", {"x": 21})
    assert worker.work_until_idle() == 1
    assert server.result(work) == {"y": 42}
    assert [line.text for line in server.client.logs(work)] == ["doubling 21"]


def test_a_failed_attempt_is_tried_again_when_time_has_passed(
    server: RunningServer, worker: InProcessWorker
) -> None:
    (work,) = server.deposit("double", {"x": -1}, retries=2)
    assert worker.work_once() == Outcome.FAILURE
    assert worker.work_once() is None
    server.advance(3600)
    assert worker.work_until_idle() == 1
    assert server.client.works.get(work).final


def test_a_worker_that_dies_loses_its_lease_and_its_report_does_not_count(
    server: RunningServer, worker: InProcessWorker
) -> None:
    (work,) = server.deposit("double", {"x": 5})
    taken = worker.take()
    assert taken is not None
    assert taken.work_id == work
    server.advance(59)
    assert server.client.works.get(work).state is WorkState.RUNNING
    server.advance(3600)
    with pytest.raises(LeaseLost):
        worker.finish(taken)
    assert server.result(work) is None
    server.advance(3600)
    assert worker.work_until_idle() == 1
    assert server.result(work) == {"y": 10}


def test_an_app_runs_over_files(
    server: RunningServer, worker: InProcessWorker, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("one two three")
    run = server.client.run("Words", files=str(tmp_path), progress=False)
    assert worker.work_until_idle() == 1
    rows = run.wait(timeout_s=5).results().to_rows()
    assert [row["words"] for row in rows] == ["3"]
    run.delete().wait(timeout_s=10)


def test_a_service_computes_records(server: RunningServer, worker: InProcessWorker) -> None:
    pipeline = server.client.pipelines.create("test/half")
    pipeline.push(inputs=[{"x": 4.0}, {"x": "four"}])
    worker.work_until_idle()
    (chunk,) = pipeline.pull()
    assert chunk.outputs[0] == {"y": 2.0}
    assert chunk.errors[1]


def test_a_schedule_fires_and_its_steps_run_in_this_process(
    server: RunningServer, tmp_path: Path
) -> None:
    (tmp_path / "first.py").write_text(
        "from longshore import step\n\n@step.main\ndef main():\n"
        "    step.put({'attempt': step.run.attempt, 'date': step.run.date.isoformat()})\n"
    )
    (tmp_path / "second.py").write_text(
        "import sys\nfrom longshore import step\n\n@step.main\ndef main():\n"
        "    print(step.previous['first']['date'], step.secret('word'))\n    sys.exit(4)\n"
    )
    steps = server.worker(host="here", scripts=tmp_path, name="here")
    server.client.keystore.set("word", "open sesame")
    applied = _ask(server, "POST", "/workflows", {"text": dedent(STEPS)})
    assert applied["change"] == "created"
    assert steps.work_until_idle() == 0
    server.advance(24 * 3600)
    assert steps.work_until_idle() == 2
    (run,) = _ask(server, "GET", "/runs?workflow=daily")["runs"]
    assert run["state"] == "failed"
    log = _ask(server, "GET", f"/runs/{run['id']}/logs")
    texts = [line["text"] for line in log["lines"]]
    assert any(text.startswith(run["business_date"]) for text in texts)
    assert "open sesame" not in str(log)
    steps.leave()


def test_a_step_that_is_no_python_script_is_refused(server: RunningServer, tmp_path: Path) -> None:
    steps = server.worker(host="there", scripts=tmp_path, name="there")
    definition = "workflow: shell\nsteps:\n  only: {command: [ls], host: there}\n"
    _ask(server, "POST", "/workflows", {"text": definition})
    run = _ask(server, "POST", "/workflows/shell/runs", {})
    assert steps.work_until_idle() == 1
    assert "no Python script" in _ask(server, "GET", f"/runs/{run['id']}/why")["text"]
    steps.leave()


def test_an_elements_worker_runs_in_this_process(tmp_path: Path) -> None:
    path = tmp_path / "testing_reader.py"
    path.write_text(
        dedent("""
            import longshore
            from longshore.corpus import ElementsWorker

            @longshore.elements_worker("testing-reader")
            class Reader(ElementsWorker):
                def process_element(self, element):
                    print("read", element.name)
                    if element.name == "blank":
                        raise ValueError("nothing on it")
        """)
    )
    with running_server() as server:
        worker = server.worker(path)
        corpus = _ask(server, "POST", "/corpus/", {"name": "Letters"}, api="/api/v1")
        kind = {"slug": "page", "display_name": "Page", "corpus": corpus["id"]}
        _ask(server, "POST", "/elements/type/", kind, api="/api/v1")
        for name in ("first", "blank"):
            element = {"type": "page", "name": name, "corpus": corpus["id"]}
            _ask(server, "POST", "/elements/create/", element, api="/api/v1")
        body = {
            "corpus": corpus["id"],
            "mode": "workers",
            "element_type": "page",
            "workers": [{"worker": "testing-reader", "parents": []}],
        }
        process = _ask(server, "POST", "/process/", body, api="/api/v1")
        _ask(server, "POST", f"/process/{process['id']}/start/", {}, api="/api/v1")
        assert worker.work_until_idle() == 1
        found = _ask(server, "GET", f"/process/{process['id']}/", api="/api/v1")
    assert found["state"] == "completed"
    assert (found["progress"]["processed"], found["progress"]["error"]) == (1, 1)


def test_the_clock_stands_where_it_was_set() -> None:
    start = datetime(2030, 2, 3, 4, 5, tzinfo=UTC)
    with running_server(start=start) as server:
        (work,) = server.deposit("anything", {})
        assert server.client.works.get(work).created_at == start
        with pytest.raises(LookupError, match="no work"):
            server.result("wk_none")


def test_a_worker_needs_something_to_serve(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("apps", "functions", "services", "workers"):
        monkeypatch.setattr(REGISTRY, kind, {})
    with pytest.raises(ConfigurationError, match="nothing for this worker"):
        server.worker()


def test_what_a_test_registers_is_forgotten_with_its_server(code: Path) -> None:
    before = set(REGISTRY.functions)
    path = code.with_name("testing_other_code.py")
    path.write_text("import longshore\n\n@longshore.function('other')\ndef other(): return {}\n")
    for _ in range(2):
        with running_server() as server:
            server.worker(path)
            assert "other" in REGISTRY.functions
        assert set(REGISTRY.functions) == before


def test_work_that_makes_work_for_ever_is_not_followed_for_ever(
    server: RunningServer, worker: InProcessWorker
) -> None:
    server.deposit("double", *({"x": number} for number in range(3)))
    with pytest.raises(WaitTimeout, match="after 2 attempts"):
        worker.work_until_idle(attempts_max=2)
    assert worker.work_until_idle() == 1


def test_the_package_does_not_load_what_is_for_tests() -> None:
    code = "import sys, longshore; longshore.Client; print('longshore.testing' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def _ask(
    server: RunningServer, method: str, path: str, body: object = None, api: str = "/coreauto/v1"
) -> dict:  # type: ignore[type-arg]
    import httpx  # noqa: PLC0415

    headers = {"Authorization": f"Bearer {server.key}"}
    answer = httpx.request(method, f"{server.url}{api}{path}", json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer.json()
