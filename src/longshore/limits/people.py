"""What people look at: the dashboard, filters, metrics, reviews."""

from __future__ import annotations

from typing import Final

from longshore.limits.units import MIB

FORM_BYTES: Final = 4 * MIB
"""Largest form of the dashboard, in bytes; an edited payload may be that large."""

FORM_FIELDS: Final = 2_000
"""Most fields of a form of the dashboard."""

FILTER_CHARACTERS: Final = 2_000
"""Longest filter that finds works."""

FILTER_VALUES: Final = 100
"""Most values in one filter."""

VIEWERS: Final = 200
"""So many pages of the dashboard may listen for changes at one server at a time."""

METRICS_QUEUES: Final = 100
"""Most queues that `/metrics` tells of one by one: those in which most works wait."""

REVIEW_VALUE_CHARACTERS: Final = 20_000
"""Longest value that a reviewer gives a field, in characters."""

REVIEW_CHANGES: Final = 2_000
"""Most changes that reviewers make to one document."""

REVIEW_REASON_CHARACTERS: Final = 500
"""Longest reason that is given for a correction or for what is done with a document."""

REVIEW_LEASE_S: Final = 600.0
"""So long a document is left to the person who reviews it, counted from what they did last."""

ACTIVITY_KEPT_S: Final = 86_400.0
"""How long it is kept what went on in each ten seconds; afterwards only in five minutes."""

ACTIVITY_MINUTES_KEPT_S: Final = 8 * 86_400.0
"""How long it is kept what went on in each five minutes; afterwards only in hours and days."""

ACTIVITY_HOURS_KEPT_S: Final = 90 * 86_400.0
"""How long it is kept what went on in each hour and day."""

DRAWN_FILE_BYTES: Final = 100 * MIB
"""Largest file whose pages the dashboard draws."""

DRAWN_CACHE_BYTES: Final = 32 * MIB
"""So many bytes of drawn pages a server keeps."""

DRAWING_S: Final = 30.0
"""Longest that a page may take to be drawn, in seconds."""

DRAWING_BYTES: Final = 2 * 1024 * MIB
"""Most memory of the process that draws a page, in bytes."""
