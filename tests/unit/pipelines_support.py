"""What the tests of maps share: a mapper of either colour, and records."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.unit import sdk_support
from tests.unit.sdk_support import close


@asynccontextmanager
async def mapper(colour: Any, server: Any, **options: Any) -> AsyncIterator[Any]:
    client = sdk_support.client(colour, server, **options)
    try:
        made = client.pipeline("shop/double")
        if hasattr(made, "__aenter__"):
            async with made:
                yield made
        else:
            with made:
                yield made
    finally:
        await close(client)


def values(count: int) -> Iterator[dict[str, Any]]:
    return ({"value": value} for value in range(count))


async def feed(outputs: Any, seen: list[Any]) -> None:
    """Append all outputs of an iterator of either colour, until it raises."""
    if hasattr(outputs, "__aiter__"):
        async for output in outputs:
            seen.append(output)  # noqa: PERF401 - those before an error count
    else:
        seen.extend(outputs)


def with_a_bad_one(count: int = 30, bad: int = 17) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = list(values(count))
    records[bad]["verb"] = "fail"
    return records


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())
