"""A work as a program holds it: the published fields, checked when they are set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

import msgspec

from longshore.clock import SECOND_US, SystemClock
from longshore.errors import InvalidRequest
from longshore.wire.buckets import FIELDS, WorkPayload, read_work


class WorkModel(WorkPayload, kw_only=True, dict=True):
    """The fields of a work, without what needs a server.

    They are checked when the work is made, whenever one is assigned, and before it is sent. A
    change inside a field, as in `work.config.archive.results = False`, is checked when it is sent.
    """

    def __post_init__(self) -> None:
        """Check all fields, and note the time of creation where none is given."""
        if self.creation is None:
            msgspec.Struct.__setattr__(self, "creation", SystemClock().now_us() / SECOND_US)
        checked = read_work(_document(self))
        for field in _ORDER:
            msgspec.Struct.__setattr__(self, field, getattr(checked, field))

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field if the work stays valid.

        Raises:
            InvalidRequest: it would not; nothing is changed.
            AttributeError: a work has no such field.
        """
        if name.startswith("_"):
            self.__dict__[name] = value
            return
        if name not in FIELDS:
            raise AttributeError(f"A work has no field {name!r}; it has {', '.join(_ORDER)}.")
        document = _document(self)
        document[name] = msgspec.to_builtins(value) if isinstance(value, msgspec.Struct) else value
        msgspec.Struct.__setattr__(self, name, getattr(read_work(document), name))

    def __repr__(self) -> str:
        """Show id, bucket and status."""
        identity = self.id or "without an id"
        return f"<{type(self).__name__} {identity} of {self.pipeline}: {self.status}>"

    @property
    def payload(self) -> dict[str, Any]:
        """The work as the server takes it: a dict with all fields, in the published order.

        Raises:
            InvalidRequest: something inside a field was changed to what the field may not hold.
        """
        document = _document(self)
        read_work(document)
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Make a work of its document, such as `payload` gives or the server sends.

        Names that a work does not have are left out.

        Raises:
            InvalidRequest: a field is missing or cannot be used.
        """
        checked = read_work(document)
        return cls(**{name: getattr(checked, name) for name in _ORDER})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Make a work of its document in JSON.

        Raises:
            InvalidRequest: it is not JSON, or a field is missing or cannot be used.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise InvalidRequest(f"The work is not valid JSON: {error}. Correct it.") from error
        return cls.from_dict(document)


def _document(work: WorkModel) -> dict[str, Any]:
    document = {name: getattr(work, name) for name in _ORDER}
    for name in ("config", "notify"):
        if isinstance(document[name], msgspec.Struct):
            document[name] = msgspec.to_builtins(document[name])
    return document


_ORDER = WorkPayload.__struct_fields__
