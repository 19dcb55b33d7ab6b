"""Writes the pages of docs/reference from the code; `--check` only says whether they are current.

The pages are committed, so that they can be read without building anything, and the gate checks
that they still say what the code says. What writes them is in tools/reference_pages.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from longshore.surfaces.scripts.definition import schema as workflow_schema
from tools.reference_pages import PAGES, ROOT, facts, http, metrics, page, python
from tools.reference_pages.commands import cli_page, commands

__all__ = ["BUILDERS", "PAGES", "commands", "main"]


def workflow_page() -> str:
    """Return the page of all keys of a workflow's file, from the model of definitions."""
    lines = [
        "# Keys of a workflow's file",
        "",
        "A workflow is one YAML file. This is every key that it may have; unknown ones are refused. How to write one is told in",
        "[Write a workflow](../how-to/write-a-workflow.md). For editors there is a [JSON schema](workflow.schema.json), which a server",
        "gives as well: `GET /coreauto/v1/workflows/schema`. YAML is read as YAML 1.2 has it: `on` is a text, and so is 2027-01-31.",
        *workflow_schema.page(),
    ]
    return page("longshore/surfaces/scripts/definition/model.py", lines)


def workflow_json() -> str:
    """Return the JSON schema of a workflow's file."""
    return json.dumps(workflow_schema.schema(), indent=2) + "\n"


BUILDERS: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "settings.md": facts.settings_page,
    "limits.md": facts.limits_page,
    "errors.md": facts.errors_page,
    "states.md": facts.states_page,
    "metrics.md": metrics.metrics_page,
    "python-client.md": python.client_page,
    "python-workers.md": python.worker_page,
    **http.pages(),
    "workflow.md": workflow_page,
    "workflow.schema.json": workflow_json,
}


def main() -> int:
    """Write the pages, or compare them with what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether they are current")
    parser.add_argument("pages", nargs="*", help="names of pages; default is all")
    arguments = parser.parse_args()
    stale = []
    for name in arguments.pages or BUILDERS:
        path, text = PAGES / name, BUILDERS[name]()
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        stale.append(name)
        if not arguments.check:
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    if stale and arguments.check:
        print(
            f"docs/reference is out of date: {', '.join(stale)}. Run `make docs` and commit.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
