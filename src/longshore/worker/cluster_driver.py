"""The driver: `python -m longshore.worker.cluster_driver COMMANDS EVENTS PARENT`.

It connects to a cluster for the worker. It is a process of its own because the engines' libraries
take a process for theirs: Ray handles its signals, and ends it a minute after the head of the
cluster is gone. COMMANDS and EVENTS are inherited descriptors of pipes.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from concurrent.futures import Future
from functools import partial

import msgspec

from longshore.errors import ConfigurationError
from longshore.worker import cluster
from longshore.worker.channel import Broken, Loaded, Quit, Receiver, Sender
from longshore.worker.cluster_messages import (
    Answered,
    Away,
    Connect,
    Connected,
    Failed,
    Submit,
    ToDriver,
    Withdraw,
)
from longshore.worker.executors import Engine, Fate, Unreachable, connect
from longshore.worker.texts import clean_tail

_LOOK_S = 2.0
_LOOKS = 2


class Driver:
    """Hands works to an engine, and their ends back."""

    def __init__(self, engine: Engine, modules: list[str], sender: Sender) -> None:
        """Submit nothing yet; `sender` leads to the worker."""
        self._engine = engine
        self._modules = modules
        self._sender = sender
        self._futures: dict[int, Future[bytes]] = {}

    def prepare(self) -> None:
        """Have one process of the cluster load the modules, and tell the worker what they offer.

        Raises:
            ConfigurationError: no code of Longshore runs there.
            Unreachable: the cluster went away meanwhile.
        """
        self._send(Connected(self._engine.processors()))
        future = self._engine.executor.submit(cluster.offers, self._modules)
        try:
            said = msgspec.json.decode(future.result(), type=Loaded | Broken)
        except Exception as error:
            if self._engine.fate(error) is Fate.BROKEN:
                raise ConfigurationError(
                    "The cluster cannot run Longshore's worker code: "
                    f"{type(error).__name__}: {error}. Install the same longshore, with the same "
                    "Python, wherever the cluster runs."
                ) from error
            raise Unreachable(f"the cluster did not load the modules: {error}") from error
        self._send(said)

    def submit(self, order: Submit) -> None:
        """Submit a work; its end is sent when it is there."""
        executor = self._engine.executor
        try:
            future = executor.submit(cluster.compute, self._modules, bytes(order.run), order.apart)
        # Whatever an engine raises here, it has not taken the work: its cluster is gone.
        except Exception as error:  # noqa: BLE001
            self._send(Failed(order.number, Fate.LOST, _message(error)))
            return
        self._futures[order.number] = future
        future.add_done_callback(partial(self._end, order.number))

    def withdraw(self, number: int) -> None:
        """Cancel a work; what it still returns is dropped."""
        future = self._futures.pop(number, None)
        if future is not None:
            future.cancel()

    def _end(self, number: int, future: Future[bytes]) -> None:
        # Engines keep the result of a function for as long as somebody holds its future.
        if self._futures.pop(number, None) is None:
            return
        try:
            finished = future.result()
        # An exception of a future is told to the worker, whatever it is.
        except BaseException as error:  # noqa: BLE001
            self._fail(number, error)
        else:
            self._send(Answered(number, msgspec.Raw(finished)))

    def _fail(self, number: int, error: BaseException) -> None:
        self._send(Failed(number, self._engine.fate(error), _message(error)))

    def _send(self, message: msgspec.Struct) -> None:
        # A worker that is gone needs no answers.
        with contextlib.suppress(BrokenPipeError):
            self._sender.send(message)


def _message(error: BaseException) -> str:
    return clean_tail(f"{type(error).__name__}: {error}")


def main(arguments: list[str]) -> int:
    """Serve a worker until it says so or is gone; return the exit status."""
    commands, events, _ = (int(argument) for argument in arguments)
    for descriptor in (commands, events):
        os.set_inheritable(descriptor, False)
    receiver: Receiver[ToDriver] = Receiver(commands, ToDriver)
    sender = Sender(events)
    order = receiver.receive()
    assert isinstance(order, Connect)
    try:
        engine = connect(order.engine, order.address)
        threading.Thread(target=_watch, args=(engine, sender), daemon=True).start()
        driver = Driver(engine, order.modules, sender)
        driver.prepare()
    except ConfigurationError as error:
        sender.send(Broken(error.message))
        return 1
    except Unreachable as error:
        sender.send(Away(str(error)))
        return 1
    _serve(driver, receiver)
    engine.close()
    return 0


def _serve(driver: Driver, receiver: Receiver[ToDriver]) -> None:
    while True:
        try:
            order = receiver.receive()
        except EOFError:
            return
        match order:
            case Submit():
                driver.submit(order)
            case Withdraw(number=number):
                driver.withdraw(number)
            case Quit():
                return
            case Connect():
                raise AssertionError("a driver connects once")


def _watch(engine: Engine, sender: Sender) -> None:
    """End the process when the cluster is gone: neither engine tells it of all that it has lost."""
    silent = 0
    pause = threading.Event()
    while silent < _LOOKS:
        pause.wait(_LOOK_S)
        silent = 0 if engine.alive() else silent + 1
    with contextlib.suppress(BrokenPipeError):
        sender.send(Away("the cluster does not answer any more"))
    # The main thread may wait for the cluster for ever.
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
