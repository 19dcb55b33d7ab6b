"""Messages over pipes between the worker and its own processes.

A frame is two lengths of 4 bytes each, big-endian, a JSON body (msgspec) and a tail. The tail is
the JSON of a work's payload or result, which is passed on without being looked at. The pipes are
inherited descriptors of their own, never stdin or stdout, so nothing that user code prints can
get between two frames.
"""

from __future__ import annotations

import os
import struct
import threading
from typing import Any, Final, Generic, TypeVar

import msgspec

from longshore.wire.payloads import NO_RESULT
from longshore.wire.tasks import WorkerOffer
from longshore.wire.worker import (
    AppOffer,
    AttemptError,
    BucketOffer,
    Held,
    Lost,
    Outcome,
    ServiceOffer,
)
from longshore.worker.progress import Order

_HEADER = struct.Struct(">II")
_CHUNK_BYTES = 1 << 18
_ENCODER = msgspec.json.Encoder()


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """To a child, first: what to load and how much memory it may take (0: no limit).

    `buckets` says that it runs functions which works name themselves; `progress` is the descriptor
    of memory in which it writes down the record that it is at; `tracing` that it makes spans.
    """

    modules: list[str]
    memory_limit_bytes: int
    buckets: bool = False
    progress: int | None = None
    tracing: bool = False


class Run(msgspec.Struct, frozen=True, tag="run"):
    """To a child: run one work. `path` is its local input, `directory` its own scratch space.

    `order` is for a chunk of records at which processes have died, `record_timeout_s` the time
    limit of a record.
    """

    work_id: str
    attempt: int
    surface: str
    payload: msgspec.Raw
    path: str
    directory: str
    order: Order | None = None
    record_timeout_s: float | None = None
    traceparent: str | None = None
    """The span of the attempt, where one is recorded: spans of user code become its children."""


class Quit(msgspec.Struct, frozen=True, tag="quit"):
    """To a child that is idle: end by yourself."""


class LoadedWorker(msgspec.Struct, frozen=True):
    """A worker of corpora that a module has registered, and the module to load for its tasks."""

    offer: WorkerOffer
    module: str


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """From a child: the modules are imported; this is what they offer."""

    apps: list[AppOffer] = []
    buckets: list[BucketOffer] = []
    services: list[ServiceOffer] = []
    workers: list[LoadedWorker] = []


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """From a child: set-up is done."""


class Broken(msgspec.Struct, frozen=True, tag="broken"):
    """From a child: importing or set-up failed; it ends now."""

    message: str
    traceback: str = ""


class Note(msgspec.Struct, frozen=True, tag="note"):
    """From a child: a line for the log of the running work, by the worker itself."""

    text: str


class LocalFile(msgspec.Struct, frozen=True):
    """A product or plot of a work and what becomes of it: `copy`, `move` or `delete`.

    `name` is what the work calls it, `path` where it lies.
    """

    kind: str
    name: str
    path: str
    method: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """From a child: how the work ended, and which files belong to its result."""

    work_id: str
    attempt: int
    outcome: Outcome
    result: msgspec.Raw = NO_RESULT
    error: AttemptError | None = None
    retry_delay_s: float | None = None
    pdf: str | None = None
    files: list[LocalFile] = []


class Identity(msgspec.Struct, frozen=True, tag="identity"):
    """To the heartbeat: for whom to renew, and where."""

    url: str
    key: str
    worker_id: str
    lease_s: float


class Scratch(msgspec.Struct, frozen=True, tag="scratch"):
    """To the heartbeat, first: remove this directory if the worker dies."""

    directory: str


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """To the heartbeat: renew these leases from now on."""

    leases: list[Held]


class Release(msgspec.Struct, frozen=True, tag="release"):
    """To the heartbeat: these leases are over."""

    leases: list[Held]


class Guard(msgspec.Struct, frozen=True, tag="guard"):
    """To the heartbeat: kill this process group if the worker dies."""

    group: int


class Unguard(msgspec.Struct, frozen=True, tag="unguard"):
    """To the heartbeat: this process group is gone."""

    group: int


class GivenUp(msgspec.Struct, frozen=True, tag="given_up"):
    """From the heartbeat: the server wants these leases given up."""

    lost: list[Lost]


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """From the heartbeat: the server does not know this worker (any more)."""

    worker_id: str


ToChild = Begin | Run | Quit
FromChild = Loaded | Ready | Broken | Note | Finished
ToHeartbeat = Scratch | Identity | Hold | Release | Guard | Unguard
FromHeartbeat = GivenUp | Unknown

_TAILS: Final[dict[type[msgspec.Struct], str]] = {Run: "payload", Finished: "result"}
"""The field that is the tail of a message; in its body it is null."""

Message = TypeVar("Message")


def encode(message: msgspec.Struct) -> bytes:
    """Return the frame of a message."""
    field = _TAILS.get(type(message))
    tail = b""
    if field is not None:
        tail = getattr(message, field)
        message = msgspec.structs.replace(message, **{field: NO_RESULT})
    body = _ENCODER.encode(message)
    return b"".join((_HEADER.pack(len(body), len(memoryview(tail))), body, tail))


class Decoder(Generic[Message]):
    """Turns a stream of bytes into messages; frames may arrive in any pieces."""

    def __init__(self, kind: Any) -> None:
        """Decode messages of `kind`, a union of the structs above."""
        self._decoder = msgspec.json.Decoder(kind)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Take more bytes and return the messages that are complete now."""
        self._buffer += data
        messages: list[Message] = []
        start = 0
        while len(self._buffer) - start >= _HEADER.size:
            length, tail_length = _HEADER.unpack_from(self._buffer, start)
            middle = start + _HEADER.size + length
            end = middle + tail_length
            if len(self._buffer) < end:
                break
            message = self._decoder.decode(self._buffer[start + _HEADER.size : middle])
            field = _TAILS.get(type(message))
            if field is not None:
                # bytes() copies, so that the Raw outlives this buffer.
                with memoryview(self._buffer)[middle:end] as tail:
                    value = msgspec.Raw(bytes(tail))
                msgspec.structs.force_setattr(message, field, value)
            messages.append(message)
            start = end
        del self._buffer[:start]
        return messages


class Receiver(Generic[Message]):
    """The blocking reading end of a pipe."""

    def __init__(self, descriptor: int, kind: Any) -> None:
        """Read messages of `kind` from `descriptor`."""
        self._descriptor = descriptor
        self._decoder: Decoder[Message] = Decoder(kind)
        self._waiting: list[Message] = []

    def receive(self) -> Message:
        """Return the next message.

        Raises:
            EOFError: the other side has closed the pipe or died.
        """
        while not self._waiting:
            data = os.read(self._descriptor, _CHUNK_BYTES)
            if not data:
                raise EOFError
            self._waiting = self._decoder.feed(data)
        return self._waiting.pop(0)


class Sender:
    """The blocking writing end of a pipe; any thread may send."""

    def __init__(self, descriptor: int) -> None:
        """Write to `descriptor`."""
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, message: msgspec.Struct) -> None:
        """Write a whole message.

        Raises:
            BrokenPipeError: the other side has closed the pipe or died.
        """
        self.send_frame(encode(message))

    def send_frame(self, frame: bytes) -> None:
        """Write a frame made by `encode`."""
        left = memoryview(frame)
        with self._lock:
            while left:
                left = left[os.write(self._descriptor, left) :]
