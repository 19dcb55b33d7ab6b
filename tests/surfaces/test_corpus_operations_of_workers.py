"""Every operation that our elements workers call is one that our server has."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import longshore.corpus
from longshore.corpus.activities import REPORT_PATH
from longshore.corpus.document import CLAIM_PATH, Document
from longshore.corpus.heartbeat import RENEW_PATH
from longshore.surfaces.corpus.routes import native, openapi, router

SOURCES = Path(longshore.corpus.__path__[0])
OURS = {"allow_missing_data"}
"""Arguments of the client itself."""


def _calls() -> Iterator[tuple[str, set[str]]]:
    """Give each operation that is called by its name, with the names of its arguments."""
    for path in SOURCES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in {"request", "paginate"} or not node.args:
                continue
            name = node.args[0]
            if isinstance(name, ast.Constant) and str(name.value)[:1].isupper():
                yield str(name.value), {one.arg for one in node.keywords if one.arg}


def test_the_server_has_what_the_workers_call() -> None:
    described = openapi.document([*router.routes, *native.routes])
    document = Document(described, "the server")
    assert document.has_bulk_activities
    assert {CLAIM_PATH, RENEW_PATH, REPORT_PATH} <= described["paths"].keys()
    wrong, seen = [], set()
    for name, arguments in _calls():
        seen.add(name)
        if name in {"GET", "PUT", "POST"}:
            continue
        if name not in document:
            wrong.append(f"the server has no {name}")
            continue
        operation = document[name]
        known = {*operation.query, *OURS, *(["body"] if operation.takes_body else [])}
        known |= {part.strip("{}+") for part in operation.path.split("/") if part.startswith("{")}
        wrong += [f"{name} does not take {one}" for one in sorted(arguments - known)]
        if operation.takes_body and "body" not in arguments:
            wrong.append(f"{name} is called without a body")
    assert wrong == []
    assert len(seen) > 40, sorted(seen)
