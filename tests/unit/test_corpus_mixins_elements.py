"""Helpers for elements and their types: what is checked, what is sent, what is kept."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import pytest

from longshore.corpus.cache import CachedElement, CachedImage
from longshore.corpus.client import ErrorResponse
from longshore.corpus.elements import ElementType, MissingElementType, MissingTypeError
from longshore.corpus.models import Element
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


def line(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {"name": str(number), "type": "line", "polygon": SQUARE, **changes}


def numbered(body: dict[str, Any], **_: Any) -> list[dict[str, str]]:
    return [{"id": uuid(int(one["name"]))} for one in body["elements"]]


def test_children_are_sent_fifty_at_a_time_and_come_back_in_order(worker: Helpers) -> None:
    worker.api.answers("CreateElements", numbered)
    made = worker.create_elements(element(), [line(number) for number in range(120)])
    assert made == [{"id": uuid(number)} for number in range(120)]
    assert [len(body["elements"]) for body in worker.api.bodies("CreateElements")] == [50, 50, 20]
    assert all(body["worker_run_id"] == RUN for body in worker.api.bodies("CreateElements"))


def test_a_batch_size_is_an_int_above_nothing(worker: Helpers) -> None:
    for wrong in (0, -1, None, 2.0, "5", True):
        with pytest.raises(AssertionError, match="batch_size must be an int of at least 1"):
            worker.create_elements(element(), [line()], batch_size=wrong)  # type: ignore[arg-type]
    assert worker.api.calls == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("no dict", r"elements\[1\] must be a dict"),
        (line(name=""), r"elements\[1\]: name must be text"),
        (line(type=None), r"elements\[1\]: type must be text"),
        (line(polygon=None), r"elements\[1\]: polygon must be a list of at least three points"),
        (line(polygon=[[0, 0], [1, 1]]), "at least three points"),
        (line(polygon=[[0, 0], [1, 1], [2]]), "must be a list of two numbers"),
        (line(polygon=[[0, 0], [1, 1], (2, 2)]), "must be a list of two numbers"),
        (line(polygon=[[0, 0], [1, 1], [2, "2"]]), "must be a list of two numbers"),
        (line(confidence=1), r"confidence must be None or a float from 0.0 to 1.0, not 1"),
        (line(confidence=1.2), "not 1.2"),
        (line(confidence=float("nan")), "not nan"),
    ],
)
def test_one_wrong_child_refuses_all_before_anything_is_sent(
    worker: Helpers, wrong: Any, words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        worker.create_elements(element(), [line(), wrong])
    assert worker.api.calls == []


def test_children_need_a_parent_with_an_image(worker: Helpers) -> None:
    with pytest.raises(AssertionError, match="must have a zone"):
        worker.create_elements(element(zone=None), [line()])
    with pytest.raises(TypeError, match="parent must be an Element or a CachedElement, not str"):
        worker.create_elements("page", [line()])  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="elements must be a list that is not empty"):
        worker.create_elements(element(), [])


def test_children_are_kept_in_the_cache_with_the_image_of_their_parent(
    cached_worker: Helpers,
) -> None:
    cached_worker.api.answers("CreateElements", numbered)
    cached_worker.create_elements(cached_element(), [line(1, confidence=0.5)])
    other = element(id=uuid(9))
    other["zone"]["image"] = {"id": uuid(8), "width": 5, "height": 6, "url": "http://i.test/2"}
    other["zone"] = {**other["zone"], "image": other.zone.image | {"id": uuid(8)}}
    cached_worker.create_elements(other, [line(2)])
    first, second = CachedElement.get_by_id(uuid(1)), CachedElement.get_by_id(uuid(2))
    assert (first.parent_id, first.image_id) == (UUID(ELEMENT), UUID(IMAGE))
    assert (first.polygon, first.confidence, first.worker_run_id) == (SQUARE, 0.5, UUID(RUN))
    assert (first.type, first.initial, first.mirrored, first.rotation_angle) == (
        "line",
        False,
        False,
        0,
    )
    assert second.image is not None
    assert second.image.id == UUID(uuid(8))


def test_what_the_cache_cannot_take_is_only_warned_of(
    cached_worker: Helpers, caplog: pytest.LogCaptureFixture
) -> None:
    cached_worker.api.answers("CreateElements", [{"id": ELEMENT}])
    assert cached_worker.create_elements(cached_element(), [line()]) == [{"id": ELEMENT}]
    assert "Couldn't save created elements in local cache: UNIQUE" in caplog.text


def test_in_read_only_mode_nothing_is_written_and_a_warning_says_so(
    worker: Helpers, caplog: pytest.LogCaptureFixture
) -> None:
    worker.is_read_only = True
    assert worker.create_elements(element(), [line()]) is None
    assert worker.create_sub_element(element(), "line", "1", SQUARE) is None
    assert worker.create_element_parent(element(), element()) is None
    assert worker.create_element_children(element(), [element()]) is None
    assert worker.partial_update_element(element(), name="2r") is None
    worker.create_element_type("line", "Line")
    assert worker.api.calls == []
    assert caplog.text.count("as this worker is in read-only mode") == 6
    with pytest.raises(AssertionError):
        worker.create_elements(element(), [line(confidence=2.0)])


def test_a_child_is_made_below_its_parent(worker: Helpers) -> None:
    worker.api.answers("CreateElement", {"id": uuid(1), "name": "1"})
    assert worker.create_sub_element(element(), "line", "1", SQUARE, 0.5) == uuid(1)
    assert worker.api.bodies("CreateElement") == [
        {
            "type": "line",
            "name": "1",
            "image": None,
            "corpus": CORPUS,
            "polygon": SQUARE,
            "parent": ELEMENT,
            "worker_run_id": RUN,
            "confidence": 0.5,
        }
    ]
    whole = worker.create_sub_element(element(), "line", "1", slim_output=False)
    assert whole == {"id": uuid(1), "name": "1"}


def test_a_child_with_a_polygon_needs_an_image(worker: Helpers) -> None:
    worker.api.answers("CreateElement", {"id": uuid(1)})
    with pytest.raises(AssertionError, match="needs an image, or a parent that has one"):
        worker.create_sub_element(element(zone=None), "line", "1", SQUARE)
    with pytest.raises(ValueError, match="image must be a UUID, not 'page'"):
        worker.create_sub_element(element(), "line", "1", SQUARE, image="page")
    assert worker.create_sub_element(element(zone=None), "line", "1", SQUARE, image=IMAGE) == uuid(
        1
    )
    assert worker.create_sub_element(element(zone=None), "volume", "1") == uuid(1)


def test_helpers_that_leave_the_cache_alone_say_so(
    cached_worker: Helpers, caplog: pytest.LogCaptureFixture
) -> None:
    cached_worker.api.answers("CreateElement", {"id": uuid(1)})
    cached_worker.create_sub_element(element(), "line", "1")
    assert "`create_sub_element` did not update the cache" in caplog.text


def test_elements_are_linked(worker: Helpers) -> None:
    parent, child = element(), element(id=uuid(1))
    worker.api.answers("CreateElementParent", {"child": uuid(1), "parent": ELEMENT})
    worker.api.answers("CreateElementChildren", lambda body, **_: body)
    worker.create_element_parent(parent, child)
    assert worker.api.calls == [("CreateElementParent", {"parent": ELEMENT, "child": uuid(1)})]
    children = [element(id=uuid(number)) for number in range(3)]
    assert worker.create_element_children(parent, children, batch_size=2) == [
        uuid(number) for number in range(3)
    ]
    assert [len(body["children"]) for body in worker.api.bodies("CreateElementChildren")] == [2, 1]
    with pytest.raises(AssertionError, match=r"children\[0\] must be of type Element"):
        worker.create_element_children(parent, [{"id": uuid(1)}])  # type: ignore[list-item]


def test_an_element_is_changed_in_the_api_and_in_the_cache(cached_worker: Helpers) -> None:
    cached_worker.api.answers("PartialUpdateElement", {"id": ELEMENT})
    CachedImage.create(id=uuid(8), width=1, height=1, url="http://images.test/8")
    cached_worker.partial_update_element(
        cached_element(),
        name="2r",
        type="cover",
        polygon=SQUARE[:3],
        mirrored=True,
        rotation_angle=90,
        confidence=None,
        image=UUID(uuid(8)),
    )
    (sent,) = cached_worker.api.bodies("PartialUpdateElement")
    assert sent == {
        "name": "2r",
        "type": "cover",
        "polygon": SQUARE[:3],
        "mirrored": True,
        "rotation_angle": 90,
        "confidence": None,
        "image": uuid(8),
    }
    kept = cached_element()
    assert (kept.type, kept.polygon, kept.mirrored) == ("cover", SQUARE[:3], True)
    assert (kept.rotation_angle, kept.image_id) == (90, UUID(uuid(8)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": 1}, "type must be text"),
        ({"polygon": SQUARE[:2]}, "at least three points"),
        ({"confidence": 1}, "confidence must be None or a float"),
        ({"rotation_angle": -90}, "rotation_angle must be an int of at least 0"),
        ({"mirrored": 1}, "mirrored must be True or False"),
        ({"image": IMAGE}, "image must be of type UUID"),
        ({"title": "1r"}, "an element has no title that can be changed"),
    ],
)
def test_a_wrong_change_is_refused(worker: Helpers, change: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        worker.partial_update_element(element(), **change)
    assert worker.api.calls == []


def test_types_are_read_once_and_missing_ones_made(worker: Helpers) -> None:
    worker.api.answers("RetrieveCorpus", {"types": [{"slug": "page"}]})
    worker.api.answers("CreateElementType", lambda body: {**body, "id": uuid(1)})
    assert worker.check_required_types("page")
    with pytest.raises(MissingTypeError, match="types line, word not found in corpus"):
        worker.check_required_types("page", "word", "line")
    assert worker.check_required_types("page", "line", create_missing=True)
    assert worker.check_required_types("line")
    assert worker.api.names == ["RetrieveCorpus", "CreateElementType"]
    assert worker.api.bodies("CreateElementType") == [
        {"slug": "line", "display_name": "line", "folder": False, "corpus": CORPUS}
    ]


def test_a_list_of_type_names_means_their_slugs_in_lower_case(worker: Helpers) -> None:
    worker.api.answers("RetrieveCorpus", {"types": [{"slug": "page"}]})
    worker.api.answers("CreateElementType", lambda body: {**body, "id": uuid(1)})
    assert worker.check_required_types(["Page", "Line"], create_missing=True)
    assert worker.api.bodies("CreateElementType")[0]["slug"] == "line"
    assert worker.api.bodies("CreateElementType")[0]["display_name"] == "Line"
    with pytest.raises(MissingElementType):
        worker.check_required_types(["Word"])
    with pytest.raises(AssertionError, match="at least one slug"):
        worker.check_required_types()


def test_a_type_that_another_worker_has_made_meanwhile_is_fine(worker: Helpers) -> None:
    worker.api.answers(
        "RetrieveCorpus", {"types": [{"slug": "page"}]}, {"types": [{"slug": "line"}]}
    )
    worker.api.answers("CreateElementType", error(400, slug=["exists"]))
    worker.list_corpus_types()
    worker.create_required_types([ElementType("Line", "line", False)])
    assert "line" in worker.corpus_types
    with pytest.raises(ErrorResponse):
        worker.create_element_type("wörd", "Wörd")
    worker.api.answers("CreateElementType", error(403))
    with pytest.raises(ErrorResponse):
        worker.create_element_type("line", "Line")


def test_lists_send_the_filters_that_are_set(worker: Helpers) -> None:
    for operation_id in ("ListElements", "ListElementChildren", "ListElementParents"):
        worker.api.answers(operation_id, [{"id": uuid(1)}])
    assert worker.list_elements(type="line", top_level=True, name="", folder=None) == [
        {"id": uuid(1)}
    ]
    worker.list_element_children(element(), recursive=True, worker_run=False, with_zone=True)
    worker.list_element_parents(element(), type="volume")
    assert worker.api.calls == [
        ("ListElements", {"corpus": CORPUS, "type": "line", "top_level": True}),
        (
            "ListElementChildren",
            {"id": ELEMENT, "recursive": True, "worker_run": False, "with_zone": True},
        ),
        ("ListElementParents", {"id": ELEMENT, "type": "volume"}),
    ]


def test_filters_have_the_values_that_they_can_have(worker: Helpers) -> None:
    worker.api.answers("ListElements", [])
    with pytest.raises(AssertionError, match="folder must be True or False, not 'yes'"):
        worker.list_elements(folder="yes")  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="worker_run must be an id, or False"):
        worker.list_elements(worker_run=True)
    with pytest.raises(TypeError, match="no filter recursive"):
        worker.list_elements(recursive=True)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no filter top_level"):
        worker.list_element_children(element(), top_level=True)  # type: ignore[call-arg]
    with pytest.warns(DeprecationWarning, match="use `worker_run`"):
        worker.list_elements(worker_version=uuid(1))
    with pytest.warns(DeprecationWarning, match="use `transcription_worker_run`"):
        worker.list_elements(transcription_worker_version=False)
    with pytest.raises(AssertionError, match="element must be of type Element or CachedElement"):
        worker.list_element_children({"id": ELEMENT})  # type: ignore[arg-type]


def test_with_a_cache_lists_come_from_it(cached_worker: Helpers) -> None:
    CachedElement.insert_many(
        [
            {"id": uuid(1), "type": "line", "parent_id": ELEMENT, "worker_run_id": RUN},
            {"id": uuid(2), "type": "line", "parent_id": ELEMENT},
            {"id": uuid(3), "type": "word", "parent_id": uuid(1)},
        ]
    ).execute()

    def ids(found: Any) -> list[str]:
        return sorted(str(one.id) for one in found)

    assert ids(cached_worker.list_elements(type="line")) == [uuid(1), uuid(2)]
    assert ids(cached_worker.list_element_children(cached_element())) == [uuid(1), uuid(2)]
    page = Element(id=ELEMENT)
    assert ids(cached_worker.list_element_children(page, worker_run=RUN)) == [uuid(1)]
    assert ids(cached_worker.list_element_children(page, worker_run=False)) == [uuid(2)]
    assert ids(cached_worker.list_element_parents(Element(id=uuid(3)))) == [uuid(1)]
    assert ids(cached_worker.list_element_parents(Element(id=uuid(3)), type="page")) == []
    assert len(cached_worker.list_elements()) == 4  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="not by name"):
        cached_worker.list_elements(name="1r")
    assert cached_worker.api.calls == []


def test_the_arguments_choose_elements(
    worker: Helpers, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    path = tmp_path / "elements.json"
    path.write_text('[{"id": "1"}]')
    monkeypatch.setenv("TASK_ELEMENTS", str(path))
    worker.add_arguments()
    chosen = worker.parser.parse_args(["--element", ELEMENT, uuid(1), "--set", f"{CORPUS}:train"])
    with chosen.elements_list as file:
        assert file.read() == '[{"id": "1"}]'
    assert chosen.element == [ELEMENT, uuid(1)]
    assert chosen.set == [(UUID(CORPUS), "train")]
    assert worker.arguments_added


def test_an_element_is_retrieved(worker: Helpers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    worker.api.answers("RetrieveElement", {"id": ELEMENT})
    assert worker.retrieve_element(ELEMENT) == {"id": ELEMENT}
    with pytest.raises(AssertionError, match="element_id must be text"):
        worker.retrieve_element("")
