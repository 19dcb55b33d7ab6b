"""Taking secrets out of what is written down: logs, results, errors, payloads.

Whatever programs print or return is looked through before it is stored, for each value of each
version in the keystore of their organisation, in the forms in which values usually turn up. What
is found becomes `***NAME***`. What is stored is therefore clean, whoever reads it later.

Values with fewer than `limits.MASKED_CHARACTERS` characters stay: they are found in all sorts of
texts. An organisation without secrets pays one look into a dictionary.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Row

from longshore import limits
from longshore.access import keystore_sealing as sealing
from longshore.access.keystore_tables import keystore_entries
from longshore.access.masking_forms import forms
from longshore.errors import ConfigurationError, CorruptData, Unavailable
from longshore.storage import Database, after_commit, notify
from longshore.storage.database import database_of

TOPIC: Final = "keystore:"
"""Beginning of the topic of an organisation whose values have changed."""
_CUT: Final = "…"
"""What a worker puts where it cut a text off."""
_HEAD: Final = limits.MASKED_CHARACTERS
"""All patterns have so many characters; by their first ones they are found."""
_FEW: Final = 500
"""So many patterns are looked for one after the other, each in less time than by its beginning."""
_WINDOW: Final = 65_536
"""Characters of a text that are looked at together for beginnings."""
_UNSAFE: Final = re.compile(r"[^0-9A-Za-z_./-]")
_TOKEN: Final = re.compile(
    r'"(?P<text>[^"\\]*(?:\\.[^"\\]*)*)"|(?P<number>-?[0-9][0-9.eE+-]*)'
    r"|(?P<other>(?:(?!true|false|null)[^\s\[\]{}:,\"0-9-])[^\s\[\]{}:,\"]*)",
    re.DOTALL,
)
"""What is in JSON besides its structure; `other` is only in what is no JSON."""
_ESCAPES: Final = {
    '\\"': '"',
    "\\/": "/",
    "\\n": "\n",
    "\\r": "\r",
    "\\t": "\t",
    "\\b": "\b",
    "\\f": "\f",
}
_NUMBERED: Final = re.compile(r"(?:\\u[0-9A-Fa-f]{4})+")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_log = logging.getLogger(__name__)


class Masker:
    """Takes the secrets of one organisation out of texts."""

    __slots__ = ("_beginnings", "_endings", "_heads", "_masks", "_patterns")

    def __init__(self, values: Iterable[tuple[str, str]] = ()) -> None:
        """Look for the given values, each with its name."""
        self._masks: dict[str, str] = {}
        for name, value in values:
            mask = f"***{_UNSAFE.sub('_', name)}***"
            for pattern in forms(value):
                self._masks.setdefault(pattern, mask)
        # The longest first, so that of two that begin at the same place the whole one goes.
        self._patterns = sorted(self._masks, key=len, reverse=True)
        self._heads: dict[str, list[str]] = {}
        for pattern in self._patterns:
            self._heads.setdefault(pattern[:_HEAD], []).append(pattern)
        self._beginnings = _Beginnings(self._masks)
        self._endings = _Beginnings({key[::-1]: mask[::-1] for key, mask in self._masks.items()})

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._patterns)

    def __repr__(self) -> str:
        """Tell nothing of the values."""
        return f"Masker({len(self._patterns)} patterns)"

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        return self.texts([text])[0]

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Return texts without secrets; many at once cost little more than one."""
        found = self._found("\n".join(texts)) if self._patterns else []
        if found:
            any_of = re.compile("|".join(map(re.escape, found)))
            texts = [any_of.sub(self._mask, text) for text in texts]
        return list(texts)

    def cut(self, texts: Sequence[str]) -> list[str]:
        """Do the same for texts that were cut off where there is a `…` in them.

        What is left of a secret before or behind it goes, too.
        """
        if not self._patterns:
            return list(texts)
        return [self._without_rests(text) for text in self.texts(texts)]

    def json(self, data: bytes, *, cut: bool = False) -> bytes:
        """Return JSON without secrets in its texts, keys and numbers; it stays JSON.

        What is no JSON is masked as a text. The rest of it stays as it is written, however deep
        it is nested.

        Args:
            data: the JSON.
            cut: whether its texts may have been cut off, as for `cut`.
        """
        if not self._patterns:
            return data
        text = data.decode("utf-8", "replace")
        plain = _unescaped(text) if "\\" in text else text
        if not (cut and _CUT in plain) and not (
            self._found(plain) or (plain is not text and self._found(text))
        ):
            return data
        mask = self.cut if cut else self.texts
        try:
            # Integers have no limit of digits here; they are not looked at.
            json.loads(text, parse_int=float)
        except RecursionError:
            # Nested too deep to be walked through, which takes nothing from looking for texts.
            pass
        except ValueError:
            return mask([text])[0].encode()
        clean = _json_masked(text, mask)
        return data if clean == text else clean.encode()

    def value(self, value: Any) -> Any:
        """Return what is JSON-ready without secrets; a number that is one becomes a text."""
        if not self._patterns:
            return value
        texts = list(dict.fromkeys(_texts(value)))
        clean = dict(zip(texts, self.texts(texts), strict=True))
        return _replaced(value, {old: new for old, new in clean.items() if old != new})

    def _found(self, text: str) -> list[str]:
        if len(self._patterns) <= _FEW:
            return [pattern for pattern in self._patterns if pattern in text]
        # One by one takes too long; the beginnings of all of them are looked for at once.
        heads: set[str] = set()
        for start in range(0, len(text), _WINDOW):
            end = min(start + _WINDOW, len(text) - _HEAD + 1)
            heads |= self._heads.keys() & {text[at : at + _HEAD] for at in range(start, end)}
        wanted = [pattern for head in heads for pattern in self._heads[head] if pattern in text]
        return sorted(wanted, key=len, reverse=True)

    def _mask(self, match: re.Match[str]) -> str:
        return self._masks[match[0]]

    def _without_rests(self, text: str) -> str:
        if _CUT not in text:
            return text
        parts = text.split(_CUT)
        before = [*map(self._beginnings.without_rest, parts[:-1]), parts[-1]]
        after = [self._endings.without_rest(part[::-1])[::-1] for part in before[1:]]
        return _CUT.join([before[0], *after])


class _Beginnings:
    """Finds the beginning of a pattern at the end of a text."""

    __slots__ = ("_heads", "_longest", "_masks", "_sorted")

    def __init__(self, masks: Mapping[str, str]) -> None:
        self._masks = masks
        self._sorted = sorted(masks)
        self._heads = frozenset(pattern[:_HEAD] for pattern in masks)
        self._longest = max(map(len, masks), default=0)

    def without_rest(self, text: str) -> str:
        """Return a text that was cut off at its end without what is left of a pattern there."""
        # From the left, so that the longest is found first. Most places end with one look.
        for at in range(max(0, len(text) - self._longest), len(text) - _HEAD + 1):
            if text[at : at + _HEAD] in self._heads:
                rest = text[at:]
                # All that begin with the rest stand together, the first of them here.
                place = bisect_left(self._sorted, rest)
                if place < len(self._sorted) and self._sorted[place].startswith(rest):
                    return text[:at] + self._masks[self._sorted[place]]
        return text


NOTHING: Final = Masker()
"""The masker of an organisation without secrets."""


class _Cache:
    """The maskers of a database that were asked for."""

    def __init__(self, database: Database) -> None:
        self._lock = threading.Lock()
        self._maskers: dict[str, Masker] = {}
        self._changes = 0
        # The database keeps this, and is not kept by it: what unsubscribes would hold it for ever.
        database.subscribe(self._heard)

    def get(self, organisation_id: str) -> Masker | None:
        return self._maskers.get(organisation_id)

    def all(self) -> Iterator[Masker]:
        yield from tuple(self._maskers.values())

    def load(self, connection: Connection, organisation_id: str) -> Masker:
        changes = self._changes
        made = _load(connection, organisation_id)
        with self._lock:
            # A change that was heard since may have been of this very organisation.
            if changes == self._changes:
                self._maskers[organisation_id] = made
        return made

    def forget(self, organisation_id: str | None) -> None:
        with self._lock:
            self._changes += 1
            if organisation_id is None:
                self._maskers.clear()
            else:
                self._maskers.pop(organisation_id, None)

    def _heard(self, topic: str) -> None:
        if topic == "*":
            self.forget(None)
        elif topic.startswith(TOPIC):
            self.forget(topic.removeprefix(TOPIC))


_CACHES: Final[WeakKeyDictionary[Database, _Cache]] = WeakKeyDictionary()


def install(database: Database) -> None:
    """Remember the maskers of a database until something in its keystore changes."""
    if database not in _CACHES:
        _CACHES[database] = _Cache(database)


def of(connection: Connection, organisation_id: str) -> Masker:
    """Return the masker of an organisation.

    Raises:
        Unavailable: it has secrets and the master key cannot be had. Nothing is to be written down
            then, since nobody can tell what is in it; whoever reports keeps it and tries again.
    """
    cache = _CACHES.get(database_of(connection))
    if cache is None:
        return _load(connection, organisation_id)
    found = cache.get(organisation_id)
    return cache.load(connection, organisation_id) if found is None else found


def known(database: Database, organisation_id: str) -> Masker | None:
    """Return the masker of an organisation if it is at hand, without asking the database."""
    cache = _CACHES.get(database)
    return None if cache is None else cache.get(organisation_id)


def changed(connection: Connection, organisation_id: str) -> None:
    """Let all servers look anew once the transaction is durable; this one before it goes on."""
    notify(connection, TOPIC + organisation_id)
    cache = _CACHES.get(database_of(connection))
    if cache is not None:
        after_commit(connection, lambda: cache.forget(organisation_id))


def scrubbed(text: str) -> str:
    """Return a text of this process, such as of its log, without the secrets that it knows."""
    for cache in tuple(_CACHES.values()):
        for masker in cache.all():
            text = masker.text(text) if masker else text
    return text


def _load(connection: Connection, organisation_id: str) -> Masker:
    rows = connection.execute(
        sealing.values_query().where(keystore_entries.c.organisation_id == organisation_id)
    ).all()
    if not rows:
        return NOTHING
    try:
        opener = sealing.opener_of(connection)
        return Masker(_values(opener, rows))
    except ConfigurationError as error:
        raise Unavailable(
            "What is stored must have no secrets in it, and they cannot be looked for: "
            f"{error.message}",
            details={"retry_after_s": 5},
        ) from error


def _values(opener: sealing.Opener, rows: Iterable[Row[Any]]) -> Iterator[tuple[str, str]]:
    for row in rows:
        try:
            yield row.name, opener.open(row)
        except CorruptData:
            # Nobody can read it either, so that it must not keep everything else from being stored.
            _log.warning("a damaged secret is not masked: %s, version %d", row.name, row.version)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield str(key)
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _replaced(value: Any, masked: dict[str, str]) -> Any:
    if not masked:
        return value
    if isinstance(value, str):
        return masked.get(value, value)
    if isinstance(value, dict):
        return {masked.get(str(key), key): _replaced(part, masked) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(part, masked) for part in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return masked.get(str(value), value)
    return value


def _json_masked(text: str, mask: Callable[[Sequence[str]], list[str]]) -> str:
    """Return JSON with its texts and numbers masked, token by token."""
    said: dict[str, str] = {}
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token not in said:
            said[token] = _decoded(token) if match["text"] is not None else token
    clean = mask(list(said.values()))
    changed = {
        # Half of a pair of surrogates can be escaped in JSON, and not be written otherwise.
        token: json.dumps(new, ensure_ascii=_SURROGATE.search(new) is not None)
        for (token, old), new in zip(said.items(), clean, strict=True)
        if old != new
    }
    if not changed:
        return text
    return _TOKEN.sub(lambda match: changed.get(match[0], match[0]), text)


def _unescaped(text: str) -> str:
    """Return JSON with the escapes of its texts undone, to look for something in all at once."""
    # What stands for a backslash meanwhile is in no text that was UTF-8.
    text = text.replace("\\\\", "\udcff")
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    if "\\u" in text:
        text = _NUMBERED.sub(lambda match: str(json.loads(f'"{match[0]}"')), text)
    return text.replace("\udcff", "\\")


def _decoded(token: str) -> str:
    try:
        decoded: str = json.loads(token)
    except ValueError:
        # Only in what is no JSON.
        return token[1:-1]
    return decoded
