"""Taking secrets out of what is written down: logs, results, errors, payloads.

Whatever programs print or return is looked through before it is stored, for each value of each
version in the keystore of their organisation, in the forms in which values usually turn up. What
is found becomes `***NAME***`. What is stored is therefore clean, whoever reads it later.

Values with fewer than `limits.MASKED_CHARACTERS` characters stay: they are found in all sorts of
texts. An organisation without secrets pays one look into a dictionary.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote, quote_plus
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Row

from longshore import limits
from longshore.access import keystore_sealing as sealing
from longshore.access.keystore_tables import keystore_entries
from longshore.errors import ConfigurationError, CorruptData, Unavailable
from longshore.storage import Database, after_commit, notify
from longshore.storage.database import database_of

TOPIC: Final = "keystore:"
"""Beginning of the topic of an organisation whose values have changed."""
_PIECE: Final = 256
"""Longer values are looked for piece by piece."""
_LINE: Final = 8
"""Shortest line of a value with several lines that is masked by itself."""
_WRAPPED: Final = 76
"""Characters of a line of base64, as programs break it."""
_ENCODED: Final = 16
"""Shortest of those lines that is looked for."""
_CUT: Final = "…"
"""What a worker puts where it cut a text off."""
_UNSAFE: Final = re.compile(r"[^0-9A-Za-z_./-]")
_ESCAPED: Final = re.compile(r"%[0-9A-F]{2}")
_log = logging.getLogger(__name__)


class Masker:
    """Takes the secrets of one organisation out of texts."""

    __slots__ = ("_masks", "_patterns")

    def __init__(self, values: Iterable[tuple[str, str]] = ()) -> None:
        """Look for the given values, each with its name."""
        self._masks: dict[str, str] = {}
        for name, value in values:
            mask = f"***{_UNSAFE.sub('_', name)}***"
            for pattern in _forms(value):
                self._masks.setdefault(pattern, mask)
        # The longest first, so that of two that begin at the same place the whole one goes.
        self._patterns = sorted(self._masks, key=len, reverse=True)

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
        """Do the same for texts that may have been cut off, which a `…` at either end says.

        What is left of a secret there goes, too.
        """
        if not self._patterns:
            return list(texts)
        return [self._without_rest(text) for text in self.texts(texts)]

    def json(self, data: bytes) -> bytes:
        """Return JSON without secrets in its texts, keys and numbers; it stays JSON.

        What is no JSON is masked as a text.
        """
        if not self._patterns:
            return data
        text = data.decode("utf-8", "replace")
        if not self._found(text):
            return data
        try:
            found = json.loads(text)
        except ValueError:
            return self.text(text).encode()
        return json.dumps(self.value(found), ensure_ascii=False, separators=(",", ":")).encode()

    def value(self, value: Any) -> Any:
        """Return what is JSON-ready without secrets; a number that is one becomes a text."""
        if not self._patterns:
            return value
        texts = list(dict.fromkeys(_texts(value)))
        clean = dict(zip(texts, self.texts(texts), strict=True))
        return _replaced(value, {old: new for old, new in clean.items() if old != new})

    def _found(self, text: str) -> list[str]:
        return [pattern for pattern in self._patterns if pattern in text]

    def _mask(self, match: re.Match[str]) -> str:
        return self._masks[match[0]]

    def _without_rest(self, text: str) -> str:
        if text.endswith(_CUT):
            body = text.removesuffix(_CUT)
            for pattern in self._patterns:
                for length in range(len(pattern) - 1, limits.MASKED_CHARACTERS - 1, -1):
                    if body.endswith(pattern[:length]):
                        return body[:-length] + self._masks[pattern] + _CUT
        if text.startswith(_CUT):
            body = text.removeprefix(_CUT)
            for pattern in self._patterns:
                for length in range(len(pattern) - 1, limits.MASKED_CHARACTERS - 1, -1):
                    if body.startswith(pattern[-length:]):
                        return _CUT + self._masks[pattern] + body[length:]
        return text


NOTHING: Final = Masker()
"""The masker of an organisation without secrets."""


class _Cache:
    """The maskers of a database that were asked for."""

    def __init__(self, database: Database) -> None:
        self._lock = threading.Lock()
        self._maskers: dict[str, Masker] = {}
        self._changes = 0
        self.close = database.subscribe(self._heard)

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


def _forms(value: str) -> set[str]:
    """Return the texts in which a value turns up."""
    if len(value) < limits.MASKED_CHARACTERS:
        return set()
    pieces = [value[start : start + _PIECE] for start in range(0, len(value), _PIECE)]
    if len(pieces) > 1 and len(pieces[-1]) < _LINE:
        pieces[-2:] = ["".join(pieces[-2:])]
    lines = [line.strip() for line in value.splitlines()]
    # A dashed line is the frame of a key, which is the same for all keys.
    parts = [line for line in lines if len(line) >= _LINE and not line.startswith("-----")]
    forms: set[str] = set()
    for text in dict.fromkeys([value.strip("\r\n"), *pieces, *(parts if len(lines) > 1 else [])]):
        if len(text) <= 2 * _PIECE:
            forms |= _escaped(text)
            forms |= _encoded(text.encode())
    whole = base64.b64encode(value.encode()).decode()
    if len(whole) > _WRAPPED:
        wrapped = [whole[start : start + _WRAPPED] for start in range(0, len(whole), _WRAPPED)]
        forms.update(line for line in wrapped if len(line) >= _ENCODED)
    return {form for form in forms if len(form) >= limits.MASKED_CHARACTERS}


def _escaped(text: str) -> set[str]:
    quoted = {quote(text), quote(text, safe=""), quote_plus(text)}
    forms = {text, repr(text)[1:-1], html.escape(text)} | quoted
    forms.update(_ESCAPED.sub(lambda match: match[0].lower(), each) for each in quoted)
    once = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    for each in once:
        forms |= {each, json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1]}
    return forms


def _encoded(data: bytes) -> set[str]:
    """Return what of the base64 of any text with `data` in it depends on `data` alone."""
    forms = {data.hex(), data.hex().upper()}
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode()
        first = (8 * before + 5) // 6
        last = 8 * (before + len(data)) // 6
        sure = encoded[first:last]
        forms |= {sure, sure.replace("+", "-").replace("/", "_")}
    return forms


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
