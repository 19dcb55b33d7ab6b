# Generated from _async/__init__.py by tools/unasync.py; edit that file instead.
"""The client in one of its two colours; tools/unasync.py says which is made from which."""

from __future__ import annotations
