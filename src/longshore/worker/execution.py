"""Running one work and telling how it ended, in a child process or in a thread."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

import msgspec

from longshore import tracing
from longshore.errors import ConfigurationError, Reject, RetryLater
from longshore.limits import CHUNK_RESULT_BYTES, JSON_BODY_BYTES, PAUSE_MAX_S
from longshore.wire.payloads import ChunkPayload
from longshore.wire.worker import AttemptError, Outcome
from longshore.worker import memory
from longshore.worker.apps import run_app
from longshore.worker.buckets import run_function
from longshore.worker.channel import Finished, LocalFile, Run
from longshore.worker.chunks import Compute, run_chunk
from longshore.worker.progress import Position
from longshore.worker.registry import Registry
from longshore.worker.texts import attempt_error


@dataclass(frozen=True, slots=True)
class Product:
    """What a runner made: the JSON of the result, and the files that belong to it."""

    result: bytes
    pdf: str | None = None
    files: Sequence[LocalFile] = ()
    size_bytes_max: int = JSON_BODY_BYTES


Note = Callable[[str], None]
"""Writes a line of the worker's own into the log of the running work."""

Runner = Callable[[Registry, Run, Note, Position | None], Product]


def _run_app(registry: Registry, run: Run, note: Note, _position: Position | None) -> Product:
    result, pdf = run_app(registry, run, note)
    return Product(result, pdf)


def _run_function(registry: Registry, run: Run, note: Note, _position: Position | None) -> Product:
    result, files = run_function(registry, run, note)
    return Product(result, files=files)


def _run_chunk(registry: Registry, run: Run, _note: Note, position: Position | None) -> Product:
    def compute(payload: ChunkPayload) -> Compute:
        assert payload.workbook is not None
        # Loaded only here: most processes never see a workbook.
        made = import_module("longshore.worker.workbooks").record_function(
            Path(run.path), payload.workbook, payload.outputs
        )
        return cast("Compute", made)

    return Product(
        run_chunk(registry, run.payload, order=run.order, position=position, compute=compute),
        size_bytes_max=CHUNK_RESULT_BYTES,
    )


RUNNERS: dict[str, Runner] = {
    "apps": _run_app,
    "buckets": _run_function,
    "pipelines": _run_chunk,
}
"""By the surface that a work belongs to."""


def execute(
    registry: Registry,
    run: Run,
    note: Note,
    *,
    memory_limit_bytes: int = 0,
    position: Position | None = None,
) -> Finished:
    """Run the user's function on one work; whatever it raises becomes the attempt's error.

    Works that have records write down in `position` which one is computed. Spans that user code
    makes become children of the attempt's, where that is recorded.
    """
    if run.traceparent is None or tracing.spans is None:
        return _executed(registry, run, note, memory_limit_bytes, position)
    with tracing.spans.under(run.traceparent):
        return _executed(registry, run, note, memory_limit_bytes, position)


def _executed(
    registry: Registry,
    run: Run,
    note: Note,
    memory_limit_bytes: int,
    position: Position | None,
) -> Finished:
    try:
        product = _runner(run.surface)(registry, run, note, position)
        _check_size(product)
    except RetryLater as error:
        return _ended(run, Outcome.FAILURE, attempt_error(error), retry_delay_s=_delay_s(error))
    except Reject as error:
        return _ended(run, Outcome.REJECTED, attempt_error(error))
    except MemoryError as error:
        return _ended(run, Outcome.FAILURE, _out_of_memory(error, memory_limit_bytes))
    except SystemExit as error:
        message = f"The code called sys.exit({error.code!r}); let it return instead."
        return _ended(run, Outcome.FAILURE, attempt_error(error, message))
    # The attempt's error is the place for what user code raises, KeyboardInterrupt included.
    except BaseException as error:  # noqa: BLE001
        return _ended(run, Outcome.FAILURE, attempt_error(error))
    return Finished(
        run.work_id,
        run.attempt,
        Outcome.SUCCESS,
        result=msgspec.Raw(product.result),
        pdf=product.pdf,
        files=list(product.files),
    )


def _runner(surface: str) -> Runner:
    runner = RUNNERS.get(surface)
    if runner is None:
        raise ConfigurationError(
            f"This worker cannot run works of surface {surface!r}, only of "
            f"{', '.join(RUNNERS)}. Start a worker of the server's version."
        )
    return runner


def _delay_s(error: RetryLater) -> float | None:
    """Return a delay that the server accepts; None, its own choice, for one that is no number."""
    delay_s: object = error.delay_s
    if not isinstance(delay_s, int | float) or math.isnan(delay_s):
        return None
    return min(max(float(delay_s), 0.0), PAUSE_MAX_S)


def _check_size(product: Product) -> None:
    if len(product.result) > product.size_bytes_max:
        raise Reject(
            f"The result has {len(product.result)} bytes of JSON; at most "
            f"{product.size_bytes_max} are kept. Return fewer or shorter fields."
        )


def _out_of_memory(error: MemoryError, limit_bytes: int) -> AttemptError:
    used = memory.describe(limit_bytes, memory.peak_rss_bytes())
    detail = f" ({error})" if str(error) else ""
    return attempt_error(error, f"Out of memory{detail}: {used}.")


def _ended(
    run: Run, outcome: Outcome, error: AttemptError, *, retry_delay_s: float | None = None
) -> Finished:
    return Finished(run.work_id, run.attempt, outcome, error=error, retry_delay_s=retry_delay_s)
