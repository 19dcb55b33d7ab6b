from __future__ import annotations

import gc
import weakref

from longshore.access import masking
from longshore.clock import ManualClock
from longshore.storage import open_database


def test_a_closed_database_is_kept_by_nobody(database_url: str, clock: ManualClock) -> None:
    database = open_database(database_url, clock=clock, migrate=False)
    masking.install(database)
    database.close()
    closed = weakref.ref(database)
    del database
    gc.collect()
    assert closed() is None
