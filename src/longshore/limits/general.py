"""What requests, works, files, logs and messages may be."""

from __future__ import annotations

from typing import Final

from longshore.limits.units import MIB

HEAD_BYTES: Final = 64 * 1024
"""Longest request line and headers together; a head that arrives in one piece may be longer."""

JSON_BODY_BYTES: Final = 8 * MIB
"""Largest JSON request body; larger values go to the blob store by reference."""

REPORT_BODY_BYTES: Final = 64 * MIB
"""Largest bulk report of a worker."""

JSON_DEPTH: Final = 32
"""Deepest nesting of a JSON request body."""

FILE_BYTES: Final = 100 * MIB
"""Largest file in a single upload (protocol: 100 MB a single upload)."""

MULTIPART_FILE_BYTES: Final = 1024 * MIB
"""Largest file put together from parts."""

PART_BYTES: Final = 10 * MIB
"""Size of a part of a multipart upload; the last part may be smaller."""

NAME_CHARACTERS: Final = 255
"""Longest name of a batch, a file, an app, a queue or a key."""

FILES_PER_RUN: Final = 1_000
"""Most files that one app run takes."""

TAGS_CHARACTERS: Final = 500
"""Most characters in all tags of a run together."""

PAGE_ROWS: Final = 1_000
"""Most rows in one page of a listing."""

RESULT_FILES_PER_PAGE: Final = 50
"""Files in one page of run results."""

CLAIM_WORKS: Final = 1_000
"""Most works in one claim."""

CLAIM_WAIT_S: Final = 30.0
"""Longest that a claim waits for work, in seconds."""

ATTEMPTS: Final = 100
"""Most attempts that a work may have."""

DEPENDENCIES_PER_WORK: Final = 2_000
"""Most works that one work may wait for."""

LEASE_S: Final = 73 * 3600.0
"""Longest lease, in seconds; a work of a bucket may run for 72 hours."""

BUCKETS_BODY_BYTES: Final = 64 * MIB
"""Largest body of a deposit or update of works; a work with results may have several MB."""

DOCUMENT_BYTES: Final = 16 * MIB
"""Largest single work, with its results."""

DEPOSIT_WORKS: Final = 10_000
"""Most works in one deposit, update or deletion, and named by id in one action."""

BUCKETS_PER_WITHDRAW: Final = 50
"""Most buckets that one withdrawal names."""

VIEW_WORKS: Final = 50_000
"""Most works in one answer of a view; one that would give more is refused."""

VIEW_BYTES: Final = 256 * MIB
"""Size of the works in one answer of a view, all together."""

AUDIT_WORKS: Final = 10_000
"""Most works that one call of the audit changes; what is left is for the next."""

PAUSE_MAX_S: Final = 10 * 365 * 24 * 3600.0
"""Longest delay, time limit or pause before a retry, in seconds."""

LOG_LINE_CHARACTERS: Final = 8_192
"""Longest log line kept; the rest of it is cut."""

LOG_LINES_PER_ATTEMPT: Final = 10_000
"""Most log lines kept of one attempt; later ones are counted, not kept."""

ERROR_CHARACTERS: Final = 16_384
"""Longest error text and traceback kept with an attempt."""

COMMAND_OUTPUT_BYTES: Final = MIB
"""How much of each stream of a command is kept in its results: the beginning and the end."""

IDEMPOTENCY_KEY_CHARACTERS: Final = 255
"""Longest Idempotency-Key header."""

IDEMPOTENCY_S: Final = 24 * 3600.0
"""How long the answer to an idempotency key is kept, in seconds."""

UPLOAD_SESSION_S: Final = 24 * 3600.0
"""How long an idle multipart upload session lives, in seconds."""

PATH_BYTES: Final = 2_000
"""Longest whole path of a file in UTF-8; an index entry of PostgreSQL takes 2,700 bytes."""

RUN_KEYS_BYTES: Final = 64 * 1024
"""Custom keys of a run as JSON; each file's work carries a copy of them."""

FILE_WAIT_S: Final = 30.0
"""Longest that a read of a missing file waits for it (IB-Retry-Config), in seconds."""

OUTBOUND_URL_CHARACTERS: Final = 2_000
"""Longest URL of a webhook."""

OUTBOUND_HEADERS: Final = 20
"""Most headers that a webhook may be sent with."""

OUTBOUND_HEADERS_BYTES: Final = 4_096
"""Names and values of all headers of a webhook together."""

OUTBOUND_ANSWER_BYTES: Final = 64 * 1024
"""Most that is read of a webhook receiver's answer."""

OUTBOUND_S: Final = 10.0
"""Longest that a delivery to a webhook takes, in seconds; then it is tried again."""

WEBHOOK_ATTEMPTS: Final = 8
"""How often a delivery to a webhook is tried in all."""

WEBHOOKS: Final = 50
"""Most webhooks for the buckets of an organisation."""
