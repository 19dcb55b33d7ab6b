"""The calls of an import and an export, as a client of the server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from longshore.errors import Conflict, InvalidRequest, NotFound
from longshore.sdk._calls import NATIVE, Call, creating, segment
from longshore.sdk._connection import find_connection
from longshore.sdk._sources import source_of
from longshore.sdk._sync.transport import Transport
from longshore.sdk.web import fetch

API: Final = "/api/v1"
BULK: Final = 500
"""Elements and texts in one call, and rows of a page."""
_WHOLE: Final = {
    "with_zone": True, "with_classes": True, "with_metadata": True, "with_has_children": True,
}  # fmt: skip
_TIMEOUT_S: Final = 120.0
_RETRIES: Final = 4


class Remote:
    """A server with corpora."""

    def __init__(self, transport: Transport) -> None:
        """Use a connection; it is closed together with this."""
        self._transport = transport

    @classmethod
    def open(cls, url: str | None = None) -> Self:
        """Return the server that is named, or the one that is found.

        Raises:
            ConfigurationError: none is found, or there is no key for it.
        """
        return cls(
            Transport(
                find_connection(url),
                context=None,
                timeout_s=_TIMEOUT_S,
                retries=_RETRIES,
                transport=None,
            )
        )

    def __enter__(self) -> Self:
        """Return the server itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._transport.close()

    def corpora(self) -> list[dict[str, Any]]:
        """Return all corpora."""
        return list(self._rows("/corpus/"))

    def corpus(self, named: str) -> dict[str, Any]:
        """Return the corpus of that name or id.

        Raises:
            NotFound: there is none.
        """
        for corpus in self.corpora():
            if named in (corpus["name"], corpus["id"]):
                found: dict[str, Any] = self._get(f"/corpus/{segment(corpus['id'])}/")
                return found
        raise NotFound(
            f"There is no corpus {named!r}. `longshore corpus list` shows them; `longshore corpus "
            "create` makes one."
        )

    def create_corpus(self, name: str, description: str = "") -> dict[str, Any]:
        """Make a corpus.

        Raises:
            InvalidRequest: there is one of that name, or the name cannot be used.
        """
        made: dict[str, Any] = self._post("/corpus/", {"name": name, "description": description})
        return made

    def ensure_type(self, corpus: dict[str, Any], slug: str, *, folder: bool = False) -> None:
        """Make a type of elements unless the corpus has it."""
        if slug in {each["slug"] for each in corpus["types"]}:
            return
        words = slug.replace("_", " ").replace("-", " ")
        body = {
            "slug": slug,
            "display_name": words[:1].upper() + words[1:],
            "folder": folder,
            "corpus": corpus["id"],
        }
        try:
            self._post("/elements/type/", body)
        except (InvalidRequest, Conflict):
            # Somebody else may have made it meanwhile.
            fresh = self._get(f"/corpus/{segment(corpus['id'])}/")
            if slug not in {each["slug"] for each in fresh["types"]}:
                raise
        corpus["types"].append({"slug": slug, "folder": folder})

    def upload(self, name: str, data: bytes) -> dict[str, Any]:
        """Take an image in; the same bytes again are the same image."""
        call = Call(
            "POST",
            f"{NATIVE}/corpus/images",
            query={"name": name},
            content=source_of(data, name).whole(),
            repeatable=True,
        )
        found: dict[str, Any] = self._transport.fetch_json(call)
        return found

    def image_at(self, url: str) -> dict[str, Any]:
        """Make an image of one that an IIIF service has; the same address is the same image."""
        found: dict[str, Any] = self._post("/image/iiif/url/", {"url": url})
        return found

    def top(self, corpus_id: str, kind: str) -> Iterator[dict[str, Any]]:
        """Give the elements of a type that lie in no other, with their zones."""
        return self._rows(
            f"/corpus/{segment(corpus_id)}/elements/", type=kind, top_level=True, **_WHOLE
        )

    def elements(self, corpus_id: str, kind: str) -> Iterator[dict[str, Any]]:
        """Give all elements of a type, with their zones."""
        return self._rows(f"/corpus/{segment(corpus_id)}/elements/", type=kind, **_WHOLE)

    def count(self, corpus_id: str, kind: str) -> int:
        """Return how many elements of a type there are."""
        query: dict[str, str | int] = {"type": kind, "page_size": 1}
        path = f"{API}/corpus/{segment(corpus_id)}/elements/"
        return int(self._transport.fetch_json(Call("GET", path, query=query))["count"])

    def children(
        self, element_id: str, kind: str | None = None, *, recursive: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Give the elements in an element, with their zones; with `recursive` at any depth."""
        return self._rows(
            f"/elements/{segment(element_id)}/children/",
            type=kind,
            recursive=recursive or None,
            **_WHOLE,
        )

    def transcriptions(
        self, element_id: str, *, worker_run: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Give the texts of an element and of all in it; only those of a worker run if given."""
        path = f"/element/{segment(element_id)}/transcriptions/"
        return self._rows(path, recursive=True, worker_run=worker_run)

    def create(self, **values: Any) -> str:
        """Make an element and return its id."""
        given = {name: value for name, value in values.items() if value is not None}
        return str(self._post("/elements/create/", given)["id"])

    def create_children(self, element_id: str, elements: Sequence[dict[str, Any]]) -> list[str]:
        """Make zones on an element, in bulk calls; return their ids in order."""
        made: list[str] = []
        path = f"/element/{segment(element_id)}/children/bulk/"
        for start in range(0, len(elements), BULK):
            body = {"elements": list(elements[start : start + BULK])}
            made += [each["id"] for each in self._post(path, body)]
        return made

    def create_texts(
        self, element_id: str, kind: str, transcriptions: Sequence[dict[str, Any]]
    ) -> None:
        """Make zones with texts on an element, in bulk calls."""
        path = f"/element/{segment(element_id)}/transcriptions/bulk/"
        for start in range(0, len(transcriptions), BULK):
            texts = list(transcriptions[start : start + BULK])
            self._post(path, {"element_type": kind, "transcriptions": texts})

    def download(self, url: str) -> bytes:
        """Return an image of this server by its address, or one elsewhere."""
        ours = url.partition("/iiif/")
        if url.startswith(f"{self._transport.url}/iiif/"):
            return self._transport.send(Call("GET", f"/iiif/{ours[2]}")).content
        return fetch(url)

    def _get(self, path: str) -> Any:
        return self._transport.fetch_json(Call("GET", f"{API}{path}"))

    def _post(self, path: str, body: Any) -> Any:
        return self._transport.fetch_json(creating(f"{API}{path}", body))

    def _rows(self, path: str, **query: str | bool | None) -> Iterator[dict[str, Any]]:
        number = 1
        while True:
            wanted = {**query, "page": number, "page_size": BULK}
            page = self._transport.fetch_json(Call("GET", f"{API}{path}", query=wanted))
            # Some lists are sent whole.
            yield from page if isinstance(page, list) else page["results"]
            if isinstance(page, list) or page["next"] is None:
                return
            number += 1
