# Generated from _async/reviews.py by tools/unasync.py; edit that file instead.
"""The human review of results: what waits for a person, and what a person says to it."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any, Final

from longshore.limits import PAGE_ROWS
from longshore.sdk._calls import NATIVE, Call, creating, segment, without_none
from longshore.sdk._sync.transport import Transport
from longshore.wire.reviews import Review, ReviewedDocument, ReviewList, ReviewState

_PATH: Final = f"{NATIVE}/apps/reviews"


class Reviews:
    """`client.reviews`.

    A document is named by its run and its place in it, such as "3-0": the first document of the
    fourth file. Whoever changes it gives the `version` of what they saw, so that nobody overwrites
    what somebody else has done meanwhile.

        for waiting in client.reviews.list():
            document = client.reviews.get(waiting.run_id, waiting.document)
            client.reviews.accept(document, {"total": "12.50"})
    """

    def __init__(self, transport: Transport) -> None:
        """Use the client's connection."""
        self._transport = transport

    def list(
        self,
        *,
        state: ReviewState | str | None = None,
        run: str | None = None,
        app: str | None = None,
        workspace: str | None = None,
        limit: int | None = None,
    ) -> builtins.list[Review]:
        """Return documents that wait for a person, those first that wait longest.

        Args:
            state: "needs_review", "in_review" or "accepted"; both of the first unless given.
            run: only of this run, by its id.
            app: only of this app, by its name.
            workspace: only of runs whose output is there.
            limit: at most so many; None for all.

        Raises:
            InvalidRequest: the state is none of these.
        """
        found: builtins.list[Review] = []
        after: int | None = None
        while limit is None or len(found) < limit:
            query = {
                "state": None if state is None else str(state),
                "run_id": run,
                "app": app,
                "workspace": workspace,
                "after": after,
                "limit": PAGE_ROWS if limit is None else min(PAGE_ROWS, limit - len(found)),
            }
            page = self._transport.fetch(Call("GET", _PATH, query=query), ReviewList)
            found.extend(page.reviews)
            after = page.next
            if after is None:
                break
        return found

    def get(self, run: str, document: str) -> ReviewedDocument:
        """Return a document: its fields with their sources, and what reviewers did.

        Raises:
            NotFound: there is no such run, or no such document in it.
        """
        return self._transport.fetch(Call("GET", _path(run, document)), ReviewedDocument)

    def begin(self, document: Review) -> ReviewedDocument:
        """Take a document, so that nobody else changes it for some minutes.

        Raises:
            Conflict: it waits for nobody, or somebody else has it.
        """
        return self._do(document, "begin")

    def release(self, document: Review) -> ReviewedDocument:
        """Put a document back that one has taken.

        Raises:
            Conflict: somebody else has it.
        """
        return self._do(document, "release")

    def correct(
        self,
        document: Review,
        values: Mapping[str | int, str | None] | None = None,
        *,
        class_name: str | None = None,
        reason: str | None = None,
    ) -> ReviewedDocument:
        """Give fields of a document other values; what the app returned is kept beside them.

        Args:
            document: as it was seen last.
            values: new values by the name of the field, or by its index where fields share a name.
            class_name: the right class of the document.
            reason: why, for whoever reads the history.

        Raises:
            Conflict: it was changed meanwhile, somebody else has it, or it waits for nobody.
            NotFound: there is no such field.
        """
        return self._do(document, "correct", _body(values, class_name, reason))

    def accept(
        self,
        document: Review,
        values: Mapping[str | int, str | None] | None = None,
        *,
        class_name: str | None = None,
        reason: str | None = None,
    ) -> ReviewedDocument:
        """Correct what is to be corrected, and close the review: the values count.

        Args:
            document: as it was seen last.
            values: as for `correct`.
            class_name: as for `correct`.
            reason: as for `correct`.

        Raises:
            Conflict: it was changed meanwhile, somebody else has it, or it waits for nobody.
            NotFound: there is no such field.
        """
        return self._do(document, "accept", _body(values, class_name, reason))

    def reopen(self, document: Review, reason: str) -> ReviewedDocument:
        """Let a document need a review again, or one that never did.

        Raises:
            Conflict: it waits for one already, or was changed meanwhile.
        """
        return self._do(document, "reopen", {"reason": reason})

    def _do(
        self, document: Review, action: str, body: dict[str, Any] | None = None
    ) -> ReviewedDocument:
        path = f"{_path(document.run_id, document.document)}/{action}"
        sent = None if body is None else {"version": document.version, **body}
        return self._transport.fetch(creating(path, sent), ReviewedDocument)


def _path(run: str, document: str) -> str:
    return f"{_PATH}/{segment(run)}/{segment(document)}"


def _body(
    values: Mapping[str | int, str | None] | None, class_name: str | None, reason: str | None
) -> dict[str, Any]:
    corrections = [{"field": field, "value": value} for field, value in (values or {}).items()]
    return {"corrections": corrections, **without_none(class_name=class_name, reason=reason)}
