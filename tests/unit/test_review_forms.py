"""A form of a review that nobody touched corrects nothing, whatever the values look like."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from jinja2 import Environment

from longshore.dashboard.forms import Form
from longshore.dashboard.pages.runs import reviewing
from longshore.wire.reviews import ReviewedDocument, ReviewField

ODD = ["a\rb", "\r", "\r\nx\r\n", "\n\nx", " padded ", "\tx", "nul\0here", "y" * 130, "", None]


def document(value: str | None, class_name: str | None) -> ReviewedDocument:
    field = ReviewField.model_construct(index=0, name="total", value=value)
    return ReviewedDocument.model_construct(version=3, class_name=class_name, fields=[field])


def parsed(text: str) -> str:
    """Return what a parser of HTML makes of a text."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def has_lines(value: str | None) -> bool:
    """Return whether the page gives a value a field of several lines, by its own condition."""
    template = resources.files("longshore.dashboard") / "templates/runs/document.html"
    found = re.search(r"\{% if (field\.value and [^%]*) %\}\s*<textarea", template.read_text())
    assert found
    given = ReviewField.model_construct(value=value)
    return bool(Environment(autoescape=True).compile_expression(found[1])(field=given))


def untouched(seen: ReviewedDocument) -> dict[str, tuple[str, ...]]:
    """Return what a browser sends of a form as it was shown."""
    value = seen.fields[0].value
    shown = parsed(value or "")
    sent = shown.replace("\n", "\r\n" if has_lines(value) else "")
    class_name = parsed(seen.class_name or "").replace("\n", "")
    return {"version": ("3",), "class_name": (class_name,), "value-0": (sent,)}


@pytest.mark.parametrize("class_name", ["invoice", " padded ", "two\r\nlines", "a\rb", None])
@pytest.mark.parametrize("value", ODD)
def test_what_nobody_touched_is_not_corrected(value: str | None, class_name: str | None) -> None:
    seen = document(value, class_name)
    wish = reviewing._wish(Form(untouched(seen)), seen)
    assert wish.corrections == []
    assert wish.class_name is None


def test_what_somebody_changed_is_corrected() -> None:
    seen = document("a\rb", " invoice ")
    sent = untouched(seen) | {"value-0": ("a\r\nc",), "class_name": ("receipt",)}
    wish = reviewing._wish(Form(sent), seen)
    assert [each.value for each in wish.corrections] == ["a\nc"]
    assert wish.class_name == "receipt"
