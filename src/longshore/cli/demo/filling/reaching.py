"""The server that is filled, as each of its APIs sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from longshore import ids
from longshore.cli.process_remote import ProcessRemote
from longshore.errors import WaitTimeout
from longshore.sdk import Client
from longshore.sdk._calls import Call, segment
from longshore.sdk._connection import find_connection
from longshore.sdk._sync.transport import Transport

OVER: Final = frozenset({"finished", "failed", "cancelled"})
"""States of runs of workflows in which nothing more happens by itself."""
SCRIPTS: Final = "/coreauto/v1"
_TIMEOUT_S: Final = 60.0
_LOOK_S: Final = 0.1
T = TypeVar("T")


class Reach:
    """One server: the SDK's client, the calls of corpora, and those of workflows."""

    def __init__(self, url: str | None = None, key: str | None = None) -> None:
        """Open connections to a server; both are found where they are not given."""
        found = find_connection(url, key)
        self.url: Final = found.url
        self.client = Client(found.url, found.key)
        self.transport = _transport(found.url, found.key)
        self.corpus = ProcessRemote(_transport(found.url, found.key))
        self._check: Callable[[], None] = lambda: None
        self._stack = ExitStack()
        for each in (self.client, self.corpus):
            self._stack.enter_context(each)
        self._stack.callback(self.transport.close)

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._stack.close()

    def scripts(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Call the API of workflows; a POST is made once however often it is sent."""
        headers = {"Idempotency-Key": ids.new("ik")} if method == "POST" else None
        call = Call(method, f"{SCRIPTS}{path}", json=body, query=query, headers=headers)
        return self.transport.fetch_json(call)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Call any other path."""
        return self.transport.fetch_json(Call(method, path, json=body, query=query))

    def remove(self, path: str) -> None:
        """Delete what is at a path."""
        self.transport.send(Call("DELETE", path))

    def watch(self, check: Callable[[], None]) -> None:
        """Call `check` during each wait; it raises when what is waited for cannot come any more."""
        self._check = check

    def until(self, look: Callable[[], T | None], what: str, *, timeout_s: float) -> T:
        """Return what `look` finds, once it finds something.

        Raises:
            WaitTimeout: it does not in time; `what` says what was waited for.
            LongshoreError: what the check of `watch` raises.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            found = look()
            if found:
                return found
            self._check()
            if time.monotonic() > deadline:
                raise WaitTimeout(
                    f"{what}: not so after {timeout_s:.0f} s. Is the server overloaded?"
                )
            time.sleep(_LOOK_S)


@dataclass(slots=True)
class Made:
    """What was made, for those who want to look at it, by surface.

    Attributes:
        works: ids of works of buckets, by bucket.
        runs: ids of runs of apps: `done` and `slow`.
        pipelines: ids of pipelines: `done`, `buffered`, `refused`, `slow`, `cancelled`.
        corpus: id of the corpus, or None without the extra [corpus].
        processes: ids of processes: `done` and `slow`.
        workflow_runs: ids of the first run of each workflow, by the workflow's name.
        keys: ids of keys, by name.
    """

    works: dict[str, list[str]] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    pipelines: dict[str, str] = field(default_factory=dict)
    corpus: str | None = None
    processes: dict[str, str] = field(default_factory=dict)
    workflow_runs: dict[str, int] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)


def path_of(text: str) -> str:
    """Percent-encode one segment of a path."""
    return segment(text)


def _transport(url: str, key: str) -> Transport:
    return Transport(
        find_connection(url, key), context=None, timeout_s=_TIMEOUT_S, retries=4, transport=None
    )
