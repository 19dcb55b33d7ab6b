"""The jobs and passes of datasets, exports, and addresses that need no key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from longshore.edge.jobs import Handler, Pass
from longshore.surfaces.corpus import archives, building, exports, links, multipart_parts


def _expire(connection: Connection) -> Mapping[str, int]:
    return {"links": links.expire(connection), "uploads": multipart_parts.expire(connection)}


HANDLERS: Final[dict[str, Handler]] = {
    building.JOB: archives.build,
    exports.JOB: exports.export,
}

PASSES: Final[dict[str, Pass]] = {
    "corpus.datasets": building.follow,
    "corpus.exports": exports.sweep,
    "corpus.links": _expire,
}
