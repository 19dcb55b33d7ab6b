"""Webhooks of buckets: addresses that are told when works end."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._calls import BUCKETS, Call, segment, without_none
from longshore.sdk.buckets import Webhook, WebhookKind

_WEBHOOKS = f"{BUCKETS}/webhooks"


class AsyncWebhooks:
    """`client.buckets.webhooks`; all of it needs an admin's key.

    Messages are signed; `longshore.webhooks` verifies them on the side of the receiver.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        """Use the client's connection."""
        self._transport = transport

    async def create(
        self,
        url: str,
        *,
        pipeline: str | None = None,
        kinds: Sequence[WebhookKind] | None = None,
    ) -> Webhook:
        """Let an address be told when works end.

        `secret` of the answer is what messages are signed with; it is not shown again. This is
        never sent a second time, since the answer is kept nowhere.

        Args:
            url: the address, https or http; private networks only as the server's operator allows.
            pipeline: the only bucket to tell about; None for all, those to come as well.
            kinds: what to tell: "work.success", "work.failure" (another attempt follows),
                "work.exhausted" (none follows by itself). Default is all three.

        Raises:
            NotFound: there is no such bucket (yet).
            InvalidRequest: the address may not be told, or a kind is unknown.
        """
        body = without_none(url=url, pipeline=pipeline, kinds=None if kinds is None else [*kinds])
        return await self._transport.fetch(Call("POST", _WEBHOOKS, json=body), Webhook)

    async def list(self) -> builtins.list[Webhook]:
        """Return all webhooks, the oldest first, without their secrets."""
        answer = await self._transport.fetch_json(Call("GET", _WEBHOOKS))
        return [Webhook.model_validate(entry) for entry in answer]

    async def delete(self, id: str) -> None:  # noqa: A002
        """Tell an address no more; what is still to be delivered to it is given up.

        Raises:
            NotFound: there is no such webhook.
        """
        await self._transport.send(Call("DELETE", f"{_WEBHOOKS}/{segment(id)}"))

    async def rotate(self, id: str, *, keep_s: float | None = None) -> Webhook:  # noqa: A002
        """Give a webhook a new secret, which is in `secret` of the answer and not shown again.

        Args:
            id: the webhook.
            keep_s: seconds for which messages are signed with the old secret, too, so that the
                receiver can change over; None until the next change, 0 to end it at once.

        Raises:
            NotFound: there is no such webhook.
        """
        body = without_none(keep_s=keep_s)
        call = Call("POST", f"{_WEBHOOKS}/{segment(id)}/rotate", json=body)
        return await self._transport.fetch(call, Webhook)
