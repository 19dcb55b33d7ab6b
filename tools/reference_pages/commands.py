"""The page about the command line, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from longshore.cli import exit_codes
from longshore.cli.main import app
from tools.reference_pages import cell, page


def cli_page() -> str:
    """Return the page about the command line, from the commands themselves."""
    lines = [
        "# Command line",
        "",
        "Every list takes `--json` and then writes JSON, and nothing else, to standard output. What is meant for a person goes to",
        "standard error. An error is one line that says what happened, why, and what to do next.",
        "",
        "## Exit codes",
        "",
        "| Code | Meaning |",
        "|---|---|",
        *(f"| {int(code)} | {cell(meaning)} |" for code, meaning in exit_codes.MEANINGS.items()),
    ]
    for name, command, context in commands(app):
        text = command.get_help(context).strip("\n")
        shown = (line.rstrip() for line in text.splitlines())
        lines += ["", f"## {name}", "", "```", *shown, "```"]
    return page("longshore/cli", lines)


def commands(app: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield each command with its whole name and a context of fixed width, groups left out."""

    def walk(command: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
        children = getattr(command, "commands", None)
        if children is None:
            yield context.command_path, command, context
            return
        for name, child in children.items():
            yield from walk(child, _context(child, name, context))

    root = typer.main.get_command(app)
    yield from walk(root, _context(root, "longshore", None))


def _context(command: Any, name: str, parent: Any) -> Any:
    settings = {**command.context_settings, "terminal_width": 90, "max_content_width": 90}
    return command.context_class(command, info_name=name, parent=parent, **settings)
