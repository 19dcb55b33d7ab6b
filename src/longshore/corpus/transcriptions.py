"""Writing and listing transcriptions."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, TypedDict, Unpack

from longshore.corpus import checks
from longshore.corpus.cache import (
    CachedElement,
    CachedTranscription,
    recursive_transcriptions,
)
from longshore.corpus.element_lists import checked, from_sources
from longshore.corpus.mixin import WorkerMixin, cached_image_id, logger
from longshore.corpus.models import Element
from longshore.corpus.utils import DEFAULT_BATCH_SIZE, batch_publication, make_batches


class TextOrientation(Enum):
    """Directions in which a text is read: along a line first, then from line to line."""

    HorizontalLeftToRight = "horizontal-lr"
    """Lines from left to right. This is the default."""

    HorizontalRightToLeft = "horizontal-rl"
    """Lines from right to left."""

    VerticalRightToLeft = "vertical-rl"
    """Lines from top to bottom, the first one at the right."""

    VerticalLeftToRight = "vertical-lr"
    """Lines from top to bottom, the first one at the left."""


class TranscriptionFilters(TypedDict, total=False):
    """Filters of a list of transcriptions; sources are an id, or False for those made by hand."""

    element_type: str | None
    recursive: bool | None
    worker_version: str | bool | None
    worker_run: str | bool | None


class TranscriptionMixin(WorkerMixin):
    """Helpers for transcriptions."""

    def create_transcription(
        self,
        element: Element | CachedElement,
        text: str,
        confidence: float,
        orientation: TextOrientation = TextOrientation.HorizontalLeftToRight,
    ) -> dict[str, Any] | None:
        """Write a text onto an element.

        Args:
            element: the element.
            text: not empty.
            confidence: from 0.0 to 1.0.
            orientation: how the text is read.

        Returns:
            The transcription; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(element, "element", Element, CachedElement)
        checks.text(text, "text")
        checks.instance(orientation, "orientation", TextOrientation)
        checks.confidence(confidence)
        if not self.may_write("create transcription"):
            return None
        made: dict[str, Any] = self.api_client.request(
            "CreateTranscription",
            id=str(element.id),
            body={
                "text": text,
                "worker_run_id": self.worker_run_id,
                "confidence": confidence,
                "orientation": orientation.value,
            },
        )
        self._keep_transcriptions(
            lambda: [{**made, "element_id": element.id}], "created transcription"
        )
        return made

    @batch_publication
    def create_transcriptions(
        self, transcriptions: list[dict[str, Any]], batch_size: int = DEFAULT_BATCH_SIZE
    ) -> list[dict[str, Any]] | None:
        """Write texts onto elements that exist.

        Args:
            transcriptions: dictionaries with `element_id`, `text`, `confidence` and, where it is
                not the default, `orientation` (a TextOrientation).
            batch_size: how many one request carries. After a failed one, those before it stay.

        Returns:
            The transcriptions, in order; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.items(transcriptions, "transcriptions")
        payload = []
        for index, transcription in enumerate(transcriptions):
            where = f"transcriptions[{index}]"
            payload.append(_checked_text(transcription, where))
            checks.text(transcription.get("element_id"), f"{where}: element_id")
        if not self.may_write("create transcriptions"):
            return None
        made: list[dict[str, Any]] = []
        for batch in make_batches(payload, "transcription", batch_size):
            body = {"worker_run_id": self.worker_run_id, "transcriptions": batch}
            made += self.api_client.request("CreateTranscriptions", body=body)["transcriptions"]
        self._keep_transcriptions(lambda: made, "created transcriptions")
        return made

    @batch_publication
    def create_element_transcriptions(
        self,
        element: Element | CachedElement,
        sub_element_type: str,
        transcriptions: list[dict[str, Any]],
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> list[dict[str, Any]] | None:
        """Make children of an element, each with a text.

        Where the element has a child of this type and polygon, the text is written onto that.

        Args:
            element: has an image.
            sub_element_type: slug of the children's type.
            transcriptions: dictionaries with `polygon` (at least three points), `text`,
                `confidence` and, where there are any, `orientation` (a TextOrientation) and
                `element_confidence`.
            batch_size: how many one request carries. After a failed one, those before it stay.

        Returns:
            For each text, in order, its `id`, the `element_id` of its child, and whether the child
            was `created`; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(element, "element", Element, CachedElement)
        checks.text(sub_element_type, "sub_element_type")
        checks.items(transcriptions, "transcriptions")
        payload = []
        for index, transcription in enumerate(transcriptions):
            where = f"transcriptions[{index}]"
            payload.append(_checked_text(transcription, where))
            checks.polygon(transcription.get("polygon"), f"{where}: polygon")
            score = transcription.get("element_confidence")
            checks.confidence(score, f"{where}: element_confidence", optional=True)
        if not self.may_write("create transcriptions"):
            return None
        made: list[dict[str, Any]] = []
        for batch in make_batches(payload, "transcription", batch_size):
            body = {
                "element_type": sub_element_type,
                "worker_run_id": self.worker_run_id,
                "transcriptions": batch,
                "return_elements": True,
            }
            made += self.api_client.request(
                "CreateElementTranscriptions", id=str(element.id), body=body
            )
        new = sum(bool(annotation["created"]) for annotation in made)
        logger.debug("%d children with type %s were created", new, sub_element_type)
        self._keep_children(element, sub_element_type, payload, made)
        return made

    def list_transcriptions(
        self, element: Element | CachedElement, **filters: Unpack[TranscriptionFilters]
    ) -> Iterable[dict[str, Any]] | Iterable[CachedTranscription]:
        """List the transcriptions of an element, with `recursive=True` of all that is below it.

        Args:
            element: the element.
            filters: see `TranscriptionFilters`.

        Returns:
            Transcriptions as the API gives them, or rows of the cache; both have a length.

        Raises:
            AssertionError: the element is none, or a filter has a value that it cannot have.
            TypeError: there is no such filter.
        """
        checks.instance(element, "element", Element, CachedElement)
        query = checked(dict(filters), TranscriptionFilters)
        if not self.use_cache:
            found: Iterable[dict[str, Any]] = self.api_client.paginate(
                "ListTranscriptions", id=str(element.id), **query
            )
            return found
        kind = query.get("element_type")
        if query.get("recursive"):
            select = recursive_transcriptions(element.id, kind)
        else:
            select = CachedTranscription.select().where(
                CachedTranscription.element_id == element.id, not kind or kind == element.type
            )
        return from_sources(
            select, query, CachedTranscription.worker_version_id, CachedTranscription.worker_run_id
        )

    def _keep_transcriptions(self, made: Any, what: str) -> None:
        def rows() -> list[dict[str, Any]]:
            return [
                {
                    **{name: one[name] for name in ("id", "element_id", "text")},
                    **{name: one[name] for name in ("confidence", "orientation")},
                    "worker_run_id": self.worker_run_id,
                }
                for one in made()
            ]

        self.keep_in_cache(CachedTranscription, rows, what)

    def _keep_children(
        self,
        element: Element | CachedElement,
        sub_element_type: str,
        payload: list[dict[str, Any]],
        made: list[dict[str, Any]],
    ) -> None:
        """Keep the children that the cache does not know yet, and then their texts."""
        if not self.use_cache:
            return
        pairs = list(zip(payload, made, strict=True))

        def children() -> list[dict[str, Any]]:
            image_id = cached_image_id(element)
            new: dict[str, dict[str, Any]] = {}
            for sent, one in pairs:
                child_id = one["element_id"]
                if CachedElement.get_or_none(CachedElement.id == child_id) is None:
                    new.setdefault(child_id, sent)
            return [
                {
                    "id": child_id,
                    "parent_id": element.id,
                    "type": sub_element_type,
                    "image_id": image_id,
                    "polygon": sent["polygon"],
                    "worker_run_id": self.worker_run_id,
                    "confidence": sent.get("element_confidence"),
                }
                for child_id, sent in new.items()
            ]

        self.keep_in_cache(CachedElement, children, "created elements")
        self._keep_transcriptions(
            lambda: [{**sent, **one} for sent, one in pairs], "created transcriptions"
        )


def _checked_text(transcription: Any, where: str) -> dict[str, Any]:
    """Check what all transcriptions have, and return a copy that can be sent."""
    checks.mapping(transcription, where)
    checks.text(transcription.get("text"), f"{where}: text")
    checks.confidence(transcription.get("confidence"), f"{where}: confidence")
    orientation = transcription.get("orientation", TextOrientation.HorizontalLeftToRight)
    checks.instance(orientation, f"{where}: orientation", TextOrientation)
    return {**transcription, "orientation": orientation.value}
