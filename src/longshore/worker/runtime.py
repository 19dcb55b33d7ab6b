"""The worker: claims works, runs the user's code on them, reports how they ended.

    claims --Claimed--> slot loop, one per slot --Report--> reporter --> server
                          |  input file, user code in a child process or a program, its files
                          +--lines--> live logs --> server
    heartbeat process: renews the leases of all attempts, says which are lost or cancelled

`run` is the whole of it. The first SIGTERM or SIGINT drains: nothing more is claimed, what runs
may finish within `drain_s`, the rest is handed back. The second one does not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from longshore import tracing
from longshore.clock import SystemClock
from longshore.errors import ConfigurationError, LongshoreError
from longshore.settings import ClientSettings
from longshore.wire.worker import Claimed, Goodbye, Lost
from longshore.worker import memory
from longshore.worker.attempts import Attempts
from longshore.worker.backoff import Backoff
from longshore.worker.channel import Loaded
from longshore.worker.claims import Claims
from longshore.worker.console import make_log
from longshore.worker.launchers import make_launchers, memory_limit_bytes
from longshore.worker.leases import Leases
from longshore.worker.livelogs import Accepted, LiveLogs
from longshore.worker.membership import Membership
from longshore.worker.options import WorkerOptions
from longshore.worker.pace import Pace
from longshore.worker.reports import Reporter
from longshore.worker.slot_kinds import make_slots
from longshore.worker.slots import SetUpFailed, Slot, first_of
from longshore.worker.tasks_programs import Programs
from longshore.worker.thread_slot import capture_prints
from longshore.worker.transport import Transport

__all__ = ["Worker", "WorkerOptions", "run"]

_LONGEST_RESTART_S = 30.0
_DRAIN_GRACE_S = 2.0
_FLUSH_S = 10.0
_LOOK_FOR_PARENT_S = 0.5
_FLUSH_HURRIED_S = 2.0


def run(options: WorkerOptions) -> int:
    """Run a worker until a signal stops it.

    Returns:
        The exit status: 0, or 1 when reports could not be delivered before the end.

    Raises:
        ConfigurationError: the modules do not load, register nothing that can be served, or their
            set-up fails.
        Unauthenticated, PermissionDenied: the server refuses the key.
        InvalidRequest: the server refuses an offer.
    """
    tracing.start("longshore-worker", wanted=ClientSettings().tracing)

    async def main() -> int:
        return await Worker(options).run()

    # A work waits for the worker's loop twice, so it is the fast one.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(main())
        finally:
            tracing.stop()


class Worker:
    """All parts of one worker, put together."""

    def __init__(self, options: WorkerOptions) -> None:
        """Put the parts together, inside the event loop that `run` will use."""
        loop = asyncio.get_running_loop()
        self._options = options
        self._log = make_log(options.log_level)
        self._directory = Path(
            tempfile.mkdtemp(prefix="longshore-worker-", dir=options.tasks_directory)
        )
        self._draining: asyncio.Future[None] = loop.create_future()
        self._hurried: asyncio.Future[None] = loop.create_future()
        self._offers: asyncio.Future[Loaded] = loop.create_future()
        self._rejoining: set[asyncio.Task[None]] = set()
        self._ever_ready = False
        self._ended = 0
        self._pace = Pace(options.slots)
        self._transport = Transport(options.url, options.key)
        self._leases = Leases(
            str(self._directory),
            on_lost=self._lost,
            on_unknown=self._rejoin_soon,
            log=self._log,
        )
        self._programs = Programs(options.commands())
        self._membership = Membership(
            options, self._programs, self._transport, self._leases, self._log
        )
        self._logs = LiveLogs(
            self._transport, SystemClock(), lambda: self._membership.worker_id, self._log
        )
        self._reporter = self._make_reporter()
        self._launchers = make_launchers(
            options,
            self._programs,
            self._transport,
            self._leases,
            directory=self._directory,
            worker_id=lambda: self._membership.worker_id,
        )
        self._attempts = Attempts(
            self._transport,
            self._logs,
            self._leases,
            self._reporter,
            self._launchers,
            directory=self._directory,
            log=self._log,
        )
        self._claims = Claims(
            self._transport,
            self._membership,
            self._leases,
            self._pace,
            options,
            hand_back=self._attempts.hand_back,
            log=self._log,
        )
        self._slots = make_slots(
            options, on_loaded=self._loaded, on_group=self._leases.guard, log=self._log
        )

    def drain(self) -> None:
        """Stop claiming and end after what runs; called again, end at once."""
        if not self._draining.done():
            self._log.info("stopping: running works may finish", within_s=self._options.drain_s)
            self._draining.set_result(None)
        elif not self._hurried.done():
            self._log.warning("stopping at once: running works are handed back")
            self._hurried.set_result(None)

    async def run(self) -> int:
        """Work until drained; return the exit status. Errors as for the module's `run`."""
        services = [
            asyncio.create_task(part.run()) for part in (self._leases, self._reporter, self._logs)
        ]
        serving = asyncio.create_task(self._serve())
        orphaned = asyncio.create_task(self._drain_when_orphaned())
        restore = capture_prints() if self._options.executor == "thread" else None
        self._catch_signals()
        try:
            await first_of(serving, *services)
            for service in services:
                if service.done():
                    service.result()
            await serving
            return await self._say_goodbye()
        finally:
            await _cancel(serving, orphaned, *self._rejoining)
            await asyncio.gather(*(slot.close() for slot in self._slots))
            await _cancel(*services)
            await self._transport.close()
            if restore is not None:
                restore()
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    def _make_reporter(self) -> Reporter:
        return Reporter(
            self._transport,
            self._logs,
            worker_id=lambda: self._membership.worker_id,
            on_answered=self._leases.release,
            on_unknown=self._membership.rejoin,
            more_to_come=lambda: self._claims.some_ahead,
            log=self._log,
        )

    def _loaded(self, offers: Loaded) -> None:
        if self._offers.done():
            return
        try:
            self._learn(offers)
        except ConfigurationError as error:
            self._offers.set_exception(error)
            return
        self._attempts.know_functions({each.name: each.timeout_s for each in offers.buckets})
        self._offers.set_result(offers)

    def _learn(self, offers: Loaded) -> None:
        """Take the workers of corpora that the modules register, or say that they do not run."""
        options = self._options
        if options.executor == "process":
            self._programs.learn(offers.workers)
        elif offers.workers:
            names = ", ".join(f"{each.offer.slug} {each.offer.version}" for each in offers.workers)
            why = f"not served: {names}; tasks run in processes of their own (--executor process)"
            if not (offers.apps or offers.services or self._buckets(offers) or options.workbooks):
                raise ConfigurationError(
                    f"Nothing to serve with --executor {options.executor}: {why}."
                )
            self._log.warning(why, executor=options.executor)

    def _lost(self, lost: Lost) -> None:
        waiting = self._claims.drop(lost)
        if waiting is None:
            self._attempts.give_up(lost)
        else:
            self._attempts.drop(waiting, lost)

    def _rejoin_soon(self, worker_id: str) -> None:
        if not self._rejoining:
            task = asyncio.create_task(self._membership.rejoin(worker_id))
            self._rejoining.add(task)
            task.add_done_callback(self._rejoining.discard)

    async def _drain_when_orphaned(self) -> None:
        """Drain when the process beside which this one runs is gone, however that ended."""
        parent = self._options.parent_pid
        if parent is None:
            return
        while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells of it but asking
            await asyncio.sleep(_LOOK_FOR_PARENT_S)
        self._log.warning("the process that started this worker is gone", pid=parent)
        self.drain()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Only the main thread can: elsewhere, whoever runs the worker calls `drain`.
            with contextlib.suppress(RuntimeError, ValueError):
                loop.add_signal_handler(number, self.drain)

    async def _serve(self) -> None:
        """Run claims and slots until drained; an error of any of them ends all."""
        claiming = asyncio.create_task(self._join_and_claim())
        slots = asyncio.gather(*(self._use(slot) for slot in self._slots))
        try:
            await first_of(claiming, slots, self._draining)
            if claiming.done():
                claiming.result()
            await _cancel(claiming)
            await first_of(slots, self._hurried, timeout_s=self._options.drain_s)
            if not slots.done():
                self._attempts.stop_all()
                grace_s = 0.0 if self._hurried.done() else _DRAIN_GRACE_S
                for slot in self._slots:
                    slot.limit_grace(grace_s)
                self._launchers.limit_grace(grace_s)
            await slots
        finally:
            await _cancel(claiming, slots)

    async def _join_and_claim(self) -> None:
        offers = await self._offers
        await self._membership.join(offers)
        options = self._options
        served = ", ".join(
            [f"{app.owner}/{app.name} {app.version}" for app in offers.apps]
            + [f"{each.name}[{each.version}]" for each in offers.services]
            + [f"bucket {name}" for name in self._buckets(offers)]
            + [f"worker {each.slug} {each.version}" for each in self._programs.offers()]
            + (["workbooks"] if options.workbooks else [])
            + ([f"host {options.host}"] if options.host else [])
        )
        limit = memory_limit_bytes(self._options)
        limits = {"memory": memory.readable(limit)} if options.executor == "process" else {}
        self._log.info(
            f"serving {served}",
            server=options.url,
            slots=options.slots,
            executor=options.executor,
            **limits,
        )
        await self._claims.run()

    def _buckets(self, offers: Loaded) -> list[str]:
        return list(
            dict.fromkeys([each.name for each in offers.buckets] + [*self._options.buckets])
        )

    async def _use(self, slot: Slot) -> None:
        """Keep one slot busy until the worker drains."""
        if slot is not self._slots[0]:
            # One slot finds out whether the modules load at all.
            await first_of(self._offers, self._draining)
        backoff = Backoff(_LONGEST_RESTART_S)
        while not self._draining.done():
            if not slot.ready and not await self._start(slot):
                await backoff.wait()
                continue
            work = self._claims.take() or await self._wait_for_work(slot)
            if work is None:
                await backoff.wait()
                continue
            began_s = time.monotonic()
            await self._attempts.run(work, slot)
            self._pace.note(time.monotonic() - began_s, len(memoryview(work.payload)))
            backoff.reset()
            self._ended += 1
            if self._ended == self._options.lives:
                self._log.info("all its works are done", lives=self._ended)
                self.drain()

    async def _wait_for_work(self, slot: Slot) -> Claimed | None:
        """Wait in the row of idle slots; None when the slot ends or the worker drains first."""
        place = self._claims.enqueue()
        reasons: tuple[asyncio.Future[Any], ...] = (slot.ended(), self._draining)

        def leave(_: asyncio.Future[Any]) -> None:
            self._claims.withdraw(place)

        for reason in reasons:
            reason.add_done_callback(leave)
        try:
            work = await place
        finally:
            for reason in reasons:
                reason.remove_done_callback(leave)
        if work is not None and self._draining.done():
            self._attempts.hand_back(work)
            return None
        return work

    async def _start(self, slot: Slot) -> bool:
        """Make a slot ready; False when that failed, or the worker drains first."""
        starting = asyncio.create_task(slot.start())
        await first_of(starting, self._draining)
        if not starting.done():
            await _cancel(starting)
            return False
        try:
            starting.result()
        except SetUpFailed as error:
            if not self._ever_ready:
                raise ConfigurationError(str(error)) from error
            self._log.error("a slot cannot be set up again", why=str(error))
            return False
        self._ever_ready = True
        return True

    async def _say_goodbye(self) -> int:
        timeout_s = _FLUSH_HURRIED_S if self._hurried.done() else _FLUSH_S
        unsent = await self._reporter.flushed(timeout_s)
        await self._logs.flush(_FLUSH_HURRIED_S)
        if unsent:
            self._log.error("the server did not take all reports; those works run again")
        if self._membership.worker_id:
            try:
                await self._transport.post(
                    "worker/leave",
                    Goodbye(worker_id=self._membership.worker_id),
                    Accepted,
                    timeout_s=_FLUSH_HURRIED_S,
                )
            except LongshoreError as error:
                self._log.warning("the server did not hear the goodbye", why=str(error))
        self._log.info("stopped")
        return 1 if unsent else 0


async def _cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait for their ends; what they raise has been seen or does not matter."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
