"""What works carry to a worker and bring back, by surface: buckets, apps and pipelines.

Those of steps are in `longshore.wire.scripts`, those of elements in `longshore.wire.tasks`. Like
what `longshore.wire.worker` has, they are msgspec structs, and times are integer microseconds.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.wire.buckets import Name

# A union of Raw and None accepts only null, so that the absent result has to be a Raw as well.
NO_RESULT = msgspec.Raw(b"null")


class BucketJob(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs of the payload of a work of surface "buckets".

    The payload is the whole document of the work as clients see it; `longshore.wire.buckets` has
    its form.
    """

    pipeline: str
    """The bucket."""
    function: str | None = None
    """Dotted path; without one, and without a command, the bucket's registered function runs."""
    parameters: dict[str, Any] | None = None
    command: list[str] | None = None
    results: dict[str, Any] | None = None
    """Results of an earlier attempt, or that the work was deposited with; also the next two."""
    products: list[str] | None = None
    plots: list[str] | None = None
    config: dict[str, Any] = {}


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A product or plot whose bytes the worker has uploaded by POST /longshore/v1/blobs."""

    kind: str
    """`product` or `plot`."""
    path: str
    """As the work names it."""
    blob_id: str
    size_bytes: int
    sha256: str
    """64 hexadecimal digits."""


class FunctionResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a work of surface "buckets"; it takes the place of what the work had before."""

    results: msgspec.Raw = NO_RESULT
    """JSON object, or null."""
    products: list[Name] | None = None
    plots: list[Name] | None = None
    artifacts: list[StoredFile] = []


class AppFile(msgspec.Struct, frozen=True, kw_only=True):
    """Where the input of an app's work lies: GET /longshore/v1/blobs/{blob_id}."""

    blob_id: str
    name: str
    size_bytes: int
    sha256: str
    """64 hexadecimal digits, to be checked after the download."""


class AppPayload(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of a work of surface "apps": one file of a run."""

    run_id: str
    owner: str
    app: str
    version: str
    position: int
    """Index of the file in the run, from 0."""
    file: AppFile
    keys: dict[str, Any] = {}
    """The run's custom keys (protocol: settings.keys.custom)."""
    generate_pdf: bool = False
    """Whether the run asked for a post-processed PDF."""
    secret_aliases: dict[str, str] = {}
    """What the app knows secrets by, and their aliases (protocol: settings.keys.secret)."""
    password_entry: str | None = None
    """Where the file's password is kept."""
    secrets: dict[str, str] = {}
    """The values, by what the app knows them by; only in what a worker is handed, never stored."""
    password: str | None = None
    """The file's password; as `secrets`."""
    secrets_error: str | None = None
    """Why the values could not be had."""


class AppField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field of a document, as the worker reports it."""

    name: str
    value: str | None = None
    type: str = "TEXT"
    confidence: float | None = None
    """Confidence of the extraction, 0 to 1."""
    ocr_confidence: float | None = None
    """Confidence of the text recognition, 0 to 1."""
    page: int | None = None
    """Page of the source, from 0."""
    box: tuple[float, float, float, float] | None = None
    """Source box in pixels of the page: left, top, right, bottom."""
    error: str | None = None
    valid: bool | None = None
    alerts: list[str] = []
    """What a validation rule found; not empty means that the field needs review."""


class AppPage(msgspec.Struct, frozen=True, kw_only=True):
    """Size of a page in the units of the boxes."""

    number: int
    """From 0."""
    width: float
    height: float


class AppDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One document found in a file."""

    fields: list[AppField]
    class_name: str | None = None
    class_confidence: float | None = None
    pages: list[AppPage] = []
    review: str | None = None
    """Why the app wants a person to look at the document, whatever its fields say."""


class AppResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of a work of surface "apps"."""

    documents: list[AppDocument]
    review_below: float | None = None
    """A document with a confidence below this, 0 to 1, needs a person's review."""
    pdf_blob_id: str | None = None
    """The post-processed PDF, uploaded by POST /longshore/v1/blobs, where the run asked for it."""
    pdf_size_bytes: int | None = None
    pdf_sha256: str | None = None


class WorkbookFile(msgspec.Struct, frozen=True, kw_only=True):
    """A workbook that is a version of a service: where it lies, and which of its cells count."""

    blob_id: str
    """GET /longshore/v1/blobs/{blob_id}."""
    size_bytes: int
    sha256: str
    """64 hexadecimal digits, to be checked after the download."""
    inputs: list[str]
    """Defined names of the cells that a record sets."""
    outputs: list[str]


class ChunkPayload(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of a work of surface "pipelines": a chunk of records for one service version."""

    service: str
    """Folder and service, as the worker offers it."""
    version: str
    version_id: str
    kind: str = "python"
    """`python`, or `workbook`."""
    workbook: WorkbookFile | None = None
    """The workbook, where it is one."""
    outputs: list[str] | None = None
    """Only these outputs are wanted; all unless given."""
    unique_record_key: list[str] | None = None
    """Inputs whose values tell a person which record it is."""
    timeout_s: float | None = None
    """Time limit of one record, in seconds."""
    records: int
    """Without the header row."""
    columnar: bool
    """Whether `data.inputs` are rows below a header row; otherwise they are objects."""
    data: msgspec.Raw
    """`{"inputs": [...], "parameters": {...} | null, "summary": {...} | null}`, as it was pushed."""


class ChunkResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a work of surface "pipelines"; lists have one entry for each record."""

    records: int
    failed: int = 0
    """Records that have errors."""
    compute_ms: float = 0.0
    outputs: msgspec.Raw
    """In the form of the inputs: objects, or rows below a header row; null for a failed record."""
    warnings: msgspec.Raw = NO_RESULT
    """null when no record has any, else a list: null or [{"source_path", "message"}]."""
    errors: msgspec.Raw = NO_RESULT
    """null when no record has any, else a list: null or [{"error_category", "error_type",
    "additional_details", "source_path", "message"}]."""
    process_time: msgspec.Raw = NO_RESULT
    """null when all are 0, else a list of milliseconds."""
    summary: msgspec.Raw = NO_RESULT
    """null when none was asked for, else a list of lists."""
