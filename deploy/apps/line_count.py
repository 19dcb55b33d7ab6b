"""Counts the lines of each file: an app to see a worker in a container at work."""

from __future__ import annotations

import longshore


@longshore.app("line count", owner="me", version="1.0.0")
def line_count(file: longshore.InputFile) -> list[longshore.Document]:
    """Count the lines of a file."""
    lines = file.read_bytes().count(b"\n")
    return [longshore.Document(fields=[longshore.Field("lines", str(lines))])]
