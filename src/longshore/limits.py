"""The limits of this server, in one place.

A limit is refused at the edge with a message that names it. Docs/reference lists this module.
"""

from __future__ import annotations

from typing import Final

MIB: Final = 1024 * 1024

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

NOTICE_FIELD_BYTES: Final = 8 * 1024
"""Largest field of a work that a webhook is told, as JSON; a larger one is left out."""

SLACK_TEXT_CHARACTERS: Final = 4_000
"""Longest text of a message to Slack; the rest of it is cut."""

SLACK_BLOCKS_BYTES: Final = 32 * 1024
"""Largest `notify.slack.blocks` that is sent, as JSON."""

SLACK_ANSWER_BYTES: Final = 500
"""Most that is kept of what Slack answers."""

BUCKET_ARCHIVE_AFTER_S: Final = 24 * 3600.0
"""How long a finished work stays in its bucket unless the bucket says otherwise, in seconds."""

QUERY_DEPTH: Final = 6
"""Deepest nesting of objects in a filter of bucket works."""

QUERY_TERMS: Final = 100
"""Most tests, logical operators and parts of compared objects and arrays in one filter."""

QUERY_VALUES: Final = 10_000
"""Most values in all lists of $in and $nin in one filter."""

QUERY_BYTES: Final = 512 * 1024
"""Longest filter, as JSON in UTF-8."""

QUERY_PATH_STEPS: Final = 10
"""Most names in one dotted path of a filter, a projection or a sort."""

QUERY_STEPS: Final = 200
"""Most names in all dotted paths of one filter together."""

SORT_FIELDS: Final = 8
"""Most fields that one listing is sorted by."""

PROJECTION_FIELDS: Final = 100
"""Most fields that one projection names."""

REGEX_CHARACTERS: Final = 200
"""Longest regular expression in a filter."""

REGEX_TEXT_CHARACTERS: Final = 10_000
"""How much of a text a regular expression looks at: its first characters."""

PUSH_BODY_BYTES: Final = 32 * MIB
"""Largest body of a push of chunks to a pipeline, and of a synchronous execution."""

CHUNK_BYTES: Final = 16 * MIB
"""Largest data of one chunk, as JSON."""

CHUNK_RESULT_BYTES: Final = 32 * MIB
"""Largest outputs of one chunk with all that belongs to them, as JSON."""

CHUNK_RECORDS: Final = 200_000
"""Most records in one chunk."""

CHUNKS_PER_PUSH: Final = 10_000
"""Most chunks in one push."""

CHUNK_ID_CHARACTERS: Final = 200
"""Longest id of a chunk."""

INPUT_BUFFER_BYTES: Final = 70_000_000
"""Inputs that a pipeline holds and has not computed, unless it is made with another limit."""

OUTPUT_BUFFER_BYTES: Final = 80_000_000
"""Outputs that a pipeline holds until somebody pulls them, unless it is made with another limit."""

BUFFER_BYTES: Final = 4_000_000_000
"""Largest input or output buffer that a pipeline can be made with."""

PIPELINE_WORKERS: Final = 10_000
"""Largest max_runners of a pipeline."""

PIPELINE_IDLE_S: Final = 30 * 60.0
"""A pipeline that nobody uses for so long is closed, in seconds (protocol: 30 minutes)."""

PIPELINE_KEPT_S: Final = 7 * 24 * 3600.0
"""How long a pipeline that is over is kept with its outputs, in seconds."""

PIPELINE_RECENT_S: Final = 3600.0
"""How long a pipeline that is over is described as recent, in seconds (protocol: an hour)."""

CLAIM_BYTES: Final = 32 * MIB
"""Most bytes of chunks in one claim, unless a single chunk has more."""

PULL_BYTES: Final = 32 * MIB
"""Most bytes of outputs in one pull, unless a single chunk has more."""

DELIVERED_KEPT_S: Final = 3600.0
"""How long outputs that were pulled can be had again, unless they are confirmed, in seconds."""

EXECUTION_S: Final = 55.0
"""Longest that a synchronous execution takes, in seconds (protocol: 55 s)."""

RECORD_ATTEMPTS: Final = 3
"""How often a process may die at a record before that is the record's error."""

WORKBOOK_BYTES: Final = 20 * MIB
"""Largest file of a service that is a workbook."""

WORKBOOK_UNPACKED_BYTES: Final = 200 * MIB
"""Largest content of such a file once it is unpacked."""

WORKBOOK_PARTS: Final = 2_000
"""Most files inside a workbook, which is a ZIP archive."""

WORKBOOK_CELLS: Final = 200_000
"""Most cells with something in them in a workbook."""

WORKBOOK_NAMES: Final = 1_000
"""Most inputs, and most outputs, of a service that is a workbook."""

WORKBOOK_CHECK_S: Final = 60.0
"""Longest that the check of an uploaded workbook may take, in seconds."""

WORKBOOK_CHECK_BYTES: Final = 2_048 * MIB
"""Most memory that the check of an uploaded workbook may take."""

FORMULA_CHARACTERS: Final = 8_192
"""Longest formula (as in Excel)."""

FORMULA_DEPTH: Final = 64
"""Deepest nesting of a formula (as in Excel)."""

CORPUS_BODY_BYTES: Final = 64 * MIB
"""Largest body of a request about elements and their results."""

RESULTS_PER_CALL: Final = 50_000
"""Most transcriptions, classifications, entities or metadata in one call."""

RESULT_TEXT_CHARACTERS: Final = 1_000_000
"""Longest text of a transcription, and longest value of a metadata."""

ENTITY_NAME_CHARACTERS: Final = 500
"""Longest name of an entity; an index entry of PostgreSQL takes 2,700 bytes."""

EMBEDDING_NUMBERS: Final = 16_000
"""Most numbers in an embedding."""

SECRETS: Final = 1_000
"""Most secrets of an organisation."""

SECRET_BYTES: Final = 64 * 1024
"""Longest value of a secret, in UTF-8."""

SECRET_KEY_COMMAND_S: Final = 10.0
"""How long the command that prints the master key may take, in seconds."""

KEYSTORE_VERSIONS: Final = 10
"""So many versions of an entry of the keystore are kept; older ones go when a new one is set."""

PDF_PASSWORDS: Final = 200
"""Most passwords of PDFs that one run of an app is given."""

PDF_PASSWORD_CHARACTERS: Final = 256
"""Longest password of a PDF; the format itself takes 127 bytes."""

RUN_PASSWORDS: Final = 2_000
"""Most passwords of PDFs of all runs of an organisation that have not ended."""

MASKED_CHARACTERS: Final = 6
"""Shortest value of a secret that is masked: shorter ones are found in all sorts of texts."""

DATASET_SETS: Final = 100
"""Most sets of a dataset."""

DATASET_ELEMENTS_PER_CALL: Final = 10_000
"""Most elements that one call adds to a set of a dataset."""

ARTIFACT_BYTES: Final = 20 * 1024 * MIB
"""Largest file that a task leaves, and largest archive of a version of a model."""

MODEL_PART_BYTES: Final = 512 * MIB
"""Largest part of the archive of a version of a model."""

MODEL_PARTS: Final = 10_000
"""Most parts of the archive of a version of a model (protocol: 10,000)."""

UPLOAD_LINK_S: Final = 24 * 3600.0
"""How long an address takes the bytes that it was made for, in seconds."""

DOWNLOAD_LINK_S: Final = 3600.0
"""How long a file can be had from an address that needs no key, in seconds."""

EXPORT_FRESH_S: Final = 6 * 3600.0
"""How long after an export of a corpus another one needs `force`, in seconds (protocol: 6 hours)."""

EXPORT_KEPT_S: Final = 14 * 24 * 3600.0
"""How long an export is kept, in seconds (protocol: two weeks)."""

IMAGE_BYTES: Final = 64 * MIB
"""Largest file of an image of a corpus."""

IMAGE_PIXELS: Final = 100_000_000
"""Most pixels of an image of a corpus, and of what is served of one."""

IMAGE_SIDE_PIXELS: Final = 65_500
"""Longest side of an image of a corpus, in pixels; a JPEG file has no longer ones."""

IMAGE_RATIO: Final = 100
"""How many times larger than its file an image may get, where it has more than 16 million pixels."""

IMAGE_RATIO_FREE_PIXELS: Final = 16_000_000
"""An image with no more pixels may be as even, and its file as small, as it likes."""

IMAGES_AT_ONCE: Final = 2
"""How many images a server decodes and encodes at the same time."""

IMAGE_CACHE_BYTES: Final = 128 * MIB
"""Size of the decoded images that a server keeps, so that the lines of a page need it only once."""

POLYGON_POINTS: Final = 10_000
"""Most points of the polygon of a zone."""

TASK_FILES: Final = 10_000
"""Most files that one task leaves in its directory."""

TASK_FILES_BYTES: Final = 100 * 1024 * MIB
"""Most bytes of all files that one task leaves in its directory."""

MODEL_FILES: Final = 100_000
"""Most entries in the archive of a version of a model that a worker unpacks."""

MODEL_UNPACKED_BYTES: Final = 200 * 1024 * MIB
"""Most bytes without compression in the archive of a version of a model."""

UNPACK_RATIO: Final = 100
"""How many times larger than the archive its files may get, where they have more than 64 MiB."""

CORPUS_TYPES: Final = 500
"""Most types of elements in a corpus."""

ELEMENTS_PER_CALL: Final = 10_000
"""Most elements that one call makes, or puts below another."""

ELEMENTS_DELETED_PER_CALL: Final = 2_000
"""Most elements that go with the one that a call deletes; more are deleted by a job."""

WORKER_CONFIGURATION_BYTES: Final = 256 * 1024
"""Longest configuration of a worker, as JSON."""

PROCESS_ELEMENTS: Final = 1_000_000
"""Most elements of a process."""

PROCESS_ELEMENTS_GIVEN: Final = 100_000
"""Most elements that a process is given by their ids."""

PROCESS_CHUNKS: Final = 1_000
"""Into how many tasks the elements of a process are split for each of its workers, at most."""

PROCESS_WORKERS: Final = 100
"""Most workers of a process."""

ACTIVITY_TIMEOUT_S: Final = 3600.0
"""How long a program without a heartbeat may take for an element, in seconds."""

ACTIVITY_LEASE_S: Final = 60.0
"""How long a program with a heartbeat holds an element without one, in seconds."""

ACTIVITIES_PER_CALL: Final = 500
"""Most elements that a program claims, renews or reports at once."""

ACTIVITY_ATTEMPTS: Final = 10
"""How often an element may be lost with the program that holds it."""

WORKFLOW_BYTES: Final = 1 * MIB
"""Longest file of a workflow."""

WORKFLOW_STEPS: Final = 1_000
"""Most steps of a run, instances of matrices included."""

STEP_PAYLOAD_BYTES: Final = 1 * MIB
"""Longest payload of an event or a step, as JSON."""

STEP_PAYLOAD_VALUES: Final = 200
"""So many values of a step's payload are there to be searched by."""

STEP_LOSSES: Final = 10
"""How often a step may be lost with the worker that runs it, besides its own retries."""

ACCESS_CODE_S: Final = 60.0
"""How long a step has for its Init, in seconds, unless LONGSHORE_ACCESS_CODE_S says otherwise."""

KEYSTORE_KEYS_PER_READ: Final = 100
"""Most entries of the keystore that one call reads."""

BACKFILL_RUNS: Final = 1_000
"""Most runs that one backfill starts."""

WORKFLOW_DEPTH: Final = 30
"""How deep the lists and mappings in the file of a workflow may be nested."""

WORKFLOW_VALUES: Final = 100_000
"""Most values in the file of a workflow, those that its aliases repeat included."""

BACKFILL_STEPS: Final = 10_000
"""Most steps of all runs that one backfill starts, before matrices are expanded."""

WORKFLOW_TRIGGERS: Final = 100
"""Most triggers of one kind (events, schedules, lists of flags, workflows) of a workflow."""

WORKFLOW_HOLIDAYS: Final = 5_000
"""Most holidays in the calendar of a workflow."""

WORKFLOW_PROBLEMS: Final = 100
"""So many faults of a workflow's file are told at once, of its form and of what it says each."""

SCHEDULE_INSTANTS: Final = 500
"""So many instants of one schedule that passed while no server ran are dealt with at once."""

SCHEDULE_LATE_S: Final = 60.0
"""An instant of a schedule that is looked at later than this was missed, in seconds."""

SCHEDULE_KEPT_S: Final = 90 * 86_400.0
"""How long it is kept what came of an instant of a schedule, in seconds."""

GUARD_RESULT_BYTES: Final = 64 * 1024
"""Longest result, as JSON, that is kept of what a step does once."""

SIMULATED_THROTTLES: Final = 200
"""Most throttles that one simulation tries."""

SIMULATED_STEPS: Final = 500_000
"""Most steps that one simulation plays through, over all of its throttles and samples."""
