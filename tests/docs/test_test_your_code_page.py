"""docs/how-to/test-your-code.md: its tests are run by pytest, as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from longshore.settings import child_environment

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/how-to/test-your-code.md"
FIRST_TEST_LINES = 5


def _blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    code, *tests = _blocks()
    (tmp_path / "double.py").write_text(code)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["longshore.testing.fixtures"]\n')
    for number, block in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(block)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
        cwd=tmp_path,
        # A reader has pytest, and not all the plugins of this project.
        env=child_environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    count = sum(block.count("def test_") for block in tests)
    assert f"{count} passed" in done.stdout


def test_a_worker_is_tested_in_five_lines() -> None:
    test = _blocks()[1]
    body = test[test.index("def test_") :].strip().splitlines()
    assert len(body) == FIRST_TEST_LINES
