"""Structs that several threads decode for the first time at the same moment."""

from __future__ import annotations

import subprocess
import sys

import msgspec

import longshore.server.app  # noqa: F401 - it loads the structs of the server
from longshore.wire import preparing

# Without the call of prepare() this crashes in one of the first rounds (msgspec 0.22).
MANY_THREADS = """
import sys, threading, types
import msgspec
from longshore.wire.preparing import prepare

LINES = ["import msgspec", "from typing import Any"]
for place in range(8):
    LINES += [f"class S{place}(msgspec.Struct):", " a: int", " b: dict[str, Any] = {}", " c: list[int] = []"]
    if place:
        LINES += [f" d: 'S{place - 1} | None' = None"]

def decode(begin, kind):
    begin.wait()
    for _ in range(3):
        msgspec.json.decode(b'{"a": 1, "b": {}, "c": [1], "d": {"a": 2}}', type=kind)

sys.setswitchinterval(1e-6)
for number in range(60):
    module = types.ModuleType(f"longshore.made_{number}")
    sys.modules[module.__name__] = module
    exec("\\n".join(LINES), module.__dict__)
    prepare()
    begin = threading.Barrier(8)
    threads = [threading.Thread(target=decode, args=(begin, module.S7)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("survived")
"""


def test_all_structs_of_the_package_are_learned_or_are_only_written() -> None:
    preparing.prepare()
    ours = {
        kind for kind in preparing._all(msgspec.Struct) if kind.__module__.startswith("longshore.")
    }
    assert len(ours) > 100
    assert ours <= preparing._known


def test_threads_that_decode_at_the_same_moment_do_not_crash_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY_THREADS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr
