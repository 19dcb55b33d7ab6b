"""The pages of HTTP requests, one for each surface, from the server's OpenAPI document."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI

from longshore.edge.context import Context
from longshore.server.app import OPEN_PATHS, create_app, describe
from longshore.settings import Settings
from longshore.storage import open_database
from longshore.storage.blobs import open_blobs
from tools.reference_pages import cell, page


@dataclass(frozen=True, slots=True)
class Surface:
    """A page: its title, what its paths begin with, and what is to be said before the tables."""

    title: str
    prefixes: tuple[str, ...]
    text: str


SURFACES: Final = {
    "http-apps.md": Surface(
        "apps",
        ("/api/v2/",),
        "The requests of the apps API. Each is also there without `/api` in front. How the published system is moved from is told in\n"
        "[Move from Instabase AI Hub](../how-to/move-from-ai-hub.md).",
    ),
    "http-buckets.md": Surface(
        "buckets and results",
        ("/buckets/", "/results/"),
        "Works that programs deposit and withdraw, and the store of those that are over. How the published system is moved from is\n"
        "told in [Move from workflow.core](../how-to/move-from-workflow-core.md); the language of queries in\n"
        "[Query works](../how-to/query-works.md).",
    ),
    "http-pipelines.md": Surface(
        "pipelines and services",
        ("/{tenant}/", "/api/v1/product/", "/api/v1/config/", "/health", "/auth/"),
        "Records that are computed in chunks, and the services that compute them. `{tenant}` is the organisation's name. How the\n"
        "published system is moved from is told in [Move from Coherent Spark](../how-to/move-from-coherent-spark.md).",
    ),
    "http-corpus.md": Surface(
        "corpora",
        ("/api/v1/", "/longshore/v1/corpus/"),
        "Corpora, elements, results on them, and the processes that run workers over them. How the published system is moved from is\n"
        "told in [Move from Arkindex](../how-to/move-from-arkindex.md). Images are served by the\n"
        "[IIIF Image API](https://iiif.io/api/image/) below `/iiif/2` and `/iiif/3`, and files that are sent or fetched without a key\n"
        "at addresses that hold a secret; both addresses are given by the requests below and are not to be put together by hand.",
    ),
    "http-scripts.md": Surface(
        "script workflows",
        ("/coreauto/",),
        "Workflows, their runs, events, flags, payloads and hosts. What scripts and programs outside may rely on is told in\n"
        "[the Collector](collector.md); how the published system is moved from in\n"
        "[Move from CoreAuto](../how-to/move-from-coreauto.md).",
    ),
    "http-native.md": Surface(
        "the server's own",
        ("/longshore/", "/healthz", "/"),
        "What every surface has in common: works, queues, workers, keys, secrets, the audit log and the protocol of workers.",
    ),
}
NOUNS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def pages() -> dict[str, Callable[[], str]]:
    """Return what writes the page of each surface, by the page's name."""

    def builder(name: str) -> Callable[[], str]:
        return lambda: _surface_page(name)

    return {name: builder(name) for name in SURFACES}


def home(path: str) -> str:
    """Return the name of the page that a path belongs on: that of the longest prefix."""
    fitting = [
        (len(prefix), name)
        for name, surface in SURFACES.items()
        for prefix in surface.prefixes
        if path.startswith(prefix)
    ]
    return max(fitting)[1]


@cache
def application() -> FastAPI:
    """Return a server with everything in it, that is described and never run."""
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(data=Path(directory), database=None, blobs=None)
        database = open_database(f"sqlite:///{directory}/described.db")
        database.close()
        return create_app(Context(database, open_blobs(directory), settings))


@cache
def document() -> Mapping[str, Any]:
    """Return the OpenAPI document of the server."""
    return describe(application())


def operations() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield each request: its method, its path, and what the document says of it."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _surface_page(name: str) -> str:
    surface = SURFACES[name]
    lines = [
        f"# HTTP: {surface.title}",
        "",
        *surface.text.splitlines(),
        "",
        "Every request carries a key, see [keys and roles](../how-to/keys-and-roles.md), but those that are marked *no key*. Every",
        "answer has an `X-Request-Id`. A `POST` that carries an `Idempotency-Key` may be sent again: it is answered as the first",
        "time. *Takes* names what may stand behind `?`, and after *body* the properties of a JSON object; those with `?` may be",
        "left out. A running server shows all models at `/docs`.",
    ]
    for group, rows in _groups(name).items():
        lines += ["", f"## {group}", "", "| Request | Takes | Does |", "|---|---|---|", *rows]
    return page("the server's OpenAPI document", lines)


def _groups(name: str) -> dict[str, list[str]]:
    """Return the rows of the tables of a page, by their headings."""
    groups: dict[str, list[str]] = {}
    for method, path, operation in operations():
        if home(path) == name:
            text = cell(operation.get("description") or operation.get("summary"))
            open_to_all = " *No key.*" if path in OPEN_PATHS else ""
            row = f"| `{method} {path}` | {_takes(operation)} | {text}{open_to_all} |"
            groups.setdefault(_group(name, path, operation), []).append(row)
    return groups


def _group(name: str, path: str, operation: Mapping[str, Any]) -> str:
    """Return the heading of a request: the noun of its path, or the tag of its router."""
    if name == "http-apps.md":
        words = [word for word in path.split("/")[3:5] if not word.startswith("{")]
        noun = words[1] if words[0] == "apps" and len(words) > 1 else words[0]
        return "Secrets" if noun == "aihub" else noun.capitalize()
    if name == "http-corpus.md":
        return _CORPUS_GROUPS.get(_corpus_noun(path), "Workers and processes")
    if name == "http-scripts.md":
        return _SCRIPTS_GROUPS[path.split("/")[3]]
    return str(operation["tags"][0]).capitalize()


def _corpus_noun(path: str) -> str:
    words = path.strip("/").split("/")
    if words[0] == "longshore":
        return words[3]
    last = next((word for word in reversed(words[3:]) if word in _CORPUS_GROUPS), None)
    return last or words[2]


_CORPUS_GROUPS: Final = {
    "corpus": "Corpora and elements",
    "element": "Corpora and elements",
    "elements": "Corpora and elements",
    "datasets": "Datasets",
    "export": "Exports",
    "image": "Images",
    "images": "Images",
    "models": "Models",
    "model": "Models",
    "modelversion": "Models",
    "upload": "Models",
    "secret": "Secrets",
    "secrets": "Secrets",
    **dict.fromkeys(
        (
            "classes", "classification", "classifications", "transcription", "transcriptions",
            "entity", "entities", "entity-types", "metadata", "embedding",
        ),
        "Results on elements",
    ),
    "process": "Workers and processes",
}  # fmt: skip
_SCRIPTS_GROUPS: Final = {
    "auth": "The Collector",
    "rtevent": "The Collector",
    "rtstep": "The Collector",
    "flag": "The Collector",
    "keystore": "The Collector",
    "workflows": "Workflows",
    "runs": "Runs",
    "hosts": "Hosts",
}


def _takes(operation: Mapping[str, Any]) -> str:
    asked = [
        f"`{each['name']}`" + ("" if each.get("required") else "?")
        for each in operation.get("parameters", ())
        if each["in"] == "query"
    ]
    content = operation.get("requestBody", {}).get("content", {})
    fields = _fields(content.get("application/json", {}).get("schema", {}))
    return ", ".join(asked) + (" " if asked and fields else "") + fields


def _fields(schema: Mapping[str, Any]) -> str:
    properties = schema.get("properties", {})
    required = schema.get("required", ())
    named = ", ".join(f"`{name}`" + ("" if name in required else "?") for name in properties)
    return f"*body* {named}" if named else ""
