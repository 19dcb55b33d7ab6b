"""What `longshore demo all` puts into each surface of a server, through its public APIs."""

from __future__ import annotations
