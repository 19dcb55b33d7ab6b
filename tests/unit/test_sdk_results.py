"""Results as rows and frames."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from longshore.errors import ConfigurationError
from longshore.sdk.results import RunResults, joined
from longshore.wire.results import Results


def _file(name: str, *documents: dict[str, str | None], error: str | None = None) -> dict[str, Any]:
    return {
        "original_file_name": name,
        "input_file_path": f"in/{name}",
        "error_msg": error,
        "documents": [
            {"fields": [{"field_name": key, "value": value} for key, value in document.items()]}
            for document in documents
        ],
    }


def _results(*files: dict[str, Any]) -> RunResults:
    page = {"id": "rn_1", "status": "COMPLETE", "files": list(files), "has_more": False}
    return joined([Results.model_validate(page)])


def test_rows_have_one_column_for_each_field_of_any_document() -> None:
    results = _results(
        _file("a.jpg", {"merchant": "Bakery", "total": "3.10"}, {"total": None}),
        _file("b.jpg", {"date": "2026-11-20"}),
    )
    assert results.to_rows() == [
        {"file": "a.jpg", "document": 0, "merchant": "Bakery", "total": "3.10", "date": None},
        {"file": "a.jpg", "document": 1, "merchant": None, "total": None, "date": None},
        {"file": "b.jpg", "document": 0, "merchant": None, "total": None, "date": "2026-11-20"},
    ]


def test_a_file_that_failed_has_a_row_with_its_error() -> None:
    results = _results(
        _file("good.jpg", {"total": "1"}),
        _file("bad.jpg", {"error": "ERROR"}, error="not an image"),
    )
    assert results.errors() == {"bad.jpg": "not an image"}
    assert results.to_rows() == [
        {"file": "good.jpg", "document": 0, "error": None, "total": "1"},
        {"file": "bad.jpg", "document": None, "error": "not an image", "total": None},
    ]


def test_no_value_is_lost_where_names_meet() -> None:
    document = {
        "fields": [
            {"field_name": name, "value": value}
            for name, value in [("item", "tea"), ("item", "cake"), ("file", "F"), ("item_2", "x")]
        ]
    }
    file = {"original_file_name": "a", "input_file_path": "a", "documents": [document]}
    assert _results(file).to_rows() == [
        {
            "file": "a",
            "document": 0,
            "item": "tea",
            "item_2": "cake",
            "field_file": "F",
            "item_2_2": "x",
        }
    ]


def test_fields_are_walked_with_their_document_and_file() -> None:
    results = _results(_file("a", {"x": "1"}, {"x": "2"}), _file("b", {"y": "3"}))
    walked = [(file.original_file_name, field.value) for file, _, field in results.fields()]
    assert walked == [("a", "1"), ("a", "2"), ("b", "3")]
    assert [file.original_file_name for file in results] == ["a", "b"]
    assert results[1].original_file_name == "b"


def test_a_frame_has_the_rows() -> None:
    frame = _results(_file("a", {"x": "1"}), _file("b", {"y": "3"})).to_frame()
    assert list(frame.columns) == ["file", "document", "x", "y"]
    assert frame["x"].tolist()[0] == "1"
    assert list(_results().to_frame().columns) == ["file", "document"]


def test_without_pandas_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match=r"longshore\[pandas\]"):
        _results().to_frame()


def test_pages_are_joined_and_one_open_review_keeps_the_whole_open() -> None:
    pages = [
        Results.model_validate(
            {"id": "rn_1", "status": "COMPLETE", "has_more": False, "review_completed": done}
            | {"files": [_file(name)]}
        )
        for name, done in [("a", False), ("b", True)]
    ]
    results = joined(pages)
    assert [file.original_file_name for file in results] == ["a", "b"]
    assert results.review_completed is False
