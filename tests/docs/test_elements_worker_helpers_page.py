"""The page on the helpers of elements workers: its programs run, and each helper it names exists."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from PIL import Image

from longshore.corpus import cache
from longshore.corpus.models import Element
from tests.unit.corpus_mixins_rig import (
    ELEMENT,
    RUN,
    Helpers,
    cached_worker,
    element,
    uuid,
    worker,
)

__all__ = ["cached_worker", "worker"]

PAGE = (Path(__file__).resolve().parents[2] / "docs/how-to/elements-worker-helpers.md").read_text(
    "utf-8"
)


def program(holding: str) -> dict[str, Any]:
    """Run the one Python block that holds a text and return its names."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    (found,) = [block for block in blocks if holding in block]
    names: dict[str, Any] = {}
    exec(compile(found, "page", "exec"), names)
    return names


def test_the_worker_of_the_page_reads_lines_and_writes_them(
    worker: Helpers, monkeypatch: Any
) -> None:
    small = Image.new("RGB", (50, 25))
    monkeypatch.setattr(Element, "open_image", lambda *_, **__: small)
    worker.classes = {"text": uuid(1)}
    square = [[1, 1], [5, 1], [5, 5], [1, 5]]
    worker.read = lambda _: [(square, "a", 0.5), (square, "b", 0.25)]  # type: ignore[attr-defined]
    worker.api.answers("CreateElementTranscriptions", [])
    worker.api.answers("CreateClassification", {"id": uuid(2)})
    worker.api.answers("CreateMetaData", {"id": uuid(3)})
    program("def process_element")["process_element"](worker, element())
    (body,) = worker.api.bodies("CreateElementTranscriptions")
    assert [line["text"] for line in body["transcriptions"]] == ["a", "b"]
    assert body["transcriptions"][0]["polygon"] == [[2, 2], [10, 2], [10, 10], [2, 10], [2, 2]]
    assert worker.api.bodies("CreateClassification")[0]["ml_class"] == uuid(1)
    assert worker.api.bodies("CreateMetaData")[0]["value"] == "2"


def test_the_queries_of_the_page_find_rows_of_the_cache(cached_worker: Helpers) -> None:
    names = program("lines_without_text")
    for number in (1, 2):
        cache.CachedElement.create(id=uuid(number), type="line", parent_id=ELEMENT)
    cache.CachedTranscription.create(
        id=uuid(3), element_id=uuid(1), text="a", orientation="horizontal-lr", worker_run_id=RUN
    )
    assert [str(line.id) for line in names["lines_without_text"](ELEMENT)] == [uuid(2)]
    assert names["texts_of"](RUN) == ["a"]
    assert cached_worker.use_cache


def test_each_helper_that_the_page_names_exists_and_takes_these_arguments() -> None:
    rows = re.findall(r"^\| (`[a-z_]+\(.*?`(?:, `.*?`)*) \|", PAGE, re.M)
    named = [
        (name, arguments)
        for row in rows
        for name, arguments in re.findall(r"`([a-z_]+)\((.*?)\)`", row)
    ]
    assert len(named) > 40
    for name, arguments in named:
        known = inspect.signature(getattr(Helpers, name)).parameters
        kinds = {parameter.kind for parameter in known.values()}
        for argument in filter(None, re.findall(r"\b([a-z_]+)=", arguments)):
            assert argument in known or inspect.Parameter.VAR_KEYWORD in kinds, (name, argument)
        positional = [word for word in arguments.split(", ") if re.fullmatch("[a-z_]+", word)]
        for argument in positional:
            assert argument in known or argument == "type", (name, argument)


def test_each_helper_is_on_the_page() -> None:
    not_for_users = {
        "add_arguments", "may_write", "keep_in_cache", "request", "load_corpus_classes",
        "retrieve_ml_class", "get_ml_class_id", "list_corpus_types", "create_required_types",
        "create_element_type", "list_corpus_entity_types", "create_entity_type",
        "get_worker_version", "get_worker_version_slug", "create_model_version",
        "update_model_version", "upload_to_s3", "validate_model_version", "list_process_sets",
    }  # fmt: skip
    helpers = {
        name
        for name, value in inspect.getmembers(Helpers, inspect.isfunction)
        if not name.startswith("_")
    }
    assert not [name for name in sorted(helpers - not_for_users) if f"`{name}(" not in PAGE]
