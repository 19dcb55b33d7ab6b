"""Making, linking, changing and listing elements, and the arguments that choose elements."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from longshore.corpus import checks
from longshore.corpus.cache import CachedElement, CachedImage, unsupported_cache
from longshore.corpus.element_lists import ElementListMixin
from longshore.corpus.element_types import (
    ElementType,
    ElementTypeMixin,
    MissingElementType,
    MissingTypeError,
)
from longshore.corpus.mixin import cached_image_id, logger
from longshore.corpus.models import Element
from longshore.corpus.polygons import PointLists
from longshore.corpus.utils import DEFAULT_BATCH_SIZE, batch_publication, make_batches
from longshore.settings import task_variable

__all__ = ["ElementMixin", "ElementType", "MissingElementType", "MissingTypeError"]

_CHANGEABLE: Final = frozenset(
    {"type", "name", "polygon", "confidence", "rotation_angle", "mirrored", "image"}
)


class ElementMixin(ElementTypeMixin, ElementListMixin):
    """Helpers for elements."""

    def add_arguments(self) -> None:
        """Declare the arguments that choose elements."""
        self.parser.add_argument(
            "--elements-list",
            help='File with a JSON list of the elements to process: [{"id": ...}, ...]',
            type=open,
            default=task_variable("TASK_ELEMENTS"),
        )
        self.parser.add_argument(
            "--element", help="Ids of elements to process", type=str, nargs="+"
        )
        super().add_arguments()

    def retrieve_element(self, element_id: str) -> dict[str, Any]:
        """Return an element as the API gives it.

        Raises:
            AssertionError: the id is no text.
        """
        checks.text(element_id, "element_id")
        element: dict[str, Any] = self.api_client.request("RetrieveElement", id=element_id)
        return element

    @unsupported_cache
    def create_sub_element(
        self,
        element: Element,
        type: str,  # noqa: A002 - the name of the worker protocol
        name: str,
        polygon: PointLists | None = None,
        confidence: float | None = None,
        image: str | None = None,
        slim_output: bool = True,
    ) -> Any:
        """Make a child of an element.

        Args:
            element: the parent; its image is the child's, unless `image` names another.
            type: slug of the child's type.
            name: of the child.
            polygon: of the child, at least three points; None for a child without a zone.
            confidence: from 0.0 to 1.0.
            image: id of an image.
            slim_output: return only the id.

        Returns:
            The id of the child, or with `slim_output=False` the child; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
            ValueError: `image` is no UUID.
        """
        checks.instance(element, "element", Element)
        checks.text(type, "type")
        checks.text(name, "name")
        if polygon is not None:
            checks.polygon(polygon)
        checks.confidence(confidence, optional=True)
        if image is not None:
            checks.text(image, "image")
            checks.uuid(image, "image")
        checks.check(
            not polygon or image is not None or element.get("zone"),
            "a child with a polygon needs an image, or a parent that has one",
        )
        checks.flag(slim_output, "slim_output")
        if not self.may_write("create element"):
            return None
        corpus = element.get("corpus")
        child = self.api_client.request(
            "CreateElement",
            body={
                "type": type,
                "name": name,
                "image": image,
                "corpus": corpus["id"] if corpus else self.corpus_id,
                "polygon": polygon,
                "parent": str(element.id),
                "worker_run_id": self.worker_run_id,
                "confidence": confidence,
            },
        )
        return child["id"] if slim_output else child

    @batch_publication
    def create_elements(
        self,
        parent: Element | CachedElement,
        elements: list[dict[str, Any]],
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> list[dict[str, str]] | None:
        """Make children of an element, on its image.

        Args:
            parent: has an image.
            elements: dictionaries with `name`, `type` (slug), `polygon` (at least three points)
                and, where there is one, `confidence`.
            batch_size: how many one request carries. After a failed one, those before it stay.

        Returns:
            A dictionary with the `id` of each child, in order; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
            TypeError: the parent is no element.
        """
        _check_parent(parent)
        checks.items(elements, "elements")
        for index, element in enumerate(elements):
            where = f"elements[{index}]"
            checks.mapping(element, where)
            checks.text(element.get("name"), f"{where}: name")
            checks.text(element.get("type"), f"{where}: type")
            checks.polygon(element.get("polygon"), f"{where}: polygon")
            checks.confidence(element.get("confidence"), f"{where}: confidence", optional=True)
        if not self.may_write("create elements"):
            return None
        made: list[dict[str, str]] = []
        for batch in make_batches(elements, "element", batch_size):
            body = {"worker_run_id": self.worker_run_id, "elements": batch}
            made += self.api_client.request("CreateElements", id=str(parent.id), body=body)
        self.keep_in_cache(
            CachedElement, lambda: self._element_rows(parent, elements, made), "created elements"
        )
        return made

    @unsupported_cache
    def create_element_parent(self, parent: Element, child: Element) -> dict[str, str] | None:
        """Put an element below another one, too.

        Returns:
            The answer of the API; None in read-only mode.
        """
        checks.instance(parent, "parent", Element)
        checks.instance(child, "child", Element)
        if not self.may_write("link elements"):
            return None
        link: dict[str, str] = self.api_client.request(
            "CreateElementParent", parent=str(parent.id), child=str(child.id)
        )
        return link

    @unsupported_cache
    @batch_publication
    def create_element_children(
        self, parent: Element, children: list[Element], batch_size: int = DEFAULT_BATCH_SIZE
    ) -> list[str] | None:
        """Put several elements below another one, too.

        Returns:
            The ids of the children; None in read-only mode.
        """
        checks.instance(parent, "parent", Element)
        checks.items(children, "children")
        for index, child in enumerate(children):
            checks.instance(child, f"children[{index}]", Element)
        if not self.may_write("link elements"):
            return None
        linked: list[str] = []
        for batch in make_batches(children, "child", batch_size):
            body = {"children": [str(child.id) for child in batch]}
            answer = self.api_client.request("CreateElementChildren", id=str(parent.id), body=body)
            linked += answer["children"]
        return linked

    def partial_update_element(
        self, element: Element | CachedElement, **kwargs: Any
    ) -> dict[str, Any] | None:
        """Change an element.

        Args:
            element: the element.
            kwargs: any of `type` (slug), `name`, `polygon`, `confidence`, `rotation_angle`
                (degrees), `mirrored`, and `image` (a UUID).

        Returns:
            The element as it is now; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong, or unknown.
        """
        checks.instance(element, "element", Element, CachedElement)
        _check_change(kwargs)
        if "image" in kwargs:
            kwargs["image"] = str(kwargs["image"])
        if not self.may_write("update element"):
            return None
        updated: dict[str, Any] = self.api_client.request(
            "PartialUpdateElement", id=str(element.id), body=kwargs
        )
        if self.use_cache:
            self._update_cached_element(element, kwargs)
        return updated

    def _element_rows(
        self,
        parent: Element | CachedElement,
        elements: list[dict[str, Any]],
        made: list[dict[str, str]],
    ) -> list[dict[str, Any]]:
        image_id = cached_image_id(parent)
        return [
            {
                "id": answer["id"],
                "parent_id": parent.id,
                "type": element["type"],
                "image_id": image_id,
                "polygon": element["polygon"],
                "worker_run_id": self.worker_run_id,
                "confidence": element.get("confidence"),
            }
            for element, answer in zip(elements, made, strict=True)
        ]

    def _update_cached_element(
        self, element: Element | CachedElement, changes: dict[str, Any]
    ) -> None:
        """Change the cache's row; it has no names, and an image must be known to it."""
        kept = {name: value for name, value in changes.items() if name not in {"name", "image"}}
        if "image" in changes:
            if CachedImage.get_or_none(CachedImage.id == changes["image"]) is None:
                logger.warning("Image %s is not in the cache", changes["image"])
            else:
                kept["image_id"] = changes["image"]
        if kept:
            CachedElement.update(**kept).where(CachedElement.id == element.id).execute()


def _check_parent(parent: Element | CachedElement) -> None:
    if isinstance(parent, Element):
        checks.check(parent.get("zone"), "the parent of elements with polygons must have a zone")
    elif isinstance(parent, CachedElement):
        checks.check(parent.image_id, "the parent of elements with polygons must have an image")
    else:
        raise TypeError(
            f"parent must be an Element or a CachedElement, not {type(parent).__name__}"
        )


def _check_change(changes: dict[str, Any]) -> None:
    unknown = sorted(changes.keys() - _CHANGEABLE)
    checks.check(not unknown, f"an element has no {', '.join(unknown)} that can be changed")
    for name in ("type", "name"):
        if name in changes:
            checks.text(changes[name], name)
    if "polygon" in changes:
        checks.polygon(changes["polygon"])
    if "confidence" in changes:
        checks.confidence(changes["confidence"], optional=True)
    if "rotation_angle" in changes:
        checks.whole(changes["rotation_angle"], "rotation_angle", least=0)
    if "mirrored" in changes:
        checks.flag(changes["mirrored"], "mirrored")
    if "image" in changes:
        checks.instance(changes["image"], "image", UUID)
