"""Texts that user code produced, made fit for JSON and for any database."""

from __future__ import annotations

import traceback
from types import TracebackType

from longshore.limits import ERROR_CHARACTERS, LOG_LINE_CHARACTERS, NAME_CHARACTERS
from longshore.wire.worker import AttemptError


def clean(text: str, limit: int) -> str:
    """Replace what JSON or a database refuses (lone surrogates, NUL) and cut to `limit`."""
    if len(text) > limit:
        text = f"{text[: limit - 1]}…"
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def clean_line(text: str) -> str:
    """Make a log line fit to be kept."""
    return clean(text, LOG_LINE_CHARACTERS)


def clean_tail(text: str, limit: int = ERROR_CHARACTERS) -> str:
    """Do the same for a text whose end matters most, such as a traceback."""
    if len(text) > limit:
        text = f"…{text[-(limit - 1) :]}"
    return clean(text, limit)


def attempt_error(error: BaseException, message: str | None = None) -> AttemptError:
    """Describe an exception that user code raised, without the worker's own frames."""
    lines = traceback.format_exception(type(error), error, own_frames(error))
    return AttemptError(
        type=clean(type(error).__name__, NAME_CHARACTERS),
        message=clean(shown_message(error) if message is None else message, ERROR_CHARACTERS),
        traceback=clean_tail("".join(lines)),
    )


def own_frames(error: BaseException) -> TracebackType | None:
    """Return the part of a traceback that is the user's, or None where it is all the worker's."""
    frames = error.__traceback__
    while frames is not None and _is_ours(frames):
        frames = frames.tb_next
    return frames


def _is_ours(frames: TracebackType) -> bool:
    name = frames.tb_frame.f_globals.get("__name__", "")
    return isinstance(name, str) and name.startswith(("longshore.worker.", "longshore.workbooks."))


def shown_message(error: BaseException) -> str:
    """Return the message of an exception, whatever its class makes of that."""
    try:
        return str(error)
    # A user's exception class may fail to describe itself; that must not hide the failure.
    except Exception as broken:  # noqa: BLE001
        return f"(its message cannot be shown: {type(broken).__name__})"
