"""The public APIs, one package each; they never import each other.

A surface maps the nouns of its protocol to the engine's: tables and services below, routes above.
"""

from __future__ import annotations
