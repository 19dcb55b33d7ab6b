"""The document by which the published clients find the operations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from longshore.clock import ManualClock
from longshore.storage import Database
from tests.surfaces.corpus_rig import Corpora, corpora_of


@pytest.fixture
async def corpora(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Corpora]:
    async with corpora_of(database, clock, tmp_path) as made:
        yield made


@pytest.fixture
async def document(corpora: Corpora) -> Any:
    answer = await corpora.client.get(
        "/api/v1/openapi/", params={"format": "json"}, headers={"Authorization": ""}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_a_path_item_holds_operations_only(document: Any) -> None:
    assert set(document) == {"openapi", "info", "paths"}
    for path, item in document["paths"].items():
        assert path.startswith("/")
        assert item, path
        assert set(item) <= {"get", "post", "put", "patch", "delete"}, path


def test_each_operation_has_a_name_of_its_own_and_parameters_that_clients_read(
    document: Any,
) -> None:
    names = []
    for path, item in document["paths"].items():
        for operation in item.values():
            names.append(operation["operationId"])
            for parameter in operation.get("parameters", ()):
                assert parameter["in"] in ("path", "query"), path
                assert parameter["schema"], path
                assert parameter["in"] == "query" or parameter["required"] is True
            body = operation.get("requestBody")
            if body is not None:
                assert body["x-name"] == "body", path
                assert list(body["content"]) == ["application/json"], path
            if operation.get("x-paginated", True) and operation["operationId"].startswith("List"):
                query = {each["name"] for each in operation["parameters"]}
                assert query & {"page", "cursor"}, path
    assert len(names) == len(set(names))
