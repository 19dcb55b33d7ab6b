"""Entities: what a part of a text names, and the entity types of the worker's corpus.

There are two kinds. In version 0.4 of the worker protocol an entity is an object of the corpus,
with a name, that texts refer to; from 0.6 on it is only a part of a text with a type. A helper
whose arguments differ between them takes either.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict, Unpack

from longshore.corpus import checks
from longshore.corpus.cache import CachedEntity, CachedTranscriptionEntity, unsupported_cache
from longshore.corpus.client import ErrorResponse
from longshore.corpus.element_lists import checked
from longshore.corpus.mixin import WorkerMixin, logger
from longshore.corpus.models import Element, Transcription
from longshore.corpus.utils import pluralize


class Entity(TypedDict):
    """A part of a text: offset and length in characters; `name` makes a named entity of it."""

    name: NotRequired[str]
    type_id: str
    length: int
    offset: int
    confidence: NotRequired[float | None]


class EntityFilters(TypedDict, total=False):
    """Filters of a list of entities on a text: an id, or False for those made by hand."""

    worker_version: str | bool | None
    worker_run: str | bool | None


class MissingEntityType(Exception):
    """The corpus does not have an entity type that the worker needs."""


class EntityMixin(WorkerMixin):
    """Helpers for entities; `self.entity_types` has the ids of the corpus's types, by name."""

    def list_corpus_entity_types(self) -> None:
        """Read the entity types of the corpus into `self.entity_types`."""
        found = self.api_client.paginate("ListCorpusEntityTypes", id=self.corpus_id)
        self.entity_types = {one["name"]: one["id"] for one in found}
        count = len(self.entity_types)
        logger.info(
            "Loaded %d entity %s in corpus (%s).",
            *(count, pluralize("type", count), self.corpus_id),
        )

    def create_entity_type(self, name: str) -> None:
        """Make an entity type, and know it in `self.entity_types`.

        Raises:
            AssertionError: the name is no text.
            ErrorResponse: the API refused the type, and it is not there.
        """
        checks.text(name, "name")
        if not self.may_write("create entity type"):
            return
        try:
            made = self.api_client.request(
                "CreateEntityType", body={"name": name, "corpus": self.corpus_id}
            )
        except ErrorResponse as error:
            if error.status_code != 400:
                raise
            logger.warning("Entity type `%s` was refused; looking whether it exists.", name)
            self.list_corpus_entity_types()
            if name not in self.entity_types:
                raise
            return
        self.entity_types[name] = made["id"]
        logger.info("Created a new entity type with name `%s`.", name)

    @unsupported_cache
    def check_required_entity_types(
        self, entity_types: list[str], create_missing: bool = True
    ) -> None:
        """Check that the corpus has entity types, and make those that are missing.

        Raises:
            AssertionError: the types are no list of texts.
            MissingEntityType: one is missing and may not be made.
        """
        checks.items(entity_types, "entity_types")
        for index, name in enumerate(entity_types):
            checks.text(name, f"entity_types[{index}]")
        checks.flag(create_missing, "create_missing")
        if not self.entity_types:
            self.list_corpus_entity_types()
        for name in entity_types:
            if name in self.entity_types:
                continue
            if not create_missing:
                raise MissingEntityType(
                    f"Entity type `{name}` is not in corpus {self.corpus_id}. "
                    "Create it, or pass create_missing=True."
                )
            self.create_entity_type(name)

    def create_entity(
        self,
        name: str,
        type: str,  # noqa: A002 - the name of the worker protocol
        metas: dict[str, Any] | None = None,
        validated: bool | None = None,
    ) -> str | None:
        """Make a named entity of the corpus.

        Args:
            name: of the entity.
            type: name of its type, which the corpus must have.
            metas: whatever is to be kept with it.
            validated: whether a person has confirmed it.

        Returns:
            The id of the entity; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong, or the corpus does not have the type.
        """
        checks.text(name, "name")
        checks.text(type, "type")
        metas = metas or {}
        checks.mapping(metas, "metas")
        if validated is not None:
            checks.flag(validated, "validated")
        if not self.may_write("create entity"):
            return None
        if not self.entity_types:
            self.list_corpus_entity_types()
        checks.check(type in self.entity_types, f"the corpus has no entity type {type!r}")
        made = self.api_client.request(
            "CreateEntity",
            body={
                "name": name,
                "type_id": self.entity_types[type],
                "metas": metas,
                "validated": validated,
                "corpus": self.corpus_id,
                "worker_run_id": self.worker_run_id,
            },
        )
        row = {
            "id": made["id"],
            "type": type,
            "name": name,
            "validated": bool(validated),
            "metas": metas,
            "worker_run_id": self.worker_run_id,
        }
        self.keep_in_cache(CachedEntity, lambda: [row], "created entity")
        return str(made["id"])

    def create_transcription_entity(
        self,
        transcription: Transcription,
        entity: str | None = None,
        offset: int | None = None,
        length: int | None = None,
        confidence: float | None = None,
        *,
        type_id: str | None = None,
    ) -> dict[str, Any] | None:
        """Mark a part of a text as an entity.

        Args:
            transcription: the text.
            entity: id of a named entity; or
            type_id: id of an entity type.
            offset: where the part begins, in characters from 0.
            length: of the part, in characters.
            confidence: from 0.0 to 1.0.

        Returns:
            The answer of the API; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(transcription, "transcription", Transcription)
        checks.check(
            (entity is None) != (type_id is None), "either entity or type_id must be given"
        )
        target = {"entity": entity} if type_id is None else {"type_id": type_id}
        for name, value in target.items():
            checks.text(value, name)
        _check_place(offset, length, confidence)
        if not self.may_write("create transcription entity"):
            return None
        place = {"length": length, "offset": offset, "worker_run_id": self.worker_run_id}
        score = {} if confidence is None else {"confidence": confidence}
        made: dict[str, Any] = self.api_client.request(
            "CreateTranscriptionEntity", id=str(transcription.id), body={**target, **place, **score}
        )
        if entity is not None:
            row = {"transcription_id": transcription.id, "entity_id": entity, **place, **score}
            what = "created transcription entity"
            self.keep_in_cache(CachedTranscriptionEntity, lambda: [row], what)
        return made

    @unsupported_cache
    def create_transcription_entities(
        self, transcription: Transcription, entities: list[Entity]
    ) -> list[dict[str, Any]] | None:
        """Mark parts of a text as entities, in one request.

        Args:
            transcription: the text.
            entities: see `Entity`; either all of them have a name, or none. No two are equal.

        Returns:
            The answers of the API, in order: with names `transcription_entity_id` and `entity_id`
            of each; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(transcription, "transcription", Transcription)
        checks.items(entities, "entities")
        with_names = _check_entities(entities)
        if not self.may_write("create transcription entities"):
            return None
        key = "entities" if with_names else "transcription_entities"
        answer = self.api_client.request(
            "CreateTranscriptionEntities",
            id=str(transcription.id),
            body={"worker_run_id": self.worker_run_id, key: entities},
        )
        made: list[dict[str, Any]] = answer[key]
        return made

    def list_transcription_entities(
        self, transcription: Transcription, **filters: Unpack[EntityFilters]
    ) -> Any:
        """List the entities on a text, from the API.

        Args:
            transcription: the text.
            filters: see `EntityFilters`.

        Raises:
            AssertionError: an argument is wrong.
            TypeError: there is no such filter.
        """
        checks.instance(transcription, "transcription", Transcription)
        query = checked(dict(filters), EntityFilters)
        return self.api_client.paginate(
            "ListTranscriptionEntities", id=str(transcription.id), **query
        )

    def list_corpus_entities(self, name: str | None = None, parent: Element | None = None) -> None:
        """Read the named entities of the corpus into `self.entities`, by id.

        Args:
            name: only those whose name contains this, in whichever case.
            parent: only those on texts of this element, and of all that is below it.

        Raises:
            AssertionError: an argument is wrong.
        """
        query = {}
        if name is not None:
            checks.text(name, "name")
            query["name"] = name
        if parent is not None:
            checks.instance(parent, "parent", Element)
            query["parent"] = str(parent.id)
        found = self.api_client.paginate("ListCorpusEntities", id=self.corpus_id, **query)
        self.entities = {one["id"]: one for one in found}
        count = len(self.entities)
        logger.info(
            "Loaded %d %s in corpus (%s)", count, pluralize("entity", count), self.corpus_id
        )


def _check_place(offset: Any, length: Any, confidence: Any, where: str = "") -> None:
    checks.whole(offset, f"{where}offset", least=0)
    checks.whole(length, f"{where}length", least=1)
    checks.confidence(confidence, f"{where}confidence", optional=True)


def _check_entities(entities: list[Any]) -> bool:
    """Check entities on a text, and say whether they have names."""
    for index, one in enumerate(entities):
        where = f"entities[{index}]"
        checks.mapping(one, where)
        if "name" in one:
            checks.text(one["name"], f"{where}: name")
        checks.text(one.get("type_id"), f"{where}: type_id")
        _check_place(one.get("offset"), one.get("length"), one.get("confidence"), f"{where}: ")
    named = sum("name" in one for one in entities)
    checks.check(named in {0, len(entities)}, "either all entities must have a name, or none")
    places = {(one["offset"], one["length"], one["type_id"], one.get("name")) for one in entities}
    checks.check(len(places) == len(entities), "no two of the entities may be equal")
    return named > 0
