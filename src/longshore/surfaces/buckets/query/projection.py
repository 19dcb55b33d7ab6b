"""Which fields of a document are shown, in Mongo's form: {"id": true, "config.parent": true}."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from longshore.errors import TooLarge
from longshore.limits import PROJECTION_FIELDS
from longshore.surfaces.buckets.query.budget import entries, path_of, refuse

Names: TypeAlias = dict[str, "Names | None"]
"""The fields named at one level, each with those named inside it; None for all of it."""


@dataclass(frozen=True, slots=True)
class Projection:
    """A projection that was checked.

    Attributes:
        fields: the named fields, by level.
        includes: whether the named fields are shown; else all others are.
    """

    fields: Names
    includes: bool

    @classmethod
    def parse(cls, value: Any) -> Projection:
        """Read a projection; None and {} show everything, and `_id`, which there is not, is ignored.

        Raises InvalidRequest for what is neither inclusion nor exclusion, TooLarge for too many
        fields.
        """
        if value is None:
            return cls({}, includes=False)
        wanted = dict(entries(value, "", "fields with true or false", "projection"))
        wanted.pop("_id", None)
        if len(wanted) > PROJECTION_FIELDS:
            raise TooLarge(
                f"The projection names {len(wanted)} fields and {PROJECTION_FIELDS} are allowed. "
                "Name the objects that hold them, or leave the projection out."
            )
        shown = {_shown(name, flag) for name, flag in wanted.items()}
        if len(shown) > 1:
            refuse(
                "", "it says true of some fields and false of others; say one of both", "projection"
            )
        fields: Names = {}
        for name in wanted:
            _add(fields, path_of(name, name, "projection"), name)
        return cls(fields, includes=shown == {True})

    @property
    def names(self) -> set[str]:
        """The top-level names that are asked for explicitly."""
        return set(self.fields) if self.includes else set()

    def apply(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the part of a document that is shown, in the document's own order."""
        keep = _included if self.includes else _excluded
        shown = keep(document, self.fields)
        assert isinstance(shown, dict)
        return shown


_NOTHING: Any = object()


def _shown(name: str, flag: Any) -> bool:
    if not isinstance(flag, bool | int | float) or flag not in (0, 1):
        refuse(
            name,
            "a projection says true (1) or false (0) of a field; operators and computed fields are "
            "not supported",
            "projection",
        )
    return bool(flag)


def _add(fields: Names, path: tuple[str, ...], name: str) -> None:
    level = fields
    for step in path[:-1]:
        inner = level.setdefault(step, {})
        if inner is None:
            _collide(name)
        level = inner
    if path[-1] in level:
        _collide(name)
    level[path[-1]] = None


def _collide(name: str) -> NoReturn:
    refuse(name, "it names a field and also one inside it; leave one of them out", "projection")


def _included(value: Any, fields: Names) -> Any:
    """Return the named part of an object or of each object of an array, or _NOTHING."""
    if isinstance(value, dict):
        parts = (
            (name, inner if fields[name] is None else _included(inner, fields[name] or {}))
            for name, inner in value.items()
            if name in fields
        )
        return {name: part for name, part in parts if part is not _NOTHING}
    if isinstance(value, list):
        shown = (_included(each, fields) for each in value)
        return [each for each in shown if each is not _NOTHING]
    return _NOTHING


def _excluded(value: Any, fields: Names) -> Any:
    """Return an object, or an array of objects, without the named part."""
    if isinstance(value, dict):
        return {
            name: _excluded(inner, fields.get(name) or {})
            for name, inner in value.items()
            if name not in fields or fields[name] is not None
        }
    if isinstance(value, list) and fields:
        return [_excluded(each, fields) for each in value]
    return value
