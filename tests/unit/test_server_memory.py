"""How the server process uses memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

THREADS = """
import ctypes, sys, tempfile, threading
from longshore.server import memory

limited = sys.argv[1] == "limited" and memory.limit_arenas()
hold = threading.Barrier(9)

def allocate():
    kept = [bytes(1_000) for _ in range(1_000)]
    hold.wait()
    hold.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
hold.wait()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile() as target:
    file = ctypes.c_void_p(libc.fopen(target.name.encode(), b"w"))
    libc.malloc_info(0, file)
    libc.fclose(file)
    print(target.read().count(b"<heap nr="))
hold.wait()
"""


def arenas(how: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", THREADS, how], stdout=subprocess.PIPE, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries have no arenas")
def test_threads_share_two_arenas() -> None:
    assert arenas("free") > 2
    assert arenas("limited") == 2
