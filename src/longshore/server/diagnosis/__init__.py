"""What `longshore doctor` looks at: each module returns findings, and changes nothing."""

from __future__ import annotations

from longshore.server.diagnosis.finding import Finding, Verdict

__all__ = ["Finding", "Verdict"]
