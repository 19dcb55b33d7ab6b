"""Messages over pipes between the worker and its driver, the process that talks to a cluster."""

from __future__ import annotations

import msgspec

from longshore.worker.channel import Broken, Loaded, Quit
from longshore.worker.executors import EngineName, Fate


class Connect(msgspec.Struct, frozen=True, tag="connect"):
    """To the driver, first: which cluster, and what its processes are to load."""

    engine: EngineName
    address: str
    modules: list[str]


class Submit(msgspec.Struct, frozen=True, tag="submit"):
    """To the driver: run a work, `run` being the JSON of a `channel.Run`.

    With `apart` the engine's process runs it in a child process of its own.
    """

    number: int
    run: msgspec.Raw
    apart: bool


class Withdraw(msgspec.Struct, frozen=True, tag="withdraw"):
    """To the driver: nobody waits for this one any more."""

    number: int


class Connected(msgspec.Struct, frozen=True, tag="connected"):
    """From the driver: the cluster runs so many functions at once."""

    processors: int


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """From the driver: the work ended; `finished` is the JSON of a `channel.Finished`."""

    number: int
    finished: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """From the driver: the engine did not bring the work to an end."""

    number: int
    fate: Fate
    message: str


class Away(msgspec.Struct, frozen=True, tag="away"):
    """From the driver: the cluster does not answer (any more); the driver ends now."""

    message: str


ToDriver = Connect | Submit | Withdraw | Quit
FromDriver = Connected | Loaded | Broken | Answered | Failed | Away
