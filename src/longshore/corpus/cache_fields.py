"""Columns of a cache's tables, and the conditions that are made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload
from uuid import UUID

if TYPE_CHECKING:
    from longshore.corpus.cache_records import Record

T = TypeVar("T")


class Condition:
    """A condition on rows; `&`, `|` and `~` combine them."""

    def __init__(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Keep the SQL of the condition and the values of its question marks."""
        self.sql = sql
        self.values = tuple(values)

    def __and__(self, other: Condition) -> Condition:
        return Condition(f"({self.sql} AND {other.sql})", self.values + other.values)

    def __or__(self, other: Condition) -> Condition:
        return Condition(f"({self.sql} OR {other.sql})", self.values + other.values)

    def __invert__(self) -> Condition:
        return Condition(f"(NOT {self.sql})", self.values)


class Field(Generic[T]):
    """A column. On the class it makes conditions, on an object it is the value."""

    def __init__(
        self, *, primary_key: bool = False, null: bool = False, default: Any = None
    ) -> None:
        """Describe the column; `default` fills rows that are made without a value."""
        self.primary_key = primary_key
        self.null = null
        self.default = default
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, record: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, record: Record, owner: type | None = None) -> T: ...
    def __get__(self, record: Record | None, owner: type | None = None) -> Self | T:
        if record is None:
            return self
        value: T = record.values.get(self.name)  # type: ignore[assignment]
        return value

    def __set__(self, record: Record, value: T) -> None:
        record.values[self.name] = value

    def stored(self, value: Any) -> Any:
        """Return a value as SQLite keeps it."""
        return value

    def loaded(self, value: Any) -> Any:
        """Return a value of SQLite as Python knows it."""
        return value

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        return self.is_null() if value is None else self._compared("=", value)

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return self.is_null(False) if value is None else self._compared("<>", value)

    def __lt__(self, value: Any) -> Condition:
        return self._compared("<", value)

    def __le__(self, value: Any) -> Condition:
        return self._compared("<=", value)

    def __gt__(self, value: Any) -> Condition:
        return self._compared(">", value)

    def __ge__(self, value: Any) -> Condition:
        return self._compared(">=", value)

    def in_(self, values: Iterable[Any]) -> Condition:
        """Say whether the value is one of several."""
        kept = [self.stored(value) for value in values]
        return Condition(f'"{self.name}" IN ({", ".join("?" * len(kept))})', kept)

    def is_null(self, is_null: bool = True) -> Condition:
        """Say whether there is no value, or with False whether there is one."""
        return Condition(f'"{self.name}" IS {"" if is_null else "NOT "}NULL')

    def _compared(self, operator: str, value: Any) -> Condition:
        return Condition(f'"{self.name}" {operator} ?', [self.stored(value)])


class UUIDField(Field[Any]):
    """A UUID, kept as 32 hexadecimal digits without dashes."""

    def stored(self, value: Any) -> Any:
        """Return the digits.

        Raises:
            ValueError: the value is no UUID.
        """
        return None if value is None else _uuid(value).hex

    def loaded(self, value: Any) -> Any:
        """Return a `uuid.UUID`."""
        return None if value is None else _uuid(value)


class BooleanField(Field[bool]):
    """True or False, kept as 1 or 0."""

    def stored(self, value: Any) -> Any:
        """Return 1 or 0."""
        return None if value is None else int(bool(value))

    def loaded(self, value: Any) -> Any:
        """Return True or False."""
        return None if value is None else bool(value)


class JSONField(Field[Any]):
    """Lists and dictionaries, kept as the text of JSON."""

    def stored(self, value: Any) -> Any:
        """Return the text of JSON."""
        return None if value is None else json.dumps(value)

    def loaded(self, value: Any) -> Any:
        """Return what the text stands for."""
        return None if value is None else json.loads(value)


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))
