"""Sending what user code prints to the server while it runs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from longshore.clock import Clock
from longshore.errors import LongshoreError
from longshore.wire.worker import LogLine, LogRequest
from longshore.worker.transport import Transport, may_try_again

_INTERVAL_S = 0.3
_BATCH_LINES = 1_000
_BATCH_CHARACTERS = 1_000_000
_KEPT_LINES = 20_000
_KEPT_CHARACTERS = 16_000_000
_TIMEOUT_S = 10.0
_LONGEST_PAUSE_S = 5.0


class Accepted(msgspec.Struct):
    """The answer to log lines; what it says does not matter here."""


class LiveLogs:
    """A bounded buffer of lines, posted in batches; losing lines never fails work."""

    def __init__(
        self, transport: Transport, clock: Clock, worker_id: Callable[[], str], log: Any
    ) -> None:
        """Post through `transport` as the worker that `worker_id` returns."""
        self._transport = transport
        self._clock = clock
        self._worker_id = worker_id
        self._log = log
        self._lines: deque[LogLine] = deque()
        self._characters = 0
        self._sending = asyncio.Lock()
        self._some = asyncio.Event()

    def add(self, work_id: str, attempt: int, stream: str, text: str) -> None:
        """Take a line; when the server has been away for long, the oldest are dropped."""
        line = LogLine(
            work_id=work_id,
            attempt=attempt,
            at_us=self._clock.now_us(),
            stream=stream,
            text=text,
        )
        self._lines.append(line)
        self._characters += len(text)
        while len(self._lines) > _KEPT_LINES or self._characters > _KEPT_CHARACTERS:
            self._characters -= len(self._lines.popleft().text)
        self._some.set()

    async def run(self) -> None:
        """Post waiting lines for ever, at most every 0.3 s; ends by being cancelled."""
        pause_s = _INTERVAL_S
        while True:
            await self._some.wait()
            sent = await self.send_all()
            pause_s = _INTERVAL_S if sent else min(pause_s * 2, _LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)

    async def flush(self, timeout_s: float) -> None:
        """Try to post what waits, for at most `timeout_s`."""
        if self._lines or self._sending.locked():
            try:
                async with asyncio.timeout(timeout_s):
                    await self.send_all()
            except TimeoutError:
                self._log.debug("log lines were not sent in time", waiting=len(self._lines))

    async def send_all(self) -> bool:
        """Post what waits; return False when the server did not take it."""
        async with self._sending:
            while self._lines:
                batch = self._next_batch()
                try:
                    await self._transport.post(
                        "worker/logs",
                        LogRequest(worker_id=self._worker_id(), lines=batch),
                        Accepted,
                        timeout_s=_TIMEOUT_S,
                    )
                except LongshoreError as error:
                    if may_try_again(error):
                        return False
                    self._log.warning("log lines were refused", lines=len(batch), why=str(error))
                self._remove(batch)
            self._some.clear()
            return True

    def _next_batch(self) -> list[LogLine]:
        batch: list[LogLine] = []
        characters = 0
        for line in self._lines:
            characters += len(line.text)
            if batch and (len(batch) == _BATCH_LINES or characters > _BATCH_CHARACTERS):
                break
            batch.append(line)
        return batch

    def _remove(self, batch: list[LogLine]) -> None:
        # Some of them may have been dropped from the left while they were sent.
        last = batch[-1]
        if any(line is last for line in self._lines):
            while (line := self._lines.popleft()) is not last:
                self._characters -= len(line.text)
            self._characters -= len(last.text)
