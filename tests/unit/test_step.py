"""longshore.step as scripts use it: each test is a script in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cawbs_server import STEP, TOKEN, Asked, CollectorDouble, collector_double, http

MATRIX = {"MATRIX_REGION": "eu"}
RUN = {"RUNID": "17", "RUNDATE": "2026-02-28", "ATTEMPT": "2", "WORKFLOW": "nightly"}


@dataclass
class Guards:
    """What has been done once, as the server keeps it."""

    done: dict[str, Any] = field(default_factory=dict)
    busy: dict[str, int] = field(default_factory=dict)
    """For how many times of asking a key is another's."""

    def once(self, asked: Asked) -> bytes:
        key = asked.body["key"]
        if self.busy.get(key, 0) > 0:
            self.busy[key] -= 1
            return http(200, {"state": "busy", "result": None})
        if key in self.done:
            return http(200, {"state": "done", "result": self.done[key]})
        return http(200, {"state": "new", "result": None})

    def finish(self, asked: Asked) -> bytes:
        self.done[asked.body["key"]] = asked.body["result"]
        return http(200, {"state": "done"})


@dataclass
class Scripts:
    """Runs scripts as a worker would."""

    directory: Path
    double: CollectorDouble
    guards: Guards = field(default_factory=Guards)

    def start(self, text: str, **variables: str) -> subprocess.Popen[str]:
        path = self.directory / "script.py"
        path.write_text(textwrap.dedent(text), "utf-8")
        environment = {
            "PATH": os.environ["PATH"],
            "CA_WBS_URL": self.double.url,
            "CA_WBS_RETRY_S": "0",
            **STEP,
            **RUN,
            **MATRIX,
            **variables,
        }
        given = {name: text for name, text in environment.items() if text}
        return subprocess.Popen(
            [sys.executable, str(path)],
            env=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, text: str, *, status: int = 0, **variables: str) -> tuple[str, str]:
        """Run a script to its end; return what it printed and what it complained of."""
        started = self.start(text, **variables)
        printed, complained = started.communicate(timeout=30)
        assert started.returncode == status, complained
        return printed.strip(), complained


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[Scripts]:
    with collector_double() as double:
        made = Scripts(tmp_path, double)
        double.answers["/rtstep/once"] = made.guards.once
        double.answers["/rtstep/once/done"] = made.guards.finish
        yield made


def test_a_step_has_event_previous_secret_and_run_and_puts(scripts: Scripts) -> None:
    scripts.double.answers |= {
        "/rtevent/17": http(200, {"payload": {"order": 3}}),
        "/rtstep/payload/17/extract": http(200, {"payload": [1, 2]}),
        "/keystore/db_password": http(200, {"db_password": "pass word"}),
        "/rtstep/payload": http(200, {"status": "stored"}),
    }
    printed, complained = scripts.run(
        """
        from longshore import step

        print(step.event["order"], step.event is step.event)
        print(step.previous["extract"], "extract" in step.previous)
        print("load" in step.previous, step.previous.get("load", "none"))
        print(step.secret("db_password"))
        print(step.run)
        print(step.run.workflow, step.run.environment, step.run.matrix)
        step.put({"rows": 2})
        """
    )
    assert printed.splitlines() == [
        "3 True",
        "[1, 2] True",
        "False none",
        "pass word",
        "Run(id=17, date=2026-02-28, step='Step1', attempt=2)",
        "nightly north {'region': 'eu'}",
    ]
    assert complained == ""
    assert scripts.double.asked[-1].body["payload"] == {"rows": 2}
    assert scripts.double.paths().count("/auth/apicode") == 1
    assert scripts.double.paths().count("/rtevent/17") == 1, "the event is asked for once"


def test_the_code_is_swapped_while_the_script_still_loads(scripts: Scripts) -> None:
    printed, _ = scripts.run(
        """
        import threading
        from longshore import step

        swapping = [each for each in threading.enumerate() if each.name == "longshore.step"]
        for thread in swapping:
            thread.join(20)
        print("loaded")
        """
    )
    assert printed == "loaded"
    assert scripts.double.paths() == ["/auth/apicode"], "it was not even used"


def test_what_the_server_refuses_is_raised(scripts: Scripts) -> None:
    scripts.double.answers |= {
        "/rtstep/payload": http(413, {"detail": "too long", "request_id": "rq_1"}),
        "/rtevent/17": http(403, {"detail": "not yours"}),
        "/keystore/a": http(200, {}),
        "/keystore/a,b": http(200, {"a": "1", "b": "2"}),
    }
    printed, _ = scripts.run(
        """
        from longshore import errors, step

        def said(function, *arguments):
            try:
                function(*arguments)
            except errors.LongshoreError as error:
                print(type(error).__name__, "|", error)

        said(step.put, 1)
        said(step.put, object())
        said(lambda: step.event)
        said(lambda: step.previous["load"])
        said(step.secret, "a")
        said(step.secret, "a,b")
        """
    )
    kinds, texts = zip(*(line.split(" | ") for line in printed.splitlines()), strict=True)
    assert kinds == ("TooLarge", "InvalidRequest", "PermissionDenied", *("NotFound",) * 3)
    assert texts[0] == "too long (request rq_1)"
    assert "JSON" in texts[1]
    assert "keystore:" in texts[4]


@pytest.mark.parametrize("missing", ["CA_ACCESS_CODE", "ENV", "STEPNAME"])
def test_outside_of_a_step_it_is_said_that_there_is_none(scripts: Scripts, missing: str) -> None:
    _, complained = scripts.run(
        "from longshore import step\nstep.put(1)\n", status=1, **{missing: ""}
    )
    assert complained.splitlines()[-1].startswith("longshore.errors.ConfigurationError: ")
    assert missing in complained
    assert "longshore worker --host" in complained


def test_a_server_that_is_gone_is_said(scripts: Scripts) -> None:
    _, complained = scripts.run(
        "from longshore import step\nstep.put(1)\n", status=1, CA_WBS_URL="http://127.0.0.1:1"
    )
    assert "ServerUnreachable" in complained


def test_what_is_done_once_is_skipped_the_second_time(scripts: Scripts) -> None:
    text = """
        from longshore import step

        with step.once("mail 17") as once:
            if once.new:
                print("sent")
                once.result = {"id": (1, 2)}
        print(once.result)

        @step.once("charge 17")
        def charge(amount):
            "Charge it."
            print("charged", amount)
            return (amount, "EUR")

        print(charge(5), charge.__name__, charge.__doc__)
        """
    assert scripts.run(text)[0].splitlines() == [
        "sent", "{'id': [1, 2]}", "charged 5", "[5, 'EUR'] charge Charge it.",
    ]  # fmt: skip
    assert scripts.run(text)[0].splitlines() == [
        "{'id': [1, 2]}", "[5, 'EUR'] charge Charge it.",
    ]  # fmt: skip


def test_what_raised_is_not_done(scripts: Scripts) -> None:
    _, complained = scripts.run(
        """
        from longshore import step

        with step.once("mail 17") as once:
            if once:
                raise OSError("no mail today")
        """,
        status=1,
    )
    assert "OSError: no mail today" in complained
    assert scripts.guards.done == {}


def test_a_block_that_does_not_ask_whether_it_is_new_fails_when_it_is_not(scripts: Scripts) -> None:
    text = """
        from longshore import step

        with step.once("mail 17"):
            print("sent")
        """
    scripts.run(text)
    _, complained = scripts.run(text, status=1)
    assert "if once.new" in complained


def test_what_another_attempt_does_is_waited_for(scripts: Scripts) -> None:
    scripts.guards.busy["mail 17"] = 2
    text = """
        from longshore import step

        with step.once("mail 17", wait_s={wait_s}) as once:
            print(once.new)
        """
    assert scripts.run(text.format(wait_s=20))[0] == "True"
    scripts.guards.busy["mail 17"] = 1_000
    _, complained = scripts.run(text.format(wait_s=0), status=1)
    assert "longshore.errors.Conflict" in complained
    assert "wait_s" in complained


MAIN = """
    import sys
    from longshore import step

    @step.main
    def main():
        {body}

    print("never reached")
    """


@pytest.mark.parametrize(
    ("body", "status", "complaint"),
    [
        ("print('done')", 0, ""),
        ("return 7", 0, ""),
        ("raise ValueError('no good')", 1, "ValueError: no good"),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('in words')", 1, "in words"),
    ],
)
def test_main_ends_the_process_as_the_function_ended(
    scripts: Scripts, body: str, status: int, complaint: str
) -> None:
    printed, complained = scripts.run(MAIN.format(body=body), status=status)
    assert "never reached" not in printed
    assert complaint in complained
    assert ("Traceback" in complained) == body.startswith("raise")


def test_main_cleans_up_when_it_is_told_to_stop(scripts: Scripts) -> None:
    started = scripts.start(
        """
        import threading
        from longshore import step

        @step.main
        def main():
            try:
                print("begun", flush=True)
                threading.Event().wait(30)
            finally:
                print("rolled back", flush=True)
        """
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "begun\n"
    started.send_signal(signal.SIGTERM)
    printed, _ = started.communicate(timeout=20)
    assert (printed, started.returncode) == ("rolled back\n", 143)


def test_main_runs_nothing_in_a_module_that_is_imported(scripts: Scripts) -> None:
    (scripts.directory / "other.py").write_text(
        "from longshore import step\n@step.main\ndef main():\n    return 5\n"
    )
    assert scripts.run("import other\nprint(other.main())\n")[0] == "5"


@pytest.mark.parametrize("first", ["cawbs", "step"])
def test_step_and_cawbs_share_what_the_code_was_swapped_for(scripts: Scripts, first: str) -> None:
    scripts.double.answers["/rtevent/17"] = http(200, {"payload": 1})
    imports = ["import cawbs", "from longshore import step"]
    printed, _ = scripts.run(
        "\n".join(imports if first == "cawbs" else imports[::-1])
        + "\nprint(cawbs.Init(), step.event, cawbs.GetEventPayload(), cawbs.Init()['status_code'])",
        PYTHONPATH=str(Path(sys.modules["longshore"].__file__ or "").parent / "cawbs"),
    )
    assert printed == "{'status_code': 200} 1 {'status_code': 200, 'payload': 1} 602"
    assert scripts.double.paths().count("/auth/apicode") == 1
    assert scripts.double.asked[-1].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_child_that_is_forked_has_the_session_too(scripts: Scripts) -> None:
    scripts.double.answers["/rtevent/17"] = http(200, {"payload": 1})
    printed, _ = scripts.run(
        """
        import os, sys
        from longshore import step

        child = os.fork()
        if child == 0:
            print(step.event, flush=True)
            os._exit(0)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert printed == "1"


def test_it_is_light(scripts: Scripts) -> None:
    heavy = ["http.client", "ssl", "httpx", "pydantic", "msgspec", "asyncio", "inspect"]
    printed, _ = scripts.run(
        f"""
        import json, sys
        import longshore
        from longshore import step
        print(json.dumps([name for name in {heavy} if name in sys.modules]))
        print(longshore.step is step)
        """,
        CA_ACCESS_CODE="",
    )
    loaded, same = printed.splitlines()
    assert (json.loads(loaded), same) == ([], "True")
