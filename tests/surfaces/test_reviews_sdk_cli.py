"""`client.reviews` in both colours and `longshore review`, on both databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore import errors
from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.sdk import ReviewState
from longshore.storage import Database
from longshore.wire.payloads import AppDocument, AppField, AppResult
from tests.surfaces.sdk_server import APP, Served, running
from tests.unit.sdk_support import COLOURS, close, settle


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


@pytest.fixture
async def client(served: Served) -> AsyncIterator[Any]:
    colour = COLOURS[served.database.dialect == "postgresql"]
    used = colour(served.url, served.first.token)
    yield used
    await close(used)


def doubtful(_name: str) -> AppResult:
    field = AppField(name="total", value="12.00", confidence=0.4)
    return AppResult(documents=[AppDocument(fields=[field])], review_below=0.6)


async def finished(client: Any, served: Served, tmp_path: Path, *names: str) -> str:
    """Run the app over files of these names to its end; return the run's id."""
    queue_id = served.offer()
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    run = await settle(client.run(APP, files=[tmp_path / name for name in names], progress=False))
    await asyncio.to_thread(served.work_off, queue_id, doubtful)
    await settle(run.wait(timeout_s=20))
    return str(run.id)


async def test_a_program_reviews_what_waits(client: Any, served: Served, tmp_path: Path) -> None:
    run_id = await finished(client, served, tmp_path, "a.jpg", "b.jpg")
    reviews = client.reviews
    waiting = await settle(reviews.list(app=APP))
    assert [(each.document, each.state) for each in waiting] == [
        ("0-0", ReviewState.NEEDS_REVIEW),
        ("1-0", ReviewState.NEEDS_REVIEW),
    ]
    assert len(await settle(reviews.list(run=run_id, limit=1))) == 1
    seen = await settle(reviews.get(run_id, "0-0"))
    taken = await settle(reviews.begin(seen))
    assert taken.state is ReviewState.IN_REVIEW
    assert (await settle(reviews.release(taken))).state is ReviewState.NEEDS_REVIEW
    changed = await settle(reviews.correct(seen, {0: "13.00"}, class_name="bill", reason="pale"))
    assert (changed.version, changed.fields[0].value, changed.class_name) == (2, "13.00", "bill")
    with pytest.raises(errors.Conflict, match="changed since you saw it"):
        await settle(reviews.accept(seen))
    accepted = await settle(reviews.accept(changed, {"total": None}))
    assert (accepted.state, accepted.fields[0].value) == (ReviewState.ACCEPTED, None)
    assert [each.document for each in await settle(reviews.list(state="accepted"))] == ["0-0"]
    again = await settle(reviews.reopen(accepted, "a doubt"))
    assert (again.state, again.history[-1].reason) == (ReviewState.NEEDS_REVIEW, "a doubt")
    results = await settle(client.runs.of(run_id).results(review=True))
    assert results.review_completed is False
    assert results[0].documents[0].fields[0].original_value == "12.00"


async def test_the_command_line_reviews_what_waits(
    client: Any,
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_id = await finished(client, served, tmp_path, "a.jpg")
    monkeypatch.setenv("LONGSHORE_URL", served.url)
    monkeypatch.setenv("LONGSHORE_KEY", served.first.token)

    def longshore(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["longshore", "review", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    async def run(*arguments: str) -> tuple[int, str, str]:
        return await asyncio.to_thread(longshore, *arguments)

    code, out, _ = await run("list")
    assert (code, "a.jpg" in out, "40% sure" in out) == (ExitCode.OK, True, True)
    code, out, _ = await run("show", run_id, "0-0")
    assert "needs_review, version 1" in out
    code, out, _ = await run("correct", run_id, "0-0", "total=13=00", "--why", "pale")
    assert (code, "13=00  12.00" in out) == (ExitCode.OK, True)
    code, _, err = await run("accept", run_id, "0-0", "--version", "1")
    assert (code, "changed since you saw it" in err) == (ExitCode.CONFLICT, True)
    code, _, err = await run("accept", run_id, "0-0", "total")
    assert (code != ExitCode.OK, "FIELD=VALUE" in err) == (True, True)
    code, out, _ = await run("accept", run_id, "0-0", "--class", "bill", "--json")
    told = json.loads(out)
    assert (told["state"], told["class_name"], told["version"]) == ("accepted", "bill", 3)
    code, _, err = await run("list")
    assert (code, "Nothing waits" in err) == (ExitCode.OK, True)
    code, out, _ = await run("reopen", run_id, "0-0", "--why", "a doubt")
    assert (code, "needs_review" in out) == (ExitCode.OK, True)
