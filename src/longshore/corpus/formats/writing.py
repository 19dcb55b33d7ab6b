"""Exports as files: PAGE-XML and ALTO with their images, JSONL, CSV, and a COCO archive."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Final

from longshore.corpus.formats import alto, page_xml
from longshore.corpus.formats.exporting import ExportedPage, Node
from longshore.errors import InvalidRequest

Download = Callable[[str], bytes]
"""Gives an image by its address."""
Told = Callable[[ExportedPage], None]
CSV_COLUMNS: Final = (
    "folders", "page", "page_id", "element_id", "type", "name", "text", "confidence",
    "orientation", "worker_run_id", "polygon", "image_url",
)  # fmt: skip
_UNSAFE: Final = re.compile(r"[^\w.,;()+=@ -]+")
_STEM_CHARACTERS: Final = 120


class Form(StrEnum):
    """What an export can be."""

    page_xml = "page-xml"
    alto = "alto"
    jsonl = "jsonl"
    csv = "csv"
    coco = "coco"


def form_of(text: str) -> Form:
    """Return the form of that name.

    Raises:
        InvalidRequest: there is none.
    """
    try:
        return Form(text)
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is no form of an export. Give one of {', '.join(Form)}."
        ) from None


def write_xml(
    pages: Iterable[ExportedPage],
    target: Path,
    form: Form,
    *,
    download: Download | None,
    creator: str,
    created: str,
    told: Told,
) -> int:
    """Write a file for each page with an image, in folders as in the corpus; return how many.

    Args:
        pages: what is exported.
        target: a folder that is empty or not there.
        form: PAGE-XML or ALTO.
        download: gives the images, which are written beside the files; None leaves them out.
        creator: what writes them, such as "Longshore 1.0".
        created: the time of the export in ISO 8601.
        told: called with each page that is written.

    Raises:
        InvalidRequest: the folder holds something.
    """
    _refuse_full(target)
    target.mkdir(parents=True, exist_ok=True)
    names = _Names()
    count = 0
    for page in pages:
        image = page.image
        if image is None:
            continue
        folder = target.joinpath(*map(safe, page.folders))
        folder.mkdir(parents=True, exist_ok=True)
        suffix, address = _image_file(image)
        stem = names.free(folder, safe(page.element["name"]))
        size = int(image["width"]), int(image["height"])
        if form is Form.alto:
            content = alto.write(f"{stem}{suffix}", size, page.zones())
        else:
            content = page_xml.write(
                f"{stem}{suffix}", size, page.zones(), creator=creator, created=created
            )
        if download is not None:
            (folder / f"{stem}{suffix}").write_bytes(download(address))
        # Last: a page whose file is there is whole.
        (folder / f"{stem}.xml").write_bytes(content)
        count += 1
        told(page)
    return count


def write_jsonl(pages: Iterable[ExportedPage], target: Path, *, told: Told) -> int:
    """Write a line for each element with all that is known of it; return how many pages."""
    count = 0
    with _replaced(target) as file:
        for page in pages:
            for node, above in _with_parents(page.node, None):
                line = json.dumps(_row(page, node, above), ensure_ascii=False)
                file.write(f"{line}\n".encode())
            count += 1
            told(page)
    return count


def write_csv(pages: Iterable[ExportedPage], target: Path, *, told: Told) -> int:
    """Write a row for each text, and one for each element without; return how many pages."""
    count = 0
    with _replaced(target) as binary:
        file = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        writer = csv.DictWriter(file, CSV_COLUMNS)
        writer.writeheader()
        for page in pages:
            for node in page.node.below():
                writer.writerows(_csv_rows(page, node))
            count += 1
            told(page)
        file.flush()
        file.detach()
    return count


def write_coco(
    pages: Iterable[ExportedPage], target: Path, *, download: Download | None, told: Told
) -> int:
    """Write a ZIP archive with annotations.json, as COCO has them, and images/; return how many.

    Each zone on a page is an annotation of the category of its type, with its latest text in
    `text`. Images come once, however many pages lie on them.
    """
    images: dict[str, dict[str, Any]] = {}
    categories: dict[str, int] = {}
    annotations: list[dict[str, Any]] = []
    names = _Names()
    count = 0
    with _replaced(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for page in pages:
            image = page.image
            if image is None:
                continue
            if image["id"] not in images:
                images[image["id"]] = _coco_image(page, image, len(images) + 1, names)
                if download is not None:
                    name = f"images/{images[image['id']]['file_name']}"
                    archive.writestr(name, download(_image_file(image)[1]))
            image_number = int(images[image["id"]]["id"])
            for node in page.node.below():
                if node is not page.node and node.element["zone"]:
                    category = categories.setdefault(node.element["type"], len(categories) + 1)
                    number = len(annotations) + 1
                    annotations.append(_coco_annotation(node, number, image_number, category))
            count += 1
            told(page)
        described = {
            "info": {"description": "Export of a corpus", "contributor": "Longshore"},
            "images": list(images.values()),
            "categories": [{"id": number, "name": name} for name, number in categories.items()],
            "annotations": annotations,
        }
        archive.writestr(
            "annotations.json", json.dumps(described, ensure_ascii=False), zipfile.ZIP_DEFLATED
        )
    return count


def safe(name: str) -> str:
    """Return a name that can be one of a file everywhere, and leads to no other folder."""
    text = _UNSAFE.sub("_", name).strip(" .")
    return text[:_STEM_CHARACTERS] or "_"


class _Names:
    """Names of files, each of them once in its folder."""

    def __init__(self) -> None:
        self._taken: set[tuple[Path, str]] = set()

    def free(self, folder: Path, stem: str) -> str:
        """Return a name that nothing in the folder has, whatever its case."""
        name, number = stem, 1
        while (folder, name.casefold()) in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add((folder, name.casefold()))
        return name


def _row(page: ExportedPage, node: Node, above: Node | None) -> dict[str, Any]:
    element = node.element
    place = element["zone"]
    return {
        "id": element["id"],
        "type": element["type"],
        "name": element["name"],
        "folders": list(page.folders),
        "page_id": page.element["id"],
        "parent_id": above.element["id"] if above else None,
        "image": _image_row(place["image"]) if place else None,
        "polygon": place["polygon"] if place else None,
        "rotation_angle": element["rotation_angle"],
        "mirrored": element["mirrored"],
        "confidence": element.get("confidence"),
        "transcriptions": [
            {name: text[name] for name in ("text", "confidence", "orientation", "worker_run_id")}
            for text in node.texts
        ],
        "classes": element.get("classes") or [],
        "metadata": element.get("metadata") or [],
    }


def _image_row(image: dict[str, Any]) -> dict[str, Any]:
    return {name: image[name] for name in ("id", "url", "width", "height")}


def _csv_rows(page: ExportedPage, node: Node) -> Iterator[dict[str, Any]]:
    element = node.element
    place = element["zone"]
    same = {
        "folders": "/".join(page.folders),
        "page": page.element["name"],
        "page_id": page.element["id"],
        "element_id": element["id"],
        "type": element["type"],
        "name": element["name"],
        "polygon": " ".join(f"{x},{y}" for x, y in place["polygon"]) if place else "",
        "image_url": place["image"]["url"] if place else "",
    }
    for text in node.texts or ({},):
        own = ("text", "confidence", "orientation", "worker_run_id")
        yield {**same, **{name: text.get(name) for name in own}}


def _coco_image(
    page: ExportedPage, image: dict[str, Any], number: int, names: _Names
) -> dict[str, Any]:
    stem = safe("-".join((*page.folders, page.element["name"])))
    return {
        "id": number,
        "file_name": f"{names.free(Path(), stem)}{_image_file(image)[0]}",
        "width": image["width"],
        "height": image["height"],
        "longshore_id": image["id"],
    }


def _coco_annotation(node: Node, number: int, image: int, category: int) -> dict[str, Any]:
    polygon = node.element["zone"]["polygon"]
    corners = polygon[:-1] if polygon[0] == polygon[-1] else polygon
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    width, height = max(x for x, _ in corners) - left, max(y for _, y in corners) - top
    turned = zip(corners, [*corners[1:], corners[0]], strict=True)
    area = abs(sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in turned)) / 2
    latest = node.texts[-1] if node.texts else {}
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [left, top, width, height],
        "segmentation": [[place for corner in corners for place in corner]],
        "area": area,
        "iscrowd": 0,
        "text": latest.get("text"),
        "confidence": latest.get("confidence"),
        "longshore_id": node.element["id"],
    }


def _image_file(image: dict[str, Any]) -> tuple[str, str]:
    """Return the ending of an image's file, and its address: JPEG, or PNG to lose nothing."""
    server = image["server"]
    size = "max" if server.get("version") == 3 else "full"
    # Images elsewhere have no known format, and every service has JPEG.
    suffix = ".jpg" if image.get("mode") in ("jpg", "", None) else ".png"
    return suffix, f"{image['url']}/full/{size}/0/default{suffix}"


def _with_parents(node: Node, above: Node | None) -> Iterator[tuple[Node, Node | None]]:
    yield node, above
    for inner in node.nodes:
        yield from _with_parents(inner, node)


def _refuse_full(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidRequest(
            f"{str(target)!r} is there already, and not an empty folder. Choose another name."
        )


@contextmanager
def _replaced(target: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `target` when all of it is written."""
    if target.exists():
        raise InvalidRequest(f"{str(target)!r} is there already. Choose another name.")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
