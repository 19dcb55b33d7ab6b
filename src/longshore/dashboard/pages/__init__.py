"""The pages: one module for each, or for a family of them."""

from __future__ import annotations
