"""What a form sends: names and texts, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from longshore import limits
from longshore.errors import InvalidRequest, TooLarge

_KIND: Final = "application/x-www-form-urlencoded"
_FORM: Final = "longshore.form"


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, in the order in which they were sent."""

    fields: Mapping[str, tuple[str, ...]]

    def text(self, name: str, default: str = "") -> str:
        """Return the last value of a field, without blanks around it."""
        return self.fields.get(name, (default,))[-1].strip()

    def raw(self, name: str) -> str:
        """Return the last value of a field as it was sent."""
        return self.fields.get(name, ("",))[-1]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values of a field."""
        return self.fields.get(name, ())

    def reason(self) -> str:
        """Return why somebody does what the form does, as they gave it.

        Raises:
            InvalidRequest: it is too long.
        """
        text = self.text("reason") or "done in the dashboard"
        if len(text) > limits.NAME_CHARACTERS:
            raise InvalidRequest(
                f"The reason has {len(text)} characters and may have {limits.NAME_CHARACTERS}. "
                "Shorten it."
            )
        return text


async def read_form(request: Request) -> Form:
    """Return the form that a request carries, or an empty one.

    Raises:
        TooLarge: it is larger than limits.FORM_BYTES.
        InvalidRequest: it is not UTF-8, or has too many fields.
    """
    known = request.scope.get(_FORM)
    if isinstance(known, Form):
        return known
    form = Form({})
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _KIND:
        form = _parsed(await _body(request))
    request.scope[_FORM] = form
    return form


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limits.FORM_BYTES:
            raise TooLarge(
                f"The form is larger than {limits.FORM_BYTES:,} bytes. Use the API for data of "
                "that size."
            )
    return bytes(body)


def _parsed(body: bytes) -> Form:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=limits.FORM_FIELDS,
        )
    except ValueError as error:
        raise InvalidRequest(f"The form cannot be read ({error}). Load the page again.") from error
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise InvalidRequest("A field holds the character NUL. Remove it.")
        fields[name] = (*fields.get(name, ()), value)
    return Form(fields)
