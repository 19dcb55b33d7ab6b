"""The script of the steps of these tests: prints, waits for a gate, and fails while it is shut.

GATES is a directory. A step waits for the file STEP.wait to be gone, and fails while STEP.shut is
there.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import cawbs

ATTACK = "<img src=x onerror=alert(1)>"
gates, step = Path(os.environ["GATES"]), os.environ["STEPNAME"]
print(f"{step} begins {ATTACK}", flush=True)
pause = threading.Event()
while (gates / f"{step}.wait").exists():
    pause.wait(0.05)
if (gates / f"{step}.shut").exists():
    print("the gate is shut </pre><script>alert(2)</script>", file=sys.stderr)
    sys.exit(3)
if step == "load":
    cawbs.Init()
    cawbs.PutStepPayload({"rows": 12345678901234567890, "told": ATTACK})
