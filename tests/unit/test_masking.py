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
    "URL of JavaScript": "x=" + quote(CANARY, safe="!'()*"),
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


# What programs of other languages wrote for this value, word by word.
FOREIGN = "a/b&<c>='d'+`e`"
WRITTEN = {
    "PHP": r"a\/b&<c>='d'+`e`",
    "PHP for pages": r"a\/b\u0026\u003Cc\u003E=\u0027d\u0027+`e`",
    "Go": r"a/b\u0026\u003cc\u003e='d'+`e`",
    "Gson": r"a/b\u0026\u003cc\u003e\u003d\u0027d\u0027+`e`",
    ".NET": r"a/b\u0026\u003Cc\u003E=\u0027d\u0027\u002B\u0060e\u0060",
    "templates": r"a/b\u0026\u003cc\u003e=\u0027d\u0027+`e`",
    "all by number": "".join(f"\\u{ord(character):04x}" for character in FOREIGN),
}


@pytest.mark.parametrize("language", WRITTEN)
def test_json_of_other_languages_is_decoded_before_it_is_looked_through(language: str) -> None:
    masker = Masker([("s", FOREIGN)])
    data = f'{{"a" : ["x{WRITTEN[language]}y", 1.50]}}'
    assert json.loads(data)["a"][0] == f"x{FOREIGN}y"
    assert masker.json(data.encode()) == b'{"a" : ["x***s***y", 1.50]}'


@pytest.mark.parametrize("language", ["PHP", "Go", "Gson", ".NET", "templates"])
def test_json_of_other_languages_is_found_in_a_log_line_and_in_a_text_of_json(
    language: str,
) -> None:
    masker = Masker([("s", FOREIGN)])
    line = f'sent {{"a":"{WRITTEN[language]}"}}'
    assert masker.text(line) == 'sent {"a":"***s***"}'
    inner = json.loads(masker.json(json.dumps({"body": line}).encode()))
    assert inner == {"body": 'sent {"a":"***s***"}'}
    assert "***s***" in masker.text(json.dumps(line))


def test_a_value_in_javascript_s_urls_is_found() -> None:
    masker = Masker([("s", "it's (so) *great*!")])
    assert masker.text("?p=it's%20(so)%20*great*!&q") == "?p=***s***&q"
    assert masker.text("p=it%27s+%28so%29+*great*%21") == "p=***s***"


def test_json_with_escapes_and_no_secret_is_left_as_it_is() -> None:
    data = rb'{"a": "one\ntwo \u00e5 \/ \\ \ud83d", "b" : 1e3}'
    assert MASKER.json(data) == data


def test_half_a_pair_of_surrogates_beside_a_secret_stays_json() -> None:
    masked = Masker([("s", "abcdefgh")]).json(rb'["\ud83d abcdefgh"]')
    assert json.loads(masked) == ["\ud83d ***s***"]


@pytest.mark.parametrize("levels", [470, 980, 5_000, 200_000])
def test_json_that_is_nested_deep_is_masked_as_well(levels: int) -> None:
    masker = Masker([("s", "abcdefgh"), ("pin", "90125733")])
    data = b'{"a":[' * levels + b'"x\\u0061bcdefgh", 90125733, null, -1.5e3' + b"]}" * levels
    masked = masker.json(data)
    assert masked[6 * levels : -2 * levels] == b'"x***s***", "***pin***", null, -1.5e3'
    assert masked[: 6 * levels] == data[: 6 * levels]
    assert masked[-2 * levels :] == data[-2 * levels :]


def test_what_is_no_json_is_masked_as_a_text() -> None:
    masker = Masker([("s", 'abc"def"gh')])
    assert masker.json(b'said: abc"def"gh') == b"said: ***s***"
    # Nobody can tell that it is none, since it is nested too deep.
    assert b"abcdefgh" not in Masker([("s", "abcdefgh")]).json(b"[" * 5_000 + b"abcdefgh")


def test_a_number_of_any_length_stays_in_json_with_a_secret() -> None:
    data = b'["abcdefgh",' + b"7" * 6_000 + b"]"
    assert Masker([("s", "abcdefgh")]).json(data) == data.replace(b"abcdefgh", b"***s***")


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


def test_a_cut_in_the_middle_of_a_text_and_one_at_each_end_leave_nothing() -> None:
    masker = Masker([("s", "correct-horse-battery")])
    assert masker.cut(["…-horse-battery\nand correct-hor…\nlast"]) == [
        "…***s***\nand ***s***…\nlast"
    ]
    assert masker.cut(["it is 'correct-hor…' and so on"]) == ["it is '***s***…' and so on"]
    assert masker.cut(["…battery x correct…"]) == ["…***s*** x ***s***…"]


def test_of_what_a_cut_leaves_the_longest_rest_goes() -> None:
    masker = Masker([("a", "abcabcXX"), ("b", "abcabcabcabcYY"), ("c", "YYabcabc")])
    assert masker.cut(["-abcabcabcabc…"]) == ["-***b***…"]
    assert masker.cut(["…Yabcabc-"]) == ["…***c***-"]
    assert masker.cut(["abcab…"]) == ["abcab…"]


def test_json_of_texts_that_were_cut_has_no_rests() -> None:
    masker = Masker([("s", "correct-horse-battery")])
    data = '{"stdout":["x correct-ho…","… 9 bytes are left out here …","…-battery"],"n":1}'
    assert masker.json(data.encode()) == data.encode()
    told = json.loads(masker.json(data.encode(), cut=True))
    assert told["stdout"] == ["x ***s***…", "… 9 bytes are left out here …", "…***s***"]
    escaped = json.dumps(json.loads(data)).encode()
    assert json.loads(masker.json(escaped, cut=True)) == told


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


def test_lines_that_were_cut_take_milliseconds_with_many_long_secrets() -> None:
    keys = "\n".join(base64.b64encode(f"{n:048d}".encode()).decode() for n in range(1_000))
    masker = Masker([(f"key{n}", keys[n * 1_300 : (n + 1) * 1_300]) for n in range(50)])
    lines = [f"Downloading part {n}…" for n in range(1_000)] + ["…" + "x" * 8_000 + "…"] * 10
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        assert masker.cut(lines) == lines
        took.append(time.perf_counter() - begun)
    # Measured: 20 ms. Each pattern at each length for each line took many seconds.
    assert min(took) < 0.5


def test_many_secrets_are_found_and_cost_no_more_than_the_text() -> None:
    values = [(f"key{n}", f"{n:06d}-secret-{n:06d}") for n in range(3_000)]
    masker = Masker(values)
    lines = [f"2026-11-21 INFO load row {n} of accounts done in {n % 97} ms" for n in range(1_000)]
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        assert masker.cut(lines) == lines
        took.append(time.perf_counter() - begun)
    # Measured: 8 ms; one pattern after the other takes half a second.
    assert min(took) < 0.2
    for name, value in (values[0], values[1_500], values[-1]):
        assert masker.text(f"x{value}y") == f"x***{name}***y"
        assert masker.text(value) == f"***{name}***"
    far = "x" * 70_000
    assert masker.text(far[:65_530] + values[7][1] + far) == f"{far[:65_530]}***key7***{far}"
    assert masker.text("short") == "short"
