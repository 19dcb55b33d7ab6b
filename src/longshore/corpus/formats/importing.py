"""Bring pages into a corpus. What is there already is found again, so nothing is made twice.

A page is the same where its folder, its name and its image are; an image where its bytes or its
address are; a line where its polygon and its text are. So an import that broke off is repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from longshore.corpus.formats.pages import (
    Failure,
    ImageBytes,
    ImageService,
    Kind,
    Page,
    Zone,
    on_image,
)
from longshore.errors import Conflict, DeliveryFailed, InvalidRequest
from longshore.sdk.corpora import Remote

UPLOADS: Final = 4
"""Images that are read and sent at the same time."""
_NAME_CHARACTERS: Final = 250
_Line = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Types:
    """Slugs of the types that elements get."""

    folder: str = "folder"
    page: str = "page"
    region: str = "text_region"
    line: str = "text_line"


@dataclass(slots=True)
class Report:
    """What an import did.

    Attributes:
        pages: pages in all.
        pages_made: those that were not there before.
        folders_made: folders that were not there before.
        lines: lines in all, those without text too.
        lines_made: those that were not there before.
        lines_outside: lines with nothing inside of their image; they are left out.
        failures: what could not be imported.
    """

    pages: int = 0
    pages_made: int = 0
    folders_made: int = 0
    lines: int = 0
    lines_made: int = 0
    lines_outside: int = 0
    failures: list[Failure] = field(default_factory=list)


class Importer:
    """Brings pages into one corpus."""

    def __init__(self, remote: Remote, corpus: dict[str, Any], types: Types | None = None) -> None:
        """Import into `corpus`, as the server tells of it."""
        self._remote = remote
        self._corpus = corpus
        self._types = types or Types()
        self._folders: dict[tuple[str, ...], str | None] = {(): None}
        self._pages: dict[tuple[str, ...], dict[tuple[str, str], str]] = {}
        self.report = Report()

    def run(
        self, found: Iterable[Page | Failure], told: Callable[[Page | Failure], None]
    ) -> Report:
        """Import pages; `told` is called with each when it is done, and with what failed.

        Raises:
            LongshoreError: the server cannot be used, or not with this key. What was imported
                stays.
        """
        with ThreadPoolExecutor(UPLOADS, thread_name_prefix="upload") as pool:
            try:
                for page, image in _ahead(pool, found, self._image):
                    self._one(page, image, told)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return self.report

    def _one(
        self,
        page: Page | Failure,
        image: Future[dict[str, Any]] | None,
        told: Callable[[Page | Failure], None],
    ) -> None:
        failed = page if isinstance(page, Failure) else None
        if isinstance(page, Page) and image is not None:
            try:
                self._bring(page, image.result())
            except (InvalidRequest, Conflict, DeliveryFailed) as error:
                failed = Failure(page.source, error.message)
        if failed is None:
            self.report.pages += 1
        else:
            self.report.failures.append(failed)
        told(failed or page)

    def _image(self, page: Page) -> dict[str, Any]:
        if isinstance(page.image, ImageService):
            return self._remote.image_at(page.image.url)
        image: ImageBytes = page.image
        return self._remote.upload(_shown(image.name), image.read())

    def _bring(self, page: Page, image: dict[str, Any]) -> None:
        folder_id = self._folder(page.folders)
        known = self._known_pages(page.folders, folder_id)
        key = _shown(page.name), str(image["id"])
        size = int(image["width"]), int(image["height"])
        page_id = known.get(key)
        fresh = page_id is None
        if page_id is None:
            self._remote.ensure_type(self._corpus, self._types.page)
            page_id = self._remote.create(
                type=self._types.page,
                name=key[0],
                image=key[1],
                corpus=self._corpus["id"],
                polygon=_whole(size),
                parent=folder_id,
            )
            known[key] = page_id
            self.report.pages_made += 1
        if page.zones:
            scale = (1.0, 1.0)
            if page.size is not None:
                scale = size[0] / page.size[0], size[1] / page.size[1]
            _Zones(self, page_id, size, scale, fresh=fresh).bring(page.zones)

    def _folder(self, folders: tuple[str, ...]) -> str | None:
        if folders in self._folders:
            return self._folders[folders]
        above = self._folder(folders[:-1])
        kind, name = self._types.folder, _shown(folders[-1])
        found = next((each["id"] for each in self._in(above, kind) if each["name"] == name), None)
        if found is None:
            self._remote.ensure_type(self._corpus, kind, folder=True)
            found = self._remote.create(
                type=kind, name=name, corpus=self._corpus["id"], parent=above
            )
            self.report.folders_made += 1
        self._folders[folders] = found
        return found

    def _known_pages(
        self, folders: tuple[str, ...], folder_id: str | None
    ) -> dict[tuple[str, str], str]:
        if folders not in self._pages:
            self._pages[folders] = {
                (each["name"], each["zone"]["image"]["id"]): each["id"]
                for each in self._in(folder_id, self._types.page)
                if each["zone"]
            }
        return self._pages[folders]

    def _in(self, folder_id: str | None, kind: str) -> Iterator[dict[str, Any]]:
        if kind not in {each["slug"] for each in self._corpus["types"]}:
            return iter(())
        if folder_id is None:
            return self._remote.top(self._corpus["id"], kind)
        return self._remote.children(folder_id, kind)

    @property
    def parts(self) -> tuple[Remote, dict[str, Any], Types]:
        """What zones are made with."""
        return self._remote, self._corpus, self._types


class _Zones:
    """Brings the zones of one page."""

    def __init__(
        self,
        importer: Importer,
        page_id: str,
        size: tuple[int, int],
        scale: tuple[float, float],
        *,
        fresh: bool,
    ) -> None:
        self._remote, self._corpus, self._types = importer.parts
        self._report = importer.report
        self._page_id = page_id
        self._size = size
        self._scale = scale
        self._regions: dict[str, str] = {}
        self._lines: Counter[_Line] = Counter()
        if not fresh:
            self._find()

    def bring(self, zones: Sequence[Zone], parent_id: str | None = None) -> None:
        """Make zones on an element, and then those in them."""
        parent_id = parent_id or self._page_id
        lines = [each for each in zones if each.kind is Kind.LINE]
        # A region with nothing in it but its text is as a line, but for its type.
        blocks = [each for each in zones if each.text is not None and each not in lines]
        self._bring_texts(lines, parent_id, self._types.line)
        self._bring_texts(blocks, parent_id, self._types.region)
        regions: list[tuple[Zone, list[list[int]]]] = []
        for zone in zones:
            if zone not in lines and zone not in blocks:
                polygon = on_image(zone.polygon, self._scale, self._size)
                if polygon is None:
                    self.bring(zone.zones, parent_id)
                else:
                    regions.append((zone, polygon))
        self._make_regions(regions, parent_id)
        for zone, polygon in regions:
            self.bring(zone.zones, self._regions[str(polygon)])

    def _bring_texts(self, lines: Sequence[Zone], parent_id: str, kind: str) -> None:
        texts: list[dict[str, Any]] = []
        bare: list[dict[str, Any]] = []
        for line in lines:
            polygon = on_image(line.polygon, self._scale, self._size)
            if polygon is None:
                self._report.lines_outside += 1
                continue
            self._report.lines += 1
            key = str(polygon), line.text
            if self._lines[key] > 0:
                self._lines[key] -= 1
            elif line.text is None:
                name = _shown(line.name or "line")
                bare.append({"name": name, "type": kind, "polygon": polygon})
            else:
                text = {"polygon": polygon, "text": line.text, "confidence": line.confidence}
                texts.append({**text, "orientation": "horizontal-lr"})
        if texts or bare:
            self._remote.ensure_type(self._corpus, kind)
            self._remote.create_texts(parent_id, kind, texts)
            self._remote.create_children(parent_id, bare)
            self._report.lines_made += len(texts) + len(bare)

    def _make_regions(
        self, regions: Sequence[tuple[Zone, list[list[int]]]], parent_id: str
    ) -> None:
        polygons = {str(polygon): polygon for _, polygon in regions}
        new = {str(polygon): zone for zone, polygon in regions if str(polygon) not in self._regions}
        if not new:
            return
        self._remote.ensure_type(self._corpus, self._types.region)
        made = self._remote.create_children(
            parent_id,
            [
                {
                    "name": _shown(zone.name or "region"),
                    "type": self._types.region,
                    "polygon": polygons[key],
                }
                for key, zone in new.items()
            ],
        )
        self._regions |= dict(zip(new, made, strict=True))

    def _find(self) -> None:
        """Learn which zones the page has: an import may have broken off in the middle of it."""
        present = {each["slug"] for each in self._corpus["types"]}
        kinds = [kind for kind in (self._types.region, self._types.line) if kind in present]
        texts: dict[str, list[str | None]] = {}
        for each in self._remote.transcriptions(self._page_id) if kinds else ():
            texts.setdefault(each["element"]["id"], []).append(each["text"])
        for kind in kinds:
            for each in self._remote.children(self._page_id, kind, recursive=True):
                if not each["zone"]:
                    continue
                polygon, read = _polygon(each), texts.get(each["id"], [])
                if kind == self._types.region:
                    self._regions.setdefault(polygon, each["id"])
                elif not read:
                    read = [None]
                self._lines.update((polygon, text) for text in read)


def _ahead(
    pool: ThreadPoolExecutor,
    found: Iterable[Page | Failure],
    send: Callable[[Page], dict[str, Any]],
) -> Iterator[tuple[Page | Failure, Future[dict[str, Any]] | None]]:
    """Give pages in order, each with its image, while the images of the next ones are sent."""
    waiting: list[tuple[Page | Failure, Future[dict[str, Any]] | None]] = []
    for page in found:
        waiting.append((page, pool.submit(send, page) if isinstance(page, Page) else None))
        if len(waiting) > UPLOADS:
            yield waiting.pop(0)
    yield from waiting


def _polygon(element: dict[str, Any]) -> str:
    return str([[int(x), int(y)] for x, y in element["zone"]["polygon"]])


def _whole(size: tuple[int, int]) -> list[list[int]]:
    width, height = size
    return [[0, 0], [width, 0], [width, height], [0, height], [0, 0]]


def _shown(name: str) -> str:
    """Return a name as the server takes it: one line, and not too long."""
    text = "".join(each if each.isprintable() else " " for each in name).strip()
    return text[:_NAME_CHARACTERS] or "unnamed"
