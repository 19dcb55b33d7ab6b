"""What the first of two organisations has of corpora: one of everything, and addresses without a key."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from PIL import Image

from tests.acceptance.api import Holder, Patient, User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, eventually

API = "/api/v1"
NATIVE = "/longshore/v1/corpus"
PART = b"the first part"
BODIES: dict[str, Any] = {
    # What a path ends with -> a body that would do something, had the one who sends it a right to.
    "/corpus/{id}/": {"name": "stolen"},
    "/elements/type/{id}/": {"display_name": "stolen"},
    "/element/{id}/": {"name": "stolen"},
    "/children/bulk/": {"elements": [{"type": "page", "name": "forged"}]},
    "/element/parent/{id}/": {"children": ["{element}"]},
    "/classes/": {"name": "forged"},
    "/transcription/": {"text": "forged"},
    "/transcriptions/bulk/": {
        "element_type": "page",
        "transcriptions": [{"polygon": [[0, 0], [9, 0], [9, 9]], "text": "forged"}],
    },
    "/entities/": {"type_id": "{entity_type}", "offset": 0, "length": 1},
    "/entities/bulk/": {
        "transcription_entities": [{"type_id": "{entity_type}", "offset": 0, "length": 1}]
    },
    "/metadata/": {"type": "text", "name": "forged", "value": "forged"},
    "/metadata/bulk/": {"metadata_list": [{"type": "text", "name": "forged", "value": "x"}]},
    "/embedding/": {"value": [0.5]},
    "/corpus/{id}/datasets/": {"name": "forged"},
    "/datasets/{id}/": {"name": "stolen"},
    "/sets/": {"name": "forged"},
    "/sets/{set}/": {"name": "stolen"},
    "/datasets/{id}/elements/": {"set": "{set}", "element_id": "{element}"},
    "/datasets/{id}/elements/bulk/": {"set": "{set}", "element_ids": ["{element}"]},
    "/artifacts/": {"path": "forged", "content_type": "text/plain", "size": 1},
    "/export/": {},
    "/model/{id}/versions/": {"description": "forged"},
    "/modelversion/{id}/": {"description": "stolen"},
    "/configurations/": {"configuration": {"scale": 3}},
    "/activity/": {"element_id": "{element}", "state": "started"},
    "/secrets/{name}": {"content": "forged"},
}
QUERIES = {"/datasets/{dataset}/elements/{element}/": {"set": "{set}"}}
"""What a path ends with -> the query without which it is refused before anything is looked for."""
OFFER: dict[str, Any] = {
    "version": "1",
    "configuration": {"user_configuration": {"scale": {"title": "Scale", "type": "int"}}},
}


@dataclass
class Corpora:
    """The owner's side of corpora that a stranger must not reach.

    Attributes:
        holder: the worker that runs a task, which is `held`.
        addresses: what answers without a key, by what is there: paths with a secret in them.
    """

    holder: Holder
    held: dict[str, Any]
    addresses: dict[str, str]

    @property
    def token(self) -> str:
        """What the program of the task calls the server with."""
        return str(self.held["payload"]["token"])


def filled(body: Any, ids: dict[str, str]) -> Any:
    """Return a body with ids in the place of their kinds."""
    if isinstance(body, dict):
        return {name: filled(each, ids) for name, each in body.items()}
    if isinstance(body, list):
        return [filled(each, ids) for each in body]
    if isinstance(body, str) and body.startswith("{"):
        return ids[body.strip("{}")]
    return body


def fill_corpora(
    harbour: Harbour, server: Server, owner: User, ids: dict[str, str], secret: str
) -> Corpora:
    """Let the owner have one of everything that corpora are about."""
    addresses: dict[str, str] = {}
    _corpus(owner, ids, addresses, secret)
    _results(owner, ids, secret)
    _dataset(owner, ids, secret)
    _model(owner, ids, addresses, secret)
    ids["secret"] = f"{secret}-password"
    _make(owner, f"{NATIVE}/secrets/{ids['secret']}", {"content": secret}, "PUT")
    holder = harbour.holder(
        server, elements_workers=[{**OFFER, "slug": f"{secret}-reader"}], name=f"{secret}-tasks"
    )
    held = _process(owner, holder, ids, secret)
    _artifacts(program(harbour, server, held["payload"]["token"]), ids, addresses)
    _export(owner, ids, addresses)
    return Corpora(holder, held, addresses)


def program(harbour: Harbour, server: Server, token: str) -> Patient:
    """Return the client of a program that runs as a task."""
    made = Patient(server.url, None)
    harbour.clients.append(made)
    made.http.headers["Authorization"] = f"Ponos {token}"
    return made


def look_at_corpora(owner: User, ids: dict[str, str]) -> dict[str, Any]:
    """Return what the owner sees of them, without what is another at each look."""
    corpus, element = ids["corpus"], ids["element"]
    versions = f"/workers/{ids['element_worker']}/versions/"
    paths = [
        f"/corpus/{corpus}/",
        f"/element/{element}/",
        *(
            f"/corpus/{corpus}/{what}/"
            for what in ("elements", "classes", "entity-types", "entities", "datasets", "export")
        ),
        f"/elements/{element}/parents/",
        f"/elements/{ids['folder_element']}/children/",
        *(f"/element/{element}/{what}/" for what in ("transcriptions", "metadata", "embedding")),
        f"/transcription/{ids['transcription']}/entities/",
        f"/image/{ids['image']}/",
        f"/datasets/{ids['dataset']}/",
        f"/datasets/{ids['dataset']}/elements/",
        f"/task/{ids['task']}/artifacts/",
        "/models/",
        f"/model/{ids['model']}/versions/",
        f"/secret/{quote(ids['secret'], safe='')}",
        "/workers/",
        versions,
        f"/workers/{ids['element_worker']}/configurations/",
        "/process/",
        f"/process/{ids['process']}/activities/",
        f"/process/{ids['process']}/elements/",
    ]
    found = {path: owner.get(f"{API}{path}") for path in paths}
    for each in found[versions]["results"]:
        # A worker is online for a minute after it was heard the last time.
        each.pop("online")
    path = f"/task/{ids['task']}/artifact/{quote(ids['artifact'], safe='')}"
    found[path] = owner.ask("GET", f"{API}{path}").text
    process = owner.get(f"{API}/process/{ids['process']}/")
    found["process"] = process["state"], [each["state"] for each in process["tasks"]]
    work = owner.get(f"/longshore/v1/works/{ids['task_work']}/events")
    return found | {"task": work, "secrets": owner.get(f"{NATIVE}/secrets")}


def _make(owner: User, path: str, body: Any, method: str = "POST") -> Any:
    return owner.ask(method, path, json=body, expect=(200, 201)).json()


def _path_of(address: str) -> str:
    return urlsplit(address).path


def _corpus(owner: User, ids: dict[str, str], addresses: dict[str, str], secret: str) -> None:
    types = [{"slug": "folder", "folder": True}, {"slug": "page"}]
    body = {"name": secret, "description": secret, "types": types}
    made = _make(owner, f"{API}/corpus/", body)
    ids["corpus"] = made["id"]
    new = {"slug": secret[:40], "display_name": secret, "corpus": ids["corpus"]}
    ids["element_type"] = str(_make(owner, f"{API}/elements/type/", new)["id"])
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(out, "PNG")
    image = owner.ask(
        "POST",
        f"{NATIVE}/images",
        params={"name": f"{secret}.png"},
        content=out.getvalue(),
        expect=(201,),
    ).json()
    ids["image"] = image["id"]
    addresses["image"] = _path_of(image["url"])
    # What an address has beside the id is a secret, too.
    ids["image_key"] = addresses["image"].rpartition("/")[2]
    folder = {"type": "folder", "name": secret, "corpus": ids["corpus"]}
    ids["folder_element"] = _make(owner, f"{API}/elements/create/", folder)["id"]
    page = {
        "type": "page",
        "name": secret,
        "corpus": ids["corpus"],
        "image": ids["image"],
        "parent": ids["folder_element"],
    }
    ids["element"] = _make(owner, f"{API}/elements/create/", page)["id"]


def _results(owner: User, ids: dict[str, str], secret: str) -> None:
    corpus, element = ids["corpus"], ids["element"]
    made = _make(owner, f"{API}/corpus/{corpus}/classes/", {"name": secret})
    ids["ml_class"] = made["id"]
    body: dict[str, Any] = {"element": element, "ml_class": ids["ml_class"]}
    ids["classification"] = _make(owner, f"{API}/classifications/", body)["id"]
    path = f"{API}/element/{element}/transcription/"
    ids["transcription"] = _make(owner, path, {"text": secret})["id"]
    kind = {"name": secret, "corpus": corpus}
    ids["entity_type"] = _make(owner, f"{API}/entity/types/", kind)["id"]
    entity = {"name": secret, "type_id": ids["entity_type"], "corpus": corpus}
    ids["entity"] = _make(owner, f"{API}/entity/", entity)["id"]
    path = f"{API}/transcription/{ids['transcription']}/entities/"
    _make(owner, path, {"entity": ids["entity"], "offset": 0, "length": 3})
    body = {"type": "text", "name": secret, "value": secret}
    ids["metadata"] = _make(owner, f"{API}/element/{element}/metadata/", body)["id"]
    path = f"{API}/element/{element}/embedding/"
    ids["embedding"] = _make(owner, path, {"value": [0.25, 0.5]})["id"]


def _dataset(owner: User, ids: dict[str, str], secret: str) -> None:
    ids["set"] = f"{secret}-set"
    body = {"name": secret, "description": secret, "set_names": [ids["set"]]}
    ids["dataset"] = _make(owner, f"{API}/corpus/{ids['corpus']}/datasets/", body)["id"]
    member = {"set": ids["set"], "element_id": ids["element"]}
    _make(owner, f"{API}/datasets/{ids['dataset']}/elements/", member)


def _model(owner: User, ids: dict[str, str], addresses: dict[str, str], secret: str) -> None:
    """Make a version with its archive, and one whose archive is on its way in parts."""
    ids["model"] = _make(owner, f"{API}/models/", {"name": secret, "description": secret})["id"]
    path = f"{API}/model/{ids['model']}/versions/"
    made = _make(owner, path, {"description": secret})
    ids["model_version"] = made["id"]
    content = secret.encode()
    _send(owner, made["s3_put_url"], content)
    digest = hashlib.md5(content, usedforsecurity=False)
    done = {"state": "available", "size": len(content), "hash": digest.hexdigest()}
    path = f"{API}/modelversion/{made['id']}/"
    _make(owner, path, {**done, "archive_hash": digest.hexdigest()}, "PATCH")
    addresses["archive"] = _path_of(owner.get(path)["s3_url"])
    open_path = f"{API}/model/{ids['model']}/versions/"
    ids["open_model_version"] = _make(owner, open_path, {"description": "in parts"})["id"]
    version = {"object_type": "model_version", "object_id": ids["open_model_version"]}
    ids["upload"] = _make(owner, f"{API}/upload/multipart/", version)["upload_id"]
    digest = hashlib.md5(PART, usedforsecurity=False)
    part = {
        **version,
        "upload_id": ids["upload"],
        "part_number": 1,
        "md5_hash": base64.b64encode(digest.digest()).decode(),
    }
    addresses["part"] = _path_of(_make(owner, f"{API}/upload/multipart/part/", part)["url"])


def _process(owner: User, holder: Holder, ids: dict[str, str], secret: str) -> dict[str, Any]:
    """Start a process, and let its task run with its element started; return the task's claim."""
    (worker,) = owner.get(f"{API}/workers/")["results"]
    ids["element_worker"] = worker["id"]
    path = f"{API}/workers/{worker['id']}/configurations/"
    chosen = {"name": secret, "configuration": {"scale": 2}}
    ids["configuration"] = _make(owner, path, chosen)["id"]
    run = {
        "worker": worker["slug"],
        "configuration": ids["configuration"],
        "model_version": ids["model_version"],
    }
    body = {"corpus": ids["corpus"], "element_type": "page", "name": secret, "workers": [run]}
    made = _make(owner, f"{API}/process/", {**body, "queue": True})
    ids["process"] = made["id"]
    ids["process_at_rest"] = _make(owner, f"{API}/process/", body)["id"]
    made = _make(owner, f"{API}/process/{ids['process']}/start/", None)
    (run,) = made["workers"]
    ids |= {"worker_run": run["id"], "worker_version": run["worker_version"]["id"]}
    (held,) = holder.claim(wait_s=1.0)
    ids |= {"task": held["payload"]["task_id"], "task_work": held["work_id"]}
    return held


def _artifacts(task: Patient, ids: dict[str, str], addresses: dict[str, str]) -> None:
    """Let the task's program begin its element, leave a file, and be about to leave another."""
    secret = ids["secret"]
    said = {"element_id": ids["element"], "state": "started"}
    task.ask("PUT", f"{API}/workers/versions/{ids['worker_run']}/activity/", json=said)
    ids["artifact"] = f"out/{secret}.txt"
    path = f"{API}/task/{ids['task']}/artifacts/"
    for name in (ids["artifact"], "out/another"):
        new = {"path": name, "content_type": "text/plain", "size": len(secret)}
        address = task.ask("POST", path, json=new, expect=(201,)).json()["s3_put_url"]
        if name == ids["artifact"]:
            _send(task, address, secret.encode(), "text/plain")
        else:
            addresses["upload"] = _path_of(address)


def _export(owner: User, ids: dict[str, str], addresses: dict[str, str]) -> None:
    path = f"{API}/corpus/{ids['corpus']}/export/"
    ids["export"] = _make(owner, path, {})["id"]

    def done() -> bool:
        (found,) = owner.get(path)["results"]
        return bool(found["state"] == "done")

    eventually(done, 20.0, "the corpus is exported")
    led = owner.ask("GET", f"{API}/export/{ids['export']}/", expect=(302,))
    addresses["export"] = _path_of(led.headers["location"])


def _send(client: Patient, address: str, content: bytes, kind: str | None = None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    sent = httpx.put(
        f"{client.http.base_url}".rstrip("/") + _path_of(address),
        content=content,
        headers=headers,
        trust_env=False,
    )
    assert sent.status_code == 200, sent.text
