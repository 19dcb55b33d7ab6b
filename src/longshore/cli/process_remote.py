"""The calls of `longshore process`, as a client of the server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from longshore.errors import InvalidRequest
from longshore.sdk._calls import Call, segment
from longshore.sdk.corpora import API, Remote


class ProcessRemote(Remote):
    """A server with corpora and their processes."""

    def processes(self, corpus_id: str | None = None) -> Iterator[dict[str, Any]]:
        """Give processes, the newest first; those of a corpus if one is given."""
        return self._rows("/process/", corpus=corpus_id)

    def create_process(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make a process."""
        made: dict[str, Any] = self._post("/process/", body)
        return made

    def process(self, process_id: str) -> dict[str, Any]:
        """Return a process with its runs, tasks and progress."""
        found: dict[str, Any] = self._get(f"/process/{segment(process_id)}/")
        return found

    def change(self, process_id: str, verb: str) -> dict[str, Any]:
        """Start, stop or retry a process; return it."""
        changed: dict[str, Any] = self._post(f"/process/{segment(process_id)}/{verb}/", {})
        return changed

    def delete(self, process_id: str) -> None:
        """Delete a process that is over."""
        self._transport.send(Call("DELETE", f"{API}/process/{segment(process_id)}/"))

    def activities(self, process_id: str, *, state: str | None, limit: int) -> list[dict[str, Any]]:
        """Return the first activities of a process, only those in a state where one is given."""
        path = f"{API}/process/{segment(process_id)}/activities/"
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while len(found) < limit:
            query = {"state": state, "cursor": cursor, "page_size": min(limit, 500)}
            page = self._transport.fetch_json(Call("GET", path, query=query))
            found += page["results"]
            if page["next"] is None:
                break
            cursor = parse_qs(urlsplit(page["next"]).query)["cursor"][0]
        return found[:limit]

    def set_ids(self, corpus_id: str, wanted: Sequence[str]) -> list[str]:
        """Return the ids of sets that are given as DATASET:SET, by names or ids.

        Raises:
            InvalidRequest: the corpus has no such dataset or set.
        """
        known = list(self._rows(f"/corpus/{segment(corpus_id)}/datasets/"))
        chosen = []
        for text in wanted:
            dataset, colon, name = text.rpartition(":")
            found = [
                each["id"]
                for one in known
                if dataset in (one["id"], one["name"])
                for each in one["sets"]
                if name in (each["id"], each["name"])
            ]
            if not colon or not found:
                raise InvalidRequest(
                    f"--set {text!r}: the corpus has no such set. Give it as DATASET:SET, by their "
                    "names or ids."
                )
            chosen.append(found[0])
        return chosen
