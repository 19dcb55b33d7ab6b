"""Calls to addresses that users name: what is refused, and where connections really go."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from longshore import limits
from longshore.edge.addresses import Network, refusal
from longshore.edge.outbound import Outbound, check_headers, checked_url
from longshore.errors import DeliveryFailed, InvalidRequest, TooLarge
from longshore.settings import Settings
from tests.unit.receiver import Receiver, receiving

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"),)
FORBIDDEN = [
    ("0.0.0.0", "an unspecified"),
    ("0.1.2.3", "an unspecified"),
    ("127.0.0.1", "a loopback"),
    ("127.8.9.10", "a loopback"),
    ("10.1.2.3", "a private"),
    ("172.16.0.1", "a private"),
    ("172.31.255.255", "a private"),
    ("192.168.1.1", "a private"),
    ("169.254.1.1", "a link-local"),
    ("169.254.169.254", "a cloud metadata"),
    ("168.63.129.16", "a cloud metadata"),
    ("100.100.100.200", "a cloud metadata"),
    ("100.64.0.1", "a carrier-grade NAT"),
    ("192.0.0.192", "a reserved"),
    ("198.18.0.1", "a reserved"),
    ("224.0.0.1", "a multicast"),
    ("240.0.0.1", "a reserved"),
    ("255.255.255.255", "a reserved"),
    ("::", "an unspecified"),
    ("::1", "a loopback"),
    ("fe80::1", "a link-local"),
    ("fe80::1%eth0", "a link-local"),
    ("fd00:ec2::254", "a private"),
    ("fec0::1", "a private"),
    ("ff02::1", "a multicast"),
    ("2001::1", "a reserved"),
    ("2001:db8::1", "a reserved"),
    ("64:ff9b:1::1", "a reserved"),
    ("::7f00:1", "a reserved"),
    ("4000::1", "a reserved"),
    ("::ffff:127.0.0.1", "a loopback"),
    ("::ffff:169.254.169.254", "a cloud metadata"),
    ("2002:7f00:1::", "a loopback"),
    ("2002:a00:1::1", "a private"),
    ("64:ff9b::7f00:1", "a loopback"),
    ("64:ff9b::10.0.0.1", "a private"),
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def names(*answers: list[str]) -> tuple[Outbound, list[str]]:
    """Return a caller whose resolver gives one answer after the other, and what it was asked."""
    asked: list[str] = []

    async def resolver(host: str, _port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    return Outbound(LOOPBACK, resolver=resolver, limit_s=5), asked


@pytest.mark.parametrize(("address", "kind"), FORBIDDEN)
def test_an_address_that_is_not_public_is_refused(address: str, kind: str) -> None:
    assert refusal(address) == kind


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8",
     "64:ff9b::8.8.8.8", "2002:808:808::1"],
)  # fmt: skip
def test_a_public_address_may_be_called(address: str) -> None:
    assert refusal(address) is None


def test_an_operator_allows_networks_and_no_others() -> None:
    allowed = Settings(webhook_networks="10.1.0.0/16, fd00::/8").webhook_networks  # type: ignore[arg-type]
    assert refusal("10.1.2.3", allowed) is None
    assert refusal("::ffff:10.1.2.3", allowed) is None
    assert refusal("fd12::1", allowed) is None
    assert refusal("10.2.0.1", allowed) == "a private"
    assert refusal("::1", allowed) == "a loopback"
    with pytest.raises(ValueError, match="host bits"):
        Settings(webhook_networks="10.1.2.3/8")  # type: ignore[arg-type]


def test_networks_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().webhook_networks == ()
    monkeypatch.setenv("LONGSHORE_WEBHOOK_NETWORKS", "127.0.0.0/8,::1/128")
    assert [str(each) for each in Settings().webhook_networks] == ["127.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "http://"),
        ("example.com/x", "http://"),
        ("ftp://example.com", "http://"),
        ("file://localhost/etc/passwd", "http://"),
        ("gopher://example.com", "http://"),
        ("http://", "names no host"),
        ("http:///x", "names no host"),
        ("http://.../x", "names no host"),
        ("http://a b/", "names no host"),
        ("http://[::1", "is not a URL"),
        ("http://h\r\nX: y/", "is not a URL"),
        ("http://user:word@example.com/", "name or password"),
        ("http://user@example.com/", "name or password"),
        ("http://@example.com/", "name or password"),
        ("http://good.example\\@127.0.0.1/", "name or password"),
        ("http://example.com:0/", "port 0"),
        ("http://example.com:65536/", "port 65536"),
        ("http://127.0.0.1/", "a loopback address"),
        ("https://127.0.0.1:8400/api", "a loopback address"),
        ("http://127.0.0.1./", "a loopback address"),
        ("http://LOCALHOST/", "a loopback address"),
        ("http://a.localhost/", "a loopback address"),
        ("http://10.0.0.1/", "a private address"),
        ("http://169.254.169.254/latest/meta-data", "a cloud metadata address"),
        ("http://0.0.0.0/", "an unspecified address"),
        ("http://[::1]/", "a loopback address"),
        ("http://[::]/", "an unspecified address"),
        ("http://[::ffff:127.0.0.1]/", "a loopback address"),
        ("http://[::ffff:7f00:1]/", "a loopback address"),
        ("http://[64:ff9b::7f00:1]/", "a loopback address"),
        ("http://[2002:7f00:1::]/", "a loopback address"),
        ("http://[fe80::1%25eth0]/", "names no host"),
        ("http://2130706433/", "by a number"),
        ("http://0x7f000001/", "by a number"),
        ("http://0x7f.1/", "by a number"),
        ("http://127.1/", "by a number"),
        ("http://017700000001/", "by a number"),
        ("http://0177.0.0.1/", "is not a URL"),
        ("http://\uff11\uff12\uff17.0.0.1/", "is not a URL"),
    ],
)
async def test_a_url_that_cannot_be_called_is_refused_before_anything_is_resolved(
    url: str, told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        checked_url(url)
    caller, asked = names(["127.0.0.1"])
    caller.allowed = ()
    with pytest.raises(InvalidRequest, match=told):
        await caller.post(url, b"{}", {})
    assert asked == []


def test_a_url_may_be_long_but_not_too_long() -> None:
    start = "https://example.com/"
    checked_url(start + "x" * (limits.OUTBOUND_URL_CHARACTERS - len(start)))
    with pytest.raises(TooLarge, match="2001 characters"):
        checked_url(start + "x" * (limits.OUTBOUND_URL_CHARACTERS + 1 - len(start)))


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"": "x"}, "no header can have"),
        ({"a b": "x"}, "no header can have"),
        ({"a:": "x"}, "no header can have"),
        ({"a\r\nb": "x"}, "no header can have"),
        ({"naïve": "x"}, "no header can have"),
        ({"a": "hidden\r\nHost: y"}, "cannot be sent"),
        ({"a": "hidden\n"}, "cannot be sent"),
        ({"a": "hid\0den"}, "cannot be sent"),
        ({"a": " hidden"}, "cannot be sent"),
        ({"a": "hiddén"}, "cannot be sent"),
        ({"HOST": "x"}, "Longshore sets"),
        ({"Content-Length": "1"}, "Longshore sets"),
        ({"Transfer-Encoding": "chunked"}, "Longshore sets"),
        ({"Connection": "upgrade"}, "Longshore sets"),
        ({"Webhook-Id": "x"}, "Longshore sets"),
        ({"X-A": "1", "x-a": "2"}, "twice"),
        ({f"h{number}": "x" for number in range(21)}, "at most 20"),
        ({"a": "hidden" * 700}, "4096 bytes"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused_and_their_values_not_told(
    headers: dict[str, str], told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told) as caught:
        check_headers(headers)
    assert "hid" not in caught.value.message


@pytest.mark.parametrize(("address", "kind"), FORBIDDEN)
async def test_a_name_that_means_a_forbidden_address_is_refused(address: str, kind: str) -> None:
    async def resolver(_host: str, _port: int) -> list[str]:
        return ["8.8.8.8", address]

    with pytest.raises(DeliveryFailed, match=f"{kind} address"):
        await Outbound(resolver=resolver).post("http://receiver.test/", b"", {})


async def test_one_forbidden_address_among_good_ones_is_enough_and_nothing_connects(
    receiver: Receiver,
) -> None:
    caller, _ = names(["127.0.0.1", "10.0.0.1"])
    with pytest.raises(DeliveryFailed, match=r"receiver\.test means 10\.0\.0\.1"):
        await caller.post(f"http://receiver.test:{receiver.port}/", b"", {})
    assert receiver.connections == 0


async def test_the_connection_goes_to_the_address_that_was_checked(receiver: Receiver) -> None:
    # Resolved a second time, the name would mean something else.
    caller, asked = names(["127.0.0.1"], ["10.0.0.1"])
    answer = await caller.post(
        f"http://receiver.test:{receiver.port}/a?b=c", b'{"x": 1}', {"X-Token": "t"}
    )
    assert answer.status == 200
    assert asked == ["receiver.test"]
    [got] = receiver.requests
    assert got.headers["host"] == f"receiver.test:{receiver.port}"
    assert (got.path, got.body, got.headers["x-token"]) == ("/a?b=c", b'{"x": 1}', "t")
    with pytest.raises(DeliveryFailed, match="private address"):
        await caller.post(f"http://receiver.test:{receiver.port}/", b"", {})
    assert receiver.connections == 1


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1.", "127.8.9.10", "0.0.0.0", "localhost", "LOCALHOST", "a.localhost",
     "2130706433", "0x7f000001", "127.1", "0177.0.0.1", "[::1]", "[::]", "[::ffff:127.0.0.1]",
     "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "user:word@127.0.0.1",
     "example.com@127.0.0.1", "example.com#@127.0.0.1"],
)  # fmt: skip
async def test_no_way_of_writing_this_machine_leads_to_a_connection(
    receiver: Receiver, host: str
) -> None:
    async def resolver(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    with pytest.raises((DeliveryFailed, InvalidRequest)):
        await Outbound(resolver=resolver).post(f"http://{host}:{receiver.port}/", b"", {})
    with pytest.raises((DeliveryFailed, InvalidRequest)):
        await Outbound().post(f"http://{host}:{receiver.port}/", b"", {})
    assert receiver.connections == 0


async def test_a_name_is_asked_of_the_system_once_and_never_again_for_the_connection(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding below our own resolver: whoever asks a second time is sent elsewhere."""
    genuine = socket.getaddrinfo
    asked: list[str] = []

    def rebinding(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        asked.append(name)
        if name == "rebinding.test":
            # Allowed at first; 127.0.0.2 is this machine as well, and nothing listens there.
            host = "127.0.0.1" if asked.count(name) == 1 else "127.0.0.2"
        return genuine(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    url = f"http://rebinding.test:{receiver.port}/"
    assert (await Outbound(LOOPBACK).post(url, b"", {})).status == 200
    assert asked.count("rebinding.test") == 1
    assert receiver.connections == 1
    # Asked anew, the name leads elsewhere, and that is judged anew.
    with pytest.raises(DeliveryFailed, match=r"means 127\.0\.0\.2"):
        await Outbound().post(url, b"", {})
    assert receiver.connections == 1


async def test_the_next_address_is_tried_when_one_takes_no_connection(receiver: Receiver) -> None:
    # The receiver listens on 127.0.0.1 only.
    caller, _ = names(["127.0.0.2", "127.0.0.1"])
    url = f"http://receiver.test:{receiver.port}/"
    assert (await caller.post(url, b"", {})).status == 200
    caller, _ = names(["127.0.0.2", "127.0.0.3"])
    with pytest.raises(DeliveryFailed, match=r"receiver\.test failed \(ConnectError\)"):
        await caller.post(url, b"", {})


async def test_a_name_without_an_address_is_a_failure() -> None:
    async def resolver(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(DeliveryFailed, match="cannot be resolved"):
        await Outbound(resolver=resolver).post("http://receiver.test/", b"", {})
    caller, _ = names([])
    with pytest.raises(DeliveryFailed, match="no address"):
        await caller.post("http://receiver.test/", b"", {})


async def test_redirects_are_not_followed_and_proxies_not_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    receiver.script = ["redirect"]
    answer = await Outbound(LOOPBACK).post(receiver.url, b"", {})
    assert answer.status == 302
    assert len(receiver.requests) == 1


async def test_an_answer_that_does_not_come_is_given_up(receiver: Receiver) -> None:
    receiver.script = ["hang"]
    with pytest.raises(DeliveryFailed, match=r"did not answer within 0\.2 s"):
        await Outbound(LOOPBACK, limit_s=0.2).post(receiver.url, b"", {})


async def test_a_huge_body_is_cut_and_an_endless_one_given_up(receiver: Receiver) -> None:
    receiver.script = ["huge", "slow body"]
    answer = await Outbound(LOOPBACK).post(receiver.url, b"", {})
    assert (answer.status, len(answer.body)) == (200, limits.OUTBOUND_ANSWER_BYTES)
    answer = await Outbound(LOOPBACK, limit_s=0.5).post(receiver.url, b"", {})
    assert (answer.status, answer.body) == (200, b"begun")


async def test_what_is_not_http_is_a_failure(receiver: Receiver) -> None:
    receiver.script = ["nonsense", "close"]
    for _ in range(2):
        with pytest.raises(DeliveryFailed, match="RemoteProtocolError"):
            await Outbound(LOOPBACK).post(receiver.url, b"", {})


def _certificate(directory: Path, host: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2120, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


async def test_a_certificate_is_checked_against_the_name_and_not_the_address(
    tmp_path: Path,
) -> None:
    path = _certificate(tmp_path, "receiver.test")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(path)
    trusting = ssl.create_default_context(cafile=path)

    async def resolver(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    caller = Outbound(LOOPBACK, resolver=resolver, tls=trusting)
    with receiving(serving) as receiver:
        good = f"https://receiver.test:{receiver.port}/"
        assert (await caller.post(good, b"", {})).status == 200
        with pytest.raises(DeliveryFailed, match="ConnectError"):
            await caller.post(f"https://other.test:{receiver.port}/", b"", {})
        with pytest.raises(DeliveryFailed, match="ConnectError"):
            await Outbound(LOOPBACK, resolver=resolver).post(good, b"", {})
        assert len(receiver.requests) == 1
