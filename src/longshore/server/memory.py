"""How the server process uses memory."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_M_ARENA_MAX: Final = -8
"""The number of this setting in malloc.h of glibc."""
_ARENAS: Final = 2


def limit_arenas() -> bool:
    """Let all threads share two of the allocator's arenas; call it before threads are made.

    glibc gives threads up to eight arenas for each processor, and none takes memory that lies
    free in another: the bodies of chunks, which pass through many threads, left a hundred
    megabytes in all of them together. Python's own lock lets one thread allocate at a time, so
    there is nobody to wait for. Returns False where the C library has no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, _ARENAS) == 1


@contextmanager
def kept() -> Iterator[None]:
    """Let the garbage collector leave alone what is made in the block, for good.

    Modules stay: to look for circles in them, again and again, takes a quarter of a start.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def collect_less() -> None:
    """Let the garbage collector leave alone what stays, and look less often at what comes and goes.

    A request with 500 works makes tens of thousands of objects without a single circle among
    them; to look for some took a fifth of the time that such requests took.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
