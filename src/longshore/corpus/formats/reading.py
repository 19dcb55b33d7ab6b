"""What lies at a path: images, PDF files, ALTO, PAGE-XML, manifests, and folders of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Final
from xml.etree.ElementTree import Element

from longshore.corpus.formats import alto, iiif_manifest, lines_csv, page_xml, pdf, xml
from longshore.corpus.formats.iiif_manifest import Fetch
from longshore.corpus.formats.pages import (
    IMAGE_SUFFIXES,
    Failure,
    Page,
    image_file,
    read_file,
)
from longshore.errors import InvalidRequest, NotFound

Found = Iterator[Page | Failure]
_READ: Final = frozenset({*IMAGE_SUFFIXES, ".xml", ".pdf", ".json"})


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads pages from files.

    Attributes:
        fetch: gives an image by its address.
        lines: folder with a CSV file of text lines for images, by the image's name; None for those
            beside the images.
        dpi: pixels per inch of images that are drawn from PDF files.
    """

    fetch: Fetch
    lines: Path | None = None
    dpi: int = pdf.DPI

    def read(self, path: Path) -> Found:
        """Give the pages of a file, or of all files in a folder and in the folders in it.

        Files of other kinds in a folder are passed over.

        Raises:
            NotFound: there is nothing at the path.
            InvalidRequest: it is a single file of another kind.
            ConfigurationError: a library is not installed.
        """
        if path.is_dir():
            yield from self._folder(path, (), _described(path))
        elif not path.exists():
            raise NotFound(f"There is nothing at {str(path)!r}. Check the path.")
        elif path.suffix.lower() not in _READ:
            raise InvalidRequest(
                f"{path.name!r} is of a kind that is not imported. Give an image, a PDF file, "
                "ALTO or PAGE-XML (.xml), an IIIF manifest (.json), or a folder of them."
            )
        else:
            yield from self._file(path, (), alone=True)

    def manifest(self, data: bytes, source: str) -> Found:
        """Give the pages of an IIIF manifest that was fetched.

        Raises:
            InvalidRequest: it is none.
        """
        yield from iiif_manifest.read(data, source, (), self.fetch)

    def _folder(self, folder: Path, folders: tuple[str, ...], described: _Described) -> Found:
        entries = _entries(folder)
        for path in entries:
            if not path.is_file() or path.suffix.lower() not in _READ:
                continue
            describing = described.by_image.get(path.resolve())
            if describing is not None:
                yield from self._file(describing, folders, alone=False)
            elif path not in described.placed:
                yield from self._file(path, folders, alone=False)
        for path in entries:
            # A link could lead back to a folder above.
            if path.is_dir() and not path.is_symlink():
                yield from self._folder(path, (*folders, path.name), described)

    def _file(self, path: Path, folders: tuple[str, ...], *, alone: bool) -> Found:
        try:
            suffix = path.suffix.lower()
            if suffix == ".pdf":
                yield from pdf.read(path, folders, dpi=self.dpi)
            elif suffix == ".xml":
                yield self._xml(path, folders)
            elif suffix == ".json":
                data = read_file(path, iiif_manifest.MANIFEST_BYTES)
                if alone or iiif_manifest.is_manifest(data):
                    yield from iiif_manifest.read(data, str(path), folders, self.fetch)
            else:
                yield self._image(path, folders)
        except InvalidRequest as error:
            yield Failure(str(path), error.message)

    def _xml(self, path: Path, folders: tuple[str, ...]) -> Page:
        root = xml.parse(path)
        page: Page = _kind(root).read(path, root, folders)
        return page

    def _image(self, path: Path, folders: tuple[str, ...]) -> Page:
        page = Page(str(path), path.stem, folders, image_file(path))
        beside = (self.lines or path.parent) / f"{path.stem}.csv"
        return replace(page, zones=lines_csv.read(beside)) if beside.is_file() else page


@dataclass(frozen=True, slots=True)
class _Described:
    """Which images have a file that tells what is on them.

    Such a pair is one page, in the folder of the image.
    """

    by_image: dict[Path, Path]
    placed: frozenset[Path]


def _described(root: Path) -> _Described:
    by_image: dict[Path, Path] = {}
    for path in _xml_files(root):
        try:
            parsed = xml.parse(path)
            image = xml.image_beside(path, _kind(parsed).image_named(parsed)).resolve()
        except InvalidRequest:
            # It is told when its turn comes.
            continue
        if image.is_relative_to(root.resolve()):
            # A second file for the same image is a page of its own, with that image again.
            by_image.setdefault(image, path)
    return _Described(by_image, frozenset(by_image.values()))


def _xml_files(folder: Path) -> Iterator[Path]:
    for path in _entries(folder):
        if path.is_dir() and not path.is_symlink():
            yield from _xml_files(path)
        elif path.suffix.lower() == ".xml" and path.is_file():
            yield path


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _kind(root: Element) -> ModuleType:
    name = xml.local(root)
    kind = {page_xml.ROOT: page_xml, alto.ROOT: alto}.get(name)
    if kind is None:
        raise InvalidRequest(
            f"The file's first element is {name[:40]!r}; ALTO has alto there, and PAGE-XML PcGts."
        )
    return kind
