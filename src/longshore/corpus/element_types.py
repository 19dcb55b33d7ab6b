"""Types of elements in the worker's corpus: read once, made where they are missing."""

from __future__ import annotations

from typing import Any, NamedTuple

from longshore.corpus import checks
from longshore.corpus.cache import unsupported_cache
from longshore.corpus.client import ErrorResponse
from longshore.corpus.mixin import WorkerMixin, logger
from longshore.corpus.utils import pluralize


class ElementType(NamedTuple):
    """A type of elements: the name people see, the slug programs use, and whether it is a folder."""

    name: str
    slug: str
    is_folder: bool


class MissingTypeError(Exception):
    """The corpus does not have a type of elements that the worker needs."""


MissingElementType = MissingTypeError
"""The name of MissingTypeError from version 0.6 of the worker protocol on."""


class ElementTypeMixin(WorkerMixin):
    """Helpers for types of elements; `self.corpus_types` has those of the corpus, by slug."""

    def list_corpus_types(self) -> None:
        """Read the types of the corpus into `self.corpus_types`."""
        corpus: dict[str, Any] = self.api_client.request("RetrieveCorpus", id=self.corpus_id)
        self.corpus_types = {found["slug"]: found for found in corpus["types"]}
        count = len(self.corpus_types)
        logger.info(
            "Loaded %d element %s in corpus (%s).",
            *(count, pluralize("type", count), self.corpus_id),
        )

    @unsupported_cache
    def create_required_types(self, element_types: list[ElementType]) -> None:
        """Make types in the corpus; one that another worker has made meanwhile is fine.

        Raises:
            ErrorResponse: the API refused a type, and it is not there.
        """
        for wanted in element_types:
            self.create_element_type(wanted.slug, wanted.name, wanted.is_folder)

    def create_element_type(self, slug: str, name: str, is_folder: bool = False) -> None:
        """Make a type in the corpus, and know it in `self.corpus_types`.

        Raises:
            AssertionError: slug or name are no text.
            ErrorResponse: the API refused the type, and it is not there.
        """
        checks.text(slug, "slug")
        checks.text(name, "name")
        checks.flag(is_folder, "is_folder")
        if not self.may_write("create element type"):
            return
        body = {"slug": slug, "display_name": name, "folder": is_folder, "corpus": self.corpus_id}
        try:
            made = self.api_client.request("CreateElementType", body=body)
        except ErrorResponse as error:
            if error.status_code != 400:
                raise
            logger.warning("Element type `%s` was refused; looking whether it exists.", slug)
            self.list_corpus_types()
            if slug not in self.corpus_types:
                raise
            return
        self.corpus_types[slug] = made or {"slug": slug, "display_name": name, "folder": is_folder}
        logger.info("Created a new element type with slug %s", slug)

    def check_required_types(
        self, *type_slugs: str | list[str], create_missing: bool = False
    ) -> bool:
        """Check that the corpus has types of elements.

        Args:
            type_slugs: slugs, `check_required_types("page", "line")`; or one list of names, whose
                slugs are the names in lower case, `check_required_types(["Page", "Line"])`.
            create_missing: make those that are missing.

        Returns:
            True.

        Raises:
            AssertionError: no slug is given, or one is no text.
            MissingTypeError: a type is missing and may not be made.
        """
        names = self._type_names(type_slugs)
        checks.check(names, "at least one slug of an element type must be given")
        checks.flag(create_missing, "create_missing")
        if not self.corpus_types:
            self.list_corpus_types()
        missing = {slug: name for slug, name in names.items() if slug not in self.corpus_types}
        if missing and not create_missing:
            noun = pluralize("type", len(missing))
            raise MissingTypeError(
                f"Element {noun} {', '.join(sorted(missing))} not found in corpus "
                f"({self.corpus_id}). Create them, or pass create_missing=True."
            )
        if missing:
            self.create_required_types(
                [ElementType(name, slug, False) for slug, name in missing.items()]
            )
        return True

    def _type_names(self, type_slugs: tuple[str | list[str], ...]) -> dict[str, str]:
        """Return names by slug, of either form of the arguments."""
        if len(type_slugs) == 1 and isinstance(type_slugs[0], list):
            for name in type_slugs[0]:
                checks.text(name, "each name of an element type")
            return {name.lower(): name for name in type_slugs[0]}
        slugs: dict[str, str] = {}
        for slug in type_slugs:
            checks.text(slug, "each slug of an element type")
            slugs[str(slug)] = str(slug)
        return slugs
