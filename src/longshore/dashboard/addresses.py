"""Addresses of pages: what was chosen stays in them, from one page of a list to the next."""

from __future__ import annotations

from urllib.parse import urlencode


def addressed(path: str, **chosen: str | int | None) -> str:
    """Return the address of a page with what is chosen there; None and "" are no choice."""
    kept = {name: value for name, value in chosen.items() if value not in (None, "")}
    return f"{path}?{urlencode(kept)}" if kept else path
