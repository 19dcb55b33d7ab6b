"""X8 and X9 for corpora: names that leave their place, and bombs."""

from __future__ import annotations

import hashlib
import io
import secrets
import struct
import sys
import tarfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import psutil
import pytest
import zstandard
from PIL import Image

from tests.acceptance import raw
from tests.acceptance.api import Patient, User
from tests.acceptance.conftest import Harbour
from tests.acceptance.corpora import Archivist
from tests.acceptance.harness import Server, WorkerProcess
from tests.acceptance.tenancy_corpus import API, NATIVE, OFFER, program
from tests.acceptance.test_security_bodies import Neighbour
from tests.acceptance.test_security_paths import REFUSALS, TARGETS

MIB = 1024 * 1024
GROWTH_BYTES = 300 * MIB
"""So much more memory may the server take for an image that says it is enormous."""
ESCAPED = "escaped.txt"


def _corpus(user: User) -> tuple[str, str]:
    """Make a corpus with a page; return their ids."""
    body: dict[str, Any] = {"name": secrets.token_hex(4), "types": [{"slug": "page"}]}
    corpus = str(user.post(f"{API}/corpus/", body, expect=(201,))["id"])
    body = {"type": "page", "name": "page", "corpus": corpus}
    return corpus, str(user.post(f"{API}/elements/create/", body, expect=(201,))["id"])


@pytest.fixture
def task(harbour: Harbour, server: Server, user: User) -> tuple[Patient, str]:
    """The program of a task that runs, and the path of the task's files."""
    holder = harbour.holder(server, elements_workers=[{**OFFER, "slug": "leaver"}])
    corpus, page = _corpus(user)
    body = {"corpus": corpus, "elements": [page], "workers": [{"worker": "leaver"}]}
    process = user.post(f"{API}/process/", body, expect=(201,))["id"]
    user.post(f"{API}/process/{process}/start/")
    (held,) = holder.claim(wait_s=1.0)
    payload = held["payload"]
    return program(harbour, server, payload["token"]), f"{API}/task/{payload['task_id']}"


def _outside(server: Server) -> dict[str, bytes]:
    """Return what lies beside the data directory, and in it beside database, logs and blobs."""
    skipped = ("longshore.db", ".log")
    return {
        str(path): path.read_bytes()
        for path in server.data.parent.rglob("*")
        if path.is_file()
        and not path.is_relative_to(server.data / "blobs")
        and not any(word in path.name for word in skipped)
    }


def test_the_path_of_an_artifact_is_never_a_path_of_the_server(
    server: Server, task: tuple[Patient, str]
) -> None:
    client, root = task
    before, taken = _outside(server), set()
    for what, target in TARGETS.items():
        name = unquote(target, errors="surrogateescape").encode("utf-8", "replace").decode()
        body = {"path": name, "content_type": "text/plain", "size": 5}
        answer = client.http.post(f"{root}/artifacts/", json=body)
        if answer.status_code != 201:
            assert answer.status_code in REFUSALS, f"{what} -> {answer.status_code} {answer.text}"
            continue
        address = urlsplit(answer.json()["s3_put_url"]).path
        assert name not in address, what
        headers = {"Content-Type": "text/plain"}
        sent = client.http.put(address, content=b"hello", headers=headers)
        assert sent.status_code == 200, f"{what} -> {sent.status_code} {sent.text}"
        taken.add(name)
    listed = {each["path"] for each in client.http.get(f"{root}/artifacts/").json()}
    assert listed == taken, "a path is taken as it is, or not at all"
    assert not any(".." in name.split("/") or name.startswith("/") for name in taken)
    assert not any("\\" in name or "\x00" in name for name in taken)
    assert _outside(server) == before


def test_no_spelling_of_a_path_downloads_a_file_of_the_server(
    server: Server, task: tuple[Patient, str]
) -> None:
    _, root = task
    for up in ("../", "..%2F", "%2e%2e/", "%2e%2e%2f", "..%5C", "%252e%252e%252f", "/", "%2F"):
        for name in ("longshore.db", "credentials.json", "secret.key", "etc/passwd"):
            for times in (1, 3, 8):
                target = f"{root}/artifact/{up * times}{name}"
                answer = raw.ask(server, "GET", target, key=server.key)
                assert answer.status in REFUSALS | {401, 405}, f"{target} -> {answer.status}"
                assert b"SQLite" not in answer.body, target
                assert server.key.encode() not in answer.body, target


def _packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return zstandard.compress(out.getvalue())


def _link(target: str, kind: bytes) -> tarfile.TarInfo:
    made = tarfile.TarInfo("innocent")
    made.type, made.linkname = kind, target
    return made


ARCHIVES = {
    "above": _packed((tarfile.TarInfo(f"../../{ESCAPED}"), b"x")),
    "far above": _packed((tarfile.TarInfo(f"a/../../../{ESCAPED}"), b"x")),
    "link": _packed((_link("/etc", tarfile.SYMTYPE), b"")),
    "link and what is below": _packed(
        (_link("../..", tarfile.SYMTYPE), b""), (tarfile.TarInfo(f"innocent/{ESCAPED}"), b"x")
    ),
    "hard link": _packed((_link("/etc/passwd", tarfile.LNKTYPE), b"")),
    "device": _packed((_link("", tarfile.CHRTYPE), b"")),
}


def _version(user: User, archive: bytes, name: str) -> str:
    """Publish a version of a model; return its id."""
    model = user.post(f"{API}/models/", {"name": name}, expect=(201,))["id"]
    made = user.post(f"{API}/model/{model}/versions/", {}, expect=(201,))
    headers = {"Content-Type": "application/zstd"}
    address = urlsplit(made["s3_put_url"]).path
    user.ask("PUT", address, content=archive, headers=headers)
    digest = hashlib.md5(archive, usedforsecurity=False).hexdigest()
    done = {"state": "available", "size": len(archive), "hash": digest, "archive_hash": digest}
    user.ask("PATCH", f"{API}/modelversion/{made['id']}/", json=done)
    return str(made["id"])


def test_the_archive_of_a_model_leaves_nothing_outside_of_the_directory_of_its_task(
    harbour: Harbour, server: Server, user: User
) -> None:
    place = harbour.directory / "tasks"
    place.mkdir()
    command = f"unpacker={sys.executable} -c pass"
    worker = WorkerProcess(
        harbour.directory,
        "unpacker",
        harbour.mark,
        server,
        options=["--task", command, "--tasks-dir", str(place)],
    )
    harbour.commands.append(worker)
    worker.start()
    archivist = Archivist(server)
    harbour.clients.append(archivist)
    archivist.wait_for("unpacker")
    corpus, page = _corpus(user)
    fine = _packed((tarfile.TarInfo("model.bin"), b"weights"))
    for name, archive in {**ARCHIVES, "fine": fine}.items():
        run = {"worker": "unpacker", "model_version": _version(user, archive, name)}
        body = {"corpus": corpus, "elements": [page], "workers": [run], "activity": False}
        process = user.post(f"{API}/process/", body, expect=(201,))["id"]
        user.post(f"{API}/process/{process}/start/")
        state = archivist.finish(process)["state"]
        assert (state == "completed") == (name == "fine"), f"{name}: {state}\n{worker.tail()}"
    assert not [path for path in harbour.directory.rglob("*") if path.name == ESCAPED]
    assert not [path for path in server.data.parent.rglob("*") if path.name == ESCAPED]
    assert worker.running


def test_the_server_unpacks_no_archive_that_it_is_sent(server: Server, user: User) -> None:
    bomb = zstandard.compress(bytes(1024 * MIB), 3)
    assert len(bomb) < MIB
    with Neighbour(server), _memory(server):
        version = _version(user, bomb, "bomb")
        path = urlsplit(user.get(f"{API}/modelversion/{version}/")["s3_url"]).path
        assert httpx.get(f"{server.url}{path}", trust_env=False).content == bomb


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def _png(width: int, height: int, pixels: bytes, *more: bytes) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = b"".join(more) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + body


def _zeros(size_bytes: int) -> bytes:
    return zlib.compress(bytes(size_bytes), 9)


def _bombs() -> dict[str, bytes]:
    text = _chunk(b"zTXt", b"Comment\0\0" + _zeros(512 * MIB))
    return {
        "says it is enormous": _png(60_000, 60_000, b""),
        "says it is as large as can be": _png(2**31 - 1, 2**31 - 1, b""),
        "is long and thin": _png(2**20, 1, b""),
        "is packed a thousand times": _png(9_900, 9_900, _zeros(9_900 * 9_901)),
        "has a text that fills the memory": _png(9, 9, _zeros(90), text),
    }


@contextmanager
def _memory(server: Server) -> Iterator[None]:
    """Check that the server does not take much more memory while this goes on."""
    process, done, most = psutil.Process(server.pid), threading.Event(), [0]

    def look() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], process.memory_info().rss)

    before = process.memory_info().rss
    watcher = threading.Thread(target=look, name="memory")
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    assert most[0] - before < GROWTH_BYTES, f"{(most[0] - before) / MIB:.0f} MiB more"


def _stored(server: Server) -> set[Path]:
    return {path for path in (server.data / "blobs").rglob("*") if path.is_file()}


def test_an_image_that_is_a_bomb_is_refused_before_it_is_unpacked(
    server: Server, user: User
) -> None:
    before = _stored(server)
    with Neighbour(server), _memory(server):
        for what, content in _bombs().items():
            assert len(content) < MIB, what
            answer = user.http.post(f"{NATIVE}/images", params={"name": what}, content=content)
            assert answer.status_code in (400, 413), f"{what} -> {answer.status_code}"
            assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert _stored(server) == before


def test_an_image_with_more_pixels_than_it_says_takes_no_more_memory(
    server: Server, user: User
) -> None:
    content = _png(100, 100, _zeros(900 * MIB))
    with Neighbour(server), _memory(server):
        answer = user.http.post(f"{NATIVE}/images", params={"name": "more"}, content=content)
        assert answer.status_code in (201, 400, 413), answer.text
        if answer.status_code == 201:
            base = urlsplit(answer.json()["url"]).path
            served = user.http.get(f"{base}/full/full/0/default.jpg")
            assert served.status_code in (200, 400, 413, 422), served.text


@pytest.mark.parametrize("version", ["2", "3"])
def test_no_address_of_an_image_asks_for_more_pixels_than_are_served(
    server: Server, user: User, version: str
) -> None:
    content = _png(40, 30, zlib.compress(bytes(41 * 30)))
    made = user.ask(
        "POST",
        f"{NATIVE}/images",
        params={"name": "small"},
        content=content,
        expect=(200, 201),
    ).json()
    base = urlsplit(made["url"]).path.replace("/iiif/2/", f"/iiif/{version}/")
    sizes = [
        "60000,",
        ",60000",
        "99999,99999",
        "pct:9999999",
        "9" * 4000 + ",",
        "1e9,",
        "-1,",
        "0,",
    ]
    sizes += [f"^{size}" for size in sizes] + ["!99999,99999", "^!99999,99999", "nan,", "pct:nan"]
    regions = ["full", "square", "0,0,1,1", "0,0,0,0", "-5,-5,9,9", "9" * 4000 + ",0,1,1"]
    regions += ["pct:0,0,nan,inf", "pct:0,0,1e400,1", "39,29,99999999999,9"]
    rotations = ["0", "1e400", "nan", "!90", "-90", "9" * 4000]
    with Neighbour(server), _memory(server):
        asked = [("full", size, "0") for size in sizes]
        asked += [(region, "60000,60000", "0") for region in regions]
        asked += [("full", "full" if version == "2" else "max", each) for each in rotations]
        for region, size, rotation in asked:
            path = f"{base}/{region}/{size}/{rotation}/default.jpg"
            answer = httpx.get(f"{server.url}{path}", trust_env=False)
            if answer.status_code == 200:
                # In version 3, "!w,h" is no larger than the image.
                with Image.open(io.BytesIO(answer.content)) as image:
                    assert image.width * image.height <= 40 * 30, path
            else:
                assert answer.status_code in (400, 404, 413, 414, 431, 501), path[:200]
