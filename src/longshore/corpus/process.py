"""The words of the protocol for what a worker is run for, and how far its elements are."""

from __future__ import annotations

from enum import Enum


class ActivityState(Enum):
    """How far a worker is with an element."""

    Queued = "queued"
    """No worker has begun with it."""

    Started = "started"
    """A worker is at it."""

    Processed = "processed"
    """It is done."""

    Error = "error"
    """It has failed; the next run tries it again."""


class ProcessMode(Enum):
    """What a process works through."""

    Files = "files"
    """Files that are imported."""

    Workers = "workers"
    """Elements of a corpus."""

    Template = "template"
    """Nothing: other processes are made from it."""

    S3 = "s3"
    """Images of a store that are imported."""

    Local = "local"
    """What a person runs on a machine of their own."""

    Dataset = "dataset"
    """Sets of datasets."""

    Export = "export"
    """Elements that are exported."""
