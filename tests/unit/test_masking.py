"""Secrets in texts: which forms are found, what stays as it is, and what it costs."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import time
import traceback
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.access.masking import NOTHING, Masker

CANARY = 'c4n&ry "vålue"/?+\\x'
MASK = "***db_password***"
MASKER = Masker([("db_password", CANARY)])


def url_lower(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quote(text))


FORMS = {
    "raw": CANARY,
    "JSON": json.dumps({"password": CANARY}),
    "JSON with letters": json.dumps({"password": CANARY}, ensure_ascii=False),
    "JSON in JSON": json.dumps({"body": json.dumps({"password": CANARY})}),
    "repr": repr({"password": CANARY}),
    "URL path": f"https://host/{quote(CANARY, safe='')}/x",
    "URL with slashes": f"https://host/{quote(CANARY)}/x",
    "URL query": f"https://host/?{urlencode({'p': CANARY})}",
    "URL plus": quote_plus(CANARY),
    "URL in lower case": url_lower(CANARY),
    "HTML": f"<b>{html.escape(CANARY)}</b>",
    "hexadecimal": CANARY.encode().hex(),
    "shell": shlex.quote(CANARY),
    "base64": base64.b64encode(CANARY.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(CANARY.encode()).decode(),
    "basic authorization": base64.b64encode(f"user:{CANARY}".encode()).decode(),
    "longer base64": base64.b64encode(f"ab{CANARY} and the rest of it".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_each_form(form: str) -> None:
    masked = MASKER.text(f"before {FORMS[form]} after")
    assert MASK in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert "ry" not in masked.replace("db_password", "")


@given(st.text(max_size=12), st.text(min_size=6, max_size=300), st.text(max_size=12))
def test_base64_of_any_text_around_a_secret_does_not_give_it_away(
    before: str, secret: str, after: str
) -> None:
    masker = Masker([("s", secret)])
    try:
        encoded = base64.b64encode(f"{before}{secret}{after}".encode()).decode()
    except UnicodeEncodeError:
        return
    assert "***s***" in masker.text(encoded)


@given(
    st.text(min_size=6, max_size=40),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=6,
    ),
)
def test_json_with_a_secret_stays_json(secret: str, rest: object) -> None:
    masker = Masker([("s", secret)])
    try:
        data = json.dumps({"a": [f"x{secret}y", rest], secret: 1}, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    masked = json.loads(masker.json(data))
    assert masked["***s***"] == 1
    assert "***s***" in masked["a"][0]


def test_a_number_that_is_a_secret_becomes_a_text() -> None:
    masker = Masker([("pin", "90125733")])
    assert json.loads(masker.json(b'{"pin": 90125733, "n": 7, "yes": true}')) == {
        "pin": "***pin***",
        "n": 7,
        "yes": True,
    }


def test_json_without_secrets_is_left_as_it_is() -> None:
    data = b'{"a" : 1.50,"b":"x"}'
    assert MASKER.json(data) == data
    assert NOTHING.json(data) is data


def test_lines_of_a_value_are_masked_one_by_one_and_the_frame_of_a_key_is_not() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"
    masker = Masker([("tls/key", key)])
    masked = masker.cut(key.splitlines())
    assert masked == ["-----BEGIN KEY-----", "***tls/key***", "***tls/key***", "-----END KEY-----"]
    wrapped = base64.encodebytes(("x" * 40 + key).encode()).decode()
    for line in wrapped.splitlines()[1:]:
        assert "***" in masker.text(base64.b64decode(line).decode())


def test_base64_that_was_broken_into_lines_is_found() -> None:
    value = "".join(chr(33 + place % 90) for place in range(200))
    masker = Masker([("long", value)])
    lines = base64.encodebytes(value.encode()).decode().splitlines()
    assert len(lines) > 3
    assert all("***long***" in line for line in masker.texts(lines))


def test_long_values_are_found_whole_and_in_pieces() -> None:
    value = "".join(f"{place:x}." for place in range(2_000))
    masked = Masker([("long", value)]).text(f"a{value}b")
    assert masked.replace("***long***", "") == "ab"


def test_what_a_cut_leaves_of_a_secret_goes_too() -> None:
    secret = "correct-horse-battery"
    masker = Masker([("s", secret)])
    assert masker.cut([f"x={secret[:12]}…"]) == ["x=***s***…"]
    assert masker.cut([f"…{secret[5:]} failed"]) == ["…***s*** failed"]
    assert masker.cut(["nothing…", "…here"]) == ["nothing…", "…here"]


def test_a_traceback_does_not_show_it() -> None:
    with pytest.raises(ValueError, match="invalid literal") as raised:
        int(CANARY)
    shown = "".join(traceback.format_exception(raised.value))
    assert CANARY not in MASKER.text(shown)
    assert MASK in MASKER.text(shown)


def test_short_values_are_not_masked() -> None:
    assert not Masker([("pin", "12345")])
    assert Masker([("pin", "12345")]).text("12345") == "12345"


def test_of_two_secrets_the_longer_one_is_taken_whole() -> None:
    masker = Masker([("short", "abcdef"), ("long", "abcdefghij")])
    assert masker.text("abcdefghij abcdef") == "***long*** ***short***"


def test_a_mask_says_the_name_with_harmless_letters() -> None:
    assert Masker([('my "key"', "abcdefgh")]).text("abcdefgh") == "***my__key_***"


def test_it_does_not_show_the_values_when_it_is_printed() -> None:
    assert CANARY not in repr(MASKER)


def test_a_thousand_lines_with_fifty_secrets_take_a_few_milliseconds() -> None:
    masker = Masker([(f"key{n}", f"secret-value-{n * 7919:012d}") for n in range(50)])
    lines = [f"2026-11-21 INFO load row {n} of accounts done in {n % 97} ms" for n in range(1_000)]
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        assert masker.cut(lines) == lines
        took.append(time.perf_counter() - begun)
    # Measured: 5 ms. The bound only tells it from looking at each line for each pattern.
    assert min(took) < 0.1
