"""Processes that work on elements side by side, each set up once.

They are forked before anything is configured, so that each has a model and connections of its
own, and a program needs neither to be imported again nor to guard its main part. Orders and news
are lines of JSON over pipes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NoReturn, Self

import msgspec

from longshore.corpus.cache import CachedElement
from longshore.corpus.models import Element
from longshore.corpus.performing import Item, Outcome, Place, Telling, Work, perform
from longshore.wire.preparing import prepare

if TYPE_CHECKING:
    from longshore.corpus.elements_worker import ElementsWorker


class SlotError(Exception):
    """A slot could not be set up."""


class _Sent(msgspec.Struct, omit_defaults=True):
    """An element on its way to a slot: its id, all of it, or its id in the cache."""

    place: Place
    telling: Telling
    id: str = ""
    element: dict[str, Any] | None = None
    cached: str = ""


class _Order(msgspec.Struct):
    works: list[_Sent]


class _News(msgspec.Struct, omit_defaults=True):
    """From a slot: one of these."""

    ready: bool = False
    broken: str = ""
    outcomes: list[Outcome] | None = None
    log: dict[str, Any] | None = None

    def pass_on(self) -> None:
        """Log here what was logged there."""
        if self.log is not None:
            record = logging.makeLogRecord(self.log)
            logging.getLogger(record.name).handle(record)


class Slot:
    """One of the processes, as the one that forked it sees it."""

    def __init__(self, process_id: int, orders: IO[bytes], news: int) -> None:
        """Keep the ends of its pipes."""
        self.process_id = process_id
        self.orders = orders
        self.news = news
        self.works: Sequence[Work] = ()
        self.buffer = b""
        self.is_ready = False

    def read(self) -> list[_News] | None:
        """Return the news that have come, or None when there are no more."""
        data = os.read(self.news, 1 << 16)
        if not data:
            return None
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        return [msgspec.json.decode(line, type=_News) for line in lines]

    def close(self) -> str:
        """Let the process end, pass on what it logs until then, and say how it ended."""
        with contextlib.suppress(BrokenPipeError):
            self.orders.close()
        while (news := self.read()) is not None:
            for one in news:
                one.pass_on()
        os.close(self.news)
        _, status = os.waitpid(self.process_id, 0)
        code = os.waitstatus_to_exitcode(status)
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class Slots:
    """All slots of a worker. Used as a context, which ends them."""

    def __init__(self, worker: ElementsWorker, size: int) -> None:
        """Prepare `size` slots; they are started by `start`."""
        self._worker = worker
        self._size = size
        self._selector = selectors.DefaultSelector()
        self.free: list[Slot] = []
        self.all: list[Slot] = []

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all slots: when they are idle, or at once after an error."""
        for slot in list(self.all):
            if kind is not None:
                os.kill(slot.process_id, signal.SIGKILL)
            self._end(slot)
        self._selector.close()

    @property
    def busy(self) -> list[Slot]:
        """The slots that have elements."""
        return [slot for slot in self.all if slot.works]

    def start(self) -> None:
        """Fork the processes that are missing; they become free once they are set up."""
        for _ in range(self._size - len(self.all)):
            slot = self._fork()
            self.all.append(slot)
            self._selector.register(slot.news, selectors.EVENT_READ, slot)
            self._worker.guard_slot(slot.process_id)

    def send(self, works: Sequence[Work]) -> None:
        """Give elements to a free slot."""
        slot = self.free.pop()
        slot.works = works
        order = _Order([_sent(work) for work in works])
        # A slot that has died is noticed by `receive`.
        with contextlib.suppress(BrokenPipeError):
            slot.orders.write(msgspec.json.encode(order) + b"\n")
            slot.orders.flush()

    def receive(self, timeout_s: float) -> list[tuple[Sequence[Work], list[Outcome] | str]]:
        """Wait for slots, and return what became of elements, or how their slot has died.

        Raises:
            SlotError: a slot could not be set up.
        """
        done: list[tuple[Sequence[Work], list[Outcome] | str]] = []
        for key, _ in self._selector.select(timeout_s):
            slot: Slot = key.data
            news = slot.read()
            if news is None:
                done += self._died(slot)
                continue
            for one in news:
                done += self._take(slot, one)
        return done

    def _take(self, slot: Slot, news: _News) -> list[tuple[Sequence[Work], list[Outcome] | str]]:
        news.pass_on()
        if news.broken:
            raise SlotError(f"A slot could not be set up:\n{news.broken}")
        if news.ready:
            slot.is_ready = True
            self.free.append(slot)
        elif news.outcomes is not None:
            works, slot.works = slot.works, ()
            self.free.append(slot)
            return [(works, news.outcomes)]
        return []

    def _died(self, slot: Slot) -> list[tuple[Sequence[Work], list[Outcome] | str]]:
        how = self._end(slot)
        if not slot.is_ready:
            raise SlotError(f"A slot died while it was set up ({how}).")
        return [(slot.works, f"its process died ({how})")] if slot.works else []

    def _end(self, slot: Slot) -> str:
        self._selector.unregister(slot.news)
        self.all.remove(slot)
        if slot in self.free:
            self.free.remove(slot)
        how = slot.close()
        self._worker.unguard_slot(slot.process_id)
        return how

    def _fork(self) -> Slot:
        orders_read, orders_write = os.pipe()
        news_read, news_write = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        process_id = os.fork()
        if process_id == 0:
            # While another slot holds the writing end, the end of this process is not noticed.
            for slot in self.all:
                os.close(slot.orders.fileno())
                os.close(slot.news)
            os.close(orders_write)
            os.close(news_read)
            _live(self._worker, orders_read, news_write)
        os.close(orders_read)
        os.close(news_write)
        return Slot(process_id, os.fdopen(orders_write, "wb"), news_read)


class _Teller(logging.Handler):
    """In a slot: tells the process that forked it, whose terminal it is; log lines, too."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._writing = threading.Lock()

    def tell(self, news: _News) -> None:
        left = memoryview(msgspec.json.encode(news) + b"\n")
        with self._writing:
            while left:
                left = left[os.write(self._descriptor, left) :]

    def emit(self, record: logging.LogRecord) -> None:
        # When nobody listens any more, this process is about to end, too.
        with contextlib.suppress(BrokenPipeError):
            self._emit(record)

    def _emit(self, record: logging.LogRecord) -> None:
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else None
        self.tell(
            _News(
                log={
                    "name": record.name,
                    "levelno": record.levelno,
                    "levelname": record.levelname,
                    "msg": record.getMessage(),
                    "created": record.created,
                    "exc_text": trace,
                }
            )
        )


def _live(worker: ElementsWorker, orders: int, news: int) -> NoReturn:
    """Be a slot, until there are no more orders."""
    # Ending is for the process that gives the orders to decide.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Those of the parent may be a bar's, with a lock that nobody here will open.
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    prepare()
    teller = _Teller(news)
    logging.getLogger().handlers[:] = [teller]
    code = 1
    try:
        worker.become_slot()
        worker.configure()
        worker.setup()
        teller.tell(_News(ready=True))
        with os.fdopen(orders, "rb") as lines:
            for line in lines:
                order = msgspec.json.decode(line, type=_Order)
                works = [Work(sent.place, _received(sent), sent.telling) for sent in order.works]
                teller.tell(_News(outcomes=perform(worker, works)))
        worker.cleanup()
        code = 0
    except BaseException:  # noqa: BLE001 - a forked process must not return into its parent's code
        with contextlib.suppress(OSError):
            teller.tell(_News(broken=traceback.format_exc()))
    finally:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


def _sent(work: Work) -> _Sent:
    if isinstance(work.item, Element):
        return _Sent(work.place, work.telling, element=work.item)
    if isinstance(work.item, CachedElement):
        return _Sent(work.place, work.telling, cached=str(work.item.id))
    return _Sent(work.place, work.telling, id=work.item)


def _received(sent: _Sent) -> Item:
    if sent.element is not None:
        return Element(sent.element)
    return CachedElement.get_by_id(sent.cached) if sent.cached else sent.id
