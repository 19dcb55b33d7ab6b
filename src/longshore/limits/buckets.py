"""Work buckets: notices, queries and projections."""

from __future__ import annotations

from typing import Final

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
