"""Runs for the pages of runs: a worker that the test plays itself, and receipts that are drawn."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import longshore
from longshore.cli.demo import paper
from longshore.cli.demo.code.receipts_reading import read
from tests.acceptance.api import Holder, User
from tests.acceptance.harness import Server

Reader = Callable[[str], dict[str, Any]]
"""From the name of a file to the result of its work."""


@dataclass
class Port:
    """A user and a worker with an app of their own, on a server that others use, too."""

    server: Server
    app: str
    user: User
    holder: Holder

    def begin(self, files: dict[str, bytes]) -> str:
        """Start a run over new files."""
        return self.user.run_files(self.app, files)

    def work(self, reader: Reader, *, limit: int = 100) -> int:
        """Do what waits as a worker would; return how many files."""
        works = self.holder.claim(limit=limit)
        for work in works:
            result = reader(work["payload"]["file"]["name"])
            assert self.holder.report(work, "success", result=result) == []
        return len(works)

    def finish(self, files: dict[str, bytes], reader: Reader) -> str:
        """Run the app over files to its end; return the run's id."""
        run_id = self.begin(files)
        while self.user.run(run_id)["status"] == "RUNNING":
            works = self.holder.claim(wait_s=0.2)
            for work in works:
                result = reader(work["payload"]["file"]["name"])
                assert self.holder.report(work, "success", result=result) == []
        return run_id

    def results(self, run_id: str) -> dict[str, Any]:
        """Return what the results API tells of a run."""
        found: dict[str, Any] = self.user.get(
            f"/api/v2/apps/runs/{run_id}/results", include_review_results="true"
        )
        return found


@contextmanager
def port(server: Server, app: str | None = None) -> Iterator[Port]:
    app = app or f"Receipts {secrets.token_hex(4)}"
    user, holder = User(server.url, server.key), Holder(server, app, name=f"hand {app}")
    holder.register()
    yield Port(server, app, user, holder)
    holder.leave()
    holder.http.close()
    user.http.close()


def result(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a result with one document."""
    document = {"fields": list(fields), "class_name": "receipt", **more}
    return {"documents": [document], "review_below": 0.6}


def receipts(directory: Path, count: int) -> tuple[dict[str, bytes], Reader]:
    """Draw receipts, of which the last cannot be read surely; return them and what reads them."""
    drawn = {receipt.name: receipt.content for receipt in paper.as_pictures(count, seed=3)}

    def reader(name: str) -> dict[str, Any]:
        path = directory / name
        path.write_bytes(drawn[name])
        (found,) = read(longshore.InputFile(name, path, len(drawn[name])))
        fields = [
            {
                "name": field.name,
                "value": field.value,
                "type": field.type,
                "confidence": field.confidence,
                "ocr_confidence": field.ocr_confidence,
                "page": field.page,
                "box": field.box,
                "error": field.error,
                "alerts": list(field.alerts),
            }
            for field in found.fields
        ]
        pages = [
            {"number": page.number, "width": page.width, "height": page.height}
            for page in found.pages
        ]
        return result(*fields, pages=pages, class_confidence=found.class_confidence)

    return drawn, reader
