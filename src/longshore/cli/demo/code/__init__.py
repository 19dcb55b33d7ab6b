"""What the workers of the demos run: written as a user would write it, with the package alone."""

from __future__ import annotations
