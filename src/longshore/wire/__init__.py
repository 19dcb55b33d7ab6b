"""What server, client and worker say to each other: shapes of messages, no rules, no I/O."""

from __future__ import annotations
