"""Writes the pages of docs/reference from the code; `--check` only says whether they are current.

The pages are committed, so that they can be read without building anything, and the gate checks
that they still say what the code says.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from longshore import errors, limits
from longshore.cli import exit_codes
from longshore.cli.main import app
from longshore.edge.context import Context
from longshore.engine import states
from longshore.server import problems
from longshore.server.app import create_app, describe
from longshore.settings import ClientSettings, Settings
from longshore.storage import open_database
from longshore.storage.blobs import open_blobs
from longshore.surfaces.scripts.definition import schema as workflow_schema

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
HEADER = (
    "<!-- Written by tools/reference.py from {source}. Change that and run `make docs`. -->\n\n"
)


def settings_page() -> str:
    """Return the page about settings, from longshore.settings."""
    lines = [
        "# Settings",
        "",
        "Each setting is an environment variable; `longshore up` has an option for the most used ones, and an",
        "option wins over the environment. There is no configuration file.",
        "",
        "## Server",
        "",
        *_settings_table(Settings),
        "",
        "## Client, worker and command line",
        "",
        "Without any of these, they look for `.longshore/credentials.json` in the working directory and in those above it.",
        "",
        *_settings_table(ClientSettings),
    ]
    return HEADER.format(source="longshore/settings.py") + "\n".join(lines) + "\n"


def _settings_table(model: Any) -> Iterator[str]:
    prefix = model.model_config["env_prefix"]
    yield from ("| Variable | Default | Meaning |", "|---|---|---|")
    for name, field in model.model_fields.items():
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        yield f"| `{prefix}{name.upper()}` | {default} | {_cell(field.description)} |"


def limits_page() -> str:
    """Return the page about limits, from longshore.limits."""
    lines = [
        "# Limits",
        "",
        "Everything has a limit. What goes beyond one is refused before anything is changed, with a message that",
        "names the limit. `GET /longshore/v1/limits` returns them for a program.",
        "",
        "| Limit | Value | Meaning |",
        "|---|---|---|",
    ]
    for name, meaning in _documented_constants(Path(inspect.getfile(limits))):
        lines.append(f"| `{name}` | {_number(getattr(limits, name), name)} | {_cell(meaning)} |")
    return HEADER.format(source="longshore/limits.py") + "\n".join(lines) + "\n"


def _documented_constants(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the constants of a module that have a string right below them, with that string."""
    body = ast.parse(path.read_text("utf-8")).body
    for node, follower in itertools.pairwise(body):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(follower, ast.Expr)
            and isinstance(follower.value, ast.Constant)
            and isinstance(follower.value.value, str)
        ):
            yield node.target.id, follower.value.value


def _number(value: float, name: str) -> str:
    mib = 1024 * 1024
    if name.endswith("_BYTES") and value % mib == 0:
        return f"{value // mib:,} MiB"
    if name.endswith("_S"):
        return f"{value / 3600:g} h" if value >= 3600 else f"{value:g} s"
    return f"{value:,}"


def errors_page() -> str:
    """Return the page about errors, from longshore.errors and the server's table of statuses."""
    lines = [
        "# Errors",
        "",
        "Every error has a stable `code`, a message that says what happened, why, and what to do next, and the id of the",
        "request. The Python client raises the class; the command line ends with the exit status.",
        "",
        'Under `/api/v2` an error is `{"message": ..., "code": ..., "request_id": ...}`; under `/longshore` it is an RFC 9457',
        'problem: `{"type", "title", "status", "detail", "code", "request_id"}`.',
        "",
        "| Class | `code` | HTTP | Exit | Meaning |",
        "|---|---|---|---|---|",
    ]
    for kind in _tree(errors.LongshoreError):
        status = _status(kind)
        code = exit_codes.of(_instance(kind))
        meaning = (inspect.getdoc(kind) or "").partition("\n")[0]
        lines.append(
            f"| `{kind.__name__}` | `{kind.code}` | {status} | {int(code)} | {_cell(meaning)} |"
        )
    lines += ["", "## The tree", "", "```", *_drawn_tree(errors.__doc__ or ""), "```"]
    return HEADER.format(source="longshore/errors.py") + "\n".join(lines) + "\n"


def _tree(root: type) -> Iterator[Any]:
    yield root
    children: list[Any] = root.__subclasses__()
    for child in children:
        if child.__module__ == root.__module__:
            yield from _tree(child)


def _instance(kind: Any) -> Any:
    return kind("", delay_s=1.0) if kind.code == "retry_later" else kind("")


def _status(kind: type[errors.LongshoreError]) -> str:
    client_only = {"ServerUnreachable", "WaitTimeout", "WorkControl", "RetryLater", "Reject"}
    return "" if kind.__name__ in client_only else str(problems.TABLE[kind][0])


def _drawn_tree(docstring: str) -> list[str]:
    text = inspect.cleandoc(docstring)
    return inspect.cleandoc(text.split("\n\n")[1]).splitlines()


def states_page() -> str:
    """Return the page about states, from longshore.engine.states."""
    meanings = _documented_members(Path(inspect.getfile(states)), "State")
    lines = [
        "# States",
        "",
        "A work is in one of six states. Why it is there, its *reason*, is kept apart: two reasons may lead to one state.",
        "Being *held* is not a state but a mark on the queue.",
        "",
        "```",
        *STATE_DIAGRAM.strip("\n").splitlines(),
        "```",
        "",
        "| State | Meaning |",
        "|---|---|",
        *(f"| `{state.value}` | {_cell(meanings[state.name])} |" for state in states.State),
        "",
        "## Transitions",
        "",
        "Every legal change, by its reason. Nothing else can happen: the one statement that changes a state names these",
        "source states in its `WHERE`, and each change writes an event in the same transaction.",
        "",
        "| Reason | From | To | Meaning |",
        "|---|---|---|---|",
    ]
    for reason, change in states.TRANSITIONS.items():
        sources = ", ".join(f"`{state.value}`" for state in states.State if state in change.sources)
        meaning = change.meaning + (
            " Tried again while attempts are left." if change.retryable else ""
        )
        lines.append(
            f"| `{reason.value}` | {sources or '(new)'} | `{change.target.value}` | {meaning} |"
        )
    return HEADER.format(source="longshore/engine/states.py") + "\n".join(lines) + "\n"


STATE_DIAGRAM = """
                 submitted                 claimed                done
  (new) ----------------------> queued ---------------> running ---------> success
    |                           ^  ^ ^                  |  |  |
    | blocked, delayed          |  | |   handed_back    |  |  |  cancel_confirmed
    v                  released |  | +------------------+  |  +---------> cancelled
  waiting ----------------------+  |                       |                 ^
    |                              | retried               | failed, timed_out,
    |                              |                       | rejected, lease_expired,
    |                              |                       v worker_lost     |
    |                              +------------------- failure -------------+
    |                                                             cancelled  |
    +------------------------------------------------------------------------+
        dependency_failed, cancelled (queued works are cancelled the same way)
"""


def _documented_members(path: Path, class_name: str) -> dict[str, str]:
    """Return the strings below the members of a class, by the member's name."""
    found: dict[str, str] = {}
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for member, follower in itertools.pairwise(node.body):
                if isinstance(member, ast.Assign) and isinstance(follower, ast.Expr):
                    target, text = member.targets[0], follower.value
                    if isinstance(target, ast.Name) and isinstance(text, ast.Constant):
                        found[target.id] = str(text.value)
    return found


def http_page() -> str:
    """Return the page about the HTTP requests of the apps surface, from the server's OpenAPI."""
    document = describe(create_app(_nowhere()))
    lines = [
        "# HTTP: apps",
        "",
        "The requests of the apps API. Each is also there without `/api` in front. A running server shows them with all",
        "models at `/docs`. Every request carries a key, see [keys and roles](../how-to/keys-and-roles.md); every answer has an",
        "`X-Request-Id`. A `POST` that carries an `Idempotency-Key` may be sent again: it is answered as the first time.",
    ]
    for group, rows in _grouped(document["paths"]).items():
        lines += ["", f"## {group.capitalize()}", "", "| Request | Does |", "|---|---|", *rows]
    return HEADER.format(source="the server's OpenAPI document") + "\n".join(lines) + "\n"


def _grouped(paths: dict[str, Any]) -> dict[str, list[str]]:
    """Return the rows of the table of each noun, such as runs."""
    groups: dict[str, list[str]] = {}
    for path, operations in paths.items():
        if not path.startswith("/api/v2/"):
            continue
        words = [word for word in path.split("/")[3:5] if not word.startswith("{")]
        group = words[1] if words[0] == "apps" and len(words) > 1 else words[0]
        for method, operation in operations.items():
            text = operation.get("description") or operation.get("summary") or ""
            meaning = _cell(text.partition("\n")[0])
            groups.setdefault(group, []).append(f"| `{method.upper()} {path}` | {meaning} |")
    return groups


def _nowhere() -> Context:
    """Return a context for an application that is described and never run."""
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(data=Path(directory), database=None, blobs=None)
        database = open_database(f"sqlite:///{directory}/described.db")
        database.close()
        return Context(database, open_blobs(directory), settings)


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
        *(f"| {int(code)} | {_cell(meaning)} |" for code, meaning in exit_codes.MEANINGS.items()),
    ]
    for name, command, context in commands(app):
        text = command.get_help(context).strip("\n")
        lines += [
            "",
            f"## {name}",
            "",
            "```",
            *(line.rstrip() for line in text.splitlines()),
            "```",
        ]
    return HEADER.format(source="longshore/cli") + "\n".join(lines) + "\n"


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
    source = "longshore/surfaces/scripts/definition/model.py"
    return HEADER.format(source=source) + "\n".join(lines) + "\n"


def workflow_json() -> str:
    """Return the JSON schema of a workflow's file."""
    return json.dumps(workflow_schema.schema(), indent=2) + "\n"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


BUILDERS: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "settings.md": settings_page,
    "limits.md": limits_page,
    "errors.md": errors_page,
    "states.md": states_page,
    "http-apps.md": http_page,
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
