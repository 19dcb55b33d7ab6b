"""Works of surface "apps": call the app's function and turn what it returns into the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from longshore.errors import ConfigurationError
from longshore.wire.payloads import AppDocument, AppField, AppPage, AppPayload, AppResult
from longshore.wire.worker import AppOffer
from longshore.worker.channel import Run
from longshore.worker.documents import Document, Field, InputFile, Page
from longshore.worker.pdf import make_pdf
from longshore.worker.registry import App, Registry


def offers(registry: Registry) -> list[AppOffer]:
    """Return what the server is told about the registered apps."""
    return [
        AppOffer(
            name=app.name,
            owner=app.owner,
            version=app.version,
            description=app.description,
            timeout_s=app.timeout_s,
            attempts_max=app.attempts_max,
        )
        for app in registry.apps.values()
    ]


def run_app(registry: Registry, run: Run, note: Callable[[str], None]) -> tuple[bytes, str | None]:
    """Run an app on the downloaded file; return the JSON of its result and the path of a PDF.

    Raises:
        ConfigurationError: the app is not registered here, or a secret of the run cannot be had.
        TypeError, ValueError: the app returned something that is not documents.
        Exception: whatever the app itself raises.
    """
    payload = msgspec.json.decode(run.payload, type=AppPayload)
    app = _find(registry, payload)
    if payload.secrets_error is not None:
        raise ConfigurationError(payload.secrets_error)
    file = InputFile(
        name=payload.file.name,
        path=Path(run.path),
        size_bytes=payload.file.size_bytes,
        keys=payload.keys,
        secrets=payload.secrets,
        password=payload.password,
    )
    documents = [_document(item, app) for item in _items(app.function(file), app)]
    result = _encode(AppResult(documents=documents, review_below=app.review_below), app)
    pdf = make_pdf(Path(run.path), Path(run.directory), note) if payload.generate_pdf else None
    return result, None if pdf is None else str(pdf)


def _find(registry: Registry, payload: AppPayload) -> App:
    app = registry.apps.get((payload.owner.casefold(), payload.app.casefold(), payload.version))
    if app is None:
        raise ConfigurationError(
            f"App {payload.owner}/{payload.app} {payload.version} is not registered in this "
            "worker's modules any more. Restart the worker with a module that registers it."
        )
    return app


def _items(returned: object, app: App) -> Iterable[object]:
    expected = "an iterable of longshore.Document, empty when nothing was found"
    if isinstance(returned, Document):
        raise TypeError(f"App {app.name!r} returned one Document; return a list: [document].")
    if isinstance(returned, str | bytes | Mapping) or not isinstance(returned, Iterable):
        raise TypeError(f"App {app.name!r} returned {_shown(returned)}; expected {expected}.")
    return returned


def _document(item: object, app: App) -> AppDocument:
    if not isinstance(item, Document):
        raise TypeError(
            f"App {app.name!r} returned {_shown(item)} among its documents; each must be a "
            "longshore.Document."
        )
    return AppDocument(
        fields=[_field(field, app) for field in _sequence(item.fields, "fields", app)],
        class_name=item.class_name,
        class_confidence=_number(item.class_confidence),
        pages=[_page(page, app) for page in _sequence(item.pages, "pages", app)],
        review=item.review,
    )


def _field(item: object, app: App) -> AppField:
    if not isinstance(item, Field):
        raise TypeError(
            f"App {app.name!r} returned a Document with {_shown(item)} among its fields; each "
            "must be a longshore.Field."
        )
    box = item.box
    return AppField(
        name=item.name,
        value=item.value,
        type=item.type,
        confidence=_number(item.confidence),
        ocr_confidence=_number(item.ocr_confidence),
        page=None if item.page is None else int(item.page),
        box=None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        error=item.error,
        alerts=list(_sequence(item.alerts, "alerts", app)),
    )


def _page(item: object, app: App) -> AppPage:
    if not isinstance(item, Page):
        raise TypeError(
            f"App {app.name!r} returned a Document with {_shown(item)} among its pages; each "
            "must be a longshore.Page."
        )
    width, height = float(item.width), float(item.height)
    if not (math.isfinite(width) and math.isfinite(height)):
        raise ValueError(f"App {app.name!r}: page {item.number} is {width} by {height}.")
    return AppPage(number=int(item.number), width=width, height=height)


def _sequence(value: Any, label: str, app: App) -> Iterable[Any]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise TypeError(
            f"App {app.name!r} returned a Document whose {label} are {_shown(value)}; expected "
            "a list."
        )
    return value


def _number(value: Any) -> float | None:
    """Return a plain float: numbers of numeric libraries do not encode by themselves."""
    return None if value is None else float(value)


def _encode(result: AppResult, app: App) -> bytes:
    # Structs do not check types when they are built; reading the JSON back does, and names the
    # place: `$.documents[0].fields[2].name`.
    try:
        encoded = msgspec.json.encode(result)
        msgspec.json.decode(encoded, type=AppResult)
    except (TypeError, UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise TypeError(
            f"App {app.name!r} returned documents that cannot be written as a result: {error}."
        ) from error
    return encoded


def _shown(value: object) -> str:
    if value is None:
        return "None"
    text = repr(value)
    return f"{type(value).__name__} {text[:80]}{'…' if len(text) > 80 else ''}"
