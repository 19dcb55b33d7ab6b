"""Pages of a corpus as an export has them: with their images, zones, texts and folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from longshore.corpus.formats.pages import Kind, Zone
from longshore.sdk.corpora import Remote


@dataclass(frozen=True, slots=True)
class Node:
    """An element on a page.

    Attributes:
        element: what the server tells of it.
        texts: its transcriptions, in the order in which they were made.
        nodes: the elements in it.
    """

    element: dict[str, Any]
    texts: tuple[dict[str, Any], ...]
    nodes: tuple[Node, ...]

    def below(self) -> Iterator[Node]:
        """Give it and all elements in it, at any depth."""
        yield self
        for node in self.nodes:
            yield from node.below()

    def zone(self) -> Zone | None:
        """Return it as a zone with its latest text, or None where it has no place on an image."""
        place = self.element["zone"]
        if not place:
            return None
        inner = tuple(zone for node in self.nodes if (zone := node.zone()))
        polygon = tuple((float(x), float(y)) for x, y in place["polygon"])
        latest = self.texts[-1] if self.texts else {"text": None, "confidence": None}
        return Zone(
            Kind.REGION if inner else Kind.LINE,
            # The first point comes again at the end, which files do not have.
            polygon[:-1] if polygon[0] == polygon[-1] else polygon,
            self.element["name"],
            latest["text"],
            latest["confidence"],
            inner,
        )


@dataclass(frozen=True, slots=True)
class ExportedPage:
    """A page of a corpus."""

    folders: tuple[str, ...]
    node: Node

    @property
    def element(self) -> dict[str, Any]:
        """What the server tells of it."""
        return self.node.element

    @property
    def image(self) -> dict[str, Any] | None:
        """The image that it lies on."""
        place = self.element["zone"]
        image: dict[str, Any] | None = place["image"] if place else None
        return image

    def zones(self) -> list[Zone]:
        """Return what is on it."""
        return [zone for node in self.node.nodes if (zone := node.zone())]


class Exporter:
    """Walks through the pages of a corpus."""

    def __init__(
        self,
        remote: Remote,
        corpus: dict[str, Any],
        *,
        page_type: str = "page",
        worker_run: str | None = None,
    ) -> None:
        """Export from `corpus`, as the server tells of it.

        Args:
            remote: the server.
            corpus: the corpus.
            page_type: slug of the type that pages have.
            worker_run: only texts of this worker run; "False" for those that people made.
        """
        self._remote = remote
        self._corpus = corpus
        self._page_type = page_type
        self._worker_run = worker_run

    def pages(self) -> Iterator[ExportedPage]:
        """Give the pages, folder by folder; one that lies in several folders comes once."""
        seen: set[str] = set()
        for folders, element in self._listed():
            if element["id"] not in seen:
                seen.add(element["id"])
                yield ExportedPage(folders, self._node(element))

    def _listed(self) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
        yield from self._in_folder(None, (), frozenset())
        # Those that lie in something that is no folder.
        for element in self._remote.elements(self._corpus["id"], self._page_type):
            yield (), element

    def _in_folder(
        self, folder_id: str | None, folders: tuple[str, ...], above: frozenset[str]
    ) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
        for element in self._in(folder_id, self._page_type):
            yield folders, element
        for kind in [each["slug"] for each in self._corpus["types"] if each["folder"]]:
            for folder in self._in(folder_id, kind):
                if folder["id"] not in above:
                    inner = (*folders, folder["name"])
                    yield from self._in_folder(folder["id"], inner, above | {folder["id"]})

    def _in(self, folder_id: str | None, kind: str) -> Iterator[dict[str, Any]]:
        if folder_id is None:
            return self._remote.top(self._corpus["id"], kind)
        return self._remote.children(folder_id, kind)

    def _node(self, element: dict[str, Any]) -> Node:
        texts: dict[str, list[dict[str, Any]]] = {}
        for text in self._remote.transcriptions(element["id"], worker_run=self._worker_run):
            texts.setdefault(text["element"]["id"], []).append(text)
        return self._filled(element, texts, {element["id"]})

    def _filled(
        self, element: dict[str, Any], texts: dict[str, list[dict[str, Any]]], seen: set[str]
    ) -> Node:
        nodes = []
        if element["has_children"]:
            for child in self._remote.children(element["id"]):
                # An element may lie in several others, and is exported once for a page.
                if child["id"] not in seen:
                    seen.add(child["id"])
                    nodes.append(self._filled(child, texts, seen))
        return Node(element, tuple(texts.get(element["id"], ())), tuple(nodes))
