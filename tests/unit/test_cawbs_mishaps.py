"""cawbs when something is wrong: never an exception, and a status_code that is 400 or more."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.cawbs_server import (
    STEP,
    TOKEN,
    Asked,
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
    monkeypatch.setenv("CA_WBS_TIMEOUT_S", "5")
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


@pytest.mark.parametrize("missing", ["ENV", "ACTIONID", "CA_ACCESS_CODE", "CA_WBS_URL", "STEPNAME"])
@pytest.mark.parametrize("empty", [True, False])
def test_a_variable_that_is_missing_or_empty_is_601(
    environment: pytest.MonkeyPatch, missing: str, empty: bool, double: CollectorDouble
) -> None:
    if empty:
        environment.setenv(missing, "  ")
    else:
        environment.delenv(missing)
    answered = fresh("cawbs").Init()
    assert answered["status_code"] == 601
    assert missing in answered["error"]
    assert double.asked == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CA_WBS_URL", "localhost:8000/coreauto"),
        ("CA_WBS_URL", "ftp://there/coreauto"),
        ("CA_WBS_URL", "http://"),
        ("CA_WBS_URL", "http://there:port/coreauto"),
        ("ENV", "north\r\nX: y"),
        ("CA_WBS_TIMEOUT_S", "soon"),
        ("CA_WBS_TIMEOUT_S", "0"),
        ("CA_WBS_TIMEOUT_S", "nan"),
        ("CA_WBS_RETRY_S", "-1"),
    ],
)
def test_a_variable_that_cannot_be_used_is_601(
    environment: pytest.MonkeyPatch, name: str, text: str, double: CollectorDouble
) -> None:
    environment.setenv(name, text)
    assert fresh("cawbs").Init()["status_code"] == 601
    assert double.asked == []


def test_a_second_init_is_602_and_harms_nothing(cawbs: Any, double: CollectorDouble) -> None:
    double.turns = [http(200, {"payload": 1})]
    assert cawbs.Init()["status_code"] == 602
    assert cawbs.GetEventPayload()["payload"] == 1


def test_init_may_be_tried_again_after_it_failed(
    environment: pytest.MonkeyPatch, double: CollectorDouble
) -> None:
    module = fresh("cawbs")
    double.answers["/auth/apicode"] = http(401, {"detail": "no"})
    assert module.Init() == {"status_code": 401, "error": {"detail": "no"}}
    assert module.GetEventPayload()["status_code"] == 603
    del double.answers["/auth/apicode"]
    assert module.Init() == {"status_code": 200}


def test_every_call_before_init_is_603(
    environment: pytest.MonkeyPatch, double: CollectorDouble
) -> None:
    step, batch, outside = fresh("cawbs"), fresh("cawbsbatch"), fresh("cawbsingress")
    answers = [
        step.GetEventPayload(),
        step.PutStepPayload({}),
        step.GetStepPayload("a"),
        step.GetKeystore("a"),
        step.GetEventStatus(1),
        step.GetActionIdByPayload("a", "b"),
        batch.GetKeystore("a"),
        outside.PostEvent("a", {}),
        outside.GetEventStatus(1),
        outside.GetEventList(),
        outside.SubmitFlag("a", "b", "c", "2026-01-01"),
        outside.GetKeystore("a"),
    ]
    assert [each["status_code"] for each in answers] == [603] * 12
    assert double.asked == []


class _Awkward(dict[str, Any]):
    def items(self) -> Any:
        raise KeyError("no items today")


def _endless() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize(
    "payload",
    [object(), {1, 2}, b"bytes", float("nan"), {"a": dt.date(2026, 1, 1)}, _endless(),
     _Awkward(a=1), {("a", "b"): 1}],
)  # fmt: skip
def test_a_payload_that_is_no_json_is_604(
    cawbs: Any, payload: object, double: CollectorDouble
) -> None:
    answered = cawbs.PutStepPayload(payload)
    assert answered["status_code"] == 604
    assert "JSON" in answered["error"]
    assert len(double.asked) == 1


def test_arguments_that_cannot_be_sent_are_604(
    cawbs: Any, ingress: Any, double: CollectorDouble
) -> None:
    answers = [
        *(cawbs.GetStepPayload(name) for name in ("", "  ", None, 3, "\ud800")),
        *(cawbs.GetKeystore(keys) for keys in ("", "a,,b", None, ["a"], "\ud800")),
        *(cawbs.GetEventStatus(one) for one in (True, "", 1.5, ["1"], "\ud800", 10**5000)),
        *(
            cawbs.GetActionIdByPayload(*pair)
            for pair in (("", "a"), ("a", ""), ("a", ["b"]), ("a", "\ud800"), ("a", 10**5000))
        ),
        *(ingress.GetEventStatus(one) for one in (None, False)),
        *(ingress.PostEvent(name, {}) for name in ("", None)),
        *(ingress.PostEvent("a", {}, idempotency_key=key) for key in ("", "é", "a\nb", 3)),
        ingress.PostEvent("a", object()),
        ingress.SubmitFlag("a", "b", "c", object()),
    ]
    assert [each["status_code"] for each in answers] == [604] * len(answers)
    assert len(double.asked) == 2, "nothing was sent but the two codes"


def test_a_key_that_is_not_there_is_605(cawbs: Any, double: CollectorDouble) -> None:
    double.turns = [http(200, {"a": "1"}), http(200, {})]
    assert cawbs.GetKeystore("a,b") == {"status_code": 605, "error": "b not found"}
    assert cawbs.GetKeystore("c")["status_code"] == 605


@pytest.mark.parametrize("library", ["cawbs", "cawbsbatch", "cawbsingress"])
def test_a_refused_connection_is_606(environment: pytest.MonkeyPatch, library: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment.setenv("CA_WBS_URL", f"http://127.0.0.1:{port}/coreauto")
    answered = fresh(library).Init()
    assert (answered["status_code"], answered["error"]) == (606, "inaccessible")
    assert f"127.0.0.1:{port}" in answered["detail"]


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 300])
def test_a_name_that_nobody_knows_is_606(environment: pytest.MonkeyPatch, host: str) -> None:
    environment.setenv("CA_WBS_URL", f"http://{host}/coreauto")
    assert fresh("cawbs").Init()["status_code"] == 606


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"payload\": 1}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 700 Beyond\r\nContent-Length: 2\r\n\r\n{}",
        http(200, b""),
        http(200, b"<html>Please log in</html>"),
        http(200, b"\xff\xfe\x00"),
        http(200, b"[" * 100_000),
        http(200, b"9" * 10_000),
        http(200, ["payload"]),
        http(200, {"other": 1}),
        http(204, b""),
        http(302, b"", "Location: http://elsewhere/"),
        http(304, b""),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_used_is_606(
    cawbs: Any, answer: bytes, double: CollectorDouble
) -> None:
    double.turns = [answer]
    answered = cawbs.GetEventPayload()
    assert (answered["status_code"], answered["error"]) == (606, "inaccessible")
    assert answered["detail"]


@pytest.mark.parametrize(
    "answer",
    [{}, [], {"token": ""}, {"token": 3}, {"token": "a\nb"}, {"token": "a b"}, {"token": "é"}],
)
def test_an_init_without_a_token_is_606(
    environment: pytest.MonkeyPatch, double: CollectorDouble, answer: Any
) -> None:
    module = fresh("cawbs")
    double.answers["/auth/apicode"] = http(200, answer)
    assert module.Init()["status_code"] == 606
    assert module.GetEventPayload()["status_code"] == 603


def test_a_redirection_takes_the_token_nowhere(cawbs: Any, double: CollectorDouble) -> None:
    double.turns = [http(307, b"", f"Location: {double.url}/v1/elsewhere")]
    assert "elsewhere" in cawbs.PutStepPayload({})["detail"]
    assert double.paths() == ["/auth/apicode", "/rtstep/payload"]


@pytest.mark.parametrize(
    ("body", "error"), [(b'{"detail": "no"}', {"detail": "no"}), (b"<h1>", "inaccessible")]
)
@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 599])
def test_a_refusal_is_told_with_what_the_server_said(
    cawbs: Any, double: CollectorDouble, status: int, body: bytes, error: Any
) -> None:
    double.turns = [http(status, body)]
    answered = cawbs.GetEventPayload()
    assert (answered["status_code"], answered["error"]) == (status, error)


def test_a_refusal_before_all_was_read_is_told(cawbs: Any, environment: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cawbs._Current.session.port = listener.getsockname()[1]

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(http(413, {"detail": "too long"}))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass

        refusing = threading.Thread(target=refuse)
        refusing.start()
        answered = cawbs.PutStepPayload("x" * 3_000_000)
        refusing.join(10)
    assert answered == {"status_code": 413, "error": {"detail": "too long"}}


def test_what_fails_for_a_moment_is_tried_again(
    environment: pytest.MonkeyPatch, double: CollectorDouble
) -> None:
    environment.setenv("CA_WBS_RETRY_S", "20")
    module = fresh("cawbs")
    tries = [http(503, b"starting", "Retry-After: 0"), b"", http(200, {"token": TOKEN})]
    double.answers["/auth/apicode"] = lambda asked: tries.pop(0)
    assert module.Init() == {"status_code": 200}
    double.turns = [http(500, {}), http(502, b"<h1>"), http(200, {"payload": 5})]
    assert module.GetEventPayload() == {"status_code": 200, "payload": 5}
    double.turns = [http(429, {}), http(200, {})]
    assert module.PutStepPayload({})["status_code"] == 200
    # What another try cannot change is told at once.
    double.turns = [http(404, {"detail": "no"}), http(200, {"payload": 5})]
    assert module.GetEventPayload()["status_code"] == 404


def test_it_gives_up_after_a_while(
    environment: pytest.MonkeyPatch, double: CollectorDouble
) -> None:
    environment.setenv("CA_WBS_RETRY_S", "0.5")
    double.answers["/auth/apicode"] = http(503, {"detail": "starting"})
    assert fresh("cawbs").Init() == {"status_code": 503, "error": {"detail": "starting"}}
    assert 2 <= len(double.asked) <= 8
    double.asked.clear()
    double.answers["/auth/apicode"] = http(503, {}, "Retry-After: 100")
    assert fresh("cawbs").Init()["status_code"] == 503
    assert len(double.asked) == 1, "nobody waits longer than it may try"


def test_a_server_that_hangs_is_606_within_the_time_limit(
    environment: pytest.MonkeyPatch, double: CollectorDouble
) -> None:
    def hang(asked: Asked) -> bytes:
        double.hang.wait(10)
        return b""

    environment.setenv("CA_WBS_TIMEOUT_S", "0.3")
    double.answers["/auth/apicode"] = hang
    begun = time.monotonic()
    answered = fresh("cawbs").Init()
    assert time.monotonic() - begun < 5
    assert answered["status_code"] == 606
    assert "no answer within 0.3 s" in answered["detail"]


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_606_within_the_time_limit(
    environment: pytest.MonkeyPatch, head: bytes
) -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(head)
                while not ended.wait(0.05):
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

        dripping = threading.Thread(target=drip)
        dripping.start()
        environment.setenv("CA_WBS_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        environment.setenv("CA_WBS_TIMEOUT_S", "0.4")
        begun = time.monotonic()
        answered = fresh("cawbs").Init()
        took_s = time.monotonic() - begun
        ended.set()
        dripping.join(10)
    assert answered["status_code"] == 606
    assert "no answer within 0.4 s" in answered["detail"]
    assert took_s < 5


def test_an_event_that_is_sent_again_is_known_by_its_key(
    environment: pytest.MonkeyPatch, double: CollectorDouble
) -> None:
    environment.setenv("CA_WBS_RETRY_S", "20")
    module = fresh("cawbsingress")
    assert module.Init()["status_code"] == 200
    created = {"eventId": 4, "actionId": 5, "createdAt": "2026-01-01T00:00:00Z"}
    double.turns = [b"", http(201, created)]
    assert module.PostEvent("order", {})["status_code"] == 201
    assert len({each.headers.get("Idempotency-Key") for each in double.asked[1:]}) == 1
    double.turns = [http(201, {"eventId": 4})]
    assert module.PostEvent("order", {})["status_code"] == 606
