"""Record pipelines, and services that are workbooks."""

from __future__ import annotations

from typing import Final

from longshore.limits.units import MIB

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
