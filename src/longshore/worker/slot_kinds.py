"""Which kind of slots a worker has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from longshore import tracing
from longshore.worker.bare_slot import BareSlot
from longshore.worker.channel import Begin
from longshore.worker.cluster_slot import Cluster, ClusterSlot
from longshore.worker.launchers import memory_limit_bytes
from longshore.worker.options import WorkerOptions
from longshore.worker.process_slot import ProcessSlot
from longshore.worker.slots import OnLoaded, Slot
from longshore.worker.thread_slot import SharedCode, ThreadSlot


def make_slots(
    options: WorkerOptions,
    *,
    on_loaded: OnLoaded,
    on_group: Callable[[int, bool], None],
    log: Any,
) -> Sequence[Slot]:
    """Return the slots of a worker; none of them runs yet.

    Args:
        options: of the worker.
        on_loaded: called with what the modules offer.
        on_group: called with a process group's id and whether it begins or is gone.
        log: of the worker.
    """
    if not options.loads_code:
        return [BareSlot(on_loaded) for _ in range(options.slots)]
    if options.executor in ("dask", "ray"):
        cluster = Cluster(
            options.executor,
            options.address or "",
            options.modules,
            on_loaded=on_loaded,
            on_group=on_group,
            log=log,
        )
        return [ClusterSlot(cluster) for _ in range(options.slots)]
    begin = Begin(
        list(options.modules),
        memory_limit_bytes(options),
        buckets=bool(options.buckets),
        tracing=tracing.spans is not None,
    )
    if options.executor == "thread":
        code = SharedCode(begin, on_loaded)
        return [ThreadSlot(code) for _ in range(options.slots)]
    return [
        ProcessSlot(begin, grace_s=options.grace_s, on_loaded=on_loaded, on_group=on_group)
        for _ in range(options.slots)
    ]
