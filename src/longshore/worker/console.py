"""The worker's own log: short lines on stderr for people."""

from __future__ import annotations

import sys
from typing import Any

import structlog

from longshore.worker.options import LogLevel


def make_log(level: LogLevel) -> Any:
    """Return a logger of its own, which leaves the configuration of others alone."""
    # Bound now: user code in threads has its own sys.stderr.
    stream = sys.stderr
    # Bound once: the proxy would put the whole logger together again for every line.
    return structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0, pad_level=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        context_class=dict,
        cache_logger_on_first_use=False,
    ).bind()
