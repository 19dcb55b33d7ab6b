"""The Grafana dashboard and the guide name metrics, reasons and labels that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from longshore.engine.states import Reason
from longshore.server.metrics_list import METRICS, Metric

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "deploy" / "grafana" / "longshore.json"
GUIDE = ROOT / "docs" / "how-to" / "watch-with-prometheus.md"
NAME = re.compile(r"\b(?:longshore|process)_[a-z_]+\b")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
PANELS = (
    "throughput", "failures", "depth", "oldest", "wait", "run time", "workers", "requests, p95",
    "database", "blobs", "passes",
)  # fmt: skip
COLUMNS = 24


def exposed(metric: Metric) -> set[str]:
    """Return the names of the series of a metric."""
    if metric.kind != "histogram":
        return {metric.name}
    return {f"{metric.name}{suffix}" for suffix in ("_bucket", "_count", "_sum")}


SERIES = {name: metric for metric in METRICS for name in exposed(metric)}


def panels() -> list[dict[str, Any]]:
    board = json.loads(BOARD.read_text("utf-8"))
    found: list[dict[str, Any]] = board["panels"]
    return found


def expressions(text: str | None = None) -> list[str]:
    if text is None:
        return [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    return [
        line
        for block in re.findall(r"```(?:promql|yaml)\n(.*?)```", text, re.S)
        for line in block.splitlines()
    ]


@pytest.mark.parametrize("expression", [*expressions(), *expressions(GUIDE.read_text("utf-8"))])
def test_an_expression_names_metrics_and_labels_that_there_are(expression: str) -> None:
    names = NAME.findall(expression)
    assert set(names) <= SERIES.keys()
    labels = {label for name in names for label in SERIES[name].labels} | {"instance", "job"}
    for label, values in MATCHER.findall(expression):
        if not names:
            continue
        assert label in labels, label
        if label == "reason":
            assert set(values.split("|")) <= {str(reason) for reason in Reason}


def test_the_board_has_a_panel_for_each_thing_that_is_watched() -> None:
    titles = " / ".join(panel["title"].lower() for panel in panels())
    assert [each for each in PANELS if each not in titles] == []
    asked = " ".join(expressions())
    unused = [name for name in SERIES if name.startswith("longshore") and name not in asked]
    # What a histogram has besides its buckets, and what the rest of the board makes needless.
    assert [name for name in unused if not name.endswith(("_count", "_sum"))] == [
        "longshore_blobs",
        "longshore_disk_total_bytes",
        "longshore_build_info",
        "longshore_metrics_count_seconds",
        "longshore_metrics_age_seconds",
    ]


def test_no_two_panels_of_the_board_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < COLUMNS
        taken |= cells
