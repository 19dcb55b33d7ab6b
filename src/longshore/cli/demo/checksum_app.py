"""The app of `longshore demo crash`: the SHA-256 of a file, slowly enough to be interrupted."""

from __future__ import annotations

import hashlib
import time

import longshore

NAME = "Checksum"
OWNER = "longshore"
PAUSE_S = 0.03


@longshore.app(NAME, owner=OWNER, version="1.0.0", attempts_max=20)
def checksum(file: longshore.InputFile) -> list[longshore.Document]:
    """Return the SHA-256 of the file, so that what was recorded can be compared with the truth."""
    time.sleep(PAUSE_S)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return [longshore.Document(fields=[longshore.Field("sha256", digest)])]
