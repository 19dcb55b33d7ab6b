"""R12: files that raise, crash, exit, take all memory or never end, in a fleet of good ones."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance import invariants
from tests.acceptance.api import User
from tests.acceptance.conftest import Harbour, wait_for_apps
from tests.acceptance.harness import eventually, marked

SLOTS = 2
GOOD = 10
ATTEMPTS = 3

POISON: dict[str, tuple[str, str]] = {
    # File content, and a word of the cause that its user must be told.
    "raise.txt": ("raise beans", "poison: beans"),
    "reject.txt": ("reject beans", "never be read: beans"),
    "segfault.txt": ("segfault", "SIGSEGV"),
    "exit.txt": ("exit 7", "7"),
    "hog.txt": ("hog", "memory"),
    "loop.txt": ("loop", "time limit"),
    "deaf-loop.txt": ("deaf-loop", "time limit"),
}


def _tries(user: User, work: dict[str, Any]) -> int:
    """Return how often a file was tried; what a worker took too early it gave back untried."""
    returned = [event for event in user.events(work["id"]) if event["reason"] == "handed_back"]
    return int(work["attempt"]) - len(returned)


@pytest.mark.timeout(180)
def test_poison_among_good_files_harms_only_itself(harbour: Harbour) -> None:
    server = harbour.server()
    server.start()
    user = harbour.user(server)
    worker = harbour.worker(server, slots=SLOTS, options=("--memory-limit", "512MB"))
    worker.start()
    wait_for_apps(user, ["Behave"])
    once = harbour.directory / "raised"
    files = {name: content for name, (content, _) in POISON.items()}
    files |= {f"good{number}.txt": "fine" for number in range(GOOD)}
    files["once.txt"] = f"raise-once {once}"

    run_id = user.run_files("Behave", {name: text.encode() for name, text in files.items()})
    run = user.finished(run_id, within_s=120.0)

    assert run["status"] == "COMPLETE", user.describe(run_id)
    assert run["files"] == {
        "submitted": len(files),
        "done": GOOD + 1,
        "failed": len(POISON),
        "cancelled": 0,
        "pending": 0,
    }
    invariants.check_all(user)
    errors = user.errors(run_id)
    assert set(errors) == set(POISON)
    for name, (_, cause) in POISON.items():
        assert cause.lower() in errors[name].lower(), f"{name}: {errors[name]}"
    works = user.works(run_id)
    assert max(_tries(user, work) for work in works) == ATTEMPTS
    rejected = [work for work in works if work["reason"] == "rejected"]
    assert [_tries(user, work) for work in rejected] == [1], "a rejected file is not tried again"

    # All slots are back: as many files as there are slots can be held at once.
    marker = harbour.directory / "marker"
    held = {f"{number}.txt": f"until {marker}".encode() for number in range(SLOTS)}
    next_run = user.run_files("Patient", held)
    eventually(
        lambda: all(work["state"] == "running" for work in user.works(next_run)),
        15.0,
        "all slots are taken",
    )
    marker.touch()
    assert user.finished(next_run, within_s=20.0)["status"] == "COMPLETE"
    assert worker.stop() == 0
    eventually(
        lambda: {process.pid for process in marked(harbour.mark)} == {server.pid},
        10.0,
        "only the server is left",
    )


def test_what_an_app_prints_is_kept_with_its_attempt(harbour: Harbour) -> None:
    server = harbour.server()
    server.start()
    user = harbour.user(server)
    harbour.worker(server).start()
    wait_for_apps(user, ["Patient"])
    run_id = user.run_files("Patient", {"a.txt": b"print 50"})
    assert user.finished(run_id, within_s=20.0)["status"] == "COMPLETE"
    work = user.works(run_id)[0]["id"]
    lines = user.get(f"/longshore/v1/works/{work}/logs")["lines"]
    for stream, word in (("stdout", "line"), ("stderr", "trouble")):
        told = [line["text"] for line in lines if line["stream"] == stream]
        assert told == [f"{word} {number}" for number in range(50)]


def test_a_grandchild_does_not_outlive_the_attempt_that_started_it(harbour: Harbour) -> None:
    server = harbour.server()
    server.start()
    user = harbour.user(server)
    worker = harbour.worker(server, slots=1)
    worker.start()
    wait_for_apps(user, ["Behave"])
    idle = {process.pid for process in marked(harbour.mark)}
    marker = harbour.directory / "never"
    run_id = user.run_files("Behave", {"a.txt": f"spawn {marker}".encode()})
    run = user.finished(run_id, within_s=60.0)
    assert run["status"] == "FAILED", "it passed its time limit each time"
    eventually(lambda: len(marked(harbour.mark)) <= len(idle), 10.0, "the grandchildren are gone")
    assert worker.stop() == 0
