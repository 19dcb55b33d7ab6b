"""Calling addresses that users name, so that the server reaches nothing on their behalf.

A user who may name an address must not get the server to call itself, its neighbours or the
metadata service of its cloud. So the host is resolved once, all its addresses are judged, and the
connection goes to one of those and no other, whatever the name means a moment later. Redirects
are not followed, and no proxy of the environment is asked.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httpx

from longshore import __version__, limits
from longshore.edge.addresses import Network, refusal
from longshore.errors import DeliveryFailed, InvalidRequest, TooLarge

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host, for a port; raises OSError if there are none."""

SETTING: Final = "LONGSHORE_WEBHOOK_NETWORKS"
CONNECT_S: Final = 4.0
"""Longest that one address may take to connect, so that there is time for the next."""
ADDRESSES: Final = 4
"""Most addresses of a host that are tried."""
_PORTS: Final = {"http": 80, "https": 443}
_OURS: Final = frozenset(
    {
        "host", "content-length", "transfer-encoding", "connection", "keep-alive",
        "proxy-connection", "te", "trailer", "upgrade", "expect",
        "webhook-id", "webhook-timestamp", "webhook-signature",
    }
)  # fmt: skip
_HOST: Final = re.compile(r"[a-z0-9._:-]+")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered; the body is cut at `limits.OUTBOUND_ANSWER_BYTES`."""

    status: int
    body: bytes


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Outbound:
    """Sends requests to addresses that users name."""

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        resolver: Resolve = resolve,
        limit_s: float = limits.OUTBOUND_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Reach public addresses and those of the networks `allowed`.

        Args:
            allowed: private networks that may be called as well.
            resolver: gives the addresses of a name.
            limit_s: longest that a request takes in all, in seconds.
            tls: whom to trust; the certificate authorities that httpx trusts unless given.
        """
        self.allowed = tuple(allowed)
        self._resolver = resolver
        self._limit_s = limit_s
        self._tls = tls

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """POST a body and return the answer, whatever its status.

        Raises:
            InvalidRequest: the URL cannot be called.
            DeliveryFailed: there was no answer: the host has no address or a forbidden one, does
                not take the connection, or says nothing within the time limit.
        """
        return await self._call("POST", url, body, headers)

    async def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """GET a URL; everything else is as in `post`."""
        return await self._call("GET", url, b"", headers)

    async def _call(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        target = checked_url(url, self.allowed)
        deadline_s = asyncio.get_running_loop().time() + self._limit_s
        if self._tls is None:
            # Reading the certificates takes a while, so it is done once and aside.
            self._tls = await asyncio.to_thread(httpx.create_ssl_context, trust_env=False)
        async with httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False) as transport:
            try:
                async with asyncio.timeout_at(deadline_s):
                    addresses = await self._addresses(target)
                    response = await self._send(transport, method, target, addresses, body, headers)
            except (TimeoutError, httpx.TimeoutException):
                raise DeliveryFailed(
                    f"{target.host} did not answer within {self._limit_s:g} s."
                ) from None
            except httpx.TransportError as error:
                # Its text may quote what was sent, so only its kind is told.
                raise DeliveryFailed(
                    f"The connection to {target.host} failed ({type(error).__name__})."
                ) from None
            return Answer(response.status_code, await _beginning(response, deadline_s))

    async def _addresses(self, url: httpx.URL) -> list[str]:
        """Resolve the host once; refuse it if any of its addresses may not be called."""
        try:
            found = list(await self._resolver(_host(url), _port(url)))
        except (OSError, UnicodeError) as error:
            raise DeliveryFailed(f"{url.host} cannot be resolved: {error}.") from None
        for address in found:
            kind = refusal(address, self.allowed)
            if kind is not None:
                raise DeliveryFailed(_forbidden(url.host, address, kind))
        if not found:
            raise DeliveryFailed(f"{url.host} has no address.")
        return found[:ADDRESSES]

    async def _send(
        self,
        transport: httpx.AsyncHTTPTransport,
        method: str,
        url: httpx.URL,
        addresses: Sequence[str],
        body: bytes,
        headers: Mapping[str, str],
    ) -> httpx.Response:
        """Send to the first address that takes the connection."""
        times = httpx.Timeout(self._limit_s, connect=min(CONNECT_S, self._limit_s))
        for address in addresses:
            request = httpx.Request(
                method,
                # The address in the place of the name pins it; the name goes on in Host and SNI.
                url.copy_with(host=address),
                headers=_complete(headers, url),
                content=body,
                extensions={"timeout": times.as_dict(), "sni_hostname": _host(url)},
            )
            try:
                return await transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise AssertionError("there is at least one address")


def checked_url(text: str, allowed: Sequence[Network] = (), *, what: str = "The URL") -> httpx.URL:
    """Return a URL that may be called as far as can be known without resolving its host.

    Raises:
        InvalidRequest: it is none, its scheme is not http or https, it holds a name or password,
            or its host is written as an address that may not be called.
        TooLarge: it is longer than `limits.OUTBOUND_URL_CHARACTERS`.
    """
    if len(text) > limits.OUTBOUND_URL_CHARACTERS:
        raise TooLarge(
            f"{what} has {len(text)} characters and may have {limits.OUTBOUND_URL_CHARACTERS}.",
            details={"limit": limits.OUTBOUND_URL_CHARACTERS},
        )
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise InvalidRequest(f"{what} is not a URL. Send one such as https://host/path.") from None
    if url.scheme not in _PORTS:
        raise InvalidRequest(f"{what} must begin with http:// or https://.")
    authority = re.split(r"[/?#]", text.partition("//")[2], maxsplit=1)[0]
    if "@" in authority or url.userinfo:
        raise InvalidRequest(
            f"{what} holds a name or password. Send credentials in a header instead."
        )
    if not _HOST.fullmatch(_host(url)):
        raise InvalidRequest(
            f"{what} names no host that can be called. Send one such as https://host/path."
        )
    if not 1 <= _port(url) <= 65_535:
        raise InvalidRequest(f"{what} names port {_port(url)}; a port is 1 to 65535.")
    literal = _literal(_host(url), what)
    kind = None if literal is None else refusal(literal, allowed)
    if kind is not None:
        raise InvalidRequest(f"{what} cannot be called. {_forbidden(url.host, literal, kind)}")
    return url


def check_headers(headers: Mapping[str, str], *, what: str = "The headers") -> None:
    """Refuse headers that cannot be sent; their values never show up in the message.

    Raises:
        InvalidRequest: a name or value holds what it may not, is given twice, or is one of those
            that Longshore sets.
        TooLarge: there are too many, or they are too long.
    """
    size = sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())
    if len(headers) > limits.OUTBOUND_HEADERS or size > limits.OUTBOUND_HEADERS_BYTES:
        raise TooLarge(
            f"{what} are {len(headers)} of {size} bytes; at most {limits.OUTBOUND_HEADERS} of "
            f"{limits.OUTBOUND_HEADERS_BYTES} bytes together can be sent.",
            details={"limit": limits.OUTBOUND_HEADERS, "bytes": limits.OUTBOUND_HEADERS_BYTES},
        )
    seen: set[str] = set()
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise InvalidRequest(f"{what} hold a name that no header can have: {name[:80]!a}.")
        if name.lower() in _OURS:
            raise InvalidRequest(f"{what} hold {name}, which Longshore sets. Leave it out.")
        if name.lower() in seen:
            raise InvalidRequest(f"{what} hold {name} twice. Send it once.")
        if not _HEADER_VALUE.fullmatch(value):
            raise InvalidRequest(
                f"The value of {name} in {what} cannot be sent: only printable ASCII is possible, "
                "with no space or line break at its ends."
            )
        seen.add(name.lower())


def _complete(headers: Mapping[str, str], url: httpx.URL) -> httpx.Headers:
    whole = httpx.Headers(
        {
            "user-agent": f"longshore/{__version__}",
            "accept": "*/*",
            "accept-encoding": "identity",
            "content-type": "application/json",
        }
    )
    whole.update(headers)
    whole["host"] = url.netloc.decode("ascii")
    whole["connection"] = "close"
    return whole


async def _beginning(response: httpx.Response, deadline_s: float) -> bytes:
    """Read as much of the body as is kept; the status stands, whether or not the rest comes."""
    taken = bytearray()
    try:
        with suppress(TimeoutError, httpx.TransportError, httpx.StreamError):
            async with asyncio.timeout_at(deadline_s):
                async for piece in response.aiter_raw():
                    taken += piece
                    if len(taken) >= limits.OUTBOUND_ANSWER_BYTES:
                        break
    finally:
        await response.aclose()
    return bytes(taken[: limits.OUTBOUND_ANSWER_BYTES])


def _host(url: httpx.URL) -> str:
    """Return the host as a resolver and a certificate name it, without the dot of a whole name."""
    return url.raw_host.decode("ascii").rstrip(".")


def _port(url: httpx.URL) -> int:
    return _PORTS[url.scheme] if url.port is None else url.port


def _literal(host: str, what: str) -> str | None:
    """Return the address that a host is known to be without asking anyone, or None."""
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return host
    with suppress(OSError):
        socket.inet_aton(host)
        raise InvalidRequest(
            f"{what} names its host by a number. Write an address as four numbers up to 255 with "
            "dots in between."
        )
    return None


def _forbidden(host: str, address: str | None, kind: str) -> str:
    means = "" if address == host else f" means {address}, which"
    return (
        f"{host}{means} is {kind} address, and Longshore calls only public ones. The operator of "
        f"the server can allow a network by {SETTING}."
    )
