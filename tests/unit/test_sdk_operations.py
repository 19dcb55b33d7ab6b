"""Works, logs, queues, keys, the drive and the server itself over the wire, in both colours."""

from __future__ import annotations

import json as json_module
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore import errors
from longshore.limits import PAGE_ROWS
from longshore.sdk import Client, WorkState
from tests.unit.sdk_support import COLOURS, Script, client, close, gather, json, settle

COUNTS = {"submitted": 4, "done": 1, "failed": 1, "cancelled": 0, "pending": 2, "by_state": {}}


def work(id: str, state: str = "running", **more: Any) -> dict[str, Any]:  # noqa: A002
    final = state in {"success", "failure", "cancelled"}
    body = {
        "id": id,
        "queue": 3,
        "group": "rn_1",
        "state": state,
        "reason": "claimed",
        "final": final,
        "attempt": 1,
        "attempts_max": 3,
        "created": "2026-11-20T12:00:00.250Z",
    }
    return {**body, **more}


def lines(first: int, *texts: str, ended: bool) -> httpx.Response:
    found = [
        {"seq": seq, "attempt": 1, "at": "2026-11-20T12:00:01Z", "stream": "stdout", "text": text}
        for seq, text in enumerate(texts, start=first)
    ]
    return json({"lines": found, "next": first + len(texts) - 1, "ended": ended})


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_work_is_read_with_aware_times(colour: Any) -> None:
    used = client(colour, Script(json(work("wk_1"))))
    found = await settle(used.works.get("wk_1"))
    await close(used)
    assert found.state is WorkState.RUNNING
    assert (found.queue_id, found.group_id) == (3, "rn_1")
    assert found.created_at == datetime(2026, 11, 20, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.mark.parametrize("colour", COLOURS)
async def test_events_tell_from_where_to_where(colour: Any) -> None:
    event = {
        "seq": 1,
        "at": "2026-11-20T12:00:00Z",
        "attempt": 0,
        "from": None,
        "to": "queued",
        "reason": "submitted",
        "actor": "ky_1",
        "detail": None,
    }
    used = client(colour, Script(json({"events": [event]})))
    (found,) = await settle(used.works.events("wk_1"))
    await close(used)
    assert (found.from_state, found.to_state, found.reason) == (None, "queued", "submitted")


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_work_is_asked_why(colour: Any) -> None:
    answer = {"work_id": "wk_1", "state": "queued", "reason": "submitted", "text": "no worker"}
    script = Script(json({**answer, "facts": {"workers_online": 0}}))
    used = client(colour, script)
    why = await settle(used.why("wk_1"))
    await close(used)
    assert (why.id, why.text, why.facts) == ("wk_1", "no worker", {"workers_online": 0})
    assert script.paths == ["GET /longshore/v1/works/wk_1/why"]


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_run_is_explained_by_one_work_of_each_kind(colour: Any) -> None:
    works = [
        work("wk_1", "success", reason="done"),
        work("wk_2", "queued", reason="submitted"),
        work("wk_3", "queued", reason="submitted"),
        work("wk_4", "failure", reason="failed"),
    ]
    asked: list[str] = []

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/groups/rn_1/works"):
            return json({"counts": COUNTS, "works": works})
        work_id = request.url.path.split("/")[-2]
        asked.append(work_id)
        return json({"work_id": work_id, "state": "x", "reason": "y", "text": f"text of {work_id}"})

    used = client(colour, server)
    why = await settle(used.why("rn_1"))
    await close(used)
    assert asked == ["wk_2", "wk_4"]
    assert why.state == "running"
    assert why.text.splitlines() == [
        "1 of 4 done, 1 failed, 0 cancelled, 2 pending.",
        "2 works: text of wk_2",
        "1 work: text of wk_4",
    ]


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_group_is_read_page_by_page(colour: Any) -> None:
    def page(count: int) -> httpx.Response:
        return json({"counts": COUNTS, "works": [work(f"wk_{n}") for n in range(count)]})

    script = Script(page(PAGE_ROWS), page(1))
    used = client(colour, script)
    assert len(await settle(used.works.list("rn_1"))) == PAGE_ROWS + 1
    await close(used)
    assert script.requests[1].url.params["offset"] == str(PAGE_ROWS)


@pytest.mark.parametrize("colour", COLOURS)
async def test_the_log_of_a_work_is_read_to_its_present_end(colour: Any) -> None:
    script = Script(json(work("wk_1")), lines(1, "one", "two", ended=False), lines(3, ended=False))
    used = client(colour, script)
    found = await gather(used.logs("wk_1"))
    await close(used)
    assert [(line.work_id, line.seq, line.text) for line in found] == [
        ("wk_1", 1, "one"),
        ("wk_1", 2, "two"),
    ]
    assert [r.url.params["after"] for r in script.requests[1:]] == ["0", "2"]


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_log_is_followed_until_the_run_has_ended(colour: Any) -> None:
    def group(*works: dict[str, Any]) -> httpx.Response:
        return json({"counts": COUNTS, "works": list(works)})

    script = Script(
        group(work("wk_1"), work("wk_2", "queued", attempt=0)),
        lines(1, "one", ended=False),
        lines(2, ended=False),
        group(work("wk_1", "success"), work("wk_2")),
        lines(2, "two", ended=True),
        lines(1, "three", ended=False),
        lines(2, ended=False),
        group(work("wk_1", "success"), work("wk_2", "success")),
        lines(2, ended=True),
    )
    used = client(colour, script)
    found = await gather(used.logs("rn_1", follow=True))
    await close(used)
    assert [(line.work_id, line.text) for line in found] == [
        ("wk_1", "one"),
        ("wk_1", "two"),
        ("wk_2", "three"),
    ]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(("id_", "kind"), [("wk_1", "works"), ("rn_1", "groups")])
async def test_works_and_groups_are_cancelled(colour: Any, id_: str, kind: str) -> None:
    script = Script(json({"cancelled": ["wk_1"], "stopping": ["wk_2"], "final": []}))
    used = client(colour, script)
    done = await settle(used.works.cancel(id_, why="a mistake"))
    await close(used)
    assert (done.cancelled, done.stopping, done.final) == (("wk_1",), ("wk_2",), ())
    assert script.paths == [f"POST /longshore/v1/{kind}/{id_}/cancel"]
    assert json_module.loads(script.requests[0].content) == {"why": "a mistake"}


@pytest.mark.parametrize("colour", COLOURS)
async def test_queues_are_listed_held_and_released(colour: Any) -> None:
    held = {"since": "2026-11-20T12:00:00Z", "by": "ky_1", "why": "repairs"}
    queue = {"id": 3, "surface": "apps", "name": "i/m@1", "attempts_max": 3, "held": None}
    listed = {**queue, "counts": COUNTS, "oldest": None, "workers_online": 0}
    script = Script(json({"queues": [listed]}), json({**queue, "held": held}), json(queue))
    used = client(colour, script)
    (found,) = await settle(used.queues.list())
    after = await settle(used.queues.hold(3, why="repairs"))
    again = await settle(used.queues.release(3))
    await close(used)
    assert (found.counts.pending, found.workers_online) == (2, 0)
    assert after.held.why == "repairs"
    assert again.held is None


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_new_key_shows_its_secret_but_does_not_print_it(colour: Any) -> None:
    key = {"id": "ky_1", "name": "ci", "role": "viewer", "workspace": None}
    script = Script(json({**key, "key": "ls_public_secret"}, 201), json({"keys": [key]}), json(key))
    used = client(colour, script)
    made = await settle(used.keys.create("ci", "viewer", lifetime_s=60))
    (listed,) = await settle(used.keys.list())
    await settle(used.keys.revoke("ky_1"))
    await close(used)
    assert made.key == "ls_public_secret"
    assert "secret" not in repr(made)
    assert not hasattr(listed, "key")
    assert script.paths[-1] == "DELETE /longshore/v1/keys/ky_1"


@pytest.mark.parametrize("colour", COLOURS)
async def test_the_server_tells_about_itself(colour: Any) -> None:
    identity = {
        "key_id": "ky_1",
        "key_name": "admin",
        "role": "admin",
        "organisation": "local",
        "organisation_id": "og_1",
        "workspace": None,
        "permissions": ["READ"],
    }
    worker = {"id": "wr_1", "name": "host-1", "online": True, "slots": 4, "running": 0}
    script = Script(
        json(identity),
        json({"limits": {"file_bytes": 100}}),
        json({"healthy": False, "problems": ["the disk is full"], "facts": {}}),
        json({"workers": [worker]}),
    )
    used = client(colour, script)
    assert (await settle(used.whoami())).organisation == "local"
    assert await settle(used.limits()) == {"file_bytes": 100}
    assert (await settle(used.doctor())).problems == ("the disk is full",)
    assert [found.name for found in await settle(used.workers.list())] == ["host-1"]
    await close(used)


@pytest.mark.parametrize("colour", COLOURS)
async def test_the_audit_log_is_read_backwards_up_to_the_limit(colour: Any) -> None:
    def entries(*numbers: int) -> httpx.Response:
        at = "2026-11-20T12:00:00Z"
        return json({"entries": [{"id": n, "at": at, "action": "runs.delete"} for n in numbers]})

    first = range(3000, 3000 - PAGE_ROWS, -1)
    script = Script(entries(*first), entries(2000, 1999))
    used = client(colour, script)
    found = await settle(used.audit(limit=PAGE_ROWS + 2, action="runs.delete"))
    await close(used)
    assert [entry.id for entry in found[-2:]] == [2000, 1999]
    assert script.requests[1].url.params["before"] == "2001"


@pytest.mark.parametrize("colour", COLOURS)
async def test_drive_files_are_read_whole_and_in_part(colour: Any) -> None:
    script = Script(httpx.Response(200, content=b"whole"), httpx.Response(206, content=b"ol"))
    used = client(colour, script)
    assert await settle(used.files.read("og/w/fs/Drive/my file.txt")) == b"whole"
    assert await settle(used.files.read("/og/w/fs/Drive/f", start=2, end=4)) == b"ol"
    with pytest.raises(errors.InvalidRequest):
        await settle(used.files.read("og/f", start=4, end=4))
    await close(used)
    assert script.paths[0] == (
        "GET /api/v2/files/og%2Fw%2Ffs%2FDrive%2Fmy%20file.txt?expect-node-type=file"
    )
    assert "Range" not in script.requests[0].headers
    assert script.requests[1].headers["Range"] == "bytes=2-3"


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_download_replaces_the_local_file_only_when_it_is_whole(
    colour: Any, tmp_path: Path
) -> None:
    target = tmp_path / "results.json"
    target.write_bytes(b"old")
    used = client(colour, Script(json({"message": "no"}, 404), httpx.Response(200, content=b"new")))
    with pytest.raises(errors.NotFound):
        await settle(used.files.download("og/f", target))
    assert target.read_bytes() == b"old"
    assert await settle(used.files.download("og/f", target)) == target
    await close(used)
    assert target.read_bytes() == b"new"
    assert not target.with_name("results.json.part").exists()


@pytest.mark.parametrize("colour", COLOURS)
async def test_drive_files_are_written_described_and_deleted(colour: Any) -> None:
    described = {
        "Content-Type": "application/octet-stream",
        "Content-Length": "12",
        "last-modified": "Fri, 20 Nov 2026 12:00:00 GMT",
    }
    script = Script(
        httpx.Response(204),
        json({"message": "it is there"}, 412),
        httpx.Response(200, headers=described),
        httpx.Response(200, headers={"Content-Type": "application/json"}),
        httpx.Response(202, headers={"Location": "http://h/api/v2/jobs/wk_5"}),
        json({"nodes": [{"name": "f", "full_path": "og/f", "metadata": {"node_type": "folder"}}]}),
    )
    used = client(colour, script)
    await settle(used.files.write("og/f", b"content"))
    with pytest.raises(errors.PreconditionFailed):
        await settle(used.files.write("og/f", b"content", overwrite=False))
    file = await settle(used.files.metadata("og/f"))
    folder = await settle(used.files.metadata("og"))
    job = await settle(used.files.delete("og/f"))
    (node,) = await settle(used.files.list("og"))
    await close(used)
    assert script.requests[1].headers["If-None-Match"] == "*"
    assert (file.is_folder, file.size_bytes) == (False, 12)
    assert file.modified_at == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert (folder.is_folder, folder.size_bytes, folder.modified_at) == (True, None, None)
    assert job.id == "wk_5"
    assert node.is_folder


async def test_a_deletion_without_a_job_is_a_server_fault() -> None:
    with (
        client(Client, Script(httpx.Response(202))) as used,
        pytest.raises(errors.ServerFault, match="which job"),
    ):
        used.files.delete("og/f")
