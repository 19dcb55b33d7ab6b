"""A user of workflows who asks until there is an answer, workers of hosts, and what steps have noted."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance import raw
from tests.acceptance.api import Patient, User
from tests.acceptance.harness import MARK, Command, Server, WorkerProcess, eventually

API = "/coreauto/v1"
STEPS = Path(__file__).with_name("steps")
FINISH_S = 60.0
AGAIN = {"attempts": 50, "delay_s": 0.1, "factor": 1.0}
"""Retries for steps whose processes are killed."""
OVER = ("finished", "failed", "cancelled")


class HostWorker(WorkerProcess):
    """`longshore worker --host` with the scripts of these tests."""

    def __init__(
        self,
        directory: Path,
        host: str,
        mark: str,
        server: Server,
        *,
        slots: int = 2,
        name: str | None = None,
        scripts: Path = STEPS,
        options: Sequence[str] = (),
        url: str | None = None,
    ) -> None:
        self.host = host
        self.name = name or f"host-{host}"
        Command.__init__(self, directory, f"worker-{self.name}", mark)
        self._server = server
        self._arguments = ["worker", "--host", host, "--scripts", str(scripts)]
        self._arguments += ["--slots", str(slots), "--name", self.name]
        # What steps start is told by the mark as well.
        self._arguments += ["--pass-env", MARK, *options, "--server", url or server.url]
        self._environment = {}


def step(log: Path, host: str = "alpha", *after: str, **more: Any) -> dict[str, Any]:
    """Return the definition of a step that runs act.py after others, whose payloads it reads."""
    acts = {place: more.pop(place) for place in ("first", "then", "last") if place in more}
    return {
        "script": "act.py",
        "host": host,
        "arguments": list(after),
        "depends_on": list(after),
        "environment": {"LOG": str(log), "ACTS": json.dumps(acts)},
        **more,
    }


def workflow(
    name: str, steps: Mapping[str, Any], *, parallel: int = 100, **more: Any
) -> dict[str, Any]:
    """Return a definition whose runs events of its name start."""
    triggers = {"events": [{"name": name, "parallel": parallel}]}
    return {"workflow": name, "triggers": triggers, "steps": dict(steps), **more}


class Dispatcher(User):
    """A user of the workflows of one server."""

    def __init__(self, server: Server, *, url: str | None = None, key: str | None = None) -> None:
        super().__init__(url or server.url, key or server.key)

    def host(self, name: str) -> None:
        self.ask("PUT", f"{API}/hosts/{name}", expect=(200, 201))

    def apply(self, definition: Mapping[str, Any] | str) -> dict[str, Any]:
        """Apply a definition; JSON is YAML, too."""
        text = definition if isinstance(definition, str) else json.dumps(definition)
        answer = self.ask("POST", f"{API}/workflows", json={"text": text}, expect=(200, 201))
        return dict(answer.json())

    def secret(self, name: str, value: str, **more: Any) -> None:
        """Put an entry into the keystore."""
        path = f"/longshore/v1/keystore/entries/{name}"
        self.ask("PUT", path, json={"value": value, **more}, expect=(200, 201, 204))

    def event(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Send an event and return the run that it started; sent again it starts no other."""
        body = {
            "eventName": name,
            "payload": payload,
            "idempotencyKey": key or secrets.token_hex(8),
        }
        return int(self.ask("POST", f"{API}/rtevent", json=body, expect=(201,)).json()["actionId"])

    def status(self, run_id: int) -> dict[str, Any]:
        return dict(self.get(f"{API}/rtevent/status/{run_id}"))

    def view(self, run_id: int) -> dict[str, Any]:
        return dict(self.get(f"{API}/runs/{run_id}"))

    def step(self, run_id: int, name: str) -> dict[str, Any]:
        """Return a step with its attempts."""
        return dict(self.get(f"{API}/runs/{run_id}/steps/{name}"))

    def steps(self, run_id: int) -> dict[str, str]:
        """Return the states of a run's steps by name."""
        return {each["stepname"]: each["status"] for each in self.status(run_id)["steps"]}

    def over(self, run_id: int, within_s: float = FINISH_S) -> dict[str, Any]:
        """Return a run once it is over."""

        def look() -> dict[str, Any] | None:
            status = self.status(run_id)
            return status if status["status"] in OVER else None

        try:
            return eventually(look, within_s, f"run {run_id} is over") or {}
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.view(run_id), indent=1)}") from error

    def finish(self, run_id: int, within_s: float = FINISH_S) -> dict[str, Any]:
        """Return a run once it is over, which must be finished."""
        status = self.over(run_id, within_s)
        assert status["status"] == "finished", json.dumps(self.view(run_id), indent=1)
        return status

    def payload(self, run_id: int, name: str) -> Any:
        return self.get(f"{API}/rtstep/payload/{run_id}/{name}")["payload"]


def swap(server: Server, code: str, environment: str | None = None) -> raw.Answer:
    """Ask for the token of an access code, over a connection of its own."""
    headers = {"Content-Type": "application/json"}
    if environment is not None:
        headers["Environment"] = environment
    body = json.dumps({"apiCode": code}).encode()
    return raw.ask(server, "POST", f"{API}/auth/apicode", body, headers=headers)


def program(server: Server, code: str) -> Patient:
    """Return the client of a step's program, which has swapped its code."""
    answer = swap(server, code)
    assert answer.status == 200, answer.body
    return Patient(server.url, str(answer.json()["token"]))


@dataclass
class Log:
    """What steps have noted in a file."""

    path: Path
    _read: list[dict[str, Any]] = field(default_factory=list)

    def lines(self, word: str | None = None, **where: Any) -> list[dict[str, Any]]:
        """Return the lines so far of one word, with these values."""
        text = self.path.read_text("utf-8") if self.path.exists() else ""
        lines = [json.loads(line) for line in text.splitlines()]
        return [
            line
            for line in lines
            if (word is None or line["word"] == word)
            and all(line.get(name) == value for name, value in where.items())
        ]

    def wait(self, word: str, *, count: int = 1, within_s: float = 30.0, **where: Any) -> Any:
        """Return the last line of a word and these values, once there are so many."""

        def there() -> list[dict[str, Any]] | None:
            found = self.lines(word, **where)
            return found if len(found) >= count else None

        return (eventually(there, within_s, f"{word} {where} {count} times") or [])[-1]


def check_run(user: Dispatcher, log: Log, run_id: int) -> int:
    """Check that each step of a finished run counts once, and return how often steps were begun.

    The payload of a step is one that it has stored itself, and all that came after it have read
    that very one.
    """
    states = user.steps(run_id)
    assert set(states.values()) == {"finished"}, states
    payloads = {name: user.payload(run_id, name) for name in states}
    for name, payload in payloads.items():
        # Whoever has ended well has noted what it has stored before.
        (stored,) = log.lines("stored", run=run_id, step=name, nonce=payload["nonce"])
        assert log.lines("done", run=run_id, step=name, attempt=stored["attempt"]), stored
        for before, nonce in payload["read"].items():
            assert nonce == payloads[before]["nonce"], f"{name} read another payload of {before}"
    successes = _successes(user, run_id)
    assert successes == dict.fromkeys(states, 1), successes
    _check_one_after_the_other(log, run_id)
    return len(log.lines("begun", run=run_id))


def _successes(user: Dispatcher, run_id: int) -> dict[str, int]:
    found = {}
    for name in user.steps(run_id):
        attempts = user.step(run_id, name)["attempts"]
        found[name] = [attempt["outcome"] for attempt in attempts].count("success")
    return found


def _check_one_after_the_other(log: Log, run_id: int) -> None:
    """Check that no attempt of a step was begun twice, or went on beside the one after it."""
    attempts: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for line in log.lines(run=run_id):
        attempts.setdefault(line["step"], {}).setdefault(line["attempt"], []).append(line)
    for of_step in attempts.values():
        last = 0.0
        for _, lines in sorted(of_step.items()):
            assert [line["word"] for line in lines].count("begun") == 1, lines
            assert lines[0]["at"] > last, f"two attempts at once: {of_step}"
            last = lines[-1]["at"]
