"""A user of corpora who asks until there is an answer, and an account of what workers left there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.acceptance.api import Patient
from tests.acceptance.harness import Command, Server, eventually

API = "/api/v1"
NATIVE = "/longshore/v1/corpus"
WORKERS = Path(__file__).with_name("element_workers.py")
FINISH_S = 60.0
BULK = 5_000


class Tool(Command):
    """Any command of Longshore against a server, for as long as it takes."""

    def __init__(self, directory: Path, mark: str, server: Server) -> None:
        super().__init__(directory, "tool", mark)
        self._server = server

    def run(self, *arguments: str, within_s: float = FINISH_S) -> str:
        """Run a command to its end and return what it has printed."""
        before = len(self.log)
        key = {"LONGSHORE_URL": self._server.url, "LONGSHORE_KEY": self._server.key}
        self.launch(arguments, key)
        assert self.wait(within_s) == 0, self.tail()
        return self.log[before:]


class Archivist(Patient):
    """A user of the corpora of one server."""

    def __init__(self, server: Server, *, url: str | None = None, key: str | None = None) -> None:
        super().__init__(url or server.url, key or server.key)

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, params=query or None).json()

    def post(self, path: str, body: Any = None, expect: tuple[int, ...] = (200, 201)) -> Any:
        return self.ask("POST", path, json=body, expect=expect).json()

    def rows(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Give the rows of all pages of a list."""
        page = self.get(path, page_size=100, **query)
        while True:
            yield from page["results"]
            if page["next"] is None:
                return
            page = self.get(page["next"])

    def corpus_of(self, count: int, name: str = "Archive") -> tuple[str, list[str]]:
        """Make a corpus with a folder and so many pages in it; return their ids."""
        corpus_id = str(self.post(f"{API}/corpus/", {"name": name})["id"])
        for slug in ("folder", "page"):
            kind = {"slug": slug, "display_name": slug, "corpus": corpus_id}
            self.post(f"{API}/elements/type/", {**kind, "folder": slug == "folder"})
        folder = {"type": "folder", "name": "all of them", "corpus": corpus_id}
        path = f"{API}/element/{self.post(f'{API}/elements/create/', folder)['id']}/children/bulk/"
        page_ids = []
        for first in range(0, count, BULK):
            numbers = range(first, min(first + BULK, count))
            pages = [{"type": "page", "name": f"page {number}"} for number in numbers]
            page_ids += [each["id"] for each in self.post(path, {"elements": pages})]
        return corpus_id, page_ids

    def wait_for(self, worker: str, within_s: float = 30.0) -> None:
        """Wait until a worker that is online has made this one known."""
        path = "/longshore/v1/queues"
        eventually(lambda: worker in self.ask("GET", path).text, within_s, f"{worker} is offered")

    def start(self, corpus_id: str, worker: str, **settings: Any) -> str:
        """Make and start a process over the pages of a corpus; return its id."""
        configuration = settings.pop("configuration", None)
        run = {"worker": worker, "configuration": configuration}
        body = {"corpus": corpus_id, "element_type": "page", "workers": [run], **settings}
        process_id = str(self.post(f"{API}/process/", body)["id"])
        # Whether a start that was not answered has begun, its repeat tells.
        self.post(f"{API}/process/{process_id}/start/", expect=(200, 201, 400, 409))
        return process_id

    def process(self, process_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"{API}/process/{process_id}/")
        return found

    def processed(self, process_id: str) -> int:
        return int(self.process(process_id)["progress"]["processed"])

    def finish(self, process_id: str, within_s: float = FINISH_S) -> dict[str, Any]:
        """Wait until a process is over, and return it."""
        over = ("completed", "failed", "error", "stopped", "cancelled")
        return eventually(
            lambda: made if (made := self.process(process_id))["state"] in over else {},
            within_s,
            f"process {process_id} is over",
        )

    def activities(self, process_id: str) -> list[dict[str, Any]]:
        return list(self.rows(f"{API}/process/{process_id}/activities/"))

    def check_all_once(self, process_id: str, page_ids: list[str]) -> None:
        """Check that each page is processed, once in the ledger, and has one text."""
        ledger = Counter(
            (row["element"]["id"], row["state"]) for row in self.activities(process_id)
        )
        assert ledger == Counter((page_id, "processed") for page_id in page_ids)
        texts: Counter[str] = Counter()
        for page_id in page_ids:
            found = self.get(f"{API}/element/{page_id}/transcriptions/")["results"]
            texts[page_id] += len(found)
            assert [each["text"] for each in found] == [f"text of {page_id}"]
        assert sum(texts.values()) == len(page_ids)
