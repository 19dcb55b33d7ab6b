"""Longshore's own HTTP API: works, queues, keys, workers and the server."""

from __future__ import annotations

from typing import Final

NATIVE: Final = "/longshore/v1"
"""Where the routers of this package are mounted."""
