"""The limits of this server, in one place to import from.

A limit is refused at the edge with a message that names it. Docs/reference lists this package.
"""

from __future__ import annotations

from longshore.limits.buckets import *  # noqa: F403
from longshore.limits.corpora import *  # noqa: F403
from longshore.limits.general import *  # noqa: F403
from longshore.limits.people import *  # noqa: F403
from longshore.limits.records import *  # noqa: F403
from longshore.limits.scripts import *  # noqa: F403
from longshore.limits.units import *  # noqa: F403
