"""`longshore demo receipts`: a dozen receipts are read, and what is doubtful is told."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from longshore.cli.console import Column, out, table
from longshore.cli.demo import ending, ledger, paper
from longshore.cli.demo.chase import drive, wait_until_served
from longshore.cli.demo.names import DEMO_APP, DEMO_BATCH, DEMO_OWNER, DEMO_TAG
from longshore.cli.demo.place import Place, a_place
from longshore.cli.demo.processes import DemoServer, DemoWorker
from longshore.cli.demo.receipts_source import (
    APP_NAME,
    OWNER,
    expect_ocr,
    find_app,
    images_in,
    missing_ocr,
)
from longshore.cli.demo.screen import Screen
from longshore.cli.exit_codes import ExitCode
from longshore.sdk import Client, ResultDocument, Run, RunResults

DRAWN: Final = 12
_SLOTS: Final = 2
_CODE: Final = Path(__file__).parent / "code"
_REVIEW: Final = "needs review"
_COLUMNS: Final = (
    Column("file", "FILE"),
    Column("merchant", "MERCHANT"),
    Column("date", "DATE"),
    Column("total", "TOTAL", "number"),
    Column("confidence", "CONFIDENCE", "number"),
    Column("note", ""),
)
_FIELDS: Final = ("merchant", "date", "total")


def demonstrate(folder: Path | None, *, kills: int, own: bool, text: bool) -> ExitCode:
    """Read the receipts in `folder`, or made ones; FAILED when one was lost or doubled.

    Without OCR, or with `text`, receipts are text files and a parser reads them.
    """
    if folder is not None:
        expect_ocr()
    text = text or bool(missing_ocr())
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="longshore-demo-") as directory:
        root = Path(directory)
        task = _text_task(root) if text else _ocr_task(root, folder)
        screen.step(task.made)
        with a_place(root, screen, own=own) as place:
            client = place.client
            worker = DemoWorker(root, client.url, place.worker_key, task.module, slots=_SLOTS)
            worker.start()
            try:
                return _run(place, worker, screen, task, kills)
            finally:
                worker.stop()


@dataclass(frozen=True, slots=True)
class _Task:
    """Which receipts are read by what, and what there is to find on them, by name of the file."""

    app: str
    owner: str
    module: Path
    files: list[Path]
    totals: dict[str, dict[str, str]]
    made: str


def _text_task(root: Path) -> _Task:
    made = paper.as_text(DRAWN)
    return _Task(
        DEMO_APP,
        DEMO_OWNER,
        _CODE / "receipts.py",
        paper.written(made, root / "receipts"),
        {receipt.name: {"total": receipt.total} for receipt in made},
        f"wrote {len(made)} receipts as text files, four of them smudged; pip install "
        "'longshore[ocr]' reads pictures",
    )


def _ocr_task(root: Path, folder: Path | None) -> _Task:
    if folder is not None:
        files = images_in(folder)
        return _Task(APP_NAME, OWNER, find_app(), files, {}, f"found {len(files)} receipts")
    # Drawing needs Pillow, which is only there with the extra [ocr].
    from longshore.cli.demo.images import make_receipts

    drawn = make_receipts(root / "receipts", count=DRAWN)
    truth = {
        each.path.name: {"merchant": each.merchant, "date": each.date, "total": each.total}
        for each in drawn
    }
    files = [each.path for each in drawn]
    return _Task(APP_NAME, OWNER, find_app(), files, truth, f"drew {len(drawn)} receipts")


class _Files:
    """How far the files of a run are."""

    def __init__(self, client: Client, run: Run) -> None:
        self._client, self._run = client, run

    def look(self) -> tuple[int, int, bool]:
        works = self._client.works.list(self._run.id)
        done = sum(work.state == "success" for work in works)
        return done, len(works), self._run.refresh().finished


def _run(place: Place, worker: DemoWorker, screen: Screen, task: _Task, kills: int) -> ExitCode:
    client = place.client
    wait_until_served(client, worker, task.app)
    batch = client.batches.create(DEMO_BATCH)
    batch.add_files([str(path) for path in task.files], progress=False)
    run = client.runs.create(task.app, batch=batch, owner=task.owner, tags=[DEMO_TAG])
    begun = time.monotonic()
    screen.step(f"batch {batch.id} · {len(task.files)} files ▸ run {run.id}")
    killed = drive(client, _Files(client, run), worker, screen, kills=kills)
    took_s = time.monotonic() - begun
    results = run.results(confidence=True, validation=True)
    waiting = {each.file_name for each in client.reviews.list(run=run.id)}
    rows = list(_rows(results, waiting))
    out()
    table(rows, _COLUMNS, empty="No receipt was read.")
    out()
    done = sum(row.get("note") is None or row["note"] == _REVIEW for row in rows)
    review = sum(row.get("note") == _REVIEW for row in rows)
    out(
        f"  {done}/{len(task.files)} in {took_s:.1f} s   total {_sums(results)}   {review} need review"
    )
    if task.totals:
        out(f"  compared with what is on them: {_accuracy(results, task.totals)}")
    out()
    if place.own is not None:
        return _leave_nothing(place.own, client, run, screen, results, task, killed, kills)
    out("next: longshore demo crash")
    return ExitCode.OK


def _leave_nothing(
    server: DemoServer,
    client: Client,
    run: Run,
    screen: Screen,
    results: RunResults,
    task: _Task,
    killed: int,
    kills: int,
) -> ExitCode:
    """Take everything away again, look whether anything is left, and say so."""
    tally = ledger.read(client, run.id, [path.name for path in task.files], results)
    left = ending.clean_up(client, run, server.blobs, screen)
    fine = ending.verdict(tally, left, killed, kills)
    out("next: longshore demo crash")
    return ExitCode.OK if fine else ExitCode.FAILED


def _sums(results: RunResults) -> str:
    """Return what all receipts come to, by currency."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for file in results:
        for document in file.documents:
            found = {field.field_name: field.value for field in document.fields}
            with suppress(InvalidOperation):
                amount = Decimal(found.get("total") or "")
                sums[found.get("currency") or ""] += amount
    return ", ".join(f"{amount} {currency}".strip() for currency, amount in sorted(sums.items()))


def _accuracy(results: RunResults, truth: dict[str, dict[str, str]]) -> str:
    """Return how many of each field were read as they are, spacing and case aside."""
    names = next(iter(truth.values()))
    right = dict.fromkeys(names, 0)
    for file, _, field in results.fields():
        wanted = truth.get(file.original_file_name, {}).get(field.field_name)
        if wanted is not None and field.value is not None:
            right[field.field_name] += _plain(field.value) == _plain(wanted)
    return ", ".join(f"{name} {count} of {len(truth)}" for name, count in right.items())


def _plain(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _rows(results: RunResults, waiting: set[str]) -> Iterator[dict[str, str | None]]:
    """Return a line for each receipt; `waiting` names those that wait for a person."""
    for file in results:
        name = file.original_file_name
        if file.error_msg:
            yield {"file": name, "note": f"failed: {file.error_msg}"}
            continue
        note = _REVIEW if name in waiting else None
        for document in file.documents:
            yield {"file": name, **_row(document), "note": note}


def _row(document: ResultDocument) -> dict[str, str | None]:
    """Return what a receipt says; its confidence is that of the least sure of the three fields."""
    fields = {field.field_name: field for field in document.fields if field.field_name in _FIELDS}
    sure = [
        field.confidence.model if field.confidence and field.confidence.model is not None else 0.0
        for field in fields.values()
    ]
    return {
        **{name: fields[name].value if name in fields else None for name in _FIELDS},
        "confidence": f"{min(sure):.0%}" if sure else None,
    }
