"""Works of all surfaces alike: explaining them, and acting on what a filter finds.

What may be done to a work depends on its surface, which keeps books of its own about it; the
table of `possible` says what, and why the rest is refused.
"""

from __future__ import annotations
