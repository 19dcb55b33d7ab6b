"""The process that keeps leases alive: `python -m longshore.worker.heartbeat READ WRITE PARENT`.

It is a process of its own, so that user code which holds the interpreter's lock or all of the
processor's time cannot make the worker miss a renewal. It also outlives the worker for a moment:
when the worker dies, it kills the process groups that the worker has left behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from longshore import errors
from longshore.wire.preparing import prepare
from longshore.wire.worker import Held, RenewAnswer, RenewRequest
from longshore.worker.channel import (
    GivenUp,
    Guard,
    Hold,
    Identity,
    Receiver,
    Release,
    Scratch,
    Sender,
    ToHeartbeat,
    Unguard,
    Unknown,
)
from longshore.worker.remains import kill_users
from longshore.worker.transport import BlockingTransport

_LONGEST_PAUSE_S = 3.0
"""So that a cancellation is heard soon, however long the lease is."""
_RETRY_S = 0.5
_LAST_ORDERS_S = 2.0


class Heartbeat:
    """Renews the leases that the worker says it holds."""

    def __init__(self, receiver: Receiver[ToHeartbeat], sender: Sender) -> None:
        """Take orders from `receiver`, give news to `sender`."""
        self._receiver = receiver
        self._sender = sender
        self._scratch: str | None = None
        self._identity: Identity | None = None
        self._leases: dict[tuple[str, int], Held] = {}
        self._groups: set[int] = set()
        self._changed = threading.Event()
        self._lock = threading.Lock()

    def listen(self) -> None:
        """Follow the worker's orders until it is gone, then clean up after it and end."""
        with contextlib.suppress(EOFError):
            while True:
                self._take(self._receiver.receive())
        self.clean_up()

    def clean_up(self) -> NoReturn:
        """Kill what the dead worker has left behind, and end this process."""
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        if self._scratch is not None:
            kill_users(Path(self._scratch))
            shutil.rmtree(self._scratch, ignore_errors=True)
        os._exit(0)

    def renew_for_ever(self, parent: int, listener: threading.Thread) -> None:
        """Renew at a third of the lease; sooner after a renewal that was not answered."""
        transport: tuple[Identity, BlockingTransport] | None = None
        while True:
            identity = self._identity
            if os.getppid() != parent:
                # The last orders may still be in the pipe; after them `listen` ends the process.
                listener.join(_LAST_ORDERS_S)
                self.clean_up()
            if identity is None:
                self._changed.wait(_LONGEST_PAUSE_S)
                self._changed.clear()
                continue
            if transport is None or transport[0] != identity:
                transport = (identity, BlockingTransport(identity.url, identity.key))
            pause_s = min(identity.lease_s / 3, _LONGEST_PAUSE_S)
            begun_s = time.monotonic()
            try:
                answered = self._renew(identity, transport[1])
            except BrokenPipeError:
                self.clean_up()
            rest_s = (pause_s if answered else min(_RETRY_S, pause_s)) - (
                time.monotonic() - begun_s
            )
            threading.Event().wait(max(rest_s, 0.05))

    def _take(self, order: ToHeartbeat) -> None:
        with self._lock:
            match order:
                case Scratch(directory=directory):
                    self._scratch = directory
                case Identity():
                    self._identity = order
                    self._changed.set()
                case Hold(leases=leases):
                    self._leases |= {(held.work_id, held.attempt): held for held in leases}
                case Release(leases=leases):
                    for held in leases:
                        self._leases.pop((held.work_id, held.attempt), None)
                case Guard(group=group):
                    self._groups.add(group)
                case Unguard(group=group):
                    self._groups.discard(group)

    def _renew(self, identity: Identity, transport: BlockingTransport) -> bool:
        with self._lock:
            leases = list(self._leases.values())
        if not leases:
            return True
        # Half a lease: when nothing answers, there is time left for another attempt.
        timeout_s = identity.lease_s / 2
        request = RenewRequest(worker_id=identity.worker_id, leases=leases)
        try:
            answer = transport.post("worker/renew", request, RenewAnswer, timeout_s=timeout_s)
        except errors.NotFound:
            self._sender.send(Unknown(identity.worker_id))
            return False
        except errors.LongshoreError:
            # Not answered, or refused: the next one is sent soon, and the worker's own requests
            # fail as well, so it is the one to say so.
            return False
        if answer.lost:
            self._sender.send(GivenUp(answer.lost))
        return True


def main(arguments: list[str]) -> int:
    """Keep leases alive until the worker ends."""
    orders, news, parent = (int(argument) for argument in arguments)
    # Only the end of the worker ends this process: leases are renewed during a graceful stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    prepare()
    heartbeat = Heartbeat(Receiver(orders, ToHeartbeat), Sender(news))
    listener = threading.Thread(target=heartbeat.listen, name="orders", daemon=True)
    listener.start()
    heartbeat.renew_for_ever(parent, listener)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
