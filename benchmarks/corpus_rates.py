"""How fast the API of corpora is, with a thousand elements and with a hundred thousand."""

from __future__ import annotations

import io
import json
import statistics
import time
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from corpus_floor import Floor, described
from peers.services import PostgreSQL
from PIL import Image
from server import Server

HERE = Path(__file__).parent
API = "/api/v1"
BULK = 1_000
PAGE = 500
CALLS = 5
FINISH_S = 900.0


@dataclass
class Figures:
    """Elements per second of each round, by what was done: ours and those of the floor."""

    ours: dict[str, list[float]] = field(default_factory=dict)
    floor: dict[str, list[float]] = field(default_factory=dict)

    def add(self, what: str, count: int, seconds: float, floor_s: float | None) -> None:
        self.ours.setdefault(what, []).append(count / seconds)
        if floor_s is None:
            return
        self.floor.setdefault(what, []).append(count / floor_s)

    def median(self, what: str) -> float:
        return statistics.median(self.ours[what])


class Site:
    """A server whose only corpus has a page with so many lines, and its floor."""

    def __init__(self, count: int, postgres: PostgreSQL | None) -> None:
        self.count = count
        self._server = Server(postgres, {})
        self._http = httpx.Client(
            base_url=self._server.url,
            headers={"Authorization": f"Bearer {self._server.key}"},
            timeout=300.0,
            trust_env=False,
        )
        self._made = 0
        self._rounds = 0
        self.figures = Figures()
        self._prepare()
        self.floor = Floor(self._server.directory / "floor.db", count, BULK)
        begun = time.perf_counter()
        for _ in range(count // BULK):
            self._create_s(self._page_id)
        self.fill_s = time.perf_counter() - begun

    def close(self) -> None:
        self.floor.close()
        self._http.close()
        self._server.close()

    def worker(self) -> AbstractContextManager[Any]:
        return self._server.worker(str(HERE / "noop_elements.py"), "--slots", "1")

    def create(self) -> None:
        """Add elements to those that are there, a thousand in a call."""
        seconds = sum(self._create_s(self._page_id) for _ in range(CALLS))
        floor_s = sum(self.floor.create_s() for _ in range(CALLS))
        self.figures.add("bulk create", CALLS * BULK, seconds, floor_s)

    def list_children(self) -> None:
        """List the children of the page, page by page."""
        begun = time.perf_counter()
        path: str | None = f"{API}/elements/{self._page_id}/children/?page_size={PAGE}"
        seen = 0
        while path is not None:
            page = self._get(path)
            seen += len(page["results"])
            path = page["next"]
        seconds = time.perf_counter() - begun
        assert seen == self._made, f"{seen} listed of {self._made}"
        self.figures.add("list children", seen, seconds, self.floor.list_s(seen, PAGE))

    def process(self) -> None:
        """Let the worker process all elements; the clock is that of the ledger."""
        self._rounds += 1
        run = {"worker": "noop", "configuration": {"round": self._rounds}}
        body = {"corpus": self._corpus_id, "element_type": "line", "queue": True, "workers": [run]}
        process_id = self._post(f"{API}/process/", body)["id"]
        begun = time.perf_counter()
        self._post(f"{API}/process/{process_id}/start/")
        self.figures.add("start a process", self._made, time.perf_counter() - begun, None)
        deadline = time.monotonic() + FINISH_S
        while (made := self._get(f"{API}/process/{process_id}/"))["state"] != "completed":
            assert made["state"] in ("pending", "running"), made["tasks"]
            assert time.monotonic() < deadline, made["progress"]
            time.sleep(0.5)
        began, ended, count = self._ledger(process_id)
        assert count == self._made, f"{count} processed of {self._made}"
        floor_s = self.floor.process_s(PAGE)
        self.figures.add("claim to processed", count, (ended - began).total_seconds(), floor_s)

    def wait_for_worker(self) -> None:
        deadline = time.monotonic() + 60
        while '"noop/1"' not in self._http.get("/longshore/v1/queues").text:
            assert time.monotonic() < deadline, "the worker does not come"
            time.sleep(0.1)

    def _prepare(self) -> None:
        self._corpus_id = self._post(f"{API}/corpus/", {"name": "Archive"})["id"]
        for slug in ("page", "line"):
            kind = {"slug": slug, "display_name": slug, "corpus": self._corpus_id}
            self._post(f"{API}/elements/type/", {**kind, "folder": False})
        image = io.BytesIO()
        Image.new("L", (800, 2_000)).save(image, "PNG")
        path = "/longshore/v1/corpus/images?name=page.png"
        image_id = self._http.post(path, content=image.getvalue()).json()["id"]
        page = {"type": "page", "name": "page", "corpus": self._corpus_id, "image": image_id}
        self._page_id = self._post(f"{API}/elements/create/", page)["id"]

    def _create_s(self, page_id: str) -> float:
        elements = [described(self._made + each) for each in range(BULK)]
        body = json.dumps({"elements": elements}).encode()
        begun = time.perf_counter()
        answer = self._http.post(
            f"{API}/element/{page_id}/children/bulk/",
            content=body,
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 201, answer.text
        assert len(answer.json()) == BULK
        self._made += BULK
        return time.perf_counter() - begun

    def _ledger(self, process_id: str) -> tuple[datetime, datetime, int]:
        """Return when the first element was begun and the last processed, and how many were."""
        path: str | None = f"{API}/process/{process_id}/activities/?page_size={PAGE}"
        rows: list[dict[str, Any]] = []
        while path is not None:
            page = self._get(path)
            rows += page["results"]
            path = page["next"]
        done = {row["element"]["id"] for row in rows if row["state"] == "processed"}
        assert len(done) == len(rows), "an element is there twice, or is not processed"
        times = [
            datetime.fromisoformat(row[name]) for row in rows for name in ("started", "updated")
        ]
        return min(times), max(times), len(done)

    def _get(self, path: str) -> Any:
        answer = self._http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _post(self, path: str, body: Any = None) -> Any:
        answer = self._http.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()


def measure(postgres: PostgreSQL | None, counts: tuple[int, int], rounds: int) -> list[Site]:
    """Measure a small site and a large one, round by round; return them, closed."""
    with ExitStack() as stack:
        sites = [stack.enter_context(closing(Site(count, postgres))) for count in counts]
        for site in sites:
            stack.enter_context(site.worker())
            site.wait_for_worker()
        for _ in range(rounds):
            for site in sites:
                site.list_children()
            for site in sites:
                site.process()
        # What adds elements comes last, since what comes before depends on how many there are.
        for _ in range(rounds):
            for site in sites:
                site.create()
    return sites
