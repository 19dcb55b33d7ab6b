"""Rows of an SQLite file as objects: what the cache of a task needs, and no more.

A class lists its fields, and reads and writes rows::

    CachedElement.select().where(CachedElement.initial == True).exists()
    CachedElement.update(type="page").where(CachedElement.id == element_id).execute()
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

from longshore.corpus.cache_database import db
from longshore.corpus.cache_fields import Condition, Field

IntegrityError = sqlite3.IntegrityError

R = TypeVar("R", bound="Record")


class Record:
    """A row of a table; its class names the table and lists the fields in their order."""

    table: ClassVar[str]
    fields: ClassVar[dict[str, Field[Any]]]
    DoesNotExist: ClassVar[type[LookupError]]

    def __init_subclass__(cls) -> None:
        """Collect the fields, and make the class's own error for rows that are not there."""
        cls.fields = {name: field for name, field in vars(cls).items() if isinstance(field, Field)}
        cls.DoesNotExist = type("DoesNotExist", (LookupError,), {"__module__": cls.__module__})

    def __init__(self, **values: Any) -> None:
        """Make a row that is not yet in the table."""
        unknown = values.keys() - self.fields.keys()
        if unknown:
            raise AttributeError(f"{self.table} has no column {', '.join(sorted(unknown))}")
        self.values: dict[str, Any] = {
            name: values.get(name, field.default) for name, field in self.fields.items()
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def __str__(self) -> str:
        return " ".join(str(self.values[name]) for name in self.key())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, Record):
            return NotImplemented
        return self._key_stored() == other._key_stored()

    def __hash__(self) -> int:
        return hash((type(self), *self._key_stored()))

    @classmethod
    def key(cls) -> list[str]:
        """Return the names of the columns of the primary key."""
        return [name for name, field in cls.fields.items() if field.primary_key]

    @classmethod
    def select(cls) -> Select[Self]:
        """Start a query for rows."""
        return Select(cls)

    @classmethod
    def update(cls, **values: Any) -> Change:
        """Start a change of rows; `.where(...).execute()` returns how many it changed."""
        names = ", ".join(f'"{name}" = ?' for name in values)
        stored = [cls.fields[name].stored(value) for name, value in values.items()]
        return Change(f'UPDATE "{cls.table}" SET {names}', stored)  # noqa: S608 - names of fields

    @classmethod
    def delete(cls) -> Change:
        """Start a removal of rows; `.where(...).execute()` returns how many it removed."""
        return Change(f'DELETE FROM "{cls.table}"', [])  # noqa: S608 - the name of a table

    @classmethod
    def insert_many(cls, rows: Iterable[dict[str, Any]]) -> Insert:
        """Start an insertion of several rows; `.execute()` inserts all of them or none."""
        return Insert(cls, [cls(**row) for row in rows])

    @classmethod
    def create(cls, **values: Any) -> Self:
        """Insert a row and return it.

        Raises:
            IntegrityError: the key is taken, a value is missing, or what it names does not exist.
        """
        record = cls(**values)
        Insert(cls, [record]).execute()
        return record

    @classmethod
    def get(cls, *conditions: Condition) -> Self:
        """Return the first row that fits.

        Raises:
            DoesNotExist: there is none.
        """
        return cls.select().where(*conditions).get()

    @classmethod
    def get_or_none(cls, *conditions: Condition) -> Self | None:
        """Return the first row that fits, or None."""
        return cls.select().where(*conditions).first()

    @classmethod
    def get_by_id(cls, key: Any) -> Self:
        """Return the row with a primary key.

        Raises:
            DoesNotExist: there is none.
        """
        return cls.get(cls.fields[cls.key()[0]] == key)

    @classmethod
    def get_or_create(
        cls, defaults: dict[str, Any] | None = None, **values: Any
    ) -> tuple[Self, bool]:
        """Return the row with these values, made with `defaults` where there is none yet."""
        with db.atomic():
            found = cls.get_or_none(*(cls.fields[name] == value for name, value in values.items()))
            if found is not None:
                return found, False
            return cls.create(**values, **(defaults or {})), True

    def save(self, force_insert: bool = False) -> int:
        """Write the object's values to its row, or insert it, and return how many rows changed."""
        if force_insert:
            return Insert(type(self), [self]).execute()
        mine = [self.fields[name] == self.values[name] for name in self.key()]
        return type(self).update(**self.values).where(*mine).execute()

    def _key_stored(self) -> tuple[Any, ...]:
        return tuple(self.fields[name].stored(self.values[name]) for name in self.key())

    def row(self) -> list[Any]:
        """Return the values of all columns as SQLite keeps them."""
        return [field.stored(self.values[name]) for name, field in self.fields.items()]


class Select(Generic[R]):
    """A query for rows. It is run once, when its rows are first needed."""

    def __init__(self, kind: type[R], *, source: str = "", values: Sequence[Any] = ()) -> None:
        """Start a query; `source` is SQL to read from instead of the table, with its values."""
        self._kind = kind
        self._source = source or f'"{kind.table}"'
        self._source_values = tuple(values)
        self._conditions: tuple[Condition, ...] = ()
        self._tail = ""
        self._rows: list[R] | None = None

    def where(self, *conditions: Condition | bool) -> Select[R]:
        """Keep the rows that fit all conditions; False keeps none."""
        made = tuple(
            Condition("1" if one else "0") if isinstance(one, bool) else one for one in conditions
        )
        return self._changed(conditions=self._conditions + made)

    def order_by(self, *fields: Field[Any]) -> Select[R]:
        """Sort the rows by columns."""
        names = ", ".join(f'"{field.name}"' for field in fields)
        return self._changed(tail=f"{self._tail} ORDER BY {names}")

    def limit(self, rows_max: int) -> Select[R]:
        """Return that many rows at most."""
        return self._changed(tail=f"{self._tail} LIMIT {int(rows_max)}")

    def count(self) -> int:
        """Count the rows."""
        sql = f"SELECT count(*) FROM ({self._sql()})"  # noqa: S608 - made of names of fields
        return int(db.fetch(sql, self._values())[0][0])

    def exists(self) -> bool:
        """Say whether there are rows."""
        return bool(db.fetch(f"SELECT EXISTS ({self._sql()})", self._values())[0][0])

    def first(self) -> R | None:
        """Return the first row, or None."""
        return next(iter(self.limit(1) if "LIMIT" not in self._tail else self), None)

    def get(self) -> R:
        """Return the first row.

        Raises:
            DoesNotExist: there is none.
        """
        found = self.first()
        if found is None:
            raise self._kind.DoesNotExist(f"There is no such row in {self._kind.table}.")
        return found

    def __iter__(self) -> Iterator[R]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, index: int) -> R: ...
    @overload
    def __getitem__(self, index: slice) -> list[R]: ...
    def __getitem__(self, index: int | slice) -> R | list[R]:
        return self._all()[index]

    def _all(self) -> list[R]:
        if self._rows is None:
            fields = self._kind.fields
            self._rows = [
                self._kind(
                    **{
                        name: field.loaded(value)
                        for (name, field), value in zip(fields.items(), row, strict=True)
                    }
                )
                for row in db.fetch(self._sql(), self._values())
            ]
        return self._rows

    def _sql(self) -> str:
        names = ", ".join(f'"{name}"' for name in self._kind.fields)
        where = " AND ".join(condition.sql for condition in self._conditions) or "1"
        return f"SELECT {names} FROM {self._source} WHERE {where}{self._tail}"  # noqa: S608 - names of fields

    def _values(self) -> list[Any]:
        return [
            *self._source_values,
            *(value for condition in self._conditions for value in condition.values),
        ]

    def _changed(
        self, *, conditions: tuple[Condition, ...] | None = None, tail: str | None = None
    ) -> Select[R]:
        made = Select(self._kind, source=self._source, values=self._source_values)
        made._conditions = self._conditions if conditions is None else conditions
        made._tail = self._tail if tail is None else tail
        return made


class Change:
    """A change or removal of rows that has not been made yet."""

    def __init__(self, sql: str, values: Sequence[Any]) -> None:
        """Keep the statement without its conditions."""
        self._sql = sql
        self._parameters = list(values)
        self._conditions: list[Condition] = []

    def where(self, *conditions: Condition) -> Change:
        """Limit the change to the rows that fit all conditions."""
        self._conditions += conditions
        return self

    def execute(self) -> int:
        """Make the change and return how many rows it touched."""
        where = " AND ".join(condition.sql for condition in self._conditions) or "1"
        values = [value for condition in self._conditions for value in condition.values]
        return db.execute(f"{self._sql} WHERE {where}", [*self._parameters, *values])


class Insert:
    """Rows that have not been inserted yet."""

    def __init__(self, kind: type[Record], records: Sequence[Record]) -> None:
        """Keep the rows."""
        self._kind = kind
        self._records = records

    def execute(self) -> int:
        """Insert the rows, all or none, and return how many they are.

        Raises:
            IntegrityError: a key is taken, a value is missing, or what it names does not exist.
        """
        names = ", ".join(f'"{name}"' for name in self._kind.fields)
        marks = ", ".join("?" * len(self._kind.fields))
        sql = f'INSERT INTO "{self._kind.table}" ({names}) VALUES ({marks})'  # noqa: S608 - names of fields
        with db.atomic():
            for record in self._records:
                db.execute(sql, record.row())
        return len(self._records)
