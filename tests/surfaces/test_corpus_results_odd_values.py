"""Whatever is in a body, a query or a path: an answer that says so, and no error of the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.results_corpus_rig import UNKNOWN, Results, results_of
from tests.surfaces.test_corpus_results_access import everything, listings, writes

ODD: list[Any] = [
    None, True, False, 0, -1, 2**31, 2**63, 2**70, 1e308, -0.0, "", " ", "a\0b", "\ud800", "%", "'", '"',
    "\\", "{}", "x" * 70_000, UNKNOWN, UNKNOWN.upper(), "False", [], [[]], [None], {}, {"a": {}},
    [0.5], ["x"], [{}],
]  # fmt: skip
QUERIES = [
    ("page", ["0", "-1", "x", "", "99999999999999999999", "9223372036854775808"]),
    ("page_size", ["0", "-1", "x", "1e9"]),
    ("worker_run", ["", "None", "\U0001f600", "a\0b", UNKNOWN + "'"]),
    ("worker_version", ["", "true", "{}"]),
    ("recursive", ["maybe", ""]),
    ("load_parents", ["2", ""]),
    ("element_type", ["", "a\0b", "%", "'", "x" * 5_000]),
    ("parent", ["", "\0", "x", "'"]),
    ("name", ["", "a\0b", "%", "_", "\\", "x" * 5_000]),
]


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


def changed(value: Any) -> Iterator[Any]:
    """Yield a body with each of its values, at any depth, replaced by each odd one."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield {other: each for other, each in value.items() if other != name}
            for other in changed(inner):
                yield {**value, name: other}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for other in changed(inner):
                yield [*value[:index], other, *value[index + 1 :]]
    yield from ODD


async def test_odd_values_in_bodies_are_refused_or_stored(results: Results) -> None:
    ids = await everything(results)
    zones = {
        "element_type": "text_line",
        "transcriptions": [{"polygon": [[0, 0], [9, 0], [9, 9]], "text": "a"}],
    }
    typed = {"name": "b", "type_id": ids["type"], "offset": 0, "length": 1}
    named = f"/transcription/{ids['transcription']}/entities/bulk/"
    asked = [
        *writes(ids),
        (f"/element/{ids['element']}/transcriptions/bulk/", zones),
        (named, {"entities": [typed]}),
    ]
    client = results.corpora.client
    headers = {"Content-Type": "application/json"}
    for path, body in asked:
        for other in changed(body):
            sent = json.dumps(other).encode()
            answer = await client.post(f"/api/v1{path}", content=sent, headers=headers)
            assert answer.status_code in (201, 400), (path, sent[:300], answer.text)
            if answer.status_code == 400:
                [error] = answer.json()["errors"]
                assert error["detail"]
                assert error["attr"] is None or error["attr"]


async def test_odd_values_in_queries_and_paths_are_refused_or_found_nothing(
    results: Results,
) -> None:
    ids = await everything(results)
    client = results.corpora.client
    for path in listings(ids):
        for name, values in QUERIES:
            for value in values:
                answer = await client.get(f"/api/v1{path}", params={name: value})
                assert answer.status_code in (200, 400, 404), (path, name, value, answer.text)
        for odd in ("%00", "%ff", "%27", "x" * 3_000, "..", "%2e%2e%2f", UNKNOWN + "%0a", "{id}"):
            first, _, rest = path.removeprefix("/").partition("/")
            _, _, rest = rest.partition("/")
            answer = await client.get(f"/api/v1/{first}/{odd}/{rest}")
            assert answer.status_code in (400, 404), (path, odd, answer.text)
