"""The query language of the buckets: Mongo's filter form, translated to SQL.

`parse` reads a filter into a small tree (`tree`) and refuses what is not supported; it knows no
SQL. `condition` translates the tree for one of the two databases; what a value in a document is
there, `sqlite` and `postgresql` say. Nothing of a filter ever becomes part of a statement's text.

    wanted = query.parse({"status": "failure", "config.parent": {"$in": ["night-12"]}})
    select(works.c.id).where(mine, query.condition(wanted, fields, "sqlite"))
"""

from __future__ import annotations

from longshore.surfaces.buckets.query.fields import Column, Fields
from longshore.surfaces.buckets.query.ordering import ordering
from longshore.surfaces.buckets.query.parse import parse, pipelines_of
from longshore.surfaces.buckets.query.projection import Projection
from longshore.surfaces.buckets.query.translate import condition
from longshore.surfaces.buckets.query.tree import Filter

__all__ = [
    "Column",
    "Fields",
    "Filter",
    "Projection",
    "condition",
    "ordering",
    "parse",
    "pipelines_of",
]
