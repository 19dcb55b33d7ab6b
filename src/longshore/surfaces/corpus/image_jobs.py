"""What the server does with images on its own: it forgets those that nothing uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from longshore.edge.jobs import Handler, Pass
from longshore.surfaces.corpus import images


class UnusedImages:
    """A pass over all images, some at a time, that starts again when it has come to the end."""

    def __init__(self) -> None:
        """Begin with the first."""
        self._after = ""

    def __call__(self, connection: Connection) -> Mapping[str, int]:
        """Look at the next images, and delete those that nothing uses."""
        self._after, count = images.forget_unused(connection, self._after)
        return {"unused": count}


HANDLERS: Final[dict[str, Handler]] = {}
PASSES: Final[dict[str, Pass]] = {"corpus.images": UnusedImages()}
