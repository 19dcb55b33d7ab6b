"""The page about metrics, from the list that the server's registry is made of."""

from __future__ import annotations

import itertools

from longshore.limits import METRICS_QUEUES
from longshore.server.metrics_list import METRICS
from tools.reference_pages import cell, page


def metrics_page() -> str:
    """Return the page about metrics, from longshore.server.metrics_list."""
    lines = [
        "# Metrics",
        "",
        "What `GET /metrics` gives to Prometheus; [Watch with Prometheus](../how-to/watch-with-prometheus.md) says how to ask. A",
        "metric is of the **server** that is asked, since its start (add them up over servers), or of the **organisation** of the",
        "key, as the database has it (the same on each server: take one).",
        "",
        "No metric has a label for works, runs, users or keys. Routes are templates, reasons and states are those of",
        f"[States](states.md), and queues are told of one by one only for the {METRICS_QUEUES} in which most works wait",
        "(`METRICS_QUEUES`); the sums by surface have all of them.",
    ]
    for group, found in itertools.groupby(METRICS, key=lambda metric: metric.group):
        lines += ["", f"## {group}", "", "| Metric | Kind | Of | Labels | Meaning |"]
        lines += ["|---|---|---|---|---|"]
        for metric in found:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            where = f" Only with {metric.where}." if metric.where else ""
            lines.append(
                f"| `{metric.name}` | {metric.kind} | {metric.scope.value} | {labels} | "
                f"{cell(metric.text)}{where} |"
            )
    return page("longshore/server/metrics_list.py", lines)
