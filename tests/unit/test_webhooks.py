"""Signatures of webhooks against the published package, and what a receiver lets in (X12)."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import subprocess
import sys
import threading
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given, settings
from hypothesis import strategies as st

import longshore
from longshore import webhooks
from longshore.clock import ManualClock, SystemClock
from longshore.errors import ConfigurationError
from longshore.webhooks import MemoryStore, Replays, WebhookRefused, WebhookReplayed, verify
from longshore.wire.webhooks import headers, new_secret, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "wk_0a1b2c"
BODY = '{"type":"work.success","data":{"größe":1.5}}'.encode()


def now_s(clock: Any = SystemClock()) -> int:  # noqa: B008 - it holds nothing
    return int(clock.now_us() // 1_000_000)


def signed(
    clock: ManualClock, changed: dict[str, str] | None = None, *, secrets: list[str] | None = None
) -> dict[str, str]:
    """Return the headers of a message, with what `changed` says put in their place."""
    return headers(secrets or [SECRET], ID, now_s(clock), BODY) | (changed or {})


def test_the_signature_is_the_one_of_the_published_example() -> None:
    # From the test of the reference implementations.
    found = sign([SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@settings(max_examples=100, deadline=None)
@given(
    key=st.binary(min_size=24, max_size=64),
    message_id=st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
    body=st.text(st.characters(codec="utf-8"), max_size=200),
)
def test_the_published_package_verifies_what_we_sign_and_we_what_it_signs(
    key: bytes, message_id: str, body: str
) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    theirs = standardwebhooks.Webhook(secret)
    at_s = now_s()
    ours = headers([new_secret(), secret], message_id, at_s, body.encode())
    assert theirs.verify(body, ours, json_parse=False) is None

    signature = theirs.sign(message_id, dt.datetime.fromtimestamp(at_s, dt.UTC), body)
    sent = {
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(at_s),
        "Webhook-Signature": f"v1a,AAAA {signature}",
    }
    message = verify(sent, body, [new_secret(), secret])
    assert (message.id, message.timestamp_s, message.body) == (message_id, at_s, body.encode())


def test_the_published_package_refuses_what_we_refuse() -> None:
    theirs = standardwebhooks.Webhook(SECRET)
    ours = headers([new_secret()], ID, now_s(), BODY)
    old = headers([SECRET], ID, now_s() - 301, BODY)
    for sent in (ours, old):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            theirs.verify(BODY, sent)
        with pytest.raises(WebhookRefused):
            verify(sent, BODY, SECRET)


def test_a_message_is_verified_whatever_the_case_of_its_headers(clock: ManualClock) -> None:
    sent = {name.title(): value for name, value in signed(clock).items()}
    message = verify({**sent, "Content-Type": "x"}, BODY, SECRET, clock=clock)
    assert message.json()["data"] == {"größe": 1.5}
    assert (message.id, message.timestamp_s) == (ID, now_s(clock))


@pytest.mark.parametrize(
    ("changed", "body"),
    [
        ({}, BODY + b" "),
        ({}, b""),
        ({"webhook-id": "wk_other"}, BODY),
        ({"webhook-id": ""}, BODY),
        ({"webhook-id": "wk_0a1b2c.1"}, BODY),
        ({"webhook-id": "wk 0a1b2c"}, BODY),
        ({"webhook-id": "x" * 256}, BODY),
        ({"webhook-timestamp": "1700000001"}, BODY),
        ({"webhook-timestamp": ""}, BODY),
        ({"webhook-timestamp": "soon"}, BODY),
        ({"webhook-timestamp": "-1700000000"}, BODY),
        ({"webhook-timestamp": "1700000000.0"}, BODY),
        ({"webhook-timestamp": " 1700000000"}, BODY),
        ({"webhook-timestamp": "01700000000"}, BODY),
        ({"webhook-timestamp": "\u0661\u0667" + "\u0660" * 8}, BODY),
        ({"webhook-timestamp": "9" * 400}, BODY),
        ({"webhook-signature": ""}, BODY),
        ({"webhook-signature": "v1,"}, BODY),
        ({"webhook-signature": "v1"}, BODY),
        ({"webhook-signature": "v1,AAAA"}, BODY),
        ({"webhook-signature": "\udcff v1,ü"}, BODY),
        ({"webhook-signature": "v1, " * 10_000}, BODY),
    ],
)
def test_a_message_that_was_changed_is_refused(
    clock: ManualClock, changed: dict[str, str], body: bytes
) -> None:
    replays = Replays()
    with pytest.raises(WebhookRefused) as caught:
        verify(signed(clock, changed), body, SECRET, replays, clock=clock)
    assert not isinstance(caught.value, WebhookReplayed)
    assert SECRET.removeprefix("whsec_") not in str(caught.value)
    # What was refused leaves no trace: the genuine message is still let in.
    verify(signed(clock), BODY, SECRET, replays, clock=clock)


def test_a_signature_of_another_scheme_is_not_taken_for_ours(clock: ManualClock) -> None:
    genuine = signed(clock)["webhook-signature"]
    for scheme in ("v1a", "v2", "V1", ""):
        changed = genuine.replace("v1", scheme)
        with pytest.raises(WebhookRefused):
            verify(signed(clock, {"webhook-signature": changed}), BODY, SECRET, clock=clock)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_message_without_one_of_the_headers_is_refused(clock: ManualClock, missing: str) -> None:
    sent = signed(clock)
    del sent[missing]
    with pytest.raises(WebhookRefused, match=missing):
        verify(sent, BODY, SECRET, clock=clock)


@pytest.mark.parametrize("late_s", [-301, 301, 3600, 10**9])
def test_a_message_of_another_time_is_refused(clock: ManualClock, late_s: int) -> None:
    sent = signed(clock)
    clock.advance(late_s)
    with pytest.raises(WebhookRefused, match="seconds off"):
        verify(sent, BODY, SECRET, clock=clock)


@pytest.mark.parametrize("late_s", [-300, 0, 300])
def test_a_message_within_five_minutes_is_accepted(clock: ManualClock, late_s: int) -> None:
    sent = signed(clock)
    clock.advance(late_s)
    assert verify(sent, BODY, SECRET, clock=clock).id == ID


def test_while_a_secret_is_changed_both_sides_may_have_either(clock: ManualClock) -> None:
    old, new, other = SECRET, new_secret(), new_secret()
    for sending, receiving in (
        ([old], [old, new]),
        ([new, old], [old]),
        ([new, old], [new]),
        ([new, old], [new, old]),
        ([new], [new, old]),
    ):
        verify(signed(clock, secrets=sending), BODY, receiving, clock=clock)
    for sending, receiving in (([old], [new]), ([new], [old]), ([new, old], [other])):
        with pytest.raises(WebhookRefused):
            verify(signed(clock, secrets=sending), BODY, receiving, clock=clock)


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "geheim", SECRET.removeprefix("whsec_"), SECRET + "!", SECRET[:-4],
     "whsec_" + base64.b64encode(bytes(65)).decode()],
)  # fmt: skip
def test_a_secret_of_another_form_is_an_error_and_not_told(clock: ManualClock, secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        verify(signed(clock), BODY, secret, clock=clock)
    assert not secret.removeprefix("whsec_") or secret not in str(caught.value)
    with pytest.raises(ConfigurationError):
        verify(signed(clock), BODY, [], clock=clock)
    with pytest.raises(ConfigurationError):
        sign([SECRET], "with.stop", 1, b"")


def test_new_secrets_differ_and_hold_256_bits() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(base64.b64decode(each.removeprefix("whsec_"))) for each in made} == {32}


def test_of_many_replays_none_is_accepted(clock: ManualClock) -> None:
    replays = Replays()
    sent = signed(clock)
    verify(sent, BODY, SECRET, replays, clock=clock)
    accepted = 0
    for _ in range(1_000):
        clock.advance(4)
        with contextlib.suppress(WebhookRefused):
            verify(sent, BODY, SECRET, replays, clock=clock)
            accepted += 1
    assert accepted == 0


def test_the_next_try_of_an_accepted_message_is_a_replay_even_with_a_new_signature(
    clock: ManualClock,
) -> None:
    replays = Replays()
    verify(signed(clock), BODY, SECRET, replays, clock=clock)
    for _ in range(7):
        clock.advance(3000)
        with pytest.raises(WebhookReplayed, match=ID):
            verify(signed(clock), BODY, SECRET, replays, clock=clock)


def test_a_replay_from_the_future_is_remembered_until_its_time_is_over(clock: ManualClock) -> None:
    # Its sender's clock is ahead, so it stays fresh for ten minutes.
    replays = Replays(keep_s=600)
    clock.advance(300)
    sent = signed(clock)
    clock.advance(-300)
    verify(sent, BODY, SECRET, replays, clock=clock)
    clock.advance(599.9)
    with pytest.raises(WebhookReplayed):
        verify(sent, BODY, SECRET, replays, clock=clock)
    clock.advance(0.2)
    with pytest.raises(WebhookRefused, match="seconds off"):
        verify(sent, BODY, SECRET, replays, clock=clock)


def test_ids_cannot_be_forgotten_while_they_can_be_replayed() -> None:
    with pytest.raises(ConfigurationError, match="600 seconds"):
        Replays(keep_s=599)


def test_threads_that_bring_the_same_message_let_it_in_once(clock: ManualClock) -> None:
    replays = Replays()
    sent = signed(clock)
    start = threading.Barrier(8)
    accepted: list[str] = []

    def receive() -> None:
        start.wait(10)
        with contextlib.suppress(WebhookReplayed):
            accepted.append(verify(sent, BODY, SECRET, replays, clock=clock).id)

    threads = [threading.Thread(target=receive) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert accepted == [ID]


def test_a_message_whose_handling_failed_is_let_in_again(clock: ManualClock) -> None:
    replays = Replays()
    with (
        pytest.raises(ZeroDivisionError),
        webhooks.received(signed(clock), BODY, SECRET, replays, clock=clock),
    ):
        raise ZeroDivisionError
    with webhooks.received(signed(clock), BODY, SECRET, replays, clock=clock) as message:
        assert message.id == ID
    with (
        pytest.raises(WebhookReplayed),
        webhooks.received(signed(clock), BODY, SECRET, replays, clock=clock),
    ):
        raise AssertionError("a replay reached the handler")


def test_a_store_of_the_user_is_asked_and_expired_ids_leave_the_memory(clock: ManualClock) -> None:
    store = MemoryStore()
    for number in range(50):
        sent = headers([SECRET], f"wk_{number}", now_s(clock), BODY)
        verify(sent, BODY, SECRET, Replays(store, keep_s=600), clock=clock)
        with pytest.raises(WebhookReplayed):
            verify(sent, BODY, SECRET, Replays(store), clock=clock)
    assert len(store) == 50
    clock.advance(661)
    verify(signed(clock), BODY, SECRET, Replays(store), clock=clock)
    assert len(store) == 1


def test_the_package_gives_the_module_and_it_needs_nothing_of_server_or_client() -> None:
    assert longshore.webhooks is webhooks
    program = (
        "import sys, longshore; longshore.webhooks.verify; "
        "print([m for m in ('httpx', 'sqlalchemy', 'starlette', 'fastapi', 'longshore.edge', "
        "'longshore.server', 'longshore.sdk', 'pydantic') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
