"""Cron expressions as sentences."""

from __future__ import annotations

import pytest

from longshore.surfaces.scripts.cron_words import in_words


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("30 2 * * *", "at 02:30 every day"),
        ("0 6,18 * * 1-5", "at 06:00 and 18:00 from Monday to Friday"),
        ("15 7 * * sat,0", "at 07:15 on Saturday and Sunday"),
        ("0 0 1,15 * *", "at 00:00 on day 1 and 15 of the month"),
        ("0 4 L * *", "at 04:00 on the last day of the month"),
        ("0 4 LW * *", "at 04:00 on the last weekday of the month"),
        ("0 4 * * 5L", "at 04:00 on the last Friday of the month"),
        ("0 4 * * mon#2", "at 04:00 on the second Monday of the month"),
        ("0 5 1 jan,7 *", "at 05:00 on day 1 of the month in January and July"),
        ("0 5 13 * 5", "at 05:00 on day 13 of the month or on Friday"),
        ("0 5 */2 * 5", "at 05:00 on every second day of the month if also on Friday"),
        ("*/15 * * * *", "every 15 minutes"),
        ("* * * * *", "every minute"),
        ("0 * * * *", "on the hour"),
        ("10,40 * * * *", "at minute 10 and 40 of each hour"),
        ("*/5 6-18 * * 1-5", "every 5 minutes, 06:00 to 18:59 from Monday to Friday"),
        ("0 */6 * * *", "on the hour, every 6 hours"),
        ("0-5 3 * * *", "at minute 0 to 5 of each hour, in hour 3"),
    ],
)
def test_expressions_are_told_in_words(cron: str, words: str) -> None:
    assert in_words(cron) == words
