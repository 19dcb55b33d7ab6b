"""Style sheet and scripts: files of the package, kept by browsers until their content changes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from longshore.errors import NotFound

PREFIX: Final = "/ui/assets"
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FILES: Final = (
    "style.css", "pages.css", "dashboard.js", "charts.js", "icon.svg",
    "vendor/htmx.min.js", "vendor/idiomorph-ext.min.js", "vendor/uPlot.iife.min.js",
    "vendor/uPlot.min.css", "review.js",
)  # fmt: skip
router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    kind: str
    checksum: str


def address(name: str) -> str:
    """Return where a browser finds a file; another content has another address."""
    return f"{PREFIX}/{_assets()[name].checksum}/{name}"


@router.get(f"{PREFIX}/{{checksum}}/{{name:path}}")
async def get_asset(checksum: str, name: str) -> Response:
    """Give a file."""
    asset = _assets().get(name)
    if asset is None or asset.checksum != checksum:
        raise NotFound(f"There is no file {name[:80]!r} of that content. Load the page again.")
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(asset.content, 200, headers, asset.kind)


@cache
def _assets() -> dict[str, _Asset]:
    root = files("longshore.dashboard") / "static"
    found = {}
    for name in _FILES:
        content = root.joinpath(name).read_bytes()
        kind = _KINDS[name[name.rindex(".") :]]
        found[name] = _Asset(content, kind, hashlib.sha256(content).hexdigest()[:16])
    return found
