"""Structured logs on stderr: JSON lines, or coloured text on a terminal. Never a secret in them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog

from longshore.access import masking

REDACTED: Final = "[redacted]"
_TOKEN: Final = re.compile(r"\bls_[0-9A-Za-z]{4,}_[0-9A-Za-z_-]{4,}")
_BEARER: Final = re.compile(r"(?i)\b((?:bearer|token)\s+)[^\s'\",;]{8,}")
_URL_PASSWORD: Final = re.compile(r"(\w+://[^/\s:@]*:)[^@\s/]+(@)")
_ASSIGNED: Final = re.compile(
    r"""(?i)((?:authorization|password|secret|api[-_]?key|synthetic[-_]key|access[-_]?token)["']?"""
    r"""\s*[:=]\s*["']?)(?:bearer\s+|token\s+)?[^\s"',;}]+"""
)
_SECRET_NAME: Final = re.compile(
    r"(?i)(authorization|password|secret|(?:^|[-_])key$|api[-_]?key|access[-_]?token|^token$)"
)


_SHARED: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
# From here on all our logs go through the standard library, whoever runs the application.
structlog.configure(
    processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
get_logger = structlog.stdlib.get_logger


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process through one pipeline that takes secrets out.

    Args:
        level: least severe level that is written, such as "info".
        stream: where to; standard error unless given.
    """
    stream = stream or sys.stderr
    # Tracebacks become text before secrets are taken out, and never show local variables: those
    # hold whole requests.
    ending: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact,
    ]
    if stream.isatty():
        ending += [harmless, structlog.dev.ConsoleRenderer()]
    else:
        ending += [structlog.processors.JSONRenderer()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=ending)
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # The HTTP client would write whole URLs, which may hold what only their receivers should know.
    clients = ("httpx", "httpcore")
    for noisy in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "alembic", *clients):
        logger = logging.getLogger(noisy)
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(max(logging.WARNING, root.level))


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Take keys, tokens and passwords out of a log line, whatever put them there.

    Values of the keystore go as well, those of all organisations that this server has looked at.
    """
    cleaned = {name: _clean(name, value) for name, value in event.items()}
    # One look at the whole line: hardly any has something to be masked.
    whole = "\n".join(value for value in cleaned.values() if isinstance(value, str))
    if masking.scrubbed(whole) == whole and all(
        value is None or isinstance(value, str | int | float) for value in cleaned.values()
    ):
        return cleaned
    return {name: _scrubbed(value) for name, value in cleaned.items()}


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return masking.scrubbed(value)
    if isinstance(value, dict):
        return {name: _scrubbed(part) for name, part in value.items()}
    return [_scrubbed(part) for part in value] if isinstance(value, list) else value


def harmless(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Write control characters out, so that a request's path cannot steer a terminal.

    A line break stays one in a traceback only.
    """
    return {
        name: _shown(str(value), keep="\n\t" if name == "exception" else "")
        for name, value in event.items()
    }


def without_secrets(text: str) -> str:
    """Return `text` with anything in it that looks like a key, token or password taken out."""
    text = _TOKEN.sub(REDACTED, text)
    text = _BEARER.sub(rf"\1{REDACTED}", text)
    text = _ASSIGNED.sub(rf"\1{REDACTED}", text)
    return _URL_PASSWORD.sub(rf"\1{REDACTED}\2", text)


def _clean(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name):
        return REDACTED
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", part) for part in value]
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return without_secrets(text)


def _shown(text: str, keep: str) -> str:
    return "".join(
        letter if letter.isprintable() or letter in keep else ascii(letter)[1:-1] for letter in text
    )
