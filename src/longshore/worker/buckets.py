"""Works of surface "buckets" in a child: call the function, make a result of what it returns."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec

from longshore.wire.payloads import BucketJob
from longshore.wire.worker import BucketOffer
from longshore.worker import returned as returns
from longshore.worker.calling import find
from longshore.worker.channel import LocalFile, Run
from longshore.worker.registry import Registry
from longshore.worker.returned import Returned

_DECODER = msgspec.json.Decoder(BucketJob)


def offers(registry: Registry) -> list[BucketOffer]:
    """Return the buckets that functions are registered for."""
    return [
        BucketOffer(name=function.bucket, timeout_s=function.timeout_s)
        for function in registry.functions.values()
    ]


def read_job(payload: msgspec.Raw) -> BucketJob:
    """Return what is needed to run a work.

    Raises:
        msgspec.MsgspecError: this is not the document of a work.
    """
    return _DECODER.decode(payload)


def run_function(
    registry: Registry, run: Run, note: Callable[[str], None]
) -> tuple[bytes, list[LocalFile]]:
    """Call the function of a work; return the JSON of its result, and the files of the work.

    Raises:
        ConfigurationError: there is no such function here.
        TypeError: the parameters do not fit, or what it returned cannot be stored.
        Exception: whatever the function itself raises.
    """
    job = read_job(run.payload)
    call = find(registry, job)
    answer = call(job, run.payload, note)
    if isinstance(answer, Returned):
        # The function was given the whole work, and gave it back.
        made = answer
    else:
        made = returns.merge(job, returns.read(answer, note))
    return returns.encode(made, note), local_files(job, made)


def local_files(job: BucketJob, made: Returned) -> list[LocalFile]:
    """Return the products and plots that are to be copied, moved or deleted."""
    archive: dict[str, Any] = job.config.get("archive") or {}
    found = []
    for kind, names in (("product", made.products), ("plot", made.plots)):
        method = archive.get(f"{kind}s", "copy")
        if method in ("copy", "move", "delete"):
            found += [
                LocalFile(kind, name, os.path.abspath(name), method)  # noqa: PTH100 - no links resolved
                for name in dict.fromkeys(names or ())
                if "://" not in name
            ]
    return found
