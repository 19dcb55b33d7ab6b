"""Runs a function over records in one of the peers: `python -m peers.records PEER COUNT [LOOPS]`.

    ideal         two processes that each take half of the records at once; for busy functions
    pool          concurrent.futures.ProcessPoolExecutor.map over chunks, lists of dicts: the floor
    dask          Dask's client.map over chunks as JSON bytes, its fastest way
    dask-plain    Dask's client.map over chunks as lists of dicts
    dask-bag      dask.bag, partitions of the same size
    ray           Ray, a remote function over chunks, lists of dicts

Each has two worker processes and gives the outputs as one list of dicts, as ours does. The clock
runs from the first record made to the last output in hand, with the workers up and warm; then all
outputs are checked. With LOOPS each record keeps a processor busy for so many turns of a loop.
"""

# mypy: disable-error-code="import-not-found, untyped-decorator, no-any-return, no-untyped-call"
from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import Any

from peers.records import functions
from peers.records.functions import Record

WORKERS = 2
CHUNK = 1_000
BUSY_CHUNK = 50
WARM_RECORDS = 20_000

Run = Callable[[Iterator[Record]], list[Record]]


@contextmanager
def ideal(_loops: int) -> Iterator[Run]:
    with ProcessPoolExecutor(WORKERS) as executor:

        def run(records: Iterator[Record]) -> list[Record]:
            given = list(records)
            halves = functions.chunks(given, -(-len(given) // WORKERS))
            return list(chain.from_iterable(executor.map(functions.busy_chunk, halves)))

        yield run


@contextmanager
def pool(loops: int) -> Iterator[Run]:
    function = functions.busy_chunk if loops else functions.chunk
    size = BUSY_CHUNK if loops else CHUNK
    with ProcessPoolExecutor(WORKERS) as executor:

        def run(records: Iterator[Record]) -> list[Record]:
            parts = executor.map(function, functions.chunks(records, size))
            return list(chain.from_iterable(parts))

        yield run


@contextmanager
def dask(_loops: int) -> Iterator[Run]:
    import msgspec  # noqa: PLC0415 - only some peers need it

    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder().decode
    with _dask_client() as client:

        def run(records: Iterator[Record]) -> list[Record]:
            parts = [encode(part) for part in functions.chunks(records, CHUNK)]
            answers = client.gather(client.map(encoded_chunk, parts, pure=False))
            return list(chain.from_iterable(map(decode, answers)))

        yield run


@contextmanager
def dask_plain(_loops: int) -> Iterator[Run]:
    with _dask_client() as client:

        def run(records: Iterator[Record]) -> list[Record]:
            futures = client.map(functions.chunk, list(functions.chunks(records, CHUNK)))
            return list(chain.from_iterable(client.gather(futures)))

        yield run


@contextmanager
def dask_bag(_loops: int) -> Iterator[Run]:
    from dask import bag  # noqa: PLC0415

    with _dask_client():

        def run(records: Iterator[Record]) -> list[Record]:
            return bag.from_sequence(records, partition_size=CHUNK).map(functions.one).compute()

        yield run


@contextmanager
def ray(_loops: int) -> Iterator[Run]:
    import ray as library  # noqa: PLC0415

    library.init(
        num_cpus=WORKERS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
    )
    remote = library.remote(functions.chunk)

    def run(records: Iterator[Record]) -> list[Record]:
        references = [remote.remote(part) for part in functions.chunks(records, CHUNK)]
        return list(chain.from_iterable(library.get(references)))

    yield run
    library.shutdown()


def encoded_chunk(body: bytes) -> bytes:
    """Compute a chunk that comes and goes as JSON."""
    import msgspec  # noqa: PLC0415

    return msgspec.json.encode(functions.chunk(msgspec.json.decode(body)))


@contextmanager
def _dask_client() -> Iterator[Any]:
    import dask as settings  # noqa: PLC0415
    from distributed import Client, LocalCluster  # noqa: PLC0415

    with (
        tempfile.TemporaryDirectory() as directory,
        settings.config.set({"temporary-directory": directory}),
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            host="127.0.0.1",
            silence_logs="ERROR",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


PEERS = {
    "ideal": ideal,
    "pool": pool,
    "dask": dask,
    "dask-plain": dask_plain,
    "dask-bag": dask_bag,
    "ray": ray,
}


def main() -> None:
    name, count, *rest = sys.argv[1:]
    run_peer(name, int(count), *map(int, rest))


def run_peer(name: str, count: int, loops: int = 0) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with PEERS[name](loops) as run:
        # Enough to find the way, but four chunks of a busy function.
        run(_records(4 * BUSY_CHUNK if loops else WARM_RECORDS, loops))
        begun = time.perf_counter()
        outputs = run(_records(count, loops))
        seconds = time.perf_counter() - begun
    functions.check(outputs, count, ordered=True)
    print(json.dumps(seconds))


def _records(count: int, loops: int) -> Iterator[Record]:
    if not loops:
        return functions.records(count)
    return ({**record, "loops": loops} for record in functions.records(count))


if __name__ == "__main__":
    main()
