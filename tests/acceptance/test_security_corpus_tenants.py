"""X18 for corpora: bodies and queries that name what another organisation has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.tenancy import CANARY, World, Worlds, check_silent
from tests.acceptance.tenancy_corpus import API, NATIVE, OFFER, PART, filled

UNKNOWN = "018f0000-0000-7000-8000-000000000000"
PAGE = {"type": "page", "name": "own", "corpus": "{own_corpus}"}
PROCESS: dict[str, Any] = {"corpus": "{own_corpus}", "workers": [{"worker": "own"}]}
PAGES = {**PROCESS, "element_type": "page"}
VERSION = {"object_type": "model_version", "object_id": "{open_model_version}"}
OWN_VERSION = {"object_type": "model_version", "object_id": "{own_model_version}"}
SPAN = {"offset": 0, "length": 1}
TEXT = {"text": "forged", "confidence": 0.5}
NAMED: list[tuple[str, str, Any]] = [
    # What is in braces belongs to the owner, unless it is "own".
    ("POST", "/elements/type/", {"slug": "forged", "corpus": "{corpus}"}),
    ("POST", "/elements/create/", {**PAGE, "corpus": "{corpus}"}),
    ("POST", "/elements/create/", {**PAGE, "image": "{image}"}),
    ("POST", "/elements/create/", {**PAGE, "parent": "{element}"}),
    ("PATCH", "/element/{own_element}/", {"image": "{image}"}),
    ("POST", "/element/parent/{own_element}/", {"children": ["{element}"]}),
    ("POST", "/element/{own_element}/parent/{element}/", None),
    ("POST", "/element/{element}/parent/{own_element}/", None),
    ("POST", "/classifications/", {"element": "{element}", "ml_class": "{own_class}"}),
    ("POST", "/classifications/", {"element": "{own_element}", "ml_class": "{ml_class}"}),
    (
        "POST",
        "/classification/bulk/",
        {"parent": "{element}", "classifications": [{"ml_class": "{own_class}"}]},
    ),
    (
        "POST",
        "/classification/bulk/",
        {"parent": "{own_element}", "classifications": [{"ml_class": "{ml_class}"}]},
    ),
    ("POST", "/transcription/bulk/", {"transcriptions": [{"element_id": "{element}", **TEXT}]}),
    ("POST", "/element/{own_element}/transcription/", {**TEXT, "worker_run_id": "{worker_run}"}),
    ("POST", "/entity/types/", {"name": "forged", "corpus": "{corpus}"}),
    ("POST", "/entity/", {"name": "x", "type_id": "{entity_type}", "corpus": "{own_corpus}"}),
    ("POST", "/entity/", {"name": "x", "type_id": "{own_type}", "corpus": "{corpus}"}),
    ("POST", "/transcription/{own_text}/entities/", {**SPAN, "entity": "{entity}"}),
    ("POST", "/transcription/{own_text}/entities/", {**SPAN, "type_id": "{entity_type}"}),
    (
        "POST",
        "/transcription/{own_text}/entities/bulk/",
        {"entities": [{**SPAN, "name": "x", "type_id": "{entity_type}"}]},
    ),
    (
        "POST",
        "/element/{own_element}/metadata/",
        {"type": "text", "name": "a", "value": "b", "entity_id": "{entity}"},
    ),
    (
        "POST",
        "/element/{own_element}/embedding/",
        {"value": [1.0], "worker_run_id": "{worker_run}"},
    ),
    (
        "POST",
        "/datasets/{own_dataset}/elements/",
        {"set": "training", "element_id": "{element}"},
    ),
    (
        "POST",
        "/datasets/{own_dataset}/elements/bulk/",
        {"set": "training", "element_ids": ["{own_element}", "{element}"]},
    ),
    ("POST", "/corpus/{own_corpus}/export/", {"dataset_id": "{dataset}"}),
    ("POST", "/model/{own_model}/versions/", {"parent": "{model_version}"}),
    ("POST", "/upload/multipart/", VERSION),
    (
        "POST",
        "/upload/multipart/part/",
        {**OWN_VERSION, "upload_id": "{upload}", "part_number": 1, "md5_hash": "A" * 22 + "=="},
    ),
    (
        "POST",
        "/upload/multipart/complete/",
        {**VERSION, "upload_id": "{upload}", "parts": [{"part_number": 1, "etag": "x"}]},
    ),
    ("POST", "/upload/multipart/abort/", {**VERSION, "upload_id": "{upload}"}),
    ("POST", "/process/", {**PAGES, "corpus": "{corpus}"}),
    ("POST", "/process/", {**PROCESS, "elements": ["{element}"]}),
    ("POST", "/process/", {**PROCESS, "parent": "{folder_element}"}),
    ("POST", "/process/", {**PAGES, "workers": [{"worker": "{worker_slug}"}]}),
    ("POST", "/process/", {**PAGES, "workers": [{"worker": "own", "version": "{worker_version}"}]}),
    (
        "POST",
        "/process/",
        {**PAGES, "workers": [{"worker": "own", "configuration": "{configuration}"}]},
    ),
    (
        "POST",
        "/process/",
        {**PAGES, "workers": [{"worker": "own", "model_version": "{model_version}"}]},
    ),
    ("POST", "/process/", {**PROCESS, "mode": "dataset", "sets": ["{set_id}"]}),
]
BULK: dict[str, dict[str, Any]] = {
    "claim": {"limit": 10},
    "renew": {"held": [["{element}", 1]]},
    "report": {"reports": [{"element_id": "{element}", "attempt": 1, "state": "processed"}]},
}


@pytest.fixture(scope="module")
def world(module_harbour: Harbour, worlds: Worlds) -> Iterator[World]:
    """The two organisations; the stranger has corpora of its own, so that only one name is wrong."""
    made = worlds.open(module_harbour)
    (known,) = made.owner.get(f"{API}/datasets/{made.ids['dataset']}/")["sets"]
    made.ids |= {"set_id": known["id"], "worker_slug": f"{CANARY}-reader"}
    made.ids |= _own(made)
    yield made
    assert made.look() == made.seen


def _own(world: World) -> dict[str, str]:
    """Let the stranger have what the bodies above need."""

    def make(path: str, body: Any) -> str:
        answer = world.stranger.ask("POST", f"{API}{path}", json=body, expect=(200, 201))
        return str(answer.json()["id"])

    types = [{"slug": "folder", "folder": True}, {"slug": "page"}]
    corpus = make("/corpus/", {"name": "own", "types": types})
    element = make("/elements/create/", {"type": "page", "name": "own", "corpus": corpus})
    make("/workers/", {**OFFER, "slug": "own"})
    model = make("/models/", {"name": "own"})
    return {
        "own_corpus": corpus,
        "own_element": element,
        "own_class": make(f"/corpus/{corpus}/classes/", {"name": "own"}),
        "own_text": make(f"/element/{element}/transcription/", {"text": "own"}),
        "own_type": make("/entity/types/", {"name": "own", "corpus": corpus}),
        "own_dataset": make(
            f"/corpus/{corpus}/datasets/", {"name": "own", "set_names": ["training"]}
        ),
        "own_model": model,
        "own_model_version": make(f"/model/{model}/versions/", {}),
    }


def _words(text: str, ids: dict[str, str]) -> str:
    for each in sorted(ids.values(), key=len, reverse=True):
        text = text.replace(each, "ID")
    return text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    NAMED,
    ids=[f"{number} {each[1]}" for number, each in enumerate(NAMED)],
)
def test_a_body_that_names_what_another_organisation_has_names_nothing(
    world: World, method: str, path: str, body: Any
) -> None:
    theirs = {
        kind: UNKNOWN
        for kind, value in world.ids.items()
        if not kind.startswith("own_") and len(value) == len(UNKNOWN)
    }
    told = []
    for ids in (world.ids, {**world.ids, **theirs, "worker_slug": "nobodys"}):
        answer = world.stranger.http.request(
            method, f"{API}{path.format(**ids)}", json=filled(body, ids)
        )
        assert answer.status_code in (400, 404), f"{answer.status_code} {answer.text}"
        check_silent(world, f"{method} {path}", answer, *world.ids.values())
        named = [each for kind, each in ids.items() if f"{{{kind}}}" in f"{path} {body}"]
        # It is that name which is refused, and not something else about the body.
        assert any(each in answer.json()["detail"] for each in named), answer.text
        told.append((answer.status_code, _words(answer.json()["detail"], {**ids, "none": UNKNOWN})))
    assert told[0] == told[1], "the words are those for what does not exist"


def test_no_activity_of_another_organisation_is_claimed_held_or_reported(world: World) -> None:
    run = world.ids["worker_run"]
    for verb, body in BULK.items():
        sent = {"worker_run_id": run, **filled(body, world.ids)}
        answer = world.stranger.http.post(f"{NATIVE}/activities/{verb}", json=sent)
        assert answer.status_code == 404, f"{verb} -> {answer.status_code} {answer.text}"
        check_silent(world, verb, answer, *world.ids.values())
    query = {"worker_run_id": run, "element_id": world.ids["element"]}
    assert world.owner.get(f"{NATIVE}/activities/", **query)["element_id"] == world.ids["element"]
    answer = world.stranger.http.get(f"{NATIVE}/activities/", params=query)
    assert answer.status_code == 404, answer.text
    check_silent(world, "why", answer, *world.ids.values())
    answer = world.stranger.http.post(f"{API}/process/start-activity/")
    assert answer.status_code == 400, "a key has no task whose queue there is"


def test_a_secret_and_a_worker_of_the_same_name_are_others(world: World) -> None:
    name = world.ids["secret"]
    path = f"{NATIVE}/secrets/{name}"
    assert world.stranger.http.get(f"{API}/secret/{name}").status_code == 404
    world.stranger.ask("PUT", path, json={"content": "own"})
    assert world.stranger.get(f"{API}/secret/{name}")["content"] == "own"
    assert world.owner.get(f"{API}/secret/{name}")["content"] == CANARY
    world.stranger.ask("DELETE", path, expect=(204,))
    assert world.owner.get(f"{API}/secret/{name}")["content"] == CANARY

    offer = {**OFFER, "slug": world.ids["worker_slug"]}
    made = world.stranger.ask("POST", f"{API}/workers/", json=offer, expect=(201,))
    assert made.json()["id"] != world.ids["worker_version"]
    assert world.ids["element_worker"] not in made.text
    body = {**filled(PAGES, world.ids), "workers": [{"worker": offer["slug"]}]}
    process = world.stranger.ask("POST", f"{API}/process/", json=body, expect=(201,))
    assert world.ids["worker_version"] not in process.text
    path = f"{API}/process/{process.json()['id']}/"
    world.stranger.ask("DELETE", path, expect=(200, 204))


def test_the_same_image_of_another_organisation_is_another_one(world: World) -> None:
    content = world.owner.ask("GET", f"{world.corpora.addresses['image']}/full/full/0/default.png")
    path, query = f"{NATIVE}/images", {"name": "own.png"}
    mine = world.owner.ask("POST", path, params=query, content=content.content, expect=(200, 201))
    theirs = world.stranger.ask("POST", path, params=query, content=content.content, expect=(201,))
    assert theirs.json()["id"] not in mine.text
    check_silent(world, "the same image", theirs)


def test_a_dataset_of_ones_own_takes_no_parts_of_another(world: World) -> None:
    own = world.ids["own_dataset"]
    for path, query in (
        (f"/datasets/{own}/elements/{world.ids['element']}/", {"set": "training"}),
        (f"/datasets/{world.ids['dataset']}/elements/{world.ids['own_element']}/", {"set": "x"}),
        (f"/datasets/{own}/sets/{world.ids['set']}/", {}),
    ):
        answer = world.stranger.http.delete(f"{API}{path}", params=query)
        assert answer.status_code == 404, f"{path} -> {answer.status_code} {answer.text}"
        check_silent(world, path, answer, *world.ids.values())


def test_an_address_of_a_part_does_not_take_what_was_not_announced(world: World) -> None:
    path = f"{world.server.url}{world.corpora.addresses['part']}"
    client = world.stranger.http
    for content in (b"", PART[:-1], PART + b"x", b"x" * len(PART)):
        answer = client.put(path, content=content)
        assert answer.status_code == 400, f"{content!r} -> {answer.status_code} {answer.text}"
