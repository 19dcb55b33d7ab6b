"""Receipts read by the worker of examples/archive, which is killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from server import Server, children

ROOT = Path(__file__).resolve().parents[1]
WORKER = ROOT / "examples" / "archive" / "line_reader.py"
API = "/api/v1"
SLOTS = 2
LOOK_S = 0.1
FINISH_S = 900.0
# The labels are in capitals throughout, whatever the receipt has.
PLAIN: dict[str, Callable[[str], str]] = {
    "as written": str,
    "without case": str.upper,
    "without case and spaces": lambda text: "".join(text.upper().split()),
}
# How soon the server knows that a worker is dead, which is not what is measured.
LEASE_S = 10


class Archive:
    """A server with a corpus of receipts."""

    def __init__(self, data: Path, pages: int) -> None:
        self.server = Server(None, {"LONGSHORE_LEASE_S": str(LEASE_S)})
        self.http = httpx.Client(
            base_url=self.server.url,
            headers={"Authorization": f"Bearer {self.server.key}"},
            timeout=60.0,
            trust_env=False,
        )
        images = sorted((data / "images").glob("*.jpg"))[:pages]
        self.pages = len(images)
        with tempfile.TemporaryDirectory() as scans:
            for image in images:
                Path(scans, image.name).symlink_to(image)
            begun = time.perf_counter()
            self._command("corpus", "import", "Receipts", scans, "--create", "--lines",
                          str(data / "lines"))  # fmt: skip
            self.import_s = time.perf_counter() - begun
        self.corpus_id = self.get(f"{API}/corpus/")[0]["id"]

    def close(self) -> None:
        self.http.close()
        self.server.close()

    def start(self) -> str:
        """Start a process over the pages, in as many tasks as there are slots; return its id."""
        self._command("process", "create", "Receipts", "--worker", "line-reader", "--type", "page",
                      "--chunks", str(SLOTS), "--queue")  # fmt: skip
        return str(self.get(f"{API}/process/")["results"][0]["id"])

    def get(self, path: str) -> Any:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self, path: str) -> Iterator[dict[str, Any]]:
        following: str | None = path
        while following is not None:
            page = self.get(following)
            yield from page["results"]
            following = page["next"]

    def _command(self, *arguments: str) -> None:
        variables = {"LONGSHORE_URL": self.server.url, "LONGSHORE_KEY": self.server.key}
        subprocess.run(
            [sys.executable, "-m", "longshore", *arguments],
            env={**os.environ, **variables},
            stdout=subprocess.DEVNULL,
            check=True,
        )


def read_receipts(data: Path, pages: int) -> None:
    """Import pages, read their lines, kill the worker in the middle, and print how it went."""
    with closing(Archive(data, pages)) as archive:
        name = ("--name", "reader", "--slots", str(SLOTS))
        with archive.server.worker(str(WORKER), *name) as worker:
            _await_worker(archive)
            process_id = archive.start()
            half = _await(archive, process_id, archive.pages // 2)
            killed_s = time.perf_counter()
            at_kill = half["progress"]["processed"]
            for pid in [*_descendants(worker.pid), worker.pid]:
                os.kill(pid, signal.SIGKILL)
        with archive.server.worker(str(WORKER), *name):
            done = _await(archive, process_id, archive.pages)
            resumed_s = time.perf_counter() - killed_s
        _report(archive, done, at_kill, resumed_s)


def _await_worker(archive: Archive) -> None:
    deadline = time.monotonic() + 60
    while "line-reader" not in archive.http.get("/longshore/v1/queues").text:
        assert time.monotonic() < deadline, "the worker does not come"
        time.sleep(LOOK_S)


def _await(archive: Archive, process_id: str, count: int) -> dict[str, Any]:
    deadline = time.monotonic() + FINISH_S
    while True:
        made: dict[str, Any] = archive.get(f"{API}/process/{process_id}/")
        over = count < archive.pages or made["state"] == "completed"
        if made["progress"]["processed"] >= count and over:
            return made
        assert made["state"] in ("pending", "running"), made["tasks"]
        assert time.monotonic() < deadline, made["progress"]
        time.sleep(LOOK_S)


def _report(archive: Archive, process: dict[str, Any], at_kill: int, resumed_s: float) -> None:
    run_id = process["workers"][0]["id"]
    labels: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    lines_of: Counter[str] = Counter()
    for page in archive.rows(f"{API}/corpus/{archive.corpus_id}/elements/?type=page&page_size=100"):
        path = f"{API}/element/{page['id']}/transcriptions/?recursive=true&page_size=100"
        for row in archive.rows(f"{path}&worker_run=False"):
            labels[row["element"]["id"]] = row["text"]
        for row in archive.rows(f"{path}&worker_run={run_id}"):
            texts.setdefault(row["element"]["id"], []).append(row["text"])
            lines_of[page["id"]] += 1
    ledger = list(archive.rows(f"{API}/process/{process['id']}/activities/?page_size=100"))
    done = {row["element"]["id"] for row in ledger if row["state"] == "processed"}
    assert len(done) == len(ledger) == archive.pages, "a page is there twice, or not processed"
    assert all(len(found) == 1 for found in texts.values()), "a line has several texts"
    begun_twice = sum(row["attempt"] > 1 for row in ledger)
    before, in_all = _rates(ledger, lines_of, at_kill)
    print(f"\n{archive.pages} receipts, {len(labels)} lines, imported in {archive.import_s:.1f} s")
    print(
        f"killed with kill -9 after {at_kill} pages; all is done {resumed_s:.1f} s later (leases "
        f"last {LEASE_S} s), {begun_twice} pages were begun twice"
    )
    print(
        f"{len(texts)} lines have exactly one text, {len(labels.keys() - texts.keys())} have none: "
        "nothing was recognized"
    )
    print(
        f"{before:.1f} lines per second in {SLOTS} processes until the kill, {in_all:.1f} in all, "
        "with the wait for the leases"
    )
    for title, plain in PLAIN.items():
        pairs = [(plain(text), plain(texts.get(line, [""])[0])) for line, text in labels.items()]
        errors = sum(distance(label, found) for label, found in pairs)
        print(f"character error rate, {title}: {errors / sum(len(one) for one, _ in pairs):.1%}")


def _rates(
    ledger: list[dict[str, Any]], lines_of: Counter[str], at_kill: int
) -> tuple[float, float]:
    """Return lines per second of the pages that were done at the kill, and of all."""
    rows = sorted(ledger, key=lambda row: datetime.fromisoformat(row["updated"]))
    begun = min(datetime.fromisoformat(row["started"]) for row in rows)
    rates = []
    for part in (rows[:at_kill], rows):
        seconds = (datetime.fromisoformat(part[-1]["updated"]) - begun).total_seconds()
        rates.append(sum(lines_of[row["element"]["id"]] for row in part) / seconds)
    return rates[0], rates[1]


def distance(one: str, other: str) -> int:
    """Return how many characters are to be changed, added or left out to make one of the other."""
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        left, row[0] = row[0], place
        for column, found in enumerate(other, 1):
            left, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, left + (letter != found)),
            )
    return row[-1]


def _descendants(pid: int) -> list[int]:
    found = []
    for child in children(pid):
        found += [child, *_descendants(child)]
    return found
