"""`longshore demo crash`: a worker is killed, and nothing is lost."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from longshore.cli.console import out
from longshore.cli.demo import checksum_app, ending, ledger
from longshore.cli.demo.chase import drive, wait_until_served
from longshore.cli.demo.processes import LEASE_S, DemoServer, DemoWorker
from longshore.cli.demo.screen import Screen
from longshore.cli.exit_codes import ExitCode
from longshore.sdk import Client, RunResults

_SLOTS = 4


def demonstrate(files: int, *, kills: int) -> ExitCode:
    """Run the demo over so many files; FAILED when something was lost, doubled or left behind."""
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="longshore-demo-") as directory:
        root = Path(directory)
        expected = _write_files(root / "files", files)
        with DemoServer(root) as server, Client(server.url, server.key) as client:
            screen.step(f"server at {server.url}, leases of {LEASE_S} s, data in {root}")
            worker = DemoWorker(root, server, Path(checksum_app.__file__), slots=_SLOTS)
            worker.start()
            try:
                return _run(client, server, worker, screen, expected, kills)
            finally:
                worker.stop()


def _run(
    client: Client,
    server: DemoServer,
    worker: DemoWorker,
    screen: Screen,
    expected: dict[str, str],
    kills: int,
) -> ExitCode:
    folder = server.data.parent / "files"
    wait_until_served(client, worker, checksum_app.NAME)
    run = client.run(checksum_app.NAME, owner=checksum_app.OWNER, files=str(folder))
    screen.step(f"uploaded {len(expected)} files; run {run.id} works on {_SLOTS} at a time")
    killed = drive(client, run, worker, screen, kills=kills)
    results = run.results()
    tally = ledger.read(client, run.id, list(expected), results)
    right = sum(expected.get(name) == digest for name, digest in _digests(results))
    screen.step(f"compared the results with the files: {right} of {len(expected)} are right")
    left = ending.clean_up(client, run, server.blobs, screen)
    shown = ending.verdict(tally, left, killed, kills)
    out("next: longshore up --app YOUR_APP.py   (docs/tutorials/first-five-minutes.md shows one)")
    return ExitCode.OK if shown and right == len(expected) else ExitCode.FAILED


def _write_files(folder: Path, count: int) -> dict[str, str]:
    """Write small files and return the SHA-256 of each, by name."""
    folder.mkdir()
    expected = {}
    for number in range(count):
        content = f"file {number}\n".encode() * (number % 50 + 1)
        path = folder / f"{number:04}.txt"
        path.write_bytes(content)
        expected[path.name] = hashlib.sha256(content).hexdigest()
    return expected


def _digests(results: RunResults) -> list[tuple[str, str | None]]:
    return [(file.original_file_name, field.value) for file, _, field in results.fields()]
