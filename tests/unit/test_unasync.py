"""The tool that makes the blocking client from the async one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "unasync.py"


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool, working on an SDK of one module."""
    specification = importlib.util.spec_from_file_location("unasync_under_test", TOOL)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    (tmp_path / "_async").mkdir()
    (tmp_path / "_sync").mkdir()
    (tmp_path / "_async" / "thing.py").write_text("async def wait() -> None:\n    await other()\n")
    monkeypatch.setattr(module, "SDK", tmp_path)
    monkeypatch.setattr(module, "RULES", ((r"\basync def\b", "def"), (r"\bawait ", "")))
    return module


def test_the_blocking_form_is_written_and_then_passes_the_check(
    tool: ModuleType, tmp_path: Path
) -> None:
    assert tool.write(tool.generate()) == 0
    text = (tmp_path / "_sync" / "thing.py").read_text()
    assert "def wait() -> None:\n    other()\n" in text
    assert "async" not in text.replace("_async/thing.py", "").replace("tools/unasync.py", "")
    assert tool.check(tool.generate()) == 0


def test_a_changed_file_fails_the_check(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool.write(tool.generate())
    path = tmp_path / "_sync" / "thing.py"
    path.write_text(path.read_text().replace("other", "another"))
    assert tool.check(tool.generate()) == 1
    assert "-    another()" in capsys.readouterr().out


def test_a_file_without_a_source_fails_the_check_and_is_removed(
    tool: ModuleType, tmp_path: Path
) -> None:
    tool.write(tool.generate())
    stale = tmp_path / "_sync" / "stale.py"
    stale.write_text("")
    assert tool.check(tool.generate()) == 1
    tool.write(tool.generate())
    assert not stale.exists()


def test_a_rule_that_nothing_uses_is_an_error(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "RULES", (*tool.RULES, (r"\baclose\b", "close")))
    with pytest.raises(SystemExit, match="aclose"):
        tool.generate()
