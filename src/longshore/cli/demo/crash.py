"""`longshore demo crash`: a worker is killed, and nothing is lost."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from longshore.cli.console import out
from longshore.cli.demo.chase import drive
from longshore.cli.demo.names import DEMO_BUCKET_CRASH, DEMO_TAG
from longshore.cli.demo.place import Place, a_place
from longshore.cli.demo.processes import DemoWorker
from longshore.cli.demo.screen import Screen
from longshore.cli.exit_codes import ExitCode
from longshore.sdk import Client

if TYPE_CHECKING:
    from longshore.sdk.operations import Event

_CODE: Final = Path(__file__).parent / "code" / "crash.py"
_SLOTS: Final = 4
_ATTEMPTS: Final = 5
_CALLS: Final = 8
_DELETE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the records.

    Attributes:
        submitted: whose deposit the server acknowledged.
        done: with the right result.
        lost: without it.
        twice: results recorded beyond the first, by the log of events.
        again: claims beyond the first, each one an execution that was begun again.
        example: a work that was executed again, or any.
    """

    submitted: int
    done: int
    lost: int
    twice: int
    again: int
    example: str


def demonstrate(records: int, *, kills: int, own: bool) -> ExitCode:
    """Run the demo over so many records; FAILED when one was lost or recorded twice."""
    screen = Screen()
    with (
        tempfile.TemporaryDirectory(prefix="longshore-demo-") as directory,
        a_place(Path(directory), screen, own=own) as place,
    ):
        client = place.client
        worker = DemoWorker(Path(directory), client.url, place.worker_key, _CODE, slots=_SLOTS)
        worker.start()
        try:
            ids = _deposit(client, records)
            screen.step(f"{len(ids):,} records deposited and acknowledged in {DEMO_BUCKET_CRASH}")
            killed = drive(client, _Records(client, len(ids)), worker, screen, kills=kills)
        finally:
            worker.stop()
        screen.step("counting, from the log of events of each record")
        return _tell(place, count(client, ids), killed, kills)


class _Records:
    """How far the records are."""

    def __init__(self, client: Client, total: int) -> None:
        self._client, self._total = client, total

    def look(self) -> tuple[int, int, bool]:
        done = int(self._client.buckets.status(DEMO_BUCKET_CRASH).get("success", 0))
        return done, self._total, done >= self._total


def _deposit(client: Client, records: int) -> list[str]:
    """Put the records into their bucket, without those of an earlier demo; return their ids."""
    if DEMO_BUCKET_CRASH in client.buckets.pipelines():
        mine = {"pipeline": DEMO_BUCKET_CRASH, "tags": DEMO_TAG}
        earlier = client.buckets.act("delete", mine)
        earlier.wait(timeout_s=_DELETE_S)
    works = [
        {
            "pipeline": DEMO_BUCKET_CRASH,
            "site": "here",
            "user": "demo",
            "tags": [DEMO_TAG],
            "parameters": {"number": number},
            "retries": _ATTEMPTS,
            "timeout": 60,
        }
        for number in range(records)
    ]
    ids = client.buckets.deposit(works, return_ids=True)
    # A lost attempt costs this pause; the usual one is for troubles that need longer to pass.
    client.buckets.configure(DEMO_BUCKET_CRASH, retry_pause_s=1.0)
    return ids


def count(client: Client, ids: Sequence[str]) -> Count:
    """Count what became of the records with these ids, assuming nothing."""
    fields = {"id": True, "status": True, "parameters": True, "results": True}
    found = client.buckets.view({"pipeline": DEMO_BUCKET_CRASH}, fields, limit=None)
    right = {str(work["id"]) for work in found if _is_right(work)}
    with ThreadPoolExecutor(_CALLS) as pool:
        histories = list(pool.map(client.works.events, ids))
    return tally(ids, right, histories)


def tally(ids: Sequence[str], right: set[str], histories: Sequence[Sequence[Event]]) -> Count:
    """Count, from the ids of the records whose result is right and the events of each record."""
    claims = [sum(event.reason == "claimed" for event in history) for history in histories]
    ends = [sum(event.reason == "done" for event in history) for history in histories]
    done = sum(id_ in right and end > 0 for id_, end in zip(ids, ends, strict=True))
    most = max(range(len(ids)), key=claims.__getitem__)
    return Count(
        submitted=len(ids),
        done=done,
        lost=len(ids) - done,
        twice=sum(max(end - 1, 0) for end in ends),
        again=sum(max(claim - 1, 0) for claim in claims),
        example=ids[most],
    )


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _is_right(work: dict[str, Any]) -> bool:
    number = (work.get("parameters") or {}).get("number")
    wanted = hashlib.sha256(str(number).encode()).hexdigest()
    return work["status"] == "success" and (work.get("results") or {}).get("sha256") == wanted


def _tell(place: Place, found: Count, killed: int, kills: int) -> ExitCode:
    out()
    out(
        f"  killed {_times(killed)} · {found.submitted:,} submitted · {found.done:,} done · "
        f"{found.lost:,} lost · {found.twice:,} recorded twice · {found.again:,} executed again"
    )
    if killed < kills:
        out(f"  (It was over before all {kills} kills; give it more records.)")
    fine = not (found.lost or found.twice)
    if not fine:
        out("  This must not happen. Please report it with the output above.")
    out()
    if place.own is None:
        out(f"next: longshore why {found.example}")
    else:
        out(
            "next: longshore up   (on a server that runs, the demo leaves its works to be looked at)"
        )
    return ExitCode.OK if fine else ExitCode.FAILED
