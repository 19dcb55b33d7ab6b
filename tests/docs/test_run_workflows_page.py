"""The table of the page on runs of workflows is the one that is tried."""

from __future__ import annotations

import re
from pathlib import Path

from tests.surfaces.test_scripts_operating import REFUSED, STATES, TABLE

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/run-workflows.md"


def test_the_table_of_actions_is_the_one_that_is_tried() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$",
        PAGE.read_text("utf-8"),
        re.MULTILINE,
    )
    words = {
        "told to stop, then cancelled": "running",
        "runs again": "ready",
        "refused": REFUSED,
    }
    told = {
        (state.replace("on ", ""), action): words.get(cell, cell)
        for states, *cells in rows
        if states not in ("step is", "---")
        for state in states.split(", ")
        for action, cell in zip(("skip", "force-ok", "cancel", "rerun"), cells, strict=True)
    }
    assert {state for state, _ in told} == set(STATES)
    for (state, action), cell in told.items():
        after = TABLE[action][STATES.index(state)]
        assert cell == after or (cell == "nothing" and after == state), (state, action)
