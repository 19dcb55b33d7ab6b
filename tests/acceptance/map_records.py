"""A user's program: squares the numbers of a file into another file, and goes on where it stopped.

Usage: map_records.py URL KEY SOURCE TARGET CHUNK_SIZE NAP_S
"""

from __future__ import annotations

import sys

from longshore.sdk import Client

url, key, source, target, chunk_size, nap_s = sys.argv[1:]
with Client(url, key) as client, client.pipeline("acceptance/square") as pipeline:
    options = {"nap_s": float(nap_s)}
    pipeline.map(source, to=target, resume=True, chunk_size=int(chunk_size), parameters=options)
