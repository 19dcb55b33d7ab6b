"""Elements: made one by one and many at once, told of, changed, and refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longshore import ids
from longshore.surfaces.corpus.tables import corpus_elements, corpus_paths
from tests.surfaces.corpus_rig import Corpora
from tests.surfaces.results_corpus_rig import UNKNOWN, Results, results_of

TABLES = [corpus_elements, corpus_paths]
BOX = [[100, 150], [700, 150], [700, 200], [100, 200]]


@pytest.fixture
def results(corpora: Corpora) -> Results:
    return results_of(corpora)


def line(name: str = "l", **more: Any) -> dict[str, Any]:
    return {"type": "text_line", "name": name, "polygon": BOX, **more}


def bulk(results: Results, page: int = 0) -> str:
    return f"/element/{results.pages[page]}/children/bulk/"


async def test_an_element_is_told_of_with_all_that_the_protocol_has(results: Results) -> None:
    body = line("first", confidence=0.5, worker_run_id=results.run)
    body |= {"corpus": results.corpus, "parent": results.pages[0], "image": None}
    made = await results.make("/elements/create/", body)
    page = await results.call("GET", f"/element/{results.pages[0]}/")
    image = page["zone"]["image"]
    assert image["width"] == 1000
    assert image["height"] == 800
    assert {"id", "path", "width", "height", "url", "s3_url", "status", "server"} <= set(image)
    assert {"display_name", "url", "max_width", "max_height", "version"} <= set(image["server"])
    found = await results.call("GET", f"/element/{made['id']}/")
    assert found == made
    assert found.pop("created")
    assert found.pop("updated")
    assert found == {
        "id": made["id"],
        "type": "text_line",
        "name": "first",
        "corpus": {"id": results.corpus, "name": "letters", "public": False},
        "rotation_angle": 0,
        "mirrored": False,
        "confidence": 0.5,
        "creator": found["creator"],
        "worker_run_id": results.run,
        "worker_run": {"id": results.run, "summary": "reader 1"},
        "worker_version_id": results.version,
        "worker_version": results.version,
        "classes": [],
        "metadata": [],
        "has_children": False,
        "thumbnail_url": f"{image['url']}/100,150,600,50/,400/0/default.jpg",
        "zone": {
            "id": made["id"],
            "polygon": [*BOX, BOX[0]],
            "url": f"{image['url']}/100,150,600,50/full/0/default.jpg",
            "image": image,
        },
    }
    assert found["creator"]
    assert page["has_children"] is True


async def test_many_elements_are_made_below_another_in_order(results: Results) -> None:
    body = {
        "worker_run_id": results.run,
        "elements": [line(str(number), confidence=0.25) for number in range(250)],
    }
    made = await results.make(bulk(results), body)
    assert [set(each) for each in made] == [{"id"}] * 250
    again = await results.make(bulk(results), {"elements": [line("last")]})
    listed = await results.call(
        "GET", f"/elements/{results.pages[0]}/children/", params={"page_size": 500}
    )
    assert listed["count"] == 251
    assert listed["number"] == 1
    assert listed["next"] is None
    assert [each["id"] for each in listed["results"]] == [each["id"] for each in [*made, *again]]
    assert [each["name"] for each in listed["results"]][:2] == ["0", "1"]
    assert listed["results"][0]["worker_run_id"] == results.run
    assert listed["results"][0]["confidence"] == 0.25
    assert listed["results"][-1]["worker_run_id"] is None


async def test_what_a_worker_run_makes_again_is_made_once(results: Results) -> None:
    body = {"worker_run_id": results.run, "elements": [line("a"), line("a"), line("b")]}
    first = await results.make(bulk(results), body)
    # Twice the same in one call are two; the next attempt has them all again, and one more.
    body["elements"] = [line("b"), line("a"), line("c"), line("a", confidence=0.5), line("a")]
    again = await results.make(bulk(results), body)
    assert [again[1], again[3], again[0]] == first
    assert len({each["id"] for each in [*first, *again]}) == 5
    one = {**line("c"), "corpus": results.corpus, "parent": results.pages[0]}
    made = await results.make("/elements/create/", {**one, "worker_run_id": results.run})
    assert made["id"] == again[2]["id"]
    known = {each["id"] for each in [*first, *again]}
    # Another place, another type, another page, or a person: those are others.
    for changed in (
        {"polygon": BOX[:3]},
        {"type": "page"},
        {"parent": results.pages[1]},
        {"worker_run_id": None},
        {"worker_run_id": None},
    ):
        other = await results.make(
            "/elements/create/", {**one, "worker_run_id": results.run, **changed}
        )
        assert other["id"] not in known
        known.add(other["id"])
    listed = await results.call("GET", f"/elements/{results.pages[0]}/children/")
    assert [each["id"] for each in listed["results"][:5]] == [
        *(each["id"] for each in first), again[2]["id"], again[4]["id"],
    ]  # fmt: skip


async def test_elements_take_the_image_of_the_one_above_and_how_it_is_turned(
    results: Results,
) -> None:
    page = results.pages[0]
    await results.call("PATCH", f"/element/{page}/", body={"rotation_angle": 90, "mirrored": True})
    other = results.corpora.image(50, 60)
    body = {"elements": [line("a"), line("b", rotation_angle=10, mirrored=False)]}
    body["elements"].append({"type": "page", "name": "c", "image": other})
    body["elements"].append({"type": "folder", "name": "d"})
    made = [each["id"] for each in await results.make(bulk(results), body)]
    shown = [await results.call("GET", f"/element/{each}/") for each in made]
    assert [(each["rotation_angle"], each["mirrored"]) for each in shown] == [
        (90, True), (10, False), (0, False), (0, False),
    ]  # fmt: skip
    upright = shown[0]["zone"]
    # The client turns what it opens; a thumbnail is looked at as it comes.
    assert upright["url"].endswith("/100,150,600,50/full/0/default.jpg")
    assert shown[0]["thumbnail_url"].endswith("/100,150,600,50/,400/!90/default.jpg")
    assert shown[2]["zone"]["polygon"] == [[0, 0], [50, 0], [50, 60], [0, 60], [0, 0]]
    assert shown[2]["zone"]["url"].endswith("/0,0,50,60/full/0/default.jpg")
    assert shown[3]["zone"] is None
    assert shown[3]["thumbnail_url"] is None


@pytest.mark.parametrize(
    ("wrong", "names", "words"),
    [
        ({"type": "text_lin"}, ["type"], ["'text_lin'", "'text_line'"]),
        ({"type": "zzz"}, ["type"], ["'zzz'", "'folder', 'page', 'text_line'"]),
        ({"type": None}, ["type"], []),
        ({"polygon": [[0, 0], [10, 10]]}, ["polygon"], ["fewer than three"]),
        ({"polygon": [[0, 0], [10, 0], [5, 801]]}, ["polygon"], ["[5, 801]", "1000 x 800"]),
        ({"polygon": [[-1, 0], [10, 0], [5, 8]]}, ["polygon"], ["[-1, 0]"]),
        ({"polygon": [[0, 0], [10, 0, 1], [5, 8]]}, ["polygon"], ["point 1"]),
        ({"polygon": [[0, 0], ["x", 0], [5, 8]]}, ["polygon", 1, 0], []),
        ({"confidence": 1.2}, ["confidence"], ["1.0"]),
        ({"confidence": -0.1}, ["confidence"], []),
        ({"confidence": "high"}, ["confidence"], []),
        ({"name": ""}, ["name"], []),
        ({"name": "  "}, ["name"], ["blank"]),
        ({"name": "x" * 256}, ["name"], []),
        ({"image": UNKNOWN}, ["image"], [UNKNOWN]),
        ({"image": "scan.jpg"}, ["image"], ["'scan.jpg' is no UUID"]),
        ({"rotation_angle": 360}, ["rotation_angle"], []),
        ({"mirrored": "yes"}, ["mirrored"], []),
    ],
)
async def test_what_cannot_be_an_element_is_refused_with_its_field(
    results: Results, wrong: dict[str, Any], names: list[Any], words: list[str]
) -> None:
    many = {"elements": [line("good"), line("bad") | wrong, line("good")]}
    answer = await results.refused(
        bulk(results), many, names=["elements", 1, *names], tables=TABLES
    )
    for word in words:
        assert word in answer["detail"], answer["detail"]
    one = {**line("bad"), "corpus": results.corpus, "parent": results.pages[0], **wrong}
    await results.refused("/elements/create/", one, names=names, tables=TABLES)
    if names == ["type"] and wrong["type"] is None:
        return
    page = f"/element/{results.pages[0]}/"
    before = results.rows(corpus_elements)
    answer = await results.call("PATCH", page, body=wrong, expect=400)
    assert answer["errors"][0]["attr"] == names, json.dumps(answer)
    assert results.rows(corpus_elements) == before


async def test_what_an_element_is_made_in_has_to_be_there(results: Results) -> None:
    other = results.corpora.corpus("other")
    elsewhere = results.corpora.elements(other, ["x"])[0]
    organisation, _ = results.corpora.served.other_organisation()
    foreign = results.corpora.corpus("foreign", organisation_id=organisation.id)
    good = {**line(), "corpus": results.corpus, "parent": results.pages[0]}
    for field, value, word in (
        ("corpus", UNKNOWN, UNKNOWN),
        ("corpus", foreign, foreign),
        ("corpus", "letters", "is no UUID"),
        ("parent", UNKNOWN, UNKNOWN),
        ("parent", "page 1", "is no UUID"),
        ("parent", elsewhere, "another corpus"),
        ("worker_run_id", UNKNOWN, UNKNOWN),
        ("worker_run_id", "mine", "is no UUID"),
    ):
        answer = await results.refused(
            "/elements/create/", {**good, field: value}, names=[field], tables=TABLES
        )
        assert word in answer["detail"]
    missing = dict(good)
    missing.pop("corpus")
    await results.refused("/elements/create/", missing, names=["corpus"], tables=TABLES)
    # A polygon needs an image, which the folder has not.
    answer = await results.refused(
        f"/element/{results.folder}/children/bulk/",
        {"elements": [line()]},
        names=["elements", 0, "polygon"],
        tables=TABLES,
    )
    assert "without an image" in answer["detail"]
    await results.refused(bulk(results), {"elements": []}, names=["elements"], tables=TABLES)
    for strange in (UNKNOWN, "no-id", ids.uuid()):
        path = f"/element/{strange}/children/bulk/"
        await results.call("POST", path, body={"elements": [line()]}, expect=404)
        await results.call("GET", f"/element/{strange}/", expect=404)
        await results.call("PATCH", f"/element/{strange}/", body={"name": "x"}, expect=404)
        await results.call("DELETE", f"/element/{strange}/", expect=404)


async def test_an_element_is_changed_in_what_is_given_only(results: Results) -> None:
    page = results.pages[0]
    before = await results.call("GET", f"/element/{page}/")
    same = await results.call("PATCH", f"/element/{page}/", body={})
    assert {**same, "updated": 0} == {**before, "updated": 0}
    changes = {"name": "new", "type": "folder", "confidence": 0.5, "rotation_angle": 270}
    changed = await results.call("PATCH", f"/element/{page}/", body=changes)
    assert {**changed, "updated": 0, "thumbnail_url": 0} == {
        **before, **changes, "updated": 0, "thumbnail_url": 0,
    }  # fmt: skip
    moved = await results.call("PATCH", f"/element/{page}/", body={"polygon": BOX})
    assert moved["zone"]["polygon"] == [*BOX, BOX[0]]
    assert moved["zone"]["image"] == before["zone"]["image"]
    whole = await results.call("PATCH", f"/element/{page}/", body={"polygon": None})
    assert whole["zone"]["polygon"][2] == [1000, 800]
    other = results.corpora.image(30, 20)
    elsewhere = await results.call("PATCH", f"/element/{page}/", body={"image": other})
    assert elsewhere["zone"]["image"]["id"] == other
    assert elsewhere["zone"]["polygon"][2] == [30, 20]
    none = await results.call(
        "PATCH", f"/element/{page}/", body={"image": None, "confidence": None}
    )
    assert none["zone"] is None
    assert none["confidence"] is None
    await results.call("PATCH", f"/element/{page}/", body={"polygon": BOX}, expect=400)


async def test_what_is_below_on_the_same_image_is_turned_with_an_element(
    results: Results,
) -> None:
    body = {
        "elements": [line("like"), line("unlike", rotation_angle=90), {"type": "page", "name": "n"}]
    }
    like, unlike, bare = [each["id"] for each in await results.make(bulk(results), body)]
    deeper = await results.make(f"/element/{like}/children/bulk/", {"elements": [line("deep")]})
    page = results.pages[0]
    await results.call("PATCH", f"/element/{page}/", body={"rotation_angle": 180, "mirrored": True})
    turned = {
        row["id"]: (row["rotation_angle"], row["mirrored"]) for row in results.rows(corpus_elements)
    }
    assert turned[page] == turned[like] == turned[deeper[0]["id"]] == (180, True)
    assert turned[unlike] == (90, False)
    assert turned[bare] == turned[results.pages[1]] == (0, False)


async def test_nobody_reaches_the_elements_of_another_organisation(results: Results) -> None:
    _, token = results.corpora.served.other_organisation()
    headers = {"Authorization": f"Bearer {token}"}
    page, folder = results.pages[0], results.folder
    for method, path, body in (
        ("GET", f"/element/{page}/", None),
        ("PATCH", f"/element/{page}/", {"name": "x"}),
        ("DELETE", f"/element/{page}/", None),
        ("POST", bulk(results), {"elements": [line()]}),
        ("POST", f"/element/{page}/parent/{folder}/", None),
        ("DELETE", f"/element/{page}/parent/{folder}/", None),
        ("POST", f"/element/parent/{folder}/", {"children": [page]}),
        ("GET", f"/elements/{folder}/children/", None),
        ("GET", f"/elements/{page}/parents/", None),
        ("GET", f"/corpus/{results.corpus}/elements/", None),
    ):
        mine = await results.call(method, path, body=body, headers=headers, expect=404)
        unknown = path.replace(page, UNKNOWN).replace(folder, UNKNOWN)
        unknown = unknown.replace(results.corpus, UNKNOWN)
        other = await results.call(method, unknown, body=body, headers=headers, expect=404)
        words = mine["detail"]
        for each in (page, folder, results.corpus):
            words = words.replace(each, UNKNOWN)
        assert words == other["detail"]
