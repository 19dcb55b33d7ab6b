"""Writing and listing metadata of elements."""

from __future__ import annotations

from enum import Enum
from typing import Any

from longshore.corpus import checks
from longshore.corpus.cache import CachedElement, unsupported_cache
from longshore.corpus.mixin import WorkerMixin
from longshore.corpus.models import Element
from longshore.corpus.utils import DEFAULT_BATCH_SIZE, batch_publication, make_batches


class MetaType(Enum):
    """What a value of metadata is."""

    Text = "text"
    """Any text."""

    HTML = "html"
    """Text with marks of HTML."""

    Markdown = "markdown"
    """Text with marks of Markdown; from version 0.6 of the worker protocol on, instead of HTML."""

    Date = "date"
    """A date, YYYY-MM-DD."""

    Location = "location"
    """A place."""

    Reference = "reference"
    """An id that the element has elsewhere."""

    Numeric = "numeric"
    """A number."""

    URL = "url"
    """An address, http or https."""


class MetaDataMixin(WorkerMixin):
    """Helpers for metadata."""

    @unsupported_cache
    def create_metadata(
        self,
        element: Element | CachedElement,
        type: MetaType,  # noqa: A002 - the name of the worker protocol
        name: str,
        value: str,
        entity: str | None = None,
    ) -> str | None:
        """Write metadata onto an element.

        Args:
            element: the element.
            type: what the value is.
            name: of the metadata.
            value: text, not empty.
            entity: id of a named entity that it is about.

        Returns:
            The id of the metadata; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(element, "element", Element, CachedElement)
        checks.instance(type, "type", MetaType)
        checks.text(name, "name")
        checks.text(value, "value")
        if entity is not None:
            checks.text(entity, "entity")
        if not self.may_write("create metadata"):
            return None
        made = self.api_client.request(
            "CreateMetaData",
            id=str(element.id),
            body={
                "type": type.value,
                "name": name,
                "value": value,
                "entity_id": entity,
                "worker_run_id": self.worker_run_id,
            },
        )
        return str(made["id"])

    @unsupported_cache
    @batch_publication
    def create_metadata_bulk(
        self,
        element: Element | CachedElement,
        metadata_list: list[dict[str, Any]],
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> list[dict[str, Any]] | None:
        """Write several metadata onto an element.

        Args:
            element: the element.
            metadata_list: dictionaries with `type` (a MetaType), `name`, `value` (text or number)
                and, where there is one, `entity_id`.
            batch_size: how many one request carries. After a failed one, those before it stay.

        Returns:
            The metadata, in order; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(element, "element", Element, CachedElement)
        checks.items(metadata_list, "metadata_list")
        payload = [
            _checked(metadata, f"metadata_list[{index}]")
            for index, metadata in enumerate(metadata_list)
        ]
        if not self.may_write("create metadata"):
            return None
        made: list[dict[str, Any]] = []
        for batch in make_batches(payload, "metadata", batch_size):
            body = {"worker_run_id": self.worker_run_id, "metadata_list": batch}
            answer = self.api_client.request("CreateMetaDataBulk", id=str(element.id), body=body)
            made += answer["metadata_list"]
        return made

    def list_element_metadata(
        self, element: Element | CachedElement, load_parents: bool | None = None
    ) -> list[dict[str, Any]]:
        """List the metadata of an element, from the API.

        Args:
            element: the element.
            load_parents: also those of the elements above it.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(element, "element", Element, CachedElement)
        query = {}
        if load_parents is not None:
            checks.flag(load_parents, "load_parents")
            query["load_parents"] = load_parents
        found: list[dict[str, Any]] = self.api_client.paginate(
            "ListElementMetaData", id=str(element.id), **query
        )
        return found


def _checked(metadata: Any, where: str) -> dict[str, Any]:
    checks.mapping(metadata, where)
    kind, value = metadata.get("type"), metadata.get("value")
    checks.instance(kind, f"{where}: type", MetaType)
    checks.text(metadata.get("name"), f"{where}: name")
    checks.check(
        isinstance(value, str | int | float) and not isinstance(value, bool),
        f"{where}: value must be text or a number, not {checks.shown(value)}",
    )
    if metadata.get("entity_id") is not None:
        checks.text(metadata["entity_id"], f"{where}: entity_id")
    return {
        "type": kind.value,
        "name": metadata["name"],
        "value": value,
        "entity_id": metadata.get("entity_id"),
    }
