"""Counts what happened to a run's works from their log of events, assuming nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from longshore.errors import NotFound

if TYPE_CHECKING:
    from longshore import Client
    from longshore.sdk import RunResults
    from longshore.sdk.operations import Event, WorkInfo


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the files of a run.

    Attributes:
        submitted: files whose upload the server acknowledged.
        done: those with a recorded result.
        failed: those that ended without one, with the reason in the results.
        lost: those that the server does not know any more, or that never ended.
        recorded_twice: results recorded beyond the first.
        run_again: claims beyond the first, each one an execution that was begun again.
    """

    submitted: int
    done: int
    failed: int
    lost: int
    recorded_twice: int
    run_again: int

    @property
    def clean(self) -> bool:
        """Whether nothing was lost and nothing recorded twice."""
        return self.lost == 0 and self.recorded_twice == 0

    def sentence(self) -> str:
        """Return the numbers in one line."""
        failed = f"failed {self.failed} · " if self.failed else ""
        return (
            f"submitted {self.submitted} · done {self.done} · {failed}lost {self.lost} · "
            f"recorded twice {self.recorded_twice} · run again {self.run_again}"
        )


def read(client: Client, run_id: str, submitted: Sequence[str], results: RunResults) -> Tally:
    """Return what became of the files with the names `submitted`, from events and results."""
    works = client.works.list(run_id)
    histories = [client.works.events(work.id) for work in works]
    return tally(submitted, works, histories, [file.original_file_name for file in results])


def tally(
    submitted: Sequence[str],
    works: Sequence[WorkInfo],
    histories: Sequence[Sequence[Event]],
    answered: Sequence[str],
) -> Tally:
    """Count.

    Args:
        submitted: names of the files that were acknowledged.
        works: the works of the run as they are now.
        histories: the events of each work.
        answered: names of the files that the results speak of, once per entry.
    """
    recorded = [sum(event.reason == "done" for event in history) for history in histories]
    claims = [sum(event.reason == "claimed" for event in history) for history in histories]
    answers = Counter(answered)
    without_answer = sum((Counter(submitted) - answers).values())
    without_end = sum(not work.final for work in works)
    answered_twice = sum((answers - Counter(submitted)).values())
    return Tally(
        submitted=len(submitted),
        done=sum(count > 0 for count in recorded),
        failed=sum(work.final and work.state == "failure" for work in works),
        lost=max(without_answer, len(submitted) - len(works)) + without_end,
        recorded_twice=sum(max(count - 1, 0) for count in recorded) + answered_twice,
        run_again=sum(max(count - 1, 0) for count in claims),
    )


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is still there after the clean-up."""

    runs: int
    batches: int
    works: int
    files: int

    @property
    def nothing(self) -> bool:
        """Whether nothing is left."""
        return not (self.runs or self.batches or self.works or self.files)

    def sentence(self) -> str:
        """Return the numbers in one line."""
        return f"{self.runs} runs, {self.batches} batches, {self.works} works, {self.files} stored files"


def leftovers(client: Client, run_id: str, blobs: Path) -> Leftovers:
    """Look what is left: ask the server for rows, and the disk for files."""
    try:
        works = len(client.works.list(run_id))
    except NotFound:
        works = 0
    return Leftovers(
        runs=len(client.runs.list()),
        batches=len(client.batches.list()),
        works=works,
        files=sum(path.is_file() for path in blobs.rglob("*")) if blobs.is_dir() else 0,
    )
