"""Corpora, their images, models and processes; secrets."""

from __future__ import annotations

from typing import Final

from longshore.limits.units import MIB

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
