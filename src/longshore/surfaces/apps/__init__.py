"""Apps: files in, documents with fields out; the wire format is that of AI Hub.

A version of an app is a queue of the engine, a file of a run a work, the run their group, and the
documents of a file its result. Batches and the drive hold the files; deletions are system jobs.
"""

from __future__ import annotations
