"""What the demos call what they make: fixed names, so that a guide, a test or `clear` finds it.

`clear` deletes what has these names. Where a person might choose the same one, the name or a tag says
`longshore`, so that nothing of theirs is taken for the demo's.
"""

from __future__ import annotations

from typing import Final

DEMO_OWNER: Final = "demo"

DEMO_MADE: Final = "Made by longshore demo all."
"""The descriptions of workflows and secrets end with it."""

DEMO_BUCKET: Final = "demo-photos"
"""Works come and go here all the time; some succeed at the second attempt."""
DEMO_BUCKET_FAILING: Final = "demo-spectra"
"""Works of this bucket fail: some for good, some are tried again."""
DEMO_BUCKET_SLOW: Final = "demo-movies"
"""Works of this bucket run for a while."""
DEMO_BUCKET_HELD: Final = "demo-held"
"""Its queue is on hold; nothing is taken from it."""
DEMO_HELD_WHY: Final = "the crane is being repaired until noon"
DEMO_BUCKET_IDLE: Final = "demo-archive"
"""Nobody serves this bucket, and one work is in the hands of somebody who withdrew it."""
DEMO_BUCKET_CRASH: Final = "demo-crash"
"""Where `longshore demo crash` puts its records."""
DEMO_BUCKETS: Final = (
    DEMO_BUCKET,
    DEMO_BUCKET_FAILING,
    DEMO_BUCKET_SLOW,
    DEMO_BUCKET_HELD,
    DEMO_BUCKET_IDLE,
    DEMO_BUCKET_CRASH,
)

DEMO_APP: Final = "Demo receipts"
"""Reads receipts that have a layer of text; served with the owner `demo`."""
DEMO_APP_VERSION: Final = "1.0.0"
DEMO_APP_BEFORE: Final = "0.9.0"
"""An older version, which the slow run uses."""
DEMO_BATCH: Final = "longshore demo: receipts"
"""Name of each batch that the demos make."""
DEMO_TAG: Final = "longshore-demo"
"""Tag of runs and of works of buckets; the programs that pipelines come from are called so, too."""
DEMO_TAG_LONG: Final = "longshore-demo-slow"
"""The run that is still going on has this tag, too."""
DEMO_TAG_FED: Final = "longshore-demo-fed"
"""And this one those that come and go while the demo runs."""

DEMO_SERVICE: Final = "demo/premium"
"""Computes insurances; records of children are refused."""
DEMO_SERVICE_SLOW: Final = "demo/premium-slow"
DEMO_SERVICES: Final = (DEMO_SERVICE, DEMO_SERVICE_SLOW)

DEMO_CORPUS: Final = "Demo letters"
DEMO_CORPUS_SAYS: Final = "Letters that longshore demo all has drawn."
"""Its description; a corpus with another one is not the demo's."""
DEMO_PAGE_TYPE: Final = "page"
DEMO_LINE_TYPE: Final = "text_line"
DEMO_WORKER_SLUG: Final = "demo-reader"
"""An elements worker that refuses blank lines."""
DEMO_PROCESS: Final = "Demo: read the lines"
"""Over all lines; slow, with elements that fail."""
DEMO_PROCESS_DONE: Final = "Demo: sort the pages"

DEMO_HOST: Final = "demo-ship"
DEMO_HOST_OTHER: Final = "demo-quay"
DEMO_HOST_IDLE: Final = "demo-dock"
"""A host that nobody serves."""
DEMO_WORKFLOW: Final = "demo-sales"
"""Started by an event; its runs finish."""
DEMO_WORKFLOW_LONG: Final = "demo-night"
"""Has parallel steps and takes its time."""
DEMO_WORKFLOW_BROKEN: Final = "demo-broken"
"""One of its steps fails."""
DEMO_WORKFLOW_HELD: Final = "demo-held"
"""One of its steps begins on hold."""
DEMO_WORKFLOW_WAITING: Final = "demo-waiting"
"""Its steps are of a host that nobody serves."""
DEMO_WORKFLOW_CLOCK: Final = "demo-clock"
"""Started by schedules, with a calendar."""
DEMO_WORKFLOWS: Final = (
    DEMO_WORKFLOW,
    DEMO_WORKFLOW_LONG,
    DEMO_WORKFLOW_BROKEN,
    DEMO_WORKFLOW_HELD,
    DEMO_WORKFLOW_WAITING,
    DEMO_WORKFLOW_CLOCK,
)
DEMO_EVENT: Final = "demo-sales-arrived"

DEMO_SECRETS: Final = (
    ("longshore_demo_report_key", None, None),
    ("longshore_demo_db_password", DEMO_WORKFLOW, None),
    ("longshore_demo_iiif_token", None, "corpus"),
    ("longshore_demo_ocr_key", None, "apps"),
)
"""Name, workflow and scope of the entries of the keystore."""
DEMO_KEYS: Final = (
    ("longshore demo: viewer", "viewer"),
    ("longshore demo: operator", "operator"),
    ("longshore demo: developer", "developer"),
    ("longshore demo: ingress", "ingress"),
    ("longshore demo: lost laptop", "developer"),
)
"""Name and role of the keys; the last one is revoked."""
DEMO_WORKER_KEY: Final = "longshore demo: workers"
DEMO_WORKER_NAMES: Final = ("demo-code", "demo-corpus", "demo-ship-1", "demo-quay-1")
