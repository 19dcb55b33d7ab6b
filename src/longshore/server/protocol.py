"""uvicorn's HTTP/1.1 protocol with a limit on what comes before the body."""

from __future__ import annotations

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
        """Start to count."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop counting: the body has limits of its own."""
        self._in_head = False
        super().on_headers_complete()
