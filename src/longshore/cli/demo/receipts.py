"""`longshore demo receipts`: real OCR, a worker that is killed, and a clean-up."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from longshore.cli.console import Column, out, table
from longshore.cli.demo import ending, ledger
from longshore.cli.demo.chase import drive, wait_until_served
from longshore.cli.demo.processes import LEASE_S, DemoServer, DemoWorker
from longshore.cli.demo.receipts_source import APP_NAME, expect_ocr, find_app, images_in
from longshore.cli.demo.screen import Screen
from longshore.cli.exit_codes import ExitCode
from longshore.sdk import Client, ResultDocument, RunResults

if TYPE_CHECKING:
    from longshore.cli.demo.images import MadeReceipt

DRAWN: Final = 12
_SLOTS: Final = 2
_COLUMNS: Final = (
    Column("file", "FILE"),
    Column("merchant", "MERCHANT"),
    Column("date", "DATE"),
    Column("total", "TOTAL", "number"),
    Column("confidence", "CONFIDENCE", "number"),
    Column("note", ""),
)
_FIELDS: Final = ("merchant", "date", "total")


def demonstrate(folder: Path | None, *, kills: int) -> ExitCode:
    """Read the receipts in `folder`, or drawn ones; FAILED when one was lost or doubled."""
    expect_ocr()
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="longshore-demo-") as directory:
        root = Path(directory)
        drawn = _draw(root / "receipts", screen) if folder is None else []
        files = [receipt.path for receipt in drawn] if folder is None else images_in(folder)
        with DemoServer(root) as server, Client(server.url, server.key) as client:
            screen.step(f"server at {server.url}, leases of {LEASE_S} s, data in {root}")
            worker = DemoWorker(root, server, find_app(), slots=_SLOTS)
            worker.start()
            try:
                return _run(client, server, worker, screen, files, drawn, kills)
            finally:
                worker.stop()


def _draw(folder: Path, screen: Screen) -> list[MadeReceipt]:
    # Drawing needs Pillow, which is only there with the extra [ocr].
    from longshore.cli.demo.images import make_receipts

    drawn = make_receipts(folder, count=DRAWN)
    screen.step(f"drew {len(drawn)} receipts")
    return drawn


def _run(
    client: Client,
    server: DemoServer,
    worker: DemoWorker,
    screen: Screen,
    files: list[Path],
    drawn: list[MadeReceipt],
    kills: int,
) -> ExitCode:
    wait_until_served(client, worker, APP_NAME)
    run = client.run(APP_NAME, files=files)
    screen.step(f"uploaded {len(files)} receipts; run {run.id} reads {_SLOTS} at a time with OCR")
    killed = drive(client, run, worker, screen, kills=kills)
    screen.step(f"the run is {run.status.value}")
    results = run.results(confidence=True, validation=True)
    out()
    table(_rows(results), _COLUMNS, empty="No receipt was read.")
    if drawn:
        out(f"\ncompared with what was drawn: {_accuracy(results, drawn)}")
    out()
    tally = ledger.read(client, run.id, [path.name for path in files], results)
    left = ending.clean_up(client, run, server.blobs, screen)
    fine = ending.verdict(tally, left, killed, kills)
    out("next: longshore demo receipts YOUR_FOLDER, or longshore up --app YOUR_APP.py")
    return ExitCode.OK if fine else ExitCode.FAILED


def _accuracy(results: RunResults, drawn: list[MadeReceipt]) -> str:
    """Return how many of each field were read as they were drawn, spacing and case aside."""
    truth = {receipt.path.name: receipt for receipt in drawn}
    right = dict.fromkeys(_FIELDS, 0)
    for file, _, field in results.fields():
        receipt = truth.get(file.original_file_name)
        if receipt is not None and field.field_name in right and field.value is not None:
            wanted = str(getattr(receipt, field.field_name))
            right[field.field_name] += _plain(field.value) == _plain(wanted)
    return ", ".join(f"{name} {count} of {len(drawn)}" for name, count in right.items())


def _plain(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _rows(results: RunResults) -> Iterator[dict[str, str | None]]:
    for file in results:
        name = file.original_file_name
        if file.error_msg:
            yield {"file": name, "note": f"failed: {file.error_msg}"}
            continue
        for document in file.documents:
            yield {"file": name, **_row(document)}


def _row(document: ResultDocument) -> dict[str, str | None]:
    """Return what a receipt says; its confidence is that of the least sure of the three fields."""
    fields = {field.field_name: field for field in document.fields if field.field_name in _FIELDS}
    sure = [
        field.confidence.model if field.confidence and field.confidence.model is not None else 0.0
        for field in fields.values()
    ]
    doubtful = any(field.validations and not field.validations.valid for field in fields.values())
    return {
        **{name: fields[name].value if name in fields else None for name in _FIELDS},
        "confidence": f"{min(sure):.0%}" if sure else None,
        "note": "needs review" if doubtful else None,
    }
