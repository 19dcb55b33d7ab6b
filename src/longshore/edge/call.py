"""A request of an authenticated principal: `allow(...)` makes it, routes run services through it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore import ids, limits, tracing
from longshore.access import Permission, Principal, answers, audit, masking
from longshore.access.answers import Answer
from longshore.access.keystore import Reader
from longshore.access.masking import Masker
from longshore.edge.authentication import check_context, token_of
from longshore.edge.context import Context
from longshore.edge.responses import encode, json_response
from longshore.errors import InvalidRequest, PermissionDenied, TooLarge

P = ParamSpec("P")
T = TypeVar("T")
Target = str | Callable[[T], str]

REPLAYED_HEADER = "Idempotency-Replayed"
BODY_DIGEST = "longshore.body_sha256"
REQUEST_ID = "longshore.request_id"
ORGANISATION = "longshore.organisation_id"


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls, and the ways to run a service for them."""

    principal: Principal
    context: Context
    request: Request
    request_id: str

    async def read(
        self, service: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `service(connection, ...)` in a read-only transaction."""
        return await self.context.database.read(service, *args, **kwargs)

    async def write(
        self,
        action: str,
        service: Callable[..., T],
        /,
        *args: Any,
        target: Target[T],
        detail: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> T:
        """Run `service(connection, ...)` in one transaction, together with its audit entry.

        The entry says that `action` (such as "runs.delete") was done to `target` (an id, or a
        function that takes it from the result); `detail` is what else it keeps, JSON-ready and
        without secrets.
        """
        if tracing.spans is not None:
            tracing.spans.note("longshore.action", action)

        def change(connection: Connection) -> T:
            result = service(connection, *args, **kwargs)
            self._record(connection, action, target, detail, result)
            return result

        return await self.context.database.write(change)

    async def change(
        self,
        action: str,
        service: Callable[..., T],
        /,
        *args: Any,
        target: Target[T],
        render: Callable[[T], Any],
        status: int = 200,
        headers: Mapping[str, str] | Callable[[T], Mapping[str, str]] | None = None,
        detail: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Response:
        """Do what `write` does and answer, at most once for each Idempotency-Key.

        `render(result)` gives what is sent as JSON, or None for an empty body. With the header
        `Idempotency-Key`, the answer is stored in the transaction of the effect, and the same
        request sent again gets it back, marked by `Idempotency-Replayed: true`.

        Raises:
            IdempotencyConflict: the key was used before for another request.
            InvalidRequest: the key is unusable.
        """
        key = self.idempotency_key()
        if tracing.spans is not None:
            tracing.spans.note("longshore.action", action)

        def answer(connection: Connection) -> tuple[Answer, bool]:
            if key is not None:
                kept = answers.begin(connection, self.principal.key_id, key, self.fingerprint())
                if kept is not None:
                    return kept, True
            result = service(connection, *args, **kwargs)
            self._record(connection, action, target, detail, result)
            extra = headers(result) if callable(headers) else headers
            content = render(result)
            body = b"" if content is None else encode(content)
            made = Answer(status, dict(extra or {}), body)
            if key is not None:
                answers.keep(connection, self.principal.key_id, key, made)
            return made, False

        made, replayed = await self.context.database.write(answer)
        extra = {**made.headers, REPLAYED_HEADER: "true"} if replayed else made.headers
        return _response(made, extra)

    async def masker(self) -> Masker:
        """Return what takes the secrets of the caller's organisation out of what is stored.

        Raises:
            Unavailable: see `longshore.access.masking.of`.
        """
        database, organisation_id = self.context.database, self.principal.organisation_id
        known = masking.known(database, organisation_id)
        return await database.read(masking.of, organisation_id) if known is None else known

    def reader(self, **detail: Any) -> Reader:
        """Return who reads the keystore in this request; `detail` goes into the audit log."""
        return Reader(
            self.principal.organisation_id,
            self.principal.key_id,
            self.principal.key_name,
            self.request_id,
            detail,
        )

    def _record(
        self,
        connection: Connection,
        action: str,
        target: Target[T],
        detail: Mapping[str, Any] | None,
        result: T,
    ) -> None:
        audit.record(
            connection,
            self.principal,
            action=action,
            target=target(result) if callable(target) else target,
            detail=detail,
            request_id=self.request_id,
        )

    def idempotency_key(self) -> str | None:
        """Return what the client calls this request, or None.

        Raises:
            InvalidRequest: the key is unusable.
        """
        key = self.request.headers.get("idempotency-key")
        if key is None:
            return None
        if len(key) > limits.IDEMPOTENCY_KEY_CHARACTERS:
            raise TooLarge(
                f"The Idempotency-Key has {len(key)} characters and may have "
                f"{limits.IDEMPOTENCY_KEY_CHARACTERS}. Send a shorter one, such as a UUID."
            )
        if not key.strip() or not key.isprintable():
            raise InvalidRequest(
                "The Idempotency-Key is empty or not printable. Send a UUID, or leave it out."
            )
        return key

    def fingerprint(self) -> str:
        """Return what a repetition of this request has in common with it; read the body first."""
        scope = self.request.scope
        parts = (
            scope["method"].encode(),
            scope["path"].encode(),
            scope["query_string"],
            scope.get(BODY_DIGEST, "").encode(),
        )
        return hashlib.sha256(b"\n".join(parts)).hexdigest()


def allow(
    *permissions: Permission, programs: str | None = None
) -> Callable[[Request], Awaitable[Call]]:
    """Return the dependency that lets a request pass whose key's role includes a permission.

    Of several permissions one is enough. Programs that have the token of their attempt pass only
    where `programs` names the surface that the token is for: as workers they could claim the
    works of others, and so get their tokens.

    Raises (at request time):
        Unauthenticated: no key, a wrong one, or a wrong IB-Context.
        PermissionDenied: the key's role does not reach that far.
    """

    async def authenticated(request: Request) -> Call:
        context = cast("Context", request.app.state.context)
        principal = await context.authenticator.principal(token_of(request.headers))
        check_context(principal, request.headers)
        # For the access log, which is written when the answer is out.
        request.scope["longshore.key_id"] = principal.key_id
        request.scope[ORGANISATION] = principal.organisation_id
        principal.require(*permissions)
        if principal.work is not None and principal.surface != programs:
            raise PermissionDenied(
                "The token of an attempt is for what that attempt works on, and opens nothing "
                "else. Use an API key here."
            )
        request_id = request.scope.get(REQUEST_ID) or ids.new(ids.REQUEST)
        return Call(principal, context, request, request_id)

    return authenticated


def _response(answer: Answer, headers: Mapping[str, str]) -> Response:
    if not answer.body:
        return Response(status_code=answer.status, headers=headers)
    return Response(answer.body, answer.status, headers, "application/json")


__all__ = ["REPLAYED_HEADER", "Call", "allow", "json_response"]
