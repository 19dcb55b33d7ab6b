"""X13: a canary in the keystore, said in every way by a step and an app, is found nowhere."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, select, update

from longshore.access import masking
from longshore.access.keystore_tables import keystore_entries, keystore_versions
from longshore.clock import ManualClock
from longshore.errors import Unavailable
from longshore.server import logging as server_logging
from longshore.storage import Database, metadata, open_database
from longshore.surfaces.buckets import updating
from tests.storage.waiting import until
from tests.surfaces.buckets_rig import BUCKET, Buckets, buckets_of, payload
from tests.surfaces.runs_rig import Runs, runs_of
from tests.unit.serving import bearer, make_context

CANARY = 'can4ry "q&a" ☃/x+y'
LINES = "first-line-of-it\nsecond-line-of-it\nthird-line-of-it"
FORMS = {
    "raw": CANARY,
    "base64": base64.b64encode(CANARY.encode()).decode(),
    "base64 inside": base64.b64encode(f"user:{CANARY} and on".encode()).decode(),
    "URL": quote(CANARY, safe=""),
    "JSON": json.dumps({"p": CANARY}),
    "JSON in JSON": json.dumps(json.dumps({"p": CANARY})),
    "environment": f"environ({{'DB_PASSWORD': {CANARY!r}}})",
    "traceback": f'  File "load.py", line 3\nValueError: cannot log in with {CANARY}',
}
TRACES = (
    CANARY,
    base64.b64encode(CANARY.encode()).decode().rstrip("=")[:-1],
    base64.b64encode(f"user:{CANARY}".encode()).decode()[8:-4],
    quote(CANARY, safe=""),
    json.dumps(CANARY)[1:-1],
    "can4ry",
    *LINES.splitlines(),
)


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with runs_of(database, tmp_path, clock) as made:
        yield made


@pytest.fixture
async def buckets(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Buckets]:
    async with buckets_of(database, clock, tmp_path) as made:
        yield made


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the server writes to its log, most talkative."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    server_logging.configure("debug", stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)


def everything(database: Database) -> str:
    """Return every value of every row, as text."""

    def look(connection: Connection) -> str:
        found: list[str] = []
        for table in metadata.sorted_tables:
            for row in connection.execute(table.select()):
                for value in row:
                    told = bytes(value) if isinstance(value, memoryview) else value
                    found.append(told.decode("latin-1") if isinstance(told, bytes) else str(told))
        return "\n".join(found)

    return database.read_blocking(look)


def everything_below(directory: Path) -> bytes:
    """Return all bytes of all files, the database's too where it is one."""
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def traces_in(text: str) -> list[str]:
    return [trace for trace in TRACES if trace in text]


async def set_secrets(runs: Runs) -> None:
    for name, value in (("db_password", CANARY), ("tls_key", LINES)):
        await runs.scripts.call(
            "PUT", f"/longshore/v1/keystore/entries/{name}", body={"value": value}
        )


async def tell_everything(runs: Runs) -> list[Any]:
    """Let a step say the canary in each way; return all answers that it is told in."""
    call = runs.scripts.call
    event = {"events": [{"name": "order"}]}
    runs.define("daily", {"load": {"keystore": ["db_password"]}}, triggers=event)
    posted = await call(
        "POST", "/rtevent", body={"eventName": "order", "payload": {"p": CANARY}}, expect=201
    )
    run_id = posted["actionId"]
    [held] = await runs.scripts.claim("host1")
    token = await runs.scripts.token(held)
    assert await call("GET", "/keystore/db_password", headers=token) == {"db_password": CANARY}
    worker_id = runs.scripts.workers["host1"][0]
    texts = [line for form in FORMS.values() for line in form.splitlines()] + LINES.splitlines()
    lines = [
        {
            "work_id": held.work_id, "attempt": 1, "at_us": 1, "stream": "stdout",
            "text": f"it is {text}!",
        }
        for text in texts
    ]  # fmt: skip
    await call("POST", "/longshore/v1/worker/logs", body={"worker_id": worker_id, "lines": lines})
    payload = {"forms": FORMS, CANARY: [CANARY, 1, None], "deep": [[{"lines": LINES}]]}
    await call(
        "POST",
        "/rtstep/payload",
        headers=token,
        body={"actionId": run_id, "stepname": "load", "payload": payload},
    )
    await call("POST", "/rtstep/once", headers=token, body={"key": "mail"})
    await call("POST", "/rtstep/once/done", headers=token, body={"key": "mail", "result": payload})
    told = [
        await call("GET", f"/rtstep/payload/{run_id}/load"),
        await call("GET", f"/rtevent/{run_id}"),
        await call("POST", "/rtstep/once", headers=token, body={"key": "mail"}),
        await call("GET", f"/rtstep/payload/actionid/forms,raw/{quote(CANARY, safe='')}"),
    ]
    error = "\n".join(FORMS.values())
    assert await runs.scripts.report("host1", held, outcome="rejected", error=error) == []
    work = f"/longshore/v1/works/{held.work_id}"
    told += [await call("GET", f"{work}{path}") for path in ("", "/events", "/logs", "/why")]
    told += [
        await call("GET", f"/rtevent/status/{run_id}"),
        await call("GET", f"/runs/{run_id}"),
        await call("GET", f"/runs/{run_id}/steps"),
        await call("GET", "/longshore/v1/audit?limit=100"),
        await call("GET", "/longshore/v1/keystore/entries"),
        # Answers that quote what was sent.
        await call("GET", f"/rtstep/payload/{run_id}/{quote(CANARY, safe='')}", expect=404),
        await call("POST", "/rtevent", body={"eventName": CANARY, "payload": 1}, expect=404),
        await call("POST", f"/rtevent?x={quote(CANARY)}", body={CANARY: 1}, expect=400),
    ]
    metrics = await runs.scripts.client.get("/metrics")
    return [*told, metrics.text]


async def test_a_canary_is_in_no_row_blob_log_or_answer(
    runs: Runs, log: io.StringIO, tmp_path: Path
) -> None:
    await set_secrets(runs)
    told = json.dumps(await tell_everything(runs), ensure_ascii=False)
    assert "***db_password***" in told
    assert "***tls_key***" in told
    assert traces_in(told) == []
    assert traces_in(json.dumps(told)) == []
    rows = everything(runs.scripts.database)
    assert "***db_password***" in rows
    assert traces_in(rows) == []
    files = everything_below(tmp_path)
    assert traces_in(files.decode("latin-1")) == []
    assert CANARY.encode() not in files
    assert "/coreauto/v1/rtevent" in log.getvalue()
    assert traces_in(log.getvalue()) == []


async def test_the_canary_would_be_found_without_the_mask(
    runs: Runs, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail."""
    await set_secrets(runs)
    for method in ("text", "json", "value"):
        monkeypatch.setattr(masking.Masker, method, lambda _self, given, **_more: given)
    monkeypatch.setattr(masking.Masker, "texts", lambda _self, given: list(given))
    told = json.dumps(await tell_everything(runs), ensure_ascii=False)
    rows = everything(runs.scripts.database)
    assert "can4ry" in told
    assert CANARY in rows
    assert traces_in(log.getvalue()) != []
    assert set(traces_in(rows)) >= {CANARY, quote(CANARY, safe=""), *LINES.splitlines()}


async def test_values_of_all_versions_are_masked_and_those_of_others_are_not(runs: Runs) -> None:
    put = "/longshore/v1/keystore/entries/token"
    await runs.scripts.call("PUT", put, body={"value": "first-value"})
    await runs.scripts.call("PUT", put, body={"value": "second-value"})
    _, other = runs.scripts.served.other_organisation()
    await runs.scripts.call("PUT", put, body={"value": "their-value"}, headers=bearer(other))
    organisation_id = runs.scripts.served.organisation.id
    masker = runs.scripts.database.read_blocking(masking.of, organisation_id)
    said = "first-value second-value their-value"
    assert masker.text(said) == "***token*** ***token*** their-value"


async def test_a_new_value_is_masked_at_once_and_a_removed_one_no_more(runs: Runs) -> None:
    database = runs.scripts.database
    organisation_id = runs.scripts.served.organisation.id

    def masked(text: str) -> str:
        known = masking.known(database, organisation_id)
        masker = known or database.read_blocking(masking.of, organisation_id)
        return masker.text(text)

    assert masked("a-new-value") == "a-new-value"
    put = "/longshore/v1/keystore/entries/token"
    await runs.scripts.call("PUT", put, body={"value": "a-new-value"})
    assert masked("a-new-value") == "***token***"
    await runs.scripts.call("DELETE", put, expect=204)
    assert masked("a-new-value") == "a-new-value"


async def test_without_the_master_key_nothing_is_written_down(runs: Runs, tmp_path: Path) -> None:
    await set_secrets(runs)
    runs.start(runs.define("daily", {"load": {}}))
    [held] = await runs.scripts.claim("host1")
    (tmp_path / "secret.key").rename(tmp_path / "elsewhere")
    organisation_id = runs.scripts.served.organisation.id
    with pytest.raises(Unavailable, match="put the file back"):
        runs.scripts.database.read_blocking(masking.of, organisation_id)
    line = {"work_id": held.work_id, "attempt": 1, "at_us": 1, "stream": "stdout", "text": CANARY}
    body = {"worker_id": runs.scripts.workers["host1"][0], "lines": [line]}
    await runs.scripts.call("POST", "/longshore/v1/worker/logs", body=body, expect=503)
    report = await runs.scripts.client.post(
        "/longshore/v1/worker/report", json={"worker_id": body["worker_id"], "reports": []}
    )
    assert report.status_code == 503
    assert int(report.headers["retry-after"]) > 0
    assert CANARY not in everything(runs.scripts.database)
    (tmp_path / "elsewhere").rename(tmp_path / "secret.key")
    await runs.scripts.call("POST", "/longshore/v1/worker/logs", body=body)
    assert "***db_password***" in everything(runs.scripts.database)


async def test_an_organisation_without_secrets_is_looked_up_once(runs: Runs) -> None:
    organisation_id = runs.scripts.served.organisation.id
    found = runs.scripts.database.read_blocking(masking.of, organisation_id)
    assert not found
    assert masking.known(runs.scripts.database, organisation_id) is found


async def test_results_that_a_program_sends_for_a_bucket_are_masked(
    buckets: Buckets,
) -> None:
    await buckets.client.put("/longshore/v1/keystore/entries/db_password", json={"value": CANARY})
    held = await buckets.held()
    done = {**held, "status": "failure", "results": {"said": FORMS}}
    assert await buckets.update(done) is True
    seen = await buckets.see(held["id"])
    assert seen["results"]["said"]["raw"] == "***db_password***"
    assert traces_in(everything(buckets.database)) == []


async def test_a_damaged_value_keeps_nothing_else_from_being_masked(runs: Runs) -> None:
    await set_secrets(runs)

    database, organisation_id = runs.scripts.database, runs.scripts.served.organisation.id
    damaged = (
        select(keystore_versions)
        .join(keystore_entries, keystore_entries.c.id == keystore_versions.c.entry_id)
        .where(keystore_entries.c.name == "tls_key")
    )
    rows = database.read_blocking(lambda connection: connection.execute(damaged).all())
    database.write_blocking(
        lambda connection: connection.execute(
            update(keystore_versions)
            .where(keystore_versions.c.entry_id == rows[0].entry_id)
            .values(sealed=bytes(rows[0].sealed) + b"x")
        )
    )
    masker = database.read_blocking(masking.of, organisation_id)
    assert masker.text(f"{CANARY} {LINES}") == f"***db_password*** {LINES}"


async def test_another_server_hears_of_a_new_value(
    runs: Runs, database: Database, database_url: str, tmp_path: Path
) -> None:
    if database.dialect == "sqlite":
        pytest.skip("a file has one server")
    second = open_database(database_url, migrate=False)
    context = make_context(second, tmp_path)
    organisation_id = runs.scripts.served.organisation.id
    try:
        assert not second.read_blocking(masking.of, organisation_id)
        await set_secrets(runs)
        await asyncio.to_thread(until, lambda: masking.known(second, organisation_id) is None)
        masker = second.read_blocking(masking.of, organisation_id)
        assert masker.text(CANARY) == "***db_password***"
    finally:
        context.close()
        second.close()


async def run_command(buckets: Buckets, results: str, expect: int = 200) -> Any:
    """Do a work of a bucket as a worker does that runs commands; return what is kept of it."""
    await buckets.client.put("/longshore/v1/keystore/entries/db_password", json={"value": CANARY})
    await buckets.client.put("/longshore/v1/keystore/entries/tls_key", json={"value": LINES})
    [work_id] = await buckets.deposit(payload(command=["load"]))
    worker = {"name": "w", "slots": 1, "incarnation": "i", "buckets": [{"name": BUCKET}]}
    registered = (await buckets.client.post("/longshore/v1/worker/register", json=worker)).json()
    who = {"worker_id": registered["worker_id"]}
    claim = {**who, "queues": registered["queues"], "limit": 1}
    claimed = await buckets.client.post("/longshore/v1/worker/claim", json=claim)
    [held] = claimed.json()["works"]
    report = {"work_id": held["work_id"], "attempt": held["attempt"], "outcome": "success"}
    body = json.dumps({**who, "reports": [{**report, "result": {"results": None}}]})
    answer = await buckets.client.post(
        "/longshore/v1/worker/report", content=body.replace("null", results)
    )
    assert answer.status_code == expect, answer.text
    return (await buckets.see(work_id))["results"]


@pytest.mark.parametrize("levels", [480, 2_000])
async def test_a_report_that_is_nested_deep_is_refused_for_good_by_a_bucket(
    buckets: Buckets, levels: int
) -> None:
    deep = "[" * levels + json.dumps(CANARY) + "]" * levels
    assert await run_command(buckets, f'{{"said": {deep}}}', expect=413) is None
    assert traces_in(everything(buckets.database)) == []


async def test_a_report_whose_recording_goes_too_deep_is_refused_for_good(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the stack has room for differs by where it is read."""

    def too_deep(*_given: Any) -> None:
        raise RecursionError

    monkeypatch.setattr(updating, "record", too_deep)
    assert await run_command(buckets, '{"said": 1}', expect=413) is None


async def test_a_report_that_is_nested_deep_is_taken_where_the_depth_does_not_matter(
    runs: Runs,
) -> None:
    await set_secrets(runs)
    runs.start(runs.define("daily", {"load": {}}))
    [held] = await runs.scripts.claim("host1")
    said: Any = CANARY
    for _ in range(480):
        said = [said]
    result = {"exit_code": 0, "signal": None, "script_sha256": "0" * 64, "said": said}
    report = {"work_id": held.work_id, "attempt": 1, "outcome": "success", "result": result}
    body = {"worker_id": runs.scripts.workers["host1"][0], "reports": [report]}
    answer = await runs.scripts.call("POST", "/longshore/v1/worker/report", body=body)
    assert answer == {"lost": []}
    assert traces_in(everything(runs.scripts.database)) == []


async def test_what_a_cut_left_of_a_secret_in_the_output_of_a_command_goes(
    buckets: Buckets,
) -> None:
    gap = "… 7 bytes are left out here …"
    output = ["a", "second-line-o…", gap, "…ond-line-of-it", "b…"]
    said = {"stdout": output, "stderr": [], "returncode": 0}
    kept = await run_command(buckets, json.dumps(said))
    assert kept == {
        "stdout": ["a", "***tls_key***…", gap, "…***tls_key***", "b…"],
        "stderr": [],
        "returncode": 0,
    }


async def test_many_log_lines_and_cut_ones_are_masked(runs: Runs) -> None:
    await set_secrets(runs)
    runs.start(runs.define("daily", {"load": {}}))
    [held] = await runs.scripts.claim("host1")
    texts = [f"{'x' * 2_000} {CANARY}" for _ in range(40)] + ["Downloading second-line-o…"]
    lines = [
        {
            "work_id": held.work_id,
            "attempt": 1,
            "at_us": place,
            "stream": "stdout",
            "text": text,
        }
        for place, text in enumerate(texts)
    ]
    body = {"worker_id": runs.scripts.workers["host1"][0], "lines": lines}
    await runs.scripts.call("POST", "/longshore/v1/worker/logs", body=body)
    rows = everything(runs.scripts.database)
    assert rows.count("***db_password***") == 40
    assert "Downloading ***tls_key***…" in rows
    assert traces_in(rows) == []
    assert "second-line" not in rows


async def test_what_a_cut_left_in_the_middle_of_an_error_goes(runs: Runs) -> None:
    await set_secrets(runs)
    runs.start(runs.define("daily", {"load": {}}))
    [held] = await runs.scripts.claim("host1")
    error = "The command ended.\nprinted second-line-o…\nand on"
    assert await runs.scripts.report("host1", held, outcome="rejected", error=error) == []
    rows = everything(runs.scripts.database)
    assert "printed ***tls_key***…" in rows
    assert "second-line" not in rows
