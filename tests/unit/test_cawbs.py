"""cawbs, cawbsbatch and cawbsingress as scripts use them: what is asked, and what comes back."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.cawbs_server import (
    LIBRARIES,
    STEP,
    TOKEN,
    CollectorDouble,
    collector_double,
    fresh,
    http,
)


@pytest.fixture
def double() -> Iterator[CollectorDouble]:
    with collector_double() as made:
        yield made


@pytest.fixture
def environment(double: CollectorDouble, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, text in STEP.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("CA_WBS_URL", double.url)
    monkeypatch.setenv("CA_WBS_RETRY_S", "0")
    monkeypatch.setenv("CA_WBS_TIMEOUT_S", "30")
    return monkeypatch


@pytest.fixture
def cawbs(environment: pytest.MonkeyPatch) -> Any:
    module = fresh("cawbs")
    assert module.Init() == {"status_code": 200}
    return module


@pytest.fixture
def ingress(environment: pytest.MonkeyPatch) -> Any:
    module = fresh("cawbsingress")
    assert module.Init() == {"status_code": 200}
    return module


def test_a_step_reads_its_event_and_stores_its_payload(cawbs: Any, double: CollectorDouble) -> None:
    double.turns = [http(200, {"payload": {"a": [1, "ü"]}}), http(200, {"status": "stored"})]
    assert cawbs.GetEventPayload() == {"status_code": 200, "payload": {"a": [1, "ü"]}}
    assert cawbs.PutStepPayload({"rows": 3, "name": "Łódź"}) == {"status_code": 200}
    swap, read, put = double.asked
    assert (swap.method, swap.path, swap.body) == (
        "POST",
        "/coreauto/v1/auth/apicode",
        {"apiCode": "ac_1"},
    )
    assert "Authorization" not in swap.headers
    assert (read.method, read.path) == ("GET", "/coreauto/v1/rtevent/17")
    assert put.path == "/coreauto/v1/rtstep/payload"
    # The contract wants the id as text, and the name of the step in lower case.
    payload = {"rows": 3, "name": "Łódź"}
    assert put.body == {"actionId": "17", "stepname": "step1", "payload": payload}
    for asked in (read, put):
        assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    for asked in double.asked:
        assert asked.headers["Environment"] == "north"
        assert asked.headers["Content-Type"] == "application/json"


def test_other_calls_ask_what_the_contract_says(cawbs: Any, double: CollectorDouble) -> None:
    double.turns = [
        http(200, {"payload": None}),
        http(200, {"status": "running"}),
        http(200, {"status": "finished"}),
        http(200, {"status": "finished"}),
        http(200, {"match": [3]}),
        http(200, {"a": "1", "b": "2"}),
    ]
    assert cawbs.GetStepPayload("step1") == {"status_code": 200, "payload": None}
    assert cawbs.GetEventStatus() == {"status_code": 200, "status": {"status": "running"}}
    assert cawbs.GetEventStatus(18)["status_code"] == 200
    assert cawbs.GetEventStatus("18")["status_code"] == 200
    assert cawbs.GetActionIdByPayload("order,id", 17) == {
        "status_code": 200,
        "match": {"match": [3]},
    }
    assert cawbs.GetKeystore("a, b") == {"status_code": 200, "answer": {"a": "1", "b": "2"}}
    assert double.paths()[1:] == [
        "/rtstep/payload/17/step1",
        "/rtevent/status/17",
        "/rtevent/status/18",
        "/rtevent/status/18",
        "/rtstep/payload/actionid/order,id/17",
        "/keystore/a,b",
    ]


def test_what_stands_in_a_path_is_percent_encoded(cawbs: Any, double: CollectorDouble) -> None:
    cawbs.GetStepPayload("a/b?c d,é")
    cawbs.GetActionIdByPayload("order,né/e", "x/y?z=%")
    cawbs.GetActionIdByPayload("open", True)
    cawbs.GetKeystore("a/b,é")
    cawbs.GetEventStatus("1/../2")
    assert double.paths()[1:] == [
        "/rtstep/payload/17/a%2Fb%3Fc%20d%2C%C3%A9",
        "/rtstep/payload/actionid/order,n%C3%A9%2Fe/x%2Fy%3Fz%3D%25",
        "/rtstep/payload/actionid/open/true",
        "/keystore/a%2Fb,%C3%A9",
        "/rtevent/status/1%2F..%2F2",
    ]


def test_the_environment_is_read_by_init_and_stripped(
    environment: pytest.MonkeyPatch, double: CollectorDouble
) -> None:
    module = fresh("cawbs")
    environment.setenv("ENV", "  Łódź ")
    environment.setenv("CA_WBS_URL", f" {double.url}// ")
    assert module.Init() == {"status_code": 200}
    assert double.asked[0].headers["Environment"] == "Łódź"
    assert double.paths() == ["/auth/apicode"]


@pytest.mark.parametrize("library", ["cawbsbatch", "cawbsingress"])
def test_the_others_need_no_action_and_no_step(
    environment: pytest.MonkeyPatch, library: str
) -> None:
    environment.delenv("ACTIONID")
    environment.delenv("STEPNAME")
    assert fresh(library).Init() == {"status_code": 200}


def test_a_program_outside_sends_events_and_flags(ingress: Any, double: CollectorDouble) -> None:
    created = {"eventId": 4, "actionId": 5, "createdAt": "2026-01-01T00:00:00Z"}
    double.turns = [
        http(201, created),
        http(201, created),
        http(200, {"events": []}),
        *[http(200, {"status": "set"})] * 3,
    ]
    assert ingress.PostEvent("order", {"id": 1}) == {"status_code": 201, **created}
    assert ingress.PostEvent("order", None, "shop", "key-1")["actionId"] == 5
    assert ingress.GetEventList() == {"status_code": 200, "events": {"events": []}}
    flagged = {"status_code": 200, "flagStatus": "set"}
    assert ingress.SubmitFlag("done", "erp", "sap", "2026-01-31") == flagged
    assert (
        ingress.SubmitFlag("done", "erp", "sap", dt.datetime(2026, 1, 31, 9, tzinfo=dt.UTC))
        == flagged
    )
    assert ingress.SubmitFlag("done", "erp", "sap", dt.date(2026, 1, 31)) == flagged
    _, first, second, _, *flags = double.asked
    assert first.body == {"eventName": "order", "payload": {"id": 1}}
    assert len(first.headers["Idempotency-Key"]) == 32
    assert second.body == {"eventName": "order", "payload": None, "eventSource": "shop"}
    assert second.headers["Idempotency-Key"] == "key-1"
    wanted = {
        "name": "done",
        "systemName": "erp",
        "sourceSystemName": "sap",
        "date": "2026-01-31",
    }
    assert [each.body for each in flags] == [wanted] * 3


def test_threads_share_one_init(environment: pytest.MonkeyPatch, double: CollectorDouble) -> None:
    module = fresh("cawbs")
    double.answers["/rtevent/17"] = http(200, {"payload": 1})
    codes: list[int] = []
    read: list[int] = []

    def work() -> None:
        codes.append(module.Init()["status_code"])
        read.append(module.GetEventPayload()["status_code"])

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(codes) == [200] + [602] * 11
    assert read == [200] * 12
    assert double.paths().count("/auth/apicode") == 1


@pytest.mark.parametrize("name", ["cawbs", "cawbsbatch", "cawbsingress"])
def test_a_file_is_enough_and_is_light(name: str) -> None:
    heavy = ["http.client", "ssl", "socket", "typing", "email", "asyncio", "requests"]
    code = f"import sys, {name}; sys.exit(str([m for m in {heavy} if m in sys.modules] or ''))"
    # No site, no other directory: nothing but the file and the standard library.
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(LIBRARIES)!r}); {code}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.stderr.strip(), ended.stdout) == ("", "")


def test_the_files_share_their_code() -> None:
    tool = LIBRARIES.parents[2] / "tools" / "cawbs_alike.py"
    ended = subprocess.run(
        [sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr


def test_a_script_may_call_while_the_interpreter_ends(
    environment: pytest.MonkeyPatch, double: CollectorDouble
) -> None:
    double.answers["/rtstep/payload"] = http(200, {})
    code = "import atexit, cawbs; cawbs.Init(); atexit.register(lambda: print(cawbs.PutStepPayload(1)))"
    environment.setenv("PYTHONPATH", str(LIBRARIES))
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert (ended.stdout, ended.stderr) == ("{'status_code': 200}\n", "")
