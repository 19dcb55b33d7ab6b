"""IIIF manifests, versions 2 and 3 of the Presentation API: each canvas is a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from longshore.corpus.formats.pages import Failure, ImageBytes, ImageService, Page
from longshore.errors import InvalidRequest

MANIFEST_BYTES: Final = 64 * 1024 * 1024
Fetch = Callable[[str], bytes]
"""Gives the bytes of an image at an address."""


def is_manifest(data: bytes) -> bool:
    """Say whether a JSON file is a manifest, not one of the many other things that JSON is."""
    try:
        found = json.loads(data)
    except ValueError:
        return False
    if not isinstance(found, dict):
        return False
    return found.get("@type") == "sc:Manifest" or found.get("type") == "Manifest"


def read(
    data: bytes, source: str, folders: tuple[str, ...], fetch: Fetch
) -> Iterator[Page | Failure]:
    """Give a page for each canvas, in a folder named by the label of the manifest.

    Args:
        data: the manifest.
        source: where it comes from.
        folders: the folders that it lies in.
        fetch: gives an image that no IIIF service has.

    Raises:
        InvalidRequest: it is no manifest, or has no canvas.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The manifest is not JSON.") from error
    if not is_manifest(data):
        raise InvalidRequest(
            "It is no manifest of the IIIF Presentation API (type Manifest). Collections are not "
            "imported; give the manifests in them."
        )
    canvases = _canvases(found)
    if not canvases:
        raise InvalidRequest("The manifest has no canvas.")
    folder = (*folders, _label(found.get("label")) or "manifest")
    for number, canvas in enumerate(canvases, 1):
        where = f"{source}, canvas {number}"
        image = _image(canvas, fetch) if isinstance(canvas, dict) else None
        if image is None:
            yield Failure(where, "The canvas has no image.")
            continue
        name = f"{number:04d} {_label(canvas.get('label'))}".strip()
        yield Page(where, name[:200], folder, image)


def _canvases(manifest: dict[str, Any]) -> list[Any]:
    if manifest.get("type") == "Manifest":
        return _list(manifest.get("items"))
    sequences = _list(manifest.get("sequences"))
    first = sequences[0] if sequences and isinstance(sequences[0], dict) else {}
    return _list(first.get("canvases"))


def _image(canvas: dict[str, Any], fetch: Fetch) -> ImageService | ImageBytes | None:
    """Return the first image that is painted on a canvas."""
    for resource in map(_chosen, _resources(canvas)):
        for service in _list(resource.get("service")):
            address = _address(service)
            if address is not None:
                return ImageService(address)
        address = _address(resource)
        if address is not None:
            name = address.rpartition("/")[2] or "image"
            return ImageBytes(name[:200], partial(fetch, address))
    return None


def _chosen(resource: dict[str, Any]) -> dict[str, Any]:
    """Return the first of several images that a viewer may choose from."""
    chosen: Any = resource
    if resource.get("@type") == "oa:Choice":
        chosen = resource.get("default")
    elif resource.get("type") == "Choice":
        chosen = next(iter(_list(resource.get("items"))), None)
    return chosen if isinstance(chosen, dict) else {}


def _address(thing: Any) -> str | None:
    found = (thing.get("id") or thing.get("@id")) if isinstance(thing, dict) else None
    return found if isinstance(found, str) else None


def _resources(canvas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for painted in _list(canvas.get("images")):
        yield from _objects(painted, "resource")
    for page in _list(canvas.get("items")):
        for annotation in _list(page.get("items") if isinstance(page, dict) else None):
            yield from _objects(annotation, "body")


def _objects(parent: Any, name: str) -> Iterator[dict[str, Any]]:
    for found in _list(parent.get(name) if isinstance(parent, dict) else None):
        if isinstance(found, dict):
            yield found


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _label(value: Any) -> str:
    """Return a label, which is text, or texts by language, in one of several forms."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list):
        return next((text for each in value if (text := _label(each))), "")
    if isinstance(value, dict):
        if "@value" in value:
            return _label(value["@value"])
        return next((text for each in value.values() if (text := _label(each))), "")
    return ""
