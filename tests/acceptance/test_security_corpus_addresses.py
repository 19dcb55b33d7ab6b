"""Addresses of corpora that need no key: what is in them is the permission, and for a while only."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Connection, update

from longshore.storage import open_database
from longshore.surfaces.corpus.tables import corpus_links, corpus_uploads
from tests.acceptance.conftest import Harbour
from tests.acceptance.tenancy import CANARY, World, Worlds
from tests.acceptance.tenancy_corpus import API, PART

SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
IMAGE_SECRET = re.compile(r"[A-Za-z0-9_-]{22}")
OTHER = "A" * 43
KINDS = ("archive", "export", "upload", "part")


@pytest.fixture(scope="module")
def world(module_harbour: Harbour, worlds: Worlds) -> World:
    return worlds.open(module_harbour)


@pytest.fixture
def anyone(world: World) -> Iterator[httpx.Client]:
    """Somebody without a key."""
    with httpx.Client(base_url=world.server.url, trust_env=False, timeout=20.0) as client:
        yield client


def _call(client: httpx.Client, kind: str, path: str) -> httpx.Response:
    if kind in ("upload", "part"):
        content = PART if kind == "part" else b"x"
        return client.put(path, content=content, headers={"Content-Type": "text/plain"})
    return client.get(path)


def _words(answer: httpx.Response) -> str:
    told = answer.json()
    return f"{answer.status_code} {told['detail']} {sorted(told)}"


@pytest.mark.parametrize("kind", KINDS)
def test_another_secret_opens_nothing_and_no_answer_tells_how_near_it_is(
    world: World, anyone: httpx.Client, kind: str
) -> None:
    path = world.corpora.addresses[kind]
    found = SECRET.search(path)
    assert found is not None, "an address holds 256 random bits"
    right = found[0]
    last = "A" if right[-1] != "A" else "E"
    wrong = [OTHER, right[:-1] + last, right[:-1], right + "A", right.swapcase(), right[:1], "%20"]
    # What is kept of it, and the ids of what it is for, are no secrets.
    wrong += [world.ids["export"], world.ids["task"], world.ids["upload"]]
    told = set()
    for each in wrong:
        answer = _call(anyone, kind, path.replace(right, each))
        assert answer.status_code == 404, f"{each} -> {answer.status_code} {answer.text}"
        assert CANARY not in answer.text
        told.add(_words(answer))
    assert len(told) == 1, told
    # Neither does a key of another organisation, nor that of an address of another kind.
    headers = world.stranger.http.headers
    assert anyone.get(path.replace(right, OTHER), headers=headers).status_code in (404, 405)
    for other in KINDS:
        theirs = SECRET.search(world.corpora.addresses[other])
        assert theirs is not None
        if other != kind and {kind, other} != {"archive", "export"}:
            answer = _call(anyone, kind, path.replace(right, theirs[0]))
            assert answer.status_code == 404, f"that of the {other} -> {answer.status_code}"
    assert world.look() == world.seen


def test_an_image_is_served_at_its_whole_address_only(world: World, anyone: httpx.Client) -> None:
    base = world.corpora.addresses["image"]
    root, _, key = base.rpartition("/")
    image_id, _, secret = key.partition(".")
    assert IMAGE_SECRET.fullmatch(secret), "an address holds 128 random bits"
    unknown = "018f0000-0000-7000-8000-000000000000"
    part = "full/full/0/default.png"
    assert anyone.get(f"{base}/{part}").status_code == 200
    told = set()
    for each in (
        image_id,
        f"{image_id}.",
        f"{image_id}.{OTHER}",
        f"{image_id}.{secret[:-1]}",
        f"{image_id}.{secret}A",
        f"{image_id}.{secret.swapcase()}",
        f"{unknown}.{secret}",
        f".{secret}",
        secret,
        f"{unknown}.{OTHER}",
        world.ids["element"],
    ):
        for rest in ("", "/", "/info.json", f"/{part}"):
            answer = anyone.get(f"{root}/{each}{rest}")
            assert answer.status_code == 404, f"{each}{rest} -> {answer.status_code}"
            assert image_id not in answer.text.replace(each, "")
            told.add(answer.json()["detail"])
    assert len(told) == 1, told
    # A page that is told of to another organisation tells of no secret.
    shown = world.stranger.http.get(f"{API}/image/{image_id}/")
    assert (shown.status_code, secret in shown.text) == (404, False)


@pytest.mark.parametrize("kind", [*KINDS, "image"])
def test_an_address_is_good_for_one_thing(world: World, anyone: httpx.Client, kind: str) -> None:
    path = world.corpora.addresses[kind]
    if kind == "image":
        path += "/full/full/0/default.png"
    good = "PUT" if kind in ("upload", "part") else "GET"
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        if method != good:
            answer = anyone.request(method, path, content=b"x")
            assert answer.status_code in (404, 405), f"{method} -> {answer.status_code}"
    assert world.look() == world.seen


def test_addresses_are_written_into_no_log(world: World, anyone: httpx.Client) -> None:
    for kind in ("archive", "export"):
        assert anyone.get(world.corpora.addresses[kind]).status_code == 200
    image = f"{world.corpora.addresses['image']}/full/full/0/default.png"
    assert anyone.get(image).status_code == 200
    log = world.server.log
    for kind in KINDS:
        found = SECRET.search(world.corpora.addresses[kind])
        assert found is not None
        assert found[0] not in log, f"the secret of the {kind}"
    assert world.ids["image_key"] not in log
    assert world.corpora.token.split("_", 2)[2] not in log


def test_an_address_ends_with_its_time_and_with_its_bytes(harbour: Harbour, worlds: Worlds) -> None:
    world = worlds.open(harbour)
    addresses = world.corpora.addresses
    with httpx.Client(base_url=world.server.url, trust_env=False, timeout=20.0) as client:
        for kind in ("archive", "export"):
            assert _call(client, kind, addresses[kind]).status_code == 200
        text = CANARY + "-password"
        headers = {"Content-Type": "text/plain"}
        for status in (200, 404):
            answer = client.put(addresses["upload"], content=text, headers=headers)
            assert answer.status_code == status, "it takes its bytes once"
    world.server.stop()
    _expire(world)
    world.server.start()
    with httpx.Client(base_url=world.server.url, trust_env=False, timeout=20.0) as client:
        for kind in KINDS:
            answer = _call(client, kind, addresses[kind])
            assert answer.status_code == 404, f"{kind} -> {answer.status_code} {answer.text}"


def _expire(world: World) -> None:
    """Let the time of all addresses be over."""

    def change(connection: Connection) -> None:
        connection.execute(update(corpus_links).values(expires_us=1))
        connection.execute(update(corpus_uploads).values(expires_us=1))

    opened = open_database(world.server.database)
    try:
        opened.write_blocking(change)
    finally:
        opened.close()
