"""Keeps the activities of a worker's elements alive, from a process of its own.

Code that holds the interpreter's lock, or all of the processor's time, cannot keep it from
renewing. When the worker dies, it kills the slots that the worker has left behind, so that no one
works on elements that others are given.

The worker writes lines of JSON into a pipe; the process is started as
`python -m longshore.corpus.heartbeat READ PARENT`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from typing import Final
from urllib.parse import urljoin

import httpx
import msgspec

from longshore import limits
from longshore.wire.preparing import prepare

RENEW_PATH: Final = "/longshore/v1/corpus/activities/renew"

Held = tuple[str, int]
"""An element's id and the number of the attempt that is held."""

_LONGEST_PAUSE_S: Final = 10.0
_PARENT_PAUSE_S: Final = 0.5
_RETRY_S: Final = 1.0
_LINE_HOLDS: Final = 40
"""A line must fit into the atomic write of a pipe (4096 bytes), since several processes write."""
_LEASE_S: Final = 60.0


class Order(msgspec.Struct, omit_defaults=True):
    """What the worker writes: one line, with any of these."""

    url: str = ""
    headers: dict[str, str] = {}
    worker_run_id: str = ""
    hold: list[Held] = []
    release: list[Held] = []
    guard: list[int] = []
    unguard: list[int] = []


class RenewAnswer(msgspec.Struct):
    """What the server says: which it does not count as held any more, and the lease from now."""

    lost: list[tuple[str, int, str]] = []
    lease_s: float = _LEASE_S


class Heartbeat:
    """The worker's side: starts the process, and tells it what to keep alive.

    The processes that are forked from the worker share it.
    """

    def __init__(self, url: str, headers: dict[str, str], worker_run_id: str) -> None:
        """Start the process."""
        reading, self._writing = os.pipe()
        command = [sys.executable, "-m", "longshore.corpus.heartbeat", str(reading)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, str(os.getpid())], pass_fds=[reading], stdin=subprocess.DEVNULL
        )
        os.close(reading)
        self._owner = os.getpid()
        self._tell(Order(url=url, headers=headers, worker_run_id=worker_run_id))

    def hold(self, held: Iterable[Held]) -> None:
        """Renew these from now on."""
        for some in _lines(held):
            self._tell(Order(hold=some))

    def release(self, held: Iterable[Held]) -> None:
        """Renew these no more."""
        for some in _lines(held):
            self._tell(Order(release=some))

    def guard(self, process_id: int) -> None:
        """Kill this process when the worker dies."""
        self._tell(Order(guard=[process_id]))

    def unguard(self, process_id: int) -> None:
        """Forget a process that has ended."""
        self._tell(Order(unguard=[process_id]))

    def close(self) -> None:
        """End the process; what it held is not renewed any more."""
        if os.getpid() != self._owner:
            return
        os.close(self._writing)
        # It ignores all other signals, and has nothing to tidy up.
        self._process.kill()
        self._process.wait()

    def _tell(self, order: Order) -> None:
        # Without it elements may be given to others while they are worked on; the server then
        # refuses our reports, so that nothing is counted twice.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._writing, msgspec.json.encode(order) + b"\n")


def _lines(held: Iterable[Held]) -> Iterable[list[Held]]:
    left = list(held)
    for start in range(0, len(left), _LINE_HOLDS):
        yield left[start : start + _LINE_HOLDS]


class _Renewing:
    """The process's side."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._about = Order()
        self._held: set[Held] = set()
        self._guarded: set[int] = set()
        self._lock = threading.Lock()
        self._changed = threading.Event()

    def listen(self, descriptor: int) -> None:
        """Follow orders until there are no more."""
        with open(descriptor, "rb") as lines:
            for line in lines:
                self._take(msgspec.json.decode(line, type=Order))

    def renew_until_orphaned(self) -> None:
        """Renew at a third of the lease, and sooner after a renewal that was not answered."""
        with httpx.Client(trust_env=False) as client:
            pause_s, due_s = _LONGEST_PAUSE_S, 0.0
            while os.getppid() == self._parent:
                new = self._changed.wait(_PARENT_PAUSE_S)
                self._changed.clear()
                # The lease of what is new may be the server's usual one, which is long.
                if self._held and (new or time.monotonic() >= due_s):
                    pause_s = self._renew(client)
                    due_s = time.monotonic() + pause_s
        for process_id in self._guarded:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)

    def _take(self, order: Order) -> None:
        with self._lock:
            if order.url:
                self._about = order
            new = set(order.hold) - self._held
            self._held |= new
            self._held -= set(order.release)
            self._guarded |= set(order.guard)
            self._guarded -= set(order.unguard)
        if new:
            self._changed.set()

    def _renew(self, client: httpx.Client) -> float:
        with self._lock:
            held = sorted(self._held)
        pause_s = _LONGEST_PAUSE_S
        for start in range(0, len(held), limits.ACTIVITIES_PER_CALL):
            some = held[start : start + limits.ACTIVITIES_PER_CALL]
            try:
                answer = self._ask(client, some)
            except (httpx.HTTPError, msgspec.MsgspecError):
                # The worker's own requests fail as well, and it says so.
                return _RETRY_S
            with self._lock:
                self._held -= {(element_id, attempt) for element_id, attempt, _ in answer.lost}
            pause_s = min(answer.lease_s / 3, pause_s)
        return pause_s

    def _ask(self, client: httpx.Client, held: list[Held]) -> RenewAnswer:
        about = self._about
        response = client.post(
            urljoin(about.url, RENEW_PATH),
            content=msgspec.json.encode({"worker_run_id": about.worker_run_id, "held": held}),
            headers={"Content-Type": "application/json", **about.headers},
            timeout=_LEASE_S / 4,
        )
        response.raise_for_status()
        return msgspec.json.decode(response.content, type=RenewAnswer)


def main(arguments: list[str]) -> int:
    """Renew until the worker ends."""
    descriptor, parent = (int(argument) for argument in arguments)
    # Only the worker's end ends this: elements are kept during a graceful stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    prepare()
    renewing = _Renewing(parent)
    threading.Thread(target=renewing.listen, args=(descriptor,), daemon=True).start()
    renewing.renew_until_orphaned()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
