"""The shape of a peer, which each module `with_*` fills in."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

BODY = "x" * 400
"""With the names around it, a task is about 500 bytes."""

CHUNK = 500
"""Tasks in one bulk call."""


def setting(name: str) -> str:
    """Return a value that the benchmark set, such as an address."""
    return os.environ[f"LONGSHORE_BENCH_{name}"]


class Task(NamedTuple):
    """The arguments of the no-op; see tally.ran."""

    sent_ns: int
    number: int
    body: str = BODY


class Peer(ABC):
    """What a peer says of itself."""

    durability: str
    """What survives a power failure once enqueue has returned."""

    worker: Sequence[str] = ()
    """The worker's command line; `work` is called where it is empty."""

    variables: ClassVar[dict[str, str]] = {}
    """Environment variables that are settings of the worker."""

    def prepare(self) -> None:  # noqa: B027 - most have nothing to prepare
        """Make schema and queue."""

    def work(self) -> None:
        """Be the worker until killed."""
        raise NotImplementedError


class SyncPeer(Peer):
    """A peer whose client blocks."""

    @abstractmethod
    def open(self) -> None:
        """Connect the client."""

    @abstractmethod
    def many(self, tasks: Sequence[Task]) -> None:
        """Enqueue many the best way."""

    @abstractmethod
    def one(self, task: Task) -> None:
        """Enqueue one; called by several threads at once."""


class AsyncPeer(Peer):
    """A peer whose client is asynchronous."""

    @abstractmethod
    async def open(self) -> None:
        """Connect the client."""

    @abstractmethod
    async def many(self, tasks: Sequence[Task]) -> None:
        """Enqueue many the best way."""

    @abstractmethod
    async def one(self, task: Task) -> None:
        """Enqueue one; called by several coroutines at once."""
