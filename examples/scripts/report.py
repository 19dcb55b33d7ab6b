"""Report the sales of a day, signed, and only once, however often the step or the workflow runs."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from longshore import step

REPORTS = Path(__file__).with_name("reports.jsonl")


def report(summary: dict[str, Any], key: str) -> str:
    """Append the report to the file; return its signature."""
    text = json.dumps(summary)
    signature = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
    with REPORTS.open("a") as file:
        file.write(json.dumps({"report": summary, "signature": signature}) + "\n")
    print(f"reported {summary['day']}")
    return signature


@step.main
def main() -> None:
    """Report, unless an earlier attempt or run has done it."""
    summary = step.previous["summarise"]
    with step.once(f"report of {summary['day']}") as once:
        if once.new:
            once.result = {"signature": report(summary, step.secret("report_key"))}
        else:
            print("reported before")
    step.put(once.result)
