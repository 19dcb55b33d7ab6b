"""What a user can name is in the reference, and what the documentation names is there."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import longshore
from longshore import errors, limits, sdk
from longshore.cli.main import app
from longshore.engine.states import Reason, State
from longshore.settings import ClientSettings, Settings
from longshore.surfaces.scripts import viewing
from tools import reference
from tools.reference_pages import facts, http
from tools.reference_pages.docstrings import public_members

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
GUIDES = [page for page in PAGES if "reference" not in page.parts]
TEXTS = {page: page.read_text("utf-8") for page in PAGES}
COMMANDS = {name: command for name, command, _ in reference.commands(app)}
SERVED_BESIDE = re.compile(
    r"/(v2|static|dashboard|iiif)(/|$)|/api/v1/(uploads|parts|downloads|files)/"
)
"""What is in no document of the API: the apps API without /api, pages, images, secret addresses."""


def text(name: str) -> str:
    return TEXTS[DOCS / "reference" / name]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_in_the_reference_with_its_options(name: str) -> None:
    section = text("cli.md").partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    options = [
        option
        for parameter in COMMANDS[name].params
        if not getattr(parameter, "hidden", False)
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("-")
    ]
    assert section
    assert [option for option in options if option not in section] == []


def test_each_request_is_on_the_page_of_its_surface() -> None:
    missing = [
        f"{method} {path}"
        for method, path, _ in http.operations()
        if f"| `{method} {path}` |" not in text(http.home(path))
    ]
    assert missing == []
    assert all(operation.get("description") for _, _, operation in http.operations())


def every_route(routes: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each route of the application with its whole path."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from every_route(included.routes, prefix + route.include_context.prefix)
        else:
            yield prefix + route.path, route


def test_nothing_is_served_that_the_document_of_the_api_lacks() -> None:
    known = {path for _, path, _ in http.operations()}
    routes = list(every_route(http.application().routes))
    hidden = [
        path
        for path, route in routes
        if re.sub(r":\w+\}", "}", path) not in known
        and not SERVED_BESIDE.match(path)
        and not getattr(getattr(route, "endpoint", None), "__module__", "").startswith(
            "longshore.dashboard"
        )
    ]
    assert len(routes) > len(known) > 200
    assert sorted(hidden) == []


def test_each_setting_limit_and_error_is_in_the_reference() -> None:
    settings = [f"`LONGSHORE_{name.upper()}`" for name in Settings.model_fields]
    settings += [f"`LONGSHORE_{name.upper()}`" for name in ClientSettings.model_fields]
    assert [name for name in settings if name not in text("settings.md")] == []
    numbers = [name for name, value in vars(limits).items() if isinstance(value, int | float)]
    assert [
        name for name in numbers if name != "MIB" and f"`{name}`" not in text("limits.md")
    ] == []
    kinds = list(facts.tree(errors.LongshoreError))
    assert len(kinds) > 20
    for kind in kinds:
        assert f"| `{kind.__name__}` | `{kind.code}` |" in text("errors.md")


def test_each_state_and_reason_is_in_the_reference_and_of_each_surface() -> None:
    page = text("states.md")
    words = [member.value for kind in (State, Reason) for member in kind]
    words += [word for _, found, _ in facts.surface_states() for word in found]
    words += [*viewing.STATUSES, *viewing.RUN_STATES]
    assert [word for word in words if f"| `{word}` |" not in page] == []


def test_each_state_of_a_pipeline_that_a_client_is_told_is_in_the_reference() -> None:
    source = (ROOT / "src/longshore/surfaces/pipelines/status.py").read_text("utf-8")
    told = set(
        re.findall(r'"((?:created|in_progress|failed|cancelled|closed|completed)\w*)"', source)
    )
    told = {word for word in told if not word.endswith(("_us", "_timestamp", "_by"))}
    assert set(facts.PIPELINE) <= told


def test_each_public_name_of_python_is_in_the_reference() -> None:
    pages = text("python-client.md") + text("python-workers.md") + text("errors.md")
    names = {*longshore.__all__, *sdk.__all__} - {"__version__", "step", "webhooks"}
    plain = {name for name in names if not name.startswith("Async")}
    assert [name for name in sorted(plain) if not re.search(rf"\b{name}\b", pages)] == []
    assert all(name.removeprefix("Async") in plain for name in names - plain), "each has its twin"
    for kind in (longshore.Client, longshore.Work, sdk.Run, sdk.Batch, longshore.ElementsWorker):
        for name, member in public_members(kind):
            assert name in pages, f"{kind.__name__}.{name}"
            assert inspect.getdoc(member), f"{kind.__name__}.{name} has no docstring"


def test_both_clients_have_the_same_methods() -> None:
    one = {name for name, _ in public_members(longshore.Client)}
    other = {name for name, _ in public_members(longshore.AsyncClient)}
    assert {name.removeprefix("a") if name == "aclose" else name for name in other} == one


def test_each_metric_is_documented() -> None:
    sources = [*(ROOT / "src/longshore").rglob("*metrics*.py")]
    names = {
        name
        for source in sources
        for name in re.findall(r'"(longshore_[a-z_]+)"', source.read_text("utf-8"))
    }
    assert len(names) > 10
    everything = "".join(TEXTS.values())
    assert [name for name in sorted(names) if f"`{name}" not in everything] == []


def nav() -> Iterator[str]:
    """Yield the pages that the site's navigation leads to."""
    written = (ROOT / "mkdocs.yml").read_text("utf-8")

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, str):
            yield node
        else:
            for child in node.values() if isinstance(node, dict) else node:
                yield from walk(child)

    yield from walk(yaml.safe_load(written)["nav"])


def test_each_page_is_in_the_navigation_once() -> None:
    assert sorted(nav()) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: its headings as mkdocs writes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_each_link_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", TEXTS[page], flags=re.MULTILINE | re.DOTALL)
    broken = []
    for link, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose):
        if re.match(r"\w+:", link):
            continue
        target = (page.parent / link).resolve() if link else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{link}#{anchor}")
    assert broken == []


FOREIGN_VARIABLES = {"LONGSHORE_TEST_EXAMPLES"}
"""Of the tests, as CONTRIBUTING tells."""


def test_each_variable_that_the_documentation_names_is_a_setting() -> None:
    known = {f"LONGSHORE_{name.upper()}" for name in Settings.model_fields}
    known |= {f"LONGSHORE_{name.upper()}" for name in ClientSettings.model_fields}
    named = {
        name
        for page in [*PAGES, *ROOT.glob("*.md"), *(ROOT / "deploy").rglob("*")]
        if page.is_file()
        for name in re.findall(r"\bLONGSHORE_[A-Z_]*[A-Z]\b", page.read_text("utf-8"))
    }
    assert sorted(named - known - FOREIGN_VARIABLES) == []


def paths() -> list[tuple[set[str], re.Pattern[str]]]:
    """Return the methods of each path of the API, and a pattern of what is a path like it."""
    found: dict[str, set[str]] = {}
    for method, path, _ in http.operations():
        found.setdefault(path, set()).add(method)
    return [
        (methods, re.compile(re.sub(r"\\{\w+\\}", "[^/?]+", re.escape(path)) + "/?"))
        for path, methods in found.items()
    ]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_each_request_that_a_guide_names_is_served(page: Path) -> None:
    served = paths()
    pattern = (
        r"\b(GET|POST|PUT|PATCH|DELETE) (/(?:longshore|api|buckets|results|coreauto)/[\w/{}.-]+)"
    )
    unknown = [
        f"{method} {path}"
        for method, path in re.findall(pattern, TEXTS[page])
        if not any(method in methods and known.fullmatch(path) for methods, known in served)
    ]
    assert unknown == []
