"""The header Environment: names that are not ASCII come as cawbs sends them."""

from __future__ import annotations

import pytest

from longshore.surfaces.scripts.routes import environment


@pytest.mark.parametrize("name", ["north", "Łódź", "Zürich", "東京"])
def test_a_name_is_read_as_it_was_sent(name: str) -> None:
    # Servers of HTTP read each byte of a header as a character of its own.
    assert environment.wanted({"environment": name.encode("utf-8").decode("latin-1")}) == name


def test_a_name_in_latin_1_is_read_too() -> None:
    assert environment.wanted({"environment": "Zürich"}) == "Zürich"


@pytest.mark.parametrize("headers", [{}, {"environment": ""}, {"environment": "  "}])
def test_no_name_leaves_it_open(headers: dict[str, str]) -> None:
    assert environment.wanted(headers) is None
