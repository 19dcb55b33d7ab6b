# Generated from _async/administration.py by tools/unasync.py; edit that file instead.
"""Queues, workers and keys."""

from __future__ import annotations

import builtins

from longshore.sdk._calls import NATIVE, Call, creating, segment, without_none
from longshore.sdk._pages import KeyPage, QueuePage, SignInOffer, WorkerPage
from longshore.sdk._sync.transport import Transport
from longshore.sdk.operations import Key, NewKey, Queue, Worker


class Queues:
    """`client.queues`."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connection."""
        self._transport = transport

    def list(self) -> builtins.list[Queue]:
        """Return all queues with the counts of their works."""
        page = self._transport.fetch(Call("GET", f"{NATIVE}/queues"), QueuePage)
        return builtins.list(page.queues)

    def hold(self, id: int, why: str) -> Queue:  # noqa: A002
        """Let nothing more be claimed from a queue until it is released; what runs goes on.

        Args:
            id: the queue.
            why: a reason for those who wonder, 1 to 255 characters.

        Raises:
            NotFound: there is no such queue.
        """
        call = creating(f"{NATIVE}/queues/{segment(id)}/hold", {"why": why})
        return self._transport.fetch(call, Queue)

    def release(self, id: int) -> Queue:  # noqa: A002
        """Let works be claimed from a queue again.

        Raises:
            NotFound: there is no such queue.
        """
        call = creating(f"{NATIVE}/queues/{segment(id)}/release")
        return self._transport.fetch(call, Queue)


class Workers:
    """`client.workers`."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connection."""
        self._transport = transport

    def list(self) -> builtins.list[Worker]:
        """Return all workers, also those that left not long ago, the newest first."""
        page = self._transport.fetch(Call("GET", f"{NATIVE}/workers"), WorkerPage)
        return builtins.list(page.workers)


class Keys:
    """`client.keys`; all but `sign_in_link` needs an admin's key."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connection."""
        self._transport = transport

    def create(
        self,
        name: str,
        role: str,
        *,
        workspace: str | None = None,
        lifetime_s: float | None = None,
    ) -> NewKey:
        """Make a key; its secret is in `key` of the answer and is not shown again.

        This is never sent a second time, since the answer is kept nowhere.

        Args:
            name: 1 to 255 characters.
            role: viewer, operator, developer, worker, ingress or admin.
            workspace: the only workspace that the key may reach; default is all.
            lifetime_s: seconds until it expires; None for never.

        Raises:
            InvalidRequest: a value cannot be used.
        """
        body = without_none(name=name, role=role, workspace=workspace, lifetime_s=lifetime_s)
        return self._transport.fetch(Call("POST", f"{NATIVE}/keys", json=body), NewKey)

    def list(self) -> builtins.list[Key]:
        """Return all keys of the organisation, revoked ones too."""
        page = self._transport.fetch(Call("GET", f"{NATIVE}/keys"), KeyPage)
        return builtins.list(page.keys)

    def revoke(self, id: str) -> Key:  # noqa: A002
        """End a key at once; a second time changes nothing.

        Raises:
            NotFound: there is no such key.
        """
        return self._transport.fetch(Call("DELETE", f"{NATIVE}/keys/{segment(id)}"), Key)

    def sign_in_link(self) -> str:
        """Return a link that signs in to the dashboard once, within ten minutes, as this key.

        Unlike the other methods here, it needs no admin's key.
        """
        call = Call("POST", f"{NATIVE}/sign-in-codes", json={})
        offer = self._transport.fetch(call, SignInOffer)
        return self._transport.url + offer.path
