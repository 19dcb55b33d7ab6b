"""Structs are made known to the decoder before threads use them.

msgspec learns a struct when it decodes one for the first time, and lets other threads see what it
has learned only in part: two that decode the first one at the same moment crash the process
(msgspec 0.22). What it knows already is safe to use from everywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import msgspec

_OURS: Final = "longshore."
_lock: Final = threading.Lock()
_known: Final[set[type]] = set()


def prepare() -> None:
    """Let the decoder learn all structs of this package that are loaded, once each.

    To be called before threads are started, and again when more of the package was loaded.
    """
    with _lock:
        for kind in _all(msgspec.Struct):
            if kind not in _known and kind.__module__.startswith(_OURS):
                _known.add(kind)
                # What has no form that could be read is only ever written.
                with suppress(TypeError):
                    msgspec.json.Decoder(kind)


def _all(kind: type) -> Iterator[type]:
    below: type
    for below in kind.__subclasses__():
        yield below
        yield from _all(below)
