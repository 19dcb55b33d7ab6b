"""Helpers for results on elements: transcriptions, classes, entities, metadata and embeddings."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from longshore.corpus.cache import (
    CachedClassification,
    CachedElement,
    CachedEntity,
    CachedTranscription,
    CachedTranscriptionEntity,
)
from longshore.corpus.classifications import DUPLICATE
from longshore.corpus.client import ErrorResponse
from longshore.corpus.entities import MissingEntityType
from longshore.corpus.metadata import MetaType
from longshore.corpus.models import Transcription
from longshore.corpus.transcriptions import TextOrientation
from tests.unit.corpus_mixins_rig import (
    CORPUS,
    ELEMENT,
    IMAGE,
    RUN,
    SQUARE,
    Helpers,
    cached_element,
    cached_worker,
    element,
    error,
    uuid,
    worker,
)

__all__ = ["cached_worker", "worker"]

TEXT = Transcription(id=uuid(70), text="Anna, Rom")


def stored(body: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Answer a bulk of transcriptions or classifications as a server does."""
    key = "transcriptions" if "transcriptions" in body else "classifications"
    return {
        key: [
            {**one, "id": uuid(100 + index), "state": "pending"}
            for index, one in enumerate(body[key])
        ]
    }


def test_a_transcription_is_sent_and_kept(cached_worker: Helpers) -> None:
    cached_worker.api.answers("CreateTranscription", lambda body, **_: {**body, "id": uuid(1)})
    made = cached_worker.create_transcription(
        cached_element(), "שלום", 0.5, TextOrientation.HorizontalRightToLeft
    )
    assert made is not None
    assert cached_worker.api.calls == [
        (
            "CreateTranscription",
            {
                "id": ELEMENT,
                "body": {
                    "text": "שלום",
                    "worker_run_id": RUN,
                    "confidence": 0.5,
                    "orientation": "horizontal-rl",
                },
            },
        )
    ]
    (kept,) = cached_element().transcriptions
    assert (kept.id, kept.text, kept.confidence) == (UUID(uuid(1)), "שלום", 0.5)
    assert (kept.orientation, kept.worker_run_id) == ("horizontal-rl", UUID(RUN))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None, "a", 0.5), "element must be of type Element or CachedElement"),
        ((element(), "", 0.5), "text must be text that is not empty"),
        ((element(), "a", 1), "confidence must be a float from 0.0 to 1.0, not 1"),
        ((element(), "a", 1.2), "not 1.2"),
        ((element(), "a", None), "not None"),
        ((element(), "a", 0.5, "horizontal-lr"), "orientation must be of type TextOrientation"),
    ],
)
def test_a_wrong_transcription_is_refused(
    worker: Helpers, arguments: tuple[Any, ...], words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        worker.create_transcription(*arguments)
    assert worker.api.calls == []


def test_transcriptions_are_sent_in_batches_and_the_caller_keeps_its_own(
    cached_worker: Helpers,
) -> None:
    numbers = iter(range(1000))

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        return {
            "transcriptions": [{**one, "id": uuid(next(numbers))} for one in body["transcriptions"]]
        }

    cached_worker.api.answers("CreateTranscriptions", answer)
    mine = [{"element_id": ELEMENT, "text": str(index), "confidence": 0.5} for index in range(7)]
    made = cached_worker.create_transcriptions(mine, batch_size=3)
    assert made is not None
    assert [one["text"] for one in made] == [str(index) for index in range(7)]
    sent = cached_worker.api.bodies("CreateTranscriptions")
    assert [len(body["transcriptions"]) for body in sent] == [3, 3, 1]
    assert sent[0]["transcriptions"][0]["orientation"] == "horizontal-lr"
    assert "orientation" not in mine[0]
    assert CachedTranscription.select().count() == 7
    with pytest.raises(AssertionError, match=r"transcriptions\[1\]: element_id must be text"):
        cached_worker.create_transcriptions([mine[0], {"text": "a", "confidence": 0.5}])


def test_lines_and_their_texts_are_made_in_one_go(cached_worker: Helpers) -> None:
    answers = [
        {"id": uuid(1), "element_id": uuid(11), "created": True},
        {"id": uuid(2), "element_id": uuid(11), "created": False},
        {"id": uuid(3), "element_id": ELEMENT, "created": False},
    ]
    cached_worker.api.answers("CreateElementTranscriptions", answers)
    lines = [
        {"polygon": SQUARE, "text": str(index), "confidence": 0.5, "element_confidence": 0.25}
        for index in range(3)
    ]
    assert cached_worker.create_element_transcriptions(element(), "line", lines) == answers
    (body,) = cached_worker.api.bodies("CreateElementTranscriptions")
    assert {name: body[name] for name in ("element_type", "worker_run_id", "return_elements")} == {
        "element_type": "line",
        "worker_run_id": RUN,
        "return_elements": True,
    }
    line = CachedElement.get_by_id(uuid(11))
    assert (line.type, line.parent_id, line.image_id) == ("line", UUID(ELEMENT), UUID(IMAGE))
    assert (line.polygon, line.confidence) == (SQUARE, 0.25)
    assert [one.text for one in line.transcriptions] == ["0", "1"]
    assert [one.text for one in cached_element().transcriptions] == ["2"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"polygon": SQUARE[:2]}, r"transcriptions\[0\]: polygon must be a list of at least three"),
        ({"text": ""}, r"transcriptions\[0\]: text"),
        ({"confidence": None}, r"transcriptions\[0\]: confidence"),
        ({"element_confidence": 2.0}, r"transcriptions\[0\]: element_confidence"),
        ({"orientation": None}, r"transcriptions\[0\]: orientation"),
    ],
)
def test_wrong_lines_are_refused(worker: Helpers, change: dict[str, Any], words: str) -> None:
    line = {"polygon": SQUARE, "text": "a", "confidence": 0.5, **change}
    with pytest.raises(AssertionError, match=words):
        worker.create_element_transcriptions(element(), "line", [line])
    assert worker.api.calls == []


def test_transcriptions_are_listed_from_the_api(worker: Helpers) -> None:
    worker.api.answers("ListTranscriptions", [])
    worker.list_transcriptions(element(), recursive=True, element_type="line", worker_run=False)
    assert worker.api.calls == [
        (
            "ListTranscriptions",
            {"id": ELEMENT, "recursive": True, "element_type": "line", "worker_run": False},
        )
    ]


def test_transcriptions_are_listed_from_the_cache_down_to_all_below(cached_worker: Helpers) -> None:
    CachedElement.insert_many(
        [
            {"id": uuid(1), "type": "line", "parent_id": ELEMENT},
            {"id": uuid(2), "type": "word", "parent_id": uuid(1)},
        ]
    ).execute()
    CachedTranscription.insert_many(
        [
            {"id": uuid(number), "element_id": on, "text": text, "orientation": "horizontal-lr",
             "worker_run_id": run}
            for number, on, text, run in (
                (10, ELEMENT, "page", RUN), (11, uuid(1), "line", None), (12, uuid(2), "word", RUN),
            )
        ]
    ).execute()  # fmt: skip

    def texts(**filters: Any) -> list[str]:
        found = cached_worker.list_transcriptions(cached_element(), **filters)
        return sorted(one.text for one in found)  # type: ignore[union-attr]

    assert texts() == ["page"]
    assert texts(element_type="line") == []
    assert texts(recursive=True) == ["line", "page", "word"]
    assert texts(recursive=True, element_type="word") == ["word"]
    assert texts(recursive=True, worker_run=RUN) == ["page", "word"]
    assert texts(recursive=True, worker_run=False) == ["line"]
    with pytest.warns(DeprecationWarning, match="deprecated"):
        assert texts(recursive=True, worker_version=False) == ["line", "page", "word"]
    assert cached_worker.api.calls == []


def test_a_class_is_made_once_and_known_from_then_on(worker: Helpers) -> None:
    worker.api.answers("ListCorpusMLClasses", [{"id": uuid(1), "name": "cover"}])
    worker.api.answers("CreateMLClass", {"id": uuid(2)})
    worker.api.answers("CreateClassification", {"id": uuid(3)})
    assert worker.create_classification(element(), "text", 0.5, high_confidence=True)
    worker.create_classification(element(), "text", 0.5)
    worker.create_classification(element(), "cover", 0.5)
    assert worker.api.names == [
        "ListCorpusMLClasses",
        "CreateMLClass",
        *["CreateClassification"] * 3,
    ]
    assert worker.api.bodies("CreateClassification")[0] == {
        "element": ELEMENT,
        "ml_class": uuid(2),
        "worker_run_id": RUN,
        "confidence": 0.5,
        "high_confidence": True,
    }
    assert worker.retrieve_ml_class(uuid(1)) == "cover"
    with pytest.raises(AssertionError, match="There is no class"):
        worker.retrieve_ml_class(uuid(9))


def test_a_class_that_another_worker_has_made_meanwhile_is_read_again(worker: Helpers) -> None:
    worker.api.answers(
        "ListCorpusMLClasses",
        [{"id": uuid(1), "name": "cover"}],
        [{"id": uuid(1), "name": "cover"}, {"id": uuid(2), "name": "text"}],
    )
    worker.api.answers("CreateMLClass", error(400, name=["exists"]))
    assert worker.get_ml_class_id("text") == uuid(2)
    with pytest.raises(ErrorResponse):
        worker.get_ml_class_id("blank")
    worker.api.answers("CreateMLClass", error(403))
    with pytest.raises(ErrorResponse):
        worker.get_ml_class_id("blank")


def test_a_class_given_twice_is_tolerated_and_other_refusals_are_not(
    worker: Helpers, caplog: pytest.LogCaptureFixture
) -> None:
    worker.classes = {"text": uuid(1)}
    worker.api.answers("CreateClassification", error(400, non_field_errors=[DUPLICATE]))
    assert worker.create_classification(element(), "text", 0.5) is None
    assert f"This worker run has already set text on element {ELEMENT}" in caplog.text
    for refusal in (
        error(400, non_field_errors=["no"]),
        error(400, element=["unknown"]),
        error(403),
        ErrorResponse(title="400 Error", status_code=400, content=None),
    ):
        worker.api.answers("CreateClassification", refusal)
        with pytest.raises(ErrorResponse):
            worker.create_classification(element(), "text", 0.5)


def test_classifications_are_sent_with_ids_and_come_back_with_names(cached_worker: Helpers) -> None:
    cached_worker.classes = {"text": uuid(1), "cover": uuid(2)}
    cached_worker.api.answers("CreateClassifications", stored)
    mine = [
        {"ml_class": "text", "confidence": 0.75, "high_confidence": True},
        {"ml_class": "cover", "confidence": 0.25},
    ]
    made = cached_worker.create_classifications(cached_element(), mine)
    assert made is not None
    assert [one["class_name"] for one in made] == ["text", "cover"]
    (body,) = cached_worker.api.bodies("CreateClassifications")
    assert body["parent"] == ELEMENT
    assert [one["ml_class"] for one in body["classifications"]] == [uuid(1), uuid(2)]
    assert mine[0]["ml_class"] == "text"
    kept = {one.class_name: one for one in CachedClassification.select()}
    assert (kept["text"].confidence, kept["text"].state) == (0.75, "pending")
    assert kept["cover"].element == cached_element()
    with pytest.raises(AssertionError, match=r"classifications\[0\]: confidence"):
        cached_worker.create_classifications(element(), [{"ml_class": "text", "confidence": 1}])


def test_entity_types_are_read_once_and_made_where_missing(worker: Helpers) -> None:
    worker.api.answers("ListCorpusEntityTypes", [{"name": "person", "id": uuid(1)}])
    worker.api.answers("CreateEntityType", {"id": uuid(2)})
    worker.check_required_entity_types(["person", "place"])
    worker.check_required_entity_types(["place"])
    assert worker.entity_types == {"person": uuid(1), "place": uuid(2)}
    assert worker.api.names == ["ListCorpusEntityTypes", "CreateEntityType"]
    assert worker.api.bodies("CreateEntityType") == [{"name": "place", "corpus": CORPUS}]
    with pytest.raises(MissingEntityType, match="`date` is not in corpus"):
        worker.check_required_entity_types(["date"], create_missing=False)
    worker.api.answers("CreateEntityType", error(400))
    with pytest.raises(ErrorResponse):
        worker.create_entity_type("date")
    worker.create_entity_type("person")


def test_a_named_entity_is_made_and_put_onto_a_text(cached_worker: Helpers) -> None:
    cached_worker.api.answers("ListCorpusEntityTypes", [{"name": "person", "id": uuid(1)}])
    cached_worker.api.answers("CreateEntity", {"id": uuid(2)})
    cached_worker.api.answers("CreateTranscriptionEntity", lambda body, **_: body)
    CachedTranscription.create(
        id=TEXT.id, element_id=ELEMENT, text=TEXT.text, orientation="horizontal-lr"
    )
    assert cached_worker.create_entity("Anna", "person", {"born": 1700}) == uuid(2)
    made = cached_worker.create_transcription_entity(TEXT, uuid(2), 0, 4, 0.5)
    assert made == {
        "entity": uuid(2), "offset": 0, "length": 4, "confidence": 0.5, "worker_run_id": RUN,
    }  # fmt: skip
    kept = CachedEntity.get_by_id(uuid(2))
    assert (kept.name, kept.type, kept.metas, kept.validated) == (
        "Anna", "person", {"born": 1700}, False,
    )  # fmt: skip
    (place,) = CachedTranscriptionEntity.select()
    assert (place.entity_id, place.offset, place.length) == (UUID(uuid(2)), 0, 4)
    with pytest.raises(AssertionError, match="the corpus has no entity type 'place'"):
        cached_worker.create_entity("Rom", "place")


def test_a_part_of_a_text_can_have_a_type_alone(worker: Helpers) -> None:
    worker.api.answers("CreateTranscriptionEntity", lambda body, **_: body)
    made = worker.create_transcription_entity(TEXT, type_id=uuid(1), offset=6, length=3)
    assert made == {"type_id": uuid(1), "offset": 6, "length": 3, "worker_run_id": RUN}
    both: dict[str, Any] = {"entity": uuid(1), "type_id": uuid(1)}
    for wrong in ({}, both):
        with pytest.raises(AssertionError, match="either entity or type_id"):
            worker.create_transcription_entity(TEXT, offset=6, length=3, **wrong)
    with pytest.raises(AssertionError, match="length must be an int of at least 1"):
        worker.create_transcription_entity(TEXT, uuid(1), 0, 0)
    with pytest.raises(AssertionError, match="offset must be an int of at least 0"):
        worker.create_transcription_entity(TEXT, uuid(1), -1, 1)


@pytest.mark.parametrize(
    ("names", "key"), [([{"name": "Anna"}, {"name": "Rom"}], "entities"),
                       ([{}, {}], "transcription_entities")],
)  # fmt: skip
def test_entities_on_a_text_go_in_one_request(
    worker: Helpers, names: list[dict[str, str]], key: str
) -> None:
    worker.api.answers(
        "CreateTranscriptionEntities", lambda body, **_: {key: [{"id": uuid(5)}] * 2}
    )
    parts: list[Any] = [
        {"type_id": uuid(1), "offset": 0, "length": 4, **names[0]},
        {"type_id": uuid(2), "offset": 6, "length": 3, "confidence": 0.5, **names[1]},
    ]
    other: Any = {"type_id": uuid(1), "offset": 0, "length": 1}
    other |= {} if names[0] else {"name": "Anna"}
    assert worker.create_transcription_entities(TEXT, parts) == [{"id": uuid(5)}] * 2
    assert worker.api.bodies("CreateTranscriptionEntities") == [{"worker_run_id": RUN, key: parts}]
    with pytest.raises(AssertionError, match="no two of the entities may be equal"):
        worker.create_transcription_entities(TEXT, [parts[0], {**parts[0]}])
    with pytest.raises(AssertionError, match="either all entities must have a name, or none"):
        worker.create_transcription_entities(TEXT, [parts[0], other])
    with pytest.raises(AssertionError, match=r"entities\[0\]: offset"):
        worker.create_transcription_entities(TEXT, [{**parts[0], "offset": None}])


def test_entities_are_listed(worker: Helpers) -> None:
    worker.api.answers("ListTranscriptionEntities", [{"id": uuid(1)}])
    worker.api.answers("ListCorpusEntities", [{"id": uuid(2), "name": "Anna"}])
    assert worker.list_transcription_entities(TEXT, worker_run=RUN) == [{"id": uuid(1)}]
    worker.list_corpus_entities(name="ann", parent=element())
    assert worker.entities == {uuid(2): {"id": uuid(2), "name": "Anna"}}
    assert worker.api.calls == [
        ("ListTranscriptionEntities", {"id": TEXT.id, "worker_run": RUN}),
        ("ListCorpusEntities", {"id": CORPUS, "name": "ann", "parent": ELEMENT}),
    ]


def test_metadata_are_written_and_listed(worker: Helpers) -> None:
    worker.api.answers("CreateMetaData", {"id": uuid(1)})
    worker.api.answers("CreateMetaDataBulk", lambda body, **_: body)
    worker.api.answers("ListElementMetaData", [{"id": uuid(1)}])
    assert worker.create_metadata(element(), MetaType.Date, "year", "1700") == uuid(1)
    assert worker.api.bodies("CreateMetaData") == [
        {"type": "date", "name": "year", "value": "1700", "entity_id": None, "worker_run_id": RUN}
    ]
    mine = [
        {"type": MetaType.Numeric, "name": "pages", "value": 0},
        {"type": MetaType.Text, "name": "note", "value": "worn", "entity_id": uuid(2)},
    ]
    made = worker.create_metadata_bulk(element(), mine, batch_size=1)
    assert made == [
        {"type": "numeric", "name": "pages", "value": 0, "entity_id": None},
        {"type": "text", "name": "note", "value": "worn", "entity_id": uuid(2)},
    ]
    assert worker.list_element_metadata(element(), load_parents=True) == [{"id": uuid(1)}]
    assert worker.api.calls[-1] == ("ListElementMetaData", {"id": ELEMENT, "load_parents": True})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "text"}, r"metadata_list\[0\]: type must be of type MetaType"),
        ({"name": ""}, r"metadata_list\[0\]: name"),
        ({"value": None}, r"metadata_list\[0\]: value must be text or a number"),
        ({"value": True}, "not True"),
        ({"entity_id": 1}, r"metadata_list\[0\]: entity_id"),
    ],
)
def test_wrong_metadata_are_refused(worker: Helpers, change: dict[str, Any], words: str) -> None:
    metadata = {"type": MetaType.Text, "name": "note", "value": "worn", **change}
    with pytest.raises(AssertionError, match=words):
        worker.create_metadata_bulk(element(), [metadata])
    assert worker.api.calls == []


def test_embeddings_are_written_and_listed(worker: Helpers) -> None:
    worker.api.answers("CreateEmbedding", lambda body, **_: body)
    worker.api.answers("ListEmbeddings", [])
    assert worker.create_embedding(element(), [0.5, 1.0]) == {
        "worker_run_id": RUN,
        "value": [0.5, 1.0],
    }
    assert worker.list_embeddings(element()) == []
    with pytest.raises(AssertionError, match=r"value\[1\] must be a float, not 1"):
        worker.create_embedding(element(), [0.5, 1])


def test_in_read_only_mode_no_result_is_written(
    worker: Helpers, caplog: pytest.LogCaptureFixture
) -> None:
    worker.is_read_only = True
    worker.entity_types = worker.classes = {"person": uuid(1)}
    line = {"polygon": SQUARE, "text": "a", "confidence": 0.5, "element_id": ELEMENT}
    note = {"type": MetaType.Text, "name": "note", "value": "worn"}
    made = [
        worker.create_transcription(element(), "a", 0.5),
        worker.create_transcriptions([line]),
        worker.create_element_transcriptions(element(), "line", [line]),
        worker.create_classification(element(), "person", 0.5),
        worker.create_classifications(element(), [{"ml_class": "person", "confidence": 0.5}]),
        worker.get_ml_class_id("new"),
        worker.create_entity("Anna", "person"),
        worker.create_transcription_entity(TEXT, uuid(1), 0, 1),
        worker.create_transcription_entities(TEXT, [{"type_id": "1", "offset": 0, "length": 1}]),
        worker.create_metadata(element(), MetaType.Text, "note", "worn"),
        worker.create_metadata_bulk(element(), [note]),
        worker.create_embedding(element(), [0.5]),
    ]
    worker.create_entity_type("place")
    assert made == [None] * 12
    assert worker.api.calls == []
    assert caplog.text.count("as this worker is in read-only mode") == 13
