"""Drives one peer from its own environment: `python -m peers PEER ACTION ...`.

    prepare                  make schema and queue
    enqueue COUNT            the best documented way to enqueue many; prints the seconds
    single COUNT CLIENTS     one task a call, from so many clients at once; prints the seconds
    latency COUNT            tasks for an idle worker, one by one; prints milliseconds
    durability               what survives a power failure
    worker                   becomes the worker

Peers with an asynchronous client give an AsyncPeer, the others a SyncPeer. The benchmark starts
this with the addresses in the environment.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from peers.harness import CHUNK, AsyncPeer, Peer, SyncPeer, Task
from peers.tally import VARIABLE, Tally

T = TypeVar("T")

IDLE_S = 0.02
"""Pause before each latency sample, in which a worker goes idle."""


def enqueue(peer: SyncPeer | AsyncPeer, count: int) -> float:
    tasks = [Task(0, -1)] * count
    chunks = [tasks[start : start + CHUNK] for start in range(0, count, CHUNK)]
    if isinstance(peer, SyncPeer):
        peer.open()
        begun = time.perf_counter()
        for chunk in chunks:
            peer.many(chunk)
        return time.perf_counter() - begun

    async def run() -> float:
        await peer.open()
        begun = time.perf_counter()
        for chunk in chunks:
            await peer.many(chunk)
        return time.perf_counter() - begun

    return _asynchronous(run())


def single(peer: SyncPeer | AsyncPeer, count: int, clients: int) -> float:
    task = Task(0, -1)
    share = count // clients
    if isinstance(peer, SyncPeer):
        peer.open()

        def client() -> None:
            for _ in range(share):
                peer.one(task)

        threads = [threading.Thread(target=client) for _ in range(clients)]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - begun

    async def run() -> float:
        await peer.open()

        async def caller() -> None:
            for _ in range(share):
                await peer.one(task)

        begun = time.perf_counter()
        await asyncio.gather(*[caller() for _ in range(clients)])
        return time.perf_counter() - begun

    return _asynchronous(run())


def latency(peer: SyncPeer | AsyncPeer, count: int) -> list[float]:
    tally = Tally(Path(os.environ[VARIABLE]))
    if isinstance(peer, SyncPeer):
        peer.open()
        for number in range(count):
            time.sleep(IDLE_S)
            peer.one(Task(time.monotonic_ns(), number))
            while not tally.samples(number + 1)[number]:
                time.sleep(0.0005)
        return tally.samples(count)

    async def run() -> list[float]:
        await peer.open()
        for number in range(count):
            await asyncio.sleep(IDLE_S)
            await peer.one(Task(time.monotonic_ns(), number))
            await _sampled(tally, number)
        return tally.samples(count)

    return _asynchronous(run())


async def _sampled(tally: Tally, number: int) -> None:
    # Another process writes it, into memory: there is no event to wait for.
    while not tally.samples(number + 1)[number]:  # noqa: ASYNC110
        await asyncio.sleep(0.0005)


def work(peer: Peer) -> None:
    os.environ.update(peer.variables)
    if peer.worker:
        os.execvp(peer.worker[0], list(peer.worker))
    peer.work()


def _asynchronous(coroutine: Coroutine[Any, Any, T]) -> T:
    import uvloop  # noqa: PLC0415 - only peers with an asynchronous client have use for it

    return uvloop.run(coroutine)


def main() -> None:
    name, action, *numbers = sys.argv[1:]
    peer = importlib.import_module(f"peers.with_{name}").PEER
    counts = [int(number) for number in numbers]
    actions: dict[str, Any] = {
        "prepare": peer.prepare,
        "enqueue": lambda: enqueue(peer, *counts),
        "single": lambda: single(peer, *counts),
        "latency": lambda: latency(peer, *counts),
        "durability": lambda: peer.durability,
        "worker": lambda: work(peer),
    }
    print(json.dumps(actions[action]()))
    # Clients with threads or loops of their own need not be taken apart one by one.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
