"""The script of the steps of the acceptance tests: it notes what it does, in one file of all steps.

LOG names that file. ACTS is JSON: what to do besides, by the place: `first` (before Init), `then`
(before the payload is stored) and `last`. The arguments are steps whose payloads it reads.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cawbs


def note(word: str, **more: Any) -> None:
    """Append a line, at once, so that whoever reads the file never sees half of it."""
    said = {
        "word": word,
        "run": int(os.environ["RUNID"]),
        "step": os.environ["STEPNAME"],
        "attempt": int(os.environ["ATTEMPT"]),
        "pid": os.getpid(),
        "at": time.monotonic(),
        **more,
    }
    log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(log, f"{json.dumps(said)}\n".encode())
    os.close(log)


def ask(answer: dict[str, Any]) -> dict[str, Any]:
    if answer["status_code"] >= 400:
        print("the server said", answer, file=sys.stderr)
        sys.exit(1)
    return answer


def act(place: str) -> None:
    verb, _, argument = (
        json.loads(os.environ.get("ACTS") or "{}").get(place, "go on").partition(" ")
    )
    pause = threading.Event()
    if verb == "until":
        while not Path(argument).exists():
            pause.wait(0.02)
    elif verb == "nap":
        pause.wait(float(argument))
    elif verb == "exit":
        sys.exit(int(argument))
    elif verb == "exit-at-first":
        if os.environ["ATTEMPT"] == "1":
            sys.exit(int(argument))
    elif verb == "spawn":
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        note("spawned", child=child.pid)
        pause.wait()
    elif verb == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note("deaf")
        while True:
            pause.wait(1.0)


def main() -> None:
    note("begun", code=os.environ["CA_ACCESS_CODE"])
    act("first")
    ask(cawbs.Init())
    read = {step: ask(cawbs.GetStepPayload(step))["payload"]["nonce"] for step in sys.argv[1:]}
    note("let in")
    act("then")
    nonce = secrets.token_hex(8)
    ask(cawbs.PutStepPayload({"nonce": nonce, "read": read}))
    note("stored", nonce=nonce, read=read)
    act("last")
    note("done", nonce=nonce)


if __name__ == "__main__":
    main()
