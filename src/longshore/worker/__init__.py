"""Worker: what user code is given and gives back, and the runtime that claims and runs it.

`registry` and `documents` are what user code imports; `runtime` says how the rest works together.
"""

from __future__ import annotations
