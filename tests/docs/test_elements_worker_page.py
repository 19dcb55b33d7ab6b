"""The program of the page on elements workers runs as it is printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from longshore.settings import child_environment
from tests.unit.corpus_server import RUN, ProtocolServer, serving

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/write-an-elements-worker.md"


def test_the_smallest_worker_counts_letters(tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    path = tmp_path / "counter.py"
    path.write_text(program, "utf-8")
    with serving(ProtocolServer(native=True)) as server:
        ids = server.add(2)
        ended = subprocess.run(
            [sys.executable, str(path), "--label", "length", "--element", *ids],
            env=child_environment(
                ARKINDEX_API_URL=server.url,
                ARKINDEX_API_TOKEN="token",
                ARKINDEX_WORKER_RUN_ID=RUN,
                XDG_DATA_HOME=str(tmp_path),
            ),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        written = [(body["name"], body["value"]) for body in server.bodies("CreateMetaData")]
        assert written == [("length", "4"), ("length", "4")]
        assert set(server.states.values()) == {"processed"}
