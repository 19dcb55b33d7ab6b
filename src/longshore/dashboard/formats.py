"""How values look on pages. What is exact stays exact: counts get separators, ids nothing."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from markupsafe import Markup

from longshore.clock import SECOND_US, iso

_SIZES: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_TONES: Final = {
    "success": "good", "finished": "good", "online": "good", "ok": "good", "complete": "good",
    "running": "busy", "active": "busy", "started": "busy", "unstarted": "wait",
    "failure": "bad", "failed": "bad", "error": "bad", "lost": "bad", "expired": "bad",
    "cancelled": "off", "stopped": "off", "revoked": "off", "offline": "off", "skipped": "off",
    "held": "warn", "stopping": "warn", "retrying": "warn", "review": "warn",
}  # fmt: skip


def count(value: int | None) -> str:
    """Show a count: 1234567 -> "1,234,567", None -> a dash."""
    return "-" if value is None else f"{value:,}"


def size(value: int | None) -> str:
    """Show bytes: 1536 -> "1.5 KiB"."""
    if value is None:
        return "-"
    amount = float(value)
    for unit in _SIZES:
        if amount < 1024 or unit == _SIZES[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError("the last unit takes everything")


def length(seconds: float | None) -> str:
    """Show a length of time: 0.0123 -> "12 ms", 75 -> "1 min 15 s"."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    for unit, inner, name, inner_name in (
        (60, 1, "min", "s"), (3_600, 60, "h", "min"), (86_400, 3_600, "d", "h"),
    ):  # fmt: skip
        if whole < unit * 60 or name == "d":
            first, rest = divmod(whole, unit)
            if name == "h" and first >= 24:
                continue
            more = rest // inner
            return f"{first} {name} {more} {inner_name}" if more else f"{first} {name}"
    raise AssertionError("days take everything")


def time(value_us: int | None) -> Markup:
    """Show a time in UTC, to the second; its whole precision is in the element."""
    if value_us is None:
        return Markup("-")
    exact = str(iso(value_us))
    shown = f"{exact[:10]} {exact[11:19]}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(exact, f"{exact}", shown)


def ago(value_us: int | None, now_us: int) -> Markup:
    """Show how long ago something was, or how far ahead it is."""
    if value_us is None:
        return Markup("-")
    seconds = (now_us - value_us) / SECOND_US
    told = f"{length(abs(seconds))} ago" if seconds >= 0 else f"in {length(-seconds)}"
    exact = str(iso(value_us))
    return Markup('<time datetime="{}" title="{}">{}</time>').format(exact, exact, told)


def percent(share: float | None) -> str:
    """Show a share: 0.1234 -> "12.3 %"."""
    return "-" if share is None else f"{share * 100:.1f} %"


def rate(per_second: float | None) -> str:
    """Show something per second, with as many digits as say something."""
    if per_second is None:
        return "-"
    digits = 0 if per_second >= 100 else 1 if per_second >= 1 else 3
    return f"{per_second:,.{digits}f}/s"


def tone(state: str) -> str:
    """Return the class of a badge for a state of anything; the word itself always stands there too."""
    return _TONES.get(str(state).casefold(), "wait")


def badge(state: Any) -> Markup:
    """Show a state as a badge: its word, in the colour of its kind."""
    text = str(state)
    return Markup('<span class="badge {}">{}</span>').format(tone(text), text)


def as_json(value: Any) -> str:
    """Give a value as JSON for an attribute that our scripts read; autoescaping does the rest."""
    return json.dumps(value, separators=(",", ":"), default=str)


def anchor(value: str) -> str:
    """Return what ids of elements are made of for something: letters and digits, its own alone.

    A part of a page that is changed in place keeps what is open by such ids. One that counts rows
    would put the next thing, with its dialogs, where somebody reads.
    """
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def visible(text: str) -> str:
    """Return text with control characters, and those that turn its direction, made visible."""
    return "".join(_picture(letter) for letter in text) if _odd(text) else text


def _odd(text: str) -> bool:
    return any(not (letter.isprintable() or letter in "\n\t") for letter in text)


def _picture(letter: str) -> str:
    code = ord(letter)
    if letter in "\n\t" or letter.isprintable():
        return letter
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"<U+{code:04X}>"


FILTERS: Final = {
    "count": count,
    "size": size,
    "length_s": length,
    "time": time,
    "ago": ago,
    "percent": percent,
    "rate": rate,
    "tone": tone,
    "badge": badge,
    "as_json": as_json,
    "anchor": anchor,
    "visible": visible,
}
