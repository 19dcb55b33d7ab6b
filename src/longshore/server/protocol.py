"""uvicorn's HTTP/1.1 protocol with a limit on what comes before the body, and with receipts.

A route that must know whether its answer was read asks for a receipt, `scope["state"]["receipt"]`;
`scope["state"]["lost"]` tells whether the connection is gone already (`edge.presence`).
"""

from __future__ import annotations

from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from longshore.limits import HEAD_BYTES

_REFUSAL = (
    f"The request line and headers take more than {HEAD_BYTES} bytes. Send shorter ones.".encode()
)
_ANSWER = b"\r\n".join(
    [
        b"HTTP/1.1 431 Request Header Fields Too Large",
        b"content-type: text/plain; charset=utf-8",
        b"content-length: %d" % len(_REFUSAL),
        b"connection: close",
        b"",
        _REFUSAL,
    ]
)


class HttpProtocol(HttpToolsProtocol):
    """One connection; uvicorn by itself keeps a head of any size in memory, before any key is seen."""

    _in_head = False
    _head_bytes = 0
    _lost = False
    _receipts: list[Callable[[bool], None]] | None = None

    def data_received(self, data: bytes) -> None:
        """Take what has arrived; refuse a head that has grown too long."""
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_ANSWER)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Start to count. Who asks again has read the last answer."""
        self._in_head, self._head_bytes = True, 0
        if self._receipts and self.cycle.response_complete:
            self._give_receipts(read=True)
        super().on_message_begin()
        self.scope["state"]["receipt"] = self._ask_for_receipt
        self.scope["state"]["lost"] = self._is_lost

    def on_headers_complete(self) -> None:
        """Stop counting: the body has limits of its own."""
        self._in_head = False
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note how the connection has ended: one that was reset has lost what was on its way."""
        super().connection_lost(exc)
        self._lost = True
        if self._receipts:
            self._give_receipts(read=exc is None and self.cycle.response_complete)

    def _is_lost(self) -> bool:
        return self._lost

    def _ask_for_receipt(self, receipt: Callable[[bool], None]) -> None:
        """Call `receipt` once it is known whether the answer to this request was read.

        It was when the client asks again on the connection or closes it in good order after the
        whole answer was sent, and was not when the connection breaks or ends before that.
        """
        if self._lost:
            receipt(False)
            return
        self._receipts = [*(self._receipts or ()), receipt]

    def _give_receipts(self, *, read: bool) -> None:
        receipts, self._receipts = self._receipts or (), None
        for receipt in receipts:
            receipt(read)
