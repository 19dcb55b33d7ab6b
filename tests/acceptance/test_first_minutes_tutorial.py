"""The tutorial of the first five minutes, typed as it stands; its demos are those of README."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.acceptance.test_first_minutes import ROOT, Newcomer, newcomer

__all__ = ["newcomer"]
PAGE = (ROOT / "docs/tutorials/first-five-minutes.md").read_text("utf-8")
DEMOS = ("Install and start", "Read receipts", "Kill a worker", "Look around")
pytestmark = pytest.mark.timeout(300)


def _sections() -> dict[str, str]:
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in PAGE.split("\n## ")[1:]}


def _commands(text: str) -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.M | re.S)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_its_demos_are_typed_as_they_stand_in_readme() -> None:
    readme = _commands((ROOT / "README.md").read_text("utf-8"))
    typed = [line for heading in DEMOS for line in _commands(_sections()[heading])]
    assert len(typed) > 5
    assert [line for line in typed if line not in readme] == []


def test_an_app_of_ones_own_from_writing_to_cleaning_up(
    newcomer: Newcomer,
    tmp_path: Path,
) -> None:
    sections = {name: text for name, text in _sections().items() if name not in DEMOS}
    [app] = re.findall(r"^```python\n(.*?)^```", sections["Write an app"], re.M | re.S)
    (tmp_path / "line_count.py").write_text(app)
    shutil.copy(ROOT / "CONTRIBUTING.md", tmp_path)
    run_id = ""
    for line in [line for text in sections.values() for line in _commands(text)]:
        told = newcomer.types(line.replace("RUN", run_id))
        if line.startswith("longshore run "):
            run_id = re.findall(r"\brn_[0-9a-v]{26}\b", told)[-1]
        if line == "longshore results RUN":
            assert "README.md" in told
            assert "lines" in told
        if line.startswith("longshore delete"):
            assert "rows" in told
    assert run_id
