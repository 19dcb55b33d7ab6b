"""The command line: one module per command group, thin over the SDK, the server and the worker."""

from __future__ import annotations
