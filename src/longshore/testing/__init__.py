"""For tests of your own: a real server with a clock that you move, and a worker in this process.

    from longshore.testing import running_server

    def test_doubling() -> None:
        with running_server() as server:
            (work,) = server.deposit("double", {"x": 21})
            server.worker("double.py").work_until_idle()
            assert server.result(work) == {"y": 42}

Nothing sleeps and nothing happens by itself: `server.advance(60)` lets leases end, retries come due
and schedules fire, the same in each run. See docs/how-to/test-your-code.md.
"""

from __future__ import annotations

from longshore.testing.server import RunningServer, running_server
from longshore.testing.worker import InProcessWorker, Taken

__all__ = ["InProcessWorker", "RunningServer", "Taken", "running_server"]
