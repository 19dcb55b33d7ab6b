"""Dates as people and programs write them: business dates, holidays, dates of flags."""

from __future__ import annotations

from datetime import date

from longshore.errors import InvalidRequest


def parse_date(text: str) -> date:
    """Return a date written as YYYY-MM-DD; InvalidRequest for anything else."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # The library takes other forms, too, such as 20270131.
    if day is None or day.isoformat() != text:
        raise InvalidRequest(
            f"{text[:40]!a} is no date. Write it as YYYY-MM-DD, such as 2027-01-31."
        )
    return day
